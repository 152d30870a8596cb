"""Virtual networks and their gateways."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edge.model import MSEE_ASN, Network
from lab.service import limits, prefixes
from lab.service.commands import (
    CreateGateway,
    CreateVnet,
    DeleteGateway,
    DeleteVnet,
    ResizeGateway,
    SetAddressSpace,
    SetGatewayTraffic,
    SetSummaries,
    SetVnetCommunity,
    UseRemoteGateway,
)
from lab.service.handlers.common import (
    circuit_space,
    refuse_name,
    refuse_overlap,
    refuse_reach,
    refuse_vnet_overlap,
)
from lab.service.refusal import Refusal
from lab.service.regions import REGIONS, regional_community
from lab.service.resources import Gateway, VirtualNetwork
from lab.service.state import Accepted, Event, Outcome, State, drop, find, put

LONGEST_GATEWAY_SUBNET = {4: 29, 6: 64}
"""Longest GatewaySubnet by IP version: a /29 is possible, IPv6 has a /64 or larger (facts 10.1, 3.5)."""

COMMUNITY_MAX = 0xFFFF


def _refuse_space(space: tuple[Network, ...]) -> Refusal | None:
    """Whether these prefixes can be a virtual network's own."""
    if not any(one.version == 4 for one in space):
        return Refusal("VnetSpace", "a virtual network needs IPv4", "add a prefix such as 10.50.0.0/16")
    overlaps = prefixes.overlapping(space)
    for number, one in enumerate(space):
        if no := prefixes.refuse_interface_network(one):
            return no
        if number in overlaps:
            return Refusal(
                "VnetSpace", f"{one} overlaps another prefix of the network", "list each once", one
            )
    return None


def _circuits_of(state: State, vnet: VirtualNetwork) -> list[str]:
    """Circuits that lead to a network, through its own gateway or its hub's."""
    gateway = state.gateway_of(vnet.remote_gateway or vnet.name)
    return [] if gateway is None else [link.circuit for link in state.joined_by(gateway.name)]


def create_vnet(state: State, command: CreateVnet) -> Outcome:
    """Make one; until it is joined to something it may overlap anything (facts 3.1)."""
    if no := refuse_name(state.vnets, "virtual network", command.name) or _refuse_space(
        command.address_space
    ):
        return no
    if command.region not in REGIONS:
        return Refusal(
            "RegionUnknown", f"there is no Azure region {command.region}", "use one such as westeurope"
        )
    made = VirtualNetwork(command.name, command.scope, command.region, command.address_space)
    return Accepted(replace(state, vnets=put(state.vnets, made.name, made)))


def set_address_space(state: State, command: SetAddressSpace) -> Outcome:
    """Replace it; growth may take connections down (facts 3.3), overlaps are refused (3.1)."""
    vnet = find(state.vnets, "virtual network", command.vnet)
    if isinstance(vnet, Refusal):
        return vnet
    if no := _refuse_space(command.address_space):
        return no
    gateway = state.gateway_of(vnet.name)
    for subnet in gateway.subnets if gateway else ():
        if not any(prefixes.inside(subnet, one) for one in command.address_space):
            return Refusal(
                "GatewaySubnetOutside",
                f"GatewaySubnet {subnet} would lie outside the address space",
                "keep the prefix that holds it",
            )
    # Its own old prefixes are no obstacle, so the new ones are compared with a state that lacks them.
    without = replace(state, vnets=put(state.vnets, vnet.name, replace(vnet, address_space=())))
    for name in _circuits_of(state, vnet):
        if no := refuse_vnet_overlap(without, state.circuits[name], command.address_space):
            return no
    if no := refuse_overlap(command.address_space, _peered_space(without, vnet)):
        return no
    changed = replace(vnet, address_space=command.address_space)
    return Accepted(replace(state, vnets=put(state.vnets, vnet.name, changed)))


def _peered_space(state: State, vnet: VirtualNetwork) -> Iterable[tuple[Network, str]]:
    hub = vnet.remote_gateway or vnet.name
    for other in (state.vnets[hub], *state.spokes_of(hub)):
        for prefix in other.address_space:
            yield prefix, f"{prefix} of virtual network {other.name}"


