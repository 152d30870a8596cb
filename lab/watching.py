"""Recording frames while a block of a program runs: lab.capture in a thread, and what it wrote read back."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edge.errors import EdgeError
from lab.access import LabAccess
from lab.places import Place, resolve_where
from lab.recording import CaptureSummary, record

if TYPE_CHECKING:
    from lab.frames import FrameSummary

_ENHANCED_PACKET = 6
_BLOCK_HEAD = struct.Struct("=II")
_PACKET_HEAD = struct.Struct("=IIIII")

READY_DEADLINE_S = 30.0
"""How long it may take until somebody listens."""


@dataclass(frozen=True)
class SeenFrame:
    """A frame as it was on the wire. place: where it was seen; time_ns: since 1970; data: tags included."""

    place: Place
    time_ns: int
    data: bytes

    @cached_property
    def summary(self) -> FrameSummary:
        """Its tags, and which protocol it carries."""
        from lab.frames import summarize

        return summarize(self.data)

    @property
    def vids(self) -> tuple[int, ...]:
        """VLAN ids, outermost first."""
        return self.summary.vids

    @property
    def protocol(self) -> str:
        """arp, bgp, bfd, icmp, icmp6 or other."""
        return self.summary.protocol


class Recording:
    """What is being recorded. places: where. frames and summary are there when the recording has ended."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = tuple(places)
        self._summary: CaptureSummary | None = None
        self._frames: tuple[SeenFrame, ...] = ()

    def ended(self, summary: CaptureSummary, pcapng: bytes) -> None:
        """Take what came of it."""
        self._summary = summary
        self._frames = tuple(frames_in(pcapng, self.places))

    @property
    def summary(self) -> CaptureSummary:
        """How many frames were written and lost, and why it ended. Raises EdgeError while it runs."""
        if self._summary is None:
            raise EdgeError("the recording still runs; look at it after its block")
        return self._summary

    @property
    def frames(self) -> tuple[SeenFrame, ...]:
        """The frames, in the order of their times. Raises EdgeError while it runs."""
        return self._frames if self.summary else ()


def frames_in(pcapng: bytes, places: Sequence[Place]) -> Iterator[SeenFrame]:
    """The frames of a file that lab.capture wrote on this machine, its interfaces being `places`. Pure."""
    offset = 0
    while offset + _BLOCK_HEAD.size <= len(pcapng):
        kind, length = _BLOCK_HEAD.unpack_from(pcapng, offset)
        if kind == _ENHANCED_PACKET:
            number, high, low, captured, _ = _PACKET_HEAD.unpack_from(pcapng, offset + _BLOCK_HEAD.size)
            begin = offset + _BLOCK_HEAD.size + _PACKET_HEAD.size
            yield SeenFrame(places[number], high << 32 | low, pcapng[begin : begin + captured])
        offset += length


@contextlib.contextmanager
def record_while(access: LabAccess, where: str, path: str | os.PathLike[str] | None) -> Iterator[Recording]:
    """Record what passes `where` (lab.places) while the block runs; see lab.api.Lab.capture.

    Raises UsageError for a place that is not there, EdgeError or OSError when it cannot be listened to.
    """
    places = resolve_where(access.model, where)
    recording = Recording(places)
    ready = threading.Event()
    problems: list[BaseException] = []
    with contextlib.ExitStack() as stack:
        stop = os.eventfd(0, os.EFD_CLOEXEC)
        streams: list[BinaryIO] = []
        summaries: list[CaptureSummary] = []

        def opened(_end: float | None) -> BinaryIO:
            # Not before all places can be listened to: a file that was there is emptied by it.
            streams.append(stack.enter_context(_stream(path)))
            return streams[0]

        def work() -> None:
            try:
                summaries.append(record(access, places, opened, stop_fds=(stop,), on_ready=ready.set))
            except Exception as error:  # noqa: BLE001 - it is raised where the block ends
                problems.append(error)
            finally:
                ready.set()

        thread = threading.Thread(target=work, name=f"capture {where}", daemon=True)
        thread.start()
        try:
            if not ready.wait(READY_DEADLINE_S):
                raise EdgeError(f"nobody listens at {where} after {READY_DEADLINE_S:g} s")
            if not problems:
                yield recording
        finally:
            os.eventfd_write(stop, 1)
            thread.join()
            os.close(stop)
        if problems:
            raise problems[0]
        streams[0].seek(0)
        recording.ended(summaries[0], streams[0].read())
        if summaries[0].failed:
            raise EdgeError(f"{path or where}: {summaries[0].failed}")


def _stream(path: str | os.PathLike[str] | None) -> BinaryIO:
    if path is None:
        return os.fdopen(os.memfd_create("capture", os.MFD_CLOEXEC), "w+b")
    return Path(path).open("w+b")
