"""A customer's site: its edges (CE), its LAN switch and hosts, its way to the Internet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge.model import (
    Address,
    ExportPolicy,
    Interface,
    Originate,
    PlainInterface,
    Router,
    Session,
    StaticRoute,
    Vrf,
)
from lab.model import Switch
from lab.topology import names
from lab.topology.addresses import DEFAULT_V4, lan_routers
from lab.topology.circuit_side import ACCESS_GROUP, CircuitSide, access_interface, announced, provider_asn
from lab.topology.internet_edge import build_internet_edge
from lab.topology.ipvpn import attachments_of
from lab.topology.orders import CircuitOrder
from lab.topology.parts import BFD, Parts
from lab.topology.schema import Site
from lab.topology.vpn import VpnPlan
from lab.topology.vpn_site import end_tunnels, preferring_circuits, with_internet_edge

POOL_LENGTH = 30
"""Longest prefix that still gives each link half a NAT pool of two addresses (facts 5, option 1)."""


def build_site(
    parts: Parts, name: str, site: Site, orders: tuple[CircuitOrder, ...], vpns: tuple[VpnPlan, ...] = ()
) -> None:
    """Add a site: edges in their order, Internet edge, switch, hosts. vpns: tunnels that end here."""
    own = orders_at(site, orders)
    lans = [lan_routers(lan, len(site.edges), site.internet) for lan in site.lan]
    switch = names.lan_switch(name)
    ports: list[str] = []

    def attach(node: str, device: str, link: str) -> None:
        port = names.short(node, names.MAX_DEVICE)
        ports.append(port)
        parts.link(link, (node, device), (switch, port))

    for number, edge in enumerate(site.edges):
        _edge(parts, name, site, own, lans, number, bool(vpns))
        attach(edge, names.CUSTOMER_LAN, f"{edge}-lan")
    if site.internet:
        build_internet_edge(parts, name, site, tuple(lan[-1] for lan in lans))
        if vpns:
            end_tunnels(parts, name, site, site_asn(own), lans, vpns)
        attach(names.internet_edge(name), names.CUSTOMER_LAN, f"{names.internet_edge(name)}-lan")
    edges = [router for lan in lans for router in lan[: len(site.edges)]]
    gateways = [a.ip for a in edges or [a for lan in lans for a in lan if a.version == 4]]
    for host, addresses in site.hosts.items():
        attach(host, names.HOST_DEVICE, host)
        parts.host(host, "site", addresses, site.lan, gateways)
    parts.switches.append(Switch(switch, switch, ((names.CUSTOMER_LAN, tuple(ports)),)))
    parts.node(switch, "switch", "site")


def orders_at(site: Site, orders: tuple[CircuitOrder, ...]) -> list[CircuitOrder]:
    """The circuits that end at a site, in its order."""
    by_name = {order.name: order for order in orders}
    return [by_name[circuit] for circuit in site.circuits if circuit in by_name]


def _edge(
    parts: Parts,
    name: str,
    site: Site,
    orders: list[CircuitOrder],
    lans: list[tuple[Interface, ...]],
    number: int,
    backup: bool,
) -> None:
    edge = site.edges[number]
    side = CircuitSide()
    access: list[PlainInterface] = []
    sessions: list[Session] = []
    for order in orders:
        if order.managed:
            for link in _access_links(name, site, order, number):
                access.append(access_interface(parts, link.name, (edge, link.device), link.pe))
                sessions += _access(parts, site, order, link)
                side.originates.update(
                    {n: Originate(n) for v in (4, 6) for n in announced(site, v, order.name)}
                )
            continue
        for connection in order.connections:
            if connection.edge == edge:
                side.add(parts, (site,), order, connection)
    sessions = [*side.sessions, *sessions]
    if backup:
        sessions = [
            *preferring_circuits(sessions),
            with_internet_edge(site_asn(orders), lans, number),
        ]
    sessions += _mesh(site, orders, lans, number)
    internet = tuple(lan[-1].ip for lan in lans if lan[-1].version == 4) if site.internet else ()
    vrf = Vrf(
        edge,
        edge,
        parts.numbering.router_id(edge),
        subinterfaces=tuple(side.subinterfaces),
        interfaces=(PlainInterface(names.CUSTOMER_LAN, tuple(lan[number] for lan in lans)), *access),
        sessions=tuple(sessions),
        originates=tuple(side.originates.values()),
        routes=(StaticRoute(DEFAULT_V4, internet),) if internet else (),
        nat=tuple(side.nat),
        firewalls=tuple(side.firewalls),
        own=site.edge_routers[number].own,
    )
    parts.router(Router(edge, edge, tuple(side.ports.values()), (vrf,)), "ce", "site")


@dataclass(frozen=True, slots=True)
class _AccessLink:
    """An edge's link to a provider's router. session: last part of its session's name. pe: the other end."""

    name: str
    device: str
    session: str
    pe: tuple[str, str]


