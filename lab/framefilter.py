"""Which frames of a capture are kept: by their tags, by a filter of tcpdump's language, by their class.

The language is compiled by libpcap, which every tcpdump and tshark brings along and which has known it for
thirty years. It is asked about what stands behind the tags: in its own way of counting, `tcp port 179` never
finds a tagged frame, and nearly all frames of a cross-connection are tagged. So tags are asked for apart.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from edge.errors import CapabilityError, UsageError
from lab.vantage import Vids

_DLT_EN10MB = 1
_TPIDS = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")
_ETHERTYPE_AT, _TAG_OCTETS = 12, 4
_SNAPLEN = 262144
_NETMASK_UNKNOWN = 0xFFFFFFFF
_TAG_WORDS = re.compile(r"\bvlan\b")

Keeps = Callable[[bytes, int], bool]
"""(the frame's octets, its length on the wire) -> whether it is kept."""


class _Program(ctypes.Structure):
    """struct bpf_program of <pcap/bpf.h>."""

    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.c_void_p))


class _Header(ctypes.Structure):
    """struct pcap_pkthdr of <pcap/pcap.h>: time, octets there, octets on the wire."""

    _fields_ = (
        ("seconds", ctypes.c_long),
        ("microseconds", ctypes.c_long),
        ("caplen", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
    )


@lru_cache(maxsize=1)
def _libpcap() -> ctypes.CDLL:
    """The library. Raises CapabilityError where there is none."""
    name = ctypes.util.find_library("pcap") or "libpcap.so.0.8"
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        raise CapabilityError(
            "a filter is compiled by libpcap, which is not installed", "sudo apt-get install libpcap0.8"
        ) from error
    library.pcap_open_dead.restype = ctypes.c_void_p
    library.pcap_open_dead.argtypes = (ctypes.c_int, ctypes.c_int)
    library.pcap_compile.restype = ctypes.c_int
    library.pcap_compile.argtypes = (
        ctypes.c_void_p,
        ctypes.POINTER(_Program),
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_uint32,
    )
    library.pcap_geterr.restype = ctypes.c_char_p
    library.pcap_geterr.argtypes = (ctypes.c_void_p,)
    library.pcap_close.argtypes = (ctypes.c_void_p,)
    library.pcap_close.restype = None
    library.pcap_offline_filter.restype = ctypes.c_int
    library.pcap_offline_filter.argtypes = (
        ctypes.POINTER(_Program),
        ctypes.POINTER(_Header),
        ctypes.c_char_p,
    )
    return library


def compile_filter(expression: str) -> Keeps:
    """What tells whether a frame, tags taken off, meets an expression of tcpdump's language (pcap-filter(7)).

    Raises UsageError for what is no expression, CapabilityError without libpcap.
    """
    if _TAG_WORDS.search(expression):
        raise UsageError(
            "a filter looks behind the tags, so `vlan` finds nothing; ask for tags with --tags, "
            "for example --tags 3/100"
        )
    library = _libpcap()
    program = _Program()
    handle = library.pcap_open_dead(_DLT_EN10MB, _SNAPLEN)
    if not handle:
        raise CapabilityError("libpcap has no memory for a filter")
    try:
        compiled = library.pcap_compile(
            handle, ctypes.byref(program), expression.encode(), 1, _NETMASK_UNKNOWN
        )
        if compiled != 0:
            words = library.pcap_geterr(handle).decode(errors="replace")
            raise UsageError(
                f"filter {expression!r}: {words}; it is written as for tcpdump, for example 'udp port 3784'"
            )
    finally:
        library.pcap_close(handle)

    # The program lives as long as this function, which is as long as the capture.
    def keeps(frame: bytes, length: int) -> bool:
        plain = untagged(frame)
        header = _Header(0, 0, len(plain), length - (len(frame) - len(plain)))
        return bool(library.pcap_offline_filter(ctypes.byref(program), ctypes.byref(header), plain))

    return keeps


def untagged(frame: bytes) -> bytes:
    """The frame without its VLAN tags. Pure."""
    at = _ETHERTYPE_AT
    while frame[at : at + 2] in _TPIDS:
        at += _TAG_OCTETS
    return frame if at == _ETHERTYPE_AT else frame[:_ETHERTYPE_AT] + frame[at:]


def vids_of(frame: bytes) -> Vids:
    """The VLAN ids of a frame, outermost first; those of a tag that is cut short are left out. Pure."""
    found = []
    at = _ETHERTYPE_AT
    while frame[at : at + 2] in _TPIDS and len(frame) >= at + _TAG_OCTETS:
        found.append(int.from_bytes(frame[at + 2 : at + _TAG_OCTETS], "big") & 0xFFF)
        at += _TAG_OCTETS
    return tuple(found)


def parse_tags_word(word: str) -> Vids:
    """`3/100` as VLAN ids, outermost first; `none` for frames without a tag. Raises UsageError. Pure."""
    if word == "none":
        return ()
    numbers = word.split("/")
    if not all(re.fullmatch(r"[0-9]{1,4}", number) and int(number) <= 4095 for number in numbers):
        raise UsageError(f"{word!r} names no tags; write VLAN ids, outermost first, such as 3/100, or none")
    return tuple(map(int, numbers))


def with_tags(wanted: Sequence[Vids]) -> Keeps:
    """Keeps the frames whose tags begin with one of these; `()` keeps those without a tag. Pure."""

    def keeps(frame: bytes, length: int) -> bool:
        vids = vids_of(frame)
        return any(vids[: len(one)] == one if one else not vids for one in wanted)

    return keeps
