"""Why a packet gets its verdict. The oracle stands in for the fast path where the C is not what is tested."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import EdgeError
from edge.qos.explain import Explanation, explain
from edge.qos.explainreport import to_data
from edge.qos.expressroute import TREATMENT
from edge.qos.model import Verdict
from edge.qos.packets import octets, parse
from edge.qos.policyfile import loads
from edge.qos.profiles import profile
from tests import oracle
from tests.unit.qos_strategies import frames, policies

TEAMS = profile("teams")


def ask(words: str, policy=TEAMS, direction="out", peering="microsoft") -> Explanation:
    return explain(octets(parse(words)), policy, direction, peering)


def why(explanation: Explanation) -> list[tuple[str, ...]]:
    """For each rule above: the keys of what it missed."""
    return [tuple(miss.key for miss in item.misses) for item in explanation.above]


@settings(max_examples=300, deadline=None)
@given(frames(), policies(), st.sampled_from(("out", "in")), st.sampled_from(("microsoft", "private")))
def test_reasons_agree_with_the_oracle_on_any_frame(frame, policy, direction, peering) -> None:
    def core(given_frame: bytes) -> Verdict:
        return oracle.verdict(given_frame, policy, direction, TREATMENT[peering])[0]

    explanation = explain(frame, policy, direction, peering, core=core)
    assert all(item.misses for item in explanation.above)
    assert to_data(explanation)["verdict"]["class"] == explanation.verdict.class_name


@settings(max_examples=100, deadline=None)
@given(frames(), policies(), st.sampled_from(("out", "in")))
def test_reasons_agree_with_the_fast_path_on_any_frame(frame, policy, direction) -> None:
    explanation = explain(frame, policy, direction, "microsoft")
    assert explanation.verdict == oracle.verdict(frame, policy, direction, "mark")[0]


def test_a_fast_path_that_decides_otherwise_is_an_error() -> None:
    frame = octets(parse("udp 10.1.0.10:50005 > 52.112.0.10:3479"))
    with pytest.raises(EdgeError, match="a defect: the fast path says"):
        explain(frame, TEAMS, "out", "microsoft", core=lambda _: Verdict("default", None, 0, 4))


def test_each_rule_above_says_what_it_missed() -> None:
    found = ask("udp 10.1.0.10:6000 > 203.0.113.1:3480 dscp AF11")
    assert found.rule is not None
    assert found.rule.name == "marked-files"
    assert why(found) == [
        ("ports",),
        ("ports",),
        ("ports",),
        ("destination_ports", "destination"),
        ("direction", "source_ports", "source"),
        ("destination",),
        ("direction", "source_ports", "source"),
        ("destination_ports", "destination"),
        ("direction", "source_ports", "source"),
        ("destination_ports", "destination", "hint"),
        ("direction", "source_ports", "source", "hint"),
        ("existing_dscp",),
        ("existing_dscp",),
        ("existing_dscp",),
    ]
    words = [miss.words for item in found.above for miss in item.misses]
    assert "neither port 6000 nor 3480 is in 50000-50019" in words
    assert "destination port 3480 is not 3479" in words
    assert "destination 203.0.113.1 is not in 13.107.64.0/18, 52.112.0.0/14, 52.120.0.0/14" in words
    assert "came with DSCP AF11 (10), not EF (46)" in words
    assert "the rule is for direction in" in words
    assert "the payload does not look like STUN" in words


def test_a_later_fragment_says_why_it_has_no_ports() -> None:
    found = ask("udp 10.1.0.10:50005 > 203.0.113.1:9 fragment later")
    assert found.rule is None
    assert found.above[0].misses[0].words == "no ports: a later fragment"


def test_a_rule_of_another_version_or_protocol_says_so() -> None:
    text = 'name: p\nrules: [{name: a, class: voice, protocol: tcp, source: "2001:db8::/32"}]\n'
    found = ask("udp 10.1.0.10:5 > 10.1.0.11:6", loads(text, "p.yml"))
    assert [m.words for m in found.above[0].misses] == ["udp is not tcp", "the rule's source is IPv6 only"]


def test_rules_below_that_match_too_are_told() -> None:
    found = ask("udp 10.1.0.10:50005 > 52.112.0.10:3479 dscp EF")
    assert [item.rule.name for item in found.below] == ["teams-relay-audio-out", "marked-voice"]


def test_the_msee_takes_what_the_policy_marked_and_judges_what_nobody_did() -> None:
    found = ask("udp 10.1.0.10:50005 > 52.112.0.10:3479 dscp CS3")
    assert [(one.knob, one.dscp) for one in found.msee] == [("pass", 46), ("remark", 46), ("drop", 46)]
    assert [one.dscp for one in found.msee_unmarked] == [24, 0, None]


def test_private_peering_keeps_the_dscp_and_chooses_the_queue() -> None:
    found = ask("udp 10.1.0.10:50005 > 10.50.1.4:9 dscp CS3", peering="private")
    assert (found.verdict.class_name, found.verdict.queue, found.verdict.dscp) == ("voice", 0, 24)
    assert (found.msee, found.msee_unmarked) == ((), ())


def test_a_frame_that_is_not_ip_matches_nothing_and_says_why() -> None:
    found = explain(bytes(12) + b"\x08\x06" + bytes(28), TEAMS, "out", "microsoft")
    assert found.seen.opaque == "not IP: ARP"
    assert (found.above, found.below, found.msee) == ((), (), ())
    data = to_data(found)
    assert (data["verdict"]["dscp"], data["packet"]["not_ip"]) == (None, "not IP: ARP")


@pytest.mark.parametrize(
    "words", ["udp 10.1.0.10:50005 > 52.112.0.10:9", "udp [2001:db8::1]:50005 > [::2]:9"]
)
def test_a_packet_without_ethernet_gets_the_same_verdict(words: str) -> None:
    frame = octets(parse(words))
    bare = explain(frame[14:], TEAMS, "out", "microsoft", "ip")
    assert bare.verdict == explain(frame, TEAMS, "out", "microsoft").verdict
    assert explain(b"\x00", TEAMS, "out", "microsoft", "ip").seen.opaque == "neither IPv4 nor IPv6"
