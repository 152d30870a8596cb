"""Policies in the ring engine: the same packet core and tables as in BPF, the same counters.

A policy at a subinterface lives at the inner end of its veth, where directions are the other way round: what
the subinterface sends arrives there. A compiled policy goes to the engine as a memfd, which it maps.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from edge.errors import KernelError, UsageError
from edge.fastpath.markcounters import MarkCounters, MarkingCounters
from edge.fastpath.marklayout import Marked, marking_value, sum_marked, tag_numbers
from edge.fastpath.refusals import already_there, kernel_error, not_there
from edge.fastpath.ringhost import Host, Places, Where
from edge.fastpath.ringprocess import COUNTERS, Op
from edge.net.objects.base import Endpoint, Key
from edge.net.objects.frames import Marking
from edge.qos.classes import rules_of
from edge.qos.table import POLICY_SIZE, compile_policy

ARRIVING, LEAVING = 0, 1
"""enum edge_ring_stage."""

_MARK = struct.Struct("=I 4H 4x")
"""Head of struct edge_ring_mark: stage, TPID and VLAN id of two tags; an edge_marking follows."""


@dataclass(slots=True)
class _Record:
    """A marking. memory: its compiled policy as a memfd; first: of its counters; carried, carried_classes:
    what it counted before its policy was changed, by rule (None: no rule) and by class."""

    obj: Marking
    memory: int
    first: int
    installed: bool = False
    carried: dict[str | None, Marked] = field(default_factory=dict)
    carried_classes: dict[str, Marked] = field(default_factory=dict)

    def body(self, where: Where) -> bytes:
        """struct edge_ring_mark."""
        stage = LEAVING if (self.obj.hook == "egress") != where.turned else ARRIVING
        return _MARK.pack(stage, *tag_numbers(self.obj)) + marking_value(self.obj, self.first)


class RingMarks:
    """Policies at the engine's devices; the same methods as edge.fastpath.markplane.MarkPlane."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._records: dict[Key, _Record] = {}
        self._counters = Places(COUNTERS)

    def add(self, obj: Marking, *, index: int, netns_fd: int) -> None:
        """Apply a policy at a device, as soon as the engine has it. Raises KernelError."""
        with self._changing(obj):
            known = self._records.get(obj.key)
            if known is not None:
                if known.installed and self._host.engine.alive():
                    raise already_there()
                self.remove(obj)
            record = self._record(obj)
            try:
                self._install(record)
            except OSError:
                self._free(record)
                raise
            self._records[obj.key] = record

    def change(self, before: Marking, after: Marking) -> None:
        """Another policy, treatment, tree or knob while traffic flows; counters go on. Raises KernelError."""
        with self._changing(after):
            known = self._records.get(before.key)
            if known is None:
                raise not_there()
            if after.key != before.key:
                words = "device, hook and tags are fixed; remove the marking and add the new one"
                raise OSError(errno.EINVAL, words)
            record = self._record(after)
            try:
                self._install(record)
            except OSError:
                self._free(record)
                raise
            record.carried, record.carried_classes = self._counted(known)
            self._records[after.key] = record
            self._free(known)

    def remove(self, obj: Marking) -> None:
        """End a marking. KernelError when it is unknown."""
        with self._changing(obj):
            known = self._records.pop(obj.key, None)
            if known is None:
                raise not_there()
            where = self._host.where(obj.at)
            if where is not None and known.installed:
                self._host.withdraw(Op.MARK_DELETE, where.number, known.body(where))
            self._free(known)

    def found(self) -> set[Marking]:
        """The markings in force."""
        with self._host.lock:
            if not self._host.engine.alive():
                return set()
            return {record.obj for record in self._records.values() if record.installed}

    def counters(self) -> MarkCounters:
        """All counters at this moment; those of an engine that was started anew begin at zero."""
        with self._host.lock:
            found = []
            for record in self._records.values():
                rules, classes = self._counted(record)
                named = {name: counts for name, counts in rules.items() if name is not None}
                found.append(MarkingCounters.of(record.obj, named, rules[None], classes))
            return MarkCounters(tuple(found))

    def arrived(self, at: Endpoint) -> None:
        """See Stages."""
        for record in self._records.values():
            if record.obj.at == at:
                self._install(record)

    def gone(self, at: Endpoint) -> None:
        """See Stages."""
        for record in self._records.values():
            if record.obj.at == at:
                record.installed = False

    def close(self) -> None:
        """Let go of everything."""
        for record in self._records.values():
            os.close(record.memory)
        self._records.clear()

    @contextlib.contextmanager
    def _changing(self, obj: Marking) -> Iterator[None]:
        with self._host.lock:
            try:
                yield
            except OSError as error:
                raise kernel_error(obj, error) from error
            except (ValueError, UsageError) as error:
                raise KernelError(str(obj), errno.EINVAL, str(error)) from error

    def _record(self, obj: Marking) -> _Record:
        table = compile_policy(obj.policy, obj.towards, obj.treatment)
        # Says what cannot be before anything is taken.
        marking_value(obj, 0)
        tag_numbers(obj)
        first = self._counters.take(len(rules_of(obj.policy, obj.towards)) + 1)
        try:
            memory = os.memfd_create("policy", os.MFD_CLOEXEC)
        except OSError:
            self._counters.give_back(first)
            raise
        record = _Record(obj, memory, first)
        try:
            os.write(memory, table)
            os.ftruncate(memory, POLICY_SIZE)
        except OSError:
            self._free(record)
            raise
        return record

    def _install(self, record: _Record) -> None:
        where = self._host.where(record.obj.at)
        if where is not None:
            self._host.engine.ask(Op.MARK_PUT, where.number, record.body(where), record.memory)
            record.installed = True

    def _free(self, record: _Record) -> None:
        os.close(record.memory)
        self._counters.give_back(record.first)

    def _counted(self, record: _Record) -> tuple[dict[str | None, Marked], dict[str, Marked]]:
        """By rule (None: no rule) and by class, with what was carried."""
        policy = record.obj.policy
        rules: dict[str | None, Marked] = {}
        classes = dict(record.carried_classes)
        for number, position in enumerate([None, *rules_of(policy, record.obj.towards)], record.first):
            rule = None if position is None else policy.rules[position]
            name, class_name = (None, "default") if rule is None else (rule.name, rule.class_name)
            counted = sum_marked(self._host.engine.marked(number)) if record.installed else Marked()
            classes[class_name] = classes.get(class_name, Marked()) + counted
            rules[name] = rules.get(name, record.carried.get(name, Marked())) + counted
        return rules, classes
