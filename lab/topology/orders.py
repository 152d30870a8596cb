"""Circuits with everything that the lab adds to an order: nodes, ports, sessions, what the edges have.

Two sources meet here. The service's State says what is ordered and how it is (tags, addresses, tiers,
what is shut); the file says what the customer has (sites, hand-off, timers). The other modules of the
derivation read these instead of either, so each decision is taken once. The customer's edges are configured
as ordered, so a peering that is written anew is written on them as well; `overrides` make them differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from edge.model import ETHERTYPE_DOT1Q, Interface, Network, PortMacsec, Tag, TagStack, Timers
from lab.model import ConnectionName, PeeringName
from lab.service import resources
from lab.service.locations import sites as sites_of
from lab.service.peerings import LinkSubnet, split_v4, split_v6
from lab.service.sessions import MseeSession, sessions_of
from lab.service.state import State
from lab.topology import names
from lab.topology.circuit_schema import CUSTOMER_ASN, Circuit, Handoff, MicrosoftPeering, PrivatePeering
from lab.topology.ipvpn import is_any_to_any
from lab.topology.ports_schema import LinkMacsec
from lab.topology.qos_schema import CircuitQos
from lab.topology.schema import Override, Site, Topology

CONNECTIONS: tuple[ConnectionName, ConnectionName] = ("primary", "secondary")

ORDER: tuple[PeeringName, PeeringName] = ("private", "microsoft")
"""Peerings of a circuit wherever they are listed, whichever was made first."""


@dataclass(frozen=True, slots=True)
class PeeringOrder:
    """A peering as the service has it, its sessions by (connection, IP version), and the customer's part.

    timers: of the other side than Microsoft's. peer: the peering as that side has it configured; it differs
    from `ordered` in BFD, which an old peering has on one side only, and where the customer has overwritten
    what a provider manages, who keeps his own (facts 1.1: a known trap). common_nat: one pool for both links.
    """

    ordered: resources.Peering
    sessions: dict[tuple[ConnectionName, int], MseeSession]
    timers: Timers
    peer: resources.Peering
    common_nat: bool = False

    @property
    def name(self) -> PeeringName:
        """private or microsoft."""
        return self.ordered.name

    @property
    def versions(self) -> tuple[int, ...]:
        """IP versions that the peering carries."""
        return self.ordered.versions

    @property
    def microsoft(self) -> resources.MicrosoftConfig | None:
        """What only a Microsoft peering has, or None on a private one."""
        return self.ordered.microsoft

    @property
    def advertised(self) -> tuple[Network, ...]:
        """The public prefixes of a Microsoft peering."""
        config = self.ordered.microsoft
        return tuple(one.prefix for one in config.prefixes) if config is not None else ()

    def addresses(
        self, connection: ConnectionName, side: Literal["customer", "microsoft"]
    ) -> tuple[Interface, ...]:
        """Addresses of one side's subinterface."""
        if side == "microsoft":
            return tuple(self.sessions[connection, version].microsoft for version in self.versions)
        return tuple(self.peer_link(connection, version).customer for version in self.peer.versions)

    def peer_link(self, connection: ConnectionName, version: int) -> LinkSubnet:
        """A link's subnet as the other side than Microsoft's has it."""
        return LinkSubnet(self.peer.links(version)[CONNECTIONS.index(connection)])


@dataclass(frozen=True, slots=True)
class ConnectionOrder:
    """One of a circuit's two connections and the nodes it joins; number is 1 or 2.

    edge: the customer's router, empty for a circuit that ends at no site of the file. speaker: who speaks
    BGP with the MSEE, the edge or the provider's router. wire: its link; far: the namespace where that ends,
    the provider's fabric, or on Direct the MSEE's port itself. device: at both its ends; stem: how
    the speaker's subinterfaces are called. outer: the outer tag on that wire. vrf: the namespace of the
    speaker's routing domain, its own but for a PE that has one for each customer. keys, far_keys: MACsec of
    the speaker's port and of the far end's.
    """

    name: ConnectionName
    number: int
    edge: str
    speaker: str
    wire: str
    far: str
    device: str
    stem: str
    outer: int
    msee: str
    vrf: str
    keys: PortMacsec | None = None
    far_keys: PortMacsec | None = None

    @property
    def port(self) -> str:
        """The speaker's port: the device, or what encrypts on it."""
        return self.device if self.keys is None else names.secure_port(self.device)

    @property
    def far_port(self) -> str:
        """The far end's."""
        return self.device if self.far_keys is None else names.secure_port(self.device)


