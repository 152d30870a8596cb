"""Virtual networks: address space, GatewaySubnet, connections and what their circuits allow."""

from __future__ import annotations

from edge.model import Address, Network
from lab.service import limits, locations
from lab.service.prefixes import inside
from lab.topology.addresses import (
    MSEE_OFFSETS,
    default_gateway_subnets,
    is_azure_reserved,
)
from lab.topology.rules.context import Context
from lab.topology.rules.sites import check_hosts
from lab.topology.schema import Vnet
from lab.topology.source import DocumentPath
from lab.topology.vnets import plan_vnet, router_addresses

SMALLEST_SPACE = {4: 29, 6: 64}
"""Longest prefix in an address space by IP version: Azure's smallest subnets."""

SMALLEST_GATEWAY_SUBNET = {4: 28, 6: 124}
"""Longest GatewaySubnet that holds the gateways' and the first MSEEs' addresses of a lab."""


def check(context: Context) -> None:
    """Report what is wrong with virtual networks."""
    for name, vnet in context.topology.vnets.items():
        path: DocumentPath = ("vnets", name)
        if _space(context, path, vnet) and _gateway_subnets(context, path, name, vnet):
            _hosts(context, path, name, vnet)
        _connections(context, path, vnet)


def _space(context: Context, path: DocumentPath, vnet: Vnet) -> bool:
    good = True
    if not any(network.version == 4 for network in vnet.address_space):
        context.report(
            (*path, "address_space"), "a virtual network needs IPv4", "add a prefix such as 10.50.0.0/16"
        )
        good = False
    for number, network in enumerate(vnet.address_space):
        longest = SMALLEST_SPACE[network.version]
        if network.prefixlen > longest:
            context.report(
                (*path, "address_space", number),
                f"{network} is too small for a virtual network",
                f"use a /{longest} or larger",
            )
            good = False
    return good


def _gateway_subnets(context: Context, path: DocumentPath, name: str, vnet: Vnet) -> bool:
    good = True
    given = vnet.gateway_subnet or []
    for number, subnet in enumerate(given):
        where = (*path, "gateway_subnet", number)
        if any(other.version == subnet.version for other in given[:number]):
            context.report(where, f"there is a second IPv{subnet.version} GatewaySubnet", "keep one")
            good = False
        elif not any(inside(subnet, network) for network in vnet.address_space):
            space = ", ".join(map(str, vnet.address_space))
            context.report(where, f"{subnet} is outside the address space ({space})", "use a part of it")
            good = False
        else:
            good &= _one_gateway_subnet(context, where, subnet, vnet)
    for subnet in default_gateway_subnets(vnet.address_space):
        if not any(one.version == subnet.version for one in given):
            good &= _one_gateway_subnet(context, (*path, "address_space"), subnet, vnet)
    return good and _slots(context, path, name, vnet)


def _one_gateway_subnet(context: Context, where: DocumentPath, subnet: Network, vnet: Vnet) -> bool:
    longest = SMALLEST_GATEWAY_SUBNET[subnet.version]
    if subnet.prefixlen > longest:
        context.report(
            where,
            f"{subnet} is too small for a GatewaySubnet",
            "use a /27 or larger" if subnet.version == 4 else "use a /64",
        )
        return False
    routers = [a.ip for instance in (0, 1) for a in router_addresses(vnet.address_space, instance)]
    if any(router.version == subnet.version and router in subnet for router in routers):
        context.report(
            where,
            f"GatewaySubnet {subnet} takes the first addresses of the address space, which its router needs",
            "use a larger address space or another part of it",
        )
        return False
    return True


def _slots(context: Context, path: DocumentPath, name: str, vnet: Vnet) -> bool:
    subnets = plan_vnet(name, vnet).gateway_subnets
    room = min(sum(offset < subnet.num_addresses - 1 for offset in MSEE_OFFSETS) // 2 for subnet in subnets)
    if len(vnet.connections) > room:
        smallest = max(subnets, key=lambda subnet: subnet.prefixlen)
        context.report(
            (*path, "connections", room),
            f"GatewaySubnet {smallest} has room for {room} circuits, not {len(vnet.connections)}",
            "write a larger gateway_subnet, a /26 holds 16 circuits",
        )
    return len(vnet.connections) <= room


def _hosts(context: Context, path: DocumentPath, name: str, vnet: Vnet) -> None:
    subnets = plan_vnet(name, vnet).gateway_subnets

    def refuse_address(address: Address, network: Network) -> str:
        if any(address.version == subnet.version and address in subnet for subnet in subnets):
            return f"{address} is in the GatewaySubnet, where no machine may be"
        return f"{address} is reserved by Azure" if is_azure_reserved(address, network) else ""

    check_hosts(context, path, vnet.hosts, tuple(vnet.address_space), "the address space", refuse_address)


def _connections(context: Context, path: DocumentPath, vnet: Vnet) -> None:
    places: list[str] = []
    for number, connection in enumerate(vnet.connections):
        where = (*path, "connections", number, "circuit")
        name = connection.circuit
        circuit = context.topology.circuits.get(name)
        if circuit is None:
            context.unknown(where, "circuit", name, "circuits")
            continue
        if name in [earlier.circuit for earlier in vnet.connections[:number]]:
            context.report(where, f"circuit {name} is joined a second time", "take this connection out")
            continue
        places.append(circuit.location)
        place = locations.LOCATIONS[circuit.location]
        context.refuse(where, locations.refuse_region(circuit.sku.tier, place, vnet.region))
        private = circuit.peerings.private
        if private is None:
            if not context.is_cut("circuits", name, "peerings", "private"):
                context.report(
                    where, f"circuit {name} has no private peering to join", "add one to the circuit"
                )
        elif private.ipv6 is None and any(network.version == 6 for network in vnet.address_space):
            context.report(
                where,
                f"the address space has IPv6 and the private peering of circuit {name} has not",
                "add ipv6: {subnet: ...} to the peering, or keep the address space IPv4",
            )
    context.refuse((*path, "gateway"), limits.refuse_gateway_circuits(vnet.gateway, places))
