"""ExpressRoute Direct: the MSEEs' ports of a pair, each with the policers of its circuits (facts 1.3, 10.4).

A port is a namespace of the MSEE's node: the customer's wire ends in it, and behind it a link leads to the
MSEE's routing. It passes the frames of its circuits as they are, tag for tag, and nothing else; where a
circuit is rate limited it counts and drops what is above the limit. When the wire has no carrier, the link
behind has none (`Fabric.follows`), so that the MSEE's BGP learns of a pulled cable as at a port of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from edge.model import Tag
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import VirtualCircuit
from edge.qos.steering import DIRECT_TOLERANCE_PERCENT
from lab.model import ConnectionName, Fabric, Link
from lab.service.resources import PortPair
from lab.topology import names
from lab.topology.orders import CONNECTIONS, CircuitOrder, ConnectionOrder
from lab.topology.parts import Parts


def build_pairs(parts: Parts, orders: tuple[CircuitOrder, ...]) -> None:
    """Add both ports of every pair that has circuits. The MSEEs are there already."""
    ways = [(order, one) for order in orders if order.pair is not None for one in order.connections]
    for space in dict.fromkeys(one.far for _, one in ways):
        own = [(order, one) for order, one in ways if one.far == space]
        order, connection = own[0]
        assert order.pair is not None
        name, inside = order.pair.name, names.CARD_DEVICE
        cabled = any(other.site for other, _ in own)
        enabled = order.pair.link(connection.name).admin_state == "Enabled"
        wire = (connection.device,) if cabled and enabled else ()
        keys = connection.far_keys if wire else None
        secure = ((connection.far_port, keys),) if keys is not None else ()
        parts.fabrics.append(
            Fabric(
                connection.msee,
                space,
                (*wire, *(name for name, _ in secure), *((inside,) if cabled else ())),
                tuple(vc for other, one in own for vc in _virtual_circuits(other, one)),
                ((inside, connection.device),) if cabled else (),
                secure,
            )
        )
        parts.links.append(
            Link(
                names.card_link(name, connection.name),
                Endpoint(space, inside),
                Endpoint(connection.msee, order.msee_port),
                trunk=True,
            )
        )
        _join(parts, connection.msee, space)


def port_of(pair: PortPair, connection: ConnectionName) -> Endpoint:
    """The device of one link of a pair at the MSEE; it is there when the pair has circuits and is wired."""
    number = CONNECTIONS.index(connection) + 1
    card = names.pair_card(names.msee(pair.location, number), pair.name)
    return Endpoint(card, names.pair_port(pair.name, number))


def _join(parts: Parts, node: str, namespace: str) -> None:
    """One more namespace of a node."""
    number = next(n for n, one in enumerate(parts.nodes) if one.name == node)
    known = parts.nodes[number]
    parts.nodes[number] = replace(known, namespaces=(*known.namespaces, namespace))


def _virtual_circuits(order: CircuitOrder, connection: ConnectionOrder) -> Iterator[VirtualCircuit]:
    """What of a circuit passes one port: its S-tag, on Dot1Q its C-tags, which share the circuit's limit.

    Each link carries up to the bandwidth, shared by the peerings (facts 10.4 and its open point).
    """
    if not order.site:
        return
    rate_bps = order.bandwidth_bps if order.ordered.rate_limit else None
    tolerance = DIRECT_TOLERANCE_PERCENT if order.ordered.rate_limit else 0
    wire = names.circuit_link(order.name, connection.name)
    stacks: list[tuple[str, tuple[Tag, ...], str]] = [(wire, (Tag(order.ordered.s_tag),), "")]
    if order.handoff.encapsulation == "dot1q":
        stacks = [
            (f"{order.name}-{peering.name}-{connection.name}", (Tag(peering.ordered.vlan),), wire)
            for peering in order.peerings
        ]
    for name, tags, policer in stacks:
        yield VirtualCircuit(
            connection.far,
            name,
            connection.far_port,
            tags,
            names.CARD_DEVICE,
            tags,
            rate_bps,
            policer if rate_bps is not None else "",
            tolerance,
        )
