"""Commands about virtual networks, their gateways, and the connections between gateways and circuits."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.model import Community, Network
from lab.service.resources import DEFAULT_SCOPE, GatewayType, Scope


@dataclass(frozen=True, slots=True)
class CreateVnet:
    """Make a virtual network."""

    name: str
    region: str
    address_space: tuple[Network, ...]
    scope: Scope = DEFAULT_SCOPE


@dataclass(frozen=True, slots=True)
class SetAddressSpace:
    """Replace a virtual network's address space."""

    vnet: str
    address_space: tuple[Network, ...]


@dataclass(frozen=True, slots=True)
class SetVnetCommunity:
    """Give a virtual network a custom community `12076:n`, or take it away with None.

    A connection that exists keeps the community it was made with (facts 3.7).
    """

    vnet: str
    community: Community | None


@dataclass(frozen=True, slots=True)
class UseRemoteGateway:
    """Peer a virtual network to a hub and use the hub's gateway; an empty hub ends that."""

    vnet: str
    hub: str


@dataclass(frozen=True, slots=True)
class DeleteVnet:
    """Delete a virtual network without a gateway and without networks that use it as hub."""

    vnet: str


@dataclass(frozen=True, slots=True)
class CreateGateway:
    """Put an ExpressRoute gateway into a virtual network. subnets: GatewaySubnet, one per IP version."""

    name: str
    vnet: str
    sku: GatewayType
    subnets: tuple[Network, ...]
    units: int = 1
    scope: Scope = DEFAULT_SCOPE


@dataclass(frozen=True, slots=True)
class ResizeGateway:
    """Change a gateway's SKU, or its scale units."""

    gateway: str
    sku: GatewayType
    units: int = 1


@dataclass(frozen=True, slots=True)
class SetGatewayTraffic:
    """Let traffic of other VNets or of Virtual WAN in through the circuit."""

    gateway: str
    allow_remote_vnet_traffic: bool
    allow_virtual_wan_traffic: bool = False


@dataclass(frozen=True, slots=True)
class SetSummaries:
    """Announce these instead of the peered networks' prefixes inside them."""

    gateway: str
    prefixes: tuple[Network, ...]


@dataclass(frozen=True, slots=True)
class DeleteGateway:
    """Delete a gateway without connections."""

    gateway: str


@dataclass(frozen=True, slots=True)
class LinkVnet:
    """Connect a gateway to a circuit of its own subscription."""

    name: str
    gateway: str
    circuit: str
    weight: int = 0
    fastpath: bool = False
    private_link_fastpath: bool = False
    scope: Scope = DEFAULT_SCOPE


@dataclass(frozen=True, slots=True)
class Redeem:
    """Connect a gateway to another subscription's circuit with an authorization's key."""

    name: str
    gateway: str
    circuit: str
    authorization_key: str = field(repr=False)
    weight: int = 0
    fastpath: bool = False
    private_link_fastpath: bool = False
    scope: Scope = DEFAULT_SCOPE


@dataclass(frozen=True, slots=True)
class SetWeight:
    """Change a connection's routing weight."""

    connection: str
    weight: int


@dataclass(frozen=True, slots=True)
class SetFastPath:
    """Let data skip the gateway, or not; private_link also for private endpoints."""

    connection: str
    enabled: bool
    private_link: bool = False


@dataclass(frozen=True, slots=True)
class Unlink:
    """Delete a connection; the authorization it was made with is free again."""

    connection: str
