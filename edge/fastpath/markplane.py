"""Policies at devices in BPF: classify, mark, steer into queues, and the MSEE's knob.

One `MarkPlane` serves all devices of a lab, since interface indexes are unique over its namespaces. As the
tag plane's, its maps, programs and links are descriptors: when the process dies, the kernel stops marking.
Methods may be called from several threads; each leaves the calling thread in the namespace where it was.

What becomes of a packet is csrc/mark.bpf.c and the compiled policy (edge.qos.table); this module decides
nothing about packets. At a hook that the tag plane uses, too, marking comes first, in whatever order both
were put there (edge.fastpath.attach).
"""

from __future__ import annotations

import contextlib
import errno
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from edge.errors import CapabilityError, KernelError, UsageError
from edge.fastpath import attach as hooks
from edge.fastpath.attach import Attachment, Direction, HookKind, Place
from edge.fastpath.layout import pack_index
from edge.fastpath.markcounters import MarkCounters, MarkingCounters
from edge.fastpath.marklayout import (
    COUNTERS_IN_BLOCK,
    Marked,
    Name,
    blocks_of,
    marking_value,
    sum_blocks,
)
from edge.fastpath.marknames import Names
from edge.fastpath.marktables import Ranges, Table, Tables
from edge.fastpath.program import Loaded, shipped
from edge.fastpath.refusals import (
    already_there,
    cannot_attach,
    cannot_load,
    kernel_error,
    not_little_endian,
    not_there,
)
from edge.net.namespaces import scratch_namespace
from edge.net.objects.base import Key
from edge.net.objects.frames import Marking
from edge.qos.classes import rules_of
from edge.qos.table import compile_policy, map_value

_WORK = "marking"
_DIRECTIONS = {"ingress": Direction.INGRESS, "egress": Direction.EGRESS}


@dataclass(slots=True)
class _Hook:
    """A program on a device; `users` markings share it."""

    attachment: Attachment
    users: int = 0


@dataclass(slots=True)
class _Record:
    """A marking in the kernel. number: its entry of `markings`, value: what stands there; block: the first of
    its entries of `counters`; carried: what it counted before its policy was changed, by rule (None: no rule)
    and class."""

    obj: Marking
    index: int
    table: Table
    block: int
    number: int
    value: bytes
    carried: dict[str | None, Marked] = field(default_factory=dict)
    carried_classes: dict[str, Marked] = field(default_factory=dict)

    @property
    def hook(self) -> tuple[int, str]:
        return (self.index, self.obj.hook)

    @property
    def name(self) -> Name:
        return Name(self.number, self.table.slot)

    @property
    def blocks(self) -> int:
        return blocks_of(len(rules_of(self.obj.policy, self.obj.towards)) + 1)


