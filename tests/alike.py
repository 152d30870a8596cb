"""Frames of two runs made comparable: each thing that may differ is taken out by a rule of its own. Pure.

What is left of a frame is compared octet for octet: addresses (MAC addresses, too), tags with their
ethertypes and priorities, lengths, TTL, DSCP, flags, payload, checksums of what is left.

- IPv4's identification, and with it the header's checksum: numbers of the sender's kernel.
- IPv6's flow label: a hash with a secret of the kernel. The hash itself lies beside the packet in the kernel,
  where routers choose by it between equal paths; on packet sockets it is lost, as on a real wire. So senders
  make none while frames are compared (net.ipv6.auto_flowlabels), and routers hash what is in the packet.
- BFD's discriminators, source port and UDP checksum: drawn at random (RFC 5880 6.8.1, RFC 5881 4).
- Around BGP all of TCP, and the packet's length: ports, numbers and segments are of the moment. Of the
  messages OPEN and KEEPALIVE stay.
- BFD that is not Up or polls, probes of old neighbours, neighbour discovery of link-local addresses, and
  all traffic that is no exchange's: it comes when its time has come.

A checksum that was left to a network card (PACKET_AUXDATA tells) is completed, as a card would do.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from edge.fastpath.frames import Verdict, parse_tags
from lab.frames import BFD_PORT, BGP_PORT, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTO_TCP
from lab.icmp import PROTO_ICMP, PROTO_ICMP6, PROTO_UDP

MARK = 4544
"""Identifier of our echoes and port of our datagrams: by it an exchange's packets are known."""

Kind = Literal["arp", "nd", "icmp", "icmp6", "udp", "bfd", "bgp open", "bgp keepalive"]
ONE_BY_ONE: frozenset[Kind] = frozenset({"icmp", "icmp6", "udp"})
"""Kinds of which each packet counts, in order. The others come again as time goes: what there is counts."""

_ICMP6_ADVERTISEMENT = 136
_ICMP_ECHO, _ICMP6_ECHO, _ICMP6_NEIGHBOR = {0, 8}, {128, 129}, {135, _ICMP6_ADVERTISEMENT}
_BGP_KINDS: dict[int, Kind] = {1: "bgp open", 4: "bgp keepalive"}
_BGP_HEADER_OCTETS = 19
_BFD_UP = 3
_LINK_LOCAL = 0xFE80


@dataclass(frozen=True, slots=True)
class Alike:
    """What has to be equal in all runs of one frame, or of one BGP message in it."""

    kind: Kind
    octets: bytes

    def __str__(self) -> str:
        return f"{self.kind} {self.octets.hex()}"


def alike(frame: bytes, partial_checksum: bool = False) -> tuple[Alike, ...]:
    """What of a frame has to be equal; nothing for a frame that belongs to no exchange."""
    parsed = parse_tags(frame)
    if parsed.verdict is not Verdict.WHOLE:
        return ()
    link, packet = frame[: parsed.payload_offset], bytearray(frame[parsed.payload_offset :])
    if parsed.ethertype == ETHERTYPE_ARP:
        return _arp(link, packet)
    if parsed.ethertype == ETHERTYPE_IPV4 and len(packet) >= 20:
        head = (packet[0] & 0x0F) * 4
        del packet[struct.unpack_from("!H", packet, 2)[0] :]
        packet[4:6] = packet[10:12] = bytes(2)
        return _transport(link, packet, head, packet[9], packet[12:20], partial_checksum)
    if parsed.ethertype == ETHERTYPE_IPV6 and len(packet) >= 40:
        del packet[40 + struct.unpack_from("!H", packet, 4)[0] :]
        packet[1] &= 0xF0
        packet[2:4] = bytes(2)
        return _transport(link, packet, 40, packet[6], packet[8:40], partial_checksum)
    return ()


def _arp(link: bytes, packet: bytearray) -> tuple[Alike, ...]:
    request, broadcast = packet[7] == 1, link[:6] == b"\xff" * 6
    return (Alike("arp", link + bytes(packet[:28])),) if request == broadcast else ()


