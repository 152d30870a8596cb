"""Every frame of a link, tags included, into a pcapng file or pipe.

Packet sockets hand over the outer VLAN tag beside the frame (PACKET_AUXDATA), because the kernel takes
it out on the way in; it is put back here, so that the written bytes are those of the wire. Both
directions are seen: outgoing frames after the tag plane, incoming ones before it.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import edge
from edge.fastpath.frames import AUXDATA_OCTETS, PACKET_AUXDATA, SOL_PACKET, parse_auxdata, restore_tag
from lab import pcapng
from lab.access import LabAccess
from lab.places import Place
from lab.sockets import TIMESTAMP_SPACE, enable_timestamps, timestamp_ns

ETH_P_ALL = 0x0003
PACKET_STATISTICS = 6
PACKET_OUTGOING = 4
RTMGRP_LINK = 1

MAX_SNAPLEN = 262144
RECEIVE_BUFFER_OCTETS = 8 * 1024 * 1024
_BATCH = 256
"""Frames taken from one socket before the others get their turn."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it was on the wire.

    place: index of the place it was seen at. length: octets on the wire; data may be cut to the snap
    length. partial_checksum: the sender left checksums to a network card that does not exist.
    """

    place: int
    time_ns: int
    data: bytes
    length: int
    direction: pcapng.Direction
    partial_checksum: bool = False


@dataclass(frozen=True, slots=True)
class CaptureSummary:
    """What a capture came to: frames written, frames the kernel dropped for lack of room, why it ended."""

    frames: int
    dropped: int
    ended: str


class FrameSource:
    """Open packet sockets on places; an iterator of what passes them."""

    def __init__(self, access: LabAccess, places: Sequence[Place], snaplen: int = MAX_SNAPLEN) -> None:
        """Raises EdgeError when a namespace cannot be entered, OSError when a device does not exist."""
        self.places = tuple(places)
        self.snaplen = snaplen
        self.received = [0] * len(places)
        self.dropped = [0] * len(places)
        self.partial = [0] * len(places)
        self.started_ns = time.time_ns()
        self._stack = ExitStack()
        self._sockets: dict[int, tuple[int, socket.socket]] = {}
        self._watches: dict[int, socket.socket] = {}
        with ExitStack() as undo:
            for namespace in dict.fromkeys(place.at.namespace for place in self.places):
                watch = undo.enter_context(_watch_links(access, namespace))
                self._watches[watch.fileno()] = watch
            for number, place in enumerate(self.places):
                sock = undo.enter_context(_open(access, place))
                self._sockets[sock.fileno()] = (number, sock)
            self._stack = undo.pop_all()

    def __enter__(self) -> FrameSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def alive(self) -> bool:
        """Whether any of the devices still exists."""
        return bool(self._sockets)

    def fds(self) -> list[int]:
        """Descriptors to poll for input."""
        return [*self._sockets, *self._watches]

    def read(self, ready: Sequence[int]) -> list[Frame]:
        """The frames that wait in the sockets `ready`, in the order of their times."""
        frames: list[Frame] = []
        for fd in ready:
            if fd in self._sockets:
                frames.extend(self._drain(fd))
            elif fd in self._watches:
                self._forget_deleted(self._watches[fd])
        frames.sort(key=lambda frame: frame.time_ns)
        return frames

    def _forget_deleted(self, watch: socket.socket) -> None:
        """Links changed in a namespace: drop the sockets whose device exists no more.

        A packet socket by itself tells that its device went down, but not that it was deleted then.
        """
        drained = False
        while not drained:
            try:
                watch.recv(65535)
            except BlockingIOError:
                drained = True
            except OSError as error:
                # Messages were lost for lack of room; what we do next does not depend on them.
                if error.errno != errno.ENOBUFS:
                    raise
        self._sockets = {
            fd: (number, sock) for fd, (number, sock) in self._sockets.items() if sock.getsockname()[0]
        }

    def _drain(self, fd: int) -> Iterator[Frame]:
        number, sock = self._sockets[fd]
        space = socket.CMSG_SPACE(AUXDATA_OCTETS) + TIMESTAMP_SPACE
        for _ in range(_BATCH):
            try:
                data, ancillary, _, address = sock.recvmsg(self.snaplen, space)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise
                return  # the link went down and may come back
            yield self._frame(number, data, ancillary, address[2])

    def _frame(
        self, number: int, data: bytes, ancillary: list[tuple[int, int, bytes]], packet_type: int
    ) -> Frame:
        aux = None
        for level, kind, value in ancillary:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                aux = parse_auxdata(value)
        whole = restore_tag(data, aux.tag) if aux else data
        length = aux.length if aux else len(data)
        partial = aux is not None and aux.partial_checksum
        self.received[number] += 1
        self.partial[number] += partial
        return Frame(
            place=number,
            time_ns=timestamp_ns(ancillary),
            data=whole[: self.snaplen],
            length=length + len(whole) - len(data),
            direction="outbound" if packet_type == PACKET_OUTGOING else "inbound",
            partial_checksum=partial,
        )

    def count_drops(self) -> None:
        """Add what the kernel dropped since the last call to `dropped`."""
        for number, sock in self._sockets.values():
            _, drops = struct.unpack("=II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
            self.dropped[number] += drops


def _watch_links(access: LabAccess, namespace: str) -> socket.socket:
    """A non-blocking socket that gets a message whenever a link of the namespace changes."""
    sock = access.socket(namespace, socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    try:
        sock.setblocking(False)
        sock.bind((0, RTMGRP_LINK))
    except OSError:
        sock.close()
        raise
    return sock


def _open(access: LabAccess, place: Place) -> socket.socket:
    # Protocol 0: nothing arrives before the socket is bound to its device.
    sock = access.socket(place.at.namespace, socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        sock.setblocking(False)
        enable_timestamps(sock)
        sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_OCTETS)
        sock.bind((place.at.device, ETH_P_ALL))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {place.at}: {error.strerror}") from error
    return sock


@contextmanager
def interrupts() -> Iterator[int]:
    """A descriptor that becomes readable at SIGINT or SIGTERM, instead of their usual effect.

    A capture then ends between two frames with a complete file. Main thread only.
    """
    fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def note(*_: object) -> None:
        os.eventfd_write(fd, 1)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield fd
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(fd)


class _Output:
    """A pcapng stream to a file or pipe whose reader may go away at any moment."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.fd = stream.fileno()
        self.closed_by_reader = False

    def write(self, blocks: bytes) -> None:
        try:
            self._stream.write(blocks)
            self._stream.flush()
        except BrokenPipeError:
            self.closed_by_reader = True


