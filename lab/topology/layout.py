"""What stands where, as far as names and addresses of a lab are concerned: of a file, or of a State.

The rules of `rules.naming` and `rules.space` judge a file before the service has said yes to all of it, and
a running lab whose State has gone its own way. Both are a `Layout` to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network

from edge.model import Network
from lab.model import PeeringName
from lab.service.locations import refuse_metro, sites
from lab.service.state import State
from lab.topology.circuit_schema import Circuit
from lab.topology.orders import ORDER
from lab.topology.schema import Topology
from lab.topology.service_commands import gateway_subnets
from lab.topology.source import DocumentPath


@dataclass(frozen=True, slots=True)
class Placed:
    """A prefix and the part of the file that wrote it."""

    network: Network
    path: DocumentPath


@dataclass(frozen=True, slots=True)
class PeeringPlace:
    """A peering's address space. advertised: of a Microsoft peering, whose first IPv4 prefix is the pool."""

    links: tuple[Placed, ...]
    advertised: tuple[Placed, ...] = ()

    @property
    def pool(self) -> Network | None:
        """The NAT pool (facts 5)."""
        found = (one.network for one in self.advertised if isinstance(one.network, IPv4Network))
        return next(found, None)


@dataclass(frozen=True, slots=True)
class CircuitPlace:
    """A circuit. sites: of its two connections. port: the port pair that carries it in a provider's place."""

    provider: str
    sites: tuple[str, str]
    peerings: dict[PeeringName, PeeringPlace]
    port: str = ""


@dataclass(frozen=True, slots=True)
class VnetPlace:
    """A virtual network. subnets: its GatewaySubnets, empty without a gateway. circuits: those it joins."""

    space: tuple[Placed, ...]
    subnets: tuple[Placed, ...]
    circuits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReachPlace:
    """A Global Reach connection between two circuits."""

    circuits: tuple[str, str]
    tunnels: tuple[Placed, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Circuits, virtual networks, and Global Reach connections, in their order."""

    circuits: dict[str, CircuitPlace]
    vnets: dict[str, VnetPlace]
    reaches: dict[str, ReachPlace] = field(default_factory=dict)

    def has_core(self) -> bool:
        """Whether some circuit has a Microsoft peering, so that there is Microsoft's core."""
        return any("microsoft" in circuit.peerings for circuit in self.circuits.values())


def _placed(networks: list[Network] | tuple[Network, ...], path: DocumentPath) -> tuple[Placed, ...]:
    return tuple(Placed(network, (*path, number)) for number, network in enumerate(networks))


def _file_place(topology: Topology, circuit: Circuit) -> tuple[str, tuple[str, str], str] | None:
    """(provider, sites, port pair) of a circuit of a file; None when it does not say enough."""
    if circuit.model == "direct":
        pair = topology.ports.get(circuit.port or "")
        return ("", (pair.location, pair.location), circuit.port or "") if pair is not None else None
    if circuit.provider is None or circuit.location is None:
        return None
    metro = circuit.metro and refuse_metro(circuit.location) is None
    return circuit.provider, sites(circuit.location, metro), ""


def of_file(topology: Topology) -> Layout:
    """What a file asks for."""
    circuits = {}
    for name, circuit in topology.circuits.items():
        peerings: dict[PeeringName, PeeringPlace] = {}
        for kind in ORDER:
            spec = getattr(circuit.peerings, kind)
            if spec is None:
                continue
            path: DocumentPath = ("circuits", name, "peerings", kind)
            links = _placed(spec.subnet, (*path, "subnet"))
            if spec.ipv6 is not None:
                links += _placed(spec.ipv6.subnet, (*path, "ipv6", "subnet"))
            public = getattr(spec, "advertised_public_prefixes", [])
            peerings[kind] = PeeringPlace(links, _placed(public, (*path, "advertised_public_prefixes")))
        place = _file_place(topology, circuit)
        if place is not None:
            circuits[name] = CircuitPlace(place[0], place[1], peerings, place[2])
    vnets = {}
    for name, vnet in topology.vnets.items():
        given = _placed(vnet.gateway_subnet or [], ("vnets", name, "gateway_subnet"))
        derived = [one for one in gateway_subnets(vnet) if one not in [p.network for p in given]]
        vnets[name] = VnetPlace(
            _placed(vnet.address_space, ("vnets", name, "address_space")),
            (*given, *(Placed(one, ("vnets", name, "address_space")) for one in derived)),
            tuple(connection.circuit for connection in vnet.connections),
        )
    return Layout(circuits, vnets)


def of_state(state: State) -> Layout:
    """What the service has; the paths are those that the same things have in a file."""
    circuits = {}
    for name, circuit in state.circuits.items():
        peerings: dict[PeeringName, PeeringPlace] = {}
        for kind in ORDER:
            peering = circuit.peerings.get(kind)
            if peering is None:
                continue
            path: DocumentPath = ("circuits", name, "peerings", kind)
            public = tuple(one.prefix for one in peering.microsoft.prefixes) if peering.microsoft else ()
            peerings[kind] = PeeringPlace(
                tuple(Placed(one, path) for one in peering.subnets),
                tuple(Placed(one, path) for one in public),
            )
        places = sites(circuit.location, circuit.metro)
        circuits[name] = CircuitPlace(circuit.provider, places, peerings, circuit.port)
    vnets = {}
    for name, vnet in state.vnets.items():
        where: DocumentPath = ("vnets", name)
        gateway = state.gateway_of(vnet.remote_gateway or name)
        own = state.gateway_of(name)
        vnets[name] = VnetPlace(
            tuple(Placed(one, where) for one in vnet.address_space),
            tuple(Placed(one, where) for one in own.subnets) if own is not None else (),
            tuple(link.circuit for link in state.joined_by(gateway.name)) if gateway is not None else (),
        )
    reaches = {
        name: ReachPlace(reach.circuits, tuple(Placed(one, ("reaches", name)) for one in reach.prefixes))
        for name, reach in state.reaches.items()
    }
    return Layout(circuits, vnets, reaches)
