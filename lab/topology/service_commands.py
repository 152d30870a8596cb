"""A topology as commands to the service: the file is one way to issue them.

What the file leaves out of the real order of events is done on the customer's behalf: the provider
provisions at once, Microsoft authorises Microsoft 365, registries name the customer as owner of what it
advertises, and the subscription may have as many circuits as the file has.

Each command comes with the place in the file that it stands for, what it makes, and what has to be there
first (`Ordered`), so that `placing` can go on behind a refusal.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from edge.model import Network
from lab.service import asn, locations
from lab.service.bandwidth import SIZES
from lab.service.commands import (
    ApprovePrefix,
    AttachFilter,
    AuthorizeMicrosoft365,
    Command,
    CreateCircuit,
    CreateGateway,
    CreatePortPair,
    CreateRouteFilter,
    CreateVnet,
    LinkVnet,
    Provision,
    PutPeering,
    RaiseQuota,
    RegisterPrefix,
    SetLinkAdminState,
    SetMacsec,
    ValidatePrefixes,
)
from lab.service.handlers.capacity import DEFAULT_QUOTA
from lab.service.resources import PATHS, Encapsulation, MacSec, Registry, Scope
from lab.service.state import NAMESPACE, Settings, State
from lab.topology import names
from lab.topology.addresses import default_gateway_subnets
from lab.topology.circuit_schema import Circuit, MicrosoftPeering, PrivatePeering
from lab.topology.ports_schema import PortPair
from lab.topology.schema import Topology, Vnet
from lab.topology.source import DocumentPath

REGISTRY: Registry = "RADB"
"""Where the lab's registries keep what a topology advertises."""

ENCAPSULATIONS: dict[str, Encapsulation] = {"qinq": "QinQ", "dot1q": "Dot1Q"}
"""Words of the file -> the API's (facts 12)."""

Key = tuple[str, ...]
"""Something that a command makes: ("circuit", name), ("gateway", vnet), ("port", pair)..."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """A command, the part of the file it stands for, what it makes and what it needs."""

    command: Command
    path: DocumentPath
    makes: Key = ()
    needs: tuple[Key, ...] = ()


def read(document: dict[str, Any]) -> Topology:
    """The topology of a validated document (`LabModel.document`)."""
    return Topology.model_validate(document, context={"strict": document.get("strict") is True})


def initial_state(topology: Topology) -> State:
    """The empty service with the choices that the file makes."""
    return State(Settings(strict=topology.strict))


def commands_of(topology: Topology) -> Iterator[Command]:
    """The commands that order everything in the file, in an order in which each is accepted."""
    for ordered in orders(topology):
        yield ordered.command


def orders(topology: Topology) -> Iterator[Ordered]:
    """The same commands with their places in the file."""
    scope = scope_of(topology)
    circuits = topology.circuits
    if len(circuits) > min(DEFAULT_QUOTA.circuits, DEFAULT_QUOTA.circuits_per_region):
        most = max(len(circuits), DEFAULT_QUOTA.circuits)
        yield Ordered(RaiseQuota(scope.subscription, most, most), ("circuits",))
    if any(circuit.peerings.microsoft is not None for circuit in circuits.values()):
        yield Ordered(AuthorizeMicrosoft365(scope.subscription), ("circuits",))
    for name, pair in topology.ports.items():
        yield from _pair(name, pair, scope)
    tags = s_tags(topology)
    for name, circuit in circuits.items():
        yield from _circuit(name, circuit, tags[name], scope)
    for name, vnet in topology.vnets.items():
        yield from _vnet(name, vnet, scope)


def scope_of(topology: Topology) -> Scope:
    """The subscription and resource group of everything in a file."""
    return Scope(topology.name, topology.name)


def gateway_name(vnet: str) -> str:
    """The gateway of a virtual network of the file."""
    return f"{vnet}-gw"


def connection_name(vnet: str, circuit: str) -> str:
    """The connection between the two."""
    return f"{vnet}-{circuit}"


def filter_name(circuit: str) -> str:
    """The route filter of a circuit of the file."""
    return f"{circuit}-filter"


def service_key(topology: str, circuit: str) -> str:
    """A circuit's GUID: of its name, so that a deploy of a changed file keeps those of the others."""
    return str(uuid.uuid5(NAMESPACE, f"{topology}/{circuit}"))


