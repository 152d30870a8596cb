"""Opening what a capture is written to, which for a named pipe takes until somebody reads it (fifo(7))."""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from edge.errors import EdgeError

LOOK_AGAIN_S = 0.05
"""How often to see whether a pipe has a reader: nothing tells when one comes."""


def open_target(
    path: str | os.PathLike[str],
    stop_fds: Sequence[int] = (),
    end: float | None = None,
    on_wait: Callable[[], None] | None = None,
) -> BinaryIO:
    """Open a file for writing, emptied, or a pipe once it has a reader; on_wait is called if that takes time.

    end: how long to wait for a reader, of time.monotonic. Raises EdgeError when none came until then or until
    one of stop_fds became readable, OSError when the file cannot be opened.
    """
    if not Path(path).is_fifo():
        return Path(path).open("wb")
    poller = select.poll()
    for stop_fd in stop_fds:
        poller.register(stop_fd, select.POLLIN)
    while (fd := _with_reader(path)) is None:
        if on_wait:
            on_wait()
            on_wait = None
        left_s = LOOK_AGAIN_S if end is None else min(LOOK_AGAIN_S, end - time.monotonic())
        if left_s <= 0:
            raise EdgeError(f"{path}: nobody read it until the time was over, so nothing is written")
        if poller.poll(-int(-left_s * 1000 // 1)):
            raise EdgeError(f"{path}: nobody read it until it was interrupted, so nothing is written")
    os.set_blocking(fd, True)
    return os.fdopen(fd, "wb")


def _with_reader(path: str | os.PathLike[str]) -> int | None:
    """A descriptor for writing, or None while nobody reads."""
    # Without O_CREAT, with which root may not open another's pipe in /tmp (proc(5), protected_fifos).
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
    if Path(path).resolve().exists():
        return None
    # A pipe without a name (`-w >(...)`) whose reader has gone gets no other. With a reader of our own it can
    # be opened, and is found to have none from then on, as when the reader goes later.
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(reader)