def set_vnet_community(state: State, command: SetVnetCommunity) -> Outcome:
    """The custom community; in effect when the connection is made anew (facts 3.7)."""
    vnet = find(state.vnets, "virtual network", command.vnet)
    if isinstance(vnet, Refusal):
        return vnet
    value = command.community
    if value is not None and (value[0] != MSEE_ASN or not 0 < value[1] <= COMMUNITY_MAX):
        return Refusal(
            "CommunityForm",
            f"{value[0]}:{value[1]} is no community of a virtual network",
            f"write {MSEE_ASN}:n, for example {MSEE_ASN}:20001",
        )
    if value is not None and regional_community(value) is not None:
        return Refusal(
            "CommunityRegional",
            f"{value[0]}:{value[1]} is a region's community, which Azure adds by itself",
            f"use another, for example {MSEE_ASN}:20001",
        )
    after = replace(state, vnets=put(state.vnets, vnet.name, replace(vnet, community=value)))
    gateway = state.gateway_of(vnet.name)
    waiting = [] if gateway is None else [one.name for one in state.joined_by(gateway.name)]
    words = f"the community of {vnet.name} takes effect when the connection is deleted and made anew"
    return Accepted(after, tuple(Event("CommunityWaits", name, words) for name in waiting))


def use_remote_gateway(state: State, command: UseRemoteGateway) -> Outcome:
    """Use a hub's gateway: the hub's circuits then lead here, too (facts 3.3, 10.1)."""
    vnet = find(state.vnets, "virtual network", command.vnet)
    if isinstance(vnet, Refusal):
        return vnet
    changed = replace(state, vnets=put(state.vnets, vnet.name, replace(vnet, remote_gateway=command.hub)))
    if not command.hub:
        return Accepted(changed)
    hub = find(state.vnets, "virtual network", command.hub)
    if isinstance(hub, Refusal):
        return hub
    gateway = state.gateway_of(hub.name)
    if gateway is None or hub.name == vnet.name:
        return Refusal("HubWithoutGateway", f"{hub.name} has no gateway to share", "create its gateway first")
    if state.gateway_of(vnet.name) is not None or state.spokes_of(vnet.name):
        return Refusal(
            "SpokeWithGateway",
            f"{vnet.name} has a gateway, or networks behind it, of its own",
            "delete its gateway first",
        )
    if len(state.spokes_of(hub.name)) >= limits.PEERED_VNETS and vnet.remote_gateway != hub.name:
        return Refusal(
            "PeeredVnets", f"{hub.name} has {limits.PEERED_VNETS} peered networks", "use a second hub"
        )
    if vnet.remote_gateway == hub.name:
        return Accepted(state)
    if no := refuse_overlap(vnet.address_space, _peered_space(state, hub)):
        return no
    for link in state.joined_by(gateway.name):
        circuit = state.circuits[link.circuit]
        if no := refuse_reach(circuit.tier, circuit, vnet.region, vnet.name) or refuse_overlap(
            vnet.address_space, circuit_space(state, circuit)
        ):
            return no
    return Accepted(changed)


def delete_vnet(state: State, command: DeleteVnet) -> Outcome:
    """Delete it when nothing is in it and nothing hangs on it."""
    vnet = find(state.vnets, "virtual network", command.vnet)
    if isinstance(vnet, Refusal):
        return vnet
    gateway = state.gateway_of(vnet.name)
    users = [one.name for one in (gateway, *state.spokes_of(vnet.name)) if one is not None]
    if users:
        return Refusal("VnetInUse", f"{vnet.name} has {', '.join(users)}", "delete or part them first")
    return Accepted(replace(state, vnets=drop(state.vnets, [vnet.name])))


def _refuse_units(sku: str, units: int) -> Refusal | None:
    if units in (limits.SCALE_UNITS if sku == "ErGwScale" else (1,)):
        return None
    return Refusal(
        "ScaleUnits",
        f"a gateway of {sku} has no {units} scale units",
        f"use ErGwScale with {limits.SCALE_UNITS.start}-{limits.SCALE_UNITS.stop - 1}, others with 1",
    )


def create_gateway(state: State, command: CreateGateway) -> Outcome:
    """One ExpressRoute gateway in a network, in a GatewaySubnet of it (facts 10.1)."""
    if no := refuse_name(state.gateways, "gateway", command.name):
        return no
    vnet = find(state.vnets, "virtual network", command.vnet)
    if isinstance(vnet, Refusal):
        return vnet
    if state.gateway_of(vnet.name) is not None:
        return Refusal("GatewayTwice", f"{vnet.name} has an ExpressRoute gateway already", "use that one")
    if vnet.remote_gateway:
        return Refusal(
            "SpokeWithGateway", f"{vnet.name} uses the gateway of {vnet.remote_gateway}", "end that first"
        )
    if no := _refuse_units(command.sku, command.units) or _refuse_subnets(command.subnets, vnet):
        return no
    made = Gateway(command.name, command.scope, vnet.name, command.sku, command.subnets, command.units)
    return Accepted(replace(state, gateways=put(state.gateways, made.name, made)))


