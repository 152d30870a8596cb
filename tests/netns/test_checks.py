from __future__ import annotations

import re
import select
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from lab.access import SharedAccess
from lab.capture import FrameSource
from lab.checks import CheckResult, default_checks, run_checks
from lab.checks.frames import Stimulus, stimulate, stimuli
from lab.checks.watch import ChangeWatch
from lab.frames import summarize
from lab.inspect import collect
from lab.model import Check, FrameCheck, PathCheck, PingCheck, RouteCheck, SessionsCheck
from lab.places import resolve_where
from tests.netns.labworld import MSEE, World

pytestmark = pytest.mark.root

GOOD: tuple[Check, ...] = (
    PingCheck("pc1", "vm1"),
    PingCheck("pc1", "vm1", family=6),
    PathCheck("pc1", "vm1", via="ams", peering="private", hop="msee1"),
    PathCheck("vm1", "pc1", via="ams", family=6),
    PathCheck("pc1", "cdn", via="internet", port=53),
    SessionsCheck("ams"),
    RouteCheck("ce1", ip_network("10.50.0.0/24"), as_path=(12076,)),
    RouteCheck("msee1", ip_network("fd00:1::/64"), as_path=(65010,)),
    RouteCheck("ce1", ip_network("0.0.0.0/0"), present=False),
    FrameCheck("ams-primary", (), "bgp"),
    FrameCheck("ams-primary", (), "icmp"),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("checks"))
    try:
        world.build(peering_routes=False)
        world.start_birds()
        yield world
    finally:
        world.close()


def run(world: World, *checks: Check, deadline_s: float = 10) -> list[CheckResult]:
    return list(run_checks(world, checks, deadline_s))


def one(world: World, check: Check, deadline_s: float = 0.5) -> CheckResult:
    (result,) = run(world, check, deadline_s=deadline_s)
    return result


class Recorder:
    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []

    def started(self, number: int, check: Check) -> None:
        self.heard.append(("started", number))

    def finished(self, number: int, result: CheckResult) -> None:
        self.heard.append(("finished", number))


def test_checks_hold_as_soon_as_the_network_is_ready_and_are_reported_in_order(world: World) -> None:
    observer = Recorder()
    results = run_checks(world, GOOD, 20, observer)
    assert [result.words for result in results if not result.ok] == []
    assert [result.check for result in results] == list(GOOD)
    assert observer.heard == [
        event for number in range(len(GOOD)) for event in (("started", number), ("finished", number))
    ]


def test_the_default_checks_prove_sessions_and_reachability(world: World) -> None:
    checks = default_checks(world.model)
    assert checks == (SessionsCheck(), PingCheck("pc1", "vm1", 4), PingCheck("pc1", "vm1", 6))
    assert all(result.ok for result in run(world, *checks))


def test_a_path_by_the_other_way_says_what_was_seen(world: World) -> None:
    assert one(world, PathCheck("pc1", "vm1", via="ams"), deadline_s=10).ok
    result = one(world, PathCheck("pc1", "vm1", via="internet"))
    assert not result.ok
    assert result.words == (
        "path pc1 -> vm1 leaves by ams (hops: ce1, msee1 (ams/private primary), vm1), expected internet"
    )
    wrong = one(world, PathCheck("pc1", "cdn", via="ams"))
    assert wrong.words == (
        "path pc1 -> cdn leaves by internet (hops: ce1, internet, cdn), expected circuit ams"
    )
    assert wrong.evidence["via"] == ["internet"]


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (PingCheck("pc1", "10.50.0.99"), "pc1 -> 10.50.0.99: 0 of 3 echo replies"),
        (PingCheck("pcl", "vm1"), "no node pcl; did you mean pc1?"),
        (PingCheck("pc1", "vm2"), "no host or router vm2; did you mean vm1?"),
        (PingCheck("pc1", "cdn", family=6), "cdn has no IPv6 address; give it one in the topology file"),
        (RouteCheck("ce1", ip_network("10.51.0.0/24")), "ce1 has no route 10.51.0.0/24"),
        (RouteCheck("vm1", ip_network("10.51.0.0/24")), "no router vm1 that speaks BGP; known: ce1, msee1"),
        (
            RouteCheck("ce1", ip_network("10.50.0.0/24"), present=False),
            "ce1 has 10.50.0.0/24 by 192.168.15.2 (AS path 12076), and should not",
        ),
        (
            RouteCheck("ce1", ip_network("10.50.0.0/24"), as_path=(12076, 65515)),
            "ce1 has 10.50.0.0/24 by 192.168.15.2 (AS path 12076); expected AS path 12076 65515",
        ),
        (
            RouteCheck("ce1", ip_network("10.50.0.0/24"), communities=((12076, 5030),)),
            "ce1 has 10.50.0.0/24 by 192.168.15.2 (AS path 12076); expected communities 12076:5030",
        ),
        (SessionsCheck("fra"), "no session of a peering matches"),
        (SessionsCheck(state="down"), "0 of 2 sessions down; up: ams/private primary IPv4 ce1"),
        (FrameCheck("ams-primary", (3, 100), "bfd"), "ams-primary: no frame 3/100 bfd in 0.5 s; seen: "),
    ],
)
def test_a_check_that_fails_says_what_was_seen(world: World, check: Check, words: str) -> None:
    assert one(world, SessionsCheck(), deadline_s=10).ok
    assert one(world, PingCheck("pc1", "vm1"), deadline_s=10).ok
    result = one(world, check)
    assert not result.ok
    assert result.words.startswith(words)


