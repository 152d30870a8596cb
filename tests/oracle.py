"""Defines what the fast path must decide of a packet; written from the documents, never from the C.

This docstring is the specification. "The octets" are what was given; nothing beyond them is ever read,
and no octets whatever are an error. All numbers are in network order.

Ethernet. A frame has 14 octets (two addresses and an ethertype) or it is *opaque*. Where the ethertype is
    0x8100, 0x88a8 or 0x9100, four octets follow whose last two are the next ethertype: 0, 1 or 2 tags, in
    any order of ethertypes. A third tag, or a tag cut short, makes the frame opaque. PCP, DEI and VLAN id
    do not matter and do not change. Ethertype 0x0800 is IPv4, 0x86dd IPv6; others are opaque (LLC, ARP).

Opaque frames are of the class `default`, matched by no rule (not even by one without conditions), leave
    octet by octet as they came, whatever the policy and the treatment, and their verdict says DSCP 0.

IPv4 (RFC 791). Opaque unless: 20 octets are there; version is 4; IHL is at least 5; total length is 0 or
    at least 4 * IHL. The *end* of the packet is total length octets after its start, or the end of the octets
    when they end before or when total length is 0 (segmentation offload, BIG TCP). What follows the end
    (Ethernet padding) is not read: no ports and no hint lie in it. The transport header begins after the
    options (4 * IHL); where the octets end before it, the packet has addresses, protocol and DSCP, and no
    ports. Options are not looked at.

    Fragments: offset not 0 is a later fragment, without ports and payload. Offset 0 is read like a whole
    packet, more fragments or not. The reserved bit and DF do not matter. Protocol is the octet of the
    header; AH and ESP are protocols like others here.

IPv6 (RFC 8200). Opaque unless: 40 octets are there; version is 6. The end is payload length octets after
    the 40, or the end of the octets when they end before or when payload length is 0 (jumbogram, RFC
    2675).

    Extension headers are walked over: hop-by-hop 0, routing 43, fragment 44, AH 51, destination options 60.
    Their length: 8 * (second octet + 1) octets; fragment 8; AH 4 * (second octet + 2) (RFC 4302 2.2). A
    number that is none of these is the transport protocol. The walk ends early, with the number of the
    header that was not walked over as the protocol and without ports, where
    - the number is 0 in another place than the IPv6 header itself (RFC 8200 section 4);
    - six headers were walked over (EXTENSION_HEADERS_MAX: as many as RFC 8200 4.1 expects of these five);
    - the header's first two octets do not lie before the packet's end, or not all of it does;
    - it would end more than 512 octets after the 40 (EXTENSION_OCTETS_MAX).

    A fragment offset not 0 makes a later fragment: the walk ends behind that header, its next header is
    the protocol, without ports. Offset 0 walks on (first and atomic fragments, RFC 6946).

Ports: of TCP 6, UDP 17, DCCP 33, SCTP 132 and UDP-Lite 136, when the first 4 octets of the transport
    header lie before the end: source, destination.

Hints: on UDP (17) with ports, over the payload: the octets from 8 after the UDP header's start to the end
    of the packet. UDP's own length is not consulted. More fragments do not matter.
    - stun (RFC 8489 section 5): 20 octets of payload; the first two bits are 0; octets 4-7 are 0x2112A442;
      the length in octets 2-3 is a multiple of 4.
    - rtp (RFC 3550 5.1): 12 octets of payload; the first two bits are version 2; the payload type (low 7
      bits of octet 1) is not 64-95, which are RTCP's (RFC 5761 section 4).

Rules: the first rule of the policy that matches decides. Every condition that is not empty must hold;
    ports that are absent are in no range; an address is in prefixes of its own version only (an
    IPv4-mapped address is IPv6); existing DSCP is the upper six bits of octet 1 (IPv4), of the traffic
    class (IPv6), as it came. Without a match: class `default`, rule None.

DSCP: treatment `steer` leaves it. `mark` sets the rule's dscp, without a match the policy's
    unmatched_dscp; None leaves it. The verdict's dscp is the packet's as it leaves. When that equals what
    came, no octet changes. Otherwise only the six bits change (ECN stays, RFC 3168) and in IPv4 the
    checksum, by RFC 1624 equation 3 over the header's first word: HC' = ~(~HC + ~m + m') in ones'
    complement. So a wrong checksum stays wrong by the same amount, and since m' is never 0 the result is
    never 0xffff. Transport checksums do not cover the DSCP.

A packet without Ethernet (`verdict_l3`) begins at its IP header. Its ethertype may be given (an skb knows
    it); where it is not, the version decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from edge.model import Address
from edge.qos.model import Direction, Hint, Policy, PortRange, Rule, Treatment, Verdict

TAGS = (0x8100, 0x88A8, 0x9100)
TAGS_MAX = 2
IPV4, IPV6 = 0x0800, 0x86DD

HOP_BY_HOP, ROUTING, FRAGMENT, AH, DESTINATION_OPTIONS = 0, 43, 44, 51, 60
EXTENSION_HEADERS = (HOP_BY_HOP, ROUTING, FRAGMENT, AH, DESTINATION_OPTIONS)
EXTENSION_HEADERS_MAX = 6
EXTENSION_OCTETS_MAX = 512

TCP, UDP, DCCP, SCTP, UDP_LITE = 6, 17, 33, 132, 136
WITH_PORTS = (TCP, UDP, DCCP, SCTP, UDP_LITE)
UDP_HEADER = 8

STUN_COOKIE = bytes.fromhex("2112a442")
RTCP_TYPES = range(64, 96)


@dataclass(frozen=True)
class Packet:
    """What a packet shows of itself."""

    source: Address
    destination: Address
    protocol: int
    dscp: int
    ports: tuple[int, int] | None = None
    hints: frozenset[Hint] = frozenset()


def verdict(
    frame: bytes, policy: Policy, direction: Direction, treatment: Treatment
) -> tuple[Verdict, bytes]:
    """The verdict of an Ethernet frame, and the frame as it leaves."""
    found = network_layer(frame)
    if found is None:
        return _opaque(policy), frame
    ethertype, offset = found
    result, packet = verdict_l3(frame[offset:], policy, direction, treatment, ethertype)
    return result, frame[:offset] + packet


def verdict_l3(
    packet: bytes, policy: Policy, direction: Direction, treatment: Treatment, ethertype: int | None = None
) -> tuple[Verdict, bytes]:
    """The verdict of a packet that begins with its IP header, and the packet as it leaves."""
    seen = read(packet, ethertype)
    if seen is None:
        return _opaque(policy), packet
    number = next((i for i, rule in enumerate(policy.rules) if matches(rule, seen, direction)), None)
    rule = None if number is None else policy.rules[number]
    traffic_class = policy.class_of(rule.class_name if rule else "default")
    wanted = rule.dscp if rule else policy.unmatched_dscp
    leaves = seen.dscp if treatment == "steer" or wanted is None else wanted
    return Verdict(traffic_class.name, number, leaves, traffic_class.queue), marked(packet, leaves)


def _opaque(policy: Policy) -> Verdict:
    return Verdict("default", None, 0, policy.class_of("default").queue)


def network_layer(frame: bytes) -> tuple[int, int] | None:
    """Ethertype and offset of what the frame carries behind its tags; None when it cannot be told."""
    offset = 12
    for _ in range(TAGS_MAX + 1):
        if len(frame) < offset + 2:
            return None
        ethertype = _number(frame[offset : offset + 2])
        if ethertype not in TAGS:
            return ethertype, offset + 2
        offset += 4
    return None


def read(packet: bytes, ethertype: int | None = None) -> Packet | None:
    """What a packet shows; None when it is opaque."""
    version = packet[0] >> 4 if packet else 0
    if ethertype is None:
        ethertype = {4: IPV4, 6: IPV6}.get(version)
    if ethertype == IPV4 and version == 4:
        return _read_ipv4(packet)
    if ethertype == IPV6 and version == 6:
        return _read_ipv6(packet)
    return None


def _read_ipv4(packet: bytes) -> Packet | None:
    if len(packet) < 20:
        return None
    header = 4 * (packet[0] & 0x0F)
    total = _number(packet[2:4])
    if header < 20 or 0 < total < header:
        return None
    whole = packet[:total] if total else packet
    later = _number(packet[6:8]) & 0x1FFF != 0
    protocol = packet[9]
    ports, hints = _read_transport(protocol, b"" if later else whole[header:])
    return Packet(
        IPv4Address(packet[12:16]), IPv4Address(packet[16:20]), protocol, packet[1] >> 2, ports, hints
    )


def _read_ipv6(packet: bytes) -> Packet | None:
    if len(packet) < 40:
        return None
    length = _number(packet[4:6])
    payload = packet[40 : 40 + length] if length else packet[40:]
    protocol, transport = _walk(packet[6], payload)
    ports, hints = _read_transport(protocol, transport)
    dscp = _number(packet[0:2]) >> 6 & 0x3F
    return Packet(IPv6Address(packet[8:24]), IPv6Address(packet[24:40]), protocol, dscp, ports, hints)


def _walk(number: int, payload: bytes) -> tuple[int, bytes]:
    """The protocol behind the extension headers, and the octets of its header (none when not reached)."""
    offset = 0
    for walked in range(EXTENSION_HEADERS_MAX + 1):
        if number not in EXTENSION_HEADERS:
            return number, payload[offset:]
        if walked == EXTENSION_HEADERS_MAX or (number == HOP_BY_HOP and walked > 0):
            return number, b""
        here = payload[offset:]
        if len(here) < 2:
            return number, b""
        size = {FRAGMENT: 8, AH: 4 * (here[1] + 2)}.get(number, 8 * (here[1] + 1))
        if size > len(here) or offset + size > EXTENSION_OCTETS_MAX:
            return number, b""
        if number == FRAGMENT and _number(here[2:4]) >> 3 != 0:
            return here[0], b""
        number, offset = here[0], offset + size
    raise AssertionError("every turn above returns or walks over one header")


def _read_transport(protocol: int, octets: bytes) -> tuple[tuple[int, int] | None, frozenset[Hint]]:
    if protocol not in WITH_PORTS or len(octets) < 4:
        return None, frozenset()
    ports = _number(octets[0:2]), _number(octets[2:4])
    return ports, _hints(octets[UDP_HEADER:]) if protocol == UDP else frozenset()


def _hints(payload: bytes) -> frozenset[Hint]:
    found: set[Hint] = set()
    if (
        len(payload) >= 20
        and payload[0] >> 6 == 0
        and payload[4:8] == STUN_COOKIE
        and _number(payload[2:4]) % 4 == 0
    ):
        found.add("stun")
    if len(payload) >= 12 and payload[0] >> 6 == 2 and payload[1] & 0x7F not in RTCP_TYPES:
        found.add("rtp")
    return frozenset(found)


def matches(rule: Rule, packet: Packet, direction: Direction) -> bool:
    """Whether every condition of the rule holds."""
    source, destination = packet.ports if packet.ports is not None else (None, None)
    return all(
        (
            rule.direction in ("both", direction),
            not rule.protocols or packet.protocol in rule.protocols,
            not rule.existing_dscp or packet.dscp in rule.existing_dscp,
            not rule.source or any(packet.source in prefix for prefix in rule.source),
            not rule.destination or any(packet.destination in prefix for prefix in rule.destination),
            rule.source_ports is None or _inside(source, rule.source_ports),
            rule.destination_ports is None or _inside(destination, rule.destination_ports),
            rule.either_ports is None
            or _inside(source, rule.either_ports)
            or _inside(destination, rule.either_ports),
            not rule.hint or rule.hint in packet.hints,
        )
    )


def _inside(port: int | None, ports: PortRange) -> bool:
    return port is not None and ports[0] <= port <= ports[1]


def marked(packet: bytes, dscp: int) -> bytes:
    """An IP packet with this DSCP."""
    if packet[0] >> 4 == 6:
        before = _number(packet[0:2])
        after = before & ~(0x3F << 6) | dscp << 6
        return after.to_bytes(2, "big") + packet[2:]
    before = _number(packet[0:2])
    after = before & ~(0x3F << 2) | dscp << 2
    if after == before:
        return packet
    checksum = updated_checksum(_number(packet[10:12]), before, after)
    return after.to_bytes(2, "big") + packet[2:10] + checksum.to_bytes(2, "big") + packet[12:]


def updated_checksum(checksum: int, before: int, after: int) -> int:
    """RFC 1624 equation 3: the checksum of a header in which one 16-bit word changed."""
    total = (checksum ^ 0xFFFF) + (before ^ 0xFFFF) + after
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _number(octets: bytes) -> int:
    return int.from_bytes(octets, "big")
