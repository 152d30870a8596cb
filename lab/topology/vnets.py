"""Virtual networks: two gateway instances between the GatewaySubnet and the machines."""

from __future__ import annotations

from dataclasses import dataclass

from edge.model import (
    GATEWAY_ASN,
    MSEE_ASN,
    ExportPolicy,
    ImportPolicy,
    Interface,
    Network,
    Originate,
    PlainInterface,
    Router,
    Session,
    Vrf,
)
from lab.model import Switch
from lab.topology import names
from lab.topology.addresses import GATEWAY_OFFSETS, MSEE_OFFSETS, at, default_gateway_subnets
from lab.topology.orders import CircuitOrder
from lab.topology.parts import INTERNAL_TIMERS, Parts
from lab.topology.schema import Vnet

BASE_LOCAL_PREF = 100
"""Local preference of a route without one (RFC 4271's usual default); a connection's weight adds to it."""


@dataclass(frozen=True, slots=True)
class VnetPlan:
    """A virtual network with the addresses of its GatewaySubnet."""

    name: str
    spec: Vnet
    gateway_subnets: tuple[Network, ...]

    def gateway_addresses(self, instance: int) -> tuple[Interface, ...]:
        """A gateway instance's addresses in the GatewaySubnet."""
        return tuple(at(subnet, GATEWAY_OFFSETS[instance]) for subnet in self.gateway_subnets)

    def msee_addresses(self, circuit: str, number: int) -> tuple[Interface, ...]:
        """Addresses of MSEE 1 or 2 of a circuit in the GatewaySubnet; empty when it is not connected.

        The pairs follow each other in the order of the file's `connections`.
        """
        joined = [connection.circuit for connection in self.spec.connections]
        if circuit not in joined:
            return ()
        offset = MSEE_OFFSETS[2 * joined.index(circuit) + number - 1]
        return tuple(at(subnet, offset) for subnet in self.gateway_subnets)


def plan_vnet(name: str, vnet: Vnet) -> VnetPlan:
    """The plan of a virtual network; what the file says about the GatewaySubnet, else the default."""
    default = default_gateway_subnets(vnet.address_space)
    given = vnet.gateway_subnet or []
    chosen = [next((g for g in given if g.version == d.version), d) for d in default]
    return VnetPlan(name, vnet, tuple(chosen))


def router_addresses(space: list[Network], instance: int) -> tuple[Interface, ...]:
    """A gateway instance on the machines' LAN: the first or second of Azure's reserved addresses."""
    return tuple(at(network, 1 + instance) for network in space)


def build_vnets(parts: Parts, vnets: tuple[VnetPlan, ...], orders: tuple[CircuitOrder, ...]) -> None:
    """Add every virtual network: gateways, the switch with both LANs, machines."""
    by_name = {order.name: order for order in orders}
    for vnet in vnets:
        _build(parts, vnet, by_name)


def _build(parts: Parts, vnet: VnetPlan, orders: dict[str, CircuitOrder]) -> None:
    switch = names.vnet_switch(vnet.name)
    space = vnet.spec.address_space
    gateway_ports: list[str] = []
    vnet_ports: list[str] = []
    for instance in (0, 1):
        node = names.gateway(vnet.name, instance)
        _gateway(parts, vnet, instance, orders)
        for bridge, ports in ((names.GATEWAY_BRIDGE, gateway_ports), (names.VNET_BRIDGE, vnet_ports)):
            port = f"{bridge}.{instance}"
            ports.append(port)
            parts.link(f"{node}-{bridge}", (node, bridge), (switch, port))
    for connection in vnet.spec.connections:
        order = orders[connection.circuit]
        for one in order.connections:
            port = f"{names.short(order.name, names.MAX_DEVICE - 2)}.{one.number}"
            gateway_ports.append(port)
            parts.link(
                f"{names.circuit_link(order.name, one.name)}-{vnet.name}",
                (names.vrf(one.msee, order.name, "private"), names.short(vnet.name, names.MAX_DEVICE)),
                (switch, port),
            )
    routers = tuple(a.ip for instance in (0, 1) for a in router_addresses(space, instance))
    for host, addresses in vnet.spec.hosts.items():
        port = names.short(host, names.MAX_DEVICE)
        vnet_ports.append(port)
        parts.link(host, (host, names.HOST_DEVICE), (switch, port))
        parts.host(host, "cloud", addresses, space, routers)
    bridges = ((names.GATEWAY_BRIDGE, tuple(gateway_ports)), (names.VNET_BRIDGE, tuple(vnet_ports)))
    parts.switches.append(Switch(switch, switch, bridges))
    parts.node(switch, "switch", "cloud")


def _gateway(parts: Parts, vnet: VnetPlan, instance: int, orders: dict[str, CircuitOrder]) -> None:
    """One gateway instance, AS 65515: announces the address space, learns the customer's prefixes."""
    node = names.gateway(vnet.name, instance)
    own = vnet.gateway_addresses(instance)
    sessions = []
    for connection in vnet.spec.connections:
        order = orders[connection.circuit]
        for one in order.connections:
            name = names.session(order.name, one.name)
            for local, neighbor in zip(own, vnet.msee_addresses(order.name, one.number), strict=True):
                sessions.append(
                    Session(
                        name if local.version == 4 else f"{name}_v6",
                        "microsoft",
                        names.GATEWAY_BRIDGE,
                        local.ip,
                        neighbor.ip,
                        GATEWAY_ASN,
                        MSEE_ASN,
                        imports=ImportPolicy(
                            local_pref=BASE_LOCAL_PREF + connection.weight if connection.weight else None
                        ),
                        timers=INTERNAL_TIMERS,
                        exports=ExportPolicy(),
                    )
                )
    vrf = Vrf(
        node,
        node,
        parts.numbering.router_id(node),
        interfaces=(
            PlainInterface(names.GATEWAY_BRIDGE, own),
            PlainInterface(names.VNET_BRIDGE, router_addresses(vnet.spec.address_space, instance)),
        ),
        sessions=tuple(sessions),
        originates=tuple(Originate(network) for network in vnet.spec.address_space),
    )
    parts.router(Router(node, node, vrfs=(vrf,)), "gateway", "cloud")