def s_tags(topology: Topology) -> dict[str, int]:
    """S-tag by circuit: as ordered, else from a digest of the circuit's name, which others do not move.

    A derived one is unique on the ports that it shares, a provider's at a site or a pair of Direct; whether
    an ordered one is, the service says.
    """
    taken: dict[str, set[int]] = {}
    tags: dict[str, int] = {}
    for ordered in (True, False):
        for name, circuit in topology.circuits.items():
            ports = [taken.setdefault(one, set()) for one in _ports_of(circuit)]
            wanted = circuit.handoff.s_tag
            if (wanted is not None) != ordered:
                continue
            tag = wanted if wanted is not None else 1 + names.digest(f"s-tag {name}", 32) % 4094
            while wanted is None and any(tag in used for used in ports):
                tag = tag % 4094 + 1
            for used in ports:
                used.add(tag)
            tags[name] = tag
    return tags


def _ports_of(circuit: Circuit) -> list[str]:
    """What stands for the ports to the MSEEs that a circuit uses."""
    if circuit.model == "direct":
        return [f"port pair {circuit.port}"]
    if circuit.provider is None or circuit.location is None:
        return []
    metro = circuit.metro and locations.refuse_metro(circuit.location) is None
    places = locations.sites(circuit.location, metro)
    return [names.provider_node(circuit.provider, place) for place in dict.fromkeys(places)]


def gateway_subnets(vnet: Vnet) -> tuple[Network, ...]:
    """What the file says about the GatewaySubnet, else the default, for each IP version; all that is said."""
    default = default_gateway_subnets(vnet.address_space)
    given = vnet.gateway_subnet or []
    return (*given, *(one for one in default if not any(g.version == one.version for g in given)))


def _pair(name: str, pair: PortPair, scope: Scope) -> Iterator[Ordered]:
    """Ordered, and its links enabled but those that the file disables (facts 1.3: disabled at first)."""
    path: DocumentPath = ("ports", name)
    key: Key = ("port", name)
    speed = SIZES[pair.bandwidth] // 1_000_000_000
    encapsulation = ENCAPSULATIONS[pair.encapsulation]
    yield Ordered(
        CreatePortPair(name, pair.location, speed, encapsulation, pair.billing, scope), path, makes=key
    )
    for link in PATHS:
        if getattr(pair.links, link).admin_state == "enabled":
            yield Ordered(SetLinkAdminState(name, link, "Enabled"), (*path, "links", link), needs=(key,))
        macsec = getattr(pair.links, link).macsec
        if macsec is not None:
            wanted = MacSec(macsec.ckn, macsec.cak, macsec.cipher, "Enabled")
            yield Ordered(SetMacsec(name, link, wanted), (*path, "links", link, "macsec"), needs=(key,))


