"""What a frame shows of itself to a policy, in Python and with reasons: for people, not for speed. Pure.

The same reading as the fast path's (csrc/parse.h); `explain` raises when the two disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from edge.model import Address
from edge.qos.model import Hint
from edge.qos.names import PROTOCOL_BY_NAME, PROTOCOLS_WITH_PORTS

IPV4, IPV6 = 0x0800, 0x86DD
TAG_TPIDS = (0x8100, 0x88A8, 0x9100)
TAGS_MAX = 2
"""Tags that the fast path passes over."""

ETHERTYPES = {0x0806: "ARP", 0x8809: "LACP", 0x88CC: "LLDP", 0x88E5: "MACsec", 0x8847: "MPLS"}
"""Names of what is not IP and may well be met on a cross-connect."""

EXTENSION_HEADERS = (0, 43, 44, 51, 60)
"""IPv6 extension headers that are walked over: hop-by-hop, routing, fragment, AH, destination options."""

EXTENSION_HEADERS_MAX = 6
"""As many of them as RFC 8200 4.1 expects."""

EXTENSION_OCTETS_MAX = 512
"""Where the last of them ends at most, counted from the end of the IPv6 header."""

_FRAGMENT, _AH = 44, 51
_UDP = PROTOCOL_BY_NAME["udp"]
_STUN_COOKIE = bytes.fromhex("2112a442")

Fragment = Literal["", "first", "later"]

_NOWHERE = IPv4Address(0)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there.

    opaque: why the frame is none of a policy's business, in words; then nothing but the tags is set.
    offset: of the IP header. tags: (TPID, TCI), outermost first. no_ports: why there are no ports, in words.
    """

    opaque: str = ""
    offset: int = 0
    tags: tuple[tuple[int, int], ...] = ()
    source: Address = _NOWHERE
    destination: Address = _NOWHERE
    protocol: int = 0
    dscp: int = 0
    ecn: int = 0
    fragment: Fragment = ""
    ports: tuple[int, int] | None = None
    no_ports: str = ""
    hints: frozenset[Hint] = field(default_factory=frozenset)


def dissect(frame: bytes) -> Seen:
    """What an Ethernet frame shows."""
    tags: list[tuple[int, int]] = []
    at = 12
    while True:
        if len(frame) < at + 2:
            return Seen("the frame ends before its ethertype", tags=tuple(tags))
        ethertype = _number(frame, at)
        if ethertype not in TAG_TPIDS:
            return dissect_packet(frame, at + 2, ethertype, tuple(tags))
        if len(tags) == TAGS_MAX:
            return Seen(f"more than {TAGS_MAX} tags", tags=tuple(tags))
        if len(frame) < at + 4:
            return Seen("the frame ends inside a tag", tags=tuple(tags))
        tags.append((ethertype, _number(frame, at + 2)))
        at += 4


def dissect_packet(
    octets: bytes, offset: int = 0, ethertype: int | None = None, tags: tuple[tuple[int, int], ...] = ()
) -> Seen:
    """What an IP packet shows that begins at `offset`; without an ethertype its version decides."""
    packet = octets[offset:]
    version = packet[0] >> 4 if packet else 0
    if ethertype is None:
        ethertype = {4: IPV4, 6: IPV6}.get(version, 0)
    if ethertype == IPV4:
        return _ipv4(packet, version, offset, tags)
    if ethertype == IPV6:
        return _ipv6(packet, version, offset, tags)
    if ethertype < 0x600:
        return Seen("not IP: LLC" if offset else "neither IPv4 nor IPv6", tags=tags)
    return Seen(f"not IP: {ETHERTYPES.get(ethertype, f'ethertype 0x{ethertype:04x}')}", tags=tags)


