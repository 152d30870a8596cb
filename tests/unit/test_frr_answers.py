"""What a real FRR 8.4.4 said: sessions, routes, BFD, complaints about a file, lines of its log."""

from __future__ import annotations

import copy
import json
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from edge.bgp.diagnosis import why_down
from edge.bgp.state import ProtocolState
from edge.errors import DaemonError
from edge.frr.answers import parse_bfd, parse_neighbors, parse_prefix
from edge.frr.programs import is_mapped
from edge.frr.words import complaints, needs_other_daemons, parse_log_line
from edge.own.kinds import Complaint

OUTPUTS = Path(__file__).parents[1] / "golden" / "frr" / "8.4.4"


def recorded(name: str) -> Any:
    return json.loads((OUTPUTS / f"{name}.json").read_text())


def neighbor(**changes: Any) -> ProtocolState:
    """The primary session as recorded, with some keys changed."""
    said = copy.deepcopy(recorded("neighbors")["192.168.15.2"])
    said.update(changes)
    return parse_neighbors({"192.168.15.2": said})[0]


def test_sessions_have_the_shape_that_those_of_bird_have() -> None:
    states = {state.name: state for state in parse_neighbors(recorded("neighbors"))}
    assert set(states) == {"10.1.0.2", "192.168.15.2", "fd00:1::2", "fd00:15::2"}
    state = states["192.168.15.2"]
    assert (state.state, state.info, state.established) == ("up", "Established", True)
    assert (state.neighbor, state.source) == (ip_address("192.168.15.2"), ip_address("192.168.15.1"))
    assert (state.peer_asn, state.local_asn) == (12076, 65010)
    assert (state.hold_s, state.keepalive_s) == (180, 60)
    assert state.uptime_s == 54.0
    assert (state.imported, state.exported, state.bfd) == (1, 1, "Up")
    assert [channel.name for channel in states["fd00:15::2"].channels] == ["ipv6"]


def test_a_session_that_is_shut_says_so() -> None:
    state = neighbor(adminShutDown=True, bgpState="Idle", lastResetDueTo="Admin. shutdown")
    assert (state.state, state.bgp_state, state.established) == ("down", "Down", False)
    assert "administratively down" in why_down(state)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lastResetDueTo": "BFD down received", "peerBfdInfo": {"status": "Down"}}, "BFD heard nothing"),
        # The reason is of the past: BFD is up again, so it is TCP that does not come.
        ({"lastResetDueTo": "BFD down received"}, "has not answered TCP yet"),
        ({"lastResetDueTo": "Waiting for peer OPEN"}, "has not answered TCP yet"),
        ({"lastResetDueTo": "Interface down"}, "no carrier"),
        (
            {
                "lastResetDueTo": "BGP Notification received",
                "lastNotificationReason": "OPEN Message Error/Bad Peer AS",
            },
            "does not expect AS 65010 from us",
        ),
        (
            {
                "lastResetDueTo": "BGP Notification send",
                "lastNotificationReason": "OPEN Message Error/Bad Peer AS",
            },
            "is not AS 12076",
        ),
        ({"lastResetDueTo": "User reset"}, "User reset; it is tried again"),
    ],
)
def test_the_reason_why_a_session_is_down_is_told_in_the_words_for_bird(
    changes: dict[str, Any], words: str
) -> None:
    state = neighbor(bgpState="Active", **changes)
    assert not state.established
    assert words in why_down(state)


@pytest.mark.parametrize(
    ("file", "prefix", "hops"),
    [
        ("prefix4", "10.50.0.0/16", ("192.168.15.2", "10.1.0.2")),
        ("prefix6", "fd00:50::/48", ("fe80::d7:f9ff:fe47:3eb0", "fe80::ad:aaff:fec5:538f")),
    ],
)
def test_the_best_route_of_a_prefix_comes_first_with_its_path_and_the_hop_that_is_used(
    file: str, prefix: str, hops: tuple[str, ...]
) -> None:
    routes = parse_prefix(recorded(file))
    assert [route.best for route in routes] == [True, False]
    assert [route.network for route in routes] == [ip_network(prefix)] * 2
    assert [route.as_path for route in routes] == [(12076,)] * 2
    assert [str(route.next_hops[0].address) for route in routes] == list(hops)
    assert [len(route.next_hops) for route in routes] == [1, 1]
    assert [route.local_pref for route in routes] == [None, 100]
    assert [route.preference for route in routes] == [20, 200]
    assert routes[0].origin == "IGP"


def test_communities_are_read_also_where_frr_shows_their_names() -> None:
    said = recorded("prefix4")
    said["paths"] = [{**said["paths"][0], "community": {"list": ["12076:5030", "no-export"]}}]
    (route,) = parse_prefix(said)
    assert route.communities == ((12076, 5030), (65535, 65281))


