"""One line that changes on a terminal while work goes on; silence in a pipe."""

from __future__ import annotations

from typing import TextIO

NARROWEST = 10
"""Columns of a line at least, whatever a terminal says of itself."""

_TO_THE_BEGINNING = "\r\x1b[K"


class LiveLine:
    """A line of `stream` that each text replaces. Nothing is written where `stream` is no terminal."""

    def __init__(self, stream: TextIO, live: bool = True) -> None:
        """With `live` false, nothing on a terminal either."""
        self._stream = stream
        self.live = live and stream.isatty()
        self._shown = False

    def show(self, text: str) -> None:
        """Put the text in the place of what stands there, as much of it as the terminal is wide."""
        if self.live:
            # Imported late: it brings compression along, 10 ms that who writes to a file need not wait.
            import shutil

            width = max(shutil.get_terminal_size().columns - 1, NARROWEST)
            self._stream.write(f"{_TO_THE_BEGINNING}{text[:width]}")
            self._stream.flush()
            self._shown = True

    def clear(self) -> None:
        """Take the line away before something else is printed."""
        if self._shown:
            self._stream.write(_TO_THE_BEGINNING)
            self._stream.flush()
            self._shown = False
