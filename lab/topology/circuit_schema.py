"""What the file may say about a circuit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from edge.model import Network
from lab.service import asn, limits, locations, peerings, prefixes, services
from lab.service.refusal import Refusal
from lab.topology.part import Part, is_strict
from lab.topology.qos_schema import CircuitQos
from lab.topology.values import (
    Bandwidth,
    Ethertype,
    InterfacePrefix,
    LocationName,
    Name,
    OneOrMany,
    Prefix,
    ProviderName,
    VlanId,
    refuse,
    refuse_if,
)

CUSTOMER_ASN = 65001
"""AS number of a customer's edges towards a provider that manages Layer 3, when nobody says another."""


class Sku(Part):
    """What was bought."""

    tier: Literal["local", "standard", "premium"] = Field(
        description="Regions within reach: local the nearest, standard the geopolitical area, premium all."
    )
    family: Literal["metered", "unlimited"] = Field(
        default="metered", description="Billing of outbound data."
    )

    @model_validator(mode="after")
    def _sold(self) -> Sku:
        refuse_if(limits.refuse_sku(self.tier, self.family))
        return self


class Handoff(Part):
    """How frames are tagged on the wire between the customer's edge and the provider."""

    encapsulation: Literal["qinq", "dot1q"] = Field(
        default="qinq",
        description="qinq: S-tag and C-tag. dot1q: the C-tag alone, the provider adds the S-tag.",
    )
    s_tag: VlanId | None = Field(
        default=None, description="Outer tag of the circuit, 1-4094; derived from its name when left out."
    )
    outer_ethertype: Ethertype | None = Field(
        default=None, description="Ethertype of the S-tag on the customer's wire (default 0x8100)."
    )
    evc_tags: Annotated[list[VlanId], Field(min_length=2, max_length=2)] | None = Field(
        default=None,
        description="point-to-point: outer tags of the primary and the secondary virtual circuit on the "
        "customer's line; the S-tag and the next one when left out.",
        examples=[[101, 102]],
    )


class Ipv6(Part):
    """IPv6 on a peering: the same subinterface, sessions of its own."""

    subnet: Annotated[list[InterfacePrefix], OneOrMany(), Field(min_length=1, max_length=2)] = Field(
        description="One /125, split in two, or a list of two /126: primary, secondary.",
        examples=["fd00:15::/125"],
    )

    @field_validator("subnet")
    @classmethod
    def _link_subnets(cls, value: list[Network]) -> list[Network]:
        refuse_if(peerings.refuse_link_subnets(value, 6))
        return value


class Timers(Part):
    """The customer's BGP timers in seconds; the lower hold time of both ends is used."""

    keepalive: int = Field(default=60, ge=1, description="Seconds between keepalives, at least 3.")
    hold: int = Field(default=180, ge=1, description="Seconds of silence that end a session, at least 10.")

    @model_validator(mode="after")
    def _supported(self) -> Timers:
        refuse_if(peerings.refuse_timers(self.keepalive, self.hold))
        return self


class PrivatePeering(Part):
    """Private peering: the way to virtual networks."""

    vlan: VlanId = Field(description="C-tag of the peering, 1-4094, unique in the circuit.", examples=[100])
    peer_asn: int = Field(description="The customer's AS number.", examples=[65010])
    subnet: Annotated[list[InterfacePrefix], OneOrMany(), Field(min_length=1, max_length=2)] = Field(
        description="IPv4 of the links: one /29, split in two, or a list of two /30: primary, secondary.",
        examples=["192.168.15.0/29"],
    )
    ipv6: Ipv6 | None = Field(default=None, description="Gives the peering IPv6 as well.")
    shared_key: str | None = Field(
        default=None,
        description="MD5 key of the sessions: letters and digits, at most 25.",
        examples=["s3cret"],
    )
    bfd: bool = Field(default=True, description="BFD at 300 ms x 3 beside BGP.")
    timers: Timers = Field(default_factory=Timers, description="BGP timers of the customer's side.")

    @field_validator("peer_asn")
    @classmethod
    def _asn(cls, value: int, info: ValidationInfo) -> int:
        refuse_if(asn.refuse_peer_asn(value, "private", is_strict(info)))
        return value

    @field_validator("subnet")
    @classmethod
    def _link_subnets(cls, value: list[Network]) -> list[Network]:
        refuse_if(peerings.refuse_link_subnets(value, 4))
        return value

    @field_validator("shared_key")
    @classmethod
    def _key(cls, value: str | None) -> str | None:
        refuse_if(None if value is None else peerings.refuse_shared_key(value))
        return value


def _public(value: Network, info: ValidationInfo) -> Network:
    refuse_if(prefixes.refuse_public(value, is_strict(info)))
    return value


def _offered(value: str) -> str:
    resolved = services.resolve_filter_entry(value)
    refuse_if(resolved if isinstance(resolved, Refusal) else None)
    return value


PublicPrefix = Annotated[Prefix, AfterValidator(_public)]


