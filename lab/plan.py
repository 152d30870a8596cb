"""Wanted against found: an ordered list of typed steps. Pure.

Deletions come first, from the last tier to the first, then creations and changes from the first tier
to the last. A stage holds steps that do not depend on each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edge.net.objects import TIERS, Change, KernelObject, Namespace, tier_of

_TITLES = (
    "namespaces",
    "namespace settings",
    "links and bridges",
    "subinterfaces",
    "bridge ports",
    "tags",
    "devices up",
    "addresses",
    "routes",
    "packet rules",
    "BIRD",
)
_OUTLIVE_NAMESPACE = ("namespace", "veth", "tags", "virtual-circuit", "bird")
"""Kinds that do not vanish with a namespace: a wire has a second end, tags are entries of a map that all
namespaces share, BIRD is a process that must be stopped in order."""

assert len(_TITLES) == len(TIERS)


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps of one tier that may run together. removal: all of them take something away."""

    title: str
    removal: bool
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What must be done, in order. Empty when found is what was wanted."""

    stages: tuple[Stage, ...]

    def __bool__(self) -> bool:
        return bool(self.stages)

    @property
    def changes(self) -> tuple[Change, ...]:
        """All steps in order."""
        return tuple(change for stage in self.stages for change in stage.changes)

    def counts(self) -> dict[str, int]:
        """How many steps create, change and delete."""
        counts = {"create": 0, "change": 0, "delete": 0}
        for change in self.changes:
            counts[change.action] += 1
        return counts

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data, for `deploy --dry-run --format json`."""
        steps = [
            {
                "stage": stage.title,
                "action": change.action,
                "kind": change.subject.key[0],
                "namespace": change.subject.namespace,
                "object": str(change.subject),
            }
            for stage in self.stages
            for change in stage.changes
        ]
        return {"version": 1, "counts": self.counts(), "steps": steps}


def diff(wanted: Iterable[KernelObject], found: Iterable[KernelObject]) -> Plan:
    """The steps that turn `found` into `wanted`.

    What lies in a namespace that goes away goes with it and is not listed as steps of its own.
    """
    want = {item.key: item for item in wanted}
    have = {item.key: item for item in found}
    doomed = {item.name for key, item in have.items() if isinstance(item, Namespace) and key not in want}
    removals: dict[int, list[Change]] = defaultdict(list)
    additions: dict[int, list[Change]] = defaultdict(list)
    for key, item in have.items():
        gone_anyway = item.namespace in doomed and item.key[0] not in _OUTLIVE_NAMESPACE
        if key not in want and not gone_anyway:
            removals[tier_of(item)].append(Change(before=item, after=None))
    for key, item in want.items():
        before = have.get(key)
        if before != item:
            additions[tier_of(item)].append(Change(before=before, after=item))
    stages = [
        Stage(f"remove {_TITLES[tier]}", True, tuple(removals[tier]))
        for tier in sorted(removals, reverse=True)
    ]
    stages += [Stage(_TITLES[tier], False, tuple(additions[tier])) for tier in sorted(additions)]
    return Plan(tuple(stages))
