"""Wanted against found: an ordered list of typed steps. Pure.

Deletions come first, from the last tier to the first, then creations and changes from the first tier
to the last. A stage holds steps that do not depend on each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edge.net.objects.base import KernelObject
from edge.net.objects.changes import TIERS, Change, tier_of
from edge.net.objects.devices import Namespace, Sysctl
from lab.names import objects as names

_TITLES = (
    "namespaces",
    "namespace settings",
    "links and bridges",
    "subinterfaces",
    "bridge ports, rates and queues",
    "devices up",
    "addresses",
    "routes",
    "marking",
    "tags and packet rules",
    "impairments",
    "MACsec key agreement",
    "IPsec key exchange",
    "BIRD",
    "users' own routers",
    "names",
)
_OUTLIVE_NAMESPACE = (
    *("namespace", "veth", "tags", "virtual-circuit", "mka", "ike", "bird", "own-router"),
    names.KIND,
)
"""Kinds that do not vanish with a namespace: a wire has a second end, tags are entries of a map that all
namespaces share, and daemons are processes that must be stopped in order."""

_NAMES = len(TIERS)
"""The tier of what names need: last, since servers listen on addresses that are there."""

assert len(_TITLES) == _NAMES + 1


@dataclass(frozen=True, slots=True)
class Step:
    """What a person sees as one thing to do: a change, or all settings of one namespace."""

    changes: tuple[Change, ...]

    @property
    def action(self) -> str:
        """create, change or delete; change when its parts differ."""
        actions = {change.action for change in self.changes}
        return actions.pop() if len(actions) == 1 else "change"

    @property
    def words(self) -> str:
        """The object, or how many settings of which namespace."""
        subject = self.changes[0].subject
        return (
            str(subject) if len(self.changes) == 1 else f"{len(self.changes)} settings of {subject.namespace}"
        )

    def __str__(self) -> str:
        return f"{self.action} {self.words}"


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps of one tier that may run together."""

    title: str
    steps: tuple[Step, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes of all steps, in order."""
        return tuple(change for step in self.steps for change in step.changes)


@dataclass(frozen=True, slots=True)
class Plan:
    """What must be done, in order. Empty when found is what was wanted."""

    stages: tuple[Stage, ...]

    def __bool__(self) -> bool:
        return bool(self.stages)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in order."""
        return tuple(step for stage in self.stages for step in stage.steps)

    def counts(self) -> dict[str, int]:
        """How many steps create, change and delete."""
        counts = {"create": 0, "change": 0, "delete": 0}
        for step in self.steps:
            counts[step.action] += 1
        return counts

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data, for `deploy --dry-run --format json`."""
        steps = [
            {
                "stage": stage.title,
                "action": step.action,
                "kind": step.changes[0].subject.key[0],
                "namespace": step.changes[0].subject.namespace,
                "object": step.words,
            }
            for stage in self.stages
            for step in stage.steps
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
            removals[_tier(item)].append(Change(before=item, after=None))
    for key, item in want.items():
        before = have.get(key)
        if before != item:
            additions[_tier(item)].append(Change(before=before, after=item))
    stages = [
        Stage(f"remove {_TITLES[tier]}", _steps(removals[tier])) for tier in sorted(removals, reverse=True)
    ]
    stages += [Stage(_TITLES[tier], _steps(additions[tier])) for tier in sorted(additions)]
    return Plan(tuple(stages))


def _tier(item: KernelObject) -> int:
    return _NAMES if item.key[0] == names.KIND else tier_of(item)


def _steps(changes: Iterable[Change]) -> tuple[Step, ...]:
    """Settings of one namespace are one step, everything else stands alone."""
    groups: dict[tuple[str, ...], list[Change]] = {}
    for change in changes:
        subject = change.subject
        settings = isinstance(subject, Sysctl)
        groups.setdefault(("settings", subject.namespace) if settings else subject.key, []).append(change)
    return tuple(Step(tuple(group)) for group in groups.values())
