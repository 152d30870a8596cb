"""A picture in a terminal that is drawn again and again, and a terminal that is given back when we are away.

Signals are heard between two looks. Ctrl-C and SIGTERM end it (also a look that takes long), a new size of
the window has it drawn anew. Ctrl-Z gives the terminal back before the process stops, for the shell is next
to write; on `fg` all is taken and drawn again. So it is after SIGSTOP, of which nobody is told beforehand.
Sent on by `bg` it stops again until it has the terminal, as editors do (termios(3), SIGTTOU).
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from edge.console import console

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_ENDS = frozenset((signal.SIGINT, signal.SIGTERM))


def watch(
    first: RenderableType,
    look: Callable[[], RenderableType | None],
    every_s: float,
    *,
    whole: bool,
    keys: Collection[str] | None = None,
) -> None:
    """Show `first` on standard output, then what each look finds, until a signal or a key ends it.

    look: the next picture, None to end; what it raises passes. whole: the picture takes the whole window, and
    leaves none of itself. keys: characters that end it; None where keys mean nothing. Main thread only.
    """
    with ExitStack() as stack:
        signals = stack.enter_context(_Signals())
        view = stack.enter_context(_View(first, whole, keys, signals))
        due = time.monotonic() + every_s
        while view.wait(due):
            try:
                with signals.breaking():
                    shown = look()
            except KeyboardInterrupt:
                return
            if shown is None:
                return
            view.draw(shown)
            due = max(due + every_s, time.monotonic())


class _Signals:
    """Signals noted instead of obeyed; `fd` is readable while some are. A context manager."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._noted: set[int] = set()
        self._break = False
        self._before = {
            number: signal.signal(number, self._note)
            for number in (*_ENDS, signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT)
            # A shell without job control has its programs ignore Ctrl-Z, and so they do.
            if signal.getsignal(number) != signal.SIG_IGN
        }

    def __enter__(self) -> _Signals:
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self.fd)

    def _note(self, number: int, _: object) -> None:
        self._noted.add(number)
        os.eventfd_write(self.fd, 1)
        if self._break and number in _ENDS:
            self._break = False
            raise KeyboardInterrupt

    @contextmanager
    def breaking(self) -> Iterator[None]:
        """A time in which a signal that ends it raises KeyboardInterrupt, also one that came just before."""
        self._break = True
        try:
            if self.ended:
                raise KeyboardInterrupt
            yield
        finally:
            self._break = False

    @property
    def ended(self) -> bool:
        """A signal that ends it was noted."""
        return bool(self._noted & _ENDS)

    def take(self) -> frozenset[int]:
        """What was noted since the last time. Only when `fd` is readable."""
        os.eventfd_read(self.fd)
        taken = frozenset(self._noted)
        self._noted -= taken
        return taken

    def stop(self) -> None:
        """Stop this process as Ctrl-Z would; returns when it is continued."""
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        # To this thread, so that it is stopped when this returns.
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._note)
        self._noted.discard(signal.SIGCONT)


class _View:
    """The terminal while it is ours. A context manager."""

    def __init__(
        self, first: RenderableType, whole: bool, keys: Collection[str] | None, signals: _Signals
    ) -> None:
        self._picture = first
        self._whole = whole
        self._keys = frozenset(keys or ())
        self._input = sys.stdin.fileno() if keys is not None and sys.stdin.isatty() else None
        self._signals = signals
        self._held = ExitStack()
        self._live: Live | None = None

    def __enter__(self) -> _View:
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _take(self) -> None:
        """Make the terminal ours, as soon as we may; not where a signal has ended it before."""
        from rich.live import Live

        if not self._in_foreground():
            return
        with ExitStack() as held:
            if self._input is not None:
                held.enter_context(_each_key(self._input))
            # A new one each time: an old one believes that the cursor is still below its picture.
            self._live = Live(
                self._picture,
                console=console(sys.stdout, True),
                auto_refresh=False,
                screen=self._whole,
                vertical_overflow="crop",
            )
            held.enter_context(self._live)
            self._held = held.pop_all()

    def _in_foreground(self) -> bool:
        """Wait for it: to set a terminal stops a process in the background. False: ended meanwhile."""
        fd = sys.stdout.fileno()
        while not self._signals.ended:
            if _set(lambda: termios.tcsetattr(fd, termios.TCSANOW, termios.tcgetattr(fd))):
                return True
        return False

    def draw(self, picture: RenderableType) -> None:
        """Show this now."""
        self._picture = picture
        if self._live is not None:
            self._live.update(picture, refresh=True)

    def wait(self, due: float) -> bool:
        """Until the next look is due; False when somebody wants to end."""
        poller = select.poll()
        for fd in (self._signals.fd, *([self._input] if self._input is not None else [])):
            poller.register(fd, select.POLLIN)
        while True:
            left_ms = max(0, -int(-(due - time.monotonic()) * 1000 // 1))
            ready = [fd for fd, _ in poller.poll(left_ms)]
            heard = self._signals.take() if self._signals.fd in ready else frozenset()
            if heard & _ENDS:
                return False
            if heard & {signal.SIGTSTP, signal.SIGCONT}:
                # Who was only sent on may be in the background, where what is given back is not ours.
                if signal.SIGTSTP not in heard and not self._in_foreground():
                    return False
                self._held.close()
                if signal.SIGTSTP in heard:
                    self._signals.stop()
                self._take()
            elif signal.SIGWINCH in heard:
                self.draw(self._picture)
            elif self._input is not None and self._input in ready:
                pressed = os.read(self._input, 64).decode(errors="replace")
                if not pressed or self._keys & set(pressed):
                    return False
            if not ready:
                return True


@contextmanager
def _each_key(fd: int) -> Iterator[None]:
    """A time in which the terminal hands over each key as it is pressed, unseen."""
    before = termios.tcgetattr(fd)
    try:
        # Not after what is still to be written: that would be a wait, which signals break off.
        _set_at_last(lambda: tty.setcbreak(fd, termios.TCSANOW))
        yield
    finally:
        _set_at_last(lambda: termios.tcsetattr(fd, termios.TCSANOW, before))


def _set(change: Callable[[], object]) -> bool:
    """Set a terminal; False when a signal broke it off: the process was stopped for it and goes on now.

    EIO counts as done: in the background, and no shell could ever bring us forth: nothing to wait for.
    """
    try:
        change()
    except termios.error as error:
        if error.args[0] not in (errno.EINTR, errno.EIO):
            raise
        return bool(error.args[0] == errno.EIO)
    return True


def _set_at_last(change: Callable[[], object]) -> None:
    """Set a terminal, however often the process is stopped for it."""
    while not _set(change):
        pass
