"""The provider's routers where he manages Layer 3: one for each connection, BGP on both sides (facts 1.1).

Towards the MSEE such a router has what a customer's edge has at Layer 2: subinterfaces, sessions, NAT.
Towards the site it has one untagged link with a session of its own, over which it passes on what Microsoft
announces. An any-to-any circuit has PEs that its sites do not touch: see `vpn_core`.
"""

from __future__ import annotations

from edge.model import PlainInterface, Router, Vrf
from lab.topology import names
from lab.topology.circuit_side import CircuitSide, access_session
from lab.topology.orders import CircuitOrder, ConnectionOrder
from lab.topology.parts import Parts
from lab.topology.schema import Topology


def build_provider_edges(parts: Parts, topology: Topology, orders: tuple[CircuitOrder, ...]) -> None:
    """Add the routers of every managed circuit that ends at a site. The sites' links are there already."""
    for order in orders:
        single = order.managed and order.site and not order.any_to_any
        for connection in order.connections if single else ():
            _provider_edge(parts, topology, order, connection)


def _provider_edge(
    parts: Parts, topology: Topology, order: CircuitOrder, connection: ConnectionOrder
) -> None:
    node = connection.speaker
    side = CircuitSide()
    side.add(parts, (topology.sites[order.site],), order, connection)
    ends = parts.numbering.ends_of(names.access_link(order.name, connection.number))
    access = [
        access_session(order, "site", names.ACCESS_DEVICE, local, neighbor, ("microsoft",))
        for neighbor, local in ends.pairs
    ]
    vrf = Vrf(
        node,
        node,
        parts.numbering.router_id(node),
        subinterfaces=tuple(side.subinterfaces),
        interfaces=(PlainInterface(names.ACCESS_DEVICE, ends.b),),
        sessions=(*side.sessions, *access),
        originates=tuple(side.originates.values()),
        nat=tuple(side.nat),
        firewalls=tuple(side.firewalls),
    )
    parts.router(Router(node, node, tuple(side.ports.values()), (vrf,)), "pe", "provider")
