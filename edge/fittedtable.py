"""A table that fits a narrow window: columns give way, numbers and words stay whole as long as they can.

Imported where a table is made (edge.console.table): rich is slow to import.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

GAP = 3
"""Columns of a window between two columns of a table."""

NARROWEST = 8
"""To what a column that gives way shrinks at least, inside its words if need be."""

_NUMBER = re.compile(r" *[-+]?[0-9][0-9.,]*( ?[a-zA-Z%/]+)?")


class FittedTable(Table):
    """Columns of `fold` give way first; where that is not enough those of `spare` go, the first one first."""

    def __init__(
        self,
        heads: Sequence[str],
        lines: Sequence[Sequence[Text]],
        fold: Sequence[str] = (),
        spare: Sequence[str] = (),
    ) -> None:
        super().__init__(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        self._heads, self._lines = tuple(heads), tuple(map(tuple, lines))
        self._fold = frozenset(map(self._heads.index, fold))
        self._spare = tuple(self._heads.index(head) for head in spare if head in self._heads)
        self._fill(self, dict.fromkeys(range(len(self._heads))))

    def _fill(self, table: Table, widths: dict[int, int | None]) -> None:
        for at, width in widths.items():
            table.add_column(self._heads[at], overflow="fold", width=width)
        for line in self._lines:
            table.add_row(*(line[at] for at in widths))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """All of it where there is room, else what `fit` chooses, and which columns that leaves out."""
        columns = [[line[at].plain for line in self._lines] for at in range(len(self._heads))]
        naturals = [
            max(map(_longest_line, (head, *cells))) for head, cells in zip(self._heads, columns, strict=True)
        ]
        leasts = [
            max(_longest_word(head), *map(_least, cells), 0)
            for head, cells in zip(self._heads, columns, strict=True)
        ]
        widths = fit(options.max_width, naturals, leasts, self._fold, self._spare)
        if widths is None:
            yield from super().__rich_console__(console, options)
            return
        narrow = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        self._fill(narrow, dict(widths))
        yield narrow
        left_out = [head for at, head in enumerate(self._heads) if at not in widths]
        if left_out:
            yield Text(f"in a wider window: {', '.join(left_out)}", style="dim")


def fit(
    room: int, naturals: Sequence[int], leasts: Sequence[int], fold: Collection[int], spare: Sequence[int]
) -> dict[int, int] | None:
    """Which columns to show in a window of `room`, and how wide; None when nothing has to give way. Pure.

    naturals: the widths in which nothing wraps; leasts: in which no word is broken.
    """
    shown = list(range(len(naturals)))
    if sum(naturals) + GAP * (len(shown) - 1) <= room:
        return None
    for at in spare:
        if sum(leasts[n] for n in shown) + GAP * (len(shown) - 1) <= room:
            break
        shown.remove(at)
    space = room - GAP * (len(shown) - 1)
    widths = {at: naturals[at] for at in shown}
    others = [at for at in shown if at not in fold]
    folding = [at for at in shown if at in fold]
    for giving, ends in (
        (folding, leasts),
        (others, leasts),
        (folding, [min(least, NARROWEST) for least in leasts]),
        (shown, [1] * len(leasts)),
    ):
        _shrink(widths, giving, ends, sum(widths.values()) - space)
    return widths


def _shrink(widths: dict[int, int], giving: Sequence[int], ends: Sequence[int], excess: int) -> None:
    """Take `excess` from the columns that give way, always from the widest, to their ends at most."""
    for _ in range(excess):
        able = [at for at in giving if widths[at] > ends[at]]
        if not able:
            return
        widths[max(able, key=widths.__getitem__)] -= 1


def _least(text: str) -> int:
    """The width in which no word of a cell is broken, and no number wraps."""
    return cell_len(text) if _NUMBER.fullmatch(text) else _longest_word(text)


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _longest_line(text: str) -> int:
    return max(map(cell_len, text.split("\n")))
