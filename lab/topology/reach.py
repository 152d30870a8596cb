"""Global Reach: two circuits' MSEEs joined in pairs over Microsoft's backbone (facts 10.3)."""

from __future__ import annotations

from dataclasses import dataclass

from edge.model import Interface
from lab.model import ConnectionName
from lab.service.peerings import LinkSubnet, split_link_subnets
from lab.service.resources import GlobalReach
from lab.service.state import State
from lab.topology import names
from lab.topology.orders import CONNECTIONS, CircuitOrder
from lab.topology.parts import Parts

REACH_GROUP = "reach"
"""Group of the sessions between MSEEs of two circuits."""


@dataclass(frozen=True, slots=True)
class ReachSide:
    """What the MSEE of one connection of one circuit has of a Global Reach connection."""

    device: str
    session: str
    local: tuple[Interface, ...]
    neighbor: tuple[Interface, ...]


def reach_side(reach: GlobalReach, circuit: str, connection: ConnectionName) -> ReachSide:
    """One end: of each half of the tunnel's prefix the first address is the end that it was made on."""
    number = CONNECTIONS.index(connection)
    links: list[LinkSubnet] = [split_link_subnets([prefix])[number] for prefix in reach.prefixes]
    first = tuple(link.customer for link in links)
    second = tuple(link.microsoft for link in links)
    ends = (first, second) if circuit == reach.circuit else (second, first)
    return ReachSide(names.reach_device(reach.name), names.session(reach.name), *ends)


def reach_rate_bps(state: State, reach: GlobalReach) -> int:
    """What Microsoft passes on between two circuits: the bandwidth of the smaller one (facts 10.3)."""
    return min(state.circuits[name].bandwidth_mbps for name in reach.circuits) * 1_000_000


def build_reaches(parts: Parts, state: State, orders: tuple[CircuitOrder, ...]) -> None:
    """Add the wires between the private VRFs of both circuits, primary to primary."""
    by_name = {order.name: order for order in orders}
    for reach in state.reaches.values():
        a, b = (by_name[name] for name in reach.circuits)
        device = names.reach_device(reach.name)
        for one, other in zip(a.connections, b.connections, strict=True):
            parts.link(
                names.reach_link(reach.name, one.number),
                (names.vrf(one.msee, a.name, "private"), device),
                (names.vrf(other.msee, b.name, "private"), device),
            )