class MicrosoftPeering(PrivatePeering):
    """Microsoft peering: the way to Microsoft 365 and to public addresses of Azure."""

    peer_asn: int = Field(description="The customer's AS number, public in production.", examples=[64496])
    subnet: Annotated[list[PublicPrefix], OneOrMany(), Field(min_length=1, max_length=2)] = Field(
        description="Public IPv4 of the links: one /29, split in two, or a list of two /30.",
        examples=["198.51.100.0/29"],
    )
    advertised_public_prefixes: Annotated[list[PublicPrefix], OneOrMany(), Field(min_length=1)] = Field(
        description="All that the customer announces here. The first IPv4 prefix is the NAT pool, half of it "
        "for each link; only sources in this list may enter.",
        examples=[["203.0.113.0/28"]],
    )
    nat: Literal["per-link", "common"] = Field(
        default="per-link",
        description="per-link: a half of the pool for each link, translated where the link begins. common: "
        "one pool before the links part, which one edge with both connections can do.",
    )
    route_filter: list[Annotated[str, AfterValidator(_offered)]] = Field(
        default_factory=list,
        description="Services whose routes Microsoft announces: names or communities; none without a filter.",
        examples=[["teams", "exchange", "12076:5020"]],
    )

    @field_validator("peer_asn")
    @classmethod
    def _asn(cls, value: int, info: ValidationInfo) -> int:
        refuse_if(asn.refuse_peer_asn(value, "microsoft", is_strict(info)))
        return value


class Peerings(Part):
    """The circuit's routing domains, one at least."""

    private: PrivatePeering | None = Field(default=None, description="To virtual networks.")
    microsoft: MicrosoftPeering | None = Field(default=None, description="To Microsoft 365 and public Azure.")

    @model_validator(mode="after")
    def _one_at_least(self) -> Peerings:
        if self.private is None and self.microsoft is None:
            refuse("there is no peering", "add `private:` or `microsoft:`")
        return self


class Circuit(Part):
    """An ExpressRoute circuit: two connections through one provider to a pair of MSEEs."""

    model: Literal["cloud-exchange", "point-to-point", "any-to-any", "direct"] = Field(
        default="cloud-exchange",
        description="Connectivity model. point-to-point: a site's only edge has one line, on which the outer "
        "tag tells both connections apart. any-to-any: an IPVPN, the provider's core joins any number of "
        "sites, and Microsoft's edge is one more branch. direct: the edges are wired to a port pair.",
    )
    managed: Literal["layer2", "layer3"] = Field(
        default="layer2",
        description="layer2: the customer's edge speaks BGP with Microsoft. layer3: a pair of the provider's "
        "routers does, and passes routes on to the edges. any-to-any: always layer3.",
    )
    customer_asn: int | None = Field(
        default=None,
        description="layer3: AS number of the customer's edges towards the provider's routers, which have "
        f"peer_asn ({CUSTOMER_ASN} when left out).",
        examples=[65001],
    )
    provider: ProviderName | None = Field(
        default=None,
        description="Connectivity provider; names the node between edge and MSEE. None with model direct.",
    )
    location: LocationName | None = Field(
        default=None,
        description="Peering location, where the MSEEs stand; model direct has that of its port pair.",
    )
    metro: bool = Field(
        default=False,
        description="High resiliency: the secondary connection ends in the city's second site "
        f"({', '.join(f'{one} and {two}' for one, two in locations.METRO.items())}).",
    )
    port: Name | None = Field(
        default=None, description="The port pair that carries a circuit of model direct.", examples=["pair1"]
    )
    rate_limit: bool = Field(
        default=False,
        description="direct: the MSEE's ports clamp what exceeds the bandwidth by more than 20 % to the "
        "bandwidth; without it a circuit is as fast as the ports.",
    )
    sku: Sku = Field(description="Tier and billing.")
    bandwidth: Bandwidth = Field(
        description="Per direction and connection; the provider polices it, and a port pair where asked to."
    )
    fastpath_addresses: int | None = Field(
        default=None,
        ge=0,
        description="Most addresses of machines on FastPath; the service's own limit (25,000 by a provider) "
        "when left out. Further ones are served by the gateway.",
    )
    handoff: Handoff = Field(default_factory=Handoff, description="Tags on the customer's wire.")
    link_loss_forwarding: bool = Field(
        default=False,
        description="The provider passes loss of carrier on to the other end of each connection, as carriers "
        "do on point-to-point Ethernet. A port that several circuits share is never taken down: that end "
        "learns of the loss by BFD. Direct has no provider between and needs none.",
    )
    peerings: Peerings = Field(description="private and/or microsoft.")
    qos: CircuitQos = Field(
        default_factory=CircuitQos, description="What Microsoft's edge does with marks and queues."
    )

    @model_validator(mode="before")
    @classmethod
    def _managed_vpn(cls, value: object) -> object:
        """An any-to-any circuit that does not say who speaks BGP is the provider's (facts 1.1)."""
        if isinstance(value, dict) and value.get("model") == "any-to-any" and "managed" not in value:
            return {**value, "managed": "layer3"}
        return value

    @field_validator("customer_asn")
    @classmethod
    def _speaks(cls, value: int | None) -> int | None:
        if value is not None:
            refuse_if(asn.refuse_peer_asn(value, "private", strict=False))
        return value
