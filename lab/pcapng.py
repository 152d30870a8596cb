"""The blocks of a pcapng file as bytes (draft-ietf-opsawg-pcapng). Pure.

A file is: one section header, one description per interface, packets, and at the end one statistics
block per interface. Everything is written in this machine's byte order, as the format allows; times are
nanoseconds since 1970 (if_tsresol 9).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Literal

Direction = Literal["inbound", "outbound", "unknown"]

LINKTYPE_ETHERNET = 1

_SECTION_HEADER = 0x0A0D0D0A
_INTERFACE_DESCRIPTION = 1
_INTERFACE_STATISTICS = 5
_ENHANCED_PACKET = 6
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_OPT_END, _OPT_COMMENT = 0, 1
_SHB_OS, _SHB_USERAPPL = 3, 4
_IF_NAME, _IF_DESCRIPTION, _IF_TSRESOL, _IF_FILTER = 2, 3, 9, 11
_FILTER_IS_TEXT = b"\0"
_EPB_FLAGS = 2
_ISB_STARTTIME, _ISB_ENDTIME, _ISB_IFRECV, _ISB_IFDROP = 2, 3, 4, 5
_DIRECTION_BITS = {"unknown": 0, "inbound": 1, "outbound": 2}

Options = Iterable[tuple[int, bytes]]


def _pad(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _options(options: Options) -> bytes:
    encoded = b"".join(struct.pack("=HH", code, len(value)) + _pad(value) for code, value in options if value)
    return encoded + struct.pack("=HH", _OPT_END, 0) if encoded else b""


def _block(kind: int, body: bytes, options: Options = ()) -> bytes:
    content = _pad(body) + _options(options)
    length = 12 + len(content)
    return struct.pack("=II", kind, length) + content + struct.pack("=I", length)


def _text(value: str) -> bytes:
    """UTF-8, cut to what an option's 16-bit length can say."""
    return value.encode()[:0xFFFF].decode(errors="ignore").encode()


def _time(nanoseconds: int) -> bytes:
    """A time as two 32-bit halves, the high one first whatever the byte order."""
    return struct.pack("=II", nanoseconds >> 32 & 0xFFFFFFFF, nanoseconds & 0xFFFFFFFF)


def section_header(application: str, system: str = "", comment: str = "") -> bytes:
    """The first block. Its length is left open (-1), as a pipe demands."""
    body = struct.pack("=IHHq", _BYTE_ORDER_MAGIC, 1, 0, -1)
    options = ((_OPT_COMMENT, _text(comment)), (_SHB_OS, _text(system)), (_SHB_USERAPPL, _text(application)))
    return _block(_SECTION_HEADER, body, options)


def interface(name: str, description: str = "", snaplen: int = 0, comment: str = "", kept: str = "") -> bytes:
    """One Ethernet interface; interfaces are numbered from 0 in the order of their blocks.

    snaplen 0 means no limit. kept: which of its frames are in the file, in words; empty for all.
    """
    body = struct.pack("=HHI", LINKTYPE_ETHERNET, 0, snaplen)
    options = (
        (_OPT_COMMENT, _text(comment)),
        (_IF_NAME, _text(name)),
        (_IF_DESCRIPTION, _text(description)),
        (_IF_TSRESOL, b"\x09"),
        (_IF_FILTER, _FILTER_IS_TEXT + _text(kept)[:0xFFFE] if kept else b""),
    )
    return _block(_INTERFACE_DESCRIPTION, body, options)


def packet(
    number: int,
    time_ns: int,
    data: bytes,
    length: int,
    direction: Direction = "unknown",
    comment: str = "",
) -> bytes:
    """A frame of interface `number`; `length` is what it had on the wire, `data` may be less of it."""
    body = struct.pack("=I", number) + _time(time_ns) + struct.pack("=II", len(data), length) + data
    bits = _DIRECTION_BITS[direction]
    flags = struct.pack("=I", bits) if bits else b""
    return _block(_ENHANCED_PACKET, body, ((_OPT_COMMENT, _text(comment)), (_EPB_FLAGS, flags)))


def statistics(
    number: int, *, start_ns: int, end_ns: int, received: int, dropped: int, comment: str = ""
) -> bytes:
    """How many frames interface `number` saw between two times and how many of them were lost to us."""
    body = struct.pack("=I", number) + _time(end_ns)
    options = (
        (_OPT_COMMENT, _text(comment)),
        (_ISB_STARTTIME, _time(start_ns)),
        (_ISB_ENDTIME, _time(end_ns)),
        (_ISB_IFRECV, struct.pack("=Q", received)),
        (_ISB_IFDROP, struct.pack("=Q", dropped)),
    )
    return _block(_INTERFACE_STATISTICS, body, options)
