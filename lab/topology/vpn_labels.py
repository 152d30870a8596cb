"""A core of labels (`core: mpls`): P routers switch frames and know no customer (RFC 3031, RFC 4364).

    VRF on pe-berlin      pe-berlin     colt-p2       colt-p1       colt-amsterdam-pe1     its VRF
    push 17001/23001  ->  swap 17002 -> swap 17003 -> pop  23001 -> pop, into the VRF ->   route

Every label is static, out of this plan. The inner one, the *VPN label*, is of (PE, customer): it says into
which VRF the PE at the end gives a packet, so equal addresses meet nowhere. The outer one, the *transport
label*, is of (router, PE at the end): each router on the way puts the next one's in its place, and the last P
router takes it off, so that the PE at the end finds the VPN label at once. The VRFs of a customer speak iBGP
with each other through these paths, a full mesh; a route's next hop is the other VRF, and brings its labels.

A PE's own namespace is the router that knows labels. Each VRF hangs on it by a wire, whose VRF end is the
address that the other VRFs know it by.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_network

from edge.model import (
    Interface,
    LabelPath,
    LabelRoute,
    LabelSwitch,
    PlainInterface,
    Port,
    Router,
    Session,
    VrfPort,
)
from lab.topology import names
from lab.topology.addresses import LinkEnds
from lab.topology.ipvpn import Backbone, Vpn
from lab.topology.orders import CircuitOrder
from lab.topology.parts import Parts
from lab.topology.vpn_side import CoreSide, vpn_session

FIRST_LABEL, LAST_LABEL = 1024, 65535
"""Labels of the plan: above those that have a meaning of their own (RFC 3032 2.1: 0-15)."""


VERSIONS = (4, 6)
"""IP versions in the order of `LinkEnds`."""


@dataclass(slots=True)
class LabelPlan:
    """Labels and addresses of one backbone. A label is of its name, the next free one when that is taken."""

    parts: Parts
    backbone: Backbone
    _labels: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        backbone = self.backbone
        for link in (backbone.trunk, *(names.core_trunk(pe) for pe in backbone.pes)):
            self.parts.numbering.link(link)
        for vpn in backbone.vpns:
            for pe in vpn.pes:
                self.parts.numbering.link(names.vpn_vrf(pe, vpn.circuit))
        for pe in backbone.pes:
            for vpn in backbone.vpns_at(pe):
                self._give(f"vpn {pe} {vpn.circuit}")
            for node in (*backbone.routers, *backbone.pes):
                self._give(f"transport {node} {pe}")

    def _give(self, name: str) -> None:
        size = LAST_LABEL - FIRST_LABEL + 1
        number = names.digest(name, 32) % size
        while number + FIRST_LABEL in self._labels.values():
            number = (number + 1) % size
        self._labels[name] = number + FIRST_LABEL

    def vpn_label(self, pe: str, circuit: str) -> int:
        """By which a PE knows that a packet is for the VRF of that circuit."""
        return self._labels[f"vpn {pe} {circuit}"]

    def transport_label(self, node: str, pe: str) -> int:
        """By which a router knows that a frame is on its way to that PE."""
        return self._labels[f"transport {node} {pe}"]

    def trunk(self, node: str, towards: str) -> tuple[tuple[Interface, ...], IPv4Address]:
        """A router's addresses on its link to a neighbour, and the neighbour's IPv4 address."""
        backbone = self.backbone
        if {node, towards} == set(backbone.routers):
            link, first = backbone.trunk, backbone.routers[0]
        else:
            pe = node if node not in backbone.routers else towards
            link, first = names.core_trunk(pe), pe
        ends = self.parts.numbering.ends_of(link)
        own, other = (ends.a, ends.b) if node == first else (ends.b, ends.a)
        return own, other[0].ip

    def vrf(self, pe: str, circuit: str) -> LinkEnds:
        """The wire between a PE (a) and its VRF (b)."""
        return self.parts.numbering.ends_of(names.vpn_vrf(pe, circuit))


def pe_side(plan: LabelPlan, vpn: Vpn, pe: str, order: CircuitOrder, groups: tuple[str, ...]) -> CoreSide:
    """A PE's VRF: its wire to the PE, a path and a neighbour for each other VRF, which hear of `groups`."""
    ends = plan.vrf(pe, vpn.circuit)
    paths: list[LabelPath] = []
    sessions: list[Session] = []
    for other in vpn.pes:
        if other == pe:
            continue
        labels = (plan.transport_label(pe, other), plan.vpn_label(other, vpn.circuit))
        far = plan.vrf(other, vpn.circuit)
        for number, version in enumerate(VERSIONS):
            router, local, neighbor = ends.a[number], ends.b[number], far.b[number]
            if version in order.vpn_versions:
                paths.append(LabelPath(ip_network(str(neighbor.ip)), labels, router.ip))
                sessions.append(
                    vpn_session(order, other, names.CORE_DEVICE, local.ip, neighbor.ip, groups, multihop=True)
                )
    interface = PlainInterface(names.CORE_DEVICE, ends.b)
    return CoreSide((), (interface,), tuple(sessions), tuple(paths))


def pe_switch(plan: LabelPlan, pe: str) -> LabelSwitch:
    """The PE itself: a label of its own for each other PE, its VRFs' labels at the end of the way."""
    backbone = plan.backbone
    home = backbone.home(pe)
    own, neighbor = plan.trunk(pe, home)
    routes = [
        LabelRoute(
            plan.transport_label(pe, other),
            (plan.transport_label(home, other),),
            neighbor,
            names.CORE_DEVICE,
        )
        for other in backbone.pes
        if other != pe
    ]
    ports = []
    for vpn in backbone.vpns_at(pe):
        ends = plan.vrf(pe, vpn.circuit)
        device = names.circuit_short(vpn.circuit) + ".vrf"
        space = names.vpn_vrf(pe, vpn.circuit)
        ports.append(VrfPort(device, space, names.CORE_DEVICE, ends.a))
        routes.append(LabelRoute(plan.vpn_label(pe, vpn.circuit), (), ends.b[0].ip, device))
    return LabelSwitch((PlainInterface(names.CORE_DEVICE, own),), tuple(routes), tuple(ports))


def build_p_routers(plan: LabelPlan) -> None:
    """Add the P routers: towards a PE of their own they pop, towards another they swap."""
    backbone = plan.backbone
    for node in backbone.routers:
        other = next(one for one in backbone.routers if one != node)
        homed = [pe for pe in backbone.pes if backbone.home(pe) == node]
        interfaces = []
        for towards in (other, *homed):
            interfaces.append(PlainInterface(names.core_port(towards), plan.trunk(node, towards)[0]))
        routes = []
        for pe in backbone.pes:
            nearer = pe if pe in homed else other
            out = () if pe in homed else (plan.transport_label(other, pe),)
            label, via = plan.transport_label(node, pe), plan.trunk(node, nearer)[1]
            routes.append(LabelRoute(label, out, via, names.core_port(nearer)))
        ports = tuple(Port(interface.name) for interface in interfaces)
        switch = LabelSwitch(tuple(interfaces), tuple(routes))
        plan.parts.router(Router(node, node, ports, labels=switch), "p", "provider")
