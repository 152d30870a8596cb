"""Wait for files in a directory: inotify(7), which Python has no binding of."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_IN_CREATE: Final = 0x100
_IN_ATTRIB: Final = 0x4
_RECHECK_S: Final = 0.25
"""A socket listens a moment after it is there, and not every moment leaves an event."""

_libc = ctypes.CDLL(None, use_errno=True)


class Arrivals:
    """What comes into a directory, from the moment on that this is made."""

    def __init__(self, directory: Path) -> None:
        self._fd = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if (
            self._fd < 0
            or _libc.inotify_add_watch(self._fd, os.fsencode(directory), _IN_CREATE | _IN_ATTRIB) < 0
        ):
            number = ctypes.get_errno()
            self.close()
            raise OSError(number, f"inotify on {directory}: {os.strerror(number)}")

    def close(self) -> None:
        """Stop watching. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def wait_until(self, done: Callable[[], bool], ended: int, timeout_s: float) -> bool:
        """True when `done`, looked at after each arrival; False when `ended` is readable or time is up."""
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        for fd in (self._fd, ended):
            poll.register(fd, select.POLLIN)
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            ready = {fd for fd, _ in poll.poll(min(left, _RECHECK_S) * 1000)}
            if ended in ready:
                return False
            with contextlib.suppress(BlockingIOError):
                os.read(self._fd, 1 << 16)
        return True


@contextlib.contextmanager
def arrivals(directory: Path) -> Iterator[Arrivals]:
    """Arrivals for a block. Raises OSError."""
    watch = Arrivals(directory)
    try:
        yield watch
    finally:
        watch.close()
