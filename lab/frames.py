"""What an Ethernet frame carries behind its tags: which protocol. Pure.

Enough to label a frame for people and for checks; it reads the headers only and never past the end.
BFD's single-hop control port is 3784 (RFC 5881), BGP's is 179 (RFC 4271).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from edge.fastpath.frames import FrameTag, Verdict, parse_tags
from lab.icmp import PROTO_ICMP, PROTO_ICMP6, PROTO_UDP

ETHERTYPE_IPV4, ETHERTYPE_ARP, ETHERTYPE_IPV6 = 0x0800, 0x0806, 0x86DD
PROTO_TCP = 6
BGP_PORT, BFD_PORT = 179, 3784

FrameProtocol = Literal["arp", "bgp", "bfd", "icmp", "icmp6", "other"]

_IPV6_EXTENSIONS = {0, 43, 60}
"""Hop-by-hop options, routing, destination options: headers that name the next one (RFC 8200 4)."""


@dataclass(frozen=True, slots=True)
class FrameSummary:
    """What a frame is. ethertype is the one behind the tags; 0 when the frame is cut short before it.

    dscp: the mark of the IP packet in it, None where there is none.
    """

    tags: tuple[FrameTag, ...]
    ethertype: int
    protocol: FrameProtocol
    dscp: int | None = None

    @property
    def vids(self) -> tuple[int, ...]:
        """VLAN ids, outermost first."""
        return tuple(tag.vid for tag in self.tags)

    @property
    def tpids(self) -> tuple[int, ...]:
        """The ethertypes of the tags, outermost first."""
        return tuple(tag.tpid for tag in self.tags)

    def __str__(self) -> str:
        tags = "/".join(str(vid) for vid in self.vids) or "untagged"
        name = self.protocol if self.protocol != "other" else f"ethertype 0x{self.ethertype:04x}"
        return f"{tags} {name}"


def summarize(frame: bytes) -> FrameSummary:
    """The summary of an Ethernet frame that begins with its destination address, whatever its octets.

    Raises CapabilityError when the C extension is not built.
    """
    parsed = parse_tags(frame)
    whole = parsed.verdict is Verdict.WHOLE
    packet = frame[parsed.payload_offset :] if whole else b""
    return FrameSummary(
        parsed.tags, parsed.ethertype, _protocol(parsed.ethertype, packet), _dscp(parsed.ethertype, packet)
    )


def _dscp(ethertype: int, packet: bytes) -> int | None:
    """The first six bits of IPv4's TOS (RFC 2474 3) or of IPv6's traffic class."""
    if len(packet) < 2:
        return None
    if ethertype == ETHERTYPE_IPV4:
        return packet[1] >> 2
    return (packet[0] << 4 | packet[1] >> 4) >> 2 & 0x3F if ethertype == ETHERTYPE_IPV6 else None


def _protocol(ethertype: int, packet: bytes) -> FrameProtocol:
    if ethertype == ETHERTYPE_ARP:
        return "arp"
    if ethertype == ETHERTYPE_IPV4:
        return _ipv4(packet)
    if ethertype == ETHERTYPE_IPV6:
        return _ipv6(packet)
    return "other"


def _ipv4(packet: bytes) -> FrameProtocol:
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return "other"
    header = (packet[0] & 0x0F) * 4
    if header < 20:
        return "other"
    if struct.unpack_from("!H", packet, 6)[0] & 0x1FFF:
        # Only the first fragment has ports; ICMP is told by the header alone.
        return "icmp" if packet[9] == PROTO_ICMP else "other"
    return _transport(packet[9], packet[header:])


def _ipv6(packet: bytes) -> FrameProtocol:
    if len(packet) < 40 or packet[0] >> 4 != 6:
        return "other"
    following, offset = packet[6], 40
    while following in _IPV6_EXTENSIONS and len(packet) >= offset + 2:
        following, offset = packet[offset], offset + 8 + packet[offset + 1] * 8
    return _transport(following, packet[offset:])


def _transport(protocol: int, segment: bytes) -> FrameProtocol:
    if protocol == PROTO_ICMP:
        return "icmp"
    if protocol == PROTO_ICMP6:
        return "icmp6"
    if len(segment) < 4:
        return "other"
    source, destination = struct.unpack_from("!HH", segment)
    if protocol == PROTO_TCP and BGP_PORT in (source, destination):
        return "bgp"
    if protocol == PROTO_UDP and destination == BFD_PORT:
        return "bfd"
    return "other"
