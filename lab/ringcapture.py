"""The last frames of some places, kept in memory while something else goes on, written when it went wrong.

    with RingCapture(client, resolve_all(client.model, ["ams"]), octets=16_000_000) as ring:
        ...                                # inject a fault, run checks
        ring.write(Path("evidence/ams.pcapng"))

A thread of its own reads the sockets; `write` may be called any number of times and gives each time what
there is at that moment, up to frames that passed just before.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from edge.errors import EdgeError
from lab.access import LabAccess
from lab.capture import MAX_SNAPLEN, FrameSource
from lab.captureorder import OrderedSource
from lab.captureplaces import Wanted
from lab.capturesink import Ring, replace_file
from lab.recording import CaptureSummary, block_of, epilogue, preamble
from lab.sifting import Sifting

CATCH_UP_S = 10.0
"""How long `write` waits for the thread to read what had come: it is at work with nothing else."""


class RingCapture:
    """Listens from the moment it is made until `close`, or the end of a `with` block.

    octets, seconds: how much is kept at most. snaplen: of each frame. verdict, expression: see
    lab.sifting.Sifting. Raises EdgeError or OSError when it cannot listen, ValueError without a limit.
    """

    def __init__(
        self,
        access: LabAccess,
        wanted: Sequence[Wanted],
        *,
        octets: int | None = 16_000_000,
        seconds: float | None = None,
        snaplen: int = MAX_SNAPLEN,
        verdict: bool = False,
        expression: str = "",
    ) -> None:
        self._places = tuple(item.place for item in wanted)
        self._snaplen = snaplen
        self._ring = Ring(octets, seconds)
        self._sift = Sifting(access.model, wanted, verdict=verdict, expression=expression)
        self._source = FrameSource(access, self._places)
        self._ordered = OrderedSource(self._source)
        self._caught_up = threading.Condition()
        self._asked = self._answered = 0
        # Which of those asked is to be answered next, and when it was taken up.
        self._question: tuple[int, int] | None = None
        self._error: Exception | None = None
        self._closing = False
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="ring capture", daemon=True)
        self._thread.start()

    def __enter__(self) -> RingCapture:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and forget what was kept. May be called again."""
        with self._caught_up:
            if self._closing:
                return
            self._closing = True
        os.eventfd_write(self._wake_fd, 1)
        self._thread.join()
        self._source.__exit__()
        os.close(self._wake_fd)

    def write(self, path: Path) -> CaptureSummary:
        """What is kept now as a pcapng file. Raises OSError when it cannot be written, which leaves a former
        file as it was; EdgeError when the capture itself broke."""
        with self._caught_up:
            self._asked += 1
            wanted = self._asked
            os.eventfd_write(self._wake_fd, 1)
            done = self._caught_up.wait_for(lambda: self._answered >= wanted or self._error, CATCH_UP_S)
            if self._error is not None:
                raise EdgeError(f"the capture broke off: {self._error}") from self._error
            blocks, let_go = self._ring.blocks(), self._ring.let_go
            self._source.count_drops()
            ended = "written while it went on" if done else "written late: the machine is too busy"
            head = preamble(self._places, self._snaplen, self._sift)
            replace_file(path, b"".join((head, *blocks, epilogue(self._source, let_go))))
            drops, vanished = self._source.drops_by_place(), self._source.vanished()
        return CaptureSummary(
            len(blocks), sum(drops.values()), ended, drops, let_go=let_go, vanished=vanished
        )

    def _run(self) -> None:
        try:
            while not self._closing:
                self._turn()
        except Exception as error:  # noqa: BLE001 - told to whoever asks for the file
            with self._caught_up:
                self._error = error
                self._caught_up.notify_all()

    def _turn(self) -> None:
        """Read what comes; answer who asked, once all is in the ring that had come before the question."""
        if self._question is None and self._asked > self._answered:
            self._question = (self._asked, time.time_ns())
        question = self._question
        at_once = question is not None and self._ordered.gave(question[1])
        if self._ordered.wait({self._wake_fd: select.POLLIN}, 0.0 if at_once else None):
            os.eventfd_read(self._wake_fd)
        kept = self._sift(self._ordered.read())
        self._ring.add([(frame.time_ns, block_of(frame, self._snaplen, words)) for frame, words in kept])
        if question is not None and self._ordered.gave(question[1]):
            with self._caught_up:
                self._question, self._answered = None, question[0]
                self._caught_up.notify_all()
