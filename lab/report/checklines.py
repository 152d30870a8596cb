"""Results of checks for people: a line each, printed as soon as it is known, in columns all the same."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TextIO

from edge.console import BAD, GOOD, QUIET, console, visible
from lab.checks.result import CheckResult
from lab.report.words import duration

_MARK, _TIME = 8, 10
_LEAST = 36
"""Columns that the words of a result need beside the rest; where there are fewer they go below."""


class CheckLines:
    """Prints rows to `stream` (standard output when not given); in a pipe they stay whole.

    titles: of all checks to come, for the width of their column.
    """

    def __init__(self, titles: Sequence[str], stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stdout
        terminal = self._stream.isatty()
        self._console = console(self._stream, terminal)
        self._width = self._console.width if terminal else 0
        self._title = max((len(visible(title)) for title in titles), default=0) + 2
        self._below = terminal and self._width < _MARK + self._title + _TIME + _LEAST

    def row(self, title: str, result: CheckResult) -> None:
        """What came of a check."""
        from rich.text import Text

        mark, style = ("ok", GOOD) if result.ok else ("FAILED", BAD)
        words, took = visible(result.words), duration(result.duration_s)
        if self._below:
            rows = [*self._folded(f"{mark} {visible(title)} ({took})", ""), *self._folded(words, "  ")]
            head, *rest = rows
            line = Text(head)
            line.stylize(style, 0, len(mark))
            self._print(line)
            for row in rest:
                self._print(Text(row))
            return
        before = Text()
        before.append(mark.ljust(_MARK), style=style)
        before.append(visible(title).ljust(self._title))
        before.append(took.ljust(_TIME), style=QUIET)
        indent = len(before.plain)
        first, *rest = self._folded(words, "", self._width - indent) if self._width else [words]
        before.append(first)
        self._print(before)
        for row in rest:
            self._print(Text(" " * indent + row))

    def closing(self, results: Sequence[CheckResult]) -> None:
        """How many held."""
        from rich.text import Text

        failed = sum(not result.ok for result in results)
        words = f"{len(results) - failed} of {len(results)} checks passed"
        self._print(Text(words, style=BAD if failed else GOOD))

    def drift(self, words: Sequence[str], baseline: str) -> None:
        """What has drifted from a baseline."""
        from rich.text import Text

        for line in words:
            self._print(Text(visible(f"drift: {line}"), style=BAD))
        count = "1 difference" if len(words) == 1 else f"{len(words)} differences"
        closing = f"{count} from {visible(baseline)}" if words else f"no drift from {visible(baseline)}"
        self._print(Text(closing, style=BAD if words else GOOD))

    def _folded(self, text: str, indent: str, width: int = 0) -> Iterator[str] | list[str]:
        lines = textwrap.wrap(
            text, width or self._width, initial_indent=indent, subsequent_indent=indent or "  "
        )
        return lines or [""]

    def _print(self, line: object) -> None:
        self._console.print(line)
        self._stream.flush()
