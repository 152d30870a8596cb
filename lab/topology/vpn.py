"""Site-to-site IPsec VPN: a VPN gateway beside a network's ExpressRoute gateway, as backup of its circuits.

The tunnel runs over the lab's Internet between the VPN gateway and a site's Internet edge; BGP runs in it.
In Azure the tunnel's routes are the worse ones of equal prefixes, and a longer prefix wins (facts 4, 7): the
VPN gateway tells the ExpressRoute gateway's instances what it learns, who prefer what circuits bring. At the
site the edges prefer circuits by local preference. Nothing is passed on between tunnel and circuits (facts 7:
that needs a Route Server). Private peering only, IPv4 only; keys come from the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from edge.model import (
    GATEWAY_ASN,
    ExportPolicy,
    ImportPolicy,
    Interface,
    IpsecTunnel,
    Network,
    Originate,
    PlainInterface,
    Router,
    Session,
    StaticRoute,
    Timers,
    Vrf,
)
from lab.topology import names
from lab.topology.addresses import at, of_version
from lab.topology.parts import INTERNAL_TIMERS, Parts
from lab.topology.schema import Topology, Vpn

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

    @property
    def node(self) -> str:
        """The VPN gateway's node."""
        return names.vpn_gateway(self.vnet)

    @property
    def inner(self) -> str:
        """Name under which the inner addresses are given out."""
        return f"{self.node}-{self.site}"


def plan_vpns(topology: Topology) -> tuple[VpnPlan, ...]:
    """The tunnels of a file, in the order of its networks; those that `rules` refuse are left out."""
    found = []
    for name, vnet in topology.vnets.items():
        site = topology.sites.get(vnet.vpn.site) if vnet.vpn is not None else None
        if vnet.vpn is not None and site is not None and site.internet:
            found.append(VpnPlan(name, vnet.vpn.site, vnet.vpn))
    return tuple(found)


def vpn_address(subnet: Network) -> Interface:
    """The VPN gateway's address in a GatewaySubnet: behind all that MSEEs have (`gateway_subnet`)."""
    return at(subnet, min(62, subnet.num_addresses - 2))


def secret(plan: VpnPlan, towards: str) -> tuple[int, str]:
    """(SPI, key with salt in hexadecimal) of one direction; each has its own, made from the file's key.

    One way of the tunnel must never use another one's key with AES-GCM (RFC 4106 10), so names go in.
    """
    text = f"{plan.vnet}/{plan.site}/{towards}"
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


def number_ends(parts: Parts, plan: VpnPlan) -> None:
    """Give the VPN gateway's Internet link and the tunnel their addresses, before either end is built."""
    parts.numbering.link(f"{plan.node}-{names.INTERNET}")
    parts.numbering.link(plan.inner)


def site_vrf(parts: Parts, plan: VpnPlan, vrf: Vrf, asn: int, announced: tuple[Network, ...]) -> Vrf:
    """A site's Internet edge with the tunnel's end and its BGP session."""
    outer_azure, outer_site = ends(parts, plan)
    inner = parts.numbering.ends_of(plan.inner)
    device = names.tunnel_device(plan.vnet)
    (spi_out, key_out), (spi_in, key_in) = secret(plan, "azure"), secret(plan, "site")
    number = 1 + len(vrf.tunnels)
    tunnel = IpsecTunnel(
        device, outer_site, outer_azure, number, spi_out, spi_in, key_out, key_in, TUNNEL_MTU
    )
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
    """An ExpressRoute gateway instance takes the routes of the tunnel from the VPN gateway, as worse ones."""
    return Session(
        GROUP,
        GROUP,
        names.GATEWAY_BRIDGE,
        local.ip,
        vpn_address(subnet).ip,
        GATEWAY_ASN,
        GATEWAY_ASN,
        imports=ImportPolicy(local_pref=VPN_LOCAL_PREF),
        exports=ExportPolicy(originated=False),
        timers=INTERNAL_TIMERS,
    )


def build_gateway(
    parts: Parts,
    plan: VpnPlan,
    subnet: Network,
    space: tuple[Network, ...],
    announced: tuple[Network, ...],
    instances: tuple[Interface, ...],
    asn: int,
) -> Iterator[tuple[str, str]]:
    """Add the VPN gateway; yields (bridge, port) of the network's switch that it takes."""
    node, switch = plan.node, names.vnet_switch(plan.vnet)
    for bridge in (names.GATEWAY_BRIDGE, names.VNET_BRIDGE):
        port = f"{bridge}.{GROUP}"
        parts.link(f"{node}-{bridge}", (node, bridge), (switch, port))
        yield bridge, port
    wire = f"{node}-{names.INTERNET}"
    link = parts.numbering.ends_of(wire)
    parts.link(wire, (node, names.INTERNET), (names.INTERNET, names.short(node, names.MAX_DEVICE)))
    inner = parts.numbering.ends_of(plan.inner)
    outer_azure, outer_site = ends(parts, plan)
    device = names.tunnel_device(plan.site)
    (spi_in, key_in), (spi_out, key_out) = secret(plan, "azure"), secret(plan, "site")
    own = vpn_address(subnet)
    to_site = Session(
        "site",
        "tunnel",
        device,
        inner.a[0].ip,
        inner.b[0].ip,
        GATEWAY_ASN,
        asn,
        timers=TIMERS,
    )
    to_gateways = [
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
        interfaces=(
            PlainInterface(names.GATEWAY_BRIDGE, (own,)),
            PlainInterface(names.VNET_BRIDGE, tuple(at(one, 3) for one in of_version(space, 4))),
            PlainInterface(names.INTERNET, link.a[:1]),
            PlainInterface(device, inner.a[:1], TUNNEL_MTU),
        ),
        tunnels=(
            IpsecTunnel(device, outer_azure, outer_site, 1, spi_out, spi_in, key_out, key_in, TUNNEL_MTU),
        ),
        sessions=(to_site, *to_gateways),
        originates=tuple(Originate(one) for one in of_version(announced, 4)),
        routes=(StaticRoute(IPv4Network(outer_site), (link.b[0].ip,)),),
    )
    parts.router(Router(node, node, vrfs=(vrf,)), "gateway", "cloud")
