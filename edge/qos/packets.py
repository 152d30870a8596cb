"""A packet in words to octets and back: `udp 10.1.0.10:50005 > 52.112.0.10:3479 dscp EF vlan 100`. Pure.

    PROTOCOL SOURCE > DESTINATION [dscp N] [ecn N] [stag VID] [vlan VID] [fragment first|later] [payload P]

An end is an address, with a port where the protocol has ports: `10.1.0.10:50005`, `[2001:db8::1]:50005`.
stag is an 802.1ad tag, vlan an 802.1Q tag, outermost first, two at most. P is `stun`, `rtp` or octets in
hexadecimal.
"""

from __future__ import annotations

import re
import shlex
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address

from edge.document.suggest import hint_for
from edge.errors import UsageError
from edge.model import ETHERTYPE_DOT1AD, ETHERTYPE_DOT1Q, Address, Tag, TagStack
from edge.qos.dissect import IPV4, IPV6, TAGS_MAX, Fragment, Seen
from edge.qos.names import (
    PROTOCOL_BY_NAME,
    PROTOCOLS_WITH_PORTS,
    dscp_name,
    parse_dscp,
    parse_protocol,
    protocol_name,
)

EXAMPLE = "udp 10.1.0.10:50005 > 52.112.0.10:3479"

PAYLOADS = {
    "stun": bytes.fromhex("000100002112a442") + bytes(12),
    "rtp": bytes.fromhex("80000001") + bytes(8),
}
"""A STUN binding request (RFC 8489 5) and an RTP header (RFC 3550 5.1), as small as they come."""

_MACS = bytes.fromhex("020000000002") + bytes.fromhex("020000000001")
_TCP, _UDP, _ICMP, _ICMPV6 = (PROTOCOL_BY_NAME[name] for name in ("tcp", "udp", "icmp", "icmpv6"))
_IPV6_FRAGMENT = 44
_LATER_OFFSET = 185
"""In units of 8 octets: where a second fragment of an Ethernet's 1500 octets begins."""


@dataclass(frozen=True, slots=True)
class Packet:
    """What the words say. ports: source and destination, None where the protocol has none."""

    protocol: int
    source: Address
    destination: Address
    ports: tuple[int, int] | None = None
    dscp: int = 0
    ecn: int = 0
    tags: TagStack = ()
    fragment: Fragment = ""
    payload: bytes = b""


