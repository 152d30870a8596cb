"""Acts of others than the customer: the provider, Microsoft, the registries, and what routers report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.model import Network
from lab.model import PeeringName
from lab.service.resources import Path, Registry


@dataclass(frozen=True, slots=True)
class StartProvisioning:
    """The provider begins to build."""

    circuit: str
    notes: str = ""


@dataclass(frozen=True, slots=True)
class Provision:
    """The provider is done; its throttle is set to the circuit's bandwidth."""

    circuit: str
    notes: str = ""


@dataclass(frozen=True, slots=True)
class StartDeprovisioning:
    """The provider begins to take down."""

    circuit: str


@dataclass(frozen=True, slots=True)
class Deprovision:
    """The provider has removed its part."""

    circuit: str


@dataclass(frozen=True, slots=True)
class SetThrottle:
    """The provider polices the circuit to this rate; a raised bandwidth does not do it for him."""

    circuit: str
    mbps: int


@dataclass(frozen=True, slots=True)
class SetProviderPort:
    """What a provider's port pair at a location carries, and how often it may be sold."""

    provider: str
    location: str
    bandwidth_mbps: int
    overprovision_factor: int = 2


@dataclass(frozen=True, slots=True)
class RaiseQuota:
    """Microsoft grants a subscription more circuits."""

    subscription: str
    circuits: int
    circuits_per_region: int


@dataclass(frozen=True, slots=True)
class AuthorizeMicrosoft365:
    """Microsoft allows a subscription to use Microsoft 365 over ExpressRoute, or takes it back."""

    subscription: str
    allowed: bool = True


@dataclass(frozen=True, slots=True)
class RegisterPrefix:
    """The world's act: a routing registry names who may announce a prefix."""

    prefix: Network
    asn: int
    registry: Registry


@dataclass(frozen=True, slots=True)
class ValidatePrefixes:
    """Microsoft compares the prefixes that wait (Configuring) with the routing registries."""

    circuit: str


@dataclass(frozen=True, slots=True)
class ApprovePrefix:
    """Microsoft's support decides about a prefix by hand, by a letter of authorisation."""

    circuit: str
    prefix: Network
    approved: bool = True


@dataclass(frozen=True, slots=True)
class BeginMaintenance:
    """Microsoft works on one connection's MSEE: 12076 is prepended to its routes both ways."""

    circuit: str
    path: Path


@dataclass(frozen=True, slots=True)
class EndMaintenance:
    """The work is done."""

    circuit: str


@dataclass(frozen=True, slots=True)
class ReportPrefixes:
    """Routers tell how many prefixes the customer announces on one session."""

    circuit: str
    peering: PeeringName
    path: Path
    version: Literal[4, 6]
    count: int
