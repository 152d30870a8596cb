"""The MSEE pairs: one VRF for each circuit and peering, with the policies of Microsoft's edge."""

from __future__ import annotations

from dataclasses import replace

from edge.model import (
    GATEWAY_ASN,
    MSEE_ASN,
    Address,
    ExportPolicy,
    ImportPolicy,
    Interface,
    Network,
    PlainInterface,
    Port,
    PortQueues,
    Qos,
    RateCap,
    Router,
    Session,
    SourceFilter,
    StaticRoute,
    Steering,
    Subinterface,
    Tag,
    Timers,
    Vrf,
)
from edge.net.objects.frames import TREES_MAX
from edge.qos.profiles import MSEE_PROFILE, profile
from edge.qos.steering import by_dscp, queue_rate_bps, with_control, without_priority
from lab.model import PeeringEnd
from lab.service import limits
from lab.service.announce import announced_communities, reached_circuits, vnet_to_vnet
from lab.service.prefixes import RFC1918
from lab.service.resources import Connection
from lab.service.sessions import MseeSession
from lab.service.state import State
from lab.service.views import connection_status, gateway_prefixes, reach_status
from lab.topology import names
from lab.topology.addresses import of_version
from lab.topology.fastpath import host_routes
from lab.topology.orders import CircuitOrder, ConnectionOrder, PeeringOrder
from lab.topology.parts import BFD, INTERNAL_TIMERS, Parts
from lab.topology.reach import REACH_GROUP, ReachSide, reach_rate_bps, reach_side
from lab.topology.vnets import VnetPlan


def build_msees(
    parts: Parts,
    orders: tuple[CircuitOrder, ...],
    vnets: tuple[VnetPlan, ...],
    state: State,
    fast: dict[str, dict[str, tuple[Address, ...]]],
) -> None:
    """Add the routers of every location; one MSEE serves all providers there.

    fast: circuit -> virtual network -> its addresses on FastPath.
    """
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
                    vrfs += [
                        _vrf(parts, order, connection, p, vnets, state, fast[order.name])
                        for p in order.peerings
                    ]
        parts.router(Router(node, node, tuple(ports.values()), tuple(vrfs)), "msee", "edge")


