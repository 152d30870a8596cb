from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from edge.fastpath.frames import FrameTag
from lab.frames import summarize


@pytest.mark.parametrize(
    ("packet", "text"),
    [
        (Ether() / ARP(), "untagged arp"),
        (Ether() / Dot1Q(vlan=3) / Dot1Q(vlan=100) / IP() / TCP(dport=179), "3/100 bgp"),
        (Ether() / Dot1Q(vlan=3) / IP() / TCP(sport=179, dport=4000), "3 bgp"),
        (Ether() / Dot1AD(vlan=3) / Dot1Q(vlan=100) / IP(ttl=255) / UDP(dport=3784), "3/100 bfd"),
        (Ether() / Dot1Q(vlan=5) / IPv6(hlim=255) / UDP(dport=3784), "5 bfd"),
        (Ether() / IP() / ICMP(), "untagged icmp"),
        (Ether() / IP(frag=4, proto=1) / Raw(bytes(64)), "untagged icmp"),
        (Ether() / IP(frag=4, proto=6) / Raw(b"\x00\xb3" * 20), "untagged ethertype 0x0800"),
        (Ether() / IPv6() / ICMPv6EchoRequest(), "untagged icmp6"),
        (Ether() / IPv6() / IPv6ExtHdrHopByHop() / ICMPv6EchoRequest(), "untagged icmp6"),
        (Ether() / IP() / TCP(dport=80), "untagged ethertype 0x0800"),
        (Ether(type=0x88CC) / Raw(b"lldp"), "untagged ethertype 0x88cc"),
    ],
)
def test_a_frame_is_labelled_by_tags_and_protocol(packet: Packet, text: str) -> None:
    assert str(summarize(bytes(packet))) == text


def test_priority_and_ethertype_of_tags_are_kept() -> None:
    frame = bytes(Ether() / Dot1AD(vlan=3, prio=5) / Dot1Q(vlan=4095) / ARP())
    assert summarize(frame).tags == (FrameTag(0x88A8, 3, pcp=5), FrameTag(0x8100, 4095))


@given(st.lists(st.integers(0, 4095), max_size=8), st.integers(0, 80))
def test_a_cut_frame_shows_only_whole_tags(vids: list[int], kept: int) -> None:
    frame = bytes(12) + b"".join(b"\x81\x00" + vid.to_bytes(2, "big") for vid in vids) + b"\x08\x06"
    summary = summarize(frame[:kept])
    assert summary.vids == tuple(vids[: max(0, min(kept, len(frame)) - 12) // 4])
    assert (summary.protocol == "arp") is (kept >= len(frame))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_summary(data: bytes) -> None:
    for frame in (data, bytes(12) + b"\x08\x00" + data, bytes(12) + b"\x86\xdd`" + data):
        assert str(summarize(frame))
