"""What the comparison of realisations leaves out of a frame, and what it does not."""

from __future__ import annotations

import pytest

from tests.alike import MARK, alike

scapy = pytest.importorskip("scapy.all")
Dot1Q, Ether, IP, IPv6, ICMP, UDP, TCP, Raw, ARP = (
    getattr(scapy, name) for name in ["Dot1Q", "Ether", "IP", "IPv6", "ICMP", "UDP", "TCP", "Raw", "ARP"]
)
A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"
LINK = Ether(src=A, dst=B) / Dot1Q(vlan=3) / Dot1Q(vlan=100)
V4 = {"src": "192.0.2.1", "dst": "192.0.2.2"}
V6 = {"src": "2001:db8::1", "dst": "2001:db8::2"}
OPEN = b"\xff" * 16 + b"\0\x1d\x01\x04" + bytes(9)
KEEPALIVE = b"\xff" * 16 + b"\0\x13\x04"
UPDATE = b"\xff" * 16 + b"\0\x17\x02" + bytes(4)


def octets(packet: object) -> bytes:
    return bytes(packet)  # type: ignore[call-overload]


def bfd(state: int = 3, poll: int = 0, mine: bytes = b"aaaa", sport: int = 50000, **ip: int) -> bytes:
    control = bytes([0x20, state << 6 | poll << 5, 3, 24]) + mine + b"yyyy" + bytes(12)
    return octets(LINK / IP(**V4, ttl=ip.get("ttl", 255)) / UDP(sport=sport, dport=3784) / Raw(control))


def echo(**fields: object) -> bytes:
    ip = {**V4, **{name: value for name, value in fields.items() if name in ("id", "ttl", "tos", "dst")}}
    number = fields.get("seq", 1)
    return octets(LINK / IP(**ip) / ICMP(id=fields.get("mark", MARK), seq=number) / Raw(b"x" * 56))


def bgp(*messages: bytes, sport: int = 40000, seq: int = 1, **ip: int) -> bytes:
    return octets(LINK / IP(**V4, **ip) / TCP(sport=sport, dport=179, seq=seq) / Raw(b"".join(messages)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(echo(id=1), echo(id=2), id="IPv4 identification"),
        pytest.param(bfd(), bfd(mine=b"bbbb", sport=50001), id="BFD discriminators and port"),
        pytest.param(bgp(OPEN, seq=1), bgp(OPEN, sport=40001, seq=7), id="numbers of TCP"),
        pytest.param(
            octets(LINK / IPv6(**V6, fl=1) / UDP(sport=MARK, dport=MARK)),
            octets(LINK / IPv6(**V6, fl=2) / UDP(sport=MARK, dport=MARK)),
            id="IPv6 flow label",
        ),
    ],
)
def test_what_may_differ_makes_no_difference(one: bytes, other: bytes) -> None:
    assert one != other
    assert alike(one) == alike(other) != ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(echo(), echo(ttl=63), id="TTL"),
        pytest.param(echo(), echo(tos=0xB8), id="DSCP"),
        pytest.param(echo(), echo(dst="192.0.2.3"), id="address"),
        pytest.param(echo(), echo(seq=2), id="number of an echo"),
        pytest.param(echo(), echo()[:12] + b"\x88\xa8" + echo()[14:], id="outer ethertype"),
        pytest.param(echo(), echo()[:14] + b"\xe0\x03" + echo()[16:], id="priority of a tag"),
        pytest.param(echo(), echo()[:12] + echo()[16:], id="a tag less"),
        pytest.param(echo(), b"\x02" * 6 + echo()[6:], id="MAC address"),
        pytest.param(bfd(), bfd(ttl=254), id="TTL of BFD"),
        pytest.param(bgp(OPEN), bgp(OPEN[:-1] + b"x"), id="a BGP OPEN"),
        pytest.param(bgp(OPEN), bgp(OPEN, ttl=3), id="TTL of BGP"),
    ],
)
def test_what_may_not_differ_does(one: bytes, other: bytes) -> None:
    assert alike(one) != alike(other)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(echo(mark=7), id="somebody else's echo"),
        pytest.param(bfd(state=1), id="BFD that is down"),
        pytest.param(bfd(poll=1), id="BFD that polls"),
        pytest.param(bgp(UPDATE), id="a BGP update"),
        pytest.param(octets(Ether(src=A, dst=B) / ARP(op=1, hwsrc=A)), id="ARP that probes an old neighbour"),
        pytest.param(octets(LINK / IP(**V4) / UDP(sport=1, dport=2)), id="another datagram"),
    ],
)
def test_what_belongs_to_no_exchange_is_left_out(frame: bytes) -> None:
    assert alike(frame) == ()


def test_every_message_of_a_segment_counts() -> None:
    assert [item.kind for item in alike(bgp(OPEN, UPDATE, KEEPALIVE))] == ["bgp open", "bgp keepalive"]


def test_a_question_to_all_and_an_answer_to_one_are_arp() -> None:
    question = octets(Ether(src=A, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=A))
    answer = octets(Ether(src=A, dst=B) / ARP(op=2, hwsrc=A, hwdst=B))
    assert [item.kind for frame in (question, answer) for item in alike(frame)] == ["arp", "arp"]


@pytest.mark.parametrize("ip", [IP(**V4, id=0), IPv6(**V6)], ids=["IPv4", "IPv6"])
def test_a_checksum_left_to_a_card_is_completed(ip: object) -> None:
    whole = octets(LINK / ip / UDP(sport=MARK, dport=MARK) / Raw(b"odd"))  # type: ignore[operator]
    at = whole.index(b"odd") - 2
    partial = whole[:at] + b"\x12\x34" + whole[at + 2 :]
    assert alike(partial, partial_checksum=True) == alike(whole)
    assert alike(partial) != alike(whole)
