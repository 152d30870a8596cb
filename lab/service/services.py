"""Microsoft's online services: communities, prefixes, a front end to talk to; and route filters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from edge.model import MSEE_ASN, Community, Interface, Network
from lab.service.locations import Location, refuse_region
from lab.service.refusal import Refusal
from lab.service.regions import regional_community


@dataclass(frozen=True, slots=True)
class Service:
    """An online service behind Microsoft peerings.

    microsoft_365: its routes need a premium circuit. front_end: addresses of the host that stands for
    it in a lab, each the upper half of a /31 or /127 inside its prefixes; empty when it has none.
    """

    name: str
    title: str
    value: int
    microsoft_365: bool
    prefixes: tuple[Network, ...] = ()
    front_end: tuple[Interface, ...] = ()

    @property
    def community(self) -> Community:
        """What the service's routes carry."""
        return (MSEE_ASN, self.value)


def _v4(text: str) -> tuple[Network, ...]:
    return tuple(IPv4Network(prefix) for prefix in text.split())


SERVICES: dict[str, Service] = {
    service.name: service
    for service in (
        Service(
            "exchange",
            "Exchange Online",
            5010,
            True,
            _v4(
                "13.107.6.152/31 13.107.18.10/31 13.107.128.0/22 23.103.160.0/20 40.96.0.0/13 40.104.0.0/15 "
                "52.96.0.0/14 131.253.33.215/32 132.245.0.0/16 150.171.32.0/22 204.79.197.215/32 "
                "40.92.0.0/15 40.107.0.0/16 52.100.0.0/14 104.47.0.0/17"
            ),
            (IPv4Interface("40.96.0.11/31"),),
        ),
        Service(
            "sharepoint",
            "SharePoint Online and OneDrive",
            5020,
            True,
            _v4("13.107.136.0/22 40.108.128.0/17 52.104.0.0/14 104.146.128.0/17 150.171.40.0/22"),
            (IPv4Interface("52.104.0.11/31"),),
        ),
        Service(
            "teams",
            "Microsoft Teams and Skype for Business Online",
            5030,
            True,
            (*_v4("13.107.64.0/18 52.112.0.0/14 52.120.0.0/14"), IPv6Network("2603:1063::/38")),
            (IPv4Interface("52.112.0.11/31"), IPv6Interface("2603:1063::11/127")),
        ),
        Service("crm", "CRM Online", 5040, False),
        Service("global-services", "Azure Global Services", 5050, False),
        Service("entra-id", "Microsoft Entra ID", 5060, False),
        Service("resource-manager", "Azure Resource Manager", 5070, False),
        Service(
            "other-office-365",
            "Other Office 365 services",
            5100,
            True,
            _v4("20.190.128.0/18 40.126.0.0/18 52.108.0.0/14"),
        ),
        Service("defender-for-identity", "Microsoft Defender for Identity", 5220, False),
        Service("pstn", "Microsoft PSTN services", 5250, False, _v4("52.120.0.0/15")),
    )
}
"""Service by name. Communities: facts 3.7. Prefixes: facts 6.2 (Teams), 8 (the rest), 3.7 (PSTN); a
service without prefixes announces nothing in a lab, its community may still stand in a filter."""

FRONT_ENDS = tuple(service for service in SERVICES.values() if service.front_end)
"""Services that have a host to talk to."""


def parse_community(text: str) -> Community | None:
    """`12076:5030` -> (12076, 5030); None when the text is no standard community (RFC 1997)."""
    match = re.fullmatch(r"(\d{1,5}):(\d{1,5})", text, re.ASCII)
    if match is None:
        return None
    high, low = int(match[1]), int(match[2])
    return (high, low) if high <= 0xFFFF and low <= 0xFFFF else None


def service_of(community: Community) -> Service | None:
    """The service a community stands for, or None."""
    return next((service for service in SERVICES.values() if service.community == community), None)


def resolve_filter_entry(entry: str) -> Community | Refusal:
    """What a route filter's entry means: a service's name, or a community the service offers (facts 3.7)."""
    if entry in SERVICES:
        return SERVICES[entry].community
    community = parse_community(entry)
    if community is None:
        return Refusal(
            "FilterUnknown",
            f"no service is called {entry!r}",
            f"write one of {', '.join(SERVICES)}, or a community such as 12076:5030",
        )
    regional = regional_community(community)
    if regional is not None and regional[1] == "private peering":
        return Refusal(
            "FilterPrivate",
            f"{entry} marks routes of {regional[0].name} on private peerings, where no filter stands",
            f"write {MSEE_ASN}:{community[1] + 1000}",
        )
    if service_of(community) is None and regional is None:
        return Refusal(
            "FilterUnknown",
            f"Microsoft offers no community {entry}",
            "write a service's name, or a value such as 12076:5030 (Teams) or 12076:51002 (West Europe)",
        )
    return community


def resolve_filter(entries: Iterable[str]) -> tuple[Community, ...]:
    """The communities of a whole route filter, each once, in its order; what means none is left out."""
    resolved = [resolve_filter_entry(entry) for entry in entries]
    return tuple(dict.fromkeys(found for found in resolved if not isinstance(found, Refusal)))


def refuse_filter_on_tier(community: Community, tier: str, place: Location) -> Refusal | None:
    """Whether a circuit's tier may carry the routes of a community (facts 2: Microsoft 365 needs premium).

    A regional community follows the same borders as a VNet's region.
    """
    service = service_of(community)
    if service is not None:
        if service.microsoft_365 and tier != "premium":
            return Refusal(
                "FilterNeedsPremium",
                f"{service.title} needs a circuit of tier premium, not {tier}",
                "write sku: {tier: premium} or take the entry out",
            )
        return None
    regional = regional_community(community)
    return None if regional is None else refuse_region(tier, place, regional[0].code)
