"""Packets of the benches, the same every time, and files of them for programs. Pure but for `write_*`."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path

from edge.model import Network
from edge.qos.model import Policy
from tests.fastpath.captures import ethernet, ip4, ip6, pcap, udp

V4_SLOT, MIXED_SLOT = 64, 128
"""Octets from one packet to the next: a packet in one cache line, and in two."""

KINDS = 8192
"""Different packets; the large layouts draw from them."""


def v4(count: int = KINDS, seed: int = 1) -> list[bytes]:
    """IPv4 in Ethernet, 64 octets at most; about three of four match a rule of policies.TWELVE."""
    chance = random.Random(seed)
    return [ethernet(_v4(chance)) for _ in range(count)]


def mixed(count: int = KINDS, seed: int = 2) -> list[bytes]:
    """70 % IPv4, 20 % IPv6, 9 % IPv4 below two tags, 1 % IPv4 with options."""
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        kind = chance.random()
        if kind < 0.70:
            made.append(ethernet(_v4(chance)))
        elif kind < 0.90:
            made.append(ethernet(_v6(chance)))
        elif kind < 0.99:
            made.append(ethernet(_v4(chance), (0x88A8, chance.randrange(1, 4095)), (0x8100, 100)))
        else:
            made.append(ethernet(_v4(chance, b"\x01" * 4)))
    return made


def _segment(chance: random.Random) -> tuple[bytes, int]:
    """A transport header with some payload, and its protocol."""
    client = 50000 + chance.randrange(60)
    far = chance.randrange(1024, 49000)
    kind = chance.randrange(8)
    if kind < 3:
        ports = (client, far) if chance.random() < 0.5 else (far, client)
    elif kind == 3:
        ports = (far, 3478 + chance.randrange(4))
    elif kind == 4:
        return struct.pack("!HHIIBBHHH", far, 5060 + chance.randrange(2), 1, 1, 5 << 4, 0x10, 512, 0, 0), 6
    else:
        ports = (far, chance.choice((53, 443, 123, 8801)))
    return udp(*ports, bytes(6)), 17


def _v4(chance: random.Random, options: bytes = b"") -> bytes:
    segment, protocol = _segment(chance)
    source = f"10.1.{chance.randrange(256)}.{chance.randrange(1, 255)}"
    kind = chance.randrange(4)
    if kind < 2:
        destination = f"52.{112 + chance.randrange(4)}.{chance.randrange(256)}.{chance.randrange(256)}"
    elif kind == 2:
        destination = f"10.20.{chance.randrange(256)}.{chance.randrange(256)}"
    else:
        destination = f"172.20.{chance.randrange(256)}.{chance.randrange(256)}"
    return ip4(
        segment, source, destination, protocol=protocol, options=options, tos=chance.choice((0, 0, 1, 0x28))
    )


def _v6(chance: random.Random) -> bytes:
    segment, protocol = _segment(chance)
    source = f"2001:db8:{chance.randrange(1 << 16):x}::{chance.randrange(1, 1 << 16):x}"
    return ip6(segment, source, f"2603:1063::{chance.randrange(1, 1 << 16):x}", next_header=protocol)


def listed(policy: Policy, count: int = KINDS, seed: int = 5) -> list[bytes]:
    """IPv4 as from `v4`, but each to or from an address that a rule of the policy asks for, and to its ports.

    The rules are those that ask for IPv4 prefixes.
    """
    chance = random.Random(seed)
    rules = [rule for rule in policy.rules if any(_four(side) for side in (rule.source, rule.destination))]
    made = []
    for _ in range(count):
        rule = chance.choice(rules)
        source, destination = (
            _address(chance, _four(side)) if _four(side) else f"198.51.{chance.randrange(256)}.1"
            for side in (rule.source, rule.destination)
        )
        ports = (
            chance.randint(*asked) if asked else chance.randrange(1024, 49000)
            for asked in (rule.source_ports, rule.destination_ports)
        )
        made.append(ethernet(ip4(udp(*ports, bytes(6)), source, destination)))
    return made


def _four(prefixes: Sequence[Network]) -> list[IPv4Network]:
    return [prefix for prefix in prefixes if isinstance(prefix, IPv4Network)]


def _address(chance: random.Random, prefixes: Sequence[IPv4Network]) -> str:
    prefix = chance.choice(prefixes)
    return str(prefix.network_address + chance.randrange(prefix.num_addresses))


def write_packets(path: Path, packets: Sequence[bytes], slot: int) -> None:
    """The file that rivals/measure.h reads. Raises OSError."""
    octets = b"".join(struct.pack("<H", len(packet)) + packet for packet in packets)
    path.write_bytes(struct.pack("<H", slot) + octets)


def write_capture(path: Path, octets: int, seed: int = 3) -> int:
    """A pcap of about so many octets: 235 flows, sizes as on the Internet (mostly small). How many packets.

    Raises OSError.
    """
    chance = random.Random(seed)
    flows = v4(235, seed)
    packets = []
    for _ in range(20000):
        frame = chance.choice(flows)
        wanted = chance.choices((64, 570, 1400), (7, 4, 2))[0]
        packets.append(frame + bytes(max(0, wanted - len(frame))))
    file = pcap(packets)
    written = rounds = 0
    with path.open("wb") as target:
        written += target.write(file[:24])
        while written < octets or not rounds:
            written += target.write(file[24:])
            rounds += 1
    return rounds * len(packets)