def _ipv4(packet: bytes, version: int, offset: int, tags: tuple[tuple[int, int], ...]) -> Seen:
    if len(packet) < 20:
        return Seen("the IPv4 header is cut short", tags=tags)
    header, total = 4 * (packet[0] & 0x0F), _number(packet, 2)
    if version != 4 or header < 20 or 0 < total < header:
        return Seen("a broken IPv4 header", tags=tags)
    flags = _number(packet, 6)
    fragment: Fragment = "later" if flags & 0x1FFF else "first" if flags & 0x2000 else ""
    payload = b"" if fragment == "later" else packet[header : total or None]
    ports, why, hints = _transport(packet[9], payload, fragment)
    return Seen(
        "",
        offset,
        tags,
        IPv4Address(packet[12:16]),
        IPv4Address(packet[16:20]),
        packet[9],
        packet[1] >> 2,
        packet[1] & 3,
        fragment,
        ports,
        why,
        hints,
    )


def _ipv6(packet: bytes, version: int, offset: int, tags: tuple[tuple[int, int], ...]) -> Seen:
    if len(packet) < 40 or version != 6:
        return Seen("the IPv6 header is cut short" if len(packet) < 40 else "a broken IPv6 header", tags=tags)
    length = _number(packet, 4)
    payload = packet[40 : 40 + length] if length else packet[40:]
    protocol, rest, fragment, why = _walk(packet[6], payload)
    ports, no_ports, hints = _transport(protocol, rest, fragment)
    traffic_class = _number(packet, 0) >> 4 & 0xFF
    return Seen(
        "",
        offset,
        tags,
        IPv6Address(packet[8:24]),
        IPv6Address(packet[24:40]),
        protocol,
        traffic_class >> 2,
        traffic_class & 3,
        fragment,
        ports,
        why or no_ports,
        hints,
    )


def _walk(number: int, payload: bytes) -> tuple[int, bytes, Fragment, str]:
    """(protocol, its octets, fragment, why they cannot be reached) behind IPv6 extension headers."""
    at = walked = 0
    fragment: Fragment = ""
    while number in EXTENSION_HEADERS:
        if walked == EXTENSION_HEADERS_MAX:
            return number, b"", fragment, f"more than {EXTENSION_HEADERS_MAX} IPv6 extension headers"
        if number == 0 and walked:
            return number, b"", fragment, "a hop-by-hop header that is not the first (RFC 8200)"
        here = payload[at:]
        size = _extension_size(number, here)
        if size > len(here):
            return number, b"", fragment, "an IPv6 extension header is cut short"
        if at + size > EXTENSION_OCTETS_MAX:
            return number, b"", fragment, f"more than {EXTENSION_OCTETS_MAX} octets of IPv6 extension headers"
        following = here[0]
        if number == _FRAGMENT:
            word = _number(here, 2)
            if word >> 3:
                return following, b"", "later", ""
            fragment = "first" if word & 1 else fragment
        number, at, walked = following, at + size, walked + 1
    return number, payload[at:], fragment, ""


def _extension_size(number: int, octets: bytes) -> int:
    """Octets of an extension header; of one without its length more than there are."""
    length = octets[1] if len(octets) > 1 else 0
    return {_FRAGMENT: 8, _AH: 4 * (length + 2)}.get(number, 8 * (length + 1))


def _transport(
    protocol: int, octets: bytes, fragment: Fragment
) -> tuple[tuple[int, int] | None, str, frozenset[Hint]]:
    """(ports, why there are none, hints)."""
    if fragment == "later":
        return None, "a later fragment", frozenset()
    if protocol not in PROTOCOLS_WITH_PORTS:
        return None, "the protocol has none", frozenset()
    if len(octets) < 4:
        return None, "the header is cut short", frozenset()
    hints = hints_of(octets[8:]) if protocol == _UDP else frozenset()
    return (_number(octets, 0), _number(octets, 2)), "", hints


def hints_of(payload: bytes) -> frozenset[Hint]:
    """What a payload of UDP looks like: STUN (RFC 8489 section 5), RTP (RFC 3550 5.1, RFC 5761 4)."""
    if len(payload) >= 20 and payload[4:8] == _STUN_COOKIE and not payload[0] >> 6 and not payload[3] & 3:
        return frozenset(("stun",))
    if len(payload) >= 12 and payload[0] >> 6 == 2 and not 64 <= payload[1] & 0x7F < 96:
        return frozenset(("rtp",))
    return frozenset()


def _number(octets: bytes, at: int) -> int:
    return int.from_bytes(octets[at : at + 2], "big")
