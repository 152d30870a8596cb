"""The resources of the service as frozen dataclasses; `state` explains how they hang together.

Only what somebody wrote or the service decided once is a field. What follows from other fields (a
connection's status, a port pair's sold bandwidth, the provider's view of a circuit) is derived by
`views`, so that no two fields can disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Literal

from edge.model import Community, Network
from lab.model import ConnectionName, PeeringName

Path = ConnectionName
"""One of a circuit's two connections; `path` as in the API, where "connection" is a VNet's link."""

PATHS: tuple[Path, Path] = ("primary", "secondary")

Tier = Literal["local", "standard", "premium"]
Family = Literal["metered", "unlimited"]
Switch = Literal["Enabled", "Disabled"]
Writer = Literal["Customer", "Provider"]
ProviderState = Literal["NotProvisioned", "Provisioning", "Provisioned", "Deprovisioning"]
Encapsulation = Literal["Dot1Q", "QinQ"]
Cipher = Literal["GcmAes128", "GcmAes256", "GcmAesXpn128", "GcmAesXpn256"]
Registry = Literal["NONE", "ARIN", "APNIC", "AFRINIC", "LACNIC", "RIPENCC", "RADB", "ALTDB"]
Validation = Literal[
    "NotConfigured",
    "Configuring",
    "Configured",
    "ValidationNeeded",
    "ValidationFailed",
    "ManualValidationNeeded",
    "AsnValidationFailed",
    "CertificateMissingInRoutingRegistry",
    "InvalidSignatureEncoding",
    "SignatureVerificationFailed",
]
"""`validationState` of an advertised prefix; the last three belong to proofs by signature (facts 3.4)."""

GatewayType = Literal[
    "Standard", "HighPerformance", "UltraPerformance", "ErGw1AZ", "ErGw2AZ", "ErGw3AZ", "ErGwScale"
]


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose a resource is: subscription (quotas and authorizations go by it) and resource group."""

    subscription: str = "lab"
    resource_group: str = "lab"


DEFAULT_SCOPE = Scope()
"""Where a resource is when nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class AdvertisedPrefix:
    """A public prefix the customer says it will announce, and how far Microsoft believes it (facts 3.4)."""

    prefix: Network
    validation: Validation = "Configuring"


@dataclass(frozen=True, slots=True)
class MicrosoftConfig:
    """What only a Microsoft peering has (facts 3.4, 3.6).

    customer_asn: under which the prefixes are registered when it is not the peer's; 0 for none.
    legacy: as configured before 2017-08-01, when everything was announced without a filter.
    """

    prefixes: tuple[AdvertisedPrefix, ...] = ()
    customer_asn: int = 0
    registry: Registry = "NONE"
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Peering:
    """A routing domain of a circuit: one VLAN, two links, one or two address families (facts 3).

    v4 and v6: the subnets of primary and secondary link, None without that family. bfd: the MSEE runs
    BFD; False on a peering of before 2018-08 until it is reset (facts 4). written_by: who set it last.
    """

    name: PeeringName
    vlan: int
    peer_asn: int
    v4: tuple[IPv4Network, IPv4Network] | None
    v6: tuple[IPv6Network, IPv6Network] | None = None
    shared_key: str | None = field(default=None, repr=False)
    state: Switch = "Enabled"
    bfd: bool = True
    written_by: Writer = "Customer"
    microsoft: MicrosoftConfig | None = None
    route_filter: str = ""

    def links(self, version: int) -> tuple[Network, ...]:
        """Subnets of an IP version: primary, secondary; empty when the peering has not that family."""
        return (self.v4 or ()) if version == 4 else (self.v6 or ())

    @property
    def subnets(self) -> tuple[Network, ...]:
        """Subnets of all links as a person writes them: two halves of a /29 or /125 are that."""
        return (*collapse_addresses(self.v4 or ()), *collapse_addresses(self.v6 or ()))

    @property
    def versions(self) -> tuple[int, ...]:
        """IP versions that the peering carries."""
        return tuple(version for version in (4, 6) if self.links(version))


@dataclass(frozen=True, slots=True)
class Authorization:
    """A key with which another subscription may link once (facts 10.2).

    used_by: the name of the connection or Global Reach connection made with it; empty while Available.
    """

    name: str
    key: str = field(repr=False)
    used_by: str = ""

    @property
    def use_status(self) -> Literal["Available", "InUse"]:
        """`authorizationUseStatus`."""
        return "InUse" if self.used_by else "Available"


@dataclass(frozen=True, slots=True)
class Circuit:
    """An ExpressRoute circuit (facts 2). It is a provider's (provider) or on a Direct port pair (port).

    s_tag never changes. throttle_mbps: what the provider polices to, which a change of bandwidth does
    not touch; 0 while it was never provisioned, and on Direct. rate_limit: Direct only (facts 10.4).
    metro: the two links end in two sites. maintenance: the connection that Microsoft works on.
    """

    name: str
    scope: Scope
    location: str
    region: str
    tier: Tier
    family: Family
    bandwidth_mbps: int
    service_key: str
    s_tag: int
    provider: str = ""
    port: str = ""
    provider_state: ProviderState = "NotProvisioned"
    provider_notes: str = ""
    throttle_mbps: int = 0
    rate_limit: bool = False
    metro: bool = False
    maintenance: Path | Literal[""] = ""
    peerings: Mapping[PeeringName, Peering] = field(default_factory=dict)
    authorizations: Mapping[str, Authorization] = field(default_factory=dict)

    @property
    def direct(self) -> bool:
        """Whether it is a circuit on the customer's own port pair."""
        return bool(self.port)

    @property
    def provisioned(self) -> bool:
        """Whether the provider is done, so that peerings may be made (facts 2.1)."""
        return self.provider_state == "Provisioned"


