"""Answers and logs that real BIRDs gave (2.0.8, 2.0.12, 2.17.5), and garbage that none should give."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bgp.parse import (
    CODE_PROTOCOL,
    CODE_PROTOCOL_DETAIL,
    parse_bfd_sessions,
    parse_line,
    parse_log_line,
    parse_protocols,
    parse_replies,
    parse_status,
    parse_time,
)
from edge.bgp.routes import parse_routes
from edge.bgp.state import NextHop, ProtocolState, Reply
from edge.errors import DaemonError

OUTPUTS = Path(__file__).parents[1] / "golden" / "bird" / "outputs"
VERSIONS = sorted(directory.name for directory in OUTPUTS.iterdir())


def recorded(version: str, name: str) -> str:
    return (OUTPUTS / version / f"{name}.txt").read_text()


def protocols(version: str) -> dict[str, ProtocolState]:
    now = parse_status(parse_replies(recorded(version, "status"))).now
    states = parse_protocols(parse_replies(recorded(version, "protocols")), now)
    return {state.name: state for state in states}


def test_all_supported_generations_are_recorded() -> None:
    assert VERSIONS == ["2.0.12", "2.0.8", "2.17.5"]


@pytest.mark.parametrize("version", VERSIONS)
def test_status(version: str) -> None:
    status = parse_status(parse_replies(recorded(version, "status")))
    assert (status.version, status.router_id) == (version, "10.255.4.177")
    assert status.message == "Daemon is up and running"
    assert status.now is not None
    assert status.started is not None
    assert timedelta(0) < status.now - status.started < timedelta(minutes=1)
    assert status.reconfigured == status.started


@pytest.mark.parametrize("version", VERSIONS)
def test_an_established_session(version: str) -> None:
    state = protocols(version)["customer_ce1_4"]
    assert (state.proto, state.state, state.info, state.bgp_state) == ("BGP", "up", *["Established"] * 2)
    assert state.established
    assert (state.neighbor, state.interface) == (ip_address("10.9.1.2"), "to-ce1")
    assert (state.local_asn, state.peer_asn) == (12076, 65010)
    assert (state.hold_s, state.keepalive_s) == (180, 60)
    assert state.source == ip_address("10.9.1.1")
    assert state.last_error == ""
    assert state.uptime_s is not None
    assert 0 < state.uptime_s < 60
    (channel,) = state.channels
    assert (channel.name, channel.state, channel.table) == ("ipv4", "UP", "master4")
    assert (channel.imported, channel.filtered, channel.exported) == (1, 1, 1)
    assert (channel.limit, channel.limit_action) == (4000, "restart")
    assert (state.imported, state.filtered, state.exported, state.limit) == (1, 1, 1, 4000)


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_that_are_not_established(version: str) -> None:
    states = protocols(version)
    assert states["customer_ce3_4"].last_error == "Socket: Connection refused"
    assert states["customer_ce3_4"].info in ("Active", "Connect")
    assert (states["customer_ce4_4"].state, states["customer_ce4_4"].info) == ("down", "")
    assert states["customer_ce4_4"].bgp_state == "Down"
    assert states["customer_ce5_4"].last_error == "Automatic shutdown: Route limit exceeded"
    assert 0 < states["customer_ce5_4"].error_wait_s <= 60
    assert states["customer_ce5_4"].limit == 1
    assert states["customer_ce6_4"].last_error == "BGP Error: Bad peer AS"
    assert not any(states[f"customer_ce{number}_4"].established for number in (3, 4, 5, 6))


@pytest.mark.parametrize("version", VERSIONS)
def test_protocols_other_than_bgp(version: str) -> None:
    states = protocols(version)
    assert [states[name].proto for name in ("device1", "connected", "kernel4", "originated4", "bfd1")] == [
        "Device",
        "Direct",
        "Kernel",
        "Static",
        "BFD",
    ]
    assert states["connected"].neighbor is None
    assert [channel.name for channel in states["connected"].channels] == ["ipv4", "ipv6"]
    assert states["originated4"].channels[0].filtered is None


@pytest.mark.parametrize("version", VERSIONS)
def test_bfd_sessions(version: str) -> None:
    first, second = sorted(
        parse_bfd_sessions(parse_replies(recorded(version, "bfd"))), key=lambda s: s.address.version
    )
    assert (first.address, first.interface, first.state) == (ip_address("10.9.1.2"), "to-ce1", "Up")
    assert (first.interval_s, first.timeout_s) == (0.3, 0.9)
    assert second.address == ip_address("fd09:1::2")


def test_a_bfd_session_to_a_neighbour_that_is_routers_away_is_on_no_interface() -> None:
    answer = (
        "1020-IP address                Interface  State      Since         Interval  Timeout\n"
        " 100.121.143.147           ---        Up         2026-11-23 02:48:01.385    0.300    0.900\n"
        "0000 \n"
    )
    (found,) = parse_bfd_sessions(parse_replies(answer))
    assert (str(found.address), found.interface, found.state) == ("100.121.143.147", "", "Up")


@pytest.mark.parametrize("version", VERSIONS)
def test_routes(version: str) -> None:
    routes = parse_routes(parse_replies(recorded(version, "routes")))
    both = [route for route in routes if route.network == ip_network("10.1.0.0/16")]
    assert {route.protocol for route in both} == {"customer_ce1_4", "customer_ce2_4"}
    assert [route.best for route in both] == [True, False]
    assert both[0].communities == ((65010, 1), (65010, 2))
    assert (both[0].origin, both[0].local_pref, both[0].med) == ("IGP", 100, None)
    assert both[0].table == "master4"
    (own,) = (route for route in routes if route.network == ip_network("10.50.0.0/16"))
    assert (own.kind, own.preference, own.next_hops) == ("blackhole", 250, ())
    assert own.communities == ((12076, 20001), (12076, 51002))
    (long,) = (route for route in routes if route.network == ip_network("fd00:1::/64"))
    assert (long.as_path, long.table) == ((65010,) * 3, "master6")
    assert long.next_hops == (NextHop(ip_address("fd09:1::2"), "to-ce1"),)
    (link,) = (route for route in routes if route.network == ip_network("10.9.1.0/30"))
    assert link.next_hops == (NextHop(None, "to-ce1"),)
    assert len(routes) == 18


@pytest.mark.parametrize("version", VERSIONS)
def test_a_merged_route_has_all_its_next_hops(version: str) -> None:
    (merged,) = parse_routes(parse_replies(recorded(version, "exported-to-kernel")))
    assert {str(hop.address) for hop in merged.next_hops} == {"10.9.1.2", "10.9.2.2"}
    assert str(merged.learned_from) in ("10.9.1.2", "10.9.2.2")


@pytest.mark.parametrize("version", VERSIONS)
def test_filtered_routes(version: str) -> None:
    (refused,) = parse_routes(parse_replies(recorded(version, "filtered")))
    assert (str(refused.network), refused.best) == ("172.16.1.0/24", False)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_log_tells_states_errors_limits_and_bfd(version: str) -> None:
    lines = recorded(version, "log").splitlines()
    events = [parse_log_line(line) for line in lines]
    assert None not in events
    seen = {(event.what, event.protocol, event.state) for event in events if event is not None}
    assert {
        ("daemon", "", ""),
        ("state", "customer_ce1_4", "start"),
        ("state", "customer_ce1_4", "up"),
        ("state", "customer_ce1_4", "down"),
        ("established", "customer_ce1_4", ""),
        ("closed", "customer_ce1_4", ""),
        ("bfd", "bfd1", "Up"),
        ("limit", "customer_ce5_4", ""),
        ("error", "customer_ce6_4", ""),
    } <= seen
    limit = next(event for event in events if event is not None and event.what == "limit")
    assert limit.changes_state
    assert limit.at is not None
    bfd = next(event for event in events if event is not None and event.what == "bfd")
    assert bfd.neighbor in ("10.9.1.2", "fd09:1::2")


def test_a_log_line_of_no_known_format_is_no_event() -> None:
    for line in ("", "bird: x.conf:1: syntax error", "<INFO> Started", "2026-11-22 10:00:00 Started"):
        assert parse_log_line(line) is None
    other = parse_log_line("2026-11-22 10:00:00.000 <TRACE> customer_a: Connected\n")
    assert other is not None
    assert (other.what, other.protocol, other.changes_state) == ("other", "customer_a", False)
    fatal = parse_log_line("2026-11-22 10:00:00.000 <FATAL> out of memory")
    assert fatal is not None
    assert (fatal.what, fatal.protocol) == ("error", "")


def test_times_of_every_format() -> None:
    now = datetime(2026, 11, 22, 12, 0).astimezone()
    assert parse_time("2026-11-22 11:59:59.500", now) == now - timedelta(milliseconds=500)
    assert parse_time("2026-11-22") == now.replace(hour=0)
    assert parse_time("11:59:59.500", now) == now - timedelta(milliseconds=500)
    assert parse_time("11:59:59.500") is None
    assert parse_time("yesterday", now) is None


def test_lines_of_the_protocol() -> None:
    assert parse_line("1007-text", None) == (Reply(1007, "text"), False)
    assert parse_line(" more", 1007) == (Reply(1007, "more"), False)
    assert parse_line("0000 ", None) == (Reply(0, ""), True)
    assert parse_line("+spontaneous", None) is None
    for line in (" early", "", "12-short", "abcd text", "00000 "):
        with pytest.raises(DaemonError, match="not a line"):
            parse_line(line, None)


@pytest.mark.parametrize(
    "text",
    [
        "1002-name BGP --- up today Established\n0000 \n",
        "1002-b BGP --- up 2026-11-22 10:00:00\n1006-  BGP state: Up\n     Neighbor AS: many\n0000 \n",
        "1002-b BGP --- up 2026-11-22 10:00:00\n1006-  BGP state: Up\n     Neighbor address: here\n0000 \n",
        "1002-b BGP --- up 2026-11-22 10:00:00\n1006-  Channel ipv4\n     Routes: x imported\n0000 \n",
    ],
)
def test_a_protocol_that_cannot_be_read_is_an_error_of_the_daemon(text: str) -> None:
    with pytest.raises(DaemonError, match="cannot read BIRD's answer"):
        parse_protocols(parse_replies(text))


@pytest.mark.parametrize(
    "text",
    [
        "1007-                unicast [b 2026-11-22 10:00:00] * (100) [i]\n0000 \n",
        "1007-300.0.0.0/8 unicast [b 2026-11-22 10:00:00] * (100) [i]\n0000 \n",
        "1007-10.0.0.0/8 unicast [b 2026-11-22 10:00:00] * (100) [i]\n \tvia nowhere on x\n0000 \n",
        "1007-10.0.0.0/8 unicast [b 2026-11-22 10:00:00] * (100) [i]\n1012-\tBGP.local_pref: x\n0000 \n",
    ],
)
def test_a_route_that_cannot_be_read_is_an_error_of_the_daemon(text: str) -> None:
    with pytest.raises(DaemonError, match="cannot read BIRD's answer"):
        parse_routes(parse_replies(text))


def test_a_status_without_version_is_an_error_of_the_daemon() -> None:
    with pytest.raises(DaemonError, match="without version"):
        parse_status(parse_replies("0013 Daemon is up and running\n"))


def test_a_channel_without_a_name_is_an_error_of_the_daemon() -> None:
    head, detail = (
        (CODE_PROTOCOL, "ams BGP --- up 10:00:00 Established"),
        (CODE_PROTOCOL_DETAIL, "  Channel  "),
    )
    with pytest.raises(DaemonError, match="a channel without a name"):
        parse_protocols([Reply(*head), Reply(*detail)])


def test_paths_with_sets_and_unknown_attributes_are_read() -> None:
    (route,) = parse_routes(
        parse_replies(
            "1007-10.0.0.0/8 martian [b 2026-11-22 10:00:00 from 10.0.0.1%eth0] ! (100/?) [AS1?]\n"
            " \tvia 10.0.0.1 on eth0 onlink weight 3\n"
            "1012-\tBGP.as_path: 65010 {1 2} (3 4)\n \tBGP.med: 7\n \tBGP.large_community: (1, 2, 3)\n"
            " \tBGP.tunnel: new\n0000 \n"
        )
    )
    assert route.as_path == (65010, 1, 2, 3, 4)
    assert (route.kind, route.med, route.best) == ("other", 7, False)
    assert route.next_hops == (NextHop(ip_address("10.0.0.1"), "eth0", 3),)
    assert str(route.learned_from) == "10.0.0.1"


def whole_files() -> st.SearchStrategy[str]:
    names = ("status", "protocols", "routes", "exported-to-kernel", "filtered", "bfd")
    return st.sampled_from([recorded(version, name) for version in VERSIONS for name in names])


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A recorded answer with one piece replaced by something else."""
    text = draw(whole_files())
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 40)))
    return text[:start] + draw(st.text(max_size=12)) + text[end:]


def read_everything(text: str) -> None:
    """Every parser either understands the text or raises DaemonError, never anything else."""
    try:
        replies = parse_replies(text)
    except DaemonError:
        return
    for parse in (parse_status, parse_protocols, parse_bfd_sessions, parse_routes):
        with suppress(DaemonError):
            parse(replies)


@given(damaged())
def test_a_damaged_answer_gives_nothing_but_an_error_of_the_daemon(text: str) -> None:
    read_everything(text)


@given(st.text())
def test_garbage_gives_nothing_but_an_error_of_the_daemon(text: str) -> None:
    read_everything(text)


CODES = (0, 13, 1000, 1002, 1006, 1007, 1008, 1011, 1012, 1020)


@given(st.lists(st.tuples(st.sampled_from(CODES), st.text())))
def test_known_codes_with_garbage_give_nothing_but_an_error_of_the_daemon(
    lines: list[tuple[int, str]],
) -> None:
    read_everything("".join(f"{code:04}-{text}\n" for code, text in lines))


@given(st.text())
def test_a_line_of_garbage_is_never_more_than_no_event(line: str) -> None:
    parse_log_line(line)
    parse_log_line(f"2026-11-22 10:00:00.000 <TRACE> {line}")
