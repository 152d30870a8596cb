"""Draws `edgelab top`: the parts of a picture one below the other, as wide and as high as the window is.

Columns give way in a narrow window, rows in a low one, the least telling first; nothing wraps, so that
every row is one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.console import BAD, GOOD, QUIET, Cell, cell
from edge.counttables import count, short
from lab.eventwords import clock
from lab.report.words import duration
from lab.top import Picture, share

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

_GAP = "  "
EVENTS_SHOWN = 20
"""Latest events where nothing limits them."""

_LEAST = 6
"""To what a column that gives way shrinks at least."""


@dataclass(frozen=True, slots=True)
class Part:
    """A table. fold: columns that give way first; spare: columns that go then, the first one first. The first
    column gives way at the very last.

    latest: when there is no room for all rows, those at the end stay.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    fold: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()
    latest: bool = False


class Drawing:
    """A picture for rich, drawn anew for the window at that moment.

    limited: to the window's height. note: what is wrong with it, instead of the first line.
    """

    def __init__(self, shown: Picture, limited: bool, note: str = "") -> None:
        self.shown = shown
        self.limited = limited
        self.note = note

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """One Text a line."""
        height = console.size.height if self.limited else None
        drawn = lines(self.shown, options.max_width, height)
        if self.note:
            drawn[0] = cell((self.note.partition("\n")[0], BAD))
            drawn[0].truncate(options.max_width, overflow="ellipsis")
        yield from drawn


def lines(shown: Picture, width: int, height: int | None) -> list[Text]:
    """The picture in a window of that size; height None has room for everything."""
    drawn = [headline(shown, width)]
    several = parts(shown)
    wants = [len(part.rows) + 1 if part.rows else 0 for part in several]
    if height is None:
        given = [
            min(want, EVENTS_SHOWN + 1) if part.latest else want
            for part, want in zip(several, wants, strict=True)
        ]
        gap = 1
    else:
        # Empty lines between the parts only where all of them are there with all their rows.
        filled = sum(want > 0 for want in wants)
        gap = int(1 + sum(wants) + filled <= height)
        given = share(height - 1 - gap * filled, wants)
    for part, room in zip(several, given, strict=True):
        if room:
            drawn += [cell("")] * gap + table_lines(part, width, room)
    return drawn


def headline(shown: Picture, width: int) -> Text:
    """Lab, sessions, time: in a line."""
    from rich.text import Text

    good = shown.established == shown.sessions_all
    made = Text(f"lab {shown.lab}", style="bold")
    made.append(f"{_GAP}{shown.established} of {shown.sessions_all} sessions", GOOD if good else BAD)
    made.append(f"{_GAP}{shown.nodes} nodes, up {duration(shown.uptime_s)}, tags by {shown.realisation}")
    made.append(f"{_GAP}{clock(shown.time)[:8]}", QUIET)
    made.truncate(width, overflow="ellipsis")
    return made


def parts(shown: Picture) -> tuple[Part, ...]:
    """Sessions, links, classes, events."""
    return (
        Part(
            ("session", "router", "neighbour", "state", "since", "in", "out", "BFD", "why"),
            tuple(
                (
                    item.label,
                    item.router,
                    item.neighbour,
                    (item.state, GOOD if item.good else BAD),
                    duration(item.uptime_s),
                    count(item.imported),
                    count(item.exported),
                    (item.bfd, GOOD if item.bfd in ("", "Up") else BAD),
                    (item.why, BAD),
                )
                for item in shown.sessions
            ),
            fold=("why",),
            spare=("out", "neighbour", "router", "BFD", "in"),
        ),
        Part(
            ("link", "from", "to", "state", "bit/s ->", "bit/s <-", "impaired"),
            tuple(
                (
                    item.name,
                    item.a,
                    item.b,
                    (item.state, GOOD if item.good else BAD),
                    _rate(item.from_a_bps),
                    _rate(item.from_b_bps),
                    (item.impaired, BAD),
                )
                for item in shown.links
            ),
            fold=("impaired",),
            spare=("to", "from"),
        ),
        Part(
            ("class", "port", "circuit", "packets/s", "bit/s", "drops/s", "drops", "waiting"),
            tuple(
                (
                    item.name,
                    item.port,
                    item.circuit,
                    _rate(item.packets_s),
                    _rate(item.bits_s),
                    _lost(item.drops_s),
                    (count(item.drops), BAD if item.drops else QUIET),
                    count(item.waiting),
                )
                for item in shown.classes
            ),
            fold=("port",),
            spare=("circuit", "drops", "packets/s"),
        ),
        Part(
            ("time", "event", "what"),
            tuple((clock(item.time), (item.kind, QUIET), item.words) for item in shown.events),
            fold=("what",),
            spare=("event", "time"),
            latest=True,
        ),
    )


