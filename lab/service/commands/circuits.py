"""Commands about circuits, their peerings, authorizations and route filters, and about Direct port pairs."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from edge.model import Network
from lab.model import PeeringName
from lab.service.resources import (
    DEFAULT_SCOPE,
    Encapsulation,
    Family,
    MacSec,
    Path,
    Registry,
    Scope,
    Switch,
    Tier,
    Writer,
)


@dataclass(frozen=True, slots=True)
class CreateCircuit:
    """Order a circuit: through a provider at a location, or on a Direct port pair, whose location it has.

    s_tag, service_key and region are the service's to choose when left out: the lowest free tag, a derived
    GUID, and the Azure region nearest to the location.
    """

    name: str
    tier: Tier
    family: Family
    bandwidth_mbps: int
    provider: str = ""
    location: str = ""
    port: str = ""
    metro: bool = False
    s_tag: int | None = None
    service_key: str = ""
    region: str = ""
    rate_limit: bool = False
    scope: Scope = DEFAULT_SCOPE


@dataclass(frozen=True, slots=True)
class ChangeBandwidth:
    """Raise a circuit's bandwidth."""

    circuit: str
    bandwidth_mbps: int


@dataclass(frozen=True, slots=True)
class ChangeSku:
    """Change a circuit's tier."""

    circuit: str
    tier: Tier


@dataclass(frozen=True, slots=True)
class ChangeFamily:
    """Change a circuit's billing."""

    circuit: str
    family: Family


@dataclass(frozen=True, slots=True)
class SetRateLimit:
    """Rate limiting of a circuit on Direct, on or off."""

    circuit: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class DeleteCircuit:
    """Delete a circuit that its provider has let go."""

    circuit: str


@dataclass(frozen=True, slots=True)
class PutPeering:
    """Write a whole peering: what was there before is replaced, but for its route filter and its state.

    v4 and v6: one /29 (/125) or two /30 (/126) for the links; empty without that family. Fields from
    `advertised_prefixes` on belong to Microsoft peerings. bfd and legacy: False and True make a peering
    as old ones are (facts 4, 3.6). by: the provider writes through its cross connection.
    """

    circuit: str
    peering: PeeringName
    vlan: int
    peer_asn: int
    v4: tuple[IPv4Network, ...] = ()
    v6: tuple[IPv6Network, ...] = ()
    shared_key: str | None = field(default=None, repr=False)
    bfd: bool = True
    advertised_prefixes: tuple[Network, ...] = ()
    customer_asn: int = 0
    registry: Registry = "NONE"
    legacy: bool = False
    by: Writer = "Customer"


@dataclass(frozen=True, slots=True)
class DisablePeering:
    """Shut both sessions of a peering; the others stay."""

    circuit: str
    peering: PeeringName


@dataclass(frozen=True, slots=True)
class EnablePeering:
    """The opposite."""

    circuit: str
    peering: PeeringName


@dataclass(frozen=True, slots=True)
class ResetPeering:
    """Disable and enable in one: sessions start anew, and an old peering gains BFD (facts 4)."""

    circuit: str
    peering: PeeringName


@dataclass(frozen=True, slots=True)
class DeletePeering:
    """Remove a peering."""

    circuit: str
    peering: PeeringName


@dataclass(frozen=True, slots=True)
class CreateAuthorization:
    """Make a key with which another subscription may link to the circuit once."""

    circuit: str
    name: str
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class RevokeAuthorization:
    """Take a key back, and with it the link made with it."""

    circuit: str
    name: str


@dataclass(frozen=True, slots=True)
class CreateRouteFilter:
    """Make a route filter. entries: names of services, or communities such as `12076:51002`."""

    name: str
    entries: tuple[str, ...] = ()
    scope: Scope = DEFAULT_SCOPE


@dataclass(frozen=True, slots=True)
class UpdateRouteFilter:
    """Replace a filter's communities, also where it is attached."""

    name: str
    entries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeleteRouteFilter:
    """Delete a filter that is attached nowhere."""

    name: str


@dataclass(frozen=True, slots=True)
class AttachFilter:
    """Attach a filter to a circuit's Microsoft peering, instead of the one that is there."""

    circuit: str
    name: str


@dataclass(frozen=True, slots=True)
class DetachFilter:
    """Take the filter away: nothing is announced any more."""

    circuit: str


@dataclass(frozen=True, slots=True)
class EnableGlobalReach:
    """Join two circuits' private peerings. authorization_key: of the peer circuit, across subscriptions."""

    name: str
    circuit: str
    peer_circuit: str
    prefix: IPv4Network
    prefix_v6: IPv6Network | None = None
    authorization_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class DisableGlobalReach:
    """Part them."""

    name: str


@dataclass(frozen=True, slots=True)
class CreatePortPair:
    """Order a Direct port pair. Both links are down until they are enabled."""

    name: str
    location: str
    bandwidth_gbps: int
    encapsulation: Encapsulation
    billing: Family = "metered"
    scope: Scope = DEFAULT_SCOPE


@dataclass(frozen=True, slots=True)
class ChangeEncapsulation:
    """What many try and nobody gets: another encapsulation of a port pair."""

    port: str
    encapsulation: Encapsulation


@dataclass(frozen=True, slots=True)
class SetLinkAdminState:
    """Enable or disable one link of a port pair."""

    port: str
    path: Path
    admin_state: Switch


@dataclass(frozen=True, slots=True)
class SetMacsec:
    """Configure MACsec on one link, or take it away with None."""

    port: str
    path: Path
    macsec: MacSec | None


@dataclass(frozen=True, slots=True)
class DeletePortPair:
    """Give a port pair without circuits back."""

    port: str
