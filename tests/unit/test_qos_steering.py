"""Policies that routers add to a user's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.fastpath.classify import Table
from edge.model import Tag
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import Marking
from edge.qos.model import CLASSES, DSCP_CS6, QUEUES_MAX, RULES_MAX, Policy, TrafficClass
from edge.qos.packets import octets, parse
from edge.qos.profiles import PROFILES, profile
from edge.qos.steering import (
    CONTROL,
    CONTROL_SHARE,
    at_msee_ingress,
    by_dscp,
    no_room,
    queue_rate_bps,
    with_control,
    without_priority,
)
from lab.marks import QosSupport, possible


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_has_room_for_the_routers_own_protocols(name: str) -> None:
    policy = with_control(profile(name))
    assert policy.class_of(CONTROL).queue == len(CLASSES)
    assert [rule.class_name for rule in policy.rules[:4]] == [CONTROL] * 4
    assert policy.rules[4:] == profile(name).rules


def test_a_policy_without_room_is_left_as_it_is_and_says_why() -> None:
    full = Policy("full", (), tuple(TrafficClass(f"c{n}", n, 5) for n in range(QUEUES_MAX)))
    assert with_control(full) == full
    assert no_room(full) == "it has 8 classes, and the router's own protocols need one of 8"
    once = with_control(profile("teams"))
    assert with_control(once) == once
    assert no_room(once) == "its class control is that of the router's own protocols"
    rule = profile("teams").rules[0]
    long = Policy("long", tuple(replace(rule, name=f"r{n}") for n in range(RULES_MAX - 3)))
    assert with_control(long) == long
    assert no_room(long) == "it has 1021 rules, and the router's own protocols need 4 of 1024"


@pytest.mark.parametrize(
    ("shares", "left"),
    [
        ({"voice": 30, "default": 20}, {"voice": 30, "default": 20}),
        ({"voice": 79, "default": 20}, {"voice": 79, "default": 19}),
        ({"voice": 80, "default": 20}, {"voice": 80, "default": 18}),
        ({"voice": 98, "default": 2}, {"voice": 96, "default": 2}),
    ],
)
def test_classes_are_promised_no_more_than_there_is(shares: dict[str, int], left: dict[str, int]) -> None:
    classes = tuple(TrafficClass(name, n, share) for n, (name, share) in enumerate(shares.items()))
    found = with_control(Policy("p", (), classes)).classes
    assert {item.name: item.share for item in found} == {**left, CONTROL: CONTROL_SHARE}


def test_only_a_routers_own_packets_are_of_its_class() -> None:
    policy = with_control(profile("teams"))
    by_name = {rule.name: rule for rule in policy.rules}
    assert by_name["routing-bgp"].existing_dscp == by_name["routing-bfd"].existing_dscp == (DSCP_CS6,)

    def class_of(words: str) -> str:
        return Table(policy, "out", "mark").classify_one(octets(parse(words))).class_name

    assert class_of("udp 10.1.0.10:50005 > 10.50.1.4:3784") == "voice"
    assert class_of("udp 192.168.15.1:50005 > 192.168.15.2:3784 dscp CS6") == CONTROL
    assert class_of("tcp 192.168.15.1:179 > 192.168.15.2:40000 dscp CS6") == CONTROL
    assert class_of("tcp 10.1.0.10:179 > 10.50.1.4:40000") == "default"


def test_queues_by_dscp_have_the_classes_of_microsofts_policy() -> None:
    assert by_dscp().classes == with_control(profile("microsoft")).classes
    assert {rule.existing_dscp: rule.class_name for rule in by_dscp().rules[4:]} == {
        (46,): "voice",
        (34,): "video",
        (18,): "sharing",
        (10,): "files",
    }


def test_at_the_msee_only_unknown_marks_match_no_rule() -> None:
    for knob, unmatched in (("pass", None), ("remark", 0), ("drop", 0)):
        policy = at_msee_ingress(knob)  # type: ignore[arg-type]
        assert policy.unmatched_dscp == unmatched
        assert {rule.existing_dscp for rule in policy.rules[4:]} == {(46,), (34,), (18,), (10,), (0,)}


def test_private_peering_has_one_class_besides_that_of_routers() -> None:
    policy = without_priority()
    assert {rule.class_name for rule in policy.rules} == {"control"}
    assert policy.classes == by_dscp().classes, "both peerings share the queues of a circuit"
    assert policy.unmatched_dscp is None


def test_packet_rules_get_every_rule_of_a_policy() -> None:
    at = Endpoint("ce1", "ams1.200")
    marking = Marking(at, "egress", profile("teams"), "out", "mark", tree=0)
    assert any(rule.hint for rule in marking.policy.rules)
    assert possible([marking], QosSupport("nft", "bfifo")) == (marking,)
    under_a_tag = Marking(at, "egress", profile("teams"), "out", "mark", outer=Tag(3))
    assert possible([under_a_tag], QosSupport("nft", "bfifo")) == ()
    assert possible([marking], QosSupport("nft", None)) == (replace(marking, tree=None),)


def test_queues_are_a_little_slower_than_their_policer() -> None:
    assert queue_rate_bps(50_000_000) == 49_500_000
