"""Which of several routes carries a packet: Azure's order, on-premises' order, and ECMP."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edge.model import MSEE_ASN, Address, Network
from lab.service.as_path import AsPath

ECMP_CIRCUITS = 4
"""Most circuits over which a VNet balances (facts 4)."""

Kind = Literal["user", "expressroute", "vpn", "internet"]

PREFERENCE: dict[Kind, int] = {"user": 0, "expressroute": 1, "vpn": 2, "internet": 3}
"""Order between routes of equal prefix: a route table of the user, ExpressRoute, VPN (facts 4: 32769
against 32768), and the way to the Internet that is there without any of them (facts 3.3, 4)."""

DEFAULT_LOCAL_PREF = 100
"""On-premises, of a route that nobody preferred (facts 4)."""

Flow = tuple[str, str, int, int, int]
"""A 5-tuple: source, destination, protocol, source port, destination port."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A route that somebody may choose.

    via: the circuit (or tunnel) it leads over. path: one of the circuit's connections. weight: of the
    connection, Azure's knob; local_pref: on-premises' knob.
    """

    prefix: Network
    via: str
    kind: Kind = "expressroute"
    as_path: AsPath = ()
    weight: int = 0
    med: int = 0
    local_pref: int = DEFAULT_LOCAL_PREF
    path: str = ""

    @property
    def neighbor_asn(self) -> int:
        """Who said the MED: the first AS behind Microsoft's own, or Microsoft."""
        return next((number for number in self.as_path if number != MSEE_ASN), MSEE_ASN)


def _best(routes: Iterable[Candidate], key: Callable[[Candidate], Any]) -> list[Candidate]:
    found = list(routes)
    least = min(map(key, found), default=None)
    return [one for one in found if key(one) == least]


def _longest(routes: Iterable[Candidate], destination: Address) -> list[Candidate]:
    there = [one for one in routes if one.prefix.version == destination.version and destination in one.prefix]
    return _best(there, lambda one: -one.prefix.prefixlen)


def _lowest_med(routes: Sequence[Candidate]) -> list[Candidate]:
    """MED decides last, and only among routes of one neighbour AS (facts, "Open points")."""
    return [
        one
        for one in routes
        if one.med == min(other.med for other in routes if other.neighbor_asn == one.neighbor_asn)
    ]


def azure_choice(routes: Iterable[Candidate], destination: Address) -> tuple[Candidate, ...]:
    """The routes by which Azure sends to an address, all of them at once; none when nothing leads there.

    In this order (facts 4): longest prefix; user before ExpressRoute before VPN before Internet; highest
    weight; shortest AS path; MED; then ECMP over at most four circuits.
    """
    best = _longest(routes, destination)
    best = _best(best, lambda one: PREFERENCE[one.kind])
    best = _best(best, lambda one: -one.weight)
    best = _best(best, lambda one: len(one.as_path))
    best = _lowest_med(best)
    circuits = list(dict.fromkeys(one.via for one in best))[:ECMP_CIRCUITS]
    return tuple(one for one in best if one.via in circuits)


def on_premises_choice(routes: Iterable[Candidate], destination: Address) -> tuple[Candidate, ...]:
    """The routes by which a customer's routers send: longest prefix, local preference, AS path, MED (4)."""
    best = _longest(routes, destination)
    best = _best(best, lambda one: -one.local_pref)
    best = _best(best, lambda one: len(one.as_path))
    return tuple(_lowest_med(best))


def pick(routes: Sequence[Candidate], flow: Flow) -> Candidate:
    """The route of one flow: the same one as long as the routes are the same (facts 4).

    Raises ValueError without routes.
    """
    if not routes:
        raise ValueError("no route leads there")
    digest = hashlib.sha256(repr(flow).encode()).digest()
    # Highest random weight: when a route goes, only the flows that were on it move.
    return max(
        routes,
        key=lambda one: hashlib.sha256(digest + f"{one.via}/{one.path}/{one.prefix}".encode()).digest(),
    )
