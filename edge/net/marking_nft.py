"""Policies at devices by nftables, where BPF is refused: a MarkPlaneLike over one table a namespace.

Changing one marking replaces its namespace's table in one transaction; the counters of that namespace begin
anew. What nftables cannot say is refused before anything is touched (edge.net.marking_rules).
"""

from __future__ import annotations

import errno
import threading

from edge.errors import EdgeError, KernelError
from edge.fastpath.markcounters import MarkCounters, MarkingCounters
from edge.fastpath.marklayout import Marked
from edge.net import marking_rules
from edge.net.nft import Nft
from edge.net.objects.base import Key
from edge.net.objects.frames import Marking
from edge.net.objects.routing import Ruleset
from edge.net.rulesets import Enter
from edge.net.spaces import MissingError
from edge.qos.classes import rules_of

_ETHERNET = 14
"""Octets that nftables does not count and a device carries."""


class NftMarkPlane:
    """The markings of the namespaces that `enter` gives. Any thread may call any method."""

    def __init__(self, enter: Enter) -> None:
        self._nft = Nft(enter)
        self._lock = threading.RLock()
        self._markings: dict[Key, tuple[int, Marking]] = {}
        self._next = 0

    def add(self, obj: Marking, *, index: int, netns_fd: int) -> None:
        """Apply a policy at a device, by its name; index and netns_fd are not needed. Raises EdgeError."""
        del index, netns_fd
        with self._lock:
            number = self._markings[obj.key][0] if obj.key in self._markings else self._next
            self._next = max(self._next, number + 1)
            self._put(obj, (number, obj))

    def change(self, before: Marking, after: Marking) -> None:
        """Give a marking another policy, treatment, tree or knob. Raises EdgeError."""
        with self._lock:
            if before.key not in self._markings:
                raise KernelError(str(after), errno.ENOENT, "it is not there; nothing to change")
            self._put(after, (self._markings[before.key][0], after))

    def remove(self, obj: Marking) -> None:
        """End a marking. Raises EdgeError."""
        with self._lock:
            if obj.key not in self._markings:
                raise KernelError(str(obj), errno.ENOENT, "it is not there; nothing to remove")
            self._put(obj, None)

    def found(self) -> set[Marking]:
        """The markings whose namespace has its table as it was put there. Raises DaemonError."""
        with self._lock:
            rulesets = {name: self._ruleset(name) for name in self._namespaces()}
            there = self._nft.found(rulesets.values(), rulesets)
            return {obj for _, obj in self._markings.values() if rulesets[obj.namespace] in there}

    def counters(self) -> MarkCounters:
        """All counters at this moment. Raises EdgeError."""
        with self._lock:
            named = {name: self._read(name) for name in self._namespaces()}
            return MarkCounters(
                tuple(_counters(number, obj, named[obj.namespace]) for number, obj in self._markings.values())
            )

    def _read(self, namespace: str) -> dict[str, tuple[int, int]]:
        try:
            return self._nft.counters(namespace)
        except MissingError:
            return {}

    def _namespaces(self) -> list[str]:
        return sorted({obj.namespace for _, obj in self._markings.values()})

    def _ruleset(self, namespace: str) -> Ruleset:
        own = [item for item in self._markings.values() if item[1].namespace == namespace]
        return Ruleset(namespace, "inet", marking_rules.TABLE, marking_rules.table(own))

    def _put(self, obj: Marking, item: tuple[int, Marking] | None) -> None:
        """Bring the table of obj's namespace about with `item` for obj; as before when it is refused."""
        words = None if item is None else marking_rules.refusal(obj)
        if words is not None:
            raise KernelError(str(obj), errno.EOPNOTSUPP, words)
        before = self._markings.pop(obj.key, None)
        if item is not None:
            self._markings[obj.key] = item
        ruleset = self._ruleset(obj.namespace)
        error: EdgeError | None
        (error,) = self._nft.apply([ruleset]) if ruleset.text else self._nft.delete([ruleset])
        if error is not None:
            self._markings.pop(obj.key, None)
            if before is not None:
                self._markings[obj.key] = before
            raise error


def _counters(number: int, obj: Marking, named: dict[str, tuple[int, int]]) -> MarkingCounters:
    """From the named counters of its namespace."""

    def read(outcome: int) -> Marked:
        packets, octets = named.get(marking_rules.counter(number, outcome), (0, 0))
        remarked, _ = named.get(marking_rules.counter(number, outcome, "remarked"), (0, 0))
        unknown, _ = named.get(marking_rules.counter(number, outcome, "unknown"), (0, 0))
        return Marked(
            packets,
            octets + packets * _ETHERNET,
            remarked + (unknown if obj.msee == "remark" else 0),
            unknown if obj.msee == "drop" else 0,
            unknown,
        )

    unmatched = read(0)
    rules: dict[str, Marked] = {}
    classes = {"default": unmatched}
    for outcome, position in enumerate(rules_of(obj.policy, obj.towards), start=1):
        rule, counted = obj.policy.rules[position], read(outcome)
        rules[rule.name] = rules.get(rule.name, Marked()) + counted
        classes[rule.class_name] = classes.get(rule.class_name, Marked()) + counted
    return MarkingCounters.of(obj, rules, unmatched, classes)
