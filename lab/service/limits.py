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
}
"""Bandwidth -> most VNets linked to a circuit: (local and standard, premium) (facts 2.2)."""

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


def customer_prefix_limit(peering: str, tier: str, version: int) -> PrefixLimit:
    """Most prefixes an MSEE takes from the customer on one session before it drops it (facts 2.2, 3.3)."""
    if peering == "microsoft":
        return PrefixLimit(MICROSOFT_PREFIXES)
    return PrefixLimit(PRIVATE_IPV4_PREFIXES[tier] if version == 4 else PRIVATE_IPV6_PREFIXES)


def gateway_prefix_limit(version: int) -> PrefixLimit:
    """Most prefixes an MSEE takes from a gateway before the connection goes down (facts 2.2, 3.3)."""
    return PrefixLimit(GATEWAY_PREFIXES[version])


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


def refuse_gateway_circuits(sku: str, locations: list[str]) -> Refusal | None:
    """Whether a gateway may join circuits at these peering locations, one entry each (facts 2.2, 10.1)."""
    size = GATEWAYS[sku]
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