def _access_links(name: str, site: Site, order: CircuitOrder, number: int) -> Iterator[_AccessLink]:
    """Of the edge of that number: to the routers of the connections that it carries, or to its PEs."""
    if order.any_to_any:
        for one in attachments_of(order.name, order.ordered.provider, name, site, number):
            pe = (names.vpn_vrf(one.pe, order.name), one.pe_device)
            yield _AccessLink(one.link, one.device, str(one.number), pe)
        return
    for connection in order.connections:
        if connection.edge == site.edges[number]:
            link = names.access_link(order.name, connection.number)
            pe = (connection.speaker, names.ACCESS_DEVICE)
            yield _AccessLink(link, connection.stem, connection.name, pe)


def _access(parts: Parts, site: Site, order: CircuitOrder, link: _AccessLink) -> list[Session]:
    """The edge's sessions with the provider's router: the site's networks out, Microsoft's in (facts 1.1).

    Over an IPVPN come those of the customer's other sites as well, whose edges have the same AS number.
    """
    found = []
    for local, neighbor in parts.numbering.ends_of(link.name).pairs:
        if order.any_to_any and local.version not in order.vpn_versions:
            continue
        name = names.session(order.name, "access", link.session)
        found.append(
            Session(
                name if local.version == 4 else f"{name}_v6",
                ACCESS_GROUP,
                link.device,
                local.ip,
                neighbor.ip,
                order.customer_asn,
                provider_asn(order),
                exports=ExportPolicy(networks=announced(site, local.version, order.name)),
                bfd=BFD,
                allow_own_as=order.any_to_any,
            )
        )
    return found


def site_asn(orders: list[CircuitOrder]) -> int:
    """AS number between a site's edges: of its first private peering, else of its first peering.

    Where a provider manages the first circuit's Layer 3, the number is the one that he knows the edges by.
    """
    if orders[0].managed:
        return orders[0].customer_asn
    peerings = [peering for order in orders for peering in order.peerings]
    private = [peering for peering in peerings if peering.name == "private"]
    return (private or peerings)[0].ordered.peer_asn


def _mesh(
    site: Site, orders: list[CircuitOrder], lans: list[tuple[Interface, ...]], number: int
) -> list[Session]:
    """iBGP with the site's other edges over the LAN, so that each can use the other's links."""
    if len(site.edges) < 2 or not any(order.peerings or order.managed for order in orders):
        return []
    groups = ("microsoft", *((ACCESS_GROUP,) if any(order.managed for order in orders) else ()))
    asn = site_asn(orders)
    found = []
    for lan in lans:
        for other, neighbor in enumerate(lan[: len(site.edges)]):
            if other == number:
                continue
            name = f"mesh_{names.identifier(site.edges[other])}"
            local: Address = lan[number].ip
            found.append(
                Session(
                    name if neighbor.version == 4 else f"{name}_v6",
                    "mesh",
                    names.CUSTOMER_LAN,
                    local,
                    neighbor.ip,
                    asn,
                    asn,
                    exports=ExportPolicy(originated=False, groups=groups),
                    bfd=BFD,
                    next_hop_self=True,
                )
            )
    return found
