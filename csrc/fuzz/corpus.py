#!/usr/bin/env python3
"""Write what the fuzzers begin with: DIR/tables.bin and seeds for each target in DIR/corpus/TARGET.

    python3 csrc/fuzz/corpus.py DIR           # or: make -C csrc fuzz

The same seeds every time: the tests' own hand-made packets and captures, as many kinds as there are;
libFuzzer does the rest. How a target reads its input is told at the head of its C file.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from edge.qos.model import Policy, Rule  # noqa: E402 - the tree is no installed package here
from edge.qos.profiles import PROFILES, profile  # noqa: E402
from edge.qos.table import compile_policy  # noqa: E402
from tests.bench.policies import TWELVE, large  # noqa: E402
from tests.fastpath import captures  # noqa: E402
from tests.fastpath.captures import Ng, ethernet, ip4, ip6, udp  # noqa: E402

HINTS = Policy(
    "hints",
    (
        Rule("rtp", "voice", 46, hint="rtp", source_ports=(1024, 65535)),
        Rule("stun", "video", 34, hint="stun"),
        Rule("keeps", "sharing", None, existing_dscp=(1, 2, 18)),
        Rule("sctp", "files", 10, (132, 33, 136), either_ports=(5000, 6000)),
    ),
    unmatched_dscp=None,
)
POLICIES = (TWELVE, HINTS, large(40), large(100), large(500))


def tables() -> Iterator[bytes]:
    """Every built-in policy both ways, and ours, of each structure and lane."""
    for name in PROFILES:
        for direction in ("out", "in"):
            yield compile_policy(profile(name), direction, "mark")  # type: ignore[arg-type]
    yield compile_policy(TWELVE, "out", "steer")
    for policy in POLICIES:
        yield compile_policy(policy, "out", "mark")


def ip_packets() -> Iterator[bytes]:
    """Packets of each kind that the parser tells apart."""
    stun = bytes.fromhex("000100002112a442") + bytes(12)
    rtp = bytes.fromhex("80000001") + bytes(8)
    for ports in ((50005, 40000), (40000, 50025), (50045, 53), (53, 3478), (5060, 5061), (3479, 443)):
        for payload in (b"", rtp, stun):
            segment = udp(*ports, payload)
            yield ip4(segment)
            yield ip6(segment)
    segment = udp(50005, 40000, rtp)
    for protocol in (1, 6, 33, 47, 50, 51, 132, 136):
        yield ip4(segment + bytes(12), protocol=protocol)
        yield ip6(segment + bytes(12), next_header=protocol)
    for tos in (0x01, 0x28, 0x38, 0x48, 0x60, 0x88, 0xB8, 0xB9, 0xFF):
        yield ip4(segment, tos=tos)
        yield ip6(segment, traffic_class=tos)
    for options in (4, 20, 40):
        yield ip4(segment, options=b"\x01" * options)
    for source, destination in (
        ("10.1.2.3", "10.20.3.4"),
        ("10.1.2.3", "52.115.1.1"),
        ("10.9.0.1", "172.20.0.1"),
    ):
        yield ip4(segment, source, destination)
    for flags in (b"\x20\x00", b"\x20\x10", b"\x00\x10", b"\x40\x00"):
        packet = ip4(segment)
        yield packet[:6] + flags + packet[8:]
    for total in (0, 19, 20, 23, 24, 28, 65535):
        packet = ip4(segment)
        yield packet[:2] + total.to_bytes(2, "big") + packet[4:]
    for kind in (0, 43, 44, 51, 60, 135, 139, 140):
        header = bytes([17, 0]) + bytes(6)
        yield ip6(header + (bytes(4) if kind == 51 else b"") + segment, next_header=kind)
        yield ip6((bytes([kind, 0]) + bytes(6)) * 8 + header + segment, next_header=kind)
        yield ip6(bytes([17, 255]) + bytes(2046) + segment, next_header=kind)
    yield ip6(bytes([17, 0, 0, 9]) + bytes(4) + segment, next_header=44)
    yield ip6(bytes([17, 0, 0, 1]) + bytes(4) + segment, next_header=44)


def frames() -> Iterator[bytes]:
    """The packets in Ethernet, with the tags that are read and one more, and things that are no IP."""
    stacks: tuple[tuple[tuple[int, int], ...], ...] = (
        (),
        ((0x8100, 100),),
        ((0x88A8, 3), (0x8100, 100)),
        ((0x9100, 3), (0x9100, 4), (0x8100, 5)),
    )
    for number, packet in enumerate(ip_packets()):
        yield ethernet(packet, *stacks[number % len(stacks)])
        yield ethernet(packet)
    yield captures.MACS + b"\x08\x06" + bytes(28)
    yield captures.MACS + b"\x81\x00"
    yield b""


def classify_seeds() -> Iterator[bytes]:
    """Batches: eight alike and one other, as the AVX2 lane takes them; each frame alone, whole and cut."""
    every = list(frames())
    count = len(list(tables()))
    for number, frame in enumerate(every):
        table = number % count
        yield bytes([table, 3]) + _framed([frame])
        yield bytes([table, 0]) + _framed([frame[: len(frame) // 2], frame[:37], frame[:53]])
        yield bytes([table, 1]) + _framed([*[frame] * 8, every[number * 7 % len(every)]])
    for table in range(count):
        yield bytes([table, 2]) + _framed(
            [frame for frame in every if len(frame) < 200][table :: count // 2 + 1][:24]
        )


def _framed(packets: list[bytes]) -> bytes:
    return b"".join(struct.pack("<H", len(packet)) + packet for packet in packets)


def table_seeds() -> Iterator[bytes]:
    """Each table as it is, with offsets in its head beyond the end, and with holes in its areas."""
    some = [*frames()][::17]
    for number in range(len(list(tables()))):
        for frame in some[:3]:
            yield bytes([number, 0]) + frame
            for at in range(12, 184, 4):
                patch = struct.pack("<IB", 0x80000000 | at, 4) + b"\xfd\xff\xff\xff"
                yield bytes([number, 1]) + patch + frame
            for at in (300, 900, 5000, 60000):
                yield bytes([number, 1]) + struct.pack("<IB", at, 64) + b"\xff" * 64 + frame


def capture_files() -> Iterator[bytes]:
    """Files of every format, byte order, block and link type."""
    packets = list(ip_packets())[::9]
    wrapped = {
        captures.ETHERNET: [ethernet(packet) for packet in packets],
        captures.SLL: [captures.cooked(packet, (0x8100, 7)) for packet in packets],
        captures.SLL2: [captures.cooked2(packet) for packet in packets],
        captures.RAW: packets,
        captures.IPV4_ONLY: packets,
        captures.IPV6_ONLY: packets,
        captures.USB: packets,
    }
    for order in "<>":
        ng = Ng(order)
        for link, own in wrapped.items():
            for magic in (captures.MICROSECONDS, captures.NANOSECONDS):
                yield captures.pcap(own[:4], link=link, order=order, magic=magic, snaplen=60)
            head = ng.section() + ng.interface(link, 64)
            yield head + b"".join(ng.enhanced(packet) for packet in own[:3]) + ng.others()
            yield head + b"".join(ng.simple(packet[:64], len(packet)) for packet in own[:3])
            yield head + ng.others() + b"".join(ng.obsolete(packet) for packet in own[:3])
        yield Ng("<").section() + ng.section(2) + ng.interface() * 3 + ng.enhanced(packets[0], 2)


def capture_seeds() -> Iterator[bytes]:
    """Each file with several lengths of pieces, whole and cut."""
    for number, file in enumerate(capture_files()):
        for piece in (0, 70, 4000, 65535):
            yield struct.pack("<H", piece) + file
        yield struct.pack("<H", 33) + file[: len(file) * (number % 7 + 1) // 8]


def tag_seeds() -> Iterator[bytes]:
    """Each frame with and without a tag in metadata."""
    for number, frame in enumerate(frames()):
        settings = bytes([number % 8, 1, number % 6]) + bytes(range(29))
        yield struct.pack("<HH", 0x8100 if number % 2 else 0, number) + settings + frame


SEEDS = {"classify": classify_seeds, "table": table_seeds, "capture": capture_seeds, "tags": tag_seeds}


def main() -> int:
    """Write the files."""
    if len(sys.argv) != 2:
        print("usage: corpus.py DIR", file=sys.stderr)
        return 2
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    octets = b"".join(struct.pack("=I", len(table)) + table for table in tables())
    (target / "tables.bin").write_bytes(octets)
    for name, seeds in SEEDS.items():
        directory = target / "corpus" / name
        directory.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds()):
            (directory / f"seed-{number:04}").write_bytes(seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