def _transport(
    link: bytes, packet: bytearray, head: int, protocol: int, addresses: bytearray, partial: bool
) -> tuple[Alike, ...]:
    body = packet[head:]
    if partial and protocol in _CHECKSUM_AT:
        _complete(body, addresses, protocol)
        packet[head:] = body
    if protocol == PROTO_ICMP and body[0] in _ICMP_ECHO and struct.unpack_from("!H", body, 4)[0] == MARK:
        return (Alike("icmp", link + bytes(packet)),)
    if protocol == PROTO_ICMP6:
        if body[0] in _ICMP6_ECHO and struct.unpack_from("!H", body, 4)[0] == MARK:
            return (Alike("icmp6", link + bytes(packet)),)
        if body[0] in _ICMP6_NEIGHBOR and _asks_all_or_answers(link, addresses, body):
            return (Alike("nd", link + bytes(packet)),)
    if protocol == PROTO_UDP:
        source, destination = struct.unpack_from("!HH", body)
        if MARK in (source, destination):
            return (Alike("udp", link + bytes(packet)),)
        if destination == BFD_PORT:
            return _bfd(link, packet, head)
    if protocol == PROTO_TCP and BGP_PORT in struct.unpack_from("!HH", body):
        return _bgp(link, packet, head, body[(body[12] >> 4) * 4 :])
    return ()


def _asks_all_or_answers(link: bytes, addresses: bytearray, body: bytearray) -> bool:
    """Whether neighbour discovery asks by multicast, or answers; link-local addresses have no part in it."""
    named = (addresses[:2], addresses[16:18], body[8:10])
    link_local = any(int.from_bytes(octets, "big") & 0xFFC0 == _LINK_LOCAL for octets in named)
    return not link_local and (body[0] == _ICMP6_ADVERTISEMENT or link[:2] == b"\x33\x33")


def _bfd(link: bytes, packet: bytearray, head: int) -> tuple[Alike, ...]:
    control = head + 8
    state, polled = packet[control + 1] >> 6, packet[control + 1] & 0x30
    if state != _BFD_UP or polled:
        return ()
    packet[head : head + 2] = packet[head + 6 : head + 8] = bytes(2)
    packet[control + 4 : control + 12] = bytes(8)
    return (Alike("bfd", link + bytes(packet)),)


def _bgp(link: bytes, packet: bytearray, head: int, stream: bytearray) -> tuple[Alike, ...]:
    """The OPEN and KEEPALIVE messages that begin in this segment (RFC 4271 4.1)."""
    around = bytearray(packet[:head])
    at = 2 if around[0] >> 4 == 4 else 4
    around[at : at + 2] = bytes(2)
    found: list[Alike] = []
    while stream[:16] == b"\xff" * 16 and len(stream) >= _BGP_HEADER_OCTETS:
        length, kind = struct.unpack_from("!HB", stream, 16)
        if kind in _BGP_KINDS and length <= len(stream):
            found.append(Alike(_BGP_KINDS[kind], link + bytes(around) + bytes(stream[:length])))
        stream = stream[max(length, _BGP_HEADER_OCTETS) :]
    return tuple(found)


_CHECKSUM_AT = {PROTO_UDP: 6, PROTO_TCP: 16, PROTO_ICMP6: 2}


def _complete(body: bytearray, addresses: bytearray, protocol: int) -> None:
    """Put in the checksum that a network card would (RFC 9293 3.1, RFC 768, RFC 8200 8.1)."""
    at = _CHECKSUM_AT[protocol]
    body[at : at + 2] = bytes(2)
    data = bytes(addresses) + struct.pack("!HH", protocol, len(body)) + bytes(body) + bytes(len(body) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    value = ~total & 0xFFFF
    struct.pack_into("!H", body, at, 0xFFFF if protocol == PROTO_UDP and not value else value)
