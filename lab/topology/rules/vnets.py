"""Virtual networks: what the lab's routers and machines need of them. The rest is the service's."""

from __future__ import annotations

from edge.model import Address, Network
from lab.service.prefixes import inside
from lab.topology.addresses import is_azure_reserved
from lab.topology.layout import VnetPlace
from lab.topology.rules.context import Context
from lab.topology.rules.sites import check_hosts
from lab.topology.schema import Vnet, Vpn
from lab.topology.source import DocumentPath
from lab.topology.vnets import router_addresses

SMALLEST_SPACE = {4: 29, 6: 64}
"""Longest prefix in an address space by IP version: Azure's smallest subnets."""

LONGEST_VPN_SUBNET = 27
"""A VPN gateway beside the ExpressRoute gateway takes a /27 or larger (facts 7)."""


def check(context: Context) -> None:
    """Report what is wrong with virtual networks."""
    for name, vnet in context.layout.vnets.items():
        path: DocumentPath = ("vnets", name)
        if _space(context, vnet) and _gateway_subnets(context, vnet):
            _hosts(context, path, name, vnet)
    for name, spec in context.topology.vnets.items():
        for number, connection in enumerate(spec.connections):
            if connection.circuit not in context.topology.circuits:
                where = ("vnets", name, "connections", number, "circuit")
                context.unknown(where, "circuit", connection.circuit, "circuits")
        _vpns(context, name, spec)


def _vpns(context: Context, name: str, spec: Vnet) -> None:
    """A VPN gateway's tunnels: each to another site, whose Internet edge answers at one address."""
    if spec.vpn_active_active and not spec.vpn:
        where: DocumentPath = ("vnets", name, "vpn_active_active")
        context.report(where, "this network has no VPN gateway", "give it one in `vpn`", at_key=True)
    for number, vpn in enumerate(spec.vpn):
        path: DocumentPath = ("vnets", name, "vpn", number, "site")
        if vpn.site in [one.site for one in spec.vpn[:number]]:
            words = f"the VPN gateway has a tunnel to site {vpn.site} already"
            context.report(path, words, "write vpn_active_active: true for a second one")
        else:
            _vpn(context, path, vpn)
    place = context.layout.vnets.get(name)
    for one in place.subnets if place is not None and spec.vpn else ():
        if one.network.version == 4 and one.network.prefixlen > LONGEST_VPN_SUBNET:
            context.report(
                one.path,
                f"GatewaySubnet {one.network} has no room for a VPN gateway",
                f"use a /{LONGEST_VPN_SUBNET} or larger",
            )


def _vpn(context: Context, path: DocumentPath, vpn: Vpn) -> None:
    """The tunnel's other end is an Internet edge of a site with circuits, whose backup it is (facts 7)."""
    site = context.topology.sites.get(vpn.site)
    if site is None:
        context.unknown(path, "site", vpn.site, "sites")
    elif not site.internet:
        context.report(path, f"site {vpn.site} has no Internet edge", "write `internet: true` at the site")
    elif not site.circuits:
        context.report(path, f"site {vpn.site} has no circuit to back up", "give it one in `circuits`")


def _space(context: Context, vnet: VnetPlace) -> bool:
    good = True
    for one in vnet.space:
        longest = SMALLEST_SPACE[one.network.version]
        if one.network.prefixlen > longest:
            context.report(
                one.path,
                f"{one.network} is too small for a virtual network",
                f"use a /{longest} or larger",
            )
            good = False
    return good


def _gateway_subnets(context: Context, vnet: VnetPlace) -> bool:
    """Whether the gateways have their addresses beside the GatewaySubnet to themselves."""
    space = [one.network for one in vnet.space]
    routers = [a.ip for instance in (0, 1) for a in router_addresses(space, instance)]
    good = True
    for one in vnet.subnets:
        if not any(inside(one.network, network) for network in space):
            # The service has said so.
            good = False
        elif any(router.version == one.network.version and router in one.network for router in routers):
            context.report(
                one.path,
                f"GatewaySubnet {one.network} takes the first addresses of the address space, which its "
                "router needs",
                "use a larger address space or another part of it",
            )
            good = False
    return good


def _hosts(context: Context, path: DocumentPath, name: str, vnet: VnetPlace) -> None:
    spec = context.topology.vnets.get(name)
    if spec is None:
        return

    def refuse_address(address: Address, network: Network) -> str:
        if any(address.version == one.network.version and address in one.network for one in vnet.subnets):
            return f"{address} is in the GatewaySubnet, where no machine may be"
        return f"{address} is reserved by Azure" if is_azure_reserved(address, network) else ""

    space = tuple(one.network for one in vnet.space)
    check_hosts(context, path, spec.hosts, space, "the address space", refuse_address)
