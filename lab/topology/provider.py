"""The connectivity provider's fabric at each site: virtual circuits between customer and MSEEs."""

from __future__ import annotations

from collections.abc import Iterator

from edge.model import Tag
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import VirtualCircuit
from lab.model import Fabric, Link
from lab.service.views import effective_mbps
from lab.topology import names
from lab.topology.link_loss import forwarded
from lab.topology.orders import CircuitOrder, ConnectionOrder
from lab.topology.parts import Parts


def build_providers(parts: Parts, orders: tuple[CircuitOrder, ...]) -> None:
    """Add one fabric for each provider and site, and its trunks to the MSEEs that its connections end at."""
    ways = [(order, one) for order in orders if order.pair is None for one in order.connections]
    for node in dict.fromkeys(one.far for _, one in ways):
        own = [(order, one) for order, one in ways if one.far == node]
        customer = dict.fromkeys(one.port for order, one in own if order.site)
        numbers = sorted({one.number for _, one in own})
        towards = [names.provider_port(number) for number in numbers]
        circuits = tuple(vc for order, one in own for vc in _virtual_circuits(order, one))
        parts.fabrics.append(Fabric(node, node, (*customer, *towards), circuits, forwarded(own)))
        parts.node(node, "provider", "provider")
        for number, port in zip(numbers, towards, strict=True):
            order, connection = next((order, one) for order, one in own if one.number == number)
            parts.links.append(
                Link(
                    f"{node}-{port}",
                    Endpoint(node, port),
                    Endpoint(connection.msee, order.msee_port),
                    trunk=True,
                )
            )


def _virtual_circuits(order: CircuitOrder, connection: ConnectionOrder) -> Iterator[VirtualCircuit]:
    """A connection's cross-connections, each policed to what the provider lets through (facts 1.2, 2).

    From a QinQ port one: the S-tag is exchanged, the C-tags pass. From a dot1q port one for each peering: the
    C-tag goes in under the S-tag, and the bandwidth is that of all peerings together. None while the provider
    has not provisioned the circuit, or has taken its part down (facts 2.1), and none to a site that is not
    there.
    """
    if not order.site or not order.ordered.provisioned:
        return
    rate_bps = effective_mbps(order.ordered) * 1_000_000
    towards = names.provider_port(connection.number)
    if order.handoff.encapsulation == "qinq":
        yield VirtualCircuit(
            connection.far,
            names.circuit_link(order.name, connection.name),
            connection.port,
            (Tag(connection.outer, order.outer_ethertype),),
            towards,
            (Tag(order.ordered.s_tag),),
            rate_bps,
        )
        return
    for peering in order.peerings:
        yield VirtualCircuit(
            connection.far,
            f"{order.name}-{peering.name}-{connection.name}",
            connection.port,
            (Tag(peering.ordered.vlan),),
            towards,
            peering.sessions[connection.name, peering.versions[0]].tags,
            rate_bps,
            names.circuit_link(order.name, connection.name),
        )
