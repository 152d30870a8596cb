"""Who has which address in a GatewaySubnet: two gateway instances, a pair of MSEEs for each connection.

Azure gives these addresses itself and documents none of them; only how many fit is said (facts 10.1: a /27
or larger, a /26 for 16 circuits, a /29 is possible). The places are ours, and stay with a connection for
life (`Connection.slot`), so that no connection is renumbered when another goes.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge.model import Network

GATEWAYS = (12, 13)
"""The two gateway instances."""

SMALL = 16
"""Addresses of a subnet in which the usual places exist; a smaller one has its own."""

SMALL_GATEWAYS, SMALL_MSEES = (5, 6), ((1, 2), (3, 4))

FIRST, LAST = 4, 62
"""MSEEs stand from the first to before the last, around the gateways."""


def gateway_offsets(subnet: Network) -> tuple[int, int]:
    """Where the two instances stand, counted from the subnet's own address."""
    return GATEWAYS if subnet.num_addresses >= SMALL else SMALL_GATEWAYS


def msee_offsets(subnet: Network) -> tuple[tuple[int, int], ...]:
    """The places of MSEE 1 and 2, a pair for each connection that fits."""
    if subnet.num_addresses < SMALL:
        return SMALL_MSEES
    places = [n for n in range(FIRST, min(LAST, subnet.num_addresses - 1)) if n not in GATEWAYS]
    return tuple(zip(places[::2], places[1::2], strict=False))


def room(subnets: Iterable[Network]) -> int:
    """How many connections fit into a gateway's subnets."""
    return min(len(msee_offsets(subnet)) for subnet in subnets)
