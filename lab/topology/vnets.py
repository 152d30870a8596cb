"""Virtual networks: two gateway instances between the GatewaySubnet and the machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge.model import (
    GATEWAY_ASN,
    MSEE_ASN,
    Address,
    ExportPolicy,
    ImportPolicy,
    Interface,
    Network,
    NoFragments,
    Originate,
    PlainInterface,
    RateCap,
    Router,
    Session,
    Vrf,
)
from lab.model import Switch
from lab.service.gateway_subnet import gateway_offsets, msee_offsets
from lab.service.packets import GATEWAY_MTU
from lab.service.resources import Connection, Gateway, VirtualNetwork
from lab.service.state import State
from lab.service.views import gateway_prefixes, vnet_communities
from lab.topology import names
from lab.topology.addresses import at
from lab.topology.orders import CircuitOrder
from lab.topology.parts import INTERNAL_TIMERS, Parts
from lab.topology.schema import Oversize, Topology
from lab.topology.throughput import gateway_caps
from lab.topology.vpn import VpnPlan, build_gateway, gateway_session

BASE_LOCAL_PREF = 100
"""Local preference of a route without one (RFC 4271's usual default); a connection's weight adds to it."""


@dataclass(frozen=True, slots=True)
class VnetPlan:
    """A virtual network as the service has it, with the machines that the file puts into it.

    gateway is None while it has none; links are the gateway's connections to circuits that have wires.
    oversize: what the gateway says about packets that are too long for it.
    """

    ordered: VirtualNetwork
    gateway: Gateway | None
    links: tuple[Connection, ...]
    hosts: Mapping[str, Sequence[Address]]
    announced: tuple[Network, ...]
    oversize: Oversize = "icmp"

    @property
    def name(self) -> str:
        """The virtual network's name."""
        return self.ordered.name

    @property
    def gateway_subnets(self) -> tuple[Network, ...]:
        """The GatewaySubnet, one per IP version; empty without a gateway."""
        return self.gateway.subnets if self.gateway is not None else ()

    def gateway_addresses(self, instance: int) -> tuple[Interface, ...]:
        """A gateway instance's addresses in the GatewaySubnet."""
        return tuple(at(subnet, gateway_offsets(subnet)[instance]) for subnet in self.gateway_subnets)

    @property
    def gateway_caps(self) -> tuple[RateCap, ...]:
        """What an instance of the gateway passes on; empty without a gateway."""
        return gateway_caps(self.gateway) if self.gateway is not None else ()

    def link_to(self, circuit: str) -> Connection | None:
        """The connection to a circuit, or None."""
        return next((link for link in self.links if link.circuit == circuit), None)

    def msee_addresses(self, link: Connection, number: int) -> tuple[Interface, ...]:
        """Addresses of MSEE 1 or 2 of a connection's circuit in the GatewaySubnet."""
        return tuple(
            at(subnet, msee_offsets(subnet)[link.slot][number - 1]) for subnet in self.gateway_subnets
        )


def plan_vnets(topology: Topology, state: State) -> tuple[VnetPlan, ...]:
    """The plans of all virtual networks, in the order in which they were made."""
    return tuple(_plan(topology, state, vnet) for vnet in state.vnets.values())


def _plan(topology: Topology, state: State, vnet: VirtualNetwork) -> VnetPlan:
    gateway = state.gateway_of(vnet.name)
    spec = topology.vnets.get(vnet.name)
    links = state.joined_by(gateway.name) if gateway is not None else ()
    return VnetPlan(
        vnet,
        gateway,
        links,
        spec.hosts if spec is not None else {},
        gateway_prefixes(state, gateway) if gateway is not None else (),
        spec.oversize if spec is not None else "icmp",
    )


def router_addresses(space: Iterable[Network], instance: int) -> tuple[Interface, ...]:
    """A gateway instance on the machines' LAN: the first or second of Azure's reserved addresses."""
    return tuple(at(network, 1 + instance) for network in space)


def build_vnets(
    parts: Parts,
    vnets: tuple[VnetPlan, ...],
    orders: tuple[CircuitOrder, ...],
    vpns: Sequence[tuple[VpnPlan, int]],
) -> None:
    """Add every virtual network: gateways, the switch with both LANs, machines.

    vpns: tunnels, each with the AS number of the site at its other end.
    """
    by_name = {order.name: order for order in orders}
    for vnet in vnets:
        own = [one for one in vpns if one[0].vnet == vnet.name]
        _build(parts, vnet, by_name, own if vnet.gateway is not None else ())


def _build(
    parts: Parts, vnet: VnetPlan, orders: dict[str, CircuitOrder], vpns: Sequence[tuple[VpnPlan, int]]
) -> None:
    switch = names.vnet_switch(vnet.name)
    space = vnet.ordered.address_space
    gateway_ports: list[str] = []
    vnet_ports: list[str] = []
    vpn_instances = [tuple(plan for plan, _ in vpns if plan.instance == number) for number in (0, 1)]
    for instance in (0, 1) if vnet.gateway is not None else ():
        node = names.gateway(vnet.name, instance)
        _gateway(parts, vnet, instance, orders, vpn_instances)
        for bridge, ports in ((names.GATEWAY_BRIDGE, gateway_ports), (names.VNET_BRIDGE, vnet_ports)):
            port = f"{bridge}.{instance}"
            ports.append(port)
            parts.link(f"{node}-{bridge}", (node, names.wire_of(bridge)), (switch, port))
    for plans in filter(None, vpn_instances):
        subnet = next(one for one in vnet.gateway_subnets if one.version == 4)
        instances_v4 = tuple(
            next(one for one in vnet.gateway_addresses(number) if one.version == 4) for number in (0, 1)
        )
        asns = tuple(asn for plan, asn in vpns if plan in plans)
        for bridge, port in build_gateway(parts, plans, asns, subnet, space, vnet.announced, instances_v4):
            (gateway_ports if bridge == names.GATEWAY_BRIDGE else vnet_ports).append(port)
    for link in vnet.links:
        order = orders[link.circuit]
        for one in order.connections:
            port = f"{names.short(order.name, names.MAX_DEVICE - 2)}.{one.number}"
            gateway_ports.append(port)
            parts.link(
                f"{names.circuit_link(order.name, one.name)}-{vnet.name}",
                (names.vrf(one.msee, order.name, "private"), names.short(vnet.name, names.MAX_DEVICE)),
                (switch, port),
            )
            if link.fastpath:
                port = f"{names.short(order.name, names.MAX_DEVICE - 3)}.{one.number}f"
                vnet_ports.append(port)
                parts.link(
                    f"{names.circuit_link(order.name, one.name)}-{vnet.name}.fast",
                    (names.vrf(one.msee, order.name, "private"), names.fast_device(vnet.name)),
                    (switch, port),
                )
    instances = (0, 1) if vnet.gateway is not None else ()
    routers = tuple(a.ip for instance in instances for a in router_addresses(space, instance))
    for host, addresses in vnet.hosts.items():
        port = names.short(host, names.MAX_DEVICE)
        vnet_ports.append(port)
        parts.link(host, (host, names.HOST_DEVICE), (switch, port))
        parts.host(host, "cloud", addresses, space, routers)
    bridges = ((names.GATEWAY_BRIDGE, tuple(gateway_ports)), (names.VNET_BRIDGE, tuple(vnet_ports)))
    parts.switches.append(Switch(switch, switch, bridges))
    parts.node(switch, "switch", "cloud")


def _gateway(
    parts: Parts,
    vnet: VnetPlan,
    instance: int,
    orders: dict[str, CircuitOrder],
    vpns: Sequence[tuple[VpnPlan, ...]],
) -> None:
    """One gateway instance, AS 65515: announces the address space, learns the customer's prefixes."""
    node = names.gateway(vnet.name, instance)
    own = vnet.gateway_addresses(instance)
    sessions = []
    for link in vnet.links:
        order = orders[link.circuit]
        for one in order.connections:
            name = names.session(order.name, one.name)
            for local, neighbor in zip(own, vnet.msee_addresses(link, one.number), strict=True):
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
                            local_pref=BASE_LOCAL_PREF + link.weight if link.weight else None
                        ),
                        timers=INTERNAL_TIMERS,
                        exports=_exports(vnet, link),
                        allow_own_as=True,
                    )
                )
    for plans in filter(None, vpns):
        sessions += [
            gateway_session(plans[0], subnet, local)
            for subnet, local in zip(vnet.gateway_subnets, own, strict=True)
            if subnet.version == 4
        ]
    vrf = Vrf(
        node,
        node,
        parts.numbering.router_id(node),
        interfaces=(
            _limited(names.GATEWAY_BRIDGE, own),
            _limited(names.VNET_BRIDGE, router_addresses(vnet.ordered.address_space, instance)),
        ),
        sessions=tuple(sessions),
        originates=tuple(Originate(network) for network in vnet.announced),
        rate_caps=vnet.gateway_caps,
        no_fragments=NoFragments(GATEWAY_MTU, vnet.oversize == "icmp"),
    )
    parts.router(Router(node, node, vrfs=(vrf,)), "gateway", "cloud")


def _limited(device: str, addresses: tuple[Interface, ...]) -> PlainInterface:
    """An interface that sends no packet above 1,400 octets, so that the gateway passes none (facts 10.1)."""
    return PlainInterface(device, addresses, GATEWAY_MTU, names.wire_of(device))


def _exports(vnet: VnetPlan, link: Connection) -> ExportPolicy:
    """The address space with the communities that this connection was made with (facts 3.7)."""
    attach = vnet_communities(vnet.ordered, link)
    return ExportPolicy(attach=attach, attach_to=vnet.ordered.address_space if attach else ())
