"""Azure's own way from virtual networks to the Internet: the system route that a default route from
on-premises takes the place of, and that is back when that is withdrawn (facts 3.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Network

from edge.model import PlainInterface, SourceNat, StaticRoute
from lab.topology import names
from lab.topology.addresses import DEFAULT_V4
from lab.topology.parts import Parts
from lab.topology.vnets import VnetPlan

SYSTEM_METRIC = 1024
"""Behind every route that BGP brings (BIRD gives the kernel 32): a default route of any origin goes first."""


def join_vnets_to_internet(parts: Parts, vnets: Iterable[VnetPlan]) -> None:
    """Give each gateway instance a link to the Internet, where it translates the machines' IPv4 addresses.

    In Azure machines need no gateway for that; here the gateway is the only router that they have. The
    Internet and the gateways must have been built.
    """
    for vnet in vnets:
        inside = tuple(n for n in vnet.ordered.address_space if isinstance(n, IPv4Network))
        for instance in (0, 1) if vnet.gateway is not None else ():
            node = names.gateway(vnet.name, instance)
            wire = f"{node}-{names.INTERNET}"
            ends = parts.numbering.link(wire)
            own, other = ends.a[0], ends.b[0]
            far = names.short(node, names.MAX_DEVICE)
            parts.link(wire, (node, names.INTERNET), (names.INTERNET, far))
            gateway = parts.vrf(node)
            parts.put(
                replace(
                    gateway,
                    interfaces=(*gateway.interfaces, PlainInterface(names.INTERNET, (own,))),
                    routes=(*gateway.routes, StaticRoute(DEFAULT_V4, (other.ip,), SYSTEM_METRIC)),
                    nat=(*gateway.nat, SourceNat(names.INTERNET, inside, own.ip)),
                )
            )
            internet = parts.vrf(names.INTERNET)
            parts.put(replace(internet, interfaces=(*internet.interfaces, PlainInterface(far, (other,)))))
