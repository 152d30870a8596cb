from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6TimeExceeded, IPv6
from scapy.packet import Raw

from lab import icmp


def test_an_echo_request_has_the_checksum_scapy_computes() -> None:
    request = icmp.echo_request(4, 0x1234, 7, b"odd")
    assert request == bytes(ICMP(type=8, id=0x1234, seq=7) / Raw(b"odd"))


def test_an_echo_reply_is_read_back() -> None:
    reply = bytes(IP(dst="10.0.0.1") / ICMP(type=0, id=9, seq=3) / Raw(b"abc"))
    body = icmp.strip_ipv4(reply)
    assert body is not None
    assert icmp.parse(4, body) == icmp.EchoReply(9, 3, b"abc")


@given(
    st.sampled_from(
        [(3, 0, "network unreachable"), (3, 3, "port unreachable"), (11, 0, "hop limit exceeded")]
    ),
    st.integers(0, 65535),
    st.integers(0, 65535),
    st.binary(max_size=40),
    st.integers(20, 68),
)
def test_a_quoted_udp_packet_is_recognised_however_little_is_quoted(
    error: tuple[int, int, str], source_port: int, port: int, payload: bytes, quoted: int
) -> None:
    original = bytes(IP(src="10.1.0.10", dst="10.50.1.4") / UDP(sport=source_port, dport=port) / Raw(payload))
    message = bytes(ICMP(type=error[0], code=error[1]) / Raw(original[:quoted]))
    parsed = icmp.parse(4, message)
    if quoted < 28:
        assert parsed is None
        return
    assert isinstance(parsed, icmp.IcmpError)
    assert parsed.words == error[2]
    assert parsed.port_unreachable is (error[2] == "port unreachable")
    assert parsed.quote == icmp.UdpQuote(
        IPv4Address("10.1.0.10"),
        IPv4Address("10.50.1.4"),
        source_port,
        port,
        8 + len(payload),
        original[28:quoted],
    )


def test_a_quoted_ipv6_echo_request_is_recognised() -> None:
    original = IPv6(src="fd00::1", dst="fd00::2") / ICMPv6EchoRequest(id=5, seq=6, data=b"xyz")
    parsed = icmp.parse(6, bytes(ICMPv6TimeExceeded() / Raw(bytes(original))))
    assert isinstance(parsed, icmp.IcmpError)
    assert parsed.kind == "time-exceeded"
    assert parsed.quote == icmp.EchoQuote(IPv6Address("fd00::1"), IPv6Address("fd00::2"), 5, 6, b"xyz")


def test_errors_about_other_protocols_and_later_fragments_are_not_ours() -> None:
    tcp = bytes(IP(dst="10.0.0.1") / TCP())
    fragment = bytes(IP(dst="10.0.0.1", frag=8, proto=17) / Raw(bytes(16)))
    for original in (tcp, fragment):
        assert icmp.parse(4, bytes(ICMP(type=11) / Raw(original))) is None


@given(st.sampled_from([4, 6]), st.sampled_from([3, 11, 12, 0, 129, 1, 2, 4]), st.binary(max_size=120))
def test_any_bytes_give_a_message_or_nothing(family: int, kind: int, rest: bytes) -> None:
    for message in (rest, bytes([kind]) + rest, bytes([kind]) + bytes(7) + b"\x45" + rest):
        parsed = icmp.parse(family, message)
        assert parsed is None or isinstance(parsed, icmp.EchoReply | icmp.IcmpError)
    body = icmp.strip_ipv4(rest)
    assert body is None or rest.endswith(body)


@given(st.binary(max_size=64))
def test_data_with_its_own_checksum_sums_to_zero(data: bytes) -> None:
    data += b"\0" * (len(data) % 2)
    assert icmp.checksum(data + icmp.checksum(data).to_bytes(2, "big")) == 0


def test_addresses_of_a_quote_have_the_family_of_the_packet() -> None:
    original = bytes(IP(src="10.1.0.10", dst="10.50.1.4") / ICMP(id=1, seq=2))
    parsed = icmp.parse(4, bytes(ICMP(type=3, code=1) / Raw(original)))
    assert isinstance(parsed, icmp.IcmpError)
    assert (parsed.words, parsed.quote.destination) == ("host unreachable", ip_address("10.50.1.4"))
