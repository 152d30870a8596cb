"""A core of VRFs (`core: vrf`): one for each customer on every router, a tag tells their frames apart.

    berlin-pe.wan -- tag 17 -- colt-p2.wan -- tag 17 -- colt-p1.wan -- tag 17 -- colt-amsterdam-pe1.wan

Every hop routes by the customer's own addresses, so every hop has to know his routes: a P router's VRF
reflects them between its PEs and the other P router (RFC 4456), each time with itself as the next hop. Ways
that begin at a PE of its own are the nearer ones to it, which is what an IGP's metric would say; one way
only, since two P routers that both spread flows could hand one to each other for ever.
"""

from __future__ import annotations

from edge.model import ImportPolicy, Interface, Port, Router, Session, Subinterface, Tag, Vrf
from lab.topology import names
from lab.topology.addresses import LinkEnds
from lab.topology.circuit_side import VPN_GROUP
from lab.topology.ipvpn import Backbone, Vpn
from lab.topology.orders import CircuitOrder
from lab.topology.parts import Parts
from lab.topology.vpn_side import CoreSide, vpn_name, vpn_session

FAR_LOCAL_PREF = 90
"""Local preference of what the other P router brings: below BGP's default of 100."""


def pe_side(
    parts: Parts, backbone: Backbone, vpn: Vpn, pe: str, order: CircuitOrder, groups: tuple[str, ...]
) -> CoreSide:
    """A PE's VRF: one subinterface on the trunk, one neighbour. `groups` are told to the core."""
    ends = _number(parts, names.core_trunk(pe), vpn)
    sub = Subinterface(
        f"{names.CORE_DEVICE}.{vpn.tag}", names.CORE_DEVICE, (Tag(vpn.tag),), _addresses(ends.a, order)
    )
    sessions = [
        vpn_session(order, backbone.home(pe), sub.name, local.ip, neighbor.ip, groups)
        for local, neighbor in ends.pairs
        if local.version in order.vpn_versions
    ]
    return CoreSide((sub,), (), tuple(sessions))


def build_p_routers(parts: Parts, backbone: Backbone, orders: dict[str, CircuitOrder]) -> None:
    """Add the P routers, with a VRF for each customer. The PEs are there already."""
    for vpn in backbone.vpns:
        _number(parts, backbone.trunk, vpn)
    for node in backbone.routers:
        other = next(one for one in backbone.routers if one != node)
        homed = [pe for pe in backbone.pes if backbone.home(pe) == node]
        ports = tuple(Port(names.core_port(far)) for far in (other, *homed))
        vrfs = tuple(_vrf(parts, backbone, vpn, node, other, orders[vpn.circuit]) for vpn in backbone.vpns)
        parts.router(Router(node, node, ports, vrfs), "p", "provider")


def _vrf(parts: Parts, backbone: Backbone, vpn: Vpn, node: str, other: str, order: CircuitOrder) -> Vrf:
    namespace = names.vpn_vrf(node, vpn.circuit)
    between = parts.numbering.ends_of(_name(backbone.trunk, vpn))
    if node != backbone.routers[0]:
        between = LinkEnds(between.b, between.a)
    far = [(other, between, False)]
    for pe in vpn.pes:
        if backbone.home(pe) == node:
            ends = parts.numbering.ends_of(_name(names.core_trunk(pe), vpn))
            far.append((pe, LinkEnds(ends.b, ends.a), True))
    subinterfaces: list[Subinterface] = []
    sessions: list[Session] = []
    for towards, ends, client in far:
        port = names.core_port(towards)
        device = f"{port}.{vpn.tag}"
        subinterfaces.append(Subinterface(device, port, (Tag(vpn.tag),), _addresses(ends.a, order)))
        imports = ImportPolicy() if client else ImportPolicy(local_pref=FAR_LOCAL_PREF)
        sessions += [
            vpn_session(order, towards, device, a.ip, b.ip, (VPN_GROUP,), client=client, imports=imports)
            for a, b in ends.pairs
            if a.version in order.vpn_versions
        ]
    return Vrf(
        vpn_name(vpn),
        namespace,
        parts.numbering.router_id(namespace),
        subinterfaces=tuple(subinterfaces),
        sessions=tuple(sessions),
        ecmp_paths=1,
    )


def _name(link: str, vpn: Vpn) -> str:
    return f"{link} {vpn.circuit}"


def _number(parts: Parts, link: str, vpn: Vpn) -> LinkEnds:
    return parts.numbering.link(_name(link, vpn))


def _addresses(both: tuple[Interface, ...], order: CircuitOrder) -> tuple[Interface, ...]:
    return tuple(one for one in both if one.version in order.vpn_versions)
