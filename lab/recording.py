"""Captured frames into pcapng: to a file, to a pipe as they come, or into a ring that keeps the last ones.

A capture ends between two frames, whatever ends it, and its file is whole then: descriptions of the places
first, the frames, and statistics at the end, which tell what the kernel dropped at each place.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

import edge
from lab import pcapng
from lab.access import LabAccess
from lab.capture import MAX_SNAPLEN, Frame, FrameSource
from lab.captureorder import OrderedSource
from lab.capturesink import Ring, StreamSink
from lab.places import Place


class Sift(Protocol):
    """What is kept of the frames, and what is said of each."""

    def __call__(self, frames: Sequence[Frame]) -> list[tuple[Frame, str]]:
        """The frames kept, in their order, each with a comment, empty for none."""

    def kept(self, place: int) -> str:
        """Which frames of a place are kept, in words; empty for all."""

    def about(self, place: int) -> str:
        """What the place is, in words."""


class Everything:
    """Keeps all and says nothing."""

    def __call__(self, frames: Sequence[Frame]) -> list[tuple[Frame, str]]:
        """All of them."""
        return [(frame, "") for frame in frames]

    def kept(self, place: int) -> str:
        """No words: all are kept."""
        return ""

    def about(self, place: int) -> str:
        """Nothing beyond its name."""
        return ""


@dataclass(frozen=True, slots=True)
class CaptureSummary:
    """What a capture came to.

    frames: written. dropped: of all that passed, those that the kernel had no room to keep for us; by place
    in dropped_at, where there were any. ended: why. failed: why the rest could not be written, empty when it
    could; unwritten: how many frames that were by then. let_go: frames that a ring no longer had room for.
    vanished: devices that were deleted meanwhile, and whether each came back.
    """

    frames: int
    dropped: int
    ended: str
    dropped_at: dict[str, int] = field(default_factory=dict)
    failed: str = ""
    let_go: int = 0
    vanished: dict[str, bool] = field(default_factory=dict)
    unwritten: int = 0


@contextmanager
def interrupts(numbers: Sequence[int] = (signal.SIGINT, signal.SIGTERM)) -> Iterator[int]:
    """A descriptor that becomes readable at these signals, instead of their usual effect.

    A capture then ends between two frames with a complete file. Main thread only.
    """
    fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def note(*_: object) -> None:
        os.eventfd_write(fd, 1)

    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield fd
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(fd)


def record(
    access: LabAccess,
    places: Sequence[Place],
    stream: BinaryIO | Callable[[float | None], BinaryIO],
    *,
    count: int | None = None,
    duration_s: float | None = None,
    snaplen: int = MAX_SNAPLEN,
    sift: Sift | None = None,
    ring: Ring | None = None,
    stop_fds: Sequence[int] = (),
    on_ready: Callable[[], None] | None = None,
) -> CaptureSummary:
    """Write what passes `places` to `stream` as pcapng until something ends it.

    Ends after `count` frames, after `duration_s` seconds, when one of `stop_fds` becomes readable or
    hangs up, when the reader of a pipe goes away, when the disk is full, or when the last device is deleted.
    With a ring nothing is written before that. A function as `stream` is called once all places are listened
    to, so that what cannot begin empties no file, with the time at which the capture is over (of
    time.monotonic; None for open end); whoever gives it closes what it opened. on_ready is called once
    there is something to write to. Raises EdgeError or OSError when it cannot begin.
    """
    chosen = sift or Everything()
    # A filter and a verdict want to see more of a frame than may be kept of it.
    seen_octets = snaplen if sift is None else MAX_SNAPLEN
    with FrameSource(access, places, min(seen_octets, MAX_SNAPLEN)) as source:
        end = None if duration_s is None else time.monotonic() + duration_s
        sink = StreamSink(stream(end) if callable(stream) else stream, stop_fds, end)
        writer = _Writer(sink, preamble(places, snaplen, chosen), chosen, snaplen, count, ring)
        if on_ready:
            on_ready()
        ordered, ended = OrderedSource(source), writer.ended
        while not ended:
            ended = _wait(ordered, sink, stop_fds, end)
            writer.add(ordered.read())
            # Once the sink has failed, what had come by then could not be written either.
            for frames in ordered.rest() if ended or sink.failed else ():
                writer.add(frames)
            ended = writer.ended or ended or ("" if source.alive else "the device is gone")
        source.count_drops()
        let_go = writer.finish(source)
        return CaptureSummary(
            writer.written,
            sum(source.dropped),
            ended,
            source.drops_by_place(),
            sink.failed,
            let_go,
            source.vanished(),
            writer.unwritten,
        )


class _Writer:
    """Frames as blocks into the sink, or into a ring and from there into the sink at the end.

    written, unwritten: frames that were written, and that should have been.
    """

    def __init__(
        self, sink: StreamSink, head: bytes, sift: Sift, snaplen: int, count: int | None, ring: Ring | None
    ) -> None:
        self.written = self.unwritten = 0
        self._sink = sink
        self._head = head
        self._sift = sift
        self._snaplen = snaplen
        self._count = count
        self._ring = ring
        if ring is None:
            sink.write([head])

    @property
    def ended(self) -> str:
        """Why no more frames are wanted; empty when they are."""
        if self._sink.failed or self._sink.closed_by_reader:
            return self._sink.failed or "the reader closed the pipe"
        if self._count is not None and self.written >= self._count:
            return f"{self._count} frames"
        return ""

    def add(self, frames: Sequence[Frame]) -> None:
        """Take what is kept of them, and no more than are wanted."""
        kept = self._sift(frames)
        if self._count is not None:
            kept = kept[: self._count - self.written - self.unwritten]
        blocks = [(frame.time_ns, block_of(frame, self._snaplen, words)) for frame, words in kept]
        if self._ring is None:
            self._note(len(blocks), self._sink.write([block for _, block in blocks]))
        else:
            self._ring.add(blocks)
            self.written += len(blocks)

    def finish(self, source: FrameSource) -> int:
        """Write what a ring holds, and the statistics; how many frames the ring let go."""
        let_go = 0
        if self._ring is not None:
            held, let_go = self._ring.blocks(), self._ring.let_go
            self.written = 0
            self._note(len(held), max(0, self._sink.write([self._head, *held]) - 1))
        self._sink.write([epilogue(source, let_go)])
        return let_go

    def _note(self, given: int, written: int) -> None:
        self.written += written
        if self._sink.failed:
            self.unwritten += given - written


def _wait(ordered: OrderedSource, sink: StreamSink, stop_fds: Sequence[int], end: float | None) -> str:
    """Until there is something to do; why the capture ends now (empty when it goes on)."""
    # No events asked of the sink: poll then reports only that the reader of a pipe has gone.
    others = {**dict.fromkeys(stop_fds, select.POLLIN), sink.fd: 0}
    found = ordered.wait(others, None if end is None else max(0.0, end - time.monotonic()))
    if not found.isdisjoint(stop_fds):
        return "interrupted"
    if sink.fd in found:
        return "the reader closed the pipe"
    if end is not None and time.monotonic() >= end:
        return "the time is over"
    return ""


def preamble(places: Sequence[Place], snaplen: int, sift: Sift) -> bytes:
    """What stands before all frames."""
    system = " ".join(os.uname()[i] for i in (0, 2, 4))
    blocks = [pcapng.section_header(f"edgelab {edge.__version__}", system)]
    blocks += [
        pcapng.interface(str(place.at), place.label, snaplen, sift.about(number), sift.kept(number))
        for number, place in enumerate(places)
    ]
    return b"".join(blocks)


def block_of(frame: Frame, snaplen: int, comment: str) -> bytes:
    """A frame as a block."""
    data = frame.data[:snaplen]
    return pcapng.packet(frame.place, frame.time_ns, data, frame.length, frame.direction, comment)


def epilogue(source: FrameSource, let_go: int = 0) -> bytes:
    """What stands behind all frames: the statistics of each place."""
    end_ns = time.time_ns()
    return b"".join(
        pcapng.statistics(
            number,
            start_ns=source.started_ns,
            end_ns=end_ns,
            received=source.received[number] + source.dropped[number],
            dropped=source.dropped[number],
            comment="; ".join(_remarks(source, number, let_go)),
        )
        for number in range(len(source.places))
    )


def _remarks(source: FrameSource, number: int, let_go: int) -> Iterator[str]:
    if source.partial[number]:
        partial = source.partial[number]
        yield f"{partial} frames were seen before their checksums were completed (offload)"
    if source.absences[number]:
        times = "" if source.absences[number] == 1 else f" {source.absences[number]} times"
        yield f"{source.places[number].at} vanished{times}"
    if let_go:
        yield f"only the last frames were kept: {let_go} older ones of all places were let go"
