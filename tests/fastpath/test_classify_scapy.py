"""scapy as a third opinion: it builds the packets, reads their fields and computes the sums, and knows
neither the oracle nor the C."""

from __future__ import annotations

import ipaddress
import random

import pytest
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from edge.fastpath.classify import Lane, Table, lanes
from edge.qos.model import Policy, Rule
from tests.fastpath.corpus import laid_out

VOICE = Rule("voice", "voice", 46, protocols=(17,), either_ports=(50000, 50019))
VIDEO = Rule("video", "video", 34, protocols=(6, 17), destination_ports=(50020, 50039))
RELAY = Rule(
    "relay", "sharing", 18, protocols=(17,), destination_ports=(3478, 3481),
    destination=(ipaddress.ip_network("52.112.0.0/14"), ipaddress.ip_network("2603:1063::/38")),
)  # fmt: skip
SITE = Rule("site", "files", 10, source=(ipaddress.ip_network("10.1.0.0/16"),))
POLICY = Policy("third-opinion", (VOICE, VIDEO, RELAY, SITE))


def drawn(draw: random.Random) -> Packet:
    """A well-formed frame."""
    ports = [draw.choice((49999, 50000, 50019, 50020, 50039, 3478, 443, draw.randrange(65536))) for _ in "sd"]
    transport = draw.choice((UDP, TCP))(sport=ports[0], dport=ports[1]) / Raw(
        draw.randbytes(draw.randrange(30))
    )
    if draw.random() < 0.6:
        network = IP(
            src=f"10.{draw.choice((0, 1, 2))}.3.4",
            dst=draw.choice(("52.112.9.9", "52.116.0.0", "192.0.2.1")),
            tos=draw.randrange(256),
            options=[IPOption_NOP()] * draw.choice((0, 0, 4, 8)),
            frag=draw.choice((0, 0, 0, 100)),
            flags=draw.choice(("", "DF", "MF")),
        )
    else:
        network = IPv6(
            src="2001:db8::1", dst=draw.choice(("2603:1063::5", "2001:db8::2")), tc=draw.randrange(256)
        )
        for header in (
            IPv6ExtHdrHopByHop(),
            IPv6ExtHdrDestOpt(),
            IPv6ExtHdrFragment(offset=draw.choice((0, 5))),
        ):
            if draw.random() < 0.2:
                network = network / header
    frame = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for tag in draw.choice(((), (), (Dot1Q(vlan=100),), (Dot1AD(vlan=5), Dot1Q(vlan=100)))):
        frame = frame / tag
    return frame / network / transport


def expected_dscp(octets: bytes) -> int:
    """What the policy gives, from scapy's fields."""
    packet = Ether(octets)
    network = packet[IP] if IP in packet else packet[IPv6]
    later = (IP in packet and packet[IP].frag) or (
        IPv6ExtHdrFragment in packet and packet[IPv6ExtHdrFragment].offset
    )
    layer = None if later else packet.getlayer(UDP) or packet.getlayer(TCP)
    source, destination = ipaddress.ip_address(network.src), ipaddress.ip_address(network.dst)
    if layer is not None:
        if UDP in packet and (50000 <= layer.sport <= 50019 or 50000 <= layer.dport <= 50019):
            return 46
        if 50020 <= layer.dport <= 50039:
            return 34
        relay = any(destination in prefix for prefix in RELAY.destination)
        if UDP in packet and 3478 <= layer.dport <= 3481 and relay:
            return 18
    return 10 if source in SITE.source[0] else 0


@pytest.mark.parametrize("lane", lanes(), ids=lambda lane: lane.name)
def test_scapy_reads_the_class_that_it_expects_and_finds_the_checksums_right(lane: Lane) -> None:
    draw = random.Random(11)
    frames = [bytes(drawn(draw)) for _ in range(1500)]
    buffer, offsets, lengths = laid_out(frames)
    Table(POLICY, "out", "mark").mark(buffer, offsets, lengths, lane)
    seen = set()
    for before, offset, length in zip(frames, offsets, lengths, strict=True):
        octets = bytes(buffer[offset : offset + length])
        after, wanted = Ether(octets), expected_dscp(before)
        seen.add(wanted)
        if IP in after:
            assert (after[IP].tos >> 2, after[IP].tos & 3) == (wanted, Ether(before)[IP].tos & 3)
            header = after[IP].copy()
            del header.chksum
            assert IP(bytes(header)).chksum == after[IP].chksum
        else:
            assert (after[IPv6].tc >> 2, after[IPv6].tc & 3) == (wanted, Ether(before)[IPv6].tc & 3)
    assert seen == {46, 34, 18, 10, 0}
