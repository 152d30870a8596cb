"""Link-loss forwarding: a provider passes the loss of carrier at one end of a circuit on to the other.

Carriers offer it on point-to-point Ethernet, where a port at each end serves one customer; then a cut is
seen at both ends at once, and nobody waits for BFD or a hold timer. A port that several circuits share must
stay up when one of them fails, so towards it nothing is passed on: that end learns of it by BFD. Off unless
asked for: Microsoft's ports at a provider are shared, and its documents count on BFD (facts 1.1, 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lab.topology import names
from lab.topology.orders import CircuitOrder, ConnectionOrder


def forwarded(ways: Iterable[tuple[CircuitOrder, ConnectionOrder]]) -> tuple[tuple[str, str], ...]:
    """(port, port whose carrier it follows) of one fabric; ways: the circuits' connections through it."""
    return tuple(_forwarded(tuple(ways)))


def _forwarded(ways: tuple[tuple[CircuitOrder, ConnectionOrder], ...]) -> Iterator[tuple[str, str]]:
    for order, connection in ways:
        if not order.link_loss_forwarding or not order.site:
            continue
        towards = names.provider_port(connection.number)
        if len({other.name for other, one in ways if one.number == connection.number}) == 1:
            yield towards, connection.port
        if not order.line:
            # A line carries the other connection, too, which must go on.
            yield connection.port, towards
