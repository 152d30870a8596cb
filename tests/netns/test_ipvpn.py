"""The any-to-any model: what a provider's core carries for two customers with equal addresses.

The lab is that of the gallery. Here its core has a VRF at each hop, on the stock kernel it has MPLS labels.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

import pytest
from labs import CONTOSO, Labs, own_labs, until

from edge.model import MSEE_ASN, Router, Vrf
from lab.capture import FrameSource
from lab.client import Client
from lab.hops import explain_path
from lab.model import LabModel
from lab.places import resolve_where
from lab.probe import ping
from lab.state import RunDirectory
from lab.topology.addresses import INTERNAL_V4
from lab.trace import trace
from tests.kernels import this_kernel
from tests.netns.forkserver import Server

pytestmark = [pytest.mark.root, pytest.mark.kernels("here", "stock")]

TOPOLOGY = CONTOSO.with_name("any-to-any.edge.yml")
PROVIDER, CUSTOMER = 64496, 65001
CORE = ("pe-berlin-core", "pe-paris-core", "pe-rome-core", "colt-p1-colt-p2")

only_here = pytest.mark.kernels("here")
only_stock = pytest.mark.kernels("stock")


@dataclass(frozen=True)
class Lab:
    """The lab of this module, and a client of it."""

    labs: Labs
    client: Client
    core: str

    @property
    def model(self) -> LabModel:
        return self.client.model

    def router(self, name: str) -> Router:
        return next(router for router in self.model.routers if router.name == name)

    def vrf(self, namespace: str) -> Vrf:
        return next(v for router in self.model.routers for v in router.vrfs if v.namespace == namespace)

    def reaches(self, source: str, target: str) -> bool:
        result = ping(self.client, source, ip_address(target), count=3, deadline_s=5.0)
        return result.received == result.sent == 3


@pytest.fixture(scope="module")
def lab(fork_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    scratch = tmp_path_factory.mktemp("ipvpn")
    with own_labs(scratch, fork_server) as labs:
        done = labs.json("deploy", "-t", str(TOPOLOGY), "--wait", "60")
        assert done["pending"] == []
        with Client(RunDirectory(labs.directory / "any-to-any")) as client:
            yield Lab(labs, client, done["realisation"]["core"])


@dataclass(frozen=True)
class Seen:
    """A frame: its VLAN ids, its MPLS labels, and the IPv4 packet in it (empty when there is none)."""

    tags: tuple[int, ...]
    labels: tuple[int, ...]
    packet: bytes

    @property
    def ends(self) -> tuple[str, str]:
        """Source and destination of the packet."""
        return socket.inet_ntoa(self.packet[12:16]), socket.inet_ntoa(self.packet[16:20])

    @property
    def echo(self) -> bool:
        """Whether it is an ICMP echo request or reply."""
        return len(self.packet) > 20 and self.packet[9] == 1 and self.packet[20] in (0, 8)


def seen(frame: bytes) -> Seen:
    """A frame taken apart by IEEE 802.1Q and RFC 3032."""
    tags, labels, at = [], [], 12
    while (ethertype := struct.unpack_from("!H", frame, at)[0]) in (0x8100, 0x88A8):
        tags.append(struct.unpack_from("!H", frame, at + 2)[0] & 0xFFF)
        at += 4
    at += 2
    if ethertype == 0x8847:
        bottom = False
        while not bottom:
            entry = struct.unpack_from("!I", frame, at)[0]
            labels.append(entry >> 12)
            bottom, at = bool(entry & 0x100), at + 4
    version = frame[at] >> 4 if len(frame) > at else 0
    holds_ip = version == 4 and ethertype in (0x0800, 0x8847)
    return Seen(tuple(tags), tuple(labels), frame[at:] if holds_ip else b"")


def watched(lab: Lab, links: tuple[str, ...], act: Callable[[], object]) -> dict[str, list[Seen]]:
    """The frames on links while `act` runs; all it sent has been there when it returns."""
    places = [place for link in links for place in resolve_where(lab.model, link)]
    found: dict[str, list[Seen]] = {link: [] for link in links}
    with FrameSource(lab.client, places) as source:
        act()
        poller = select.poll()
        for fd in source.fds():
            poller.register(fd, select.POLLIN)
        while ready := poller.poll(0):
            for frame in source.read([fd for fd, _ in ready]):
                found[links[frame.place]].append(seen(frame.data))
    return found


def test_scenario_06_ipvpn_sites_learn_vnet_routes_through_the_provider(lab: Lab) -> None:
    model = lab.model
    sessions = lab.labs.json("inspect", "any-to-any")["sessions"]
    edges = [node.name for node in model.nodes if node.kind == "ce"]
    assert len(edges) == 5
    # The edges speak with the provider's PEs and nobody else; the PEs that face the MSEEs speak with these.
    for edge in edges:
        configured = lab.vrf(edge).sessions
        assert {session.peer_asn for session in configured} == {PROVIDER}
        assert len([one for one in sessions if one["node"] == edge]) == len(configured)
    kinds = {node.name: node.kind for node in model.nodes}
    owners = {
        str(a.ip): kinds[r.name]
        for r in model.routers
        for v in r.vrfs
        for i in (*v.subinterfaces, *v.interfaces)
        for a in i.addresses
    }
    by_edges = [one for one in sessions if one["node"] in edges]
    assert {(one["state"], owners[one["neighbor"]]) for one in by_edges} == {("Established", "pe")}
    towards = [one for one in sessions if kinds[one["node"]] == "msee" and one["group"] == "customer"]
    assert [(one["state"], owners[one["neighbor"]]) for one in towards] == [("Established", "pe")] * 4
    # Two sites behind different PEs have the virtual network's route, in BGP and in the kernel, and use it.
    hub = ip_network("10.50.0.0/16")
    for site, pe in (("berlin", "pe-berlin"), ("paris", "pe-paris"), ("rome", "pe-rome")):
        edge = f"ce-{site}"
        routes = until(lambda edge=edge: lab.client.bird(edge).routes(hub), f"{edge} learns {hub}")
        assert [route.as_path for route in routes] == [(PROVIDER, MSEE_ASN)]
        assert "10.50.0.0/16 via" in lab.labs.inside("any-to-any", edge, "ip", "route")
        assert lab.client.bird(f"{pe}.acme").routes(hub)
        assert lab.reaches(f"pc-{site}", "10.50.1.4")
    # Microsoft's edge is one more branch: it has every site's LAN from the provider.
    for number in (1, 2):
        bird = lab.client.bird(f"msee{number}-amsterdam.acme.private")
        for lan in ("10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24"):
            paths = {route.as_path for route in bird.routes(ip_network(lan))}
            assert paths == {(PROVIDER, CUSTOMER)}, (number, lan)


def test_from_site_to_site_packets_stay_in_the_core_of_the_provider(lab: Lab) -> None:
    wires = ("acme-primary", "acme-secondary")
    pairs = (("pc-berlin", "10.3.0.10"), ("pc-rome", "10.2.0.10"))
    frames = watched(lab, wires, lambda: _all_reach(lab, *pairs))
    assert [one for link in wires for one in frames[link] if one.echo] == []
    path = trace(lab.client, "pc-berlin", ip_address("10.3.0.10"), deadline_s=10.0)
    assert path.reached
    hops = [hop.node for hop in explain_path(lab.model, path, "pc-berlin")]
    between = [] if lab.core == "mpls" else ["colt-p2", "colt-p1"]
    assert list(dict.fromkeys(hops)) == ["ce-berlin", "pe-berlin", *between, "pe-rome", "ce-rome", "pc-rome"]


def _all_reach(lab: Lab, *pairs: tuple[str, str]) -> None:
    for source, target in pairs:
        assert lab.reaches(source, target), (source, target)


@only_here
def test_frames_in_a_core_of_vrfs_bear_the_tag_of_their_customer(lab: Lab) -> None:
    assert lab.core == "vrf"
    tags = {
        circuit: {
            tag.vid
            for node in ("pe-berlin", "colt-p1", "colt-p2")
            for sub in lab.vrf(f"{node}.{circuit}").subinterfaces
            for tag in sub.tags
        }
        for circuit in ("acme", "initech")
    }
    assert all(len(found) == 1 for found in tags.values())
    assert tags["acme"] != tags["initech"]
    (acme,), (initech,) = tags["acme"], tags["initech"]
    pairs = (("pc-berlin", "10.3.0.10"), ("pc-works", "10.4.0.10"), ("pc-works", "10.50.1.4"))
    frames = watched(lab, CORE, lambda: _all_reach(lab, *pairs))
    assert {len(one.tags) for link in CORE for one in frames[link]} == {1}
    assert all(one.labels == () for link in CORE for one in frames[link])
    echoes = {link: {(one.tags[0], *sorted(one.ends)) for one in frames[link] if one.echo} for link in CORE}
    rome, office = (acme, "10.1.0.10", "10.3.0.10"), (initech, "10.1.0.10", "10.4.0.10")
    vm2 = (initech, "10.1.0.10", "10.50.1.4")
    assert echoes["pe-berlin-core"] == {rome, office, vm2}
    assert echoes["pe-rome-core"] == echoes["colt-p1-colt-p2"] - {vm2} == {rome}
    assert echoes["pe-paris-core"] == {office}


@only_stock
def test_frames_in_a_core_of_labels_bear_transport_label_and_vpn_label(lab: Lab) -> None:
    assert lab.core == "mpls"
    model = lab.model
    switches = {router.name: router.labels for router in model.routers if router.labels is not None}
    assert {"colt-p1", "colt-p2", "pe-berlin", "pe-rome", "colt-amsterdam-pe1"} <= set(switches)
    # P routers know no customer: neither a VRF nor a BIRD, in the kernel labels alone.
    for node in ("colt-p1", "colt-p2"):
        assert lab.router(node).vrfs == ()
        routes = lab.labs.inside("any-to-any", node, "ip", "route").splitlines()
        assert all(ip_network(line.split()[0]).subnet_of(INTERNAL_V4) for line in routes)
        assert lab.labs.inside("any-to-any", node, "ip", "-f", "mpls", "route").count("via inet") == 5

    def pushed(vrf: str, towards: str) -> tuple[int, ...]:
        far = {a.ip for i in lab.vrf(towards).interfaces if i.name == "core" for a in i.addresses}
        return next(p.labels for p in lab.vrf(vrf).paths if p.destination.network_address in far)

    def swapped(node: str, label: int) -> tuple[int, ...]:
        return next(route.out for route in switches[node].routes if route.label == label)

    def along(vrf: str, towards: str, *nodes: str) -> list[tuple[int, ...]]:
        """The stacks on the wires behind each of these routers."""
        stack, found = pushed(vrf, towards), []
        for node in nodes:
            stack = (*swapped(node, stack[0]), *stack[1:])
            found.append(stack)
        return found

    pairs = (("pc-berlin", "10.3.0.10"), ("pc-works", "10.4.0.10"))
    frames = watched(lab, CORE, lambda: _all_reach(lab, *pairs))
    echoes = {link: {(*one.ends, one.labels) for one in frames[link] if one.echo} for link in CORE}
    berlin, rome, office = "10.1.0.10", "10.3.0.10", "10.4.0.10"
    there = along("pe-berlin.acme", "pe-rome.acme", "pe-berlin", "colt-p2", "colt-p1")
    back = along("pe-rome.acme", "pe-berlin.acme", "pe-rome", "colt-p1", "colt-p2")
    other = along("pe-berlin.initech", "pe-paris.initech", "pe-berlin", "colt-p2")
    other_back = along("pe-paris.initech", "pe-berlin.initech", "pe-paris", "colt-p2")
    assert [len(stack) for stack in (*there, *other)] == [2, 2, 1, 2, 1]
    # To one PE both customers have the same transport label; all other labels are of one use only.
    assert back[1][0] == other_back[0][0]
    assert len({label for stack in (*there, *back, *other, *other_back) for label in stack}) == 9
    assert echoes["pe-berlin-core"] == {
        (berlin, rome, there[0]),
        (rome, berlin, back[2]),
        (berlin, office, other[0]),
        (office, berlin, other_back[1]),
    }
    assert echoes["colt-p1-colt-p2"] == {(berlin, rome, there[1]), (rome, berlin, back[1])}
    assert echoes["pe-rome-core"] == {(berlin, rome, there[2]), (rome, berlin, back[0])}
    assert echoes["pe-paris-core"] == {(berlin, office, other[1]), (office, berlin, other_back[0])}
    assert all(one.tags == () for link in CORE for one in frames[link])
    # Nothing but labels, and ARP between neighbours, crosses the core.
    assert all(one.labels for link in CORE for one in frames[link] if one.packet)


def test_a_frame_of_one_customer_is_never_in_the_vrf_of_the_other(lab: Lab) -> None:
    acme, initech = b"\xac" * 16, b"\x1e" * 16
    wires = {
        "acme": ("acme-ce-berlin", "vm1", "acme-primary-hub", "acme-secondary-hub"),
        "initech": ("initech-ce-works", "vm2", "initech-primary-lab", "initech-secondary-lab"),
    }

    def both() -> None:
        # Equal addresses on both sides: 10.1.0.10 asks 10.50.1.4.
        for host, pattern in (("pc-berlin", "ac"), ("pc-works", "1e")):
            lab.labs.inside("any-to-any", host, "ping", "-c", "5", "-i", "0.05", "-p", pattern, "10.50.1.4")

    frames = watched(lab, (*wires["acme"], *wires["initech"]), both)
    for own, strange, customer in ((acme, initech, "acme"), (initech, acme, "initech")):
        echoes = [[one for one in frames[link] if one.echo] for link in wires[customer]]
        assert len(echoes[0]) == len(echoes[1]) == 10
        assert sum(map(len, echoes[2:])) == 10
        assert all(own in one.packet and strange not in one.packet for link in echoes for one in link)
    # What only the other customer has is not there: no route, and no answer.
    assert lab.client.bird("pe-berlin.initech").routes(ip_network("10.3.0.0/24")) == ()
    lost = ping(lab.client, "pc-works", ip_address("10.3.0.10"), count=2, deadline_s=1.0)
    assert lost.received == 0


def test_sites_go_by_the_other_pe_when_the_first_loses_its_circuit(lab: Lab) -> None:
    pe = lab.client.bird("colt-amsterdam-pe1.acme")
    hub = ip_network("10.50.0.0/16")

    def groups() -> set[str]:
        return {route.protocol.partition("_")[0] for route in pe.routes(hub)}

    assert "microsoft" in groups()
    lab.labs.inside("any-to-any", "colt-amsterdam-pe1", "ip", "link", "set", "acme1", "down")
    try:
        until(lambda: groups() == {"vpn"}, "the PE that lost its circuit goes by the other PE")
        # From behind the P router that is near to it, and from behind the other one.
        until(lambda: lab.reaches("pc-rome", "10.50.1.4"), "rome reaches Azure by the other PE")
        until(lambda: lab.reaches("pc-berlin", "10.50.1.4"), "berlin reaches Azure by the other PE")
    finally:
        lab.labs.inside("any-to-any", "colt-amsterdam-pe1", "ip", "link", "set", "acme1", "up")
    until(lambda: "microsoft" in groups(), "its own way returns", 60.0)


def test_the_checks_of_the_gallery_hold_whatever_the_core_is_made_of(lab: Lab) -> None:
    report = lab.labs.json("check", "any-to-any")
    assert len(report["checks"]) == len(lab.model.checks) == 21
    assert [one for one in report["checks"] if not one["ok"]] == []


def test_deploying_the_same_file_again_changes_nothing(lab: Lab) -> None:
    again = lab.labs.json("deploy", "-t", str(TOPOLOGY))
    assert (again["created"], again["changed"]) == (False, False), again["counts"]
    assert this_kernel() == {"vrf": "here", "mpls": "stock"}[lab.core]
    told = lab.labs.ok("inspect", "any-to-any")
    assert ("by MPLS labels" if lab.core == "mpls" else "by a VRF at each hop") in told.replace("\n", " ")
