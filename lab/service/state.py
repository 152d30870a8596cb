"""The whole service at one moment, and the words for its parts. Read this first.

The service is a `State` and commands: `apply.apply(state, command)` gives `Accepted(state, events)` or
`Refusal(code, words, way_out, source)`. Nothing happens in between and nothing by itself: the provider's
work, Microsoft's validation and maintenance, and what routers count are commands of their own, because the
service has no clock. A refused command changes nothing.

    subscription --owns--> circuit --has--> peering (private, microsoft) --two links--> MSEE pair
                             |  |              |  `--microsoft only--> route filter (shared, by name)
                             |  |              `--private only--> Global Reach connection to another circuit
                             |  `--has--> authorization (key; for one connection of another subscription)
                             `--on--> provider at a location, or port pair (Direct) with two links
    virtual network <--in-- gateway --connection (weight, FastPath)--> circuit with a private peering
    virtual network --remote gateway--> a virtual network with a gateway (peering with gateway transit)

Names and ids. A resource is found by its name, unique among its kind in the lab, because nodes and devices
are named after it. `Scope` says whose it is; `azure_names.resource_id` makes the API's id of both. What has
a parent (peering, authorization) is found inside it. GUIDs (service key, authorization key) come from the
command or are derived from `serial`, so that the same commands always give the same state.

What is a field and what is derived. The table names a field of `resources`, or (derived) a function of
`views`, and the name that the API has for it (facts 12). `azure_names` has the same table as data.

    circuit      name, service_key, s_tag, tier, family     name, serviceKey, stag, sku{name,tier,family}
                 provider, location, bandwidth_mbps         serviceProviderProperties{..}, bandwidthInGbps
                 port, rate_limit                           expressRoutePort{id}, enableDirectPortRateLimit
                 provider_state                             serviceProviderProvisioningState
                 provider_notes                             serviceProviderNotes
                 (derived) resiliency, Enabled, Succeeded   resiliencyLevel, circuitProvisioningState,
                                                            provisioningState
    cross        (derived) cross_connection: what the       expressRouteCrossConnections/{serviceKey}
      connection provider sees and writes of a circuit
    peering      vlan, peer_asn, shared_key, state          vlanId, peerASN, sharedKey, state
                 v4, v6                                     primary- and secondaryPeerAddressPrefix,
                                                            the same in ipv6PeeringConfig
                 written_by, route_filter                   lastModifiedBy, routeFilter{id}
                 microsoft.prefixes, customer_asn,          microsoftPeeringConfig{customerASN, legacyMode,
                 registry, legacy                           advertisedPublicPrefixInfo, routingRegistryName}
                 (derived) prefixes_state                   advertisedPublicPrefixesState
    authorization  key, use_status, used_by                 authorizationKey, authorizationUseStatus,
                                                            connectionResourceUri
    connection   gateway, circuit, weight, fastpath         virtualNetworkGateway1, peer, routingWeight,
                                                            expressRouteGatewayBypass
                 (derived) connection_status                connectionStatus
    global reach prefix, prefix_v6                          addressPrefix, ipv6CircuitConnectionConfig
                 (derived) reach_status                     circuitConnectionStatus
    gateway      sku, units                                 sku, autoScaleConfiguration.bounds
                 allow_..., summaries                       allow..., summarizedGatewayPrefixes
    network      address_space, community                   addressSpace, bgpCommunities{..}
    port pair    bandwidth_gbps, encapsulation, links[]     bandwidthInGbps, encapsulation, links[]{
                 (derived) provisioned_mbps                 adminState, macSecConfig}, provisioned...
    route filter communities                                rules[0]{access Allow, communities}

States of a circuit (facts 2.1): Microsoft's side is Enabled from the first moment; the provider's is
NotProvisioned -> Provisioning -> Provisioned -> Deprovisioning -> NotProvisioned. Direct circuits are
Provisioned from the start. Every write here is complete when it is accepted, so provisioningState is
Succeeded; a REST face that wants to answer 201 and be polled does so in front of the state.

Where the documents are silent or disagree, `Settings` holds the choice.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from lab.model import PeeringName
from lab.service.refusal import Refusal
from lab.service.resources import (
    Circuit,
    Connection,
    Gateway,
    GlobalReach,
    Peering,
    PortPair,
    ProviderPort,
    Quota,
    Received,
    Registration,
    RouteFilter,
    VirtualNetwork,
)

K = TypeVar("K")
T = TypeVar("T")

NAMESPACE = uuid.UUID("5f1d0c0e-9f0e-5c0a-8a1e-1207612076aa")
"""Of the GUIDs that the service makes (RFC 9562, version 5)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices where the documents conflict, change with time or are silent (facts, "Open points").

    strict: private and documentation numbers are refused on Microsoft peerings.
    vnet_to_vnet: "flag" lets VNets of one circuit talk only where both gateways allow remote VNet
        traffic, as newer documents say; "always" is the older behaviour (facts 9).
    metro_only: standard resiliency is not sold where Metro is (facts 7, "in some places").
    unlisted_dscp: what an MSEE does with a DSCP that the service does not list (facts 6.1).
    private_asns: what on-premises sees of a path behind a gateway that mixes private and public numbers;
        "keep-mixed" strips only paths that are private throughout, "strip" every private number (facts 3.2).
    """

    strict: bool = False
    vnet_to_vnet: Literal["flag", "always"] = "flag"
    metro_only: bool = False
    unlisted_dscp: Literal["pass", "remark", "drop"] = "remark"
    private_asns: Literal["keep-mixed", "strip"] = "keep-mixed"


@dataclass(frozen=True, slots=True)
class State:
    """Everything that the service knows. The mappings are never changed, `put` and `drop` make new ones.

    authorized_365: subscriptions that Microsoft has authorised for Microsoft 365 (facts 3.6).
    received: the last counts of prefixes that routers reported. serial: how many GUIDs were made.
    """

    settings: Settings = Settings()
    circuits: Mapping[str, Circuit] = field(default_factory=dict)
    filters: Mapping[str, RouteFilter] = field(default_factory=dict)
    vnets: Mapping[str, VirtualNetwork] = field(default_factory=dict)
    gateways: Mapping[str, Gateway] = field(default_factory=dict)
    connections: Mapping[str, Connection] = field(default_factory=dict)
    reaches: Mapping[str, GlobalReach] = field(default_factory=dict)
    ports: Mapping[str, PortPair] = field(default_factory=dict)
    provider_ports: Mapping[str, ProviderPort] = field(default_factory=dict)
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    registrations: tuple[Registration, ...] = ()
    authorized_365: tuple[str, ...] = ()
    received: tuple[Received, ...] = ()
    serial: int = 0

    def links_of(self, circuit: str) -> tuple[Connection, ...]:
        """Connections to a circuit."""
        return tuple(one for one in self.connections.values() if one.circuit == circuit)

    def reaches_of(self, circuit: str) -> tuple[GlobalReach, ...]:
        """Global Reach connections that a circuit is an end of."""
        return tuple(one for one in self.reaches.values() if circuit in one.circuits)

    def users_of(self, circuit: str) -> list[str]:
        """Names of what hangs on a circuit's private peering: connections and Global Reach."""
        return [
            *(one.name for one in self.links_of(circuit)),
            *(one.name for one in self.reaches_of(circuit)),
        ]

    def joined_by(self, gateway: str) -> tuple[Connection, ...]:
        """Connections of a gateway."""
        return tuple(one for one in self.connections.values() if one.gateway == gateway)

    def gateway_of(self, vnet: str) -> Gateway | None:
        """The ExpressRoute gateway in a virtual network."""
        return next((one for one in self.gateways.values() if one.vnet == vnet), None)

    def spokes_of(self, hub: str) -> tuple[VirtualNetwork, ...]:
        """Virtual networks that use the gateway of another."""
        return tuple(one for one in self.vnets.values() if one.remote_gateway == hub)

    def vnets_on(self, circuit: str) -> tuple[VirtualNetwork, ...]:
        """Every virtual network that a circuit leads to, spokes included."""
        hubs = [self.vnets[self.gateways[link.gateway].vnet] for link in self.links_of(circuit)]
        return tuple(vnet for hub in hubs for vnet in (hub, *self.spokes_of(hub.name)))

    def circuits_on(self, port: str) -> tuple[Circuit, ...]:
        """Circuits on a Direct port pair."""
        return tuple(one for one in self.circuits.values() if one.port == port)

    def peerings(self) -> Iterator[tuple[Circuit, Peering]]:
        """Every peering with its circuit."""
        for circuit in self.circuits.values():
            for peering in circuit.peerings.values():
                yield circuit, peering

    def with_circuit(self, circuit: Circuit) -> State:
        """The state with a circuit added or replaced."""
        return replace(self, circuits=put(self.circuits, circuit.name, circuit))

    def with_peering(self, circuit: Circuit, peering: Peering) -> State:
        """The state with a peering of a circuit added or replaced."""
        return self.with_circuit(replace(circuit, peerings=put(circuit.peerings, peering.name, peering)))

    def guid(self, what: str) -> tuple[str, State]:
        """A GUID that no earlier one equals, and the state that remembers it was made."""
        return str(uuid.uuid5(NAMESPACE, f"{self.serial}/{what}")), replace(self, serial=self.serial + 1)


