"""Rows of counters as tables and JSON show them: queues, and markings by class or by rule. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class QueueLine:
    """A class of a port. group: whose it is among several of a port, empty for what nothing steered.

    rate_bps: what it is sure of, None where that means nothing. waiting: packets in its queue now.
    borrowed: turns in which it sent on what others left.
    """

    port: str
    group: str
    name: str
    strict: bool
    rate_bps: int | None
    packets: int
    octets: int
    drops: int
    waiting: int
    borrowed: int

    @property
    def key(self) -> tuple[str, str, str]:
        """The same class at another moment."""
        return (self.port, self.group, self.name)


@dataclass(frozen=True, slots=True)
class RuleRow:
    """What a rule matched at a device; rule is empty for a class as a whole, "(none)" for no rule.

    outer, inner: VLAN ids of the tags that the marking is for, empty for any.
    remarked: packets that left with another DSCP. unknown: with a DSCP that the service does not know, at
    an MSEE; dropped: those that it dropped therefore.
    """

    at: str
    hook: str
    outer: str
    policy: str
    class_name: str
    rule: str
    packets: int
    octets: int
    remarked: int
    unknown: int
    dropped: int
    inner: str = ""

    @property
    def where(self) -> str:
        """The device, its hook, and the tags that the marking is for."""
        tags = "/".join(filter(None, (self.outer, self.inner)))
        return f"{self.at} {self.hook}{f' under {tags}' if tags else ''}"


def by_class(markings: Iterable[Mapping[str, Any]]) -> Iterator[RuleRow]:
    """A row for each class of each marking (edge.fastpath.markcounters.MarkingCounters.to_json)."""
    for marking in markings:
        for item in marking["classes"]:
            yield _row(marking, item["name"], "", item)


def by_rule(markings: Iterable[Mapping[str, Any]]) -> Iterator[RuleRow]:
    """A row for each rule of each marking, and one for what no rule matched."""
    for marking in markings:
        for item in marking["rules"]:
            yield _row(marking, item["class"], item["name"], item)
        yield _row(marking, "default", "(none)", marking["unmatched"])


def _row(marking: Mapping[str, Any], class_name: str, rule: str, counts: Mapping[str, Any]) -> RuleRow:
    outer, inner = (str(tag["vid"]) if tag else "" for tag in (marking.get("outer"), marking.get("inner")))
    return RuleRow(
        marking["at"],
        marking["hook"],
        outer,
        marking["policy"],
        class_name,
        rule,
        counts["packets"],
        counts["bytes"],
        counts["remarked"],
        counts["unknown"],
        counts["dropped"],
        inner,
    )