def record(
    access: LabAccess,
    places: Sequence[Place],
    stream: BinaryIO,
    *,
    count: int | None = None,
    duration_s: float | None = None,
    snaplen: int = MAX_SNAPLEN,
    stop_fds: Sequence[int] = (),
    on_ready: Callable[[], None] | None = None,
) -> CaptureSummary:
    """Write what passes `places` to `stream` as pcapng until something ends it.

    Ends after `count` frames, after `duration_s` seconds, when one of `stop_fds` becomes readable or
    hangs up, when the reader of a pipe goes away, or when the last device is deleted. on_ready is
    called once listening has begun. Raises EdgeError or OSError when it cannot begin.
    """
    end = None if duration_s is None else time.monotonic() + duration_s
    with FrameSource(access, places, min(snaplen, MAX_SNAPLEN)) as source:
        output = _Output(stream)
        output.write(_preamble(places, snaplen))
        if on_ready:
            on_ready()
        written = 0
        ended = ""
        while not ended:
            ready, ended = _wait(source, output, stop_fds, end)
            frames = source.read(ready)
            if count is not None:
                frames = frames[: count - written]
            output.write(b"".join(_packet(frame) for frame in frames))
            written += len(frames)
            if output.closed_by_reader:
                ended = "the reader closed the pipe"
            elif count is not None and written >= count:
                ended = f"{count} frames"
            elif not source.alive:
                ended = "the device is gone"
        source.count_drops()
        output.write(_epilogue(source))
        return CaptureSummary(written, sum(source.dropped), ended)


def _wait(
    source: FrameSource, output: _Output, stop_fds: Sequence[int], end: float | None
) -> tuple[list[int], str]:
    """Descriptors with frames, and why the capture ends now (empty when it goes on)."""
    poller = select.poll()
    for fd in (*source.fds(), *stop_fds):
        poller.register(fd, select.POLLIN)
    # No events asked: poll then reports only that the reader of a pipe has gone.
    poller.register(output.fd, 0)
    left = None if end is None else max(0.0, end - time.monotonic())
    events = poller.poll(None if left is None else -int(-left * 1000 // 1))
    ready = [fd for fd, _ in events if fd not in stop_fds and fd != output.fd]
    if any(fd in stop_fds for fd, _ in events):
        return ready, "interrupted"
    if any(fd == output.fd for fd, _ in events):
        return ready, "the reader closed the pipe"
    if end is not None and time.monotonic() >= end:
        return ready, "the time is over"
    return ready, ""


def _preamble(places: Sequence[Place], snaplen: int) -> bytes:
    system = " ".join(os.uname()[i] for i in (0, 2, 4))
    blocks = [pcapng.section_header(f"edgelab {edge.__version__}", system)]
    blocks += [pcapng.interface(str(place.at), place.label, snaplen) for place in places]
    return b"".join(blocks)


def _packet(frame: Frame) -> bytes:
    return pcapng.packet(frame.place, frame.time_ns, frame.data, frame.length, frame.direction)


def _epilogue(source: FrameSource) -> bytes:
    end_ns = time.time_ns()
    return b"".join(
        pcapng.statistics(
            number,
            start_ns=source.started_ns,
            end_ns=end_ns,
            received=source.received[number] + source.dropped[number],
            dropped=source.dropped[number],
            comment=(
                f"{source.partial[number]} frames were seen before their checksums were completed (offload)"
                if source.partial[number]
                else ""
            ),
        )
        for number in range(len(source.places))
    )
