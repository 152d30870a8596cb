"""A site's Internet edge: translates IPv4, publishes hosts, and lets in what was asked for (facts 5)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from edge.model import (
    Interface,
    PlainInterface,
    PublishedPort,
    Router,
    SourceNat,
    StatefulFilter,
    StaticRoute,
    Vrf,
)
from lab.topology import names
from lab.topology.addresses import DEFAULT_V4
from lab.topology.parts import Parts
from lab.topology.schema import Site
from lab.topology.site_schema import InternetEdge


def build_internet_edge(parts: Parts, site_name: str, site: Site, lan: tuple[Interface, ...]) -> None:
    """Add the edge and its link to the Internet; `lan` are its addresses on the site's LAN."""
    node = names.internet_edge(site_name)
    link = f"{node}-{names.INTERNET}"
    ends = parts.numbering.link(link)
    parts.link(link, (node, names.INTERNET), (names.INTERNET, names.short(node, names.MAX_DEVICE)))
    outside = ends.a[0]
    wanted = site.internet_edge or InternetEdge()
    vrf = Vrf(
        node,
        node,
        parts.numbering.router_id(node),
        interfaces=(PlainInterface(names.CUSTOMER_LAN, lan), PlainInterface(names.INTERNET, (outside,))),
        routes=(StaticRoute(DEFAULT_V4, (ends.b[0].ip,)),),
        nat=(
            SourceNat(
                names.INTERNET,
                tuple(n for n in site.lan if isinstance(n, IPv4Network)),
                pool_of(site) or outside.ip,
            ),
        ),
        published=_published(site, wanted, outside.ip, lan),
        firewalls=(StatefulFilter(names.INTERNET),) if site.firewall else (),
    )
    parts.router(Router(node, node, vrfs=(vrf,)), "internet-edge", "site")


def pool_of(site: Site) -> IPv4Network | None:
    """The public addresses that the Internet leads to a site, beside its edge's own; None without any."""
    pool = site.internet_edge.pool if site.internet_edge is not None else None
    return pool if isinstance(pool, IPv4Network) else None


def _published(
    site: Site, wanted: InternetEdge, outside: IPv4Address, lan: tuple[Interface, ...]
) -> tuple[PublishedPort, ...]:
    """Hosts that the Internet may call; `rules` has seen that they are there and have IPv4."""
    inner = next((one.ip for one in lan if isinstance(one.ip, IPv4Address)), None)
    found = []
    for one in wanted.publish:
        inside = next((a for a in site.hosts.get(one.host, ()) if isinstance(a, IPv4Address)), None)
        if inside is not None:
            source = inner if one.hide_source else None
            found.append(PublishedPort(names.INTERNET, outside, one.protocol, one.port, inside, source))
    return tuple(found)
