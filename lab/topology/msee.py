"""The MSEE pairs: one VRF for each circuit and peering, with the policies of Microsoft's edge."""

from __future__ import annotations

from dataclasses import replace

from edge.model import (
    GATEWAY_ASN,
    MSEE_ASN,
    ExportPolicy,
    ImportPolicy,
    Interface,
    Network,
    PlainInterface,
    Port,
    PortQueues,
    Qos,
    Router,
    Session,
    SourceFilter,
    Steering,
    Subinterface,
    Tag,
    Timers,
    Vrf,
)
from edge.net.objects import TREES_MAX
from edge.qos.profiles import MSEE_PROFILE, profile
from edge.qos.steering import by_dscp, queue_rate_bps, with_control, without_priority
from lab.model import PeeringEnd
from lab.service import limits, services
from lab.service.prefixes import RFC1918
from lab.topology import names
from lab.topology.addresses import of_version
from lab.topology.orders import CircuitOrder, ConnectionOrder, PeeringOrder
from lab.topology.parts import BFD, INTERNAL_TIMERS, Parts
from lab.topology.vnets import VnetPlan


def build_msees(parts: Parts, orders: tuple[CircuitOrder, ...], vnets: tuple[VnetPlan, ...]) -> None:
    """Add the routers of every location; one MSEE serves all providers there."""
    pairs = [connection.msee for order in orders for connection in order.connections]
    for node in dict.fromkeys(pairs):
        ports: dict[str, Port] = {}
        vrfs = []
        for order in orders:
            for connection in order.connections:
                if connection.msee == node:
                    ports[order.msee_port] = _with_queues(
                        ports.get(order.msee_port, Port(order.msee_port)), order
                    )
                    vrfs += [_vrf(parts, order, connection, p, vnets) for p in order.peerings]
        parts.router(Router(node, node, tuple(ports.values()), tuple(vrfs)), "msee", "edge")


def _with_queues(port: Port, order: CircuitOrder) -> Port:
    """The port with queues for what it sends to this circuit's customer.

    Packets of Microsoft peering go by DSCP; on private peering DSCP gives no priority (facts 6.1). A port has
    room for TREES_MAX circuits; what belongs to further ones passes it as if it had no queues.
    """
    if not order.spec.qos.queues or len(port.queues) >= TREES_MAX:
        return port
    microsoft, private = by_dscp(), without_priority()
    steering = tuple(
        Steering(Tag(peering.spec.vlan), private if peering.microsoft is None else microsoft)
        for peering in order.peerings
    )
    rate_bps = queue_rate_bps(order.bandwidth_bps)
    queues = PortQueues(len(port.queues), rate_bps, microsoft.classes, Tag(order.s_tag), steering)
    return replace(port, queues=(*port.queues, queues))


def core_link(order: CircuitOrder, connection: ConnectionOrder) -> str:
    """Name of the link between a Microsoft peering's VRF and Microsoft's core."""
    return f"{names.circuit_link(order.name, connection.name)}-core"


def _vrf(
    parts: Parts,
    order: CircuitOrder,
    connection: ConnectionOrder,
    peering: PeeringOrder,
    vnets: tuple[VnetPlan, ...],
) -> Vrf:
    namespace = names.vrf(connection.msee, order.name, peering.name)
    vlan = peering.spec.vlan
    sub = Subinterface(
        f"{names.circuit_short(order.name)}.{vlan}",
        order.msee_port,
        order.microsoft_tags(vlan),
        peering.addresses(connection.name, "microsoft"),
        qos=Qos(with_control(profile(MSEE_PROFILE)), "in", "mark") if peering.microsoft is not None else None,
        unknown_dscp=order.spec.qos.msee if peering.microsoft is not None else None,
    )
    parts.ends.append(
        PeeringEnd(
            order.name,
            peering.name,
            connection.name,
            connection.msee,
            namespace,
            sub.name,
            "microsoft",
            sub.tags,
            sub.addresses,
        )
    )
    sessions = [_customer(order, connection, peering, sub.name, version) for version in peering.versions]
    interfaces: list[PlainInterface] = []
    filters: tuple[SourceFilter, ...] = ()
    if peering.microsoft is None:
        for vnet in vnets:
            slot = vnet.msee_addresses(order.name, connection.number)
            if slot:
                device = names.short(vnet.name, names.MAX_DEVICE)
                interfaces.append(PlainInterface(device, slot))
                sessions += _gateways(vnet, device, slot)
    else:
        link = core_link(order, connection)
        ends = parts.numbering.link(link)
        port = f"{names.circuit_short(order.name)}.{connection.number}"
        parts.link(link, (namespace, names.CORE_DEVICE), (names.CORE, port))
        interfaces.append(PlainInterface(names.CORE_DEVICE, ends.a))
        sessions += [
            core_session("core", names.CORE_DEVICE, ends.a, ends.b, version, ("customer",))
            for version in peering.versions
        ]
        filters = (SourceFilter(sub.name, tuple(peering.microsoft.advertised_public_prefixes)),)
    return Vrf(
        f"{order.name}.{peering.name}",
        namespace,
        parts.numbering.router_id(namespace),
        subinterfaces=(sub,),
        interfaces=tuple(interfaces),
        sessions=tuple(sessions),
        source_filters=filters,
    )


