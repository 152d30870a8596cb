"""Where the blocks of a capture go: a file or a pipe, whole blocks only, or a ring in memory."""

from __future__ import annotations

import errno
import os
import select
import shutil
import stat
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

PIPE_STEP = 4096
"""Octets that a pipe takes at once when poll says that it takes any (PIPE_BUF, pipe(7))."""

PATIENCE_S = 2.0
"""How long a capture that shall end waits for a reader that does not read."""

FAREWELL_S = 30.0
"""How long a capture that shall end goes on giving what there is to a reader that reads slowly."""


class StreamSink:
    """A pcapng stream to a file or pipe.

    failed: why nothing more can be written, in words; what is there then ends behind a whole block.
    closed_by_reader: a pipe's reader has gone. stop_fds, end: what tells that it shall end, whether anybody
    reads or not: a descriptor that becomes readable, a time of time.monotonic.
    """

    def __init__(self, stream: BinaryIO, stop_fds: Sequence[int] = (), end: float | None = None) -> None:
        stream.flush()
        self.fd = stream.fileno()
        self.failed = ""
        self.closed_by_reader = False
        self._stop_fds = tuple(stop_fds)
        self._end = end
        self._patient_until: float | None = None
        self._regular = stat.S_ISREG(os.fstat(self.fd).st_mode)

    def write(self, blocks: Sequence[bytes]) -> int:
        """Write all of them at once; how many were written whole.

        Nothing is written after a failure, or once the reader has gone.
        """
        data = b"".join(blocks)
        if not data or self.failed or self.closed_by_reader:
            return 0
        done = 0
        try:
            while done < len(data):
                if not self._regular:
                    self._wait_for_room()
                step = len(data) if self._regular else PIPE_STEP
                done += os.write(self.fd, data[done : done + step])
        except BrokenPipeError:
            self.closed_by_reader = True
        except TimeoutError as error:
            self.failed = f"{error}, so what came last is missing"
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            self.failed = f"{os.strerror(error.errno)}; what was captured until then is there"
        ends = list(accumulate(map(len, blocks)))
        whole = bisect_right(ends, done)
        if self._regular and self.failed:
            # Cut what was written of a block that did not fit, so that the file can be read to its end.
            begun = done - (ends[whole - 1] if whole else 0)
            os.ftruncate(self.fd, os.lseek(self.fd, -begun, os.SEEK_CUR))
        return whole

    def _wait_for_room(self) -> None:
        """Until a pipe takes something. Raises TimeoutError (with words) when it shall end, and cannot."""
        poller = select.poll()
        poller.register(self.fd, select.POLLOUT)
        for fd in self._stop_fds:
            poller.register(fd, select.POLLIN)
        left_s = None if self._end is None else max(0.0, self._end - time.monotonic())
        ready = {fd for fd, _ in poller.poll(None if left_s is None else -int(-left_s * 1000 // 1))}
        now = time.monotonic()
        if ready == {self.fd} and (self._end is None or now < self._end):
            return
        # It shall end. A reader that is alive gets the rest all the same.
        if self._patient_until is None:
            self._patient_until = now + FAREWELL_S
        if now > self._patient_until:
            raise TimeoutError("the reader reads too slowly")
        last = select.poll()
        last.register(self.fd, select.POLLOUT)
        if not last.poll(PATIENCE_S * 1000):
            raise TimeoutError("the reader does not read")


def replace_file(path: Path, data: bytes) -> None:
    """Make `data` what a file contains, or leave it as it is and raise OSError: a full disk cuts nothing off.

    A device or pipe is written to instead, since it cannot be replaced, and so is a file in a folder where
    nothing can be made.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    target = path.resolve()
    draft = target.with_name(f".edgelab.{os.getpid()}.{threading.get_ident()}")
    try:
        draft.write_bytes(data)
        if target.exists():
            shutil.copymode(target, draft)
        draft.replace(target)
    except PermissionError:
        draft.unlink(missing_ok=True)
        # A folder in which nothing may be made can hold a file that may be written to.
        target.write_bytes(data)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


class Ring:
    """The last frames of a capture as blocks: so many octets of them, or of so many seconds, or both.

    let_go: frames that it had to forget. Safe for threads.
    """

    def __init__(self, octets: int | None = None, seconds: float | None = None) -> None:
        if octets is None and seconds is None:
            raise ValueError("a ring needs a limit")
        self.let_go = 0
        self._limit_octets = octets
        self._limit_ns = None if seconds is None else int(seconds * 1e9)
        self._held: deque[tuple[int, bytes]] = deque()
        self._octets = 0
        self._lock = threading.Lock()

    def add(self, blocks: Sequence[tuple[int, bytes]]) -> None:
        """Frames in the order of their times: (nanoseconds since 1970, block)."""
        with self._lock:
            for time_ns, block in blocks:
                self._held.append((time_ns, block))
                self._octets += len(block)
                while self._limit_octets is not None and self._octets > self._limit_octets:
                    self._forget()
            if blocks:
                self._forget_before(blocks[-1][0])

    def blocks(self) -> list[bytes]:
        """What it holds now, the oldest first; by seconds, those that go back from now."""
        with self._lock:
            self._forget_before(time.time_ns())
            return [block for _, block in self._held]

    def _forget_before(self, now_ns: int) -> None:
        while self._limit_ns is not None and self._held and self._held[0][0] < now_ns - self._limit_ns:
            self._forget()

    def _forget(self) -> None:
        _, block = self._held.popleft()
        self._octets -= len(block)
        self.let_go += 1