def _with_queues(port: Port, order: CircuitOrder) -> Port:
    """The port with queues for what it sends to this circuit's customer.

    Packets of Microsoft peering go by DSCP; on private peering DSCP gives no priority (facts 6.1). A port has
    room for TREES_MAX circuits; what belongs to further ones passes it as if it had no queues.
    """
    if not order.qos.queues or len(port.queues) >= TREES_MAX:
        return port
    microsoft, private = by_dscp(), without_priority()
    policies = [
        (Tag(one.ordered.vlan), private if one.microsoft is None else microsoft) for one in order.peerings
    ]
    rate_bps = queue_rate_bps(order.port_bps)
    first = len(port.queues)
    if order.pair is not None and order.pair.encapsulation == "Dot1Q":
        # No S-tag tells which circuit a frame is of, so each peering is a tree.
        trees = [
            PortQueues(number, rate_bps, microsoft.classes, tag, (Steering(None, policy),))
            for number, (tag, policy) in enumerate(policies, first)
        ]
        return replace(port, queues=(*port.queues, *trees[: TREES_MAX - first]))
    steering = tuple(Steering(tag, policy) for tag, policy in policies)
    queues = PortQueues(first, rate_bps, microsoft.classes, Tag(order.ordered.s_tag), steering)
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
    state: State,
    fast: dict[str, tuple[Address, ...]],
) -> Vrf:
    namespace = names.vrf(connection.msee, order.name, peering.name)
    sub = Subinterface(
        f"{names.circuit_short(order.name)}.{peering.ordered.vlan}",
        order.msee_port,
        peering.sessions[connection.name, peering.versions[0]].tags,
        peering.addresses(connection.name, "microsoft"),
        qos=Qos(with_control(profile(MSEE_PROFILE)), "in", "mark") if peering.microsoft is not None else None,
        unknown_dscp=order.qos.msee if peering.microsoft is not None else None,
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
    sessions = [
        _customer(state, order, peering, peering.sessions[connection.name, version], sub.name)
        for version in peering.versions
    ]
    interfaces: list[PlainInterface] = []
    filters: tuple[SourceFilter, ...] = ()
    caps: list[RateCap] = []
    routes: tuple[StaticRoute, ...] = ()
    if peering.microsoft is None:
        for vnet in vnets:
            link = vnet.link_to(order.name)
            if link is not None:
                device = names.short(vnet.name, names.MAX_DEVICE)
                slot = vnet.msee_addresses(link, connection.number)
                interfaces.append(PlainInterface(device, slot))
                if link.fastpath:
                    interfaces.append(PlainInterface(names.fast_device(vnet.name), ()))
                    routes += host_routes(vnet.name, fast.get(vnet.name, ()))
                open_ = connection_status(state, link) == "Connected"
                prepend = peering.sessions[connection.name, peering.versions[0]].prepend
                sessions += _gateways(vnet, device, slot, open_, prepend, _towards_gateway(state, link))
        for reach in state.reaches_of(order.name):
            side = reach_side(reach, order.name, connection.name)
            interfaces.append(PlainInterface(side.device, side.local))
            sessions += _reach(side, reach_status(state, reach) == "Connected")
            caps.append(RateCap(side.device, reach_rate_bps(state, reach)))
    else:
        wire = core_link(order, connection)
        ends = parts.numbering.link(wire)
        port = f"{names.circuit_short(order.name)}.{connection.number}"
        parts.link(wire, (namespace, names.CORE_DEVICE), (names.CORE, port))
        interfaces.append(PlainInterface(names.CORE_DEVICE, ends.a))
        sessions += [
            core_session("core", names.CORE_DEVICE, ends.a, ends.b, version, ("customer",))
            for version in peering.versions
        ]
        filters = (SourceFilter(sub.name, peering.advertised),)
    return Vrf(
        f"{order.name}.{peering.name}",
        namespace,
        parts.numbering.router_id(namespace),
        subinterfaces=(sub,),
        interfaces=tuple(interfaces),
        sessions=tuple(sessions),
        routes=routes,
        source_filters=filters,
        rate_caps=tuple(caps),
    )


def _customer(
    state: State, order: CircuitOrder, peering: PeeringOrder, wanted: MseeSession, device: str
) -> Session:
    """The session to the customer (facts 2.2, 3.2-3.4, 3.6), shut when the service blocks it."""
    limit = limits.customer_prefix_limit(peering.name, order.ordered.tier, wanted.version)
    if peering.microsoft is None:
        imports = ImportPolicy(ignore_communities=True, limit=limit)
        reached = bool(reached_circuits(state, order.name))
        exports = ExportPolicy(
            originated=False,
            groups=("gateway", REACH_GROUP) if reached else ("gateway",),
            empty_private_path=True,
            prepend=wanted.prepend,
            keep_private=(REACH_GROUP,) if reached else (),
        )
    else:
        private: tuple[Network, ...] = RFC1918 if wanted.version == 4 else ()
        imports = ImportPolicy(
            prefixes=of_version(peering.advertised, wanted.version),
            refuse=private,
            refuse_default=True,
            ignore_communities=True,
            strip_private_asns=True,
            limit=limit,
        )
        exports = ExportPolicy(
            originated=False,
            groups=("core",),
            communities=announced_communities(state, order.ordered),
            prepend=wanted.prepend,
        )
    return Session(
        "customer" if wanted.version == 4 else "customer_v6",
        "customer",
        device,
        wanted.microsoft.ip,
        wanted.customer.ip,
        wanted.local_asn,
        wanted.peer_asn,
        imports=imports,
        exports=exports,
        password=wanted.shared_key,
        bfd=BFD if wanted.bfd else None,
        timers=Timers(),
        # A session above its prefix limit is dropped and tried again by the router itself.
        enabled=wanted.blocked in ("", "PrefixLimit"),
    )


def _towards_gateway(state: State, link: Connection) -> ExportPolicy:
    """What an MSEE tells a gateway: the customer's routes, those that Global Reach brings, and those of other
    networks of the circuit that may be heard (facts 9, 10.3).
    """
    others = tuple(
        prefix
        for other in state.links_of(link.circuit)
        if other.gateway != link.gateway and vnet_to_vnet(state, link.gateway, other.gateway)
        for prefix in gateway_prefixes(state, state.gateways[other.gateway])
    )
    groups = ["customer"]
    if reached_circuits(state, link.circuit):
        groups.append(REACH_GROUP)
    if not others:
        return ExportPolicy(originated=False, groups=tuple(groups))
    return ExportPolicy(originated=False, groups=(*groups, "gateway"), within=(("gateway", others),))


def _reach(side: ReachSide, connected: bool) -> list[Session]:
    """The session with the other circuit's MSEE: on-premises routes only, and never further (facts 10.3)."""
    return [
        Session(
            side.session if local.version == 4 else f"{side.session}_v6",
            REACH_GROUP,
            side.device,
            local.ip,
            neighbor.ip,
            MSEE_ASN,
            MSEE_ASN,
            exports=ExportPolicy(originated=False, groups=("customer",)),
            bfd=BFD,
            next_hop_self=True,
            enabled=connected,
        )
        for local, neighbor in zip(side.local, side.neighbor, strict=True)
    ]


def _gateways(
    vnet: VnetPlan,
    device: str,
    local: tuple[Interface, ...],
    connected: bool,
    prepend: int,
    exports: ExportPolicy,
) -> list[Session]:
    """Sessions to both instances of a gateway, over the GatewaySubnet (facts 3.2).

    Shut while the connection is NotConnected by the service's word; maintenance prepends here, too (4).
    """
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
                    exports=replace(exports, prepend=prepend),
                    timers=INTERNAL_TIMERS,
                    next_hop_self=True,
                    enabled=connected,
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
