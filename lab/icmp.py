"""ICMP and ICMPv6 as bytes: what we send, and what comes back. Pure.

Two messages matter: the echo reply, and the error, which quotes the beginning of the packet that caused
it (RFC 792; RFC 4443). The quote is how a sender recognises its own packet. Parsers take any bytes and
return None for what is cut short or of no interest; they never raise.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from edge.model import Address

PROTO_ICMP, PROTO_UDP, PROTO_ICMP6 = 1, 17, 58

ErrorKind = Literal["time-exceeded", "unreachable", "too-big", "parameter-problem"]

_ECHO = {4: (8, 0), 6: (128, 129)}
"""Family -> types of echo request and echo reply."""

_ERRORS: dict[tuple[int, int], ErrorKind] = {
    (4, 3): "unreachable",
    (4, 11): "time-exceeded",
    (4, 12): "parameter-problem",
    (6, 1): "unreachable",
    (6, 2): "too-big",
    (6, 3): "time-exceeded",
    (6, 4): "parameter-problem",
}

_UNREACHABLE_WORDS = {
    (4, 0): "network unreachable",
    (4, 1): "host unreachable",
    (4, 2): "protocol unreachable",
    (4, 3): "port unreachable",
    (4, 4): "packet too big",
    (4, 5): "source route failed",
    (4, 9): "network administratively prohibited",
    (4, 10): "host administratively prohibited",
    (4, 13): "administratively prohibited",
    (6, 0): "network unreachable",
    (6, 1): "administratively prohibited",
    (6, 2): "beyond the scope of the source address",
    (6, 3): "host unreachable",
    (6, 4): "port unreachable",
    (6, 5): "source address refused by policy",
    (6, 6): "route rejects the destination",
}
"""(family, code) of a destination-unreachable message -> words (RFC 792, RFC 1812 5.2.7.1, RFC 4443 3.1)."""

_PORT_UNREACHABLE = {4: 3, 6: 4}


@dataclass(frozen=True, slots=True)
class UdpQuote:
    """A quoted UDP packet. length is the UDP length field: 8 octets of header and the payload.

    payload is as much as the router quoted: at least nothing (RFC 792 asks for 8 octets only).
    """

    source: Address
    destination: Address
    source_port: int
    destination_port: int
    length: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class EchoQuote:
    """A quoted echo request."""

    source: Address
    destination: Address
    identifier: int
    sequence: int
    payload: bytes


Quote = UdpQuote | EchoQuote


@dataclass(frozen=True, slots=True)
class EchoReply:
    """The answer to an echo request."""

    identifier: int
    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class IcmpError:
    """Somebody on the way could not deliver the quoted packet. words say why, for people."""

    kind: ErrorKind
    words: str
    port_unreachable: bool
    quote: Quote


def checksum(data: bytes) -> int:
    """The Internet checksum of `data` (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(family: Literal[4, 6], identifier: int, sequence: int, payload: bytes) -> bytes:
    """An echo request. The kernel fills in ICMPv6's checksum, which covers a pseudo header."""
    kind = _ECHO[family][0]
    if family == 6:
        return struct.pack("!BBHHH", kind, 0, 0, identifier, sequence) + payload
    blank = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence) + payload
    return blank[:2] + struct.pack("!H", checksum(blank)) + blank[4:]


def strip_ipv4(packet: bytes) -> bytes | None:
    """What follows the IPv4 header; a raw IPv4 socket delivers the header, an IPv6 one does not."""
    header = _ipv4_header_length(packet)
    return None if header is None else packet[header:]


def parse(family: Literal[4, 6], message: bytes) -> EchoReply | IcmpError | None:
    """The message, or None when it is neither an echo reply nor an error about a UDP packet or an echo."""
    if len(message) < 8:
        return None
    kind, code = message[0], message[1]
    if kind == _ECHO[family][1]:
        identifier, sequence = struct.unpack_from("!HH", message, 4)
        return EchoReply(identifier, sequence, message[8:])
    error = _ERRORS.get((family, kind))
    if error is None:
        return None
    quote = _quote_ipv4(message[8:]) if family == 4 else _quote_ipv6(message[8:])
    if quote is None:
        return None
    if error == "unreachable":
        words = _UNREACHABLE_WORDS.get((family, code), f"unreachable (code {code})")
        return IcmpError(error, words, code == _PORT_UNREACHABLE[family], quote)
    words = {"time-exceeded": "hop limit exceeded", "too-big": "packet too big"}.get(
        error, "parameter problem"
    )
    return IcmpError(error, words, False, quote)


def _ipv4_header_length(packet: bytes) -> int | None:
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    length = (packet[0] & 0x0F) * 4
    return length if 20 <= length <= len(packet) else None


def _quote_ipv4(packet: bytes) -> Quote | None:
    header = _ipv4_header_length(packet)
    if header is None or struct.unpack_from("!H", packet, 6)[0] & 0x1FFF:
        return None  # a later fragment has no ports
    source, destination = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
    return _quote(source, destination, packet[9], PROTO_ICMP, packet[header:])


def _quote_ipv6(packet: bytes) -> Quote | None:
    if len(packet) < 40 or packet[0] >> 4 != 6:
        return None
    source, destination = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
    return _quote(source, destination, packet[6], PROTO_ICMP6, packet[40:])


def _quote(source: Address, destination: Address, protocol: int, icmp: int, body: bytes) -> Quote | None:
    if len(body) < 8:
        return None
    if protocol == PROTO_UDP:
        source_port, destination_port, length = struct.unpack_from("!HHH", body)
        return UdpQuote(source, destination, source_port, destination_port, length, body[8:])
    if protocol == icmp and body[0] == _ECHO[source.version][0]:
        identifier, sequence = struct.unpack_from("!HH", body, 4)
        return EchoQuote(source, destination, identifier, sequence, body[8:])
    return None
