"""Packets in words and in hexadecimal."""

from __future__ import annotations

import random
import warnings

import pytest
from hypothesis import given, settings

from edge.errors import UsageError
from edge.qos.dissect import dissect
from edge.qos.hexdump import begins_with_ip, parse_hex
from edge.qos.names import (
    DSCP_BY_NAME,
    PROTOCOL_BY_NAME,
    dscp_name,
    parse_dscp,
    parse_protocol,
    protocol_name,
)
from edge.qos.packets import octets, parse, words
from tests.unit.qos_strategies import packets


@settings(max_examples=200, deadline=None)
@given(packets())
def test_words_of_a_packet_say_the_packet_again(packet) -> None:
    text = words(packet)
    again = parse(f"{text} payload {packet.payload.hex()}" if packet.payload else text)
    assert again == packet


@settings(max_examples=200, deadline=None)
@given(packets())
def test_octets_of_a_packet_show_what_the_words_say(packet) -> None:
    seen = dissect(octets(packet))
    assert (seen.source, seen.destination, seen.protocol) == (
        packet.source,
        packet.destination,
        packet.protocol,
    )
    assert (seen.dscp, seen.ecn, seen.fragment) == (packet.dscp, packet.ecn, packet.fragment)
    assert seen.tags == tuple((tag.tpid, tag.vid) for tag in packet.tags)
    assert seen.ports == (None if packet.fragment == "later" else packet.ports)


@pytest.mark.parametrize(
    "text",
    [
        "udp 10.1.0.10:50005 > 52.112.0.10:3479 payload 616263",
        "tcp 10.1.0.10:50005 > 52.112.0.10:443 dscp AF41 ecn 1 stag 3 vlan 100",
        "icmp 10.1.0.10 > 10.1.0.11 payload 00",
        "udp [2001:db8::1]:50005 > [2001:db8::2]:3479 dscp EF payload 61",
        "tcp [2001:db8::1]:50005 > [2001:db8::2]:443 vlan 7",
        "icmp 2001:db8::1 > 2001:db8::2",
    ],
)
def test_scapy_builds_the_same_checksums(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from scapy.layers.inet import ICMP, IP, TCP, UDP
        from scapy.layers.inet6 import IPv6
        from scapy.layers.l2 import Ether
    frame = octets(parse(text))
    packet = Ether(frame)
    for layer in (IP, TCP, UDP, ICMP):
        if layer in packet:
            packet[layer].chksum = None
    if IPv6 in packet and hasattr(packet[IPv6].payload, "cksum"):
        packet[IPv6].payload.cksum = None
    assert bytes(packet) == frame


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a packet; write one such as 'udp 10.1.0.10:50005 > 52.112.0.10:3479'"),
        ("udp 10.1.0.10:1 52.112.0.10:2", "is not a packet"),
        ("upd 10.1.0.10:1 > 52.112.0.10:2", "there is no protocol 'upd'; did you mean udp?"),
        ("udp 10.1.0.10 > 52.112.0.10:2", "10.1.0.10 has no port, which udp needs; write 10.1.0.10:50005"),
        ("udp 2001:db8::1 > 52.112.0.10:2", "write [2001:db8::1]:50005"),
        ("icmp 10.1.0.10:1 > 52.112.0.10", "icmp has no ports; write 10.1.0.10 alone"),
        ("udp 10.1.0.10:70000 > 52.112.0.10:2", "port 70000 is above 65535"),
        ("udp 10.1.0.300:1 > 52.112.0.10:2", "'10.1.0.300' is no address"),
        ("udp [fe80::1%eth0]:1 > [fe80::2]:2", "names a zone, which no packet carries; write fe80::1"),
        ("udp 10.1.0.10:1 > [2001:db8::1]:2", "are not of one IP version"),
        ("udp 10.1.0.10:1 > 52.112.0.10:2 dcsp 46", "a packet has no 'dcsp'; did you mean dscp?"),
        ("udp 10.1.0.10:1 > 52.112.0.10:2 dscp 64", "'64' is not a DSCP"),
        ("udp 10.1.0.10:1 > 52.112.0.10:2 dscp", "dscp says nothing"),
        ("udp 10.1.0.10:1 > 52.112.0.10:2 ecn 4", "ecn '4' is not two bits"),
        ("udp 10.1.0.10:1 > 52.112.0.10:2 vlan 4095", "'4095' is not a VLAN id"),
        ("udp 10.1.0.10:1 > 52.112.0.10:2 vlan 1 vlan 2 vlan 3", "3 tags are more than 2"),
        ("udp 10.1.0.10:1 > 52.112.0.10:2 fragment second", "write first or later"),
        ("udp 10.1.0.10:1 > 52.112.0.10:2 payload xyz", "is not a payload"),
        ("udp '10.1.0.10:1 > 52.112.0.10:2", "is not closed"),
    ],
)
def test_wrong_words_are_refused_with_the_way_out(text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text)
    assert said in str(refused.value)


OCTETS = bytes(range(0x30, 0x30 + 40))


