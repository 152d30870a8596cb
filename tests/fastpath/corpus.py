"""Packets and policies from a seed: well formed, odd and broken. Used by the tests of the packet core."""

from __future__ import annotations

import ipaddress
import random
import struct
from array import array
from collections.abc import Iterable
from dataclasses import replace

from edge.model import Network
from edge.qos.model import CLASSES, Policy, PortRange, Rule

TAGS = (0x8100, 0x88A8, 0x9100)
PROTOCOLS = (6, 17, 17, 17, 33, 132, 136, 1, 47, 50, 51, 58, 59)
EXTENSIONS = (0, 43, 44, 51, 60)
PORTS = (
    53,
    443,
    3478,
    3479,
    3480,
    3481,
    5060,
    5061,
    49999,
    50000,
    50010,
    50019,
    50020,
    50039,
    50040,
    50059,
    50060,
)
DSCPS = (0, 10, 14, 18, 24, 26, 34, 46, 63)
NETWORKS4 = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "52.112.0.0/14", "13.107.64.0/18", "192.0.2.128/25")
NETWORKS6 = ("2603:1063::/38", "2001:db8::/32", "2001:db8:1::/48", "2001:db8:1:2::/64", "2001:db8:1:2::7/128")


class Corpus:
    """Draws packets and policies; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.interesting: list[Network] = [ipaddress.ip_network(text) for text in NETWORKS4 + NETWORKS6]

    def port(self) -> int:
        return self.random.choice(PORTS) if self.random.random() < 0.8 else self.random.randrange(65536)

    def address(self, version: int) -> bytes:
        bits = 32 if version == 4 else 128
        if self.random.random() < 0.15:
            return self.random.getrandbits(bits).to_bytes(bits // 8, "big")
        prefix = self.random.choice([p for p in self.interesting if p.version == version])
        size = prefix.num_addresses
        offset = self.random.choice((0, 1, size - 1, size, self.random.randrange(size)))
        value = (int(prefix.network_address) + offset) % (1 << bits)
        return value.to_bytes(bits // 8, "big")

    def payload(self) -> bytes:
        kind = self.random.randrange(5)
        size = self.random.choice((0, 4, 11, 12, 19, 20, 40))
        if kind == 0:
            return (struct.pack("!HHI", 1, self.random.choice((0, 8, 9)), 0x2112A442) + bytes(40))[:size]
        if kind == 1:
            return (bytes((0x80, self.random.choice((0, 63, 64, 95, 96, 200, 111)))) + bytes(40))[:size]
        return self.random.randbytes(size)

    def transport(self, protocol: int) -> bytes:
        ports = struct.pack("!HH", self.port(), self.port())
        payload = self.payload()
        if protocol in (17, 136):
            return ports + struct.pack("!HH", 8 + len(payload), 0) + payload
        if protocol in (6, 33, 132):
            return ports + self.random.randbytes(16) + payload
        return self.random.randbytes(self.random.choice((0, 3, 8))) + payload

    def traffic_class(self) -> int:
        return self.random.choice(DSCPS) << 2 | self.random.randrange(4)

    def ipv4(self) -> bytes:
        protocol = self.random.choice(PROTOCOLS)
        options = self.random.randbytes(4 * self.random.choice((0, 0, 0, 0, 1, 3, 10)))
        body = self.transport(protocol)
        fragment = self.random.choice((0, 0, 0, 0, 0x4000, 0x2000, 0x2001, 0x1FFF, 0x8000))
        total = 20 + len(options) + len(body)
        if self.random.random() < 0.1:
            total = self.random.choice((0, 20, 23, 24, 28, 19, 65535, total - 1))
        start = 0x45 + len(options) // 4, self.traffic_class(), total, 7, fragment, 64, protocol, 0
        head = bytearray(struct.pack("!BBHHHBBH", *start) + self.address(4) + self.address(4) + options)
        head[10:12] = checksum(head).to_bytes(2, "big")
        return bytes(head) + body

    def ipv6(self) -> bytes:
        protocol = self.random.choice(PROTOCOLS)
        chain = [
            self.random.choice(EXTENSIONS) for _ in range(self.random.choice((0, 0, 0, 1, 1, 2, 3, 5, 6, 7)))
        ]
        if chain and self.random.random() < 0.3:
            chain[0] = 0
        body = b""
        for place, number in enumerate(chain):
            following = chain[place + 1] if place + 1 < len(chain) else protocol
            if number == 44:
                offset = self.random.choice((0, 0, 1, 6, 8, 0xFFF8, 0x0007))
                body += struct.pack("!BBHI", following, 0, offset, 99)
            elif number == 51:
                units = self.random.choice((1, 4))
                body += bytes((following, units)) + self.random.randbytes(4 * (units + 2) - 2)
            else:
                units = self.random.choice((0, 0, 1, 2, 62, 63))
                body += bytes((following, units)) + self.random.randbytes(8 * (units + 1) - 2)
        body += self.transport(protocol)
        length = len(body) & 0xFFFF
        if self.random.random() < 0.1:
            length = self.random.choice((0, 3, 4, 8, 16, 65535, max(length - 1, 0)))
        word = 6 << 28 | self.traffic_class() << 20 | self.random.getrandbits(20)
        return (
            struct.pack("!IHBB", word, length, chain[0] if chain else protocol, 64)
            + self.address(6) + self.address(6) + body
        )  # fmt: skip

    def frame(self) -> bytes:
        """An Ethernet frame, mostly IP, one in six broken."""
        version = self.random.choice((4, 4, 4, 6, 6))
        packet = self.ipv4() if version == 4 else self.ipv6()
        ethertype = 0x0800 if version == 4 else 0x86DD
        tags = b"".join(
            struct.pack("!HH", self.random.choice(TAGS), self.random.getrandbits(16))
            for _ in range(self.random.choice((0, 0, 0, 0, 1, 2, 2, 3)))
        )
        if self.random.random() < 0.03:
            ethertype = self.random.choice((0x0806, 0x88CC, 64, 0x0800, 0x86DD))
        frame = self.random.randbytes(12) + tags + ethertype.to_bytes(2, "big") + packet
        frame += bytes(max(0, 60 - len(frame))) if self.random.random() < 0.5 else b""
        return self.broken(frame) if self.random.random() < 0.17 else frame

    def broken(self, frame: bytes) -> bytes:
        """The frame cut, or with octets changed, mostly among headers."""
        if self.random.random() < 0.5:
            return frame[: self.random.randrange(len(frame) + 1)]
        changed = bytearray(frame)
        for _ in range(self.random.randrange(1, 4)):
            place = self.random.randrange(min(len(changed), 60))
            changed[place] = self.random.choice((0, 0xFF, changed[place] ^ 1 << self.random.randrange(8)))
        return bytes(changed)

    def prefix(self, version: int) -> Network:
        if self.random.random() < 0.4:
            return self.random.choice([p for p in self.interesting if p.version == version])
        bits = 32 if version == 4 else 128
        length = self.random.choice(
            (0, 8, 12, 16, 20, 24, 30, 32) if version == 4 else (0, 20, 32, 48, 56, 64, 96, 128)
        )
        base = int.from_bytes(self.address(version), "big") >> (bits - length) << (bits - length)
        if version == 4:
            return ipaddress.IPv4Network((base, length))
        return ipaddress.IPv6Network((base, length))

    def prefixes(self) -> tuple[Network, ...]:
        if self.random.random() < 0.5:
            return ()
        return tuple(
            self.prefix(self.random.choice((4, 4, 6))) for _ in range(self.random.choice((1, 1, 2, 5)))
        )

    def ports(self) -> PortRange | None:
        if self.random.random() < 0.6:
            return None
        one, other = self.port(), self.port()
        return (
            (min(one, other), max(one, other)) if self.random.random() < 0.5 else (one, min(one + 19, 65535))
        )

    def rule(self, number: int, *, hints: bool = True) -> Rule:
        draw = self.random
        return Rule(
            name=f"rule{number}",
            class_name=draw.choice(CLASSES).name,
            dscp=draw.choice((None, 46, 34, 18, 10, 0, 63)),
            protocols=tuple(
                draw.sample((6, 17, 33, 132, 136, 1, 50, 58, 44, 0), draw.choice((0, 0, 1, 1, 2)))
            ),
            source_ports=self.ports(),
            destination_ports=self.ports(),
            either_ports=self.ports() if draw.random() < 0.4 else None,
            source=self.prefixes(),
            destination=self.prefixes(),
            existing_dscp=tuple(draw.sample(DSCPS, draw.choice((0, 0, 0, 1, 3)))),
            hint=draw.choice(("", "", "", "", "stun", "rtp")) if hints else "",
            direction=draw.choice(("both", "both", "out", "in")),
        )

    def site_policy(self, rules: int) -> Policy:
        """As a network has it: many prefixes on either side or both, few kinds of ports."""
        found = tuple(
            replace(
                self.rule(number, hints=False),
                source_ports=None,
                destination_ports=self.random.choice((None, (443, 443), (3478, 3481), (50000, 50019))),
                either_ports=None,
                protocols=self.random.choice(((), (17,), (6,), (6, 17))),
                existing_dscp=(),
            )
            for number in range(rules)
        )
        self.interesting += [p for rule in found for p in (*rule.source, *rule.destination)]
        return Policy(f"site{rules}", tuple(rule for rule in found if rule.source or rule.destination))

    def policy(self, rules: int, *, hints: bool = True) -> Policy:
        """A policy; its prefixes become places where packets come from."""
        found = Policy(
            f"random{rules}",
            tuple(self.rule(number, hints=hints) for number in range(rules)),
            unmatched_dscp=self.random.choice((0, None, 10)),
        )
        self.interesting += [p for rule in found.rules for p in (*rule.source, *rule.destination)]
        return found


def checksum(header: bytes) -> int:
    """Of an IPv4 header whose checksum field is 0 (RFC 791)."""
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def laid_out(frames: Iterable[bytes]) -> tuple[bytearray, array[int], array[int]]:
    """Frames one after the other, with nothing between them: buffer, offsets, lengths."""
    buffer, offsets, lengths = bytearray(), array("Q"), array("I")
    for frame in frames:
        offsets.append(len(buffer))
        lengths.append(len(frame))
        buffer += frame
    return buffer, offsets, lengths
