"""Site-to-site IPsec VPN: a VPN gateway beside a network's ExpressRoute gateway, as backup of its circuits.

A tunnel runs over the lab's Internet between the VPN gateway and a site's Internet edge; BGP runs in it. A
gateway has a tunnel to each of its sites; active-active, each of its two instances has.
In Azure the tunnel's routes are the worse ones of equal prefixes, and a longer prefix wins (facts 4, 7): the
VPN gateway tells the ExpressRoute gateway's instances what it learns, who prefer what circuits bring. At the
site the edges prefer circuits by local preference. Nothing is passed on between tunnel and circuits (facts 7:
that needs a Route Server). Private peering only, IPv4 only; keys come from the file, or IKE negotiates them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from edge.model import (
    GATEWAY_ASN,
    ExportPolicy,
    ImportPolicy,
    Interface,
    IpsecTunnel,
    KeyExchange,
    Network,
    Originate,
    PlainInterface,
    Router,
    Session,
    StaticRoute,
    Timers,
    Vrf,
)
from lab.service.gateway_subnet import FIRST, LAST
from lab.service.vpn_gateway import AZURE, DEVICE
from lab.topology import names
from lab.topology.addresses import at, of_version
from lab.topology.parts import INTERNAL_TIMERS, Parts
from lab.topology.schema import Topology, Vnet, Vpn

GROUP = "vpn"
"""Group of sessions that bring a tunnel's routes."""

VPN_LOCAL_PREF = 90
"""In Azure, below what any circuit brings (100 and the connection's weight): at equal prefix length
ExpressRoute wins (facts 4, 7)."""

SITE_CIRCUIT_PREF, SITE_VPN_PREF = 150, 100
"""At the site: circuits before the tunnel, so that both ways are the same (facts 4, 7; scenario 33)."""

TUNNEL_MTU = 1400
"""Octets of a packet in the tunnel: room for ESP in tunnel mode on a path of 1,500."""

TIMERS = Timers(keepalive_s=3, hold_s=10)
"""In the tunnel there is no BFD; the customer's shortest timers (facts 4) tell a dead tunnel soonest."""

AES128_GCM_OCTETS = 20
"""Octets of key and salt (RFC 4106 8.1)."""


@dataclass(frozen=True, slots=True)
class VpnPlan:
    """A tunnel: between which network and site, and what its ends have."""

    vnet: str
    site: str
    spec: Vpn
    instance: int = 0

    @property
    def node(self) -> str:
        """The node of the VPN gateway's instance."""
        return names.vpn_gateway(self.vnet, self.instance)

    @property
    def inner(self) -> str:
        """Name under which the inner addresses are given out."""
        return f"{self.node}-{self.site}"


def plan_vpns(topology: Topology) -> tuple[VpnPlan, ...]:
    """The tunnels of a file, in the order of its networks; those that `rules` refuse are left out."""
    found = []
    for name, vnet in topology.vnets.items():
        for spec in vnet.vpn:
            site = topology.sites.get(spec.site)
            if site is not None and site.internet:
                found += [VpnPlan(name, spec.site, spec, n) for n in instances_of(vnet)]
    return tuple(found)


def instances_of(vnet: Vnet) -> tuple[int, ...]:
    """The instances of a network's VPN gateway that have tunnels; none without a gateway.

    Of an ordinary gateway's two instances one is at work and the other stands by, which is none of a lab's.
    """
    return ((0, 1) if vnet.vpn_active_active else (0,)) if vnet.vpn else ()


def vpn_address(subnet: Network, instance: int = 0) -> Interface:
    """An instance's address in a GatewaySubnet: behind all that MSEEs have, or before (`gateway_subnet`)."""
    return at(subnet, min(LAST, subnet.num_addresses - 2) if not instance else FIRST - 1)


