"""A site's end of tunnels: its Internet edge has them and tells the edges by iBGP what they bring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edge.model import ExportPolicy, ImportPolicy, Interface, Session
from lab.topology import names
from lab.topology.circuit_side import announced
from lab.topology.parts import BFD, Parts
from lab.topology.schema import Site
from lab.topology.vpn import GROUP, SITE_CIRCUIT_PREF, SITE_VPN_PREF, VpnPlan, site_vrf

Lans = Sequence[tuple[Interface, ...]]
"""Of each prefix of a LAN the routers' addresses: the edges', then the Internet edge's."""


def preferring_circuits(sessions: Sequence[Session]) -> list[Session]:
    """The sessions of an edge whose site has a tunnel: circuits go first, so that both ways are the same.

    Those whose local preference the site says itself keep it.
    """
    return [
        one
        if one.imports.local_pref is not None
        else replace(one, imports=replace(one.imports, local_pref=SITE_CIRCUIT_PREF))
        for one in sessions
    ]


def with_internet_edge(asn: int, lans: Lans, number: int) -> Session:
    """The session of an edge with the Internet edge, which brings the routes of tunnels: IPv4."""
    lan = _ipv4(lans)
    return _inside(asn, lan[number], lan[-1], GROUP, ImportPolicy(local_pref=SITE_VPN_PREF))


def end_tunnels(
    parts: Parts, name: str, site: Site, asn: int, lans: Lans, plans: tuple[VpnPlan, ...]
) -> None:
    """Give a site's Internet edge, which has been built, its tunnels. asn: between the site's edges."""
    lan = _ipv4(lans)
    vrf = parts.vrf(names.internet_edge(name))
    to_edges = (
        _inside(asn, lan[-1], lan[number], f"edge{number}", ImportPolicy(), (GROUP,))
        for number, _ in enumerate(site.edges)
    )
    vrf = replace(vrf, sessions=tuple(to_edges))
    for plan in plans:
        vrf = site_vrf(parts, plan, vrf, asn, announced(site, 4, ""))
    parts.put(vrf)


def _ipv4(lans: Lans) -> tuple[Interface, ...]:
    return next(lan for lan in lans if lan[0].version == 4)


def _inside(
    asn: int,
    local: Interface,
    neighbor: Interface,
    name: str,
    imports: ImportPolicy,
    groups: tuple[str, ...] = (),
) -> Session:
    """iBGP on the LAN between an edge and the Internet edge."""
    return Session(
        name,
        "inside",
        names.CUSTOMER_LAN,
        local.ip,
        neighbor.ip,
        asn,
        asn,
        imports=imports,
        exports=ExportPolicy(originated=False, groups=groups),
        bfd=BFD,
        next_hop_self=True,
    )
