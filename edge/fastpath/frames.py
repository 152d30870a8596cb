"""The tags of a frame that lies in memory, read by the C parser of csrc/frame.c.

A raw socket hands a received frame over without its outermost tag and tells that tag apart, in
PACKET_AUXDATA (facts: fastpath 1.7): give its control message to `parse_auxdata` and the tag found to
`parse_tags`, or a tagged frame looks like an untagged one.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Any

from edge.errors import CapabilityError
from edge.model import ETHERTYPE_DOT1Q, Tag, TagStack

SOL_PACKET = 263
PACKET_AUXDATA = 8
AUXDATA_OCTETS = 20
"""Size of struct tpacket_auxdata in <linux/if_packet.h>."""

_STATUS_CHECKSUM_NOT_READY = 0x08
_STATUS_VLAN_VALID = 0x10
_STATUS_VLAN_TPID_VALID = 0x40
_AUXDATA = struct.Struct("=IIIHHHH")
"""Status, length, captured length, offsets of MAC and network, TCI, TPID."""

_TAG = struct.Struct("!HH")
_ADDRESSES_OCTETS = 12


class Verdict(enum.IntEnum):
    """How far the tags could be read (enum edge_frame_verdict)."""

    WHOLE = 0
    TRUNCATED = 1
    TOO_DEEP = 2


@dataclass(frozen=True, slots=True)
class FrameTag:
    """A tag as it stands in a frame.

    vid may be 0 (a priority tag: it names no VLAN) or 4095 (reserved), which a `Tag` may not
    (IEEE 802.1Q 9.6). pcp: priority 0..7; dei: drop eligible.
    """

    tpid: int
    vid: int
    pcp: int = 0
    dei: bool = False

    @classmethod
    def of_tci(cls, tpid: int, tci: int) -> FrameTag:
        """The tag with this tag control information (16 bits)."""
        return cls(tpid, tci & 0x0FFF, tci >> 13, bool(tci & 0x1000))

    @property
    def tci(self) -> int:
        """The 16 bits after the TPID."""
        return self.pcp << 13 | self.dei << 12 | self.vid

    @property
    def octets(self) -> bytes:
        """The 4 octets that stand in the frame."""
        return _TAG.pack(self.tpid, self.tci)


@dataclass(frozen=True, slots=True)
class ParsedFrame:
    """tags: outermost first. ethertype: of the payload, 0 when truncated, a TPID when too deep.

    payload_offset: where the payload begins in the bytes given, or where reading stopped.
    """

    tags: tuple[FrameTag, ...]
    ethertype: int
    payload_offset: int
    verdict: Verdict = Verdict.WHOLE

    @property
    def vids(self) -> tuple[int, ...]:
        """VLAN ids, outermost first."""
        return tuple(tag.vid for tag in self.tags)

    @property
    def stack(self) -> TagStack:
        """The tags as the model has them. Raises ValueError for VLAN id 0 or 4095."""
        return tuple(Tag(tag.vid, tag.tpid) for tag in self.tags)


def _native() -> Any:
    # Imported on first use: most commands never look into a frame.
    try:
        from edge.fastpath import _native as module
    except ImportError as error:
        raise CapabilityError(
            f"the C extension edge.fastpath._native is not built: {error}",
            "in a source tree: python3 setup.py build_ext --inplace (needs gcc and Python's headers)",
        ) from error
    return module


def parse_tags(frame: bytes | bytearray | memoryview, aux: FrameTag | None = None) -> ParsedFrame:
    """Read the tags of a frame that begins with its destination MAC address.

    aux: the tag that the kernel kept apart, see `parse_auxdata`. Never reads beyond the bytes; what is
    missing shows in `verdict`. Raises CapabilityError when the C extension is not built.
    """
    native = _native()
    out = native.ffi.new("struct edge_frame *")
    data = native.ffi.from_buffer("uint8_t[]", frame)
    tpid, tci = (aux.tpid, aux.tci) if aux is not None else (0, 0)
    verdict = Verdict(native.lib.edge_tags_parse(data, len(data), tpid, tci, out))
    tags = tuple(FrameTag.of_tci(out.tpid[i], out.tci[i]) for i in range(out.depth))
    return ParsedFrame(tags, out.ethertype, out.payload, verdict)


@dataclass(frozen=True, slots=True)
class Auxdata:
    """What a packet socket tells beside a frame.

    length: octets of the frame before it was cut to the reader's buffer, without `tag`. tag: the outermost
    tag, which the kernel took off. partial_checksum: checksums are left to a network card.
    """

    length: int
    tag: FrameTag | None
    partial_checksum: bool


def parse_auxdata(octets: bytes) -> Auxdata | None:
    """Read the data of a PACKET_AUXDATA control message; None when it is too short to be one."""
    if len(octets) < AUXDATA_OCTETS:
        return None
    status, length, _snapped, _mac, _network, tci, tpid = _AUXDATA.unpack_from(octets)
    tag = None
    if status & _STATUS_VLAN_VALID:
        tag = FrameTag.of_tci(tpid if status & _STATUS_VLAN_TPID_VALID else ETHERTYPE_DOT1Q, tci)
    return Auxdata(length, tag, bool(status & _STATUS_CHECKSUM_NOT_READY))


def restore_tag(data: bytes, tag: FrameTag | None) -> bytes:
    """Put the tag that the kernel took off back behind the addresses, where it was on the wire."""
    if tag is None or len(data) < _ADDRESSES_OCTETS:
        return data
    return data[:_ADDRESSES_OCTETS] + tag.octets + data[_ADDRESSES_OCTETS:]
