"""Peering locations: where the MSEE pairs stand, and which regions they reach."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab.service.refusal import Refusal
from lab.service.regions import REGIONS


@dataclass(frozen=True, slots=True)
class Location:
    """A peering location. local_regions are those that a circuit of tier local reaches."""

    name: str
    area: str
    local_regions: tuple[str, ...] = ()


_TABLE: dict[str, dict[str, str]] = {
    "Europe": {
        "Amsterdam": "westeurope",
        "Amsterdam2": "westeurope",
        "Berlin": "germanynorth",
        "Copenhagen": "",
        "Dublin": "northeurope",
        "Dublin2": "northeurope",
        "Frankfurt": "germanywestcentral",
        "Frankfurt2": "germanywestcentral",
        "Geneva": "switzerlandwest",
        "London": "uksouth",
        "London2": "uksouth",
        "Marseille": "francesouth",
        "Munich": "",
        "Newport": "ukwest",
        "Oslo": "norwayeast",
        "Paris": "francecentral",
        "Paris2": "francecentral",
        "Stavanger": "norwaywest",
        "Zurich": "switzerlandnorth",
        "Zurich2": "switzerlandnorth",
    },
    "North America": {
        "Atlanta": "",
        "Chicago": "northcentralus",
        "Chicago2": "northcentralus",
        "Dallas": "",
        "Denver": "westcentralus",
        "Las Vegas": "",
        "Los Angeles": "",
        "Los Angeles2": "",
        "Miami": "",
        "Minneapolis": "",
        "Montreal": "",
        "New York": "",
        "Phoenix": "westus3",
        "Quebec City": "canadaeast",
        "Quincy": "westus2",
        "San Antonio": "southcentralus",
        "Seattle": "westus2",
        "Silicon Valley": "westus",
        "Silicon Valley2": "westus",
        "Toronto": "canadacentral",
        "Toronto2": "canadacentral",
        "Vancouver": "",
        "Washington DC": "eastus eastus2",
        "Washington DC2": "eastus eastus2",
    },
    "Asia": {
        "Bangkok": "",
        "Hong Kong": "eastasia",
        "Hong Kong2": "eastasia",
        "Singapore": "southeastasia",
        "Singapore2": "southeastasia",
    },
    "India": {
        "Chennai": "southindia",
        "Chennai2": "southindia",
        "Mumbai": "westindia",
        "Mumbai2": "westindia",
        "Pune": "centralindia",
    },
    "Japan": {"Osaka": "japanwest", "Tokyo": "japaneast", "Tokyo2": "japaneast", "Tokyo3": "japaneast"},
    "Oceania": {
        "Auckland": "newzealandnorth",
        "Melbourne": "australiasoutheast",
        "Perth": "",
        "Sydney": "australiaeast",
        "Sydney2": "australiaeast",
    },
    "Australia Government": {"Canberra": "australiacentral", "Canberra2": "australiacentral2"},
    "South Korea": {"Busan": "koreasouth", "Seoul": "koreacentral", "Seoul2": "koreacentral"},
    "UAE": {"Abu Dhabi": "uaecentral", "Dubai": "uaenorth", "Dubai2": "uaenorth"},
    "South Africa": {"Cape Town": "southafricawest", "Johannesburg": "southafricanorth"},
    "South America": {
        "Campinas": "brazilsouth",
        "Rio de Janeiro": "",
        "Santiago": "",
        "Sao Paulo": "brazilsouth",
        "Sao Paulo2": "brazilsouth",
    },
}

LOCATIONS: dict[str, Location] = {
    name: Location(name, area, tuple(regions.split()))
    for area, places in _TABLE.items()
    for name, regions in places.items()
}
"""Location by name: those whose local regions are in REGIONS (azure-docs "ExpressRoute peering locations
and connectivity partners" of 2026-04, column "Local Azure regions"; areas: include of 2024-04)."""


METRO: dict[str, str] = {"Amsterdam": "Amsterdam2", "Singapore": "Singapore2", "Zurich": "Zurich2"}
"""Cities of circuits with high resiliency: first site -> second site (facts 7, of 2024)."""


def sites(location: str, metro: bool) -> tuple[str, str]:
    """Where a circuit's primary and secondary end: one site, or the two of a Metro (facts 7).

    Raises KeyError for a Metro in a city that has none.
    """
    return (location, METRO[location]) if metro else (location, location)


def refuse_metro(location: str) -> Refusal | None:
    """Whether a location is sold with high resiliency (facts 7)."""
    if location in METRO:
        return None
    return Refusal(
        "MetroNotOffered",
        f"{location} has no second site, so a circuit there has standard resiliency",
        f"use {', '.join(METRO)}, or two circuits at two locations",
    )


def find(name: str) -> Location | None:
    """The location of that name, whatever the case and the spaces ("washington dc", "WashingtonDC")."""

    def bare(text: str) -> str:
        return re.sub(r"[\s-]+", "", text).casefold()

    return next((place for place in LOCATIONS.values() if bare(place.name) == bare(name)), None)


def refuse_local_tier(place: Location) -> Refusal | None:
    """Whether the local tier is sold at a location at all (facts 2)."""
    if place.local_regions:
        return None
    return Refusal(
        "LocalNotOffered",
        f"{place.name} has no Azure region near it, so the local tier is not sold there",
        "use tier standard",
    )


def refuse_region(tier: str, place: Location, region_code: str) -> Refusal | None:
    """Whether a circuit of `tier` at `place` reaches a VNet's region (facts 2, 10.2).

    Raises KeyError for an unknown region.
    """
    region = REGIONS[region_code]
    if tier == "premium":
        return None
    if tier == "local" and region_code not in place.local_regions:
        near = ", ".join(place.local_regions) or "no region"
        return Refusal(
            "RegionNotLocal",
            f"a circuit of tier local at {place.name} reaches {near}, not {region_code}",
            "use tier standard" if region.area == place.area else "use tier premium",
        )
    if region.area != place.area:
        return Refusal(
            "RegionOutsideArea",
            f"{region_code} is in {region.area} and {place.name} in {place.area}: "
            f"tier {tier} does not join them",
            "use tier premium",
        )
    return None
