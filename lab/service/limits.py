"""Limits of circuits and gateways, as tables."""

from __future__ import annotations

from dataclasses import dataclass

from edge.model import PrefixLimit
from lab.service.refusal import Refusal

TIERS = ("local", "standard", "premium")
FAMILIES = ("metered", "unlimited")

PRIVATE_IPV4_PREFIXES: dict[str, int] = {"local": 4_000, "standard": 4_000, "premium": 10_000}
"""Most IPv4 prefixes a customer may announce on a private peering, by tier (facts 2.2)."""

PRIVATE_IPV6_PREFIXES = 100
"""The same for IPv6, every tier (facts 2.2)."""

MICROSOFT_PREFIXES = 200
"""Most prefixes per session of a Microsoft peering, either family (facts 2.2)."""

GATEWAY_PREFIXES: dict[int, int] = {4: 1_000, 6: 100}
"""Most prefixes a gateway may announce to a circuit, by IP version (facts 2.2)."""

VNET_LINKS: dict[str, tuple[int, int]] = {
    "50M": (10, 20),
    "100M": (10, 25),
    "200M": (10, 25),
    "500M": (10, 40),
    "1G": (10, 50),
    "2G": (10, 60),
    "5G": (10, 75),
    "10G": (10, 100),
    "40G": (10, 100),
    "100G": (10, 100),
    "200G": (10, 100),
    "400G": (10, 100),
}
"""Bandwidth -> most VNets linked to a circuit: (local and standard, premium) (facts 2.2; 200G and 400G stand
in no table yet, they have the largest number that does)."""

CONNECTION_FIRST_PREFIXES = 200
"""Most prefixes of a VNet and its peers when a connection is created (facts 2.2)."""

PEERED_VNETS = 500
"""Most VNets peered to one that has a gateway (facts 10.1)."""

MAX_WEIGHT = 32_000
"""Largest routing weight of a connection (facts 4)."""

FASTPATH_ADDRESSES: dict[str, int] = {"provider": 25_000, "10G": 100_000, "100G": 200_000, "400G": 200_000}
"""Most IP addresses on FastPath: through a provider, or by speed of the Direct port (facts 2.2; 400G
stands in no table yet)."""

CIRCUITS_PER_SUBSCRIPTION, CIRCUITS_PER_REGION = 50, 10
"""Most circuits of one subscription, in all and in one region, before a quota is raised (facts 2.2)."""

WARNING_SHARE = 0.75
"""Share of a prefix limit from which a session is reported (facts, "Open points")."""

SAME_LOCATION_CIRCUITS = 4
"""Most circuits of one peering location that one VNet may join (facts 2.2)."""


@dataclass(frozen=True, slots=True)
class GatewaySku:
    """What a virtual network gateway's size gives (facts 10.1).

    rate_bps and packets_per_s are not burstable; learned_routes is the total over all circuits.
    """

    name: str
    rate_bps: int
    packets_per_s: int
    flows: int
    learned_routes: int
    circuits: int
    fastpath: bool


GATEWAYS: dict[str, GatewaySku] = {
    sku.name: sku
    for sku in (
        GatewaySku("Standard", 1_000_000_000, 100_000, 200_000, 4_000, 4, False),
        GatewaySku("HighPerformance", 2_000_000_000, 200_000, 400_000, 9_500, 8, False),
        GatewaySku("UltraPerformance", 10_000_000_000, 1_000_000, 1_000_000, 9_500, 16, True),
        GatewaySku("ErGw1AZ", 1_000_000_000, 100_000, 200_000, 4_000, 4, False),
        GatewaySku("ErGw2AZ", 2_000_000_000, 200_000, 400_000, 9_500, 8, False),
        GatewaySku("ErGw3AZ", 10_000_000_000, 1_000_000, 1_000_000, 9_500, 16, True),
    )
}
"""Gateway SKU by name (facts 10.1)."""

SCALE_UNITS = range(1, 41)
"""Units of an ErGwScale gateway (facts 10.1)."""

SCALE_FASTPATH_UNITS = 10
"""Units from which ErGwScale offers FastPath; the facts leave the cell empty, so this is our choice."""


