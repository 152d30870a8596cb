"""Capture files and packets made by hand, octet by octet, for the tests of marking. Knows nothing of ours.

Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng; link types: tcpdump.org/linktypes.html.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

ETHERNET, RAW, SLL, IPV4_ONLY, IPV6_ONLY, SLL2 = 1, 101, 113, 228, 229, 276
USB = 220
"""A link type that has nothing to do with IP."""

MICROSECONDS, NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
MACS = bytes.fromhex("020000000002020000000001")


def ones_sum(octets: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def udp(source_port: int, destination_port: int, payload: bytes = b"voice") -> bytes:
    """A UDP header without checksum, and its payload."""
    return struct.pack("!4H", source_port, destination_port, 8 + len(payload), 0) + payload


def ip4(
    transport: bytes,
    source: str = "10.1.0.10",
    destination: str = "52.112.0.10",
    *,
    protocol: int = 17,
    tos: int = 0,
    options: bytes = b"",
) -> bytes:
    """An IPv4 packet with a correct checksum."""
    words = struct.pack(
        "!BBHHHBBH", 0x45 + len(options) // 4, tos, 20 + len(options) + len(transport), 1, 0, 64, protocol, 0
    )
    header = words + ip_address(source).packed + ip_address(destination).packed + options
    return header[:10] + ones_sum(header).to_bytes(2, "big") + header[12:] + transport


def ip6(
    transport: bytes,
    source: str = "2001:db8::10",
    destination: str = "2603:1063::10",
    *,
    next_header: int = 17,
    traffic_class: int = 0,
) -> bytes:
    """An IPv6 packet."""
    first = 6 << 28 | traffic_class << 20 | 0xABCDE
    return (
        struct.pack("!IHBB", first, len(transport), next_header, 64)
        + ip_address(source).packed
        + ip_address(destination).packed
        + transport
    )


def ethernet(packet: bytes, *tags: tuple[int, int]) -> bytes:
    """A frame; tags are (TPID, VLAN id), outermost first. The version of the packet gives the ethertype."""
    stack = b"".join(struct.pack("!HH", tpid, vid) for tpid, vid in tags)
    return MACS + stack + ethertype(packet) + packet


def ethertype(packet: bytes) -> bytes:
    """What announces an IP packet."""
    return b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"


def cooked(packet: bytes, *tags: tuple[int, int]) -> bytes:
    """Linux cooked v1 (SLL)."""
    kinds, rest = _chain(packet, tags)
    return struct.pack("!HHH8s", 4, 1, 6, bytes(8)) + kinds + rest


def cooked2(packet: bytes, *tags: tuple[int, int]) -> bytes:
    """Linux cooked v2 (SLL2)."""
    kinds, rest = _chain(packet, tags)
    return kinds + struct.pack("!HIHBB8s", 0, 7, 1, 4, 6, bytes(8)) + rest


def _chain(packet: bytes, tags: Sequence[tuple[int, int]]) -> tuple[bytes, bytes]:
    """The ethertype that the cooked header holds, and what follows the header."""
    types = [tpid.to_bytes(2, "big") for tpid, _ in tags] + [ethertype(packet)]
    middle = b"".join(
        vid.to_bytes(2, "big") + following for (_, vid), following in zip(tags, types[1:], strict=True)
    )
    return types[0], middle + packet


def pcap(
    packets: Sequence[bytes],
    *,
    link: int = ETHERNET,
    order: str = "<",
    magic: int = MICROSECONDS,
    snaplen: int = 262144,
) -> bytes:
    """A pcap file; packets longer than snaplen are cut as a capture would."""
    header = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snaplen, link)
    return header + b"".join(
        struct.pack(f"{order}IIII", 1700000000 + at, at, len(packet[:snaplen]), len(packet))
        + packet[:snaplen]
        for at, packet in enumerate(packets)
    )


@dataclass(frozen=True)
class Ng:
    """Blocks of a pcapng file in one byte order."""

    order: str = "<"

    def block(self, kind: int, body: bytes) -> bytes:
        """Any block; the body is padded."""
        body += bytes(-len(body) % 4)
        length = struct.pack(f"{self.order}I", 12 + len(body))
        return struct.pack(f"{self.order}I", kind) + length + body + length

    def section(self, minor: int = 0) -> bytes:
        """A section header with a comment."""
        options = struct.pack(f"{self.order}HH4sHH", 1, 4, b"hand", 0, 0)
        return self.block(0x0A0D0D0A, struct.pack(f"{self.order}IHHq", 0x1A2B3C4D, 1, minor, -1) + options)

    def interface(self, link: int = ETHERNET, snaplen: int = 0) -> bytes:
        """A description of an interface with a name."""
        options = struct.pack(f"{self.order}HH3sxHH", 2, 3, b"xe0", 0, 0)
        return self.block(1, struct.pack(f"{self.order}HHI", link, 0, snaplen) + options)

    def enhanced(self, packet: bytes, interface: int = 0, wire: int | None = None) -> bytes:
        """An enhanced packet block with a comment behind the packet."""
        fixed = struct.pack(
            f"{self.order}IIIII",
            interface,
            0x60000,
            0x1234,
            len(packet),
            len(packet) if wire is None else wire,
        )
        options = struct.pack(f"{self.order}HH2s2xHH", 1, 2, b"hi", 0, 0)
        return self.block(6, fixed + packet + bytes(-len(packet) % 4) + options)

    def simple(self, packet: bytes, wire: int | None = None) -> bytes:
        """A simple packet block, of interface 0."""
        return self.block(3, struct.pack(f"{self.order}I", len(packet) if wire is None else wire) + packet)

    def obsolete(self, packet: bytes, interface: int = 0) -> bytes:
        """A packet block as it was before the enhanced one."""
        fixed = struct.pack(f"{self.order}HHIIII", interface, 3, 0x60000, 0x1234, len(packet), len(packet))
        return self.block(2, fixed + packet)

    def others(self) -> bytes:
        """Blocks that hold no packet: names, statistics, custom, decryption secrets, one nobody knows."""
        names = struct.pack(f"{self.order}HH4s8sHH", 1, 12, bytes([10, 1, 0, 10]), b"pc1.lab\0", 0, 0)
        statistics = struct.pack(f"{self.order}III", 0, 0x60000, 0x1234)
        custom = struct.pack(f"{self.order}I", 32473) + ethernet(ip4(udp(50005, 3479)))
        return (
            self.block(4, names)
            + self.block(5, statistics)
            + self.block(0xBAD, custom)
            + self.block(0x0A, struct.pack(f"{self.order}II", 0x544C534B, 4) + b"keys")
            + self.block(0x7FFFFFFF, b"")
        )
