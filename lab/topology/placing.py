"""The commands of a file carried out on the empty service: the State, and every no at its place.

A refused command is left out and the others go on, so that one run shows every mistake. What needs
something that was refused, or that the schema has cut off, is left out silently: it is no second mistake.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge.model import Network
from lab.service.apply import Refused, apply, apply_all
from lab.service.commands import AttachFilter, UpdateRouteFilter
from lab.service.refusal import Refusal
from lab.service.state import State
from lab.topology.circuit_schema import MicrosoftPeering
from lab.topology.schema import Topology
from lab.topology.service_commands import Key, Ordered, initial_state, orders
from lab.topology.source import DocumentPath

FIELDS: dict[str, DocumentPath] = {
    "AsnDocumentation": ("peer_asn",),
    "AsnInvalid": ("peer_asn",),
    "AsnMicrosoft": ("peer_asn",),
    "AsnPrivate": ("peer_asn",),
    "AsnReserved": ("peer_asn",),
    "FastPathSku": ("fastpath",),
    "GatewayCircuits": ("circuit",),
    "GatewayDualStack": ("circuit",),
    "GatewaySameLocation": ("circuit",),
    "BandwidthNotOffered": ("bandwidth",),
    "ConnectionTwice": ("circuit",),
    "ConnectionPrefixes": ("circuit",),
    "KeyCharacters": ("shared_key",),
    "KeyLong": ("shared_key",),
    "LocalNotOffered": ("sku", "tier"),
    "MetroNotOffered": ("metro",),
    "PeeringNotFound": ("circuit",),
    "PortSubscribed": ("bandwidth",),
    "RateLimitNotDirect": ("rate_limit",),
    "RegionNotLocal": ("circuit",),
    "RegionOutsideArea": ("circuit",),
    "StagTaken": ("handoff", "s_tag"),
    "VlanTakenInCircuit": ("vlan",),
    "VlanTakenOnPort": ("vlan",),
    "VnetLinks": ("circuit",),
    "VnetSpace": ("address_space",),
    "WeightRange": ("weight",),
}
"""Code of a refusal -> the key to blame, below the part of the file that the command stands for.

What is not here is said of that part itself.
"""

HINTS: dict[str, str] = {
    "ConnectionTwice": "take this connection out",
    "GatewayDualStack": "add ipv6: {subnet: ...} to the peering, or keep the address space IPv4",
    "GatewaySubnetFull": "write a larger gateway_subnet, a /26 holds 16 circuits",
    "PeeringNotFound": "add it to the circuit",
    "PrefixFamily": "add ipv6: {subnet: ...} to the peering",
    "StagTaken": "use another of 1-4094, or leave s_tag out",
}
"""Code -> the way out in the file's words, where the service's own are another's."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A refusal as a reader of the file needs it."""

    path: DocumentPath
    refusal: Refusal

    @property
    def hint(self) -> str:
        """The way out."""
        return HINTS.get(self.refusal.code, self.refusal.way_out)


@dataclass(frozen=True, slots=True)
class Placed:
    """What came of a file's commands."""

    state: State
    mistakes: tuple[Mistake, ...] = ()


def place(topology: Topology, cut: Sequence[DocumentPath] = ()) -> Placed:
    """Carry out a file's commands; `cut` are the parts of the file that the schema did not accept."""
    state = initial_state(topology)
    missing: set[Key] = {
        ("peering", str(path[1]), str(path[3])) for path in cut if path[2:3] == ("peerings",) and path[3:]
    }
    made: set[Key] = set()
    mistakes: list[Mistake] = []
    for ordered in orders(topology):
        if any(key not in made and (key in missing or key[0] != "peering") for key in ordered.needs):
            missing.add(ordered.makes)
            continue
        outcome = apply(state, ordered.command)
        if isinstance(outcome, Refusal):
            missing.add(ordered.makes)
            mistakes += _mistakes(topology, state, ordered, outcome)
        else:
            made.add(ordered.makes)
            state = outcome.state
    return Placed(state, tuple(mistakes))


def _mistakes(topology: Topology, state: State, ordered: Ordered, refusal: Refusal) -> Iterator[Mistake]:
    if isinstance(ordered.command, AttachFilter):
        entries = tuple(_entries(topology, state, ordered, ordered.command))
        yield from entries or (Mistake(ordered.path, refusal),)
        return
    place = _of_prefix(topology, ordered.path, refusal.about)
    yield Mistake(place or (*ordered.path, *FIELDS.get(refusal.code, ())), refusal)


def _entries(topology: Topology, state: State, ordered: Ordered, command: AttachFilter) -> Iterator[Mistake]:
    """A filter is judged entry by entry, so that each bad one is told of."""
    spec = topology.circuits[command.circuit].peerings.microsoft
    for number, entry in enumerate(spec.route_filter if spec else ()):
        outcome = apply_all(state, (UpdateRouteFilter(command.name, (entry,)), command))
        if isinstance(outcome, Refused):
            yield Mistake((*ordered.path, number), outcome.refusal)


def _of_prefix(topology: Topology, path: DocumentPath, about: object) -> DocumentPath | None:
    """The place of a prefix in the part of the file that `path` names, or in its virtual network."""
    base, lists = _prefixes(topology, path)
    for place, prefixes in lists:
        if about in prefixes:
            return (*base, *place, prefixes.index(about))  # type: ignore[arg-type]
    if path[0] == "vnets" and about is not None:
        # A GatewaySubnet that nobody wrote comes from the address space.
        return (*base, "address_space")
    return None


def _prefixes(
    topology: Topology, path: DocumentPath
) -> tuple[DocumentPath, list[tuple[DocumentPath, list[Network]]]]:
    if path[0] == "circuits" and len(path) >= 4:
        peerings = topology.circuits[str(path[1])].peerings
        spec = peerings.private if path[3] == "private" else peerings.microsoft
        assert spec is not None
        found: list[tuple[DocumentPath, list[Network]]] = [(("subnet",), spec.subnet)]
        if spec.ipv6 is not None:
            found.append((("ipv6", "subnet"), spec.ipv6.subnet))
        if isinstance(spec, MicrosoftPeering):
            found.append((("advertised_public_prefixes",), spec.advertised_public_prefixes))
        return path[:4], found
    if path[0] == "vnets":
        vnet = topology.vnets[str(path[1])]
        return path[:2], [
            (("gateway_subnet",), vnet.gateway_subnet or []),
            (("address_space",), vnet.address_space),
        ]
    return path, []
