"""What lies outside the customer: Microsoft's core with its services, and the Internet."""

from __future__ import annotations

from ipaddress import IPv4Interface

from edge.model import Originate, PlainInterface, Router, StaticRoute, Vrf
from lab.names.table import announced, front_ends
from lab.service.state import State
from lab.topology import names
from lab.topology.addresses import DEFAULT_V4, at, internet_pair, of_version
from lab.topology.internet_edge import pool_of
from lab.topology.msee import core_link, core_session
from lab.topology.orders import CircuitOrder
from lab.topology.parts import Parts
from lab.topology.schema import Topology


def has_core(state: State) -> bool:
    """Whether the lab has Microsoft 365: some circuit with a wire has a Microsoft peering."""
    return any(peering.name == "microsoft" for _, peering in state.peerings())


def has_internet(topology: Topology) -> bool:
    """Whether the lab has an Internet: some site has a way to it."""
    return any(site.internet for site in topology.sites.values())


def build_core(parts: Parts, orders: tuple[CircuitOrder, ...], internet: bool, named: bool) -> None:
    """Add AS 12076's core: it originates the services' prefixes with their communities (facts 3.7).

    named: with the front ends that only names lead to. The core learns the customers' public prefixes by iBGP
    from every Microsoft peering's VRF and passes none of them on; what it does not know goes to the Internet.
    """
    interfaces = []
    sessions = []
    for order in orders:
        peering = order.peering("microsoft")
        for connection in order.connections if peering is not None else ():
            assert peering is not None
            link = next(one for one in parts.links if one.name == core_link(order, connection))
            ends = parts.numbering.ends_of(link.name)
            interfaces.append(PlainInterface(link.b.device, ends.b))
            name = names.session(order.name, connection.name)
            sessions += [
                core_session(name, link.b.device, ends.b, ends.a, version, ()) for version in peering.versions
            ]
    routes = []
    if internet:
        link_name = f"{names.CORE}-{names.INTERNET}"
        ends = parts.numbering.link(link_name)
        parts.link(link_name, (names.CORE, names.INTERNET), (names.INTERNET, names.CORE))
        interfaces.append(PlainInterface(names.INTERNET, ends.a[:1]))
        routes.append(StaticRoute(DEFAULT_V4, (ends.b[0].ip,)))
    for service in front_ends(named):
        partners = tuple(at(address.network, 0) for address in service.front_end)
        parts.link(service.name, (names.CORE, service.name), (service.name, names.HOST_DEVICE))
        interfaces.append(PlainInterface(service.name, partners))
    vrf = Vrf(
        names.CORE,
        names.CORE,
        parts.numbering.router_id(names.CORE),
        interfaces=tuple(interfaces),
        sessions=tuple(sessions),
        originates=tuple(Originate(prefix, marks) for prefix, marks in announced(named)),
        routes=tuple(routes),
    )
    parts.router(Router(names.CORE, names.CORE, vrfs=(vrf,)), "core", "cloud")
    for service in front_ends(named):
        networks = [address.network for address in service.front_end]
        gateways = [at(network, 0).ip for network in networks]
        parts.host(service.name, "cloud", [a.ip for a in service.front_end], networks, gateways)


def build_internet(parts: Parts, topology: Topology, core: bool, vpns: tuple[str, ...] = ()) -> None:
    """Add the Internet: one router that knows its hosts, the sites' Internet edges and Microsoft.

    vpns: nodes of VPN gateways, which have a wire to it.
    """
    interfaces = []
    routes: list[StaticRoute] = []
    for node in vpns:
        ends = parts.numbering.ends_of(f"{node}-{names.INTERNET}")
        interfaces.append(PlainInterface(names.short(node, names.MAX_DEVICE), ends.b[:1]))
    for name, site in topology.sites.items():
        if site.internet:
            node = names.internet_edge(name)
            ends = parts.numbering.ends_of(f"{node}-{names.INTERNET}")
            interfaces.append(PlainInterface(names.short(node, names.MAX_DEVICE), ends.b[:1]))
            pool = pool_of(site)
            if pool is not None:
                routes.append(StaticRoute(pool, (ends.a[0].ip,)))
    if core:
        ends = parts.numbering.ends_of(f"{names.CORE}-{names.INTERNET}")
        interfaces.append(PlainInterface(names.CORE, ends.b[:1]))
        prefixes = [prefix for prefix, _ in announced(topology.internet.names)]
        routes += [StaticRoute(n, (ends.a[0].ip,)) for n in of_version(prefixes, 4)]
    hosts: list[tuple[str, IPv4Interface, IPv4Interface]] = []
    for name, addresses in topology.internet.hosts.items():
        own, router = internet_pair(addresses[0])
        device = names.short(name, names.MAX_DEVICE)
        parts.link(name, (names.INTERNET, device), (name, names.HOST_DEVICE))
        interfaces.append(PlainInterface(device, (router,)))
        hosts.append((name, own, router))
    vrf = Vrf(
        names.INTERNET,
        names.INTERNET,
        parts.numbering.router_id(names.INTERNET),
        interfaces=tuple(interfaces),
        routes=tuple(routes),
    )
    parts.router(Router(names.INTERNET, names.INTERNET, vrfs=(vrf,)), "internet", "internet")
    for name, host, router in hosts:
        parts.host(name, "internet", [host.ip], [host.network], [router.ip])
