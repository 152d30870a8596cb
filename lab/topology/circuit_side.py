"""The side of a circuit that is not Microsoft's: ports, tags, sessions and NAT of who speaks BGP with it.

At Layer 2 that is the customer's edge, where the provider manages Layer 3 it is his router.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network

from edge.model import (
    MSEE_ASN,
    ExportPolicy,
    ImportPolicy,
    Interface,
    Network,
    Originate,
    PlainInterface,
    Port,
    PortQueues,
    Qos,
    Session,
    SourceNat,
    StatefulFilter,
    Subinterface,
    Tag,
)
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import TREES_MAX
from edge.qos.expressroute import TREATMENT
from edge.qos.model import Policy
from edge.qos.steering import OWN_PROTOCOLS, queue_rate_bps, with_control
from lab.model import Link, PeeringEnd
from lab.topology import names
from lab.topology.addresses import of_version
from lab.topology.orders import CircuitOrder, Configured, ConnectionOrder, PeeringOrder, configured
from lab.topology.parts import BFD, Parts
from lab.topology.schema import Announcement, Site

POOL_LENGTH = 30
"""Longest prefix that still gives each link half a NAT pool of two addresses (facts 5, option 1)."""

PROVIDER_ASN = 64512
"""AS number of a provider's routers while the circuit has no peering that says another."""

ACCESS_GROUP = "access"
"""Group of the sessions between a customer's edge and a provider's router."""

VPN_GROUP = "vpn"
"""Group of the sessions inside a provider's core, between the VRFs of one customer."""


@dataclass(slots=True)
class CircuitSide:
    """What one router has of the circuits that it speaks for."""

    ports: dict[str, Port] = field(default_factory=dict)
    subinterfaces: list[Subinterface] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    nat: list[SourceNat] = field(default_factory=list)
    firewalls: list[StatefulFilter] = field(default_factory=list)
    originates: dict[Network, Originate] = field(default_factory=dict)

    def add(
        self, parts: Parts, sites: Sequence[Site], order: CircuitOrder, connection: ConnectionOrder
    ) -> None:
        """One connection of a circuit: its wire to the provider, and its peerings.

        sites: where the circuit ends. Of several (any-to-any) none has a policy that marks for all of them.
        """
        site = sites[0]
        qos = None if order.any_to_any else site.qos
        policy = with_control(qos.resolve()) if qos is not None else None
        if connection.port not in self.ports:
            parts.links.append(_wire(order, connection))
        known = self.ports.get(connection.port, Port(connection.port, macsec=connection.keys))
        tree = connection.number - 1 if order.line else len(known.queues)
        queues = _queues(policy, order, connection, tree)
        self.ports[connection.port] = replace(known, queues=(*known.queues, *queues))
        for peering in order.peerings:
            real = configured(site, order, connection, peering)
            sub = Subinterface(
                f"{connection.stem}.{real.vlan}",
                connection.port,
                order.customer_tags(real.vlan, real.s_tag),
                peering.addresses(connection.name, "customer"),
                qos=_qos(policy, order, tree if queues else None, peering),
            )
            self.subinterfaces.append(sub)
            parts.ends.append(
                PeeringEnd(
                    order.name,
                    peering.name,
                    connection.name,
                    connection.speaker,
                    connection.vrf,
                    sub.name,
                    "customer",
                    sub.tags,
                    sub.addresses,
                )
            )
            half = _pool(peering, connection)
            if half is not None:
                inside = tuple(n for one in sites for n in one.lan if isinstance(n, IPv4Network))
                self.nat.append(SourceNat(sub.name, inside, half))
            if site.firewall and peering.microsoft is not None:
                self.firewalls.append(StatefulFilter(sub.name))
            for version in peering.peer.versions:
                own = _originated(site, order, peering, half, version)
                self.originates.update({network: Originate(network) for network in own or ()})
                prepend = site.prepend.get(order.name, 0)
                exports = ExportPolicy(networks=own, prepend=prepend)
                if own is None:
                    group = VPN_GROUP if order.any_to_any else ACCESS_GROUP
                    exports = ExportPolicy(originated=False, groups=(group,), prepend=prepend)
                self.sessions.append(_session(order, connection, peering, real, sub.name, version, exports))


def _wire(order: CircuitOrder, connection: ConnectionOrder) -> Link:
    """The trunk between the router and the provider, or Direct's port: one for each connection, or shared."""
    return Link(
        connection.wire,
        Endpoint(connection.speaker, connection.device),
        Endpoint(connection.far, connection.device),
        trunk=True,
        circuit="" if order.pair is not None else order.name,
        connection="" if order.line else connection.name,
        macsec=(connection.keys or connection.far_keys) is not None,
    )


def announced(site: Site, version: int, circuit: str) -> tuple[Network, ...]:
    """What the edges announce on a circuit's private peering: the LAN, then `announce`, each once."""
    found: dict[Network, None] = dict.fromkeys(of_version(site.lan, version))
    for entry in site.announce:
        if entry.prefix.version == version and (not entry.circuits or circuit in entry.circuits):
            found.update(dict.fromkeys(generated(entry)))
    return tuple(found)


