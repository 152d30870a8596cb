"""The fast path's verdict on captured frames, in words: what `capture --verdict` writes beside each.

The class, the rule and the DSCP are those of the C core with the policy that holds at the place; the words
say what has come of it on this wire, and what the MSEE does next (facts 6.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from edge.fastpath.classify import Table
from edge.model import Address
from edge.qos.dissect import Seen, dissect
from edge.qos.explain import misses
from edge.qos.expressroute import DEFAULT_KNOB, at_msee
from edge.qos.model import Verdict
from edge.qos.names import dscp_words
from lab.capture import Frame
from lab.model import LabModel, PeeringName
from lab.places import Place
from lab.vantage import Applied, as_marked, destinations, vantage

ADDRESSES_KEPT = 4096
"""Addresses of which is remembered which peering leads to them."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of one frame: what judged it (None where nothing does), what it shows, the verdict."""

    applied: Applied | None
    seen: Seen
    verdict: Verdict | None

    @property
    def class_name(self) -> str:
        """Its class, empty where nothing judged it."""
        return self.verdict.class_name if self.verdict else ""


class Judge:
    """Judges frames seen at some places of a lab. Raises CapabilityError where the C core is not built."""

    def __init__(self, model: LabModel, places: Sequence[Place]) -> None:
        self.vantages = tuple(vantage(model, place) for place in places)
        self._destinations = destinations(model)
        self._tables: dict[int, Table] = {}
        self._peerings: dict[Address, PeeringName | None] = {}

    def judge(self, frames: Sequence[Frame]) -> list[Judgement]:
        """One judgement for each frame, in their order."""
        seen = [dissect(frame.data) for frame in frames]
        applied = [self._applied(frame, one) for frame, one in zip(frames, seen, strict=True)]
        verdicts: list[Verdict | None] = [None] * len(frames)
        groups: dict[int, list[int]] = {}
        for number, item in enumerate(applied):
            if item is not None:
                groups.setdefault(id(item), []).append(number)
        for numbers in groups.values():
            buffer = b"".join(frames[number].data for number in numbers)
            lengths = [len(frames[number].data) for number in numbers]
            offsets = list(accumulate(lengths, initial=0))[:-1]
            found = self._table(applied[numbers[0]]).classify(buffer, offsets, lengths)
            for number, verdict in zip(numbers, found, strict=True):
                verdicts[number] = _before_it_was_marked(applied[number], seen[number], verdict)
        return [Judgement(*one) for one in zip(applied, seen, verdicts, strict=True)]

    def _table(self, item: Applied | None) -> Table:
        assert item is not None
        # By identity: each is one of `vantages`, and a policy has many rules to be compared.
        if id(item) not in self._tables:
            changed = item.marked and item.treatment == "mark"
            policy = as_marked(item.policy) if changed else item.policy
            self._tables[id(item)] = Table(policy, item.direction, item.treatment)
        return self._tables[id(item)]

    def _peering(self, address: Address) -> PeeringName | None:
        if address not in self._peerings:
            if len(self._peerings) >= ADDRESSES_KEPT:
                self._peerings.clear()
            self._peerings[address] = self._destinations.peering(address)
        return self._peerings[address]

    def _applied(self, frame: Frame, seen: Seen) -> Applied | None:
        here = self.vantages[frame.place]
        direction = here.towards(frame.direction)
        if direction is None:
            return None
        vids = tuple(tci & 0xFFF for _, tci in seen.tags)
        if here.tagged:
            return here.tagged.get((vids, direction))
        if vids or seen.opaque:
            return None
        peering = self._peering(seen.destination if direction == "out" else seen.source)
        return None if peering is None else here.plain.get((peering, direction))


def _before_it_was_marked(applied: Applied | None, seen: Seen, verdict: Verdict) -> Verdict:
    """The verdict that made a marked frame what it is, where a rule asked for the DSCP that it came with.

    That DSCP is gone; but only a rule whose other conditions hold can have given the one that is there. Pure.
    """
    if applied is None or seen.opaque or not applied.marked or verdict.dscp == seen.dscp:
        return verdict
    for number, rule in enumerate(applied.policy.rules):
        missed = {miss.key for miss in misses(rule, seen, applied.direction)}
        if rule.dscp == seen.dscp and missed <= {"existing_dscp"}:
            queue = applied.policy.class_of(rule.class_name).queue
            return Verdict(rule.class_name, number, seen.dscp, queue)
    return verdict


def verdict_words(one: Judgement) -> str:
    """A judgement in a line; empty where nothing judges the frame. Pure."""
    if one.applied is None or one.verdict is None:
        return ""
    if one.seen.opaque:
        return f"no class: {one.seen.opaque}"
    policy, verdict = one.applied.policy, one.verdict
    rule = f"no rule of {policy.name} takes it"
    if verdict.rule is not None:
        rule = f"by rule {verdict.rule} {policy.rules[verdict.rule].name} of {policy.name}"
    heading = "towards Microsoft" if one.applied.direction == "out" else "from Microsoft"
    parts = [
        f"class {verdict.class_name}, queue {verdict.queue}, {rule}",
        f"{one.applied.peering} peering, {heading}",
        _dscp_words(one.applied, one.seen, verdict),
        _msee_words(one.applied, one.seen, verdict),
    ]
    return "; ".join(filter(None, parts))


def _dscp_words(applied: Applied, seen: Seen, verdict: Verdict) -> str:
    came, wanted = dscp_words(seen.dscp), dscp_words(verdict.dscp)
    if applied.treatment == "steer":
        return f"DSCP {came}, carried unchanged"
    if seen.dscp == verdict.dscp:
        return f"DSCP {came}"
    return f"DSCP {came}, not {wanted} as the policy marks" if applied.marked else f"DSCP {came} -> {wanted}"


def _msee_words(applied: Applied, seen: Seen, verdict: Verdict) -> str:
    if applied.direction == "in" or applied.peering == "private":
        return ""
    arrives = seen.dscp if applied.marked else verdict.dscp
    leaves = at_msee(arrives, applied.knob or DEFAULT_KNOB)
    if leaves is None:
        return "the MSEE drops it"
    if leaves == arrives:
        return f"the MSEE accepts {dscp_words(arrives)}"
    return f"the MSEE makes {dscp_words(arrives)} {dscp_words(leaves)}"