class MarkPlane:
    """The marking plane of one process.

    hook: how programs are attached; `auto` takes tcx where the kernel has it, else clsact.
    Raises CapabilityError when this machine cannot run it.
    """

    def __init__(self, hook: HookKind = "auto") -> None:
        self._hook: HookKind = hook
        self._lock = threading.RLock()
        self._hooks: dict[tuple[int, str], _Hook] = {}
        self._records: dict[Key, _Record] = {}
        if sys.byteorder != "little":
            raise not_little_endian(_WORK)
        try:
            self._kernel = Loaded("mark")
        except OSError as error:
            raise cannot_load(error, _WORK) from error
        spec = shipped("mark").maps
        self._ranges = Ranges(0, spec["counters"].max_entries)
        self._numbers = Ranges(1, spec["markings"].max_entries)
        maps = self._kernel.maps
        self._tables = Tables(maps["policies"], spec["policy"], spec["policies"].max_entries)
        self._names = Names(maps["direct"], maps["named"], spec["direct"].max_entries)

    @staticmethod
    def probe(hook: HookKind = "auto") -> str | None:
        """None when the marking plane works here, else the reason in words.

        Loads the programs and attaches one to the loopback of a namespace made for that.
        """
        try:
            plane = MarkPlane(hook)
        except CapabilityError as error:
            return error.missing
        try:
            with scratch_namespace() as netns_fd:
                program = plane._kernel.programs["mark_egress"]
                hooks.attach(program, 1, Direction.EGRESS, netns_fd, hook, Place.MARK).close()
        except OSError as error:
            return cannot_attach(error)
        finally:
            plane.close()
        return None

    def add(self, obj: Marking, *, index: int, netns_fd: int) -> None:
        """Apply a policy at a device; index: its ifindex, netns_fd: its namespace.

        What `found` misses of an object added before is replaced. Raises KernelError naming the object: it
        exists already, its policy does not fit a table, or the kernel refused; nothing is left behind then.
        """
        with self._changing(obj), contextlib.ExitStack() as undo:
            if obj.key in self._records:
                if self._intact(self._records[obj.key]):
                    raise already_there()
                self.remove(obj)
            record = self._record(obj, index, undo)
            undo.callback(self._names.drop, obj, index)
            self._names.put(obj, index, record.name)
            self._use_hook(record, netns_fd)
            self._records[obj.key] = record
            undo.pop_all()

    def change(self, before: Marking, after: Marking) -> None:
        """Give a marking another policy, treatment, tree or knob while traffic flows.

        A frame sees what was there before or what is there now, never nothing or a mixture. Counters go on
        (MarkingCounters). Device, hook and tag cannot change: remove and add for that. Raises KernelError.
        """
        with self._changing(after), contextlib.ExitStack() as undo:
            known = self._records.get(before.key)
            if known is None:
                raise not_there()
            if after.key != before.key:
                words = "device, hook and tags are fixed; remove the marking and add the new one"
                raise OSError(errno.EINVAL, words)
            record = self._record(after, known.index, undo)
            self._names.put(after, known.index, record.name)
            undo.pop_all()
            self._records[after.key] = record
            self._tables.give_back(known.table)
            record.carried, record.carried_classes = self._counted(known)
            self._free(known)

    def remove(self, obj: Marking) -> None:
        """End a marking, whatever is left of it. KernelError when it is unknown."""
        with self._changing(obj):
            known = self._records.pop(obj.key, None)
            if known is None:
                raise not_there()
            self._names.drop(known.obj, known.index)
            hook = self._hooks[known.hook]
            hook.users -= 1
            if not hook.users:
                del self._hooks[known.hook]
                hook.attachment.close()
            self._tables.give_back(known.table)
            self._free(known)

    def found(self) -> set[Marking]:
        """The markings that are in force: attached, and with their policy, octet by octet, in the kernel."""
        with self._lock:
            return {record.obj for record in self._records.values() if self._intact(record)}

    def counters(self) -> MarkCounters:
        """All counters at this moment."""
        with self._lock:
            return MarkCounters(tuple(self._counters(record) for record in self._records.values()))

    def close(self) -> None:
        """Detach everything and free it. The object is of no use afterwards."""
        with self._lock:
            for hook in self._hooks.values():
                hook.attachment.close()
            self._hooks.clear()
            self._records.clear()
            self._tables.close()
            self._kernel.close()

    @contextlib.contextmanager
    def _changing(self, obj: Marking) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except OSError as error:
                raise kernel_error(obj, error) from error
            except (ValueError, UsageError) as error:
                raise KernelError(str(obj), errno.EINVAL, str(error)) from error

    def _record(self, obj: Marking, index: int, undo: contextlib.ExitStack) -> _Record:
        """Bring its policy and zeroed counters into the kernel; nothing uses them yet."""
        table = self._tables.take(map_value(compile_policy(obj.policy, obj.towards, obj.treatment)))
        undo.callback(self._tables.give_back, table)
        blocks = blocks_of(len(rules_of(obj.policy, obj.towards)) + 1)
        first = self._ranges.take(blocks)
        undo.callback(self._ranges.give_back, first, blocks)
        counters = self._kernel.maps["counters"]
        for block in range(first, first + blocks):
            counters.put(pack_index(block), bytes(counters.value_size))
        number = self._numbers.take(1)
        undo.callback(self._numbers.give_back, number, 1)
        value = marking_value(obj, first * COUNTERS_IN_BLOCK)
        self._kernel.maps["markings"].put(pack_index(number), value)
        return _Record(obj, index, table, first, number, value)

    def _free(self, record: _Record) -> None:
        self._numbers.give_back(record.number, 1)
        self._ranges.give_back(record.block, record.blocks)

    def _use_hook(self, record: _Record, netns_fd: int) -> None:
        hook = self._hooks.get(record.hook)
        if hook is None or not hook.attachment.alive():
            # Not alive: the device was deleted and made again under the same index.
            program = self._kernel.programs[f"mark_{record.obj.hook}"]
            direction = _DIRECTIONS[record.obj.hook]
            attachment = hooks.attach(program, record.index, direction, netns_fd, self._hook, Place.MARK)
            if hook is None:
                hook = self._hooks[record.hook] = _Hook(attachment)
            else:
                hook.attachment.close()
                hook.attachment = attachment
        hook.users += 1

    def _intact(self, record: _Record) -> bool:
        there = self._names.intact(record.obj, record.index, record.name)
        there = there and self._kernel.maps["markings"].get(pack_index(record.number)) == record.value
        return there and self._hooks[record.hook].attachment.alive() and self._tables.intact(record.table)

    def _counted(self, record: _Record) -> tuple[dict[str | None, Marked], dict[str, Marked]]:
        """By rule (None: no rule) and by class, with what was carried."""
        policy = record.obj.policy
        rules: dict[str | None, Marked] = {}
        classes = dict(record.carried_classes)
        blocks = range(record.block, record.block + record.blocks)
        counts = sum_blocks(self._kernel.maps["counters"].get(pack_index(block)) for block in blocks)
        for position, counted in zip([None, *rules_of(policy, record.obj.towards)], counts, strict=False):
            rule = None if position is None else policy.rules[position]
            name, class_name = (None, "default") if rule is None else (rule.name, rule.class_name)
            classes[class_name] = classes.get(class_name, Marked()) + counted
            rules[name] = rules.get(name, record.carried.get(name, Marked())) + counted
        return rules, classes

    def _counters(self, record: _Record) -> MarkingCounters:
        rules, classes = self._counted(record)
        named = {name: counts for name, counts in rules.items() if name is not None}
        return MarkingCounters.of(record.obj, named, rules[None], classes)