def _circuit(name: str, circuit: Circuit, s_tag: int, scope: Scope) -> Iterator[Ordered]:
    path: DocumentPath = ("circuits", name)
    key: Key = ("circuit", name)
    direct = circuit.model == "direct"
    if not circuit.port if direct else not (circuit.provider and circuit.location):
        # The rules say what is missing; an order without it would be another mistake.
        return
    yield Ordered(
        CreateCircuit(
            name,
            circuit.sku.tier,
            circuit.sku.family,
            SIZES[circuit.bandwidth] // 1_000_000,
            provider="" if direct else circuit.provider or "",
            location="" if direct else circuit.location or "",
            port=circuit.port or "" if direct else "",
            metro=circuit.metro,
            s_tag=s_tag,
            service_key=service_key(scope.subscription, name),
            rate_limit=circuit.rate_limit,
            scope=scope,
        ),
        path,
        makes=key,
        needs=(("port", circuit.port or ""),) if direct else (),
    )
    if not direct:
        yield Ordered(Provision(name), path, needs=(key,))
    managed = circuit.managed == "layer3"
    if circuit.peerings.private is not None:
        yield _put(name, circuit.peerings.private, (*path, "peerings", "private"), managed)
    if circuit.peerings.microsoft is not None:
        where: DocumentPath = (*path, "peerings", "microsoft")
        yield _put(name, circuit.peerings.microsoft, where, managed)
        yield from _microsoft(name, circuit.peerings.microsoft, where, scope)


def _put(circuit: str, spec: PrivatePeering, path: DocumentPath, managed: bool) -> Ordered:
    microsoft = spec if isinstance(spec, MicrosoftPeering) else None
    command = PutPeering(
        circuit,
        "private" if microsoft is None else "microsoft",
        spec.vlan,
        spec.peer_asn,
        tuple(one for one in spec.subnet if isinstance(one, IPv4Network)),
        tuple(one for one in (spec.ipv6.subnet if spec.ipv6 else ()) if isinstance(one, IPv6Network)),
        spec.shared_key,
        spec.bfd,
        tuple(dict.fromkeys(microsoft.advertised_public_prefixes)) if microsoft else (),
        registry=REGISTRY if microsoft else "NONE",
        by="Provider" if managed else "Customer",
    )
    return Ordered(command, path, makes=("peering", circuit, command.peering), needs=(("circuit", circuit),))


def _microsoft(circuit: str, spec: MicrosoftPeering, path: DocumentPath, scope: Scope) -> Iterator[Ordered]:
    """The customer owns what it advertises; a private AS number is approved by hand (facts 3.2, 3.4)."""
    needs: tuple[Key, ...] = (("peering", circuit, "microsoft"),)
    prefixes = dict.fromkeys(spec.advertised_public_prefixes)
    for prefix in prefixes:
        yield Ordered(RegisterPrefix(prefix, spec.peer_asn, REGISTRY), path, needs=needs)
    yield Ordered(ValidatePrefixes(circuit), path, needs=needs)
    if asn.kind(spec.peer_asn) == "private":
        for prefix in prefixes:
            yield Ordered(ApprovePrefix(circuit, prefix), path, needs=needs)
    if spec.route_filter:
        name, where = filter_name(circuit), (*path, "route_filter")
        key: Key = ("filter", name)
        yield Ordered(CreateRouteFilter(name, tuple(spec.route_filter), scope), where, makes=key)
        yield Ordered(AttachFilter(circuit, name), where, needs=(*needs, key))


def _vnet(name: str, vnet: Vnet, scope: Scope) -> Iterator[Ordered]:
    path: DocumentPath = ("vnets", name)
    yield Ordered(CreateVnet(name, vnet.region, tuple(vnet.address_space), scope), path, ("vnet", name))
    gateway: Key = ("gateway", name)
    yield Ordered(
        CreateGateway(gateway_name(name), name, vnet.gateway, gateway_subnets(vnet), scope=scope),
        path,
        gateway,
        (("vnet", name),),
    )
    for number, connection in enumerate(vnet.connections):
        circuit = connection.circuit
        called = connection_name(name, circuit)
        if circuit in [earlier.circuit for earlier in vnet.connections[:number]]:
            # The service says what is wrong with a second connection of the two; its name is not.
            called = f"{called}-{number}"
        yield Ordered(
            LinkVnet(
                called, gateway_name(name), circuit, connection.weight, connection.fastpath, scope=scope
            ),
            (*path, "connections", number),
            needs=(gateway, ("circuit", circuit), ("peering", circuit, "private")),
        )
