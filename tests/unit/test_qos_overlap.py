"""Shadowed and competing rules against brute force: one packet from every region that conditions cut out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.qos import overlap
from edge.qos.boxes import boxes_of, meet, subtract
from edge.qos.model import Policy, Rule
from edge.qos.overlap import Overlap, Shadowed, overlaps, shadowed
from tests import oracle
from tests.unit.qos_strategies import rules

VOICE, VIDEO = ("voice", 46), ("video", 34)


def policy(*given: Rule) -> Policy:
    return Policy("p", given)


def rule(name: str, verdict: tuple[str, int] = VOICE, **conditions: object) -> Rule:
    return Rule(name, *verdict, **conditions)


def samples(found: tuple[Rule, ...]) -> Iterator[tuple[str, oracle.Packet]]:
    """A packet from every combination of pieces that the conditions of these rules tell apart."""
    ports = {0}
    dscps = {1}
    # SCTP has ports, too, and no rule of these tests names it.
    protocols = {6, 17, 47, 132}
    sources, destinations = {"192.0.2.1", "2001:db9::1"}, {"192.0.2.1", "2001:db9::1"}
    for one in found:
        for given_ports in (one.source_ports, one.destination_ports, one.either_ports):
            if given_ports:
                ports |= {given_ports[0], min(given_ports[1] + 1, 65535)}
        dscps |= set(one.existing_dscp)
        protocols |= set(one.protocols)
        for prefixes, addresses in ((one.source, sources), (one.destination, destinations)):
            addresses |= {str(prefix.network_address) for prefix in prefixes}
            addresses |= {str(prefix.network_address + 1) for prefix in prefixes}
    pairs = [
        (a, b)
        for a, b in product(map(ip_address, sources), map(ip_address, destinations))
        if a.version == b.version
    ]
    transports = []
    for protocol in protocols:
        transports.append((protocol, None, frozenset()))
        if protocol in oracle.WITH_PORTS:
            hints = (
                (frozenset(), frozenset(("stun",)), frozenset(("rtp",))) if protocol == 17 else (frozenset(),)
            )
            transports += [(protocol, both, hint) for both in product(ports, ports) for hint in hints]
    for direction, (source, destination), dscp, (protocol, both, hints) in product(
        ("out", "in"), pairs, dscps, transports
    ):
        yield direction, oracle.Packet(source, destination, protocol, dscp, both, hints)


@settings(max_examples=15, deadline=None)
@given(st.lists(rules(), min_size=2, max_size=4))
def test_a_rule_is_shadowed_when_no_packet_reaches_it(found: list[Rule]) -> None:
    given_policy = policy(*found)
    reached, matched = set(), {number: [] for number in range(len(found))}
    for direction, packet in samples(given_policy.rules):
        taken = [n for n, one in enumerate(found) if oracle.matches(one, packet, direction)]
        reached |= set(taken[:1])
        for number in taken:
            matched[number].append(taken)
    told = {item.rule: item.covers for item in shadowed(given_policy)}
    assert set(told) == set(range(len(found))) - reached
    for number, covers in told.items():
        assert all(set(taken) & set(covers) for taken in matched[number])
        assert all(cover < number for cover in covers)


@settings(max_examples=25, deadline=None)
@given(st.lists(rules(), min_size=2, max_size=3))
def test_rules_overlap_when_a_packet_matches_both(found: list[Rule]) -> None:
    given_policy = policy(*found)
    both, first_alone = set(), set()
    for direction, packet in samples(given_policy.rules):
        taken = [n for n, one in enumerate(found) if oracle.matches(one, packet, direction)]
        both |= set(product(taken, taken))
        first_alone |= {(n, m) for n in taken for m in range(len(found)) if m not in taken}
    dead = {item.rule for item in shadowed(given_policy)}
    expected = {
        Overlap(a, b, (a, b) not in first_alone)
        for a, b in both
        if a < b
        and not {a, b} & dead
        and (found[a].class_name, found[a].dscp) != (found[b].class_name, found[b].dscp)
    }
    assert set(overlaps(given_policy)) == expected


BOXES = st.tuples(*[st.tuples(st.integers(0, 4), st.integers(0, 4)).map(sorted).map(tuple)] * 3)


@given(BOXES, BOXES)
def test_a_difference_of_boxes_is_disjoint_and_exact(box, taken) -> None:
    def points(one):
        return set(product(*[range(first, last + 1) for first, last in one]))

    parts = [points(part) for part in subtract(box, taken)]
    assert set().union(*parts) == points(box) - points(taken)
    assert sum(map(len, parts)) == len(points(box) - points(taken))
    assert meet(box, taken) == bool(points(box) & points(taken))


def test_a_rule_below_a_more_general_one_is_shadowed_by_it() -> None:
    wide = rule("wide", protocols=(17,), either_ports=(50000, 50059))
    narrow = rule("narrow", VIDEO, protocols=(17,), source_ports=(50020, 50039))
    assert shadowed(policy(wide, narrow)) == (Shadowed(1, (0,)),)
    assert shadowed(policy(narrow, wide)) == ()
    assert overlaps(policy(narrow, wide)) == (Overlap(0, 1, True),)


def test_a_rule_may_be_covered_by_several_and_only_those_are_named() -> None:
    halves = [
        rule(f"half{n}", destination=(ip_network(p),)) for n, p in enumerate(("0.0.0.0/1", "128.0.0.0/1"))
    ]
    other = rule("other", destination=(ip_network("10.0.0.0/8"),))
    ipv6 = rule("ipv6", destination=(ip_network("::/0"),))
    rest = rule("rest", VIDEO)
    assert shadowed(policy(other, *halves, ipv6, rest))[-1] == Shadowed(4, (1, 2, 3))
    assert shadowed(policy(other, *halves, rest)) == ()


def test_a_rule_for_all_ports_is_not_covered_by_rules_that_ask_for_one() -> None:
    assert shadowed(policy(rule("ports", source_ports=(0, 65535)), rule("any", VIDEO))) == ()


def test_a_rule_whose_conditions_exclude_each_other_is_told_without_a_cover() -> None:
    never = rule("never", either_ports=(1, 9), source_ports=(20, 20), destination_ports=(30, 30))
    assert boxes_of(never) == ()
    assert shadowed(policy(never)) == (Shadowed(0, ()),)


def test_a_thousand_rules_are_judged_in_seconds() -> None:
    many = [
        rule(
            f"r{n}",
            protocols=(17,),
            either_ports=(n * 7 % 60000, n * 7 % 60000 + 30),
            destination=(ip_network((0x0A000000 + n * 4096, 20)),),
        )
        for n in range(1000)
    ]
    begin = time.process_time()
    assert shadowed(policy(*many, rule("rest"))) == ()
    assert time.process_time() - begin < 20


def test_rules_that_all_compete_are_judged_without_set_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "_some_free", None)
    every = policy(
        *(
            rule(f"r{n}", (VOICE, VIDEO)[n % 2], protocols=(17,), either_ports=(1000 + n, 1000 + n))
            for n in range(100)
        )
    )
    assert shadowed(every) == ()
    found = overlaps(every, never=())
    assert len(found) == 50 * 50
    assert not any(one.exception for one in found)


def test_rules_with_prefixes_in_between_each_other_are_told_apart_without_their_boxes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []
    monkeypatch.setattr(overlap, "meet", lambda one, other: compared.append(1) or meet(one, other))
    combs = [
        rule(
            f"r{n}",
            (VOICE, VIDEO)[n % 2],
            destination=tuple(ip_network((0x0A000000 + (place * 20 + n) * 256, 24)) for place in range(100)),
        )
        for n in range(20)
    ]
    assert overlaps(policy(*combs)) == ()
    assert len(compared) <= 20 * 20


def test_a_cover_by_several_that_takes_too_many_steps_is_no_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    halves = [rule(p, destination=(ip_network(p),)) for p in ("0.0.0.0/1", "128.0.0.0/1", "::/0")]
    covered = policy(*halves, rule("rest", VIDEO))
    assert shadowed(covered) == (Shadowed(3, (0, 1, 2)),)
    monkeypatch.setattr(overlap, "STEPS_MAX", 3)
    assert shadowed(covered) == ()