@dataclass(frozen=True, slots=True)
class RouteFilter:
    """One Allow rule: communities whose routes Microsoft announces (facts 3.6)."""

    name: str
    scope: Scope
    communities: tuple[Community, ...] = ()


@dataclass(frozen=True, slots=True)
class VirtualNetwork:
    """A virtual network (facts 3.7, 10.1).

    community: the custom one, None without. remote_gateway: the hub whose gateway it uses, empty for none.
    """

    name: str
    scope: Scope
    region: str
    address_space: tuple[Network, ...]
    community: Community | None = None
    remote_gateway: str = ""


@dataclass(frozen=True, slots=True)
class Gateway:
    """An ExpressRoute gateway of a virtual network (facts 10.1).

    units: scale units, ErGwScale only. summaries: `summarizedGatewayPrefixes`, which stand for the
    peered networks' prefixes inside them (facts 2.2). The two flags let routes of other VNets in (9).
    """

    name: str
    scope: Scope
    vnet: str
    sku: GatewayType
    subnets: tuple[Network, ...]
    units: int = 1
    summaries: tuple[Network, ...] = ()
    allow_remote_vnet_traffic: bool = False
    allow_virtual_wan_traffic: bool = False

    @property
    def dual_stack(self) -> bool:
        """Whether its GatewaySubnet has IPv6 (facts 3.5)."""
        return any(subnet.version == 6 for subnet in self.subnets)


@dataclass(frozen=True, slots=True)
class Connection:
    """A gateway's link to a circuit (facts 10.2).

    authorization: the name of the one it was made with, empty inside the subscription. community: the
    VNet's custom community of the day the connection was made, which is the one in effect (3.7). slot: its
    place in the GatewaySubnet (`gateway_subnet`), which it keeps.
    """

    name: str
    scope: Scope
    gateway: str
    circuit: str
    weight: int = 0
    fastpath: bool = False
    private_link_fastpath: bool = False
    authorization: str = ""
    community: Community | None = None
    slot: int = 0


@dataclass(frozen=True, slots=True)
class GlobalReach:
    """Two circuits' private peerings joined (facts 10.3): made on `circuit`, towards `peer_circuit`."""

    name: str
    circuit: str
    peer_circuit: str
    prefix: IPv4Network
    prefix_v6: IPv6Network | None = None
    authorization: str = ""

    @property
    def circuits(self) -> tuple[str, str]:
        """Both ends."""
        return (self.circuit, self.peer_circuit)

    @property
    def prefixes(self) -> tuple[Network, ...]:
        """The tunnel's prefixes."""
        return (self.prefix,) if self.prefix_v6 is None else (self.prefix, self.prefix_v6)


@dataclass(frozen=True, slots=True)
class MacSec:
    """MACsec of a Direct link (facts 9): names of the secrets in a key vault, never the secrets."""

    ckn: str
    cak: str
    cipher: Cipher = "GcmAes128"
    sci: Switch = "Disabled"


@dataclass(frozen=True, slots=True)
class PortLink:
    """One of the two ports of a pair; down until the customer enables it (facts 1.3)."""

    path: Path
    admin_state: Switch = "Disabled"
    macsec: MacSec | None = None


@dataclass(frozen=True, slots=True)
class PortPair:
    """An ExpressRoute Direct port pair (facts 1.3). encapsulation never changes."""

    name: str
    scope: Scope
    location: str
    bandwidth_gbps: int
    encapsulation: Encapsulation
    billing: Family = "metered"
    links: tuple[PortLink, PortLink] = (PortLink("primary"), PortLink("secondary"))

    def link(self, path: Path) -> PortLink:
        """One of its links."""
        return self.links[PATHS.index(path)]


@dataclass(frozen=True, slots=True)
class ProviderPort:
    """A provider's port pair to Microsoft at a location: how much may be sold over it (facts 2)."""

    name: str
    provider: str
    location: str
    bandwidth_mbps: int
    overprovision_factor: int = 2


@dataclass(frozen=True, slots=True)
class Registration:
    """An entry of a routing registry: who may announce a prefix (facts 3.4)."""

    prefix: Network
    asn: int
    registry: Registry


@dataclass(frozen=True, slots=True)
class Quota:
    """How many circuits a subscription may have, in all and in one region (facts 2.2)."""

    circuits: int
    circuits_per_region: int


@dataclass(frozen=True, slots=True)
class Received:
    """How many prefixes the customer announces on one session, as the routers last told."""

    circuit: str
    peering: PeeringName
    path: Path
    version: Literal[4, 6]
    count: int