def secret(plan: VpnPlan, towards: str) -> tuple[int, str]:
    """(SPI, key with salt in hexadecimal) of one direction; each has its own, made from the file's key.

    One way of the tunnel must never use another one's key with AES-GCM (RFC 4106 10), so names go in.
    """
    assert plan.spec.key is not None
    text = f"{plan.vnet}/{plan.site}/{towards}" + ("/2" if plan.instance else "")
    octets = hashlib.scrypt(
        plan.spec.key.encode(), salt=text.encode(), n=2, r=8, p=1, dklen=AES128_GCM_OCTETS
    )
    # SPIs below 256 are reserved (RFC 4303 2.1).
    return 256 + names.digest(f"spi {text}", 30), octets.hex()


def ends(parts: Parts, plan: VpnPlan) -> tuple[IPv4Address, IPv4Address]:
    """Outer addresses: of the VPN gateway, of the site's Internet edge. Their links are there already."""
    azure = parts.numbering.ends_of(f"{plan.node}-{names.INTERNET}")
    site = parts.numbering.ends_of(f"{names.internet_edge(plan.site)}-{names.INTERNET}")
    return azure.a[0].ip, site.a[0].ip


def number_ends(parts: Parts, plans: Iterable[VpnPlan]) -> None:
    """Give VPN gateways' Internet links and tunnels their addresses, before either end is built."""
    wires = dict.fromkeys(f"{plan.node}-{names.INTERNET}" for plan in plans)
    for name in (*wires, *(plan.inner for plan in plans)):
        parts.numbering.link(name)


def _tunnel(parts: Parts, plan: VpnPlan, end: Literal["azure", "site"], number: int) -> IpsecTunnel:
    """One end of a tunnel, the number-th of its namespace, with the keys of the file or an exchange."""
    azure, site = ends(parts, plan)
    here, there = (azure, site) if end == "azure" else (site, azure)
    device = (
        names.tunnel_device(plan.site) if end == "azure" else names.tunnel_device(plan.vnet, plan.instance)
    )
    ike = plan.spec.ike
    if ike is not None:
        # Azure answers; it asks by itself when it has something to send and lost its keys.
        key = ike.shared_key if end == "azure" else ike.site_shared_key or ike.shared_key
        exchange = KeyExchange(key, end == "site", AZURE if end == "azure" else DEVICE)
        return IpsecTunnel(device, here, there, number, 0, 0, "", "", TUNNEL_MTU, exchange)
    spi_out, key_out = secret(plan, "site" if end == "azure" else "azure")
    spi_in, key_in = secret(plan, end)
    return IpsecTunnel(device, here, there, number, spi_out, spi_in, key_out, key_in, TUNNEL_MTU)


def site_vrf(parts: Parts, plan: VpnPlan, vrf: Vrf, asn: int, announced: tuple[Network, ...]) -> Vrf:
    """A site's Internet edge with the tunnel's end and its BGP session."""
    inner = parts.numbering.ends_of(plan.inner)
    tunnel = _tunnel(parts, plan, "site", 1 + len(vrf.tunnels))
    device = tunnel.name
    networks = tuple(plan.spec.announce) or announced
    session = Session(
        names.identifier(plan.node),
        GROUP,
        device,
        inner.b[0].ip,
        inner.a[0].ip,
        asn,
        GATEWAY_ASN,
        exports=ExportPolicy(networks=networks),
        timers=TIMERS,
    )
    known = {one.network for one in vrf.originates}
    return replace(
        vrf,
        tunnels=(*vrf.tunnels, tunnel),
        interfaces=(*vrf.interfaces, PlainInterface(device, inner.b[:1], TUNNEL_MTU)),
        sessions=(*vrf.sessions, session),
        originates=(*vrf.originates, *(Originate(one) for one in networks if one not in known)),
    )


