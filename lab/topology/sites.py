"""A customer's site: its edges (CE), its LAN switch and hosts, its way to the Internet."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from edge.model import (
    MSEE_ASN,
    Address,
    ExportPolicy,
    Interface,
    Network,
    Originate,
    PlainInterface,
    Port,
    PortQueues,
    Qos,
    Router,
    Session,
    SourceNat,
    StaticRoute,
    Subinterface,
    Timers,
    Vrf,
)
from edge.net.objects import Endpoint
from edge.qos.expressroute import TREATMENT
from edge.qos.model import Policy
from edge.qos.steering import OWN_PROTOCOLS, queue_rate_bps, with_control
from lab.model import Link, PeeringEnd, Switch
from lab.topology import names
from lab.topology.addresses import DEFAULT_V4, lan_routers, of_version
from lab.topology.orders import CircuitOrder, Configured, ConnectionOrder, PeeringOrder, configured
from lab.topology.parts import BFD, Parts
from lab.topology.schema import Announcement, Site


def build_site(parts: Parts, name: str, site: Site, orders: tuple[CircuitOrder, ...]) -> None:
    """Add a site: edges in their order, Internet edge, switch, hosts."""
    by_name = {order.name: order for order in orders}
    own = [by_name[circuit] for circuit in site.circuits]
    lans = [lan_routers(lan, len(site.edges), site.internet) for lan in site.lan]
    switch = names.lan_switch(name)
    ports: list[str] = []

    def attach(node: str, device: str, link: str) -> None:
        port = names.short(node, names.MAX_DEVICE)
        ports.append(port)
        parts.link(link, (node, device), (switch, port))

    for number, edge in enumerate(site.edges):
        _edge(parts, site, own, lans, number)
        attach(edge, names.CUSTOMER_LAN, f"{edge}-lan")
    if site.internet:
        _internet_edge(parts, name, site, tuple(lan[-1] for lan in lans))
        attach(names.internet_edge(name), names.CUSTOMER_LAN, f"{names.internet_edge(name)}-lan")
    edges = [router for lan in lans for router in lan[: len(site.edges)]]
    gateways = [a.ip for a in edges or [a for lan in lans for a in lan if a.version == 4]]
    for host, addresses in site.hosts.items():
        attach(host, names.HOST_DEVICE, host)
        parts.host(host, "site", addresses, site.lan, gateways)
    parts.switches.append(Switch(switch, switch, ((names.CUSTOMER_LAN, tuple(ports)),)))
    parts.node(switch, "switch", "site")


def announced(site: Site, version: int) -> tuple[Network, ...]:
    """What the edges announce on private peerings: the LAN, then the file's `announce`, each once."""
    found: dict[Network, None] = dict.fromkeys(of_version(site.lan, version))
    for entry in site.announce:
        if entry.prefix.version == version:
            found.update(dict.fromkeys(generated(entry)))
    return tuple(found)


def generated(entry: Announcement) -> tuple[Network, ...]:
    """The prefixes of one `announce` entry: itself, or the first `count` of its parts."""
    if entry.count is None or entry.length is None:
        return (entry.prefix,)
    parts: Iterator[Network] = entry.prefix.subnets(new_prefix=entry.length)
    return tuple(part for part, _ in zip(parts, range(entry.count), strict=False))


def nat_half(pool: IPv4Network, connection: ConnectionOrder) -> IPv4Network:
    """The connection's half of the NAT pool: a separate pool for each link (facts 5, option 1)."""
    return tuple(pool.subnets(prefixlen_diff=1))[connection.number - 1]


def _edge(
    parts: Parts, site: Site, orders: list[CircuitOrder], lans: list[tuple[Interface, ...]], number: int
) -> None:
    edge = site.edges[number]
    sessions: list[Session] = []
    subinterfaces: list[Subinterface] = []
    ports: list[Port] = []
    nat: list[SourceNat] = []
    originates: dict[Network, Originate] = {}
    policy = with_control(site.qos.resolve()) if site.qos is not None else None
    for order in orders:
        for connection in order.connections:
            if connection.edge != edge:
                continue
            ports.append(Port(connection.port, queues=_queues(policy, order)))
            parts.links.append(
                Link(
                    names.circuit_link(order.name, connection.name),
                    Endpoint(edge, connection.port),
                    Endpoint(order.provider, connection.port),
                    trunk=True,
                    circuit=order.name,
                    connection=connection.name,
                )
            )
            for peering in order.peerings:
                real = configured(site, order, connection, peering)
                sub = Subinterface(
                    f"{connection.port}.{real.vlan}",
                    connection.port,
                    order.customer_tags(real.vlan, real.s_tag),
                    peering.addresses(connection.name, "customer"),
                    qos=_qos(policy, order, peering),
                )
                subinterfaces.append(sub)
                parts.ends.append(
                    PeeringEnd(
                        order.name,
                        peering.name,
                        connection.name,
                        edge,
                        edge,
                        sub.name,
                        "customer",
                        sub.tags,
                        sub.addresses,
                    )
                )
                half = _pool(peering, connection)
                if half is not None:
                    inside = tuple(n for n in site.lan if isinstance(n, IPv4Network))
                    nat.append(SourceNat(sub.name, inside, half))
                for version in peering.versions:
                    networks = _announced_on(site, peering, half, version)
                    originates.update({network: Originate(network) for network in networks})
                    sessions.append(_session(order, connection, peering, real, sub.name, version, networks))
    sessions += _mesh(site, orders, lans, number)
    internet = tuple(lan[-1].ip for lan in lans if lan[-1].version == 4) if site.internet else ()
    vrf = Vrf(
        edge,
        edge,
        parts.numbering.router_id(edge),
        subinterfaces=tuple(subinterfaces),
        interfaces=(PlainInterface(names.CUSTOMER_LAN, tuple(lan[number] for lan in lans)),),
        sessions=tuple(sessions),
        originates=tuple(originates.values()),
        routes=(StaticRoute(DEFAULT_V4, internet),) if internet else (),
        nat=tuple(nat),
    )
    parts.router(Router(edge, edge, tuple(ports), (vrf,)), "ce", "site")


