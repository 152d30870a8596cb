"""Circuits with everything that the lab adds to an order: S-tag, nodes, ports, link addresses.

The other modules of the derivation read these instead of the file, so each decision is taken once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edge.model import ETHERTYPE_DOT1Q, Interface, Tag, TagStack
from lab.model import ConnectionName, PeeringName
from lab.service.bandwidth import BANDWIDTHS
from lab.service.peerings import split_link_subnets
from lab.topology import names
from lab.topology.circuit_schema import Circuit, MicrosoftPeering, PrivatePeering
from lab.topology.schema import Override, Site, Topology

CONNECTIONS: tuple[ConnectionName, ConnectionName] = ("primary", "secondary")


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of one peering on one connection, of one IP version."""

    customer: Interface
    microsoft: Interface


@dataclass(frozen=True, slots=True)
class PeeringOrder:
    """A peering: its spec and the ends of its links by (connection, IP version)."""

    name: PeeringName
    spec: PrivatePeering
    ends: dict[tuple[ConnectionName, int], Ends]

    @property
    def versions(self) -> tuple[int, ...]:
        """IP versions that the peering carries."""
        return (4, 6) if self.spec.ipv6 else (4,)

    @property
    def microsoft(self) -> MicrosoftPeering | None:
        """The spec with what only a Microsoft peering has, or None on a private one."""
        return self.spec if isinstance(self.spec, MicrosoftPeering) else None

    def addresses(
        self, connection: ConnectionName, side: Literal["customer", "microsoft"]
    ) -> tuple[Interface, ...]:
        """Addresses of one side's subinterface."""
        both = [self.ends[connection, version] for version in self.versions]
        return tuple(end.customer if side == "customer" else end.microsoft for end in both)


@dataclass(frozen=True, slots=True)
class ConnectionOrder:
    """One of a circuit's two connections and the nodes it joins; number is 1 or 2."""

    name: ConnectionName
    number: int
    edge: str
    port: str
    msee: str


@dataclass(frozen=True, slots=True)
class CircuitOrder:
    """A circuit ready to build."""

    name: str
    spec: Circuit
    site: str
    s_tag: int
    outer_ethertype: int
    provider: str
    msee_port: str
    connections: tuple[ConnectionOrder, ...]
    peerings: tuple[PeeringOrder, ...]

    @property
    def bandwidth_bps(self) -> int:
        """Per connection and direction."""
        return BANDWIDTHS[self.spec.bandwidth]

    def peering(self, name: PeeringName) -> PeeringOrder | None:
        """The peering of that name, or None."""
        return next((peering for peering in self.peerings if peering.name == name), None)

    def customer_tags(self, vlan: int, s_tag: int) -> TagStack:
        """Tags on the customer's wire (facts 1.2)."""
        if self.spec.handoff.encapsulation == "dot1q":
            return (Tag(vlan),)
        return (Tag(s_tag, self.outer_ethertype), Tag(vlan))

    def microsoft_tags(self, vlan: int) -> TagStack:
        """Tags between provider and MSEE: always S-tag and C-tag, both 0x8100 (facts 1.2)."""
        return (Tag(self.s_tag), Tag(vlan))


def orders_of(topology: Topology) -> tuple[CircuitOrder, ...]:
    """All circuits in the order of the file."""
    sites = {circuit: name for name, site in topology.sites.items() for circuit in site.circuits}
    tags = s_tags(topology)
    return tuple(
        _order(name, circuit, sites[name], topology.sites[sites[name]], tags[name])
        for name, circuit in topology.circuits.items()
    )


def _order(name: str, spec: Circuit, site: str, site_spec: Site, s_tag: int) -> CircuitOrder:
    edges = edges_of(site_spec, name)
    return CircuitOrder(
        name=name,
        spec=spec,
        site=site,
        s_tag=s_tag,
        outer_ethertype=int(spec.handoff.outer_ethertype or hex(ETHERTYPE_DOT1Q), 16),
        provider=names.provider_node(spec.provider, spec.location),
        msee_port=names.msee_port(spec.provider),
        connections=tuple(
            ConnectionOrder(connection, n, edge, names.customer_port(name, n), names.msee(spec.location, n))
            for n, (connection, edge) in enumerate(zip(CONNECTIONS, edges, strict=True), 1)
        ),
        peerings=tuple(_peerings(spec)),
    )


def _peerings(spec: Circuit) -> Iterator[PeeringOrder]:
    for name, peering in (("private", spec.peerings.private), ("microsoft", spec.peerings.microsoft)):
        if peering is None:
            continue
        ends: dict[tuple[ConnectionName, int], Ends] = {}
        for version, subnets in ((4, peering.subnet), (6, peering.ipv6.subnet if peering.ipv6 else [])):
            if subnets:
                for connection, link in zip(CONNECTIONS, split_link_subnets(subnets), strict=True):
                    ends[connection, version] = Ends(link.customer, link.microsoft)
        yield PeeringOrder("private" if name == "private" else "microsoft", peering, ends)


def edges_of(site: Site, circuit: str) -> tuple[str, str]:
    """The edges that carry a circuit's primary and secondary connection.

    One edge carries both; of two, the first is primary; more come in pairs, one for each circuit.
    """
    if len(site.edges) <= 2:
        return site.edges[0], site.edges[-1]
    first = 2 * site.circuits.index(circuit)
    return site.edges[first], site.edges[first + 1]


def s_tags(topology: Topology) -> dict[str, int]:
    """S-tag by circuit: as ordered, else from a digest of the circuit's name.

    Unique at a provider's location (facts 1.2: the provider and Microsoft know a circuit by it).
    """
    taken: dict[str, set[int]] = {}
    tags: dict[str, int] = {}
    for ordered in (True, False):
        for name, circuit in topology.circuits.items():
            used = taken.setdefault(names.provider_node(circuit.provider, circuit.location), set())
            wanted = circuit.handoff.s_tag
            if (wanted is not None) != ordered:
                continue
            tag = wanted if wanted is not None else 1 + names.digest(f"s-tag {name}", 32) % 4094
            while wanted is None and tag in used:
                tag = tag % 4094 + 1
            used.add(tag)
            tags[name] = tag
    return tags


@dataclass(frozen=True, slots=True)
class Configured:
    """What the customer's edge has configured for a peering: the order, with the site's overrides."""

    vlan: int
    s_tag: int
    peer_asn: int
    shared_key: str | None
    bfd: bool


def configured(
    site: Site, order: CircuitOrder, connection: ConnectionOrder, peering: PeeringOrder
) -> Configured:
    """The edge's configuration of a peering on a connection; of several overrides later ones win."""
    spec = peering.spec
    found = Configured(spec.vlan, order.s_tag, spec.peer_asn, spec.shared_key, spec.bfd)
    for entry in site.overrides:
        if _applies(entry, order, connection, peering):
            found = Configured(
                vlan=found.vlan if entry.vlan is None else entry.vlan,
                s_tag=found.s_tag if entry.s_tag is None else entry.s_tag,
                peer_asn=found.peer_asn if entry.peer_asn is None else entry.peer_asn,
                shared_key=found.shared_key if entry.shared_key is None else entry.shared_key or None,
                bfd=found.bfd if entry.bfd is None else entry.bfd,
            )
    return found


def _applies(
    entry: Override, order: CircuitOrder, connection: ConnectionOrder, peering: PeeringOrder
) -> bool:
    same = (entry.edge, entry.circuit, entry.peering) == (connection.edge, order.name, peering.name)
    return same and entry.connection in (None, connection.name)