def gateway_session(plan: VpnPlan, subnet: Network, local: Interface) -> Session:
    """An ExpressRoute gateway instance takes the routes of tunnels from a VPN gateway, as worse ones.

    plan: any of the tunnels of the VPN gateway's instance.
    """
    return Session(
        GROUP if not plan.instance else f"{GROUP}2",
        GROUP,
        names.GATEWAY_BRIDGE,
        local.ip,
        vpn_address(subnet, plan.instance).ip,
        GATEWAY_ASN,
        GATEWAY_ASN,
        imports=ImportPolicy(local_pref=VPN_LOCAL_PREF),
        exports=ExportPolicy(originated=False),
        timers=INTERNAL_TIMERS,
    )


def build_gateway(
    parts: Parts,
    plans: tuple[VpnPlan, ...],
    asns: tuple[int, ...],
    subnet: Network,
    space: tuple[Network, ...],
    announced: tuple[Network, ...],
    instances: tuple[Interface, ...],
) -> Iterator[tuple[str, str]]:
    """Add an instance of a VPN gateway; yields (bridge, port) of the network's switch that it takes.

    plans: its tunnels; asns: AS numbers of the sites at their ends. instances: the ExpressRoute gateway's.
    """
    first = plans[0]
    node, switch, second = first.node, names.vnet_switch(first.vnet), first.instance > 0
    # Azure keeps three addresses of a subnet for itself, and all three are taken: the second instance
    # reaches the machines by the ExpressRoute gateway's.
    bridges = (names.GATEWAY_BRIDGE,) if second else (names.GATEWAY_BRIDGE, names.VNET_BRIDGE)
    for bridge in bridges:
        port = f"{bridge}.{GROUP}{'2' if second else ''}"
        parts.link(f"{node}-{bridge}", (node, bridge), (switch, port))
        yield bridge, port
    wire = f"{node}-{names.INTERNET}"
    link = parts.numbering.ends_of(wire)
    parts.link(wire, (node, names.INTERNET), (names.INTERNET, names.short(node, names.MAX_DEVICE)))
    own = vpn_address(subnet, first.instance)
    space_v4 = of_version(space, 4)
    interfaces = [PlainInterface(names.GATEWAY_BRIDGE, (own,))]
    routes = []
    if second:
        routes += [StaticRoute(one, tuple(gateway.ip for gateway in instances)) for one in space_v4]
    else:
        interfaces.append(PlainInterface(names.VNET_BRIDGE, tuple(at(one, 3) for one in space_v4)))
    interfaces.append(PlainInterface(names.INTERNET, link.a[:1]))
    tunnels, sessions = [], []
    for number, (plan, asn) in enumerate(zip(plans, asns, strict=True), 1):
        tunnel, inner = _tunnel(parts, plan, "azure", number), parts.numbering.ends_of(plan.inner)
        tunnels.append(tunnel)
        interfaces.append(PlainInterface(tunnel.name, inner.a[:1], TUNNEL_MTU))
        routes.append(StaticRoute(IPv4Network(tunnel.remote), (link.b[0].ip,)))
        sessions.append(
            Session(
                names.identifier(plan.site),
                "tunnel",
                tunnel.name,
                inner.a[0].ip,
                inner.b[0].ip,
                GATEWAY_ASN,
                asn,
                # With BGP a VPN gateway is a way between sites, too (VPN Gateway FAQ).
                exports=ExportPolicy(groups=("tunnel",)),
                timers=TIMERS,
            )
        )
    sessions += [
        Session(
            f"gw{number}",
            "gateway",
            names.GATEWAY_BRIDGE,
            own.ip,
            instance.ip,
            GATEWAY_ASN,
            GATEWAY_ASN,
            exports=ExportPolicy(originated=False, groups=("tunnel",)),
            timers=INTERNAL_TIMERS,
            next_hop_self=True,
        )
        for number, instance in enumerate(instances)
    ]
    vrf = Vrf(
        node,
        node,
        parts.numbering.router_id(node),
        interfaces=tuple(interfaces),
        tunnels=tuple(tunnels),
        sessions=tuple(sessions),
        originates=tuple(Originate(one) for one in of_version(announced, 4)),
        routes=tuple(routes),
    )
    parts.router(Router(node, node, vrfs=(vrf,)), "gateway", "cloud")
