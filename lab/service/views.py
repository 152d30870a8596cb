"""What follows from a state: the API's read-only values, and the sums that rules need. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.model import Community, Network
from lab.service.limits import GATEWAY_PREFIXES
from lab.service.locations import sites
from lab.service.prefixes import inside
from lab.service.regions import REGIONS
from lab.service.resources import (
    Circuit,
    Connection,
    Gateway,
    GlobalReach,
    Peering,
    ProviderState,
    Validation,
    VirtualNetwork,
)
from lab.service.state import State

PrefixesState = Literal["NotConfigured", "Configuring", "Configured", "ValidationNeeded"]
WAITING: tuple[Validation, ...] = ("NotConfigured", "Configuring")


@dataclass(frozen=True, slots=True)
class CrossConnection:
    """The provider's view of a circuit (facts 12): all read-only but provider_state, notes and peerings."""

    name: str
    primary_azure_port: str
    secondary_azure_port: str
    s_tag: int
    location: str
    bandwidth_mbps: int
    provider_state: ProviderState
    provider_notes: str
    throttle_mbps: int
    peerings: tuple[Peering, ...]


def cross_connection(circuit: Circuit) -> CrossConnection:
    """The cross connection of a provider circuit; its name is the service key."""
    first, second = azure_ports(circuit)
    return CrossConnection(
        circuit.service_key,
        first,
        second,
        circuit.s_tag,
        circuit.location,
        circuit.bandwidth_mbps,
        circuit.provider_state,
        circuit.provider_notes,
        circuit.throttle_mbps,
        tuple(circuit.peerings.values()),
    )


def azure_ports(circuit: Circuit) -> tuple[str, str]:
    """Names of the MSEE ports that its links end on: by provider or port pair, and site."""
    owner = (circuit.port or circuit.provider).replace(" ", "-")
    first, second = (site.replace(" ", "-") for site in sites(circuit.location, circuit.metro))
    return f"{owner}-{first}-PRI".upper(), f"{owner}-{second}-SEC".upper()


def peering_location(circuit: Circuit) -> str:
    """`peeringLocation`: that of a Metro circuit is named after the city (facts 7)."""
    return f"{circuit.location} Metro" if circuit.metro else circuit.location


def resiliency(state: State, circuit: Circuit) -> Literal["Standard", "High", "Maximum"]:
    """`resiliencyLevel`: Maximum when all its gateways also join another location, High for Metro (7)."""
    links = state.links_of(circuit.name)
    places = [
        {state.circuits[one.circuit].location for one in state.joined_by(link.gateway)} for link in links
    ]
    if places and all(len(found) > 1 for found in places):
        return "Maximum"
    return "High" if circuit.metro else "Standard"


def provisioned_mbps(state: State, port: str) -> int:
    """Sum of the bandwidths of a port pair's circuits (facts 1.3)."""
    return sum(circuit.bandwidth_mbps for circuit in state.circuits_on(port))


def link_count(state: State, circuit: str) -> int:
    """What counts against the limit of VNet links: connections and Global Reach (facts 2.2)."""
    return len(state.links_of(circuit)) + len(state.reaches_of(circuit))


def effective_mbps(circuit: Circuit) -> int:
    """What passes on one link and direction: the bandwidth, or less where the provider's throttle is low."""
    return (
        min(circuit.bandwidth_mbps, circuit.throttle_mbps)
        if circuit.throttle_mbps
        else circuit.bandwidth_mbps
    )


def prefixes_state(peering: Peering) -> PrefixesState:
    """`advertisedPublicPrefixesState` of a Microsoft peering (facts 3.4)."""
    found = [one.validation for one in peering.microsoft.prefixes] if peering.microsoft else []
    if not found:
        return "NotConfigured"
    if all(one == "Configured" for one in found):
        return "Configured"
    return "Configuring" if all(one in (*WAITING, "Configured") for one in found) else "ValidationNeeded"


def gateway_prefixes(state: State, gateway: Gateway) -> tuple[Network, ...]:
    """What a gateway announces: whole address spaces of its VNet and the peered ones (facts 3.3).

    A summary stands for the peered networks' prefixes that lie inside it (facts 2.2); one that covers
    nothing is not announced.
    """
    hub = state.vnets[gateway.vnet]
    spokes = [prefix for spoke in state.spokes_of(hub.name) for prefix in spoke.address_space]
    used = [summary for summary in gateway.summaries if any(inside(one, summary) for one in spokes)]
    left = [one for one in spokes if not any(inside(one, summary) for summary in used)]
    return tuple(dict.fromkeys((*hub.address_space, *used, *left)))


def not_connected(state: State, connection: Connection) -> str:
    """Why a connection is not connected, in words; empty when it is (facts 3.3, 10.2)."""
    circuit = state.circuits[connection.circuit]
    peering = circuit.peerings.get("private")
    if not circuit.provisioned:
        return f"circuit {circuit.name} is {circuit.provider_state}"
    if peering is None:
        return f"circuit {circuit.name} has no private peering"
    if peering.state == "Disabled":
        return f"the private peering of circuit {circuit.name} is disabled"
    announced = gateway_prefixes(state, state.gateways[connection.gateway])
    for version, most in GATEWAY_PREFIXES.items():
        count = sum(prefix.version == version for prefix in announced)
        if count > most:
            return (
                f"gateway {connection.gateway} announces {count} IPv{version} prefixes, at most {most} pass"
            )
    return ""


def connection_status(state: State, connection: Connection) -> Literal["Connected", "NotConnected"]:
    """`connectionStatus`."""
    return "NotConnected" if not_connected(state, connection) else "Connected"


def reach_status(state: State, reach: GlobalReach) -> Literal["Connected", "Disconnected"]:
    """`circuitConnectionStatus`: connected when both private peerings work (facts 10.3)."""
    ends = [state.circuits[name] for name in reach.circuits]
    good = all(
        end.provisioned and "private" in end.peerings and end.peerings["private"].state == "Enabled"
        for end in ends
    )
    return "Connected" if good else "Disconnected"


def reach_mbps(state: State, reach: GlobalReach) -> int:
    """What two joined circuits carry between them: the smaller one's rate (facts 10.3)."""
    return min(effective_mbps(state.circuits[name]) for name in reach.circuits)


def vnet_communities(vnet: VirtualNetwork, connection: Connection) -> tuple[Community, ...]:
    """What a VNet's routes carry over a connection: the custom community and the region's (facts 3.7).

    The regional one shows only beside a custom one; the custom one is that of the day the connection was
    made. About networks behind the hub the documents are silent: their routes carry none.
    """
    if connection.community is None:
        return ()
    return (connection.community, REGIONS[vnet.region].community(50))