@dataclass(frozen=True, slots=True)
class CircuitOrder:
    """A circuit ready to build.

    sites: where it ends, none when the file says of none, several of an any-to-any circuit. managed: the
    provider's routers speak BGP. line: both connections share one line to the customer. customer_asn: of the
    edges of a managed circuit. pair: the port pair of a circuit on Direct.
    vpn_versions: IP versions that an any-to-any circuit's VPN carries. link_loss_forwarding: its ports have
    carrier while the other end has.
    """

    ordered: resources.Circuit
    model: str
    sites: tuple[str, ...]
    managed: bool
    line: bool
    customer_asn: int
    handoff: Handoff
    qos: CircuitQos
    msee_port: str
    connections: tuple[ConnectionOrder, ...]
    peerings: tuple[PeeringOrder, ...]
    pair: resources.PortPair | None = None
    vpn_versions: tuple[int, ...] = ()
    link_loss_forwarding: bool = False

    @property
    def name(self) -> str:
        """The circuit's name."""
        return self.ordered.name

    @property
    def site(self) -> str:
        """Where it ends, the first site of several; empty without one."""
        return self.sites[0] if self.sites else ""

    @property
    def any_to_any(self) -> bool:
        """Whether it is an IPVPN: the provider's core stands between its sites and his routers."""
        return self.model == "any-to-any"

    @property
    def bandwidth_bps(self) -> int:
        """What was bought, per connection and direction; `views.effective_mbps` is what passes."""
        return self.ordered.bandwidth_mbps * 1_000_000

    @property
    def port_bps(self) -> int:
        """How fast the MSEE's port may send: as fast as the provider polices, or as Direct's port is."""
        return self.bandwidth_bps if self.pair is None else self.pair.bandwidth_gbps * 1_000_000_000

    @property
    def shaped_bps(self) -> int:
        """How fast an edge with queues may send: no faster than what drops behind it."""
        return self.port_bps if self.pair is not None and not self.ordered.rate_limit else self.bandwidth_bps

    @property
    def shared_wire(self) -> bool:
        """Whether wires carry other connections, too: a line both of its circuit, a port of Direct many."""
        return self.line or self.pair is not None

    @property
    def outer_ethertype(self) -> int:
        """Of the S-tag on the customer's wire."""
        return int(self.handoff.outer_ethertype or hex(ETHERTYPE_DOT1Q), 16)

    def peering(self, name: PeeringName) -> PeeringOrder | None:
        """The peering of that name, or None."""
        return next((peering for peering in self.peerings if peering.name == name), None)

    def customer_tags(self, vlan: int, s_tag: int) -> TagStack:
        """Tags on the customer's wire (facts 1.2)."""
        if self.handoff.encapsulation == "dot1q":
            return (Tag(vlan),)
        return (Tag(s_tag, self.outer_ethertype), Tag(vlan))


def orders_of(topology: Topology, state: State) -> tuple[CircuitOrder, ...]:
    """All circuits, in the order in which they were made."""
    sites: dict[str, list[str]] = {}
    for name, site in topology.sites.items():
        for circuit in site.circuits:
            sites.setdefault(circuit, []).append(name)
    return tuple(
        _order(state, circuit, topology.circuits.get(name), tuple(sites.get(name, ())), topology)
        for name, circuit in state.circuits.items()
    )