def scale_gateway(units: int) -> GatewaySku:
    """What `units` of ErGwScale give (facts 10.1); its number of circuits is the largest that others have."""
    return GatewaySku(
        "ErGwScale",
        units * 1_000_000_000,
        sum(200_000 if unit >= 11 else 100_000 for unit in range(1, units + 1)),
        units * 100_000,
        9_500,
        16,
        units >= SCALE_FASTPATH_UNITS,
    )


def gateway_size(sku: str, units: int = 1) -> GatewaySku:
    """The size of any gateway. Raises KeyError for an unknown SKU."""
    return scale_gateway(units) if sku == "ErGwScale" else GATEWAYS[sku]


def customer_prefix_limit(peering: str, tier: str, version: int) -> PrefixLimit:
    """Most prefixes an MSEE takes from the customer on one session before it drops it (facts 2.2, 3.3)."""
    if peering == "microsoft":
        return PrefixLimit(MICROSOFT_PREFIXES)
    return PrefixLimit(PRIVATE_IPV4_PREFIXES[tier] if version == 4 else PRIVATE_IPV6_PREFIXES)


def gateway_prefix_limit(version: int) -> PrefixLimit:
    """Most prefixes an MSEE takes from a gateway before the connection goes down (facts 2.2, 3.3)."""
    return PrefixLimit(GATEWAY_PREFIXES[version])


def refuse_sku_change(old: str, new: str, family: str) -> Refusal | None:
    """Whether a circuit of one tier may become one of another (facts 2: allowed changes)."""
    if new == old:
        return None
    if new == "local":
        return Refusal("SkuToLocal", f"tier {old} cannot become local", "order a new circuit of tier local")
    return None if old != "local" else refuse_sku(old, family)


def refuse_family_change(old: str, new: str) -> Refusal | None:
    """Metered billing may become unlimited, never the other way (facts 2)."""
    if (old, new) == ("unlimited", "metered"):
        return Refusal(
            "FamilyToMetered",
            "unlimited billing cannot become metered",
            "order a new circuit with metered billing",
        )
    return None


def vnet_link_limit(bandwidth: str, tier: str) -> int:
    """How many VNets a circuit may be linked to. Raises KeyError for a bandwidth not on offer."""
    plain, premium = VNET_LINKS[bandwidth]
    return premium if tier == "premium" else plain


def refuse_sku(tier: str, family: str) -> Refusal | None:
    """Local includes its egress in the price, so it is sold unlimited only (facts 2)."""
    if tier == "local" and family == "metered":
        return Refusal(
            "SkuLocalMetered",
            "the local tier has no metered billing",
            "write sku: {tier: local, family: unlimited}",
        )
    return None


def refuse_vnet_links(links: int, bandwidth: str, tier: str) -> Refusal | None:
    """Whether a circuit may be linked to `links` VNets (facts 2.2)."""
    most = vnet_link_limit(bandwidth, tier)
    if links <= most:
        return None
    premium = vnet_link_limit(bandwidth, "premium")
    return Refusal(
        "VnetLinks",
        f"a {bandwidth} circuit of tier {tier} takes {most} VNets, not {links}",
        f"take tier premium ({premium})"
        if tier != "premium" and links <= premium
        else "take a second circuit",
    )


def refuse_gateway_circuits(sku: str, locations: list[str], units: int = 1) -> Refusal | None:
    """Whether a gateway may join circuits at these peering locations, one entry each (facts 2.2, 10.1)."""
    size = gateway_size(sku, units)
    for location in dict.fromkeys(locations):
        if locations.count(location) > SAME_LOCATION_CIRCUITS:
            return Refusal(
                "GatewaySameLocation",
                f"a VNet joins at most {SAME_LOCATION_CIRCUITS} circuits of one peering location and "
                f"{locations.count(location)} are at {location}",
                "move a circuit to another location",
            )
    if len(locations) > size.circuits:
        larger = [g.name for g in GATEWAYS.values() if g.circuits >= len(locations)]
        return Refusal(
            "GatewayCircuits",
            f"a {sku} gateway joins at most {size.circuits} circuits, not {len(locations)}",
            f"use {larger[-1]}" if larger else "spread the circuits over several VNets",
        )
    return None