def test_a_check_passes_when_the_network_recovers_in_its_time(world: World) -> None:
    world.ip("ce1", "link set lan down")
    results: list[CheckResult] = []
    thread = threading.Thread(
        target=lambda: results.extend(run(world, PingCheck("pc1", "vm1"), deadline_s=30))
    )
    thread.start()
    world.ip("ce1", "link set lan up")
    thread.join()
    assert results[0].ok


def test_a_shut_session_is_named_with_its_reason_and_inspect_shows_it(world: World) -> None:
    assert one(world, SessionsCheck(), deadline_s=10).ok
    name = "microsoft_ams_private_ipv4"
    world.bird("ce1").disable(name)
    try:
        result = one(world, SessionsCheck("ams", "private"))
        down = one(world, SessionsCheck(state="down"))
        view = collect(world)
    finally:
        world.bird("ce1").enable(name)
    assert not result.ok
    assert result.words.startswith(
        "1 of 2 sessions established; ams/private primary IPv4 ce1 -> 192.168.15.2 is Down: "
        "administratively down"
    )
    assert down.words.startswith("1 of 2 sessions down; up: ams/private primary IPv6")
    session = next(item for item in view.sessions if item.node == "ce1" and item.family == 4)
    assert (session.state, session.uptime_s) == ("Down", None)
    assert session.why.startswith("administratively down")
    assert one(world, SessionsCheck(), deadline_s=20).ok


def test_inspect_reads_sessions_prefixes_and_uptime_from_bird(world: World) -> None:
    assert all(result.ok for result in run(world, SessionsCheck(), PingCheck("pc1", "vm1", 6)))
    world.extra_status = {
        "links": {
            "ce1:ams1.100": {"up": True, "carrier": True},
            f"{MSEE}:ams.100": {"up": True, "carrier": False},
        },
        "daemons": {MSEE: {"pid": 7, "restarts": 2}},
    }
    view = collect(world)
    assert [(item.node, item.side, item.state, item.imported, item.exported) for item in view.sessions] == [
        ("ce1", "customer", "Established", 1, 1),
        ("ce1", "customer", "Established", 1, 1),
        ("msee1", "microsoft", "Established", 1, 1),
        ("msee1", "microsoft", "Established", 1, 1),
    ]
    assert all(item.why == "" and item.uptime_s is not None for item in view.sessions)
    assert [(link.name, link.up, link.carrier) for link in view.links] == [
        ("pc1", None, None),
        ("ams-primary", True, False),
        ("vm1", None, None),
    ]
    assert {node.name: node.restarts for node in view.nodes}["msee1"] == 2
    assert view.to_json()["version"] == 1
    assert (view.realisation, view.reason) == ("bpf", "for a test")


def test_a_dead_bird_is_shown_and_the_others_are_too(world: World, tmp_path: Path) -> None:
    class Without(SharedAccess):
        def bird(self, namespace, /):
            return super().bird(namespace if namespace == "ce1" else "nowhere")

    view = collect(Without(world))
    states = {(item.node, item.state) for item in view.sessions}
    assert ("msee1", "unknown") in states
    assert any(node == "ce1" and state != "unknown" for node, state in states)
    assert {node.name: node.state for node in view.nodes}["msee1"] == f"BIRD does not answer in {MSEE}"


@pytest.mark.parametrize(
    ("protocol", "neighbor"),
    [("arp", "192.168.15.2"), ("icmp", "192.168.15.2"), ("icmp6", "fd00:15::2"), ("bgp", "192.168.15.2")],
)
def test_a_quiet_protocol_can_be_made_to_speak(world: World, protocol: str, neighbor: str) -> None:
    assert one(world, SessionsCheck(), deadline_s=20).ok
    stimulus = Stimulus(world.model.peering_ends[0], ip_address(neighbor))
    end = time.monotonic() + 10
    found = False
    with FrameSource(world, resolve_where(world.model, "ams-primary")) as source:
        poller = select.poll()
        for fd in source.fds():
            poller.register(fd, select.POLLIN)
        stimulate(world, FrameCheck("ams-primary", (), protocol), stimulus)
        while not found and time.monotonic() < end:
            frames = source.read([fd for fd, _ in poller.poll(100)])
            found = any(
                is_stimulus(frame.data, protocol) for frame in frames if frame.direction == "outbound"
            )
    assert found


def is_stimulus(frame: bytes, protocol: str) -> bool:
    """Of BGP only UPDATE and ROUTE-REFRESH (types 2 and 5) count, for keepalives come by themselves."""
    if summarize(frame).protocol != protocol:
        return False
    return protocol != "bgp" or bool(re.search(rb"\xff{16}..[\x02\x05]", frame, re.DOTALL))


def test_only_peerings_with_these_tags_on_this_link_are_asked_to_speak(world: World) -> None:
    def neighbors(check: FrameCheck) -> list[str]:
        return [str(stimulus.neighbor) for stimulus in stimuli(world.model, check)]

    assert neighbors(FrameCheck("ams-primary", (3, 100), "arp")) == ["192.168.15.2", "fd00:15::2"]
    assert neighbors(FrameCheck("ams-primary", (3, 101), "arp")) == []
    assert neighbors(FrameCheck("vm1", (3, 100), "arp")) == ["192.168.15.2", "fd00:15::2"]


def test_a_change_of_routes_wakes_those_who_wait(world: World) -> None:
    with ChangeWatch(SharedAccess(world), ["ce1"]) as watch:
        watch.wait(watch.count, 0)
        seen = watch.count
        started = time.monotonic()
        world.add_route("ce1", "10.99.0.0/24 via 100.64.0.2")
        watch.wait(seen, 30)
        assert watch.count > seen
        assert time.monotonic() - started < 25
