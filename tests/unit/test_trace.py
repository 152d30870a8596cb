from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import icmp
from lab.trace import MAX_HOPS, RETRY_S, TRIES, WINDOW, EchoFlow, Hop, Progress, UdpFlow

TARGET = ip_address("10.50.1.4")
TOKEN = b"12345678"
UDP = UdpFlow(TARGET, 33434, 50000, TOKEN)
ECHO = EchoFlow(TARGET, 77, TOKEN)
HOP = Hop(ip_address("10.0.0.1"), 0.1)


def error(quote: icmp.Quote) -> icmp.IcmpError:
    return icmp.IcmpError("time-exceeded", "", False, quote)


def udp_quote(index: int, quoted: int = 99, **changes: object) -> icmp.UdpQuote:
    payload = UDP.payload(index)
    values = {
        "source": ip_address("203.0.113.1"),
        "destination": TARGET,
        "source_port": 50000,
        "destination_port": 33434,
        "length": 8 + len(payload),
        "payload": payload[:quoted],
    }
    return icmp.UdpQuote(**{**values, **changes})


@given(st.integers(0, 200), st.integers(0, 200))
def test_a_udp_probe_is_known_by_its_length_however_little_is_quoted(index: int, quoted: int) -> None:
    assert UDP.index_of(error(udp_quote(index, quoted))) == index


def test_a_translated_source_port_does_not_hide_a_probe_whose_token_is_quoted() -> None:
    assert UDP.index_of(error(udp_quote(5, source_port=1234))) == 5
    assert UDP.index_of(error(udp_quote(5, quoted=0, source_port=1234))) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"destination": ip_address("10.50.1.5")},
        {"destination_port": 53},
        {"payload": b"another trace's token"},
        {"length": 3},
    ],
)
def test_packets_of_others_are_not_ours(changes: dict[str, object]) -> None:
    assert UDP.index_of(error(udp_quote(5, **changes))) is None


def test_echo_probes_are_known_by_sequence_and_token() -> None:
    payload = ECHO.request(9)[8:]
    source = ip_address("10.1.0.1")
    assert ECHO.index_of(icmp.EchoReply(1, 9, payload)) == 9
    assert ECHO.index_of(error(icmp.EchoQuote(source, TARGET, 77, 9, b""))) == 9
    assert ECHO.index_of(error(icmp.EchoQuote(source, TARGET, 78, 9, b""))) is None
    assert ECHO.index_of(icmp.EchoReply(77, 9, b"another payload")) is None
    assert ECHO.index_of(error(udp_quote(1))) is None


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_all_echo_probes_of_a_trace_have_one_checksum(first: int, second: int) -> None:
    sums = {struct.unpack_from("!H", ECHO.request(index), 2)[0] for index in (first, second)}
    assert len(sums) == 1


def probe_all(progress: Progress, now: float) -> list[int]:
    due = progress.due(now)
    for ttl in due:
        progress.sent.setdefault(ttl, []).append(now)
    return due


def test_the_window_moves_with_the_farthest_answer() -> None:
    progress = Progress()
    assert probe_all(progress, 0) == list(range(1, WINDOW + 1))
    assert probe_all(progress, 0.1) == []
    progress.answer(3, HOP, final=False, reached=False)
    assert probe_all(progress, 0.1) == [6, 7, 8]


def test_a_silent_hop_is_asked_again_and_then_given_up() -> None:
    progress = Progress()
    for attempt in range(TRIES):
        assert 1 in probe_all(progress, attempt * RETRY_S)
    assert probe_all(progress, TRIES * RETRY_S) == []
    assert progress.next_due(TRIES * RETRY_S - 0.1) == pytest.approx(0.1)
    assert progress.next_due(TRIES * RETRY_S) is None


def test_the_nearest_answer_of_the_target_is_where_it_stands() -> None:
    progress = Progress()
    probe_all(progress, 0)
    for ttl in (5, 3, 4):
        progress.answer(ttl, Hop(TARGET, 0.1), final=True, reached=True)
    progress.answer(1, HOP, final=False, reached=False)
    assert progress.next_due(0.0) is not None, "hop 2 may still answer"
    progress.answer(2, HOP, final=False, reached=False)
    assert progress.next_due(0.0) is None
    assert [hop.address for hop in progress.hops()] == [HOP.address, HOP.address, TARGET]


def test_a_service_is_placed_behind_the_farthest_router_once_all_probes_are_accounted_for() -> None:
    progress = Progress()
    probe_all(progress, 0)
    progress.service += [Hop(TARGET, 0.1)] * 3
    progress.settle()
    assert not progress.reached
    progress.answer(1, HOP, final=False, reached=False)
    progress.answer(2, HOP, final=False, reached=False)
    progress.settle()
    assert progress.reached
    assert [hop.address for hop in progress.hops()] == [HOP.address, HOP.address, TARGET]


@given(
    st.lists(
        st.tuples(st.integers(1, MAX_HOPS), st.booleans(), st.booleans(), st.floats(0, 0.5)), max_size=60
    )
)
def test_a_trace_always_comes_to_an_end(answers: list[tuple[int, bool, bool, float]]) -> None:
    progress, now = Progress(), 0.0
    for ttl, final, reached, pause in answers:
        probe_all(progress, now)
        progress.answer(ttl, HOP, final=final, reached=reached and final)
        now += pause
    for _ in range(TRIES * MAX_HOPS + 1):
        probe_all(progress, now)
        wait = progress.next_due(now)
        if wait is None:
            break
        now += wait
    assert progress.next_due(now) is None
    assert len(progress.hops()) <= progress.last <= MAX_HOPS
