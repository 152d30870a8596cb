"""The oracle is judged, too: by examples from the documents, by scapy, and by what must hold of any frame."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.qos.dissect import dissect
from edge.qos.model import Policy, Rule
from edge.qos.packets import PAYLOADS, checksum, octets, parse
from tests import oracle
from tests.unit.qos_strategies import frames, policies

VOICE = Rule("audio", "voice", 46, (17,), either_ports=(50000, 50019))
POLICY = Policy("p", (VOICE,))
MACS = bytes(12)


def rule_of(frame: bytes, *rules: Rule) -> int | None:
    return oracle.verdict(frame, Policy("p", rules or (VOICE,)), "out", "mark")[0].rule


def ipv6(next_header: int, payload: bytes, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    header = struct.pack("!IHBB", 6 << 28, size, next_header, 64)
    return MACS + b"\x86\xdd" + header + bytes(32) + payload


UDP = struct.pack("!HHHH", 50005, 3479, 8, 0)


def test_rfc_1624_example_of_section_4() -> None:
    assert oracle.updated_checksum(0xDD2F, 0x5555, 0x3285) == 0x0000


def test_checksum_of_a_marked_packet_is_valid_and_ecn_is_kept() -> None:
    frame = octets(parse("udp 10.1.0.10:50005 > 52.112.0.10:3479 ecn 3"))
    _, marked = oracle.verdict(frame, POLICY, "out", "mark")
    assert marked[15] == 46 << 2 | 3
    assert checksum(marked[14:34]) == 0
    assert [at for at in range(len(frame)) if frame[at] != marked[at]] == [15, 24, 25]


def test_a_wrong_checksum_stays_wrong_by_the_same_amount() -> None:
    frame = bytearray(octets(parse("udp 10.1.0.10:50005 > 52.112.0.10:3479")))
    frame[24] ^= 0x01
    before = checksum(bytes(frame[14:34]))
    _, marked = oracle.verdict(bytes(frame), POLICY, "out", "mark")
    assert checksum(marked[14:34]) == before != 0


@pytest.mark.parametrize("tags", ["", "vlan 5", "stag 3 vlan 100", "vlan 3 vlan 4"])
def test_up_to_two_tags_are_passed_over(tags: str) -> None:
    assert rule_of(octets(parse(f"udp 10.1.0.10:50005 > 52.112.0.10:3479 {tags}"))) == 0


def test_a_third_tag_makes_a_frame_opaque() -> None:
    frame = octets(parse("udp 10.1.0.10:50005 > 52.112.0.10:3479 stag 3 vlan 100"))
    three = frame[:12] + b"\x91\x00\x00\x07" + frame[12:]
    verdict, left = oracle.verdict(three, Policy("p", (Rule("all", "voice", 46),)), "out", "mark")
    assert (verdict.class_name, verdict.rule, verdict.dscp, left) == ("default", None, 0, three)


def test_a_first_fragment_has_ports_and_a_later_one_has_none() -> None:
    words = "udp 10.1.0.10:50005 > 52.112.0.10:3479 payload rtp fragment"
    later = octets(parse(f"{words} later"))
    assert rule_of(octets(parse(f"{words} first"))) == 0
    assert rule_of(later) is None
    assert rule_of(later, Rule("udp", "voice", 46, (17,))) == 0


def test_padding_of_ethernet_is_no_part_of_a_packet() -> None:
    frame = octets(parse("udp 10.1.0.10:5000 > 52.112.0.10:3479 payload 80000000"))
    rtp = Rule("rtp", "voice", 46, (17,), hint="rtp")
    assert rule_of(frame + bytes(18), rtp) is None
    assert rule_of(frame[:16] + b"\0\0" + frame[18:] + bytes(18), rtp) == 0


def test_options_of_ipv4_are_passed_over_and_must_be_there() -> None:
    plain = octets(parse("udp 10.1.0.10:50005 > 52.112.0.10:3479"))
    frame = plain[:14] + b"\x46\x00\x00\x20" + plain[18:34] + b"\x01" * 4 + plain[34:]
    assert rule_of(frame) == 0
    assert rule_of(frame[:36]) is None
    assert rule_of(frame[:36], Rule("all", "voice", 46, (17,))) == 0


@pytest.mark.parametrize(
    ("first", "header"),
    [
        (0, bytes((17, 0)) + bytes(6)),
        (43, bytes((17, 1)) + bytes(14)),
        (60, bytes((17, 0)) + bytes(6)),
        (44, bytes((17, 0, 0, 1)) + bytes(4)),
        (51, bytes((17, 1)) + bytes(10)),
    ],
)
def test_an_extension_header_is_walked_over(first: int, header: bytes) -> None:
    assert rule_of(ipv6(first, header + UDP)) == 0
    assert rule_of(ipv6(first, (header + UDP)[:-5])) is None


def test_six_extension_headers_are_walked_over_and_no_seventh() -> None:
    header = bytes((60, 0)) + bytes(6)
    last = bytes((17, 0)) + bytes(6)
    assert rule_of(ipv6(60, header * 5 + last + UDP)) == 0
    assert rule_of(ipv6(60, header * 6 + last + UDP)) is None
    assert rule_of(ipv6(60, header * 6 + last + UDP), Rule("options", "voice", 46, (60,))) == 0


def test_a_hop_by_hop_header_stands_first_or_ends_the_walk() -> None:
    assert rule_of(ipv6(60, bytes((0, 0)) + bytes(6) + bytes((17, 0)) + bytes(6) + UDP)) is None


def test_extension_headers_end_within_512_octets() -> None:
    def options(units: int) -> bytes:
        return ipv6(60, bytes((17, units - 1)) + bytes(8 * units - 2) + UDP)

    assert rule_of(options(64)) == 0
    assert rule_of(options(65)) is None


def test_the_payload_length_of_ipv6_ends_the_packet_and_0_does_not() -> None:
    assert rule_of(ipv6(17, UDP, length=3)) is None
    assert rule_of(ipv6(17, UDP, length=0)) == 0


@pytest.mark.parametrize(
    ("payload", "hints"),
    [
        (PAYLOADS["stun"], {"stun"}),
        (PAYLOADS["stun"][:-1], set()),
        (b"\x40" + PAYLOADS["stun"][1:], set()),
        (b"\0\x01\0\x02" + PAYLOADS["stun"][4:], set()),
        (PAYLOADS["rtp"], {"rtp"}),
        (PAYLOADS["rtp"][:-1], set()),
        (b"\x80\x48" + PAYLOADS["rtp"][2:], set()),
        (b"\x80\xe0" + PAYLOADS["rtp"][2:], {"rtp"}),
        (b"\xc0" + PAYLOADS["rtp"][1:], set()),
    ],
)
def test_hints_follow_their_rfcs(payload: bytes, hints: set[str]) -> None:
    packet = oracle.read(octets(parse(f"udp 10.1.0.10:1 > 10.1.0.11:2 payload {payload.hex()}"))[14:])
    assert packet is not None
    assert packet.hints == hints


@settings(max_examples=400, deadline=None)
@given(frames(), policies(), st.sampled_from(("out", "in")), st.sampled_from(("mark", "steer")))
def test_of_any_frame_only_dscp_and_checksum_change(frame, policy, direction, treatment) -> None:
    verdict, left = oracle.verdict(frame, policy, direction, treatment)
    assert len(left) == len(frame)
    found = oracle.network_layer(frame)
    packet = None if found is None else oracle.read(frame[found[1] :], found[0])
    if packet is None or treatment == "steer":
        assert left == frame
        return
    after = oracle.read(left[found[1] :], found[0])
    assert (after.dscp, after.hints, after.ports) == (verdict.dscp, packet.hints, packet.ports)
    at = found[1]
    may_change = {at, at + 1} | ({at + 10, at + 11} if found[0] == oracle.IPV4 else set())
    assert {n for n in range(len(frame)) if frame[n] != left[n]} <= may_change
    ecn = (left[at + 1] ^ frame[at + 1]) & (3 if found[0] == oracle.IPV4 else 0x30)
    assert ecn == 0


@settings(max_examples=400, deadline=None)
@given(frames())
def test_the_reader_for_people_sees_what_the_oracle_sees(frame) -> None:
    seen = dissect(frame)
    found = oracle.network_layer(frame)
    packet = None if found is None else oracle.read(frame[found[1] :], found[0])
    assert bool(seen.opaque) == (packet is None)
    if packet is not None:
        told = (seen.source, seen.destination, seen.protocol, seen.dscp, seen.ports, seen.hints)
        asked = (packet.source, packet.destination, packet.protocol, packet.dscp, packet.ports, packet.hints)
        assert told == asked
        assert (seen.no_ports == "") == (seen.ports is not None)
