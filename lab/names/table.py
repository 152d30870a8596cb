"""Which names belong to which service, and where the host stands that answers to them. Pure data.

Which services Microsoft peerings carry and what stays on the Internet is of the facts (8; 3.7 for
communities). They name no host names and no Azure prefixes: those here are the lab's own choice. The names
are those of the endpoint sets that Microsoft publishes for Microsoft 365 and of Azure's documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network

from edge.model import MSEE_ASN, Community, Interface, Network
from lab.service.services import FRONT_ENDS, SERVICES, Service

ZONE = "edgelab.test"
"""The lab's own domain; `test` is nobody's (RFC 6761)."""

RESOLVER, CDN, CRL = "dns", "cdn", "crl"
"""Internet hosts by what they do."""

CRL_NAME = f"{CRL}.{ZONE}"
CRL_FILE = "edgelab.crl"
CRL_URL = f"http://{CRL_NAME}/{CRL_FILE}"
"""Where certificates say that their revocation list lies: over plain HTTP, as RFC 5280 (8) wants it."""

WEST_EUROPE = 2
"""Number of Azure's region in communities (facts 3.7)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A host in Microsoft's network that stands for a service, and the names it answers to.

    A name that begins with `*.` is every name below. prefixes: what is announced for it with `communities`;
    empty where `lab.service.services` announces the prefix that the host lies in.
    """

    name: str
    title: str
    front_end: tuple[Interface, ...]
    names: tuple[str, ...]
    prefixes: tuple[Network, ...] = ()
    communities: tuple[Community, ...] = ()


@dataclass(frozen=True, slots=True)
class OnInternet:
    """An Internet host of that name in the file, and the names it answers to."""

    name: str
    title: str
    names: tuple[str, ...]


MICROSOFT_365: dict[str, tuple[str, ...]] = {
    "exchange": (
        "outlook.office365.com",
        "outlook.office.com",
        "smtp.office365.com",
        "*.protection.outlook.com",
    ),
    "sharepoint": ("*.sharepoint.com",),
    "teams": ("teams.microsoft.com", "teams.cloud.microsoft", "*.teams.microsoft.com", "*.lync.com"),
}
"""Names of the services that always have a host (`services.FRONT_ENDS`)."""

MORE: tuple[Place, ...] = (
    Place(
        "login",
        "Microsoft Entra sign-in and the Microsoft 365 portal",
        (IPv4Interface("20.190.128.11/31"),),
        ("login.microsoftonline.com", "login.microsoft.com", "login.windows.net", "portal.office.com"),
    ),
    Place(
        "storage",
        "Azure Storage in West Europe",
        (IPv4Interface("20.60.26.11/31"),),
        ("*.blob.core.windows.net", "*.file.core.windows.net", "*.queue.core.windows.net"),
        (IPv4Network("20.60.26.0/23"),),
        ((MSEE_ASN, 51000 + WEST_EUROPE), (MSEE_ASN, 52000 + WEST_EUROPE)),
    ),
    Place(
        "sql",
        "Azure SQL in West Europe",
        (IPv4Interface("52.236.184.11/31"),),
        ("*.database.windows.net",),
        (IPv4Network("52.236.184.0/24"),),
        ((MSEE_ASN, 51000 + WEST_EUROPE), (MSEE_ASN, 53000 + WEST_EUROPE)),
    ),
)
"""Hosts that a lab has for the sake of their names. Sign-in lies in the prefixes of the common and
authentication endpoints (facts 8), which 12076:5100 marks (facts 3.7)."""

INTERNET: tuple[OnInternet, ...] = (
    OnInternet(RESOLVER, "DNS", (f"{RESOLVER}.{ZONE}",)),
    OnInternet(
        CDN,
        "CDN, Front Door, Traffic Manager and what else no ExpressRoute carries",
        (
            # CDN, and the Teams client's own static content.
            "*.cdn.office.net",
            "res.cdn.office.net",
            "statics.teams.cdn.office.net",
            "*.azureedge.net",
            # Front Door, Traffic Manager, Logic Apps.
            "*.azurefd.net",
            "*.trafficmanager.net",
            "*.logic.azure.com",
            # Microsoft 365 apps' download, Intune, the legacy MFA server.
            "officecdn.microsoft.com",
            "manage.microsoft.com",
            "pfd.phonefactor.net",
        ),
    ),
    OnInternet(
        CRL,
        "certificate revocation lists",
        (CRL_NAME, "crl.microsoft.com", "mscrl.microsoft.com", "crl3.digicert.com", "ocsp.digicert.com"),
    ),
)
"""What stays on the Internet (facts 8: DNS, CRL and OCSP, CDN, and the services that are not over ER)."""

INTERNET_HOSTS = {RESOLVER: "192.0.2.53", CDN: "192.0.2.80", CRL: "192.0.2.84"}
"""Those hosts where the file says nothing of hosts (RFC 5737)."""


def front_ends(names: bool) -> tuple[Service | Place, ...]:
    """The hosts in Microsoft's network: those of services, and with names those that only names lead to."""
    return (*FRONT_ENDS, *MORE) if names else FRONT_ENDS


def names_of(front_end: Service | Place) -> tuple[str, ...]:
    """What a host in Microsoft's network is called."""
    return front_end.names if isinstance(front_end, Place) else MICROSOFT_365[front_end.name]


def announced(names: bool) -> tuple[tuple[Network, tuple[Community, ...]], ...]:
    """All prefixes of Microsoft's services and what they carry; more specific ones of `MORE` with names."""
    found: list[tuple[Network, tuple[Community, ...]]] = [
        (prefix, (service.community,)) for service in SERVICES.values() for prefix in service.prefixes
    ]
    if names:
        found += [(prefix, place.communities) for place in MORE for prefix in place.prefixes]
    return tuple(found)
