"""What the marking plane counted, as data for people and for JSON. Pure.

Packets and octets are those of frames as the marked device carries them, without preamble and FCS; a GSO
frame counts as the segments that a wire would carry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edge.fastpath.marklayout import Marked
from edge.model import Tag
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import Marking


@dataclass(frozen=True, slots=True)
class RuleCounters:
    """What one rule of a policy matched."""

    name: str
    class_name: str
    counts: Marked


@dataclass(frozen=True, slots=True)
class ClassCounters:
    """What went into one class: by its rules, and for `default` by none. queue: see TrafficClass."""

    name: str
    queue: int
    counts: Marked


@dataclass(frozen=True, slots=True)
class MarkingCounters:
    """A policy at a device. Only rules that the direction has are listed.

    They count on when the policy is changed in place: classes always, rules while there is one of that name.
    """

    at: Endpoint
    hook: Literal["egress", "ingress"]
    outer: Tag | None
    policy: str
    classes: tuple[ClassCounters, ...]
    rules: tuple[RuleCounters, ...]
    unmatched: Marked
    inner: Tag | None = None

    @property
    def total(self) -> Marked:
        """Everything that came by."""
        return sum((item.counts for item in self.classes), Marked())

    @classmethod
    def of(
        cls, obj: Marking, rules: Mapping[str, Marked], unmatched: Marked, classes: Mapping[str, Marked]
    ) -> MarkingCounters:
        """From counts by the names of rules and classes."""
        names = {rule.name: rule.class_name for rule in obj.policy.rules}
        return cls(
            obj.at,
            obj.hook,
            obj.outer,
            obj.policy.name,
            tuple(
                ClassCounters(item.name, item.queue, classes.get(item.name, Marked()))
                for item in obj.policy.classes
            ),
            tuple(RuleCounters(name, names[name], counts) for name, counts in rules.items()),
            unmatched,
            obj.inner,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return {
            "at": str(self.at),
            "hook": self.hook,
            "outer": _tag_json(self.outer),
            "inner": _tag_json(self.inner),
            "policy": self.policy,
            "classes": [
                {"name": item.name, "queue": item.queue, **asdict(item.counts)} for item in self.classes
            ],
            "rules": [
                {"name": item.name, "class": item.class_name, **asdict(item.counts)} for item in self.rules
            ],
            "unmatched": asdict(self.unmatched),
        }


@dataclass(frozen=True, slots=True)
class MarkCounters:
    """All counters at one moment, in the order in which the markings were added."""

    markings: tuple[MarkingCounters, ...]

    def marking(self, obj: Marking) -> MarkingCounters | None:
        """The counters of one marking, or None."""
        place = (obj.at, obj.hook, obj.outer, obj.inner)
        return next((c for c in self.markings if (c.at, c.hook, c.outer, c.inner) == place), None)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return {"markings": [item.to_json() for item in self.markings]}


def _tag_json(tag: Tag | None) -> dict[str, str | int] | None:
    return None if tag is None else {"tpid": f"0x{tag.tpid:04x}", "vid": tag.vid}
