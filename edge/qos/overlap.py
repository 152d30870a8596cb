"""Rules that can never match, and rules that compete for the same packets. Pure.

Exact by set difference (edge.qos.boxes): a rule is shadowed when nothing is left of it after the rules above
it. A cover by one rule is always found; one by several within STEPS_MAX steps for the whole policy, after
which a rule counts as reachable.

Nearly every pair of rules is told apart by less: hulls that do not meet, or a packet at a corner of one rule
that the other does not hold. A corner that no rule above holds proves that a rule is reachable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge.qos.boxes import Box, Packet, boxes_of, contain, hold, hull, meet, merged, subtract, touch
from edge.qos.model import Policy, Rule

STEPS_MAX = 1_000_000
"""Most comparisons of boxes spent on the question whether several rules cover one: a second or two."""


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A rule that can never match. covers: the earlier rules that together take all its packets.

    Without covers the rule's own conditions contradict each other. Numbers are indexes into Policy.rules.
    """

    rule: int
    covers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two rules that both match some packet and differ in class or DSCP; the first one wins.

    exception: the second holds all packets of the first, as where a special case stands above the general.
    """

    first: int
    second: int
    exception: bool


class _Region:
    """What one rule matches.

    projections: for each dimension in which it has several intervals, those. corners: some of its packets,
    at the ends of its first and its last box.
    """

    def __init__(self, rule: Rule) -> None:
        self.boxes = boxes_of(rule)
        self.hull: Box | None = hull(self.boxes) if self.boxes else None
        dimensions = [merged(one) for one in zip(*self.boxes, strict=True)]
        self.projections = {at: found for at, found in enumerate(dimensions) if len(found) > 1}
        ends = dict.fromkeys(self.boxes[:1] + self.boxes[-1:])
        self.corners: list[Packet] = [
            tuple(interval[end if at % 2 else other] for at, interval in enumerate(box))
            for box in ends
            for end, other in ((0, 0), (1, 1), (0, 1), (1, 0))
        ]

    def meets(self, other: _Region) -> bool:
        """Whether some packet lies in both."""
        if self.hull is None or other.hull is None or not meet(self.hull, other.hull):
            return False
        for at in self.projections.keys() | other.projections.keys():
            if not touch(
                self.projections.get(at, (self.hull[at],)), other.projections.get(at, (other.hull[at],))
            ):
                return False
        return any(meet(one, two) for one in self.boxes for two in other.boxes)

    def has(self, packet: Packet) -> bool:
        """Whether the packet lies in it."""
        if self.hull is None or not hold((self.hull,), packet):
            return False
        if not all(contain(found, packet[at]) for at, found in self.projections.items()):
            return False
        return hold(self.boxes, packet)

    def inside(self, other: _Region) -> bool:
        """Whether every packet lies in the other, too."""
        if not all(map(other.has, self.corners)):
            return False
        own = set(other.boxes)
        return not _some_free([box for box in self.boxes if box not in own], (other,), None)


class _Steps:
    """Comparisons that may still be made."""

    def __init__(self, left: int) -> None:
        self.left = left


def shadowed(policy: Policy) -> tuple[Shadowed, ...]:
    """The rules that no packet can reach, in the policy's order."""
    regions = [_Region(rule) for rule in policy.rules]
    steps = _Steps(STEPS_MAX)
    found = []
    for number, region in enumerate(regions):
        covers = _covers(region, regions[:number], steps)
        if covers is not None:
            found.append(Shadowed(number, covers))
    return tuple(found)


def overlaps(policy: Policy, never: Iterable[Shadowed] | None = None) -> tuple[Overlap, ...]:
    """Pairs of rules with different verdicts that meet, without those whose second can never match.

    never: what `shadowed` says of the policy, where that is known.
    """
    rules = policy.rules
    regions = [_Region(rule) for rule in rules]
    dead = {item.rule for item in (shadowed(policy) if never is None else never)}
    return tuple(
        Overlap(first, second, regions[first].inside(regions[second]))
        for second in range(len(rules))
        if second not in dead
        for first in range(second)
        if first not in dead
        and _differ(rules[first], rules[second])
        and regions[first].meets(regions[second])
    )


def _differ(one: Rule, other: Rule) -> bool:
    return (one.class_name, one.dscp) != (other.class_name, other.dscp)


def _covers(region: _Region, earlier: Sequence[_Region], steps: _Steps) -> tuple[int, ...] | None:
    """The fewest of the earlier regions that hold all of this one; None when some packet is free."""
    if not region.boxes:
        return ()
    holding = list(range(len(earlier)))
    for packet in region.corners:
        holding = [number for number in holding if earlier[number].has(packet)]
        if not holding and not any(one.has(packet) for one in earlier):
            return None
    for number in holding:
        if region.inside(earlier[number]):
            return (number,)
    above = {number: one for number, one in enumerate(earlier) if one.meets(region)}
    if len(above) < 2 or _some_free(region.boxes, above.values(), steps):
        return None
    needed: Mapping[int, _Region] = above
    for number in above:
        fewer = {n: one for n, one in needed.items() if n != number}
        if not _some_free(region.boxes, fewer.values(), steps):
            needed = fewer
    return tuple(needed)


def _some_free(boxes: Sequence[Box], taken: Iterable[_Region], steps: _Steps | None) -> bool:
    """Whether a packet of the boxes lies in no region. Depth first: one free packet is enough.

    steps: when there are none left it is taken for granted that there is one.
    """
    if not boxes:
        return False
    if steps is not None and steps.left < 0:
        return True
    room = hull(boxes)
    every = [cut for region in taken for cut in region.boxes]
    cuts = [cut for cut in every if meet(cut, room)]
    if steps is not None:
        steps.left -= len(every)
    waiting = [(box, 0) for box in boxes]
    while waiting:
        box, begin = waiting.pop()
        at = begin
        while at < len(cuts) and not meet(box, cuts[at]):
            at += 1
        if steps is not None:
            steps.left -= 1 + at - begin
        if at == len(cuts) or (steps is not None and steps.left < 0):
            return True
        waiting += [(part, at + 1) for part in subtract(box, cuts[at])]
    return False