def _refuse_subnets(subnets: tuple[Network, ...], vnet: VirtualNetwork) -> Refusal | None:
    versions = [subnet.version for subnet in subnets]
    for number, subnet in enumerate(subnets):
        if subnet.version in versions[:number]:
            words = f"{subnet} is a second IPv{subnet.version} GatewaySubnet"
            return Refusal("GatewaySubnetTwice", words, "keep one", subnet)
    if 4 not in versions:
        return Refusal(
            "GatewaySubnetMissing",
            "a gateway has one IPv4 GatewaySubnet, and one IPv6 if it is dual-stack",
            "give a /27 of the address space",
        )
    for subnet in subnets:
        if not any(prefixes.inside(subnet, one) for one in vnet.address_space):
            return Refusal(
                "GatewaySubnetOutside",
                f"GatewaySubnet {subnet} is outside the address space of {vnet.name}",
                "use a part of it",
                subnet,
            )
        if subnet.prefixlen > LONGEST_GATEWAY_SUBNET[subnet.version]:
            return Refusal(
                "GatewaySubnetSmall",
                f"{subnet} is too small for a GatewaySubnet",
                "use a /27 or larger" if subnet.version == 4 else "use a /64 or larger",
                subnet,
            )
    return None


def resize_gateway(state: State, command: ResizeGateway) -> Outcome:
    """Another SKU, unless its circuits or FastPath need the old one (facts 2.2, 10.1)."""
    gateway = find(state.gateways, "gateway", command.gateway)
    if isinstance(gateway, Refusal):
        return gateway
    links = state.joined_by(gateway.name)
    places = [state.circuits[link.circuit].location for link in links]
    if no := _refuse_units(command.sku, command.units) or limits.refuse_gateway_circuits(
        command.sku, places, command.units
    ):
        return no
    if any(link.fastpath for link in links):
        no = refuse_fastpath(command.sku, command.units)
        if no:
            return no
    changed = replace(gateway, sku=command.sku, units=command.units)
    return Accepted(replace(state, gateways=put(state.gateways, gateway.name, changed)))


def refuse_fastpath(sku: str, units: int) -> Refusal | None:
    """Whether a gateway of this size lets data skip it (facts 10.1)."""
    if limits.gateway_size(sku, units).fastpath:
        return None
    able = ", ".join(name for name, size in limits.GATEWAYS.items() if size.fastpath)
    return Refusal("FastPathSku", f"a {sku} gateway has no FastPath", f"use {able}")


def set_gateway_traffic(state: State, command: SetGatewayTraffic) -> Outcome:
    """Whether other VNets' and Virtual WAN's traffic may come in through the circuit (facts 9)."""
    gateway = find(state.gateways, "gateway", command.gateway)
    if isinstance(gateway, Refusal):
        return gateway
    changed = replace(
        gateway,
        allow_remote_vnet_traffic=command.allow_remote_vnet_traffic,
        allow_virtual_wan_traffic=command.allow_virtual_wan_traffic,
    )
    return Accepted(replace(state, gateways=put(state.gateways, gateway.name, changed)))


def set_summaries(state: State, command: SetSummaries) -> Outcome:
    """Prefixes that stand for those of the peered networks (facts 2.2)."""
    gateway = find(state.gateways, "gateway", command.gateway)
    if isinstance(gateway, Refusal):
        return gateway
    changed = replace(gateway, summaries=command.prefixes)
    return Accepted(replace(state, gateways=put(state.gateways, gateway.name, changed)))


def delete_gateway(state: State, command: DeleteGateway) -> Outcome:
    """Delete it when neither connections nor peered networks use it."""
    gateway = find(state.gateways, "gateway", command.gateway)
    if isinstance(gateway, Refusal):
        return gateway
    users = [one.name for one in state.joined_by(gateway.name)]
    users += [one.name for one in state.spokes_of(gateway.vnet)]
    if users:
        return Refusal(
            "GatewayInUse",
            f"gateway {gateway.name} is used by {', '.join(users)}",
            "delete or part them first",
        )
    return Accepted(replace(state, gateways=drop(state.gateways, [gateway.name])))