def _order(
    state: State,
    circuit: resources.Circuit,
    spec: Circuit | None,
    sites: tuple[str, ...],
    topology: Topology,
) -> CircuitOrder:
    any_to_any = is_any_to_any(spec)
    cabled = bool(sites) and not any_to_any
    edges = edges_of(topology.sites[sites[0]], circuit.name) if cabled else ("", "")
    pair = state.ports[circuit.port] if circuit.direct else None
    handoff = spec.handoff if spec is not None else Handoff()
    if pair is not None:
        handoff = Handoff(encapsulation="dot1q" if pair.encapsulation == "Dot1Q" else "qinq")
    managed, line = is_managed(spec), is_line(spec, edges)
    places = sites_of(circuit.location, circuit.metro)
    return CircuitOrder(
        ordered=circuit,
        model="direct" if pair is not None else spec.model if spec is not None else "cloud-exchange",
        sites=sites,
        managed=managed,
        line=line,
        customer_asn=(spec.customer_asn if spec is not None else None) or CUSTOMER_ASN,
        handoff=handoff,
        qos=spec.qos if spec is not None else CircuitQos(),
        msee_port=names.msee_port(circuit.provider) if pair is None else names.pair_device(pair.name),
        connections=tuple(
            ConnectionOrder(
                connection,
                n,
                edge,
                speaker,
                *_wire(circuit, connection, n, places[n - 1], line),
                names.customer_port(circuit.name, n),
                _outer_tag(circuit, spec, n),
                names.msee(places[n - 1], n),
                names.vpn_vrf(speaker, circuit.name) if any_to_any else speaker,
                *macsec_of(topology, pair, connection),
            )
            for n, (connection, edge) in enumerate(zip(CONNECTIONS, edges, strict=True), 1)
            for speaker in (_speaker(circuit, spec, edge, n),)
        ),
        peerings=tuple(_peerings(state, circuit, spec)),
        pair=pair,
        vpn_versions=_vpn_versions(circuit, sites, topology) if any_to_any else (),
        link_loss_forwarding=spec is not None and spec.link_loss_forwarding,
    )


MICROSOFT_PRIORITY, EDGE_PRIORITY = 16, 32
"""MKA priorities: Microsoft's port hands out the session keys."""


def macsec_of(
    topology: Topology, pair: resources.PortPair | None, connection: ConnectionName
) -> tuple[PortMacsec | None, PortMacsec | None]:
    """MACsec of the edge's port and of Microsoft's; a port that is disabled has none (facts 9)."""
    if pair is None:
        return None, None
    number = CONNECTIONS.index(connection) + 1
    wire = names.pair_port(pair.name, number)
    link = pair.link(connection)
    spec = topology.ports.get(pair.name)
    own = getattr(spec.links, connection).edge_macsec if spec is not None else None

    def keys(found: resources.MacSec | LinkMacsec | None, priority: int) -> PortMacsec | None:
        if found is None:
            return None
        return PortMacsec(wire, topology.secrets[found.ckn], topology.secrets[found.cak], priority)

    microsoft = keys(link.macsec, MICROSOFT_PRIORITY) if link.admin_state == "Enabled" else None
    return keys(own or link.macsec, EDGE_PRIORITY), microsoft


def _wire(
    circuit: resources.Circuit, connection: ConnectionName, number: int, place: str, line: bool
) -> tuple[str, str, str]:
    """A connection's wire to the customer: its link, the namespace of its far end, the device at both."""
    if circuit.direct:
        card = names.pair_card(names.msee(place, number), circuit.port)
        return names.circuit_link(circuit.port, connection), card, names.pair_port(circuit.port, number)
    fabric = names.provider_node(circuit.provider, place)
    if line:
        return names.line(circuit.name), fabric, names.line_port(circuit.name)
    return (
        names.circuit_link(circuit.name, connection),
        fabric,
        names.customer_port(circuit.name, number),
    )


def _vpn_versions(circuit: resources.Circuit, sites: tuple[str, ...], topology: Topology) -> tuple[int, ...]:
    """IPv4, and IPv6 where a peering or a site of the VPN has it."""
    own = [topology.sites[name] for name in sites]
    networks = [network for site in own for network in (*site.lan, *(one.prefix for one in site.announce))]
    versions: set[int] = {network.version for network in networks}
    versions |= {version for peering in circuit.peerings.values() for version in peering.versions}
    return (4, 6) if 6 in versions else (4,)


def _speaker(circuit: resources.Circuit, spec: Circuit | None, edge: str, number: int) -> str:
    """Who speaks BGP with the MSEE: the PE that faces it, the provider's own router, or the edge."""
    if is_any_to_any(spec):
        return names.border_pe(circuit.provider, circuit.location, number)
    return names.provider_edge(circuit.name, number) if is_managed(spec) and edge else edge


