"""Which values of a field no rule tells apart: the equivalence classes behind the flat table. Pure.

A *row* is a conjunction of one test per field (csrc/policy.h); a set of rows is an int with one bit per row.
Sweeping over a field's values gives intervals, each with the set of rows that it satisfies. Intervals with
equal sets are one class, numbered in order of appearance.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.qos.model import Direction, Hint, Policy, PortRange, Rule

if TYPE_CHECKING:
    from edge.model import Network

ANY_PORT: PortRange = (0, 65535)
ADDRESS_BITS = {4: 32, 6: 128}

Interval = tuple[int, int]
"""First value, and the first value behind it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One conjunction. outcome: 1 + position of its rule among the rules of the direction.

    ports: whether it asks for ports at all; a packet without ports satisfies only rows that do not.
    """

    outcome: int
    rule: Rule
    source_ports: PortRange
    destination_ports: PortRange
    ports: bool


@dataclass(frozen=True, slots=True)
class Sweep:
    """starts: first value of each interval, ascending from 0; classes: the class of each."""

    starts: tuple[int, ...]
    classes: tuple[int, ...]


class ClassSets:
    """The sets of rows of a field's classes, in the order of their numbers; equal sets are one class."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    def number(self, rows: int) -> int:
        """The class whose set of rows this is, a new one where there is none."""
        return self._numbers.setdefault(rows, len(self._numbers))

    @property
    def sets(self) -> list[int]:
        """Set of rows per class."""
        return list(self._numbers)


def rules_of(policy: Policy, direction: Direction) -> tuple[int, ...]:
    """Indexes into Policy.rules of the rules of this direction; outcome n is the (n-1)th of them."""
    return tuple(i for i, rule in enumerate(policy.rules) if rule.direction in ("both", direction))


def rows_of(policy: Policy, direction: Direction) -> tuple[Row, ...]:
    """The rows of a direction, in the order of the rules. `either_ports` makes two, joined by "or"."""
    rows: list[Row] = []
    for outcome, index in enumerate(rules_of(policy, direction), start=1):
        rule = policy.rules[index]
        source, destination = rule.source_ports or ANY_PORT, rule.destination_ports or ANY_PORT
        asks = not (rule.source_ports is None and rule.destination_ports is None) or bool(rule.hint)
        if rule.either_ports is None:
            rows.append(Row(outcome, rule, source, destination, asks))
            continue
        for pair in (
            (_common(source, rule.either_ports), destination),
            (source, _common(destination, rule.either_ports)),
        ):
            if pair[0][0] <= pair[0][1] and pair[1][0] <= pair[1][1]:
                rows.append(Row(outcome, rule, *pair, ports=True))
    return tuple(rows)


def _common(one: PortRange, other: PortRange) -> PortRange:
    return max(one[0], other[0]), min(one[1], other[1])


def sweep_ports(ranges: Sequence[PortRange], numbers: ClassSets) -> Sweep:
    """Classes of the 65536 ports; ranges[i] is what row i asks for."""
    return _sweep([[(first, last + 1)] for first, last in ranges], 1 << 16, numbers)


def sweep_addresses(prefixes: Sequence[Sequence[Network]], version: int, numbers: ClassSets) -> Sweep:
    """Classes of the addresses of an IP version; prefixes[i] is what row i asks for, empty for any."""
    end = 1 << ADDRESS_BITS[version]
    return _sweep([_intervals(row, version, end) for row in prefixes], end, numbers)


def _intervals(prefixes: Sequence[Network], version: int, end: int) -> list[Interval]:
    if not prefixes:
        return [(0, end)]
    found = sorted(
        (int(p.network_address), int(p.network_address) + (1 << (ADDRESS_BITS[version] - p.prefixlen)))
        for p in prefixes
        if p.version == version
    )
    joined: list[Interval] = []
    for first, behind in found:
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(behind, joined[-1][1]))
        else:
            joined.append((first, behind))
    return joined


def _sweep(rows: Iterable[Sequence[Interval]], end: int, numbers: ClassSets) -> Sweep:
    changes: dict[int, int] = {0: 0}
    for index, intervals in enumerate(rows):
        bit = 1 << index
        for first, behind in intervals:
            changes[first] = changes.get(first, 0) ^ bit
            changes[behind] = changes.get(behind, 0) ^ bit
    changes.pop(end, None)
    starts: list[int] = []
    classes: list[int] = []
    current = 0
    for start in sorted(changes):
        current ^= changes[start]
        number = numbers.number(current)
        if not classes or classes[-1] != number:
            starts.append(start)
            classes.append(number)
    return Sweep(tuple(starts), tuple(classes))


def classes_of_values(asked: Sequence[Sequence[int]], count: int, numbers: ClassSets) -> list[int]:
    """The class of each of `count` values; asked[i] are the values that row i asks for, empty for any."""
    sets = [0] * count
    everywhere = 0
    for index, values in enumerate(asked):
        if not values:
            everywhere |= 1 << index
        for value in set(values):
            sets[value] |= 1 << index
    return [numbers.number(rows | everywhere) for rows in sets]


TRAIT_PORTS, TRAIT_STUN, TRAIT_RTP = 1, 2, 4
HINT_TRAITS: dict[Hint, int] = {"": 0, "stun": TRAIT_STUN, "rtp": TRAIT_RTP}


def classes_of_traits(rows: Sequence[Row], numbers: ClassSets) -> list[int]:
    """The class of each of the eight combinations of traits (enum edge_key_flag in csrc/parse.h)."""
    asked = [HINT_TRAITS[row.rule.hint] | (TRAIT_PORTS if row.ports else 0) for row in rows]
    return [
        numbers.number(sum(1 << i for i, wants in enumerate(asked) if wants & traits == wants))
        for traits in range(8)
    ]


def cross(one: Sequence[int], other: Sequence[int], numbers: ClassSets) -> list[int]:
    """The class of each pair of classes, row by row of `one`, given their sets."""
    number = numbers.number
    return [number(a & b) for a in one for b in other]