def generated(entry: Announcement) -> tuple[Network, ...]:
    """The prefixes of one `announce` entry: itself, or the first `count` of its parts."""
    if entry.count is None or entry.length is None:
        return (entry.prefix,)
    parts: Iterator[Network] = entry.prefix.subnets(new_prefix=entry.length)
    return tuple(part for part, _ in zip(parts, range(entry.count), strict=False))


def nat_half(pool: IPv4Network, connection: ConnectionOrder) -> IPv4Network:
    """The connection's half of the NAT pool: a separate pool for each link (facts 5, option 1).

    A pool that has no halves of two addresses serves both links.
    """
    if pool.prefixlen > POOL_LENGTH:
        return pool
    return tuple(pool.subnets(prefixlen_diff=1))[connection.number - 1]


def _queues(
    policy: Policy | None, order: CircuitOrder, connection: ConnectionOrder, tree: int
) -> tuple[PortQueues, ...]:
    """Queues in front of the policer: a port carries one circuit, a shared wire a tree for each connection.

    Past TREES_MAX circuits of a Direct port what an edge sends is not queued.
    """
    if policy is None or tree >= TREES_MAX:
        return ()
    rate_bps = queue_rate_bps(order.shaped_bps)
    if not order.shared_wire:
        return (PortQueues(tree, rate_bps, policy.classes),)
    outer = Tag(connection.outer, order.outer_ethertype)
    if order.handoff.encapsulation == "dot1q":
        # One tag tells peering and circuit: the subinterfaces of the others name the tree themselves.
        outer = Tag(order.peerings[0].peer.vlan) if order.peerings else outer
    return (PortQueues(tree, rate_bps, policy.classes, outer),)


def _qos(policy: Policy | None, order: CircuitOrder, tree: int | None, peering: PeeringOrder) -> Qos | None:
    if policy is not None:
        return Qos(policy, "out", TREATMENT[peering.name], tree=tree)
    if order.qos.msee == "drop" and peering.microsoft is not None:
        # An MSEE that drops what it does not know would drop the edge's own BGP and BFD, which are CS6.
        return Qos(with_control(OWN_PROTOCOLS), "out", "mark")
    return None


def _pool(peering: PeeringOrder, connection: ConnectionOrder) -> IPv4Network | None:
    """The NAT pool of a connection, None on a private peering."""
    if peering.microsoft is None:
        return None
    pools = [n for n in peering.advertised if isinstance(n, IPv4Network)]
    if not pools:
        return None
    return pools[0] if peering.common_nat else nat_half(pools[0], connection)


def _originated(
    site: Site, order: CircuitOrder, peering: PeeringOrder, half: IPv4Network | None, version: int
) -> tuple[Network, ...] | None:
    """What one session announces of the router's own; None for what the site tells the provider's router.

    Never anything learned from Microsoft, or the site would be a transit network. IPv6 is not translated, so
    what a Microsoft peering announces of it lies at the site, too. A router that has both links tells of each
    half of the pool on its link alone: told as a whole, the pool would be common to both (facts 5).
    """
    if peering.microsoft is None:
        return None if order.managed else announced(site, version, order.name)
    if order.managed and version == 6:
        return None
    own: tuple[Network, ...] = (half,) if half is not None and version == 4 else ()
    others = [network for network in of_version(peering.advertised, version) if network not in own]
    alone = len({one.speaker for one in order.connections}) == 1
    if alone and half is not None:
        others = [network for network in others if half not in _halves(network)]
    return (*own, *others)


def _halves(network: Network) -> tuple[Network, ...]:
    return () if network.prefixlen == network.max_prefixlen else tuple(network.subnets(prefixlen_diff=1))


def _session(
    order: CircuitOrder,
    connection: ConnectionOrder,
    peering: PeeringOrder,
    real: Configured,
    device: str,
    version: int,
    exports: ExportPolicy,
) -> Session:
    ends = peering.peer_link(connection.name, version)
    name = names.session(order.name, peering.name, connection.name)
    return Session(
        name if version == 4 else f"{name}_v6",
        "microsoft",
        device,
        ends.customer.ip,
        ends.microsoft.ip,
        real.peer_asn,
        MSEE_ASN,
        imports=ImportPolicy(local_pref=real.local_preference),
        exports=exports,
        password=real.shared_key,
        bfd=BFD if real.bfd else None,
        timers=peering.timers,
    )


def provider_asn(order: CircuitOrder) -> int:
    """AS number of a provider's routers towards the edges: of the private peering, else of the other."""
    return order.peerings[0].peer.peer_asn if order.peerings else PROVIDER_ASN


def access_interface(parts: Parts, link: str, ce: tuple[str, str], pe: tuple[str, str]) -> PlainInterface:
    """The edge's interface on its link to a provider's router; makes the link.

    ce, pe: (namespace, device) of both ends.
    """
    ends = parts.numbering.link(link)
    parts.link(link, ce, pe)
    return PlainInterface(ce[1], ends.a)


def access_session(
    order: CircuitOrder,
    name: str,
    device: str,
    local: Interface,
    neighbor: Interface,
    groups: tuple[str, ...],
) -> Session:
    """A provider's router's session with an edge: it passes on what `groups` brought."""
    return Session(
        name if local.version == 4 else f"{name}_v6",
        ACCESS_GROUP,
        device,
        local.ip,
        neighbor.ip,
        provider_asn(order),
        order.customer_asn,
        exports=ExportPolicy(originated=False, groups=groups),
        bfd=BFD,
    )