def _customer(
    order: CircuitOrder, connection: ConnectionOrder, peering: PeeringOrder, device: str, version: int
) -> Session:
    """The session to the customer (facts 2.2, 3.2-3.4, 3.6)."""
    ends = peering.ends[connection.name, version]
    limit = limits.customer_prefix_limit(peering.name, order.spec.sku.tier, version)
    if peering.microsoft is None:
        imports = ImportPolicy(ignore_communities=True, limit=limit)
        exports = ExportPolicy(originated=False, groups=("gateway",), empty_private_path=True)
    else:
        private: tuple[Network, ...] = RFC1918 if version == 4 else ()
        imports = ImportPolicy(
            prefixes=of_version(peering.microsoft.advertised_public_prefixes, version),
            refuse=private,
            refuse_default=True,
            ignore_communities=True,
            strip_private_asns=True,
            limit=limit,
        )
        communities = services.resolve_filter(peering.microsoft.route_filter)
        exports = ExportPolicy(originated=False, groups=("core",), communities=communities)
    return Session(
        "customer" if version == 4 else "customer_v6",
        "customer",
        device,
        ends.microsoft.ip,
        ends.customer.ip,
        MSEE_ASN,
        peering.spec.peer_asn,
        imports=imports,
        exports=exports,
        password=peering.spec.shared_key,
        bfd=BFD if peering.spec.bfd else None,
        timers=Timers(),
    )


def _gateways(vnet: VnetPlan, device: str, local: tuple[Interface, ...]) -> list[Session]:
    """Sessions to both instances of a gateway, over the GatewaySubnet (facts 3.2)."""
    found = []
    for own in local:
        for instance in (0, 1):
            neighbor = next(a for a in vnet.gateway_addresses(instance) if a.version == own.version)
            name = names.identifier(names.gateway(vnet.name, instance))
            found.append(
                Session(
                    name if own.version == 4 else f"{name}_v6",
                    "gateway",
                    device,
                    own.ip,
                    neighbor.ip,
                    MSEE_ASN,
                    GATEWAY_ASN,
                    imports=ImportPolicy(limit=limits.gateway_prefix_limit(own.version)),
                    exports=ExportPolicy(originated=False, groups=("customer",)),
                    timers=INTERNAL_TIMERS,
                    next_hop_self=True,
                )
            )
    return found


def core_session(
    name: str,
    device: str,
    local: tuple[Interface, ...],
    neighbor: tuple[Interface, ...],
    version: int,
    groups: tuple[str, ...],
) -> Session:
    """iBGP inside AS 12076 between an MSEE's VRF and the core; `groups` are passed on, own routes too."""
    here = next(a for a in local if a.version == version)
    there = next(a for a in neighbor if a.version == version)
    return Session(
        name if version == 4 else f"{name}_v6",
        "core",
        device,
        here.ip,
        there.ip,
        MSEE_ASN,
        MSEE_ASN,
        exports=ExportPolicy(groups=groups),
        bfd=BFD,
        next_hop_self=True,
    )
