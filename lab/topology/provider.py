"""The connectivity provider's fabric at each location: virtual circuits between customer and MSEEs."""

from __future__ import annotations

from collections.abc import Iterator

from edge.model import Tag
from edge.net.objects import Endpoint, VirtualCircuit
from lab.model import Fabric, Link
from lab.topology import names
from lab.topology.orders import CircuitOrder
from lab.topology.parts import Parts


def build_providers(parts: Parts, orders: tuple[CircuitOrder, ...]) -> None:
    """Add one fabric for each provider and location, and its trunks to the MSEE pair."""
    for node in dict.fromkeys(order.provider for order in orders):
        own = [order for order in orders if order.provider == node]
        customer = [connection.port for order in own for connection in order.connections]
        towards = [names.provider_port(number) for number in (1, 2)]
        circuits = tuple(vc for order in own for vc in _virtual_circuits(order))
        parts.fabrics.append(Fabric(node, node, (*customer, *towards), circuits))
        parts.node(node, "provider", "provider")
        for connection in own[0].connections:
            port = names.provider_port(connection.number)
            parts.links.append(
                Link(
                    f"{node}-{port}",
                    Endpoint(node, port),
                    Endpoint(connection.msee, own[0].msee_port),
                    trunk=True,
                )
            )


def _virtual_circuits(order: CircuitOrder) -> Iterator[VirtualCircuit]:
    """A circuit's cross-connections, each policed to the bandwidth in both directions (facts 1.2, 2).

    From a QinQ port one for each connection: the S-tag is exchanged, the C-tags pass. From a dot1q port
    one for each peering and connection: the C-tag goes in under the S-tag, and the bandwidth is that of all
    peerings together.
    """
    for connection in order.connections:
        towards = names.provider_port(connection.number)
        if order.spec.handoff.encapsulation == "qinq":
            yield VirtualCircuit(
                order.provider,
                names.circuit_link(order.name, connection.name),
                connection.port,
                (Tag(order.s_tag, order.outer_ethertype),),
                towards,
                (Tag(order.s_tag),),
                order.bandwidth_bps,
            )
            continue
        for peering in order.peerings:
            yield VirtualCircuit(
                order.provider,
                f"{order.name}-{peering.name}-{connection.name}",
                connection.port,
                (Tag(peering.spec.vlan),),
                towards,
                order.microsoft_tags(peering.spec.vlan),
                order.bandwidth_bps,
                names.circuit_link(order.name, connection.name),
            )
