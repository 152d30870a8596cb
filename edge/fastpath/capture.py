"""Capture files read and marked by the C of csrc/capture.c and csrc/pcap.c: pcap and pcapng of any size.

A file goes through one window that stays in the processor's cache: read, mark in place, write. So marking
costs about what copying costs (facts: fastpath section 4), memory does not grow with the file, and files
and pipes are read alike. The copy differs from its source in the octets of DSCP and IPv4 checksum only;
blocks and link types that hold nothing to mark pass as they are. Checksums of whole frames (an FCS that some
cards deliver, the hash option of pcapng) are not computed anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from edge.errors import CapabilityError, InputError, Problem

POLICY_SIZE = 0x80000
"""Octets of a table in memory (EDGE_POLICY_SIZE of csrc/policy.h)."""

READ_OCTETS = 512 * 1024
"""One read: stays in a second cache of today, and makes system calls and turns of Python rare."""

_PAGE = 4096
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4", b"\xfd7zX": "xz"}

STANDARD_INPUT = "standard input"
"""The name of a source that has none, in messages."""

Kind = Literal["ethernet", "ip", "other"]
"""What a packet begins with: its destination MAC address, its IP header, or something that is not read."""

ProgressCallback = Callable[[int], None]
"""Told after each window how many octets of the source are done."""

ReadInto = Callable[[memoryview], int]
"""Fills the front of a buffer; how many octets, 0 at the end of the file."""


@dataclass(frozen=True, slots=True)
class Count:
    """packets; octets as they had on the wire, by the file's word; changed: left with another DSCP."""

    packets: int = 0
    octets: int = 0
    changed: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.packets + other.packets, self.octets + other.octets, self.changed + other.changed)


@dataclass(frozen=True, slots=True)
class CaptureCounts:
    """What was in a capture. rules: by index into Policy.rules.

    unmatched: IP that no rule took. not_ip: frames without a whole IP header. other: packets of link types
    that are not read, which passed as they were. format: `pcap` or `pcapng`.
    """

    format: str
    rules: tuple[Count, ...]
    unmatched: Count
    not_ip: Count
    other: Count

    @property
    def total(self) -> Count:
        """Everything together."""
        return sum(self.rules, self.unmatched + self.not_ip + self.other)


@dataclass(frozen=True, slots=True)
class CapturedPacket:
    """A packet as the file holds it. number counts from 1, as Wireshark does.

    data: from where `kind` says; may be less than the `wire` octets that it had.
    """

    number: int
    kind: Kind
    data: bytes
    wire: int


def load() -> Any:
    """The extension `_pcap`. Raises CapabilityError when it is not built."""
    try:
        from edge.fastpath import _pcap as module
    except ImportError as error:
        raise CapabilityError(
            f"the C extension edge.fastpath._pcap is not built: {error}",
            "in a source tree: python3 setup.py build_ext --inplace (needs gcc and Python's headers)",
        ) from error
    return module


