"""Real BIRDs: sessions come up, fail for the right reason, and say so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge.bgp.diagnosis import why_down
from edge.bgp.md5 import Md5Counters, tcp_md5_failures
from edge.model import Bfd, ImportPolicy, PrefixLimit, Session
from edge.net.objects.changes import Change
from edge.net.objects.daemons import BirdDaemon
from tests.netns.bird_world import World, session, vrf, world_in
from tests.netns.conftest import Sandbox

pytestmark = pytest.mark.skipif(shutil.which("bird", path="/usr/sbin:/usr/bin") is None, reason="needs BIRD")

CE, MSEE = (65010, 12076), (12076, 65010)


@pytest.fixture
def world(sandbox: Sandbox, tmp_path: Path) -> Iterator[World]:
    made = world_in(sandbox.run, tmp_path / "bird", sandbox.netns_directory)
    yield made
    made.birds.close()


def md5(namespace: str, directory: Path) -> Md5Counters:
    fd = os.open(directory / namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return tcp_md5_failures(fd)
    finally:
        os.close(fd)


def pair(world: World, **more: object) -> tuple[Session, Session, Session, Session]:
    """ce and msee on one wire, a session of each family at each end; nothing is started."""
    world.namespace("ce", "msee")
    wire = world.wire(1, "ce", "msee")
    a4, a6 = (session(wire, "ce", "microsoft", CE, family=family, **more) for family in (4, 6))
    b4, b6 = (session(wire, "msee", "customer", MSEE, family=family, **more) for family in (4, 6))
    return a4, a6, b4, b6


def test_both_families_come_up_with_one_key_within_two_seconds(world: World) -> None:
    a4, a6, b4, b6 = pair(world, password="s3cret", bfd=Bfd())
    world.give(
        vrf("ce", [a4, a6], ["10.1.0.0/16", "fd00:1::/64"]),
        vrf("msee", [b4, b6], [("10.50.0.0/16", ((12076, 20001), (12076, 51002)))]),
    )
    took = world.established(("ce", a4), ("ce", a6), ("msee", b4), ("msee", b6), timeout_s=2)
    print(f"established {took:.2f} s after the last daemon answered")
    route = world.has_route("ce", "10.50.0.0/16")
    assert route.as_path == (12076,)
    assert route.communities == ((12076, 20001), (12076, 51002))
    assert route.best
    assert [str(hop.address) for hop in route.next_hops] == ["10.9.1.2"]
    assert world.has_route("msee", "fd00:1::/64").as_path == (65010,)
    state = world.state("msee", b4)
    assert (state.hold_s, state.keepalive_s) == (180, 60)
    assert (state.local_asn, state.peer_asn, str(state.neighbor)) == (12076, 65010, "10.9.1.1")
    assert state.imported == 1
    assert state.uptime_s is not None
    assert state.uptime_s < 60
    world.wait("BFD up", lambda: world.state("msee", b4).bfd == "Up", 5)
    kernel = "10.50.0.0/16 via 10.9.1.2 dev to-msee proto bird"
    world.wait("the kernel", lambda: kernel in world.run("ip", "-n", "ce", "route"), 5)
    assert "10.50.0.0/16" not in world.run("ip", "-n", "msee", "route"), "an originated prefix was blackholed"
    assert {"started", "established"} <= {e.what if e.protocol else "started" for e in world.events("ce")}


def test_a_wrong_key_keeps_the_session_down_and_is_counted(world: World, sandbox: Sandbox) -> None:
    a4, a6, b4, b6 = pair(world, password="right")
    world.give(vrf("ce", [replace(a4, password="wrong"), a6]), vrf("msee", [b4, b6]))
    world.established(("ce", a6), ("msee", b6))
    failures = lambda: md5("msee", sandbox.netns_directory)  # noqa: E731
    world.wait("refused segments", lambda: failures().failure >= 2, 10)
    state = world.state("msee", b4)
    assert not state.established
    assert "shared keys (TCP MD5)" in why_down(state, failures().total)
    world.give(vrf("ce", [a4, a6]))
    world.established(("ce", a4), ("msee", b4))


def test_a_key_on_one_end_only_is_counted_at_both(world: World, sandbox: Sandbox) -> None:
    a4, _, b4, _ = pair(world)
    world.give(vrf("ce", [a4]), vrf("msee", [replace(b4, password="only")]))
    world.wait("unsigned", lambda: md5("msee", sandbox.netns_directory).not_found > 0, 10)
    world.wait("signed", lambda: md5("ce", sandbox.netns_directory).unexpected > 0, 10)
    assert not world.state("ce", a4).established


def test_silent_loss_is_seen_by_bfd_and_the_session_returns(world: World) -> None:
    a4, _, b4, _ = pair(world, bfd=Bfd(300, 3))
    world.give(vrf("ce", [a4]), vrf("msee", [b4]))
    world.established(("ce", a4), ("msee", b4))
    world.wait("BFD up", lambda: world.state("ce", a4).bfd == world.state("msee", b4).bfd == "Up", 5)
    (bfd,) = world.control("ce").bfd_sessions()
    assert (bfd.interval_s, bfd.timeout_s) == (0.3, 0.9)
    in_msee = ("ip", "netns", "exec", "msee", "nft")
    world.run(*in_msee, "add table inet silent")
    world.run(*in_msee, "add chain inet silent in { type filter hook input priority 0; policy drop; }")
    took = world.wait("down", lambda: not world.state("msee", b4).established, 3)
    assert took < 1.5
    assert "BFD heard nothing from 10.9.1.1" in why_down(world.state("msee", b4))
    assert any(e.what == "bfd" and e.state == "Down" for e in world.events("msee"))
    world.run(*in_msee, "delete table inet silent")
    world.established(("ce", a4), ("msee", b4), timeout_s=15)


def test_a_session_without_bfd_at_the_other_end_stays_up(world: World) -> None:
    a4, _, b4, _ = pair(world)
    world.give(vrf("ce", [a4]), vrf("msee", [replace(b4, bfd=Bfd())]))
    world.established(("ce", a4), ("msee", b4))
    assert world.state("msee", b4).bfd == "Down"


def test_carrier_loss_ends_the_session_at_once(world: World) -> None:
    a4, _, b4, _ = pair(world)
    world.give(vrf("ce", [a4]), vrf("msee", [b4]))
    world.established(("ce", a4), ("msee", b4))
    world.run("ip", "-n", "ce", "link", "set", "to-msee", "down")
    # The kernel may hold the news back for a second (linkwatch); the hold timer would take minutes.
    world.wait("down", lambda: not world.state("msee", b4).established, 3)
    assert "to-ce has no carrier" in why_down(world.state("msee", b4))
    world.run("ip", "-n", "ce", "link", "set", "to-msee", "up")
    world.established(("ce", a4), ("msee", b4))


def test_session_returns_when_prefix_count_drops_below_limit(world: World) -> None:
    a4, _, b4, _ = pair(world)
    b4 = replace(b4, imports=ImportPolicy(limit=PrefixLimit(3, retry_s=2)))
    few = [f"10.{number}.0.0/16" for number in (1, 2, 3)]
    world.give(vrf("ce", [a4], few), vrf("msee", [b4]))
    world.established(("ce", a4), ("msee", b4))
    world.wait("3 prefixes", lambda: world.state("msee", b4).imported == 3, 5)
    assert world.state("msee", b4).limit == 3
    world.give(vrf("ce", [a4], [*few, "10.4.0.0/16"]))
    hits = lambda: [event for event in world.events("msee") if event.what == "limit"]  # noqa: E731
    world.wait("dropped", lambda: hits() and not world.state("msee", b4).established, 5)
    assert "sent more than 3 prefixes" in why_down(world.state("msee", b4))
    world.wait("dropped again when it was tried again", lambda: len(hits()) >= 3, 15)
    times = [event.at for event in hits() if event.at is not None]
    assert times[-1] - times[-2] >= 2.0, "the pause does not grow to the retry"
    world.give(vrf("ce", [a4], few))
    world.established(("ce", a4), ("msee", b4), timeout_s=15)
    world.wait("3 prefixes", lambda: world.state("msee", b4).imported == 3, 5)


def test_the_limit_counts_accepted_prefixes_only(world: World) -> None:
    a4, _, b4, _ = pair(world)
    imports = ImportPolicy(refuse=(vrf("x", [], ["172.16.0.0/12"]).originates[0].network,))
    b4 = replace(b4, imports=replace(imports, limit=PrefixLimit(1)))
    world.give(
        vrf("ce", [a4], ["10.1.0.0/16", "172.16.0.0/16", "172.17.0.0/16"]),
        vrf("msee", [b4]),
    )
    world.established(("ce", a4), ("msee", b4))
    world.wait("counts", lambda: world.state("msee", b4).filtered == 2, 5)
    assert world.state("msee", b4).imported == 1
    refused = world.control("msee").routes(filtered=True)
    assert {str(route.network) for route in refused} == {"172.16.0.0/16", "172.17.0.0/16"}


def test_why_down_tells_what_is_wrong(world: World) -> None:
    a4, _, b4, _ = pair(world)
    reason = lambda: why_down(world.state("ce", a4))  # noqa: E731
    world.give(vrf("ce", [a4]))
    world.wait("refused", lambda: "refused the connection" in reason(), 10)
    world.give(vrf("msee", [replace(b4, peer_asn=65011)]))
    world.wait("wrong AS", lambda: "does not expect AS 65010 from us" in reason(), 20)
    assert "is not AS 65011, as configured" in why_down(world.state("msee", b4))
    world.run("ip", "-n", "msee", "address", "del", "10.9.1.2/30", "dev", "to-ce")
    world.control("ce").restart("microsoft_msee_4")
    world.wait("no answer", lambda: "has not answered TCP yet" in reason(), 20)
    silent = why_down(world.state("ce", a4), neighbor_resolved=False)
    assert "10.9.1.2 does not answer ARP or neighbour discovery on to-msee" in silent
    world.control("ce").disable("microsoft_msee_4")
    world.wait("shut", lambda: "administratively down" in reason(), 5)


def test_a_disabled_session_is_shut_at_both_ends_and_comes_back(world: World) -> None:
    a4, a6, b4, b6 = pair(world)
    world.give(vrf("ce", [a4, a6]), vrf("msee", [replace(b4, enabled=False), b6]))
    world.established(("ce", a6), ("msee", b6))
    assert world.state("msee", b4).state == "down"
    world.give(vrf("msee", [b4, b6]))
    world.established(("ce", a4), ("msee", b4))
    world.give(vrf("msee", [replace(b4, enabled=False), b6]))
    world.wait("shut", lambda: not world.state("ce", a4).established, 5)
    other = [event for event in world.events("msee") if event.protocol == "customer_ce_6"]
    assert [event.state for event in other if event.what == "state"] == ["start", "up"], world.lines


def test_creating_with_a_configuration_that_bird_refuses_says_where_and_leaves_nothing(
    world: World, tmp_path: Path
) -> None:
    world.namespace("ce")
    (error,) = world.birds.apply([Change(None, BirdDaemon("ce", "router id 1.2.3.4;\nnonsense;\n"))])
    assert error is not None
    assert "BIRD in ce does not start" in str(error)
    assert "ce.conf:2:" in str(error)
    assert world.birds.known() == frozenset()
    assert not list((tmp_path / "bird").iterdir())