def is_managed(spec: Circuit | None) -> bool:
    """Whether the provider speaks BGP for the customer."""
    return spec is not None and spec.managed == "layer3"


def is_line(spec: Circuit | None, edges: tuple[str, str]) -> bool:
    """Whether both connections reach the customer by one line (facts 1.1: two virtual circuits on it)."""
    return (
        spec is not None
        and spec.model == "point-to-point"
        and spec.managed == "layer2"
        and edges[0] == edges[1] != ""
    )


def _outer_tag(circuit: resources.Circuit, spec: Circuit | None, number: int) -> int:
    """The outer tag of a connection on the customer's wire: the S-tag, or that of its virtual circuit."""
    if spec is None or spec.model != "point-to-point":
        return circuit.s_tag
    if spec.handoff.evc_tags is not None:
        return spec.handoff.evc_tags[number - 1]
    return circuit.s_tag if number == 1 else circuit.s_tag % 4094 + 1


def _peerings(state: State, circuit: resources.Circuit, spec: Circuit | None) -> Iterator[PeeringOrder]:
    for name in ORDER:
        ordered = circuit.peerings.get(name)
        if ordered is None:
            continue
        given: PrivatePeering | None = getattr(spec.peerings, name) if spec is not None else None
        yield PeeringOrder(
            ordered,
            {(one.path, one.version): one for one in sessions_of(state, circuit, ordered)},
            Timers(given.timers.keepalive, given.timers.hold) if given is not None else Timers(),
            _peer(ordered, given, is_managed(spec)),
            isinstance(given, MicrosoftPeering) and given.nat == "common",
        )


def _peer(ordered: resources.Peering, given: PrivatePeering | None, managed: bool) -> resources.Peering:
    """The peering as the customer's edges, or the provider's routers, have it."""
    if given is None:
        return ordered
    if not managed or ordered.written_by == "Provider":
        return replace(ordered, bfd=given.bfd)
    return replace(
        ordered,
        vlan=given.vlan,
        peer_asn=given.peer_asn,
        shared_key=given.shared_key,
        v4=split_v4(tuple(one for one in given.subnet if isinstance(one, IPv4Network))),
        v6=split_v6(
            tuple(one for one in (given.ipv6.subnet if given.ipv6 else ()) if isinstance(one, IPv6Network))
        ),
        bfd=given.bfd,
    )


def edges_of(site: Site, circuit: str) -> tuple[str, str]:
    """The edges that carry a circuit's primary and secondary connection.

    One edge carries both; of two, the first is primary; more come in pairs, one for each circuit.
    """
    if len(site.edges) <= 2:
        return site.edges[0], site.edges[-1]
    first = 2 * site.circuits.index(circuit)
    return site.edges[first], site.edges[first + 1]


@dataclass(frozen=True, slots=True)
class Configured:
    """What the customer's edge has configured for a peering: the order, with the site's overrides."""

    vlan: int
    s_tag: int
    peer_asn: int
    shared_key: str | None
    bfd: bool
    local_preference: int | None = None


def configured(
    site: Site, order: CircuitOrder, connection: ConnectionOrder, peering: PeeringOrder
) -> Configured:
    """The edge's configuration of a peering on a connection; of several overrides later ones win."""
    peer = peering.peer
    found = Configured(peer.vlan, connection.outer, peer.peer_asn, peer.shared_key, peer.bfd)
    for entry in site.overrides:
        if _applies(entry, order, connection, peering):
            found = Configured(
                vlan=found.vlan if entry.vlan is None else entry.vlan,
                s_tag=found.s_tag if entry.s_tag is None else entry.s_tag,
                peer_asn=found.peer_asn if entry.peer_asn is None else entry.peer_asn,
                shared_key=found.shared_key if entry.shared_key is None else entry.shared_key or None,
                bfd=found.bfd if entry.bfd is None else entry.bfd,
                local_preference=(
                    found.local_preference if entry.local_preference is None else entry.local_preference
                ),
            )
    return found


def _applies(
    entry: Override, order: CircuitOrder, connection: ConnectionOrder, peering: PeeringOrder
) -> bool:
    same = (entry.edge, entry.circuit, entry.peering) == (connection.edge, order.name, peering.name)
    return same and entry.connection in (None, connection.name)
