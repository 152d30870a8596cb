"""Checks that send packets of their own, and those of whole sets: what each says, as data. Pure.

The other kinds stand in `lab.model`, which joins all of them in `Check`. Empty strings and None mean that the
check does not ask for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.model import Address, Community, Network

Way = Literal["out", "in"]
"""out: from the first host of a pair to the second; in: back."""


@dataclass(frozen=True, slots=True)
class BudgetCheck:
    """Packets between two hosts, both ways: what they may take and how many may be lost.

    latency_ms: the 95th percentile of one-way delays. jitter_ms: the greatest of RFC 3550's estimates.
    loss_percent: of all packets; where it is None and fewer than half of a way's arrive, nothing can be
    judged and the check fails. packets: how many, one every pace_ms. class_name: as clients of that class
    speak.
    """

    source: str
    target: str
    latency_ms: float | None = None
    jitter_ms: float | None = None
    loss_percent: float | None = None
    packets: int = 100
    pace_ms: float = 10.0
    class_name: str = "default"
    family: Literal[4, 6] = 4


@dataclass(frozen=True, slots=True)
class FlowCheck:
    """Packets of a class between two hosts pass `link`, with these tags, ethertypes and DSCP.

    link: a link's name, or a circuit's for the customer's end of each of its links; then any of them will do.
    tags: VLAN ids, outermost first. tpids: the ethertypes of those tags.
    """

    source: str
    target: str
    link: str
    class_name: str = "default"
    way: Way = "out"
    tags: tuple[int, ...] | None = None
    tpids: tuple[int, ...] | None = None
    dscp: int | None = None
    family: Literal[4, 6] = 4


@dataclass(frozen=True, slots=True)
class NeverCheck:
    """Packets between two hosts arrive, and none of them is on `link` (a link, a circuit or a node)."""

    source: str
    target: str
    link: str
    class_name: str = "default"
    family: Literal[4, 6] = 4


@dataclass(frozen=True, slots=True)
class QueueCheck:
    """Packets of a class leave towards `link` by the queue of that name, which drops none."""

    source: str
    target: str
    link: str
    class_name: str
    queue: str
    way: Way = "out"
    family: Literal[4, 6] = 4


@dataclass(frozen=True, slots=True)
class ThroughputCheck:
    """TCP between two hosts carries at least so much of a circuit's bandwidth, and at most so much.

    All of it crosses that circuit.

    least_bps, most_bps: figures; least_percent, most_percent: of the circuit's bandwidth at that moment.
    seconds: how long is measured.
    """

    source: str
    target: str
    circuit: str
    least_percent: float | None = None
    least_bps: int | None = None
    most_percent: float | None = None
    most_bps: int | None = None
    way: Way = "out"
    seconds: float = 2.0
    family: Literal[4, 6] = 4


@dataclass(frozen=True, slots=True)
class OutageCheck:
    """While something goes wrong, packets between two hosts stay away for most_s seconds at most.

    fault: in the words of `edgelab fault`. most_s 0: not one may be lost.
    """

    source: str
    target: str
    fault: str
    most_s: float


@dataclass(frozen=True, slots=True)
class WantedRoute:
    """A prefix, and what a route to it must have; None and () ask for nothing."""

    prefix: Network
    as_path: tuple[int, ...] | None = None
    next_hop: Address | None = None
    communities: tuple[Community, ...] = ()


@dataclass(frozen=True, slots=True)
class RoutesCheck:
    """The routes that a router chose among those of BGP; with a circuit, all that it accepted from there.

    exact: these and no others; contains: these at least; lacks: none of these.
    """

    node: str
    circuit: str = ""
    peering: Literal["private", "microsoft", ""] = ""
    family: Literal[4, 6] | None = None
    exact: tuple[WantedRoute, ...] | None = None
    contains: tuple[WantedRoute, ...] = ()
    lacks: tuple[WantedRoute, ...] = ()


@dataclass(frozen=True, slots=True)
class CommunitiesCheck:
    """The communities of a router's best route to a prefix: exactly these, at least these, none of these."""

    node: str
    prefix: Network
    exact: tuple[Community, ...] | None = None
    contains: tuple[Community, ...] = ()
    lacks: tuple[Community, ...] = ()


PairCheck = BudgetCheck | FlowCheck | NeverCheck | QueueCheck | ThroughputCheck | OutageCheck
"""Checks that name two hosts."""
