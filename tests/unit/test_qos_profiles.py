"""The built-in policies against the documents, judged by the oracle."""

from __future__ import annotations

import pytest

from edge.errors import UsageError
from edge.qos.expressroute import ALLOWED, KNOBS, TABLE, TREATMENT, at_msee
from edge.qos.model import CLASSES
from edge.qos.overlap import shadowed
from edge.qos.packets import octets, parse
from edge.qos.profiles import MSEE_PROFILE, PROFILES, profile
from tests import oracle

TEAMS, PC, SERVER = "52.112.0.10", "10.1.0.10", "10.1.5.5"


def leaves(name: str, words: str, direction: str = "out") -> tuple[str, int]:
    """Class and DSCP of a packet in words under a profile."""
    verdict, _ = oracle.verdict(octets(parse(words)), profile(name), direction, "mark")
    return verdict.class_name, verdict.dscp


def test_the_table_of_the_service_is_that_of_the_document() -> None:
    assert {row.dscp: row.class_name for row in TABLE} == {
        46: "voice",
        34: "video",
        18: "sharing",
        10: "files",
        0: "default",
    }
    assert [row.class_name for row in TABLE] == [item.name for item in CLASSES]


@pytest.mark.parametrize("dscp", range(64))
def test_only_values_of_the_table_leave_towards_microsoft(dscp: int) -> None:
    expected = {24: 18, 14: 10}.get(dscp, dscp if dscp in (46, 34, 18, 10) else 0)
    for name in ("skype-online", "skype-server", "skype-server-clients", "skype-server-edge"):
        assert leaves(name, f"gre {PC} > {TEAMS} dscp {dscp}")[1] == expected
    trusted = dscp if dscp in ALLOWED else 0
    assert leaves("teams", f"gre {PC} > {TEAMS} dscp {dscp}")[1] == trusted
    assert leaves("none", f"gre {PC} > {TEAMS} dscp {dscp}") == ("default", 0)


def test_the_knob_of_the_msee_matters_only_outside_the_table() -> None:
    assert [at_msee(46, knob) for knob in KNOBS] == [46, 46, 46]
    assert [at_msee(24, knob) for knob in KNOBS] == [24, 0, None]
    assert at_msee(24) == 0


def test_private_peering_steers_and_microsoft_peering_marks() -> None:
    assert TREATMENT == {"microsoft": "mark", "private": "steer"}


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (49999, ("default", 0)),
        (50000, ("voice", 46)),
        (50019, ("voice", 46)),
        (50020, ("video", 34)),
        (50039, ("video", 34)),
        (50040, ("sharing", 18)),
        (50059, ("sharing", 18)),
        (50060, ("default", 0)),
    ],
)
def test_teams_client_ports_tell_the_class_both_ways(protocol: str, port: int, expected) -> None:
    assert leaves("teams", f"{protocol} {PC}:{port} > 203.0.113.1:443") == expected
    assert leaves("teams", f"{protocol} 203.0.113.1:443 > {PC}:{port}", "in") == expected


@pytest.mark.parametrize(
    ("port", "expected"), [(3479, ("voice", 46)), (3480, ("video", 34)), (3481, ("sharing", 18))]
)
def test_teams_relays_tell_the_class_only_at_microsofts_addresses(port: int, expected) -> None:
    assert leaves("teams", f"udp {PC}:6000 > {TEAMS}:{port}") == expected
    assert leaves("teams", f"udp {TEAMS}:{port} > {PC}:6000", "in") == expected
    assert leaves("teams", f"udp [2001:db8::1]:6000 > [2603:1063::1]:{port}") == expected
    assert leaves("teams", f"udp {PC}:6000 > 203.0.113.1:{port}") == ("default", 0)
    assert leaves("teams", f"tcp {PC}:6000 > {TEAMS}:{port}") == ("default", 0)
    assert leaves("teams", f"udp {TEAMS}:{port} > {PC}:6000", "out") == ("default", 0)


def test_stun_to_the_relays_goes_with_voice_and_other_traffic_of_that_port_does_not() -> None:
    assert leaves("teams", f"udp {PC}:6000 > {TEAMS}:3478 payload stun") == ("voice", 46)
    assert leaves("teams", f"udp {PC}:6000 > {TEAMS}:3478 payload rtp") == ("default", 0)


def test_a_mac_that_marks_sharing_as_video_is_judged_by_its_port() -> None:
    assert leaves("teams", f"udp {PC}:50040 > {TEAMS}:443 dscp 34") == ("sharing", 18)


def test_skype_online_judges_by_the_customers_port_alone() -> None:
    assert leaves("skype-online", f"udp {PC}:50025 > {TEAMS}:50005") == ("video", 34)
    assert leaves("skype-online", f"udp {TEAMS}:50005 > {PC}:50025", "in") == ("video", 34)
    assert leaves("skype-online", f"udp {PC}:6000 > {TEAMS}:50005") == ("default", 0)


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (50020, ("voice", 46)),
        (50039, ("voice", 46)),
        (58000, ("video", 34)),
        (58019, ("video", 34)),
        (42000, ("sharing", 18)),
        (42019, ("sharing", 18)),
        (42020, ("files", 10)),
        (42039, ("files", 10)),
        (42040, ("default", 0)),
    ],
)
def test_skype_server_clients_follow_their_page(port: int, expected) -> None:
    assert leaves("skype-server-clients", f"tcp {PC}:{port} > {SERVER}:443") == expected
    assert leaves("skype-server-clients", f"tcp {SERVER}:443 > {PC}:{port}", "in") == expected


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (40802, ("default", 0)),
        (40803, ("sharing", 18)),
        (49151, ("sharing", 18)),
        (49152, ("voice", 46)),
        (57500, ("voice", 46)),
        (57501, ("video", 34)),
        (65535, ("video", 34)),
    ],
)
def test_skype_servers_are_told_by_source_and_edge_by_destination_port(port: int, expected) -> None:
    out, back = f"udp {SERVER}:{port} > {PC}:9", f"udp {PC}:9 > {SERVER}:{port}"
    assert leaves("skype-server-conferencing", out) == expected
    assert leaves("skype-server-conferencing", back) == ("default", 0)
    assert leaves("skype-server-edge", back) == expected
    assert leaves("skype-server-edge", out) == ("default", 0)


def test_a_marking_of_windows_goes_before_the_port_of_a_skype_server() -> None:
    assert leaves("skype-server", f"udp {SERVER}:50000 > {PC}:9 dscp 24") == ("sharing", 18)


@pytest.mark.parametrize("name", PROFILES)
def test_no_rule_of_a_profile_is_shadowed_and_every_class_and_dscp_is_the_services(name: str) -> None:
    policy = profile(name)
    assert shadowed(policy) == ()
    table = {(row.class_name, row.dscp) for row in TABLE}
    assert {(rule.class_name, rule.dscp) for rule in policy.rules} <= table
    assert len({rule.name for rule in policy.rules}) == len(policy.rules)
    assert policy.unmatched_dscp == 0


def test_what_microsoft_sends_is_in_its_table() -> None:
    assert MSEE_PROFILE in PROFILES
    assert leaves(MSEE_PROFILE, f"udp {TEAMS}:3479 > {PC}:6000", "in") == ("voice", 46)
    assert leaves(MSEE_PROFILE, f"udp {TEAMS}:9 > {PC}:6000 dscp CS5", "in") == ("default", 0)


def test_a_policy_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="there is no policy skyp; did you mean skype-online"):
        profile("skyp")
