"""Tables for people. Colours and lines on a terminal; plain, unwrapped rows in a pipe or with NO_COLOR.

`rich` is imported where it is used: it costs 60 ms that a command which prints no table need not pay.
What comes from packets, labs and files goes in as text, never as markup: an IPv6 address may look like the
name of an emoji.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

Cell = str | tuple[str, str]
"""Text, or text and the name of a style."""

GOOD, BAD, QUIET = "green", "bold red", "dim"

_PIPE_WIDTH = 10_000
"""Columns where nobody's window limits them: rows then stay whole for grep and awk."""


def console(written: TextIO, terminal: bool) -> Console:
    """rich's console on a stream; without a terminal rows stay whole."""
    from rich.console import Console

    return Console(
        file=written,
        width=None if terminal else _PIPE_WIDTH,
        # NO_COLOR (no-color.org): rich alone would still write bold and dim.
        color_system="auto" if terminal and not os.environ.get("NO_COLOR") else None,
        markup=False,
        emoji=False,
        highlight=False,
    )


def show(*renderables: RenderableType, stream: TextIO | None = None) -> None:
    """Print to `stream` (standard output when not given)."""
    target = stream if stream is not None else sys.stdout
    terminal = target.isatty()
    written = target if terminal else io.StringIO()
    printer = console(written, terminal)
    for renderable in renderables:
        printer.print(renderable)
    if isinstance(written, io.StringIO) and written is not target:
        # Rules under the heads are as wide as the longest cell, and every cell is filled up to it.
        lines = (line.rstrip() for line in written.getvalue().splitlines())
        target.writelines(f"{line}\n" for line in lines if not line or line.strip("─"))


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    fold: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> Table:
    """Columns never cut a word away; in a narrow window the columns of `fold` give way first.

    spare: columns that are left out where words and numbers would break without that, the first one first.
    """
    from edge.fittedtable import FittedTable

    return FittedTable(columns, [[cell(one) for one in row] for row in rows], fold, spare)


def cell(content: Cell) -> Text:
    """One cell as rich's text, control characters written out."""
    from rich.text import Text

    words, style = (content, "") if isinstance(content, str) else content
    return Text(visible(words), style=style)


def visible(text: str) -> str:
    """The text with control characters written out (`\\x1b`), so that none reaches a terminal or a file.

    Line ends and tabs stay; surrogates and the two code points that no text may hold are written out.
    """
    return "".join(character if _plain(character) else _escaped(character) for character in text)


def _plain(character: str) -> bool:
    code = ord(character)
    if character in "\n\t":
        return True
    return (
        code >= 0x20
        and not 0x7F <= code <= 0x9F
        and not 0xD800 <= code <= 0xDFFF
        and code not in (0xFFFE, 0xFFFF)
    )


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