def parse(text: str) -> Packet:
    """A packet from words. Raises UsageError with the way out."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"a quote in {text!r} is not closed; write {EXAMPLE}") from error
    if len(words) < 4 or words[2] != ">":
        quotes = "" if ">" in text else ", in quotes: a shell takes > for itself"
        raise UsageError(f"{text!r} is not a packet; write one such as '{EXAMPLE}'{quotes}")
    protocol = parse_protocol(words[0])
    if protocol is None:
        raise UsageError(f"there is no protocol {words[0]!r}; {hint_for(words[0], PROTOCOL_BY_NAME)}")
    source, source_port = _end(words[1], protocol)
    destination, destination_port = _end(words[3], protocol)
    if source.version != destination.version:
        raise UsageError(f"{source} and {destination} are not of one IP version; write two of the same")
    if protocol == _ICMP and source.version == 6:
        protocol = _ICMPV6
    ports = None if source_port is None or destination_port is None else (source_port, destination_port)
    return _options(Packet(protocol, source, destination, ports), words[4:])


def _end(word: str, protocol: int) -> tuple[Address, int | None]:
    found = re.fullmatch(r"\[([^\]]*)\](?::([0-9]+))?|([^:]*)(?::([0-9]+))?|(.*)", word, re.ASCII)
    assert found is not None
    address, port = next(
        (found[a] or "", found[p] if p else None) for a, p in ((1, 2), (3, 4), (5, 0)) if found[a] is not None
    )
    try:
        parsed = ip_address(address)
    except ValueError:
        raise UsageError(f"{address!r} is no address; write {EXAMPLE}, or [2001:db8::1]:50005") from None
    if "%" in address:
        raise UsageError(
            f"{address!r} names a zone, which no packet carries; write {address.partition('%')[0]}"
        )
    has_ports = protocol in PROTOCOLS_WITH_PORTS
    if has_ports and port is None:
        shown = f"[{parsed}]:50005" if parsed.version == 6 else f"{parsed}:50005"
        raise UsageError(f"{word} has no port, which {protocol_name(protocol)} needs; write {shown}")
    if not has_ports and port is not None:
        raise UsageError(f"{protocol_name(protocol)} has no ports; write {parsed} alone")
    if port is not None and int(port) > 65535:
        raise UsageError(f"port {port} is above 65535; write a smaller one")
    return parsed, None if port is None else int(port)


def _options(packet: Packet, words: list[str]) -> Packet:
    for at in range(0, len(words), 2):
        key = words[at]
        if key not in _OPTIONS:
            raise UsageError(f"a packet has no {key!r}; {hint_for(key, _OPTIONS)}")
        if key not in _REPEATED and key in words[:at:2]:
            raise UsageError(f"{key} stands in the packet twice; write it once")
        if at + 1 == len(words):
            raise UsageError(f"{key} says nothing; write its value behind it")
        packet = _OPTIONS[key](packet, words[at + 1])
    if len(packet.tags) > TAGS_MAX:
        raise UsageError(f"{len(packet.tags)} tags are more than {TAGS_MAX}; take some out")
    return packet


def _dscp(packet: Packet, word: str) -> Packet:
    value = parse_dscp(word)
    if value is None:
        raise UsageError(f"{word!r} is not a DSCP; write 0-63, or a name such as EF, AF41, CS3")
    return replace(packet, dscp=value)


def _ecn(packet: Packet, word: str) -> Packet:
    if word not in ("0", "1", "2", "3"):
        raise UsageError(f"ecn {word!r} is not two bits; write 0, 1, 2 or 3")
    return replace(packet, ecn=int(word))


def _tag(tpid: int) -> Callable[[Packet, str], Packet]:
    def read(packet: Packet, word: str) -> Packet:
        number = int(word) if re.fullmatch("[0-9]{1,4}", word, re.ASCII) else 0
        if not 1 <= number <= 4094:
            raise UsageError(f"{word!r} is not a VLAN id; write 1-4094")
        return replace(packet, tags=(*packet.tags, Tag(number, tpid)))

    return read


def _fragment(packet: Packet, word: str) -> Packet:
    known: dict[str, Fragment] = {"first": "first", "later": "later"}
    if word not in known:
        raise UsageError(f"{word!r} is not a fragment; write first or later")
    return replace(packet, fragment=known[word])


def _payload(packet: Packet, word: str) -> Packet:
    if word in PAYLOADS:
        return replace(packet, payload=PAYLOADS[word])
    if not re.fullmatch("([0-9a-fA-F]{2}){1,1400}", word):
        raise UsageError(f"{word!r} is not a payload; write stun, rtp or octets such as 80a1")
    return replace(packet, payload=bytes.fromhex(word))


_OPTIONS: dict[str, Callable[[Packet, str], Packet]] = {
    "dscp": _dscp,
    "ecn": _ecn,
    "stag": _tag(ETHERTYPE_DOT1AD),
    "vlan": _tag(ETHERTYPE_DOT1Q),
    "fragment": _fragment,
    "payload": _payload,
}

_REPEATED = ("stag", "vlan")


def octets(packet: Packet) -> bytes:
    """The packet as an Ethernet frame with valid checksums (of TCP, UDP, ICMP; others bear 0)."""
    ipv4 = packet.source.version == 4
    tags = b"".join(struct.pack("!HH", tag.tpid, tag.vid) for tag in packet.tags)
    ethertype = struct.pack("!H", IPV4 if ipv4 else IPV6)
    transport = packet.payload if packet.fragment == "later" else _transport(packet)
    return _MACS + tags + ethertype + (_ipv4(packet, transport) if ipv4 else _ipv6(packet, transport))


def _ipv4(packet: Packet, transport: bytes) -> bytes:
    flags = {"": 0x4000, "first": 0x2000, "later": _LATER_OFFSET}[packet.fragment]
    header = struct.pack(
        "!BBHHHBBH4s4s",
        *(0x45, packet.dscp << 2 | packet.ecn, 20 + len(transport), 0, flags, 64, packet.protocol, 0),
        *(packet.source.packed, packet.destination.packed),
    )
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + transport


def _ipv6(packet: Packet, transport: bytes) -> bytes:
    number = packet.protocol
    if packet.fragment:
        word = 1 if packet.fragment == "first" else _LATER_OFFSET << 3
        transport = struct.pack("!BBHI", number, 0, word, 0) + transport
        number = _IPV6_FRAGMENT
    word = 6 << 28 | packet.dscp << 22 | packet.ecn << 20
    addresses = packet.source.packed + packet.destination.packed
    return struct.pack("!IHBB", word, len(transport), number, 64) + addresses + transport


def _transport(packet: Packet) -> bytes:
    if packet.ports is None:
        if packet.protocol not in (_ICMP, _ICMPV6):
            return packet.payload
        body = struct.pack("!BBHHH", 8 if packet.protocol == _ICMP else 128, 0, 0, 1, 1) + packet.payload
        covered = body if packet.protocol == _ICMP else _pseudo(packet, body) + body
        return body[:2] + struct.pack("!H", checksum(covered)) + body[4:]
    ports = struct.pack("!HH", *packet.ports)
    if packet.protocol == _UDP:
        body = ports + struct.pack("!HH", 8 + len(packet.payload), 0) + packet.payload
        value = checksum(_pseudo(packet, body) + body) or 0xFFFF
        return body[:6] + struct.pack("!H", value) + body[8:]
    if packet.protocol == _TCP:
        body = ports + struct.pack("!IIBBHHH", 0, 0, 0x50, 0x10, 0xFFFF, 0, 0) + packet.payload
        return body[:16] + struct.pack("!H", checksum(_pseudo(packet, body) + body)) + body[18:]
    return ports + bytes(8) + packet.payload


def _pseudo(packet: Packet, body: bytes) -> bytes:
    """The pseudo-header of RFC 768 and RFC 8200 8.1; both sum to the same for both versions."""
    return packet.source.packed + packet.destination.packed + struct.pack("!II", len(body), packet.protocol)


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def words(seen: Seen | Packet) -> str:
    """The packet in words that `parse` reads, but for its payload; of an opaque frame why it is opaque."""
    if isinstance(seen, Seen) and seen.opaque:
        return " ".join((seen.opaque, *_tag_words(seen.tags)))
    protocol = protocol_name(seen.protocol).removeprefix("protocol ")
    ports = seen.ports or (None, None)
    ends = (_end_words(seen.source, ports[0]), _end_words(seen.destination, ports[1]))
    parts = [protocol, ends[0], ">", ends[1]]
    parts += ["dscp", dscp_name(seen.dscp)] if seen.dscp else []
    parts += ["ecn", str(seen.ecn)] if seen.ecn else []
    pairs = tuple((tag.tpid, tag.vid) for tag in seen.tags) if isinstance(seen, Packet) else seen.tags
    parts += _tag_words(pairs)
    parts += ["fragment", seen.fragment] if seen.fragment else []
    return " ".join(parts)


def _end_words(address: Address, port: int | None) -> str:
    if port is None:
        return str(address)
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _tag_words(tags: tuple[tuple[int, int], ...]) -> list[str]:
    names = {ETHERTYPE_DOT1AD: "stag", ETHERTYPE_DOT1Q: "vlan"}
    return [word for tpid, tci in tags for word in (names.get(tpid, f"0x{tpid:04x}"), str(tci & 0xFFF))]