def _rate(per_second: float | None) -> Cell:
    if per_second is None:
        return ("", QUIET)
    return short(per_second) if per_second >= 1 else ("0", QUIET)


def _lost(per_second: float | None) -> Cell:
    if not per_second:
        return ("" if per_second is None else "0", QUIET)
    return (short(max(per_second, 1.0)), BAD)


def table_lines(part: Part, width: int, room: int) -> list[Text]:
    """A part in `room` lines: its head, its rows, and how many more there are."""
    rows: Sequence[tuple[Cell, ...]] = part.rows
    hidden = len(rows) + 1 - room
    if hidden > 0:
        hidden += 1
        kept = len(rows) - hidden
        rows = rows[len(rows) - kept :] if part.latest else rows[:kept]
    texts = [[cell(one) for one in row] for row in rows]
    heads = [cell((head, "bold")) for head in part.heads]
    # A column in which nothing stands is not worth its room.
    filled = [at for at in range(len(heads)) if any(line[at].plain for line in texts) or not texts]
    widths = _widths(part, [heads, *texts], filled, width)
    drawn = [_line([line[at] for at in widths], list(widths.values()), width) for line in (heads, *texts)]
    if hidden > 0:
        words = f"{hidden} {'earlier' if part.latest else 'more'}"
        more = cell((words, QUIET))
        more.truncate(width, overflow="crop")
        drawn.insert(1, more) if part.latest else drawn.append(more)
    return drawn


def _widths(part: Part, table: Sequence[Sequence[Text]], filled: Sequence[int], width: int) -> dict[int, int]:
    """Columns that are shown, and how wide. In a narrow window those of fold shrink, then spare ones go."""
    widths = {at: max(line[at].cell_len for line in table) for at in filled}
    folding = [part.heads.index(head) for head in part.fold]
    spare = [part.heads.index(head) for head in part.spare]

    def excess() -> int:
        return sum(widths.values()) + len(_GAP) * (len(widths) - 1) - width

    def shrink() -> None:
        for at in folding:
            if at in widths:
                widths[at] -= max(0, min(excess(), widths[at] - _LEAST))

    natural = dict(widths)
    shrink()
    for at in spare:
        if excess() <= 0:
            break
        widths.pop(at, None)
        widths.update({one: natural[one] for one in folding if one in widths})
        shrink()
    first = next(iter(widths), None)
    if first is not None:
        widths[first] = max(_LEAST, widths[first] - max(0, excess()))
    return widths


def _line(cells: Sequence[Text], widths: Sequence[int], width: int) -> Text:
    from rich.text import Text

    made = Text(no_wrap=True, overflow="crop")
    for at, (one, room) in enumerate(zip(cells, widths, strict=True)):
        fitted = one.copy()
        fitted.truncate(room, overflow="ellipsis", pad=at < len(cells) - 1)
        made.append_text(fitted)
        if at < len(cells) - 1:
            made.append(_GAP)
    made.truncate(width, overflow="crop")
    return made
