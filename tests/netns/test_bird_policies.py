"""Real BIRDs: what the policies of edge.model do to routes, as the neighbours see it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path

import pytest

from edge.model import ExportPolicy, ImportPolicy, PlainInterface
from tests.netns.bird_world import World, net, session, vrf, world_in
from tests.netns.conftest import Sandbox

pytestmark = pytest.mark.skipif(shutil.which("bird", path="/usr/sbin:/usr/bin") is None, reason="needs BIRD")

RFC1918 = (net("10.0.0.0/8"), net("172.16.0.0/12"), net("192.168.0.0/16"))
TEAMS, EXCHANGE = (12076, 5030), (12076, 5010)


@pytest.fixture
def world(sandbox: Sandbox, tmp_path: Path) -> Iterator[World]:
    made = world_in(sandbox.run, tmp_path / "bird", sandbox.netns_directory)
    yield made
    made.birds.close()


def test_a_microsoft_peering_refuses_default_private_and_unlisted_prefixes(world: World) -> None:
    world.namespace("ce", "msee")
    wire = world.wire(1, "ce", "msee")
    imports = ImportPolicy(
        prefixes=(net("203.0.113.0/24"), net("10.0.0.0/8")), refuse=RFC1918, refuse_default=True
    )
    ce = session(wire, "ce", "microsoft", (65010, 12076))
    msee = session(wire, "msee", "customer", (12076, 65010), imports=imports)
    own = ["203.0.113.0/28", "203.0.113.0/24", "198.51.100.0/24", "0.0.0.0/0", "10.1.0.0/16", "172.16.0.0/12"]
    world.give(vrf("ce", [ce], own), vrf("msee", [msee]))
    world.established(("ce", ce), ("msee", msee))
    world.wait("all seen", lambda: world.state("msee", msee).filtered == 4, 5)
    taken = world.control("msee").routes(protocol="customer_ce_4")
    assert {str(route.network) for route in taken} == {"203.0.113.0/28", "203.0.113.0/24"}


def test_the_default_route_passes_where_it_is_not_refused(world: World) -> None:
    world.namespace("ce", "msee")
    wire = world.wire(1, "ce", "msee")
    ce = session(wire, "ce", "microsoft", (65010, 12076))
    msee = session(wire, "msee", "customer", (12076, 65010), imports=ImportPolicy(refuse=RFC1918))
    world.give(vrf("ce", [ce], ["0.0.0.0/0", "10.1.0.0/16"]), vrf("msee", [msee]))
    assert world.established(("ce", ce), ("msee", msee)) < 5
    world.has_route("msee", "0.0.0.0/0")
    world.lacks_route("msee", "10.1.0.0/16")


def test_no_prefix_of_the_family_is_allowed_when_the_list_has_none(world: World) -> None:
    world.namespace("ce", "msee")
    wire = world.wire(1, "ce", "msee")
    ce = session(wire, "ce", "microsoft", (65010, 12076), family=6)
    only_v4 = ImportPolicy(prefixes=(net("203.0.113.0/24"),))
    msee = session(wire, "msee", "customer", (12076, 65010), family=6, imports=only_v4)
    world.give(vrf("ce", [ce], ["fd00:1::/64"]), vrf("msee", [msee]))
    world.wait("refused", lambda: world.state("msee", msee).filtered == 1, 10)
    assert world.state("msee", msee).imported == 0


def test_on_premises_sees_vnets_with_the_path_12076_and_the_gateway_sees_the_customer(world: World) -> None:
    world.namespace("ce", "msee", "gw", "far")
    down, up, beyond = world.wire(1, "ce", "msee"), world.wire(2, "msee", "gw"), world.wire(3, "gw", "far")
    ce = session(down, "ce", "microsoft", (65010, 12076))
    to_ce = session(
        down,
        "msee",
        "customer",
        (12076, 65010),
        exports=ExportPolicy(groups=("gateway",), empty_private_path=True),
    )
    to_gw = session(up, "msee", "gateway", (12076, 65515), exports=ExportPolicy(groups=("customer",)))
    gw = session(up, "gw", "microsoft", (65515, 12076), exports=ExportPolicy(groups=("far",)))
    gw_far = session(beyond, "gw", "far", (65515, 64500))
    far = session(beyond, "far", "gateway", (64500, 65515))
    world.give(
        vrf("ce", [ce], ["10.1.0.0/16"]),
        vrf("msee", [to_ce, to_gw]),
        vrf("gw", [gw, gw_far], ["10.50.0.0/16"]),
        vrf("far", [far], ["192.0.2.0/24"]),
    )
    assert world.has_route("ce", "10.50.0.0/16").as_path == (12076,)
    assert world.has_route("gw", "10.1.0.0/16").as_path == (12076, 65010)
    public = world.has_route("ce", "192.0.2.0/24").as_path
    assert public == (12076, 65515, 64500), "a path with a public AS number stays whole"


def test_a_session_without_groups_never_carries_transit(world: World) -> None:
    world.namespace("ce", "m1", "m2")
    one, two = world.wire(1, "ce", "m1"), world.wire(2, "ce", "m2")
    ends = [session(wire, "ce", "microsoft", (65010, 12076)) for wire in (one, two)]
    m1, m2 = (session(wire, wire.b, "customer", (12076, 65010)) for wire in (one, two))
    world.give(
        vrf("ce", ends, ["10.1.0.0/16"]), vrf("m1", [m1], ["10.50.0.0/16"]), vrf("m2", [m2], ["10.60.0.0/16"])
    )
    world.has_route("ce", "10.50.0.0/16")
    world.has_route("m2", "10.1.0.0/16")
    assert {str(route.network) for route in world.control("m2").routes(protocol="customer_ce_4")} == {
        "10.1.0.0/16"
    }


def test_a_route_filter_passes_only_its_communities_and_own_routes(world: World) -> None:
    world.namespace("core", "msee", "ce")
    up, down = world.wire(1, "core", "msee"), world.wire(2, "msee", "ce")
    core = session(up, "core", "msee", (8075, 12076))
    to_core = session(up, "msee", "core", (12076, 8075))
    ce = session(down, "ce", "microsoft", (65010, 12076))

    def to_ce(communities: tuple[tuple[int, int], ...] | None) -> ExportPolicy:
        return ExportPolicy(groups=("core",), communities=communities)

    msee = session(down, "msee", "customer", (12076, 65010), exports=to_ce((TEAMS,)))
    services = [
        ("52.112.0.0/14", (TEAMS,)),
        ("13.107.6.152/31", (EXCHANGE,)),
        ("13.107.128.0/22", (EXCHANGE, TEAMS)),
        "192.0.2.0/24",
    ]
    world.give(
        vrf("core", [core], services), vrf("msee", [to_core, msee], ["198.51.100.0/24"]), vrf("ce", [ce])
    )

    def seen() -> set[str]:
        return {str(route.network) for route in world.control("ce").routes(protocol="microsoft_msee_4")}

    teams = {"52.112.0.0/14", "13.107.128.0/22", "198.51.100.0/24"}
    world.wait("Teams and own", lambda: seen() == teams, 10)
    assert TEAMS in world.has_route("ce", "52.112.0.0/14").communities
    world.give(vrf("msee", [to_core, replace(msee, exports=to_ce(()))], ["198.51.100.0/24"]))
    world.wait("own only", lambda: seen() == {"198.51.100.0/24"}, 5)
    world.give(vrf("msee", [to_core, replace(msee, exports=to_ce((TEAMS, EXCHANGE)))], ["198.51.100.0/24"]))
    world.wait("both services", lambda: seen() == {*teams, "13.107.6.152/31"}, 5)
    world.give(vrf("msee", [to_core, replace(msee, exports=to_ce(None))], ["198.51.100.0/24"]))
    world.wait("all", lambda: seen() == {*teams, "13.107.6.152/31", "192.0.2.0/24"}, 5)
    downs = [event for event in world.events("ce") if event.what == "state" and event.state == "down"]
    assert not downs, "attaching a route filter disturbed the session"


def test_communities_and_private_as_numbers_of_the_customer_are_forgotten(world: World) -> None:
    world.namespace("ce", "msee")
    wire = world.wire(1, "ce", "msee")
    prepended = ExportPolicy(prepend=3)
    ce = session(wire, "ce", "microsoft", (65010, 12076), exports=prepended)
    imports = ImportPolicy(ignore_communities=True, strip_private_asns=True, local_pref=150)
    msee = session(wire, "msee", "customer", (12076, 65010), imports=imports)
    own = [("203.0.113.0/28", ((65535, 65281), (65010, 7)))]
    world.give(vrf("ce", [ce], own), vrf("msee", [replace(msee, imports=ImportPolicy(local_pref=90))]))
    route = world.has_route("msee", "203.0.113.0/28")
    assert route.as_path == (65010,) * 4
    assert (65010, 7) in route.communities
    assert route.local_pref == 90
    world.give(vrf("msee", [msee]))
    world.wait(
        "forgotten",
        lambda: [r.as_path for r in world.routes("msee", "203.0.113.0/28")] == [()],
        5,
    )
    route = world.has_route("msee", "203.0.113.0/28")
    assert (route.communities, route.local_pref, route.origin) == ((), 150, "IGP")


def test_equal_paths_are_merged_in_the_kernel_and_a_prepended_one_is_left_out(
    world: World,
) -> None:
    world.namespace("ce", "m1", "m2", "m3")
    wires = [world.wire(number, "ce", f"m{number}") for number in (1, 2, 3)]
    ends = [session(wire, "ce", "microsoft", (65010, 12076)) for wire in wires]
    peers = [session(wire, wire.b, "customer", (12076, 65010)) for wire in wires]
    both = ["10.50.0.0/16", "fd00:50::/48"]

    def next_hops() -> set[str]:
        routes = json.loads(world.run("ip", "-j", "-n", "ce", "route", "show", "10.50.0.0/16"))
        return {
            hop["gateway"]
            for route in routes
            for hop in (route.get("nexthops") or [route])
            if route.get("protocol") == "bird"
        }

    world.give(
        vrf("ce", ends, ecmp_paths=4),
        *(vrf(wire.b, [peer], both) for wire, peer in zip(wires, peers, strict=True)),
    )
    everyone = {"10.9.1.2", "10.9.2.2", "10.9.3.2"}
    world.wait("three next hops", lambda: next_hops() == everyone, 10)
    (merged,) = world.control("ce").routes(net("10.50.0.0/16"), exported_to="kernel4")
    assert {str(hop.address) for hop in merged.next_hops} == everyone
    worse = replace(peers[0], exports=ExportPolicy(prepend=8))
    world.give(vrf("m1", [worse], both))
    world.wait("prepended left", lambda: next_hops() == {"10.9.2.2", "10.9.3.2"}, 5)
    prepended = [r for r in world.routes("ce", "10.50.0.0/16") if r.protocol == "microsoft_m1_4"]
    assert prepended[0].as_path == (12076,) * 9
    world.give(vrf("ce", ends, ecmp_paths=1))
    world.wait("one next hop", lambda: len(next_hops()) == 1, 10)


def test_an_ibgp_mesh_passes_what_ebgp_brought_with_its_own_next_hop(world: World) -> None:
    world.namespace("msee", "ce1", "ce2")
    up, mesh = world.wire(1, "msee", "ce1"), world.wire(2, "ce1", "ce2")
    msee = session(up, "msee", "customer", (12076, 65010))
    ce1 = session(up, "ce1", "microsoft", (65010, 12076))
    to_ce2 = session(
        mesh, "ce1", "mesh", (65010, 65010), exports=ExportPolicy(groups=("microsoft",)), next_hop_self=True
    )
    to_ce1 = session(mesh, "ce2", "mesh", (65010, 65010), exports=ExportPolicy(groups=("microsoft",)))
    world.give(
        vrf("msee", [msee], ["10.50.0.0/16"]),
        vrf("ce1", [ce1, to_ce2], ["10.1.0.0/16"]),
        vrf("ce2", [to_ce1], ["10.2.0.0/16"]),
    )
    route = world.has_route("ce2", "10.50.0.0/16")
    assert [str(hop.address) for hop in route.next_hops] == ["10.9.2.1"]
    assert route.as_path == (12076,)
    world.has_route("ce1", "10.2.0.0/16")
    world.has_route("msee", "10.1.0.0/16")
    assert not world.routes("msee", "10.2.0.0/16"), "a group that is not listed was announced"


def test_a_connected_prefix_is_announced_with_its_communities_while_its_device_is_up(world: World) -> None:
    world.namespace("ce", "msee", "pc")
    wire, lan = world.wire(1, "ce", "msee"), world.wire(2, "ce", "pc")
    ce = session(wire, "ce", "microsoft", (65010, 12076))
    msee = session(wire, "msee", "customer", (12076, 65010))
    device = PlainInterface(lan.device("ce"), (ip_interface("10.9.2.1/30"), ip_interface("fd09:2::1/126")))
    world.give(
        vrf("ce", [ce], [("10.9.2.0/30", ((65010, 1),)), "10.7.0.0/16"], interfaces=(device,)),
        vrf("msee", [msee]),
    )
    assert world.has_route("msee", "10.9.2.0/30").communities == ((65010, 1),)
    assert "blackhole" not in world.run("ip", "-n", "ce", "route")
    world.run("ip", "-n", "pc", "link", "set", "to-ce", "down")
    world.lacks_route("msee", "10.9.2.0/30")
    world.has_route("msee", "10.7.0.0/16")
    world.run("ip", "-n", "pc", "link", "set", "to-ce", "up")
    world.has_route("msee", "10.9.2.0/30")