@pytest.mark.parametrize(
    "text",
    [
        OCTETS.hex(),
        OCTETS.hex(" "),
        OCTETS.hex(":"),
        OCTETS.hex("-"),
        OCTETS.hex(" ", 2).upper(),
        "0x" + OCTETS.hex(),
        "\n".join((OCTETS[:20].hex(" "), OCTETS[20:].hex(" "))),
        # tcpdump -xx, tcpdump -XX, Wireshark, xxd, hexdump -C
        "\n".join(f"\t0x{n:04x}:  {OCTETS[n : n + 16].hex(' ', 2)}" for n in range(0, 40, 16)),
        "\n".join(
            f"\t0x{n:04x}:  {OCTETS[n : n + 16].hex(' ', 2):<39}  {OCTETS[n : n + 16].decode()}"
            for n in range(0, 40, 16)
        ),
        "\n".join(
            f"{n:04x}  {OCTETS[n : n + 16].hex(' '):<47}   {OCTETS[n : n + 16].decode()}"
            for n in range(0, 40, 16)
        ),
        "\n".join(
            f"{n:08x}: {OCTETS[n : n + 16].hex(' ', 2):<39}  {OCTETS[n : n + 16].decode()}"
            for n in range(0, 40, 16)
        ),
        "\n".join(
            f"{n:08x}  {OCTETS[n : n + 8].hex(' '):<23}  {OCTETS[n + 8 : n + 16].hex(' '):<23}  "
            f"|{OCTETS[n : n + 16].decode()}|"
            for n in range(0, 40, 16)
        ),
    ],
)
def test_hexadecimal_is_read_as_people_have_it(text: str) -> None:
    assert parse_hex(text) == OCTETS


SUMMARY = "22:13:20.528523 IP 10.1.0.10.50005 > 52.112.0.10.3479: UDP, length 4\n"
PLAIN = "4500 0020 0000 4000 4011 fc48 0a01 000a", "3470 000a c355 0d97 000c 6de2 4141 4141"
FRAME = (
    "0200 0000 0002 0200 0000 0001 8100 0064",
    "0800 4500 0020 0000 4000 4011 fc48 0a01",
    "000a 3470 000a c355 0d97 000c 6de2 4141",
    "4141",
)


def dump(lines: tuple[str, ...], texts: tuple[str, ...] = ()) -> str:
    """As tcpdump prints a packet, with -X and -XX as text, too."""
    shown = [f"{line:<39}  {text}" for line, text in zip(lines, texts, strict=True)] if texts else lines
    return "".join(f"\t0x{number * 16:04x}:  {line}\n" for number, line in enumerate(shown))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (SUMMARY + dump(FRAME), FRAME),
        (SUMMARY + dump(PLAIN), PLAIN),
        (SUMMARY.partition(" ")[2] + dump(FRAME), FRAME),
        (SUMMARY + dump(PLAIN, ("E.....@.@..H....", "4p...U....m.AAAA")), PLAIN),
        (SUMMARY + dump(FRAME, ("...............d", "..E.....@.@..H..", "..4p...U....m.AA", "AA")), FRAME),
        (
            "22:13:20.528523 IP (tos 0x0, ttl 64)\n    10.1.0.10.50005 > 52.112.0.10.3479: UDP\n"
            + dump(FRAME),
            FRAME,
        ),
        (2 * (SUMMARY + dump(FRAME)), FRAME),
        (2 * dump(FRAME), FRAME),
        ("00000000  45 00 00 20                                       |E.. |\n00000004\n", ("4500 0020",)),
    ],
    ids=["xx", "x", "t", "X", "XX", "v", "two", "two-bare", "hexdump"],
)
def test_of_what_tcpdump_prints_the_first_packet_is_read(text: str, lines: tuple[str, ...]) -> None:
    assert parse_hex(text) == bytes.fromhex("".join(lines))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there are no octets"),
        ("45 0", "'0' is not hexadecimal"),
        ("45 zz", "'zz' is not hexadecimal"),
        ("00" * 70000, "70000 octets are more than one packet has"),
        ("22:13:20.528523 IP 10.1.0.10.50005 > 10.1.0.11.9: UDP", "or a dump as of tcpdump -xx"),
        ("00000000  30 31\n*\n00000020  30 31", "all, as with hexdump -v"),
        ("0x0000:  4500 0023\n0x0010:  4500", "offset 0x0010 of the dump comes after 4 octets; give all"),
    ],
)
def test_what_is_no_hexadecimal_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_hex(text)


@pytest.mark.parametrize(
    "source", ["129.0.0.10", "8.0.69.10", "136.168.0.1", "2001:db8:8100::1", "2001:db8:86dd:6000::1"]
)
def test_an_address_that_reads_as_an_ethertype_makes_no_frame_of_a_packet(source: str) -> None:
    ends = (f"[{source}]", "[2603:1063::1]") if ":" in source else (source, "52.112.0.10")
    frame = octets(parse(f"udp {ends[0]}:50005 > {ends[1]}:3479"))
    assert begins_with_ip(frame[14:])
    assert not begins_with_ip(frame)


@settings(max_examples=100, deadline=None)
@given(packets())
def test_a_frame_and_a_bare_packet_are_told_apart(packet) -> None:
    frame = octets(packet)
    assert not begins_with_ip(frame)
    assert begins_with_ip(frame[14 + 4 * len(packet.tags) :])


def test_names_and_numbers_are_the_same_both_ways() -> None:
    assert all(parse_dscp(dscp_name(number)) == number for number in range(64))
    assert all(parse_dscp(name.lower()) == number for name, number in DSCP_BY_NAME.items())
    assert [parse_dscp(word) for word in ("", "64", "-1", "EFF", "٣")] == [None] * 5
    assert all(parse_protocol(protocol_name(n).removeprefix("protocol ")) == n for n in range(256))
    assert all(parse_protocol(name.upper()) == number for name, number in PROTOCOL_BY_NAME.items())
    assert [parse_protocol(word) for word in ("", "256", "udpp")] == [None] * 3


def test_octets_of_noise_always_have_words() -> None:
    noise = random.Random(7)
    for _ in range(500):
        assert words(dissect(noise.randbytes(noise.randrange(80))))