@dataclass(frozen=True, slots=True)
class Event:
    """What an accepted command did beside the plain wish: kind (one word), whose, and words for a person."""

    kind: str
    subject: str
    words: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command's yes: the new state and what happened."""

    state: State
    events: tuple[Event, ...] = ()


Outcome = Accepted | Refusal


def put(table: Mapping[K, T], name: K, value: T) -> dict[K, T]:
    """A copy of the table with an entry added, or replaced in its place."""
    return {**table, name: value}


def drop(table: Mapping[K, T], names: Iterable[K]) -> dict[K, T]:
    """A copy of the table without some entries."""
    gone = set(names)
    return {name: value for name, value in table.items() if name not in gone}


def find(table: Mapping[str, T], kind: str, name: str) -> T | Refusal:
    """An entry, or the refusal that says which there are."""
    if name in table:
        return table[name]
    there = ", ".join(table)
    return Refusal(
        "ResourceNotFound",
        f"there is no {kind} {name}",
        f"there is {there}" if there else f"create a {kind} first",
    )


def find_peering(circuit: Circuit, name: PeeringName) -> Peering | Refusal:
    """A circuit's peering, or the refusal that diagnostics and changes of a missing one get (facts 10.6)."""
    if name in circuit.peerings:
        return circuit.peerings[name]
    return Refusal(
        "PeeringNotFound",
        f"the {name} peering of circuit {circuit.name} is not found",
        "configure it first",
    )


def circuit_and_peering(state: State, circuit: str, name: PeeringName) -> tuple[Circuit, Peering] | Refusal:
    """Both that a command names, or the refusal of the first that is missing."""
    owner = find(state.circuits, "circuit", circuit)
    if isinstance(owner, Refusal):
        return owner
    peering = find_peering(owner, name)
    return peering if isinstance(peering, Refusal) else (owner, peering)