def _queues(policy: Policy | None, order: CircuitOrder) -> tuple[PortQueues, ...]:
    """Queues in front of the provider's policer; a port of the customer carries one circuit."""
    if policy is None:
        return ()
    return (PortQueues(0, queue_rate_bps(order.bandwidth_bps), policy.classes),)


def _qos(policy: Policy | None, order: CircuitOrder, peering: PeeringOrder) -> Qos | None:
    if policy is not None:
        return Qos(policy, "out", TREATMENT[peering.name], tree=0)
    if order.spec.qos.msee == "drop" and peering.microsoft is not None:
        # An MSEE that drops what it does not know would drop the edge's own BGP and BFD, which are CS6.
        return Qos(with_control(OWN_PROTOCOLS), "out", "mark")
    return None


def _pool(peering: PeeringOrder, connection: ConnectionOrder) -> IPv4Network | None:
    """The NAT pool of a connection, None on a private peering."""
    if peering.microsoft is None:
        return None
    pools = [n for n in peering.microsoft.advertised_public_prefixes if isinstance(n, IPv4Network)]
    return nat_half(pools[0], connection)


def _announced_on(
    site: Site, peering: PeeringOrder, half: IPv4Network | None, version: int
) -> tuple[Network, ...]:
    """What one session announces; never anything learned, or the site would be a transit network."""
    if peering.microsoft is None:
        return announced(site, version)
    own: tuple[Network, ...] = (half,) if half is not None and version == 4 else ()
    return (*own, *of_version(peering.microsoft.advertised_public_prefixes, version))


def _session(
    order: CircuitOrder,
    connection: ConnectionOrder,
    peering: PeeringOrder,
    real: Configured,
    device: str,
    version: int,
    networks: tuple[Network, ...],
) -> Session:
    ends = peering.ends[connection.name, version]
    name = names.session(order.name, peering.name, connection.name)
    return Session(
        name if version == 4 else f"{name}_v6",
        "microsoft",
        device,
        ends.customer.ip,
        ends.microsoft.ip,
        real.peer_asn,
        MSEE_ASN,
        exports=ExportPolicy(networks=networks),
        password=real.shared_key,
        bfd=BFD if real.bfd else None,
        timers=Timers(keepalive_s=peering.spec.timers.keepalive, hold_s=peering.spec.timers.hold),
    )


def site_asn(orders: list[CircuitOrder]) -> int:
    """AS number between a site's edges: that of its first private peering, else of its first peering."""
    peerings = [peering for order in orders for peering in order.peerings]
    private = [peering for peering in peerings if peering.name == "private"]
    return (private or peerings)[0].spec.peer_asn


def _mesh(
    site: Site, orders: list[CircuitOrder], lans: list[tuple[Interface, ...]], number: int
) -> list[Session]:
    """iBGP with the site's other edges over the LAN, so that each can use the other's links."""
    if len(site.edges) < 2 or not orders:
        return []
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
                    exports=ExportPolicy(originated=False, groups=("microsoft",)),
                    bfd=BFD,
                    next_hop_self=True,
                )
            )
    return found


def _internet_edge(parts: Parts, site_name: str, site: Site, lan: tuple[Interface, ...]) -> None:
    """The site's Internet edge: translates the LAN's IPv4 to its one Internet address."""
    node = names.internet_edge(site_name)
    link = f"{node}-internet"
    ends = parts.numbering.link(link)
    parts.link(link, (node, names.INTERNET), (names.INTERNET, names.short(node, names.MAX_DEVICE)))
    outside = ends.a[0]
    vrf = Vrf(
        node,
        node,
        parts.numbering.router_id(node),
        interfaces=(PlainInterface(names.CUSTOMER_LAN, lan), PlainInterface(names.INTERNET, (outside,))),
        routes=(StaticRoute(DEFAULT_V4, (ends.b[0].ip,)),),
        nat=(
            SourceNat(names.INTERNET, tuple(n for n in site.lan if isinstance(n, IPv4Network)), outside.ip),
        ),
    )
    parts.router(Router(node, node, vrfs=(vrf,)), "internet-edge", "site")
