"""Paced streams of UDP packets by the C of csrc/streams.h: sent when, arrived when, carried by which link.

    with StreamEngine() as engine:
        here, there = engine.add_socket(udp_here), engine.add_socket(udp_there)
        link = engine.add_tap(tap_socket(packet_socket, "eth1", [(40000, 40000)]))
        probes = engine.add(Stream(here, ("10.50.1.4", 40000), every(1_000_000, octets=64)))
        engine.start()
        ...                                 # engine.counts(probes) at any time
        engine.stop()
        engine.wait(5)
        found = engine.packets(probes)      # columns; found.taps[n] >> link & 1: the link carried packet n

One engine is one thread, for all its streams and sockets, which runs without Python's lock: it sleeps until
the next packet is due, at an absolute time, so that streams do not drift. Sockets may live in any network
namespaces; where a packet of the engine arrives, by whatever socket of it, is where it counts.

Times are nanoseconds since 1970 of this machine's one clock, so a delay is one-way and true: from just before
the packet was given to the kernel until the kernel gave it to the receiving socket.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
from array import array
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import TracebackType
from typing import Any

from edge.errors import CapabilityError, EdgeError, KernelError
from edge.fastpath.portfilter import tap_socket
from edge.fastpath.streamplan import NS_PER_S, Packets, Pattern, Rtp, Slot, Stream, every

__all__ = [
    "Counts", "Packets", "Pattern", "Rtp", "Slot", "Stream", "StreamEngine", "Totals", "every", "tap_socket"
]  # fmt: skip

LINGER_S = 2.0
"""How long packets that have not arrived are waited for after the last was sent."""


@dataclass(frozen=True, slots=True)
class Counts:
    """A stream so far. received: without copies, which are duplicates.

    refused: the kernel did not take them (they count as sent, too), for the reason `refusal`, an errno.
    late_max_ns: how late the worst was sent, by this machine's fault. last_*_ns: 0 before the first.
    """

    sent: int
    received: int
    duplicates: int
    refused: int
    refusal: int
    late_max_ns: int
    last_sent_ns: int
    last_received_ns: int


@dataclass(frozen=True, slots=True)
class Totals:
    """strange: arrivals that are not of this engine.

    missed: what its sockets had no room for, which then counts as lost though the network carried it.
    taps_missed: the same of taps.
    """

    strange: int
    missed: int
    taps_missed: int


def load() -> Any:
    """The extension `_streams`. Raises CapabilityError when it is not built."""
    try:
        from edge.fastpath import _streams as module
    except ImportError as error:
        raise CapabilityError(
            f"the C extension edge.fastpath._streams is not built: {error}",
            "in a source tree: python3 setup.py build_ext --inplace (needs gcc and Python's headers)",
        ) from error
    return module


@dataclass(slots=True)
class _Run:
    """The engine's thread, and what it ended with.

    ended: set when nothing of the engine is used any more. Not `Thread.join`: Ctrl-C in the middle of one
    makes Python take a thread for ended that runs (bpo-45274), and what it uses must not be freed then.
    """

    thread: threading.Thread
    ended: threading.Event = field(default_factory=threading.Event)
    failed: list[int] = field(default_factory=list)


class StreamEngine:
    """One run of streams: add sockets, taps and streams, start, wait. Leaving its block ends it at once."""

    def __init__(self) -> None:
        """Raises CapabilityError when the extension is not built, KernelError when descriptors are out."""
        module = load()
        self._ffi, self._lib = module.ffi, module.lib
        self.token = int.from_bytes(os.urandom(4), "big")
        self._engine = self._lib.edge_streams_new(self.token)
        if not self._engine:
            raise _refused("the stream engine", self._ffi.errno)
        self._kept: list[socket.socket] = []
        self._run: _Run | None = None
        self._closed = False

    def __enter__(self) -> StreamEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything at once and let go of it. Sockets stay open: they are the caller's."""
        if self._closed:
            return
        if self._run is not None:
            self.stop(now=True)
            self._run.ended.wait()
            self._run.thread.join()
        self._closed = True
        self._lib.edge_streams_free(self._engine)
        self._kept.clear()

    def add_socket(self, sock: socket.socket) -> int:
        """A UDP socket by which streams leave and arrive; its place. Raises KernelError."""
        place: int = self._lib.edge_streams_socket(self._engine, sock.fileno())
        if place < 0:
            raise _refused("a socket of streams", -place)
        self._kept.append(sock)
        return place

    def add_tap(self, sock: socket.socket) -> int:
        """A packet socket on a link (see tap_socket); the number of its bit in Packets.taps. At most 64.

        Raises KernelError.
        """
        place: int = self._lib.edge_streams_tap(self._engine, sock.fileno())
        if place < 0:
            raise _refused("a tap", -place)
        self._kept.append(sock)
        return place

    def add(self, stream: Stream) -> int:
        """A stream; its number. Raises ValueError for one that cannot be: packets too short or too long
        (20 to 9,000 octets, 32 with RTP), times out of order, an engine that has begun."""
        ffi = self._ffi
        pattern = stream.pattern
        slots = ffi.new("struct edge_slot[]", len(pattern.slots))
        for slot, wanted in zip(slots, pattern.slots, strict=True):
            slot.at_ns, slot.octets = wanted.at_ns, wanted.octets
            slot.clock, slot.marker = wanted.clock & 0xFFFFFFFF, wanted.marker
        to = _sockaddr(*stream.to)
        wanted_stream = ffi.new("struct edge_stream *")
        wanted_stream.socket = stream.socket
        wanted_stream.to_octets = len(to)
        ffi.memmove(wanted_stream.to, to, len(to))
        wanted_stream.slots, wanted_stream.slot = len(pattern.slots), slots
        wanted_stream.period_ns, wanted_stream.begin_ns = pattern.period_ns, stream.begin_ns
        wanted_stream.packets = stream.packets
        wanted_stream.clock_period = pattern.clock & 0xFFFFFFFF
        if stream.rtp is not None:
            wanted_stream.rtp, wanted_stream.payload_type = 1, stream.rtp.payload_type
            wanted_stream.ssrc, wanted_stream.sequence = stream.rtp.ssrc, stream.rtp.sequence
            wanted_stream.clock = stream.rtp.clock
        number: int = self._lib.edge_streams_add(self._engine, wanted_stream)
        if number == -errno.EINVAL:
            raise ValueError(f"no stream can be like that, or the engine has begun: {stream}")
        if number < 0:
            raise _refused("a stream", -number)
        return number

    def start(self, linger_s: float = LINGER_S, begin_ns: int = 0) -> None:
        """Begin, in a thread of its own. linger_s: see LINGER_S. begin_ns: CLOCK_MONOTONIC; 0 is in a moment.

        Raises ValueError the second time.
        """
        if self._run is not None or self._closed:
            raise ValueError("an engine runs once")
        run = _Run(
            threading.Thread(target=self._serve, args=(linger_s, begin_ns), name="streams", daemon=True)
        )
        self._run = run
        try:
            run.thread.start()
        except RuntimeError as error:
            self._run = None
            raise EdgeError(f"no thread for the stream engine: {error}") from error

    def _serve(self, linger_s: float, begin_ns: int) -> None:
        assert self._run is not None
        try:
            failed = self._lib.edge_streams_run(self._engine, begin_ns, int(linger_s * NS_PER_S))
            if failed:
                self._run.failed.append(failed)
        finally:
            self._run.ended.set()

    def stop(self, now: bool = False) -> None:
        """Send no more. now: nor wait for what is on its way. Any thread may call it, at any time."""
        if not self._closed:
            self._lib.edge_streams_stop(self._engine, now)

    def wait(self, seconds: float | None = None) -> bool:
        """Until all is sent and has arrived or was waited for, or `seconds` have passed: has it ended?

        Raises EdgeError when the engine broke off.
        """
        if self._run is None:
            raise ValueError("the engine was not started")
        ended = self._run.ended.wait(seconds)
        if self._run.failed:
            raise EdgeError(f"the stream engine broke off: {os.strerror(self._run.failed[0])}")
        return ended

    def counts(self, stream: int) -> Counts:
        """Of a stream, also while it runs. Raises IndexError when there is none of that number."""
        counts = self._ffi.new("struct edge_stream_counts *")
        if self._closed or self._lib.edge_streams_counted(self._engine, stream, counts):
            raise IndexError(f"no stream {stream}")
        return Counts(
            sent=counts.sent,
            received=counts.received,
            duplicates=counts.duplicates,
            refused=counts.refused,
            refusal=counts.refusal,
            late_max_ns=counts.late_max_ns,
            last_sent_ns=counts.last_sent_ns,
            last_received_ns=counts.last_received_ns,
        )

    def total(self) -> Totals:
        """Of all streams, also while they run."""
        totals = self._ffi.new("struct edge_streams_counts *")
        if not self._closed:
            self._lib.edge_streams_total(self._engine, totals)
        return Totals(totals.strange, totals.missed, totals.taps_missed)

    def packets(self, stream: int, first: int = 0, count: int | None = None) -> Packets:
        """Packets of a stream from number `first` on, `count` at most, also while it runs.

        Those sent last may still be on their way then. Raises IndexError when there is no such stream.
        """
        room = max(0, self.counts(stream).sent - first)
        room = room if count is None else min(room, count)
        wide = [array("Q", bytes(8 * room)) for _ in range(3)]
        order, traffic_class = array("I", bytes(4 * room)), bytearray(room)
        if room:
            sent, received, taps = (self._ffi.from_buffer("uint64_t[]", column) for column in wide)
            self._lib.edge_streams_read(
                self._engine,
                stream,
                first,
                room,
                sent,
                received,
                self._ffi.from_buffer("uint32_t[]", order),
                self._ffi.from_buffer("uint8_t[]", traffic_class),
                taps,
            )
        return Packets(first, wide[0], wide[1], order, bytes(traffic_class), wide[2])


def _refused(what: str, number: int) -> EdgeError:
    return KernelError(what, number, os.strerror(number))


def _sockaddr(address: str, port: int) -> bytes:
    """struct sockaddr_in or sockaddr_in6. Raises ValueError for what is no address."""
    found = ip_address(address)
    front = port.to_bytes(2, "big")
    if found.version == 4:
        return socket.AF_INET.to_bytes(2, sys.byteorder) + front + found.packed + bytes(8)
    return socket.AF_INET6.to_bytes(2, sys.byteorder) + front + bytes(4) + found.packed + bytes(4)
