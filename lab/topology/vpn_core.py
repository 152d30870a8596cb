"""The provider's side of any-to-any circuits: PEs with a VRF for each customer, P routers between.

A PE's VRF has up to three kinds of neighbours (facts 1.1): the MSEE (group `microsoft`), edges (`access`),
and the same customer's VRFs elsewhere (`vpn`, iBGP). What one kind brings is told to the others, and edges of
one PE hear of each other. Azure sees `12076 <provider> <customer>`, a site sees `<provider> 12076` of Azure
and `<provider> <customer>` of the others. What joins the VRFs is `vpn_hops` or `vpn_labels`: both give each
VRF its `CoreSide`.
"""

from __future__ import annotations

from edge.model import PlainInterface, Port, Router, Session, Vrf
from edge.net.objects.base import Endpoint
from lab.model import Link
from lab.topology import names, vpn_hops, vpn_labels
from lab.topology.circuit_side import ACCESS_GROUP, VPN_GROUP, CircuitSide, access_session
from lab.topology.ipvpn import Backbone, Vpn, backbones
from lab.topology.orders import CircuitOrder
from lab.topology.parts import Parts
from lab.topology.schema import Topology
from lab.topology.vpn_labels import LabelPlan
from lab.topology.vpn_side import vpn_name


def build_vpns(parts: Parts, topology: Topology, orders: tuple[CircuitOrder, ...]) -> None:
    """Add every provider's core. The sites' links to the PEs are there already."""
    by_name = {order.name: order for order in orders}
    for backbone in backbones(topology, {o.name: (o.ordered.provider, o.ordered.location) for o in orders}):
        _trunks(parts, backbone)
        plan = LabelPlan(parts, backbone) if topology.core == "mpls" else None
        for pe in backbone.pes:
            _pe(parts, topology, backbone, pe, by_name, plan)
        if plan is None:
            vpn_hops.build_p_routers(parts, backbone, by_name)
        else:
            vpn_labels.build_p_routers(plan)


def _trunks(parts: Parts, backbone: Backbone) -> None:
    one, other = backbone.routers
    ends = [(one, names.core_port(other), other, names.core_port(one), backbone.trunk)]
    ends += [
        (pe, names.CORE_DEVICE, backbone.home(pe), names.core_port(pe), names.core_trunk(pe))
        for pe in backbone.pes
    ]
    for a, port, b, far, name in ends:
        parts.links.append(Link(name, Endpoint(a, port), Endpoint(b, far), trunk=True))


def _pe(
    parts: Parts,
    topology: Topology,
    backbone: Backbone,
    pe: str,
    orders: dict[str, CircuitOrder],
    plan: LabelPlan | None,
) -> None:
    ports = {names.CORE_DEVICE: Port(names.CORE_DEVICE)}
    vrfs = []
    for vpn in backbone.vpns_at(pe):
        side = CircuitSide()
        vrfs.append(_vrf(parts, topology, backbone, vpn, pe, orders[vpn.circuit], side, plan))
        ports.update(side.ports)
    labels = vpn_labels.pe_switch(plan, pe) if plan is not None else None
    parts.router(Router(pe, pe, tuple(ports.values()), tuple(vrfs), labels), "pe", "provider")


def _vrf(
    parts: Parts,
    topology: Topology,
    backbone: Backbone,
    vpn: Vpn,
    pe: str,
    order: CircuitOrder,
    side: CircuitSide,
    plan: LabelPlan | None,
) -> Vrf:
    """A customer's VRF on a PE. side: takes what it has of the circuit, where it faces an MSEE."""
    for connection in order.connections:
        if connection.speaker == pe:
            side.add(parts, [topology.sites[name] for name in vpn.sites], order, connection)
    interfaces: list[PlainInterface] = []
    access: list[Session] = []
    for one in vpn.at(pe):
        ends = parts.numbering.ends_of(one.link)
        interfaces.append(PlainInterface(one.pe_device, ends.b))
        name = names.identifier(names.short(one.edge, 40).replace(".", "_"))
        access += [
            access_session(order, name, one.pe_device, local, neighbor, (VPN_GROUP, ACCESS_GROUP))
            for neighbor, local in ends.pairs
            if local.version in order.vpn_versions
        ]
    groups = (*(("microsoft",) if side.sessions else ()), *((ACCESS_GROUP,) if access else ()))
    if plan is None:
        core = vpn_hops.pe_side(parts, backbone, vpn, pe, order, groups)
    else:
        core = vpn_labels.pe_side(plan, vpn, pe, order, groups)
    namespace = names.vpn_vrf(pe, vpn.circuit)
    return Vrf(
        vpn_name(vpn),
        namespace,
        parts.numbering.router_id(namespace),
        subinterfaces=(*side.subinterfaces, *core.subinterfaces),
        interfaces=(*interfaces, *core.interfaces),
        sessions=(*side.sessions, *access, *core.sessions),
        originates=tuple(side.originates.values()),
        nat=tuple(side.nat),
        paths=core.paths,
    )
