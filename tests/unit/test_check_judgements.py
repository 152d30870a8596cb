"""What checks of budgets, flows, queues, throughput and sets of routes make of what was seen."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from edge.bgp.state import NextHop, RouteInfo
from edge.errors import UsageError
from lab.check_model import (
    BudgetCheck,
    CommunitiesCheck,
    FlowCheck,
    NeverCheck,
    OutageCheck,
    QueueCheck,
    RoutesCheck,
    ThroughputCheck,
    WantedRoute,
)
from lab.checks.budget import Run, judge_budget
from lab.checks.carriage import Carriage
from lab.checks.flows import judge_flow, judge_never, judge_queue
from lab.checks.looks import ALONE, is_negative
from lab.checks.outage import judge_outage
from lab.checks.routesets import judge_communities, judge_routes
from lab.checks.talk import Sighting, Tally
from lab.checks.throughput import judge_throughput
from lab.classes import QueueRow
from lab.drills.model import Aim, Drill, Row
from lab.model import PingCheck, RouteCheck
from lab.topology import load
from lab.traffic.metering import Course, Mark, Metering
from lab.traffic.outage import Probe
from lab.traffic.quality import Arrival

CONTOSO = Path(__file__).parents[2] / "lab" / "topologies" / "contoso.edge.yml"
MS = 1_000_000


def run(packets: int = 20, delay_ms: float = 2, lost: int = 0, back: bool = True) -> Run:
    made = Run(sent={"out": packets, "in": packets if back else 0})
    for number in range(lost, packets):
        arrival = Arrival(number, number * 10 * MS, number * 10 * MS + int(delay_ms * MS))
        made.arrivals["out"].append(arrival)
        if back:
            made.arrivals["in"].append(arrival)
    return made


@pytest.mark.parametrize(
    ("check", "seen", "ok", "words"),
    [
        (BudgetCheck("a", "b", 3, 1, 0), run(), True, "a -> b: latency 2 ms, jitter 0 ms, loss 0 %"),
        (
            BudgetCheck("a", "b", 1),
            run(),
            False,
            "a -> b: latency 2 ms from a to b, at most 1 ms allowed; latency 2 ms from b to a, at most",
        ),
        (BudgetCheck("a", "b", None, None, 4), run(lost=1), False, "a -> b: loss 5 % from a to b, at most 4"),
        (BudgetCheck("a", "b", None, None, 5), run(lost=1), True, "a -> b: latency 2 ms"),
        (BudgetCheck("a", "b", 3), run(lost=20), False, "a -> b: none of 20 packets arrived"),
        (BudgetCheck("a", "b", 3), run(back=False), False, "a -> b: none of 0 packets came back from b"),
        (
            BudgetCheck("a", "b", 3),
            run(packets=100, lost=97),
            False,
            "a -> b: cannot be judged: only 3 of 100 packets from a to b arrived; add loss: to say how",
        ),
        (BudgetCheck("a", "b", jitter_ms=3), run(lost=11), False, "a -> b: cannot be judged: only 9 of 20"),
        # Half of them is told, and judged.
        (BudgetCheck("a", "b", 3), run(lost=10), True, "a -> b: latency 2 ms, jitter 0 ms, loss 50 % in"),
        (
            BudgetCheck("a", "b", 3, None, 90),
            run(lost=17),
            True,
            "a -> b: latency 2 ms, jitter 0 ms, loss 85",
        ),
        (
            BudgetCheck("a", "b", 3, None, 80),
            run(lost=17),
            False,
            "a -> b: loss 85 % from a to b, at most 80",
        ),
        (
            BudgetCheck("a", "b", 3, 1, 99),
            run(lost=19),
            False,
            "a -> b: jitter cannot be judged: only 1 of 20 packets from a to b arrived",
        ),
        (BudgetCheck("a", "b", 3, None, 100), run(lost=20), False, "a -> b: none of 20 packets arrived"),
    ],
)
def test_a_budget_is_kept_both_ways_or_says_which_figure_is_over(
    check: BudgetCheck, seen: Run, ok: bool, words: str
) -> None:
    verdict = judge_budget(check, seen)
    assert (verdict.ok, verdict.words[: len(words)]) == (ok, words)


def test_a_budget_that_is_not_kept_names_the_loss_each_way() -> None:
    one_lost_back = run()
    del one_lost_back.arrivals["in"][0]
    assert judge_budget(BudgetCheck("a", "b", 1), one_lost_back).words.endswith("; loss 0 % there, 5 % back")
    most_lost_back = run()
    del most_lost_back.arrivals["in"][3:]
    verdict = judge_budget(BudgetCheck("a", "b", 3), most_lost_back)
    assert (verdict.ok, verdict.words) == (
        False,
        "a -> b: cannot be judged: only 3 of 20 packets from b to a arrived; "
        "add loss: to say how many may be lost; loss 0 % there, 85 % back",
    )


def test_jitter_over_the_budget_is_found() -> None:
    seen = run()
    unsteady = [replace(a, received_ns=a.received_ns + a.number % 2 * 20 * MS) for a in seen.arrivals["in"]]
    seen.arrivals["in"] = unsteady
    verdict = judge_budget(BudgetCheck("a", "b", jitter_ms=5), seen)
    assert not verdict.ok
    assert "jitter 14.1 ms from b to a" in verdict.words


VOICE = Sighting("ams-primary", "out", "voice", 46, (3, 200), (0x88A8, 0x8100), "ce1:ams1")
FLOW = FlowCheck("pc1", "teams", "ams", "voice", "out", (3, 200), (0x88A8, 0x8100), 46)


def tally(*seen: Sighting, arrived: int = 8) -> Tally:
    made = Tally(b"tokentok", ("voice",))
    for item in seen:
        made.seen[item] += 4
    for way in ("out", "in"):
        made.sent["voice", way] = 8
        made.arrived["voice", way] = arrived
    return made


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (VOICE, ""),
        (replace(VOICE, vids=(3, 100)), "4 of 4 packets on ams-primary under tags 3/100, not tags 3/200"),
        (replace(VOICE, vids=()), "under no tags, not tags 3/200"),
        (replace(VOICE, tpids=(0x8100, 0x8100)), "ethertypes 0x8100/0x8100, not ethertypes 0x88a8/0x8100"),
        (replace(VOICE, dscp=0), "with DSCP 0, not 46"),
        (replace(VOICE, way="in"), "none seen on ams; 8 of 8 packets arrived and 8 of 8 answers"),
    ],
)
def test_a_flow_is_judged_by_tags_ethertypes_and_mark(seen: Sighting, words: str) -> None:
    verdict = judge_flow(FLOW, tally(seen))
    assert verdict.ok is not bool(words)
    assert words in verdict.words


def test_one_wrong_packet_among_right_ones_fails_a_flow() -> None:
    verdict = judge_flow(FLOW, tally(VOICE, replace(VOICE, dscp=34)))
    assert not verdict.ok
    assert "4 of 8 packets on ams-primary with DSCP 34, not 46" in verdict.words


def test_never_needs_packets_that_arrive_and_a_capture_that_sees_them() -> None:
    check = NeverCheck("pc1", "teams", "hq-inet-internet", "voice")
    own = replace(VOICE, link="pc1:eth0")
    there = replace(VOICE, link="hq-inet:internet")

    def words(seen: Tally) -> tuple[bool, str]:
        verdict = judge_never(check, seen, {"hq-inet:internet"}, {"pc1:eth0"})
        return verdict.ok, verdict.words

    assert words(tally(own))[0]
    ok, said = words(tally(own, there))
    assert not ok
    assert "where none may be: 4 packets at hq-inet:internet" in said
    ok, said = words(tally(own, arrived=0))
    assert not ok
    assert "0 of 8 packets arrived and 0 of 8 answers, so nothing is proven" in said
    ok, said = words(tally())
    assert not ok
    assert "not even seen at pc1" in said


def queue(packets: int, drops: int = 0, name: str = "voice") -> QueueRow:
    return QueueRow(
        "ce1:ams1", "ams-primary", "x", "ams", name, True, 1, 1, packets, packets * 100, drops, 0, 0, 0
    )


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (queue(104, 7), ""),
        (queue(110, 7), ""),
        (queue(103, 7), "ce1:ams1: 3 packets in queue voice, 4 were on the wire"),
        (queue(104, 9), "ce1:ams1: queue voice dropped 2 packets meanwhile"),
    ],
)
def test_a_queue_must_count_what_was_on_the_wire_and_drop_nothing(after: QueueRow, words: str) -> None:
    check = QueueCheck("pc1", "teams", "ams-primary", "voice", "voice")
    verdict = judge_queue(load(CONTOSO), check, tally(VOICE), [queue(100, 7)], [after])
    assert verdict.ok is not bool(words)
    assert words in verdict.words


def test_a_port_without_that_queue_is_named_with_those_that_there_are() -> None:
    model, check = load(CONTOSO), QueueCheck("pc1", "teams", "ams", "voice", "video")
    with pytest.raises(UsageError, match="ce1:ams1 has no queue video; it has voice"):
        judge_queue(model, check, tally(VOICE), [queue(1)], [queue(2)])
    elsewhere = replace(VOICE, port="equinix-amsterdam:ams1")
    with pytest.raises(UsageError, match="has no queues; there are queues on ams-primary"):
        judge_queue(model, check, tally(elsewhere), [queue(1)], [queue(2)])


@pytest.mark.parametrize(
    ("check", "mbit", "ok", "words"),
    [
        (
            ThroughputCheck("a", "b", "ams", 80),
            170,
            True,
            "170 Mbit/s, 85 % of circuit ams's 200 Mbit/s, by ams-primary (62 %), ams-secondary (38 %)",
        ),
        (ThroughputCheck("a", "b", "ams", 80), 150, False, "at least 160 Mbit/s expected"),
        (ThroughputCheck("a", "b", "ams", None, 10**8), 99, False, "at least 100 Mbit/s expected"),
        (ThroughputCheck("a", "b", "ams", None, None, 105), 376, False, "at most 210 Mbit/s expected"),
        (ThroughputCheck("a", "b", "ams", 80, way="in"), 0, False, "b -> a: 0 bit/s"),
    ],
)
def test_throughput_is_judged_against_the_circuit(
    check: ThroughputCheck, mbit: int, ok: bool, words: str
) -> None:
    octets = mbit * 250_000
    came = Carriage(octets, {"ams-primary": octets * 2 // 3, "ams-secondary": octets * 2 // 5}, {"wan": 100})
    verdict = judge_throughput(check, 200_000_000, octets, 2.0, came)
    assert verdict.ok is ok
    assert words in verdict.words


def route(prefix: str, *communities: int, hop: str = "192.168.15.2", path: tuple[int, ...] = (12076,)):
    hops = (NextHop(ip_address(hop), "ams1.100"),)
    values = tuple((12076, low) for low in communities)
    return RouteInfo(
        ip_network(prefix), "p", True, "unicast", 100, None, hops, as_path=path, communities=values
    )


HUB, OFFICE, DEFAULT = ip_network("10.50.0.0/16"), ip_network("52.112.0.0/14"), ip_network("0.0.0.0/0")
FOUND = {HUB: [route("10.50.0.0/16")], OFFICE: [route("52.112.0.0/14", 5030)]}


def wanted(prefix: object, **more: object) -> WantedRoute:
    return WantedRoute(prefix, **more)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (RoutesCheck("ce1", exact=(wanted(HUB), wanted(OFFICE))), ""),
        (RoutesCheck("ce1", exact=(wanted(HUB),)), "unexpected 52.112.0.0/14 by 192.168.15.2"),
        (RoutesCheck("ce1", exact=()), "unexpected 10.50.0.0/16"),
        (RoutesCheck("ce1", contains=(wanted(HUB, as_path=(12076,)),)), ""),
        (RoutesCheck("ce1", contains=(wanted(DEFAULT),)), "ce1 has 2 routes: no route 0.0.0.0/0"),
        (RoutesCheck("ce1", contains=(wanted(HUB, as_path=(1, 2)),)), "expected AS path 1 2"),
        (
            RoutesCheck("ce1", contains=(wanted(HUB, next_hop=ip_address("192.168.15.6")),)),
            "expected next hop 192.168.15.6",
        ),
        (RoutesCheck("ce1", contains=(wanted(OFFICE, communities=((12076, 5030),)),)), ""),
        (
            RoutesCheck("ce1", contains=(wanted(HUB, communities=((12076, 5030),)),)),
            "expected communities 12076:5030",
        ),
        (RoutesCheck("ce1", lacks=(wanted(DEFAULT), wanted(HUB, as_path=(1,)))), ""),
        (RoutesCheck("ce1", lacks=(wanted(HUB),)), "10.50.0.0/16 by 192.168.15.2 (AS path 12076) should not"),
    ],
)
def test_a_set_of_routes_is_judged_by_prefix_path_next_hop_and_communities(
    check: RoutesCheck, words: str
) -> None:
    verdict = judge_routes(check, FOUND)
    assert verdict.ok is not bool(words)
    assert words in verdict.words
    assert len(verdict.evidence["routes"]) == 2


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (CommunitiesCheck("ce1", OFFICE, exact=((12076, 5030),)), ""),
        (CommunitiesCheck("ce1", OFFICE, contains=((12076, 5030),), lacks=((12076, 5010),)), ""),
        (CommunitiesCheck("ce1", OFFICE, exact=()), "; unexpected 12076:5030"),
        (CommunitiesCheck("ce1", OFFICE, exact=((1, 1), (12076, 5030))), "; missing 1:1"),
        (CommunitiesCheck("ce1", OFFICE, lacks=((12076, 5030),)), "; unexpected 12076:5030"),
    ],
)
def test_a_set_of_communities_is_exact_contains_or_lacks(check: CommunitiesCheck, words: str) -> None:
    verdict = judge_communities(check, FOUND[OFFICE])
    assert verdict.ok is not bool(words)
    assert verdict.words.endswith(words) if words else "communities 12076:5030" in verdict.words
    assert not judge_communities(check, []).ok


def test_what_must_be_absent_waits_for_the_rest_and_what_measures_is_alone() -> None:
    assert is_negative(NeverCheck("a", "b", "x"))
    assert is_negative(RouteCheck("a", HUB, present=False))
    assert is_negative(RoutesCheck("a", lacks=(wanted(HUB),)))
    assert is_negative(RoutesCheck("a", lacks=(wanted(HUB),), contains=(wanted(OFFICE),)))
    assert is_negative(RoutesCheck("a", exact=(wanted(HUB),)))
    assert not is_negative(RoutesCheck("a", contains=(wanted(OFFICE),)))
    assert not is_negative(PingCheck("a", "b"))
    assert isinstance(BudgetCheck("a", "b"), ALONE)


@pytest.mark.parametrize(
    ("most_s", "lost", "words"),
    [
        (0.1, 60, "silent ams/primary: longest gap 60 ms, 60 of 500 probes lost (a -> b by x, then y)"),
        (0.05, 60, "silent ams/primary: the longest gap was 0.060 s, and may be 50 ms; longest gap 60 ms"),
        (0.0, 1, "silent ams/primary: 1 packets were lost, and none may be; longest gap 1 ms"),
        (0.0, 0, "silent ams/primary: longest gap 0 ms, 0 of 500 probes lost"),
    ],
)
def test_an_outage_is_judged_by_its_longest_gap(most_s: float, lost: int, words: str) -> None:
    probes = tuple(
        Probe(n * MS, None if 200 <= n < 200 + lost else n * MS + 1, "x" if n < 200 else "y")
        for n in range(1000)
    )
    marks = (Mark(200 * MS, "fault"), Mark(500 * MS, "healed"))
    drill = Drill("check", "", "", "silent", ("ams/primary",), Aim(most_s, ""), ("x",))
    row = Row(drill, Metering(MS, (Course("a -> b", probes),), marks), settled=True, converged_s=0.2)
    verdict = judge_outage(OutageCheck("a", "b", "silent ams/primary", most_s), row)
    assert verdict.words.startswith(words)
    assert verdict.ok is (";" not in words)
    assert verdict.final, "each run breaks the lab: once is enough"