def test_a_prefix_that_is_not_there_has_no_routes() -> None:
    assert parse_prefix({}) == parse_prefix(None) == ()


def test_an_own_network_has_neither_next_hop_nor_as_path() -> None:
    path = {
        "aspath": {"string": "Local", "segments": [], "length": 0},
        "origin": "IGP",
        "bestpath": {"overall": True},
        "nexthops": [{"ip": "0.0.0.0", "afi": "ipv4", "used": True}],
        "peer": {"peerId": "0.0.0.0", "routerId": "192.168.15.1"},
    }
    (route,) = parse_prefix({"prefix": "10.1.0.0/16", "paths": [path]})
    assert (route.best, route.next_hops, route.as_path, route.learned_from) == (True, (), (), None)


def test_bfd_has_the_slower_time_of_both_sides() -> None:
    peer = {
        "multihop": False, "peer": "192.168.15.2", "interface": "ams1.100", "status": "up",
        "receive-interval": 300, "transmit-interval": 300, "detect-multiplier": 3,
        "remote-receive-interval": 500, "remote-transmit-interval": 750, "remote-detect-multiplier": 4,
    }  # fmt: skip
    (session,) = parse_bfd([peer, {**peer, "multihop": True}])
    assert (session.state, session.interface) == ("Up", "ams1.100")
    assert (session.interval_s, session.timeout_s) == (0.5, 3.0)


@pytest.mark.parametrize(
    "garbage",
    [{"192.168.15.2": {}}, {"192.168.15.2": {"bgpState": "Idle", "remoteAs": []}}, ["x"]],
)
def test_an_answer_of_another_shape_is_an_error_not_a_guess(garbage: Any) -> None:
    with pytest.raises(DaemonError, match="cannot read FRR's answer"):
        parse_neighbors(garbage)


SAID = """\
line 3: % Unknown command[25]:  neighbor 192.168.15.9 passwrd x
% Specify remote-as or peer-group commands first
line 4: Failure to communicate[13] to bgpd, line:  neighbor 192.168.15.6 activate

% Can not configure the local system as neighbor
line 6: Failure to communicate[13] to bgpd, line:  neighbor 10.1.0.1 remote-as 12

BGP is already running; AS is 65010
line 8: Failure to communicate[13] to bgpd, line: router bgp 65011

Configuration file[/etc/frr/frr.conf] processing failure: 2
"""


def test_each_complaint_of_vtysh_has_its_line_and_the_reason_of_the_daemon() -> None:
    assert complaints(SAID) == (
        Complaint(3, "Unknown command: neighbor 192.168.15.9 passwrd x"),
        Complaint(4, "bgpd: Specify remote-as or peer-group commands first: neighbor 192.168.15.6 activate"),
        Complaint(6, "bgpd: Can not configure the local system as neighbor: neighbor 10.1.0.1 remote-as 12"),
        Complaint(8, "bgpd: BGP is already running; AS is 65010: router bgp 65011"),
    )


def test_words_without_a_line_are_kept() -> None:
    assert complaints("Exiting: failed to connect to any daemons.\n") == (
        Complaint(0, "Exiting: failed to connect to any daemons"),
    )


def test_a_protocol_whose_daemon_does_not_run_is_told() -> None:
    config = "router bgp 65010\nexit\nrouter ospf\n network 0.0.0.0/0 area 0\n"
    assert [(item.line, item.words.partition(":")[0]) for item in needs_other_daemons(config)] == [
        (3, "router ospf")
    ]


def test_sessions_that_come_and_go_are_in_the_log() -> None:
    up = parse_log_line(
        "2026/11/23 02:39:32 BGP: [N9HHH-F8H1M] %ADJCHANGE: neighbor fd00:1::1(Unknown) in vrf default Up"
    )
    assert up is not None
    assert (up.what, up.neighbor, up.changes_state) == ("established", "fd00:1::1", True)
    assert up.at is not None
    down = parse_log_line(
        "2026/11/23 02:39:32 BGP: [PXVXG-TFNNT] %ADJCHANGE: neighbor 192.168.15.2(Unknown) in vrf default "
        "Down BGP Notification received"
    )
    assert down is not None
    assert (down.what, down.text) == ("closed", "BGP session closed: BGP Notification received")
    assert parse_log_line("2026/11/23 02:39:32 BGP: [YZN21-6KS42][EC 33554465] 192.168.15.2 [FSM] x") is None
    assert parse_log_line("anything else") is None


def test_a_user_exists_in_a_user_namespace_only_where_it_is_mapped() -> None:
    assert is_mapped("         0          0 4294967295\n", 105)
    assert not is_mapped("         0       1000          1\n", 105)
    assert is_mapped("0 1000 1\n1 100000 65536\n", 105)