class _Window:
    """The window of csrc/capture.h. What a step left over lies before the place where reading goes on, which
    stays aligned to a page.
    """

    def __init__(self, native: Any) -> None:
        self._front = -(-native.lib.EDGE_CAPTURE_WINDOW // _PAGE) * _PAGE
        size = self._front + READ_OCTETS
        # ffi.new would clear it and keep it off a page's start; from_buffer keeps `_memory` alive.
        self._memory = bytearray(size + _PAGE)
        address = int(native.ffi.cast("uintptr_t", native.ffi.from_buffer(self._memory)))
        shift = -address % _PAGE
        self.view = memoryview(self._memory)[shift : shift + size]
        self.octets = native.ffi.from_buffer("uint8_t[]", self.view, require_writable=True)
        self.begin: int = self._front
        self.end: int = self._front

    def fill(self, read_into: ReadInto) -> bool:
        """Read on; False at the end of the file."""
        got = read_into(self.view[self._front :])
        self.end = self._front + got
        return got > 0

    def drop(self, consumed: int) -> None:
        """Keep only what the step did not consume, before the place where reading goes on."""
        left = self.end - self.begin - consumed
        self.view[self._front - left : self._front] = self.view[self.end - left : self.end]
        self.begin, self.end = self._front - left, self._front

    @property
    def left(self) -> int:
        """Octets that are not consumed."""
        return self.end - self.begin


def mark_stream(
    read_into: ReadInto,
    write: Callable[[memoryview], None],
    table: bytes,
    rules: int,
    name: str,
    progress: ProgressCallback | None = None,
) -> CaptureCounts:
    """Mark a capture on its way from `read_into` to `write`.

    table: of edge.qos.table.compile_policy; rules: of the policy. name: of the source, for messages.
    Raises InputError when the capture is broken; what was written by then is of no use.
    """
    native = load()
    ffi, lib = native.ffi, native.lib
    state = ffi.new("struct edge_capture *")
    counts = ffi.new("struct edge_pcap_counts *")
    consumed = ffi.new("uint64_t *")
    # Whole and aligned, as csrc/policy.h demands.
    policy = ffi.new("uint64_t[]", POLICY_SIZE // 8)
    ffi.memmove(policy, table, len(table))
    window = _Window(native)
    lib.edge_capture_begin(state)
    while window.fill(read_into):
        status = lib.edge_pcap_mark(
            state, policy, window.octets + window.begin, window.left, counts, consumed
        )
        _check(lib, status, state, window, name)
        write(window.view[window.begin : window.begin + consumed[0]])
        window.drop(consumed[0])
        if progress is not None:
            progress(state.offset)
    _check(lib, lib.edge_capture_end(state, window.left), state, window, name)
    return CaptureCounts(
        "pcap" if state.format == 1 else "pcapng",
        tuple(_count(counts.rules[index]) for index in range(rules)),
        _count(counts.unmatched),
        _count(counts.not_ip),
        _count(counts.other),
    )


def read_packets(read_into: ReadInto, name: str) -> Iterator[CapturedPacket]:
    """The packets of a capture one by one: for looking at some, not for marking many.

    At most EDGE_CAPTURE_HEAD octets of each. Raises InputError when the capture is broken, after the
    packets before.
    """
    native = load()
    ffi, lib = native.ffi, native.lib
    state = ffi.new("struct edge_capture *")
    room = 256
    packets = ffi.new("struct edge_capture_packet[]", room)
    count, consumed = ffi.new("uint32_t *"), ffi.new("uint64_t *")
    kinds: dict[int, Kind] = {
        lib.EDGE_CAPTURE_ETHERNET: "ethernet",
        lib.EDGE_CAPTURE_IP: "ip",
        lib.EDGE_CAPTURE_IP4: "ip",
        lib.EDGE_CAPTURE_IP6: "ip",
    }
    window = _Window(native)
    lib.edge_capture_begin(state)
    number = 0
    while window.fill(read_into):
        status = lib.EDGE_CAPTURE_FULL
        while status == lib.EDGE_CAPTURE_FULL:
            status = lib.edge_capture_step(
                state, window.octets + window.begin, window.left, packets, room, count, consumed
            )
            for packet in packets[0 : count[0]]:
                number += 1
                begin = window.begin + packet.at
                data = bytes(window.view[begin : begin + packet.length])
                yield CapturedPacket(number, kinds.get(packet.kind, "other"), data, packet.wire)
            window.begin += consumed[0]
        _check(lib, status, state, window, name)
        window.drop(0)
    _check(lib, lib.edge_capture_end(state, window.left), state, window, name)


def open_packets(path: str) -> Iterator[CapturedPacket]:
    """`read_packets` of a file. Raises OSError and InputError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield from read_packets(lambda view: os.readv(descriptor, [view]), path)
    finally:
        os.close(descriptor)


def _count(counted: Any) -> Count:
    return Count(counted.packets, counted.octets, counted.changed)


def _check(lib: Any, status: int, state: Any, window: _Window, name: str) -> None:
    if status == lib.EDGE_CAPTURE_MORE:
        return
    at = f"at octet {state.offset}"
    hint = ""
    if status == lib.EDGE_CAPTURE_EMPTY:
        words = "is empty; a capture has a header even without packets"
    elif status == lib.EDGE_CAPTURE_UNKNOWN:
        words, hint = _unknown(bytes(window.view[window.begin : window.begin + 4]), name, at, state.offset)
    elif status == lib.EDGE_CAPTURE_VERSION:
        words = (
            f"{at}: a version of the format that this program does not know (pcap 2.4, pcapng 1.0 and 1.2)"
        )
    elif status == lib.EDGE_CAPTURE_LENGTH:
        words = f"{at}: the record's length cannot be right"
    elif status == lib.EDGE_CAPTURE_TRAILER:
        words = f"{at}: the block's length is not the one that stands at its beginning"
    elif status == lib.EDGE_CAPTURE_NO_INTERFACE:
        words = f"{at}: the packet is of an interface that no block before it describes"
    elif status == lib.EDGE_CAPTURE_TOO_MANY:
        words = f"{at}: more than {lib.EDGE_CAPTURE_INTERFACES} interfaces in one section"
    else:
        words = f"{at}: the file ends in the middle of a record"
    if not hint and status not in (lib.EDGE_CAPTURE_EMPTY, lib.EDGE_CAPTURE_VERSION):
        hint = f"what stands before it can be saved: editcap {name} WHOLE"
        if name == STANDARD_INPUT:
            hint = "keep the input in a file; what stands before it can be saved: editcap FILE WHOLE"
    raise InputError([Problem(name, 0, 0, "", words, hint)])


def _unknown(front: bytes, name: str, at: str, offset: int) -> tuple[str, str]:
    piped = name == STANDARD_INPUT
    for magic, program in _COMPRESSED.items():
        if not offset and front.startswith(magic):
            return (
                f"is compressed with {program}",
                f"unpack it on the way: {'... | ' * piped}{program} -dc{'' if piped else f' {name}'} | "
                "edge mark - OUT",
            )
    return f"{at}: neither pcap nor pcapng", "file(1) may know what it is"
