"""Markings at the devices of a namespace, read from outside: by the kernel's numbers, not by any file.

device -> programs at its hooks (tcx, clsact) -> their maps -> markings -> compiled policies -> counters

The maps say device, tag, queue tree and knob, and by number what was counted; names are those of a policy
that compiles to the same octets (edge.qos.recognise), or there are none. What another version of the program
made is told, not guessed at. Counts are those since a marking got the policy that it has now.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from edge.fastpath import clsact
from edge.fastpath.attach import Direction
from edge.fastpath.bpfids import OpenedMap, program, programs_at
from edge.fastpath.layout import pack_index, unpack_index
from edge.fastpath.markcounters import ClassCounters, MarkingCounters, RuleCounters
from edge.fastpath.marklayout import (
    COUNTERS_IN_BLOCK,
    HOOKS,
    KNOBS,
    Marked,
    Name,
    ReadMarking,
    blocks_of,
    direct_owner,
    read_direct,
    read_key,
    read_marking,
    sum_blocks,
)
from edge.fastpath.program import shipped
from edge.model import Tag
from edge.net.netlink import RouteSocket
from edge.net.objects.base import Endpoint
from edge.qos.names import dscp_name
from edge.qos.recognise import Outcome, Recognised, outcomes

Hook = Literal["egress", "ingress"]
_DIRECTIONS: Mapping[Hook, Direction] = {"egress": Direction.EGRESS, "ingress": Direction.INGRESS}
_NAME = "edge_mark_"
_NO_TCX = (errno.EINVAL, errno.EOPNOTSUPP)
_NOT_ALLOWED = (errno.EPERM, errno.EACCES)


@dataclass(frozen=True, slots=True)
class Steering:
    """Into which tree a marking steers, and what its classes are called by queue, where that is known."""

    tree: int
    names: Mapping[int, str]


@dataclass(slots=True)
class MarkReading:
    """What was found. notes: what could not be read, in words."""

    markings: list[MarkingCounters] = field(default_factory=list)
    steering: list[Steering] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class MarkReader:
    """Reads again and again; policies that were recognised once are not looked at anew.

    recognise: the policy of a table, or None.
    """

    def __init__(self, recognise: Callable[[bytes], Recognised | None]) -> None:
        self._recognise = recognise
        self._known: dict[bytes, Recognised | None] = {}

    def read(self, devices: Mapping[int, str]) -> MarkReading:
        """The markings at devices (ifindex -> name) of the calling thread's namespace. Raises OSError."""
        found = MarkReading()
        with contextlib.ExitStack() as stack:
            planes: dict[int, _Plane | None] = {}
            try:
                route = stack.enter_context(RouteSocket())
                for index, device in devices.items():
                    for hook, direction in _DIRECTIONS.items():
                        for number in _programs(index, direction, route):
                            if number not in planes:
                                planes[number] = _opened(number, stack, found.notes)
                            plane = planes[number]
                            if plane is not None:
                                self._read(plane, index, device, hook, found)
            except OSError as error:
                if error.errno not in _NOT_ALLOWED:
                    raise
                found.notes.append("markings cannot be read without rights; run as root")
        return found

    def _read(self, plane: _Plane, index: int, device: str, hook: Hook, found: MarkReading) -> None:
        for (outer, inner), led in plane.names(index, hook):
            marking, table = plane.marking(led.number), plane.table(led.policy)
            if marking is None or table is None:
                # Changed between two looks at it.
                continue
            verdicts = outcomes(table)
            if table not in self._known:
                self._known[table] = self._recognise(table)
            known = self._known[table]
            counts = plane.counted(marking.counters, len(verdicts))
            at = Endpoint("", device)
            name = _policy_name(known, marking.knob)
            counters = _counters(at, hook, name, known, verdicts, counts)
            found.markings.append(replace(counters, outer=outer, inner=inner))
            if marking.tree is not None:
                names = {item.queue: item.name for item in known.policy.classes} if known else {}
                found.steering.append(Steering(marking.tree, names))


@dataclass(frozen=True, slots=True)
class _Plane:
    """The maps of a marking plane."""

    maps: Mapping[str, OpenedMap]

    def names(self, index: int, hook: Hook) -> Iterator[tuple[tuple[Tag | None, Tag | None], Name]]:
        """Tags, the outermost first, and what leads to the markings of a device at a hook."""
        wanted = direct_owner(index, hook)
        direct = self.maps["direct"]
        value = direct.get(pack_index(wanted % direct.max_entries))
        if value is not None:
            owner, name = read_direct(value)
            if owner == wanted and name.number:
                yield (None, None), name
        for key, named in self.maps["named"].items():
            at, at_hook, *tags = read_key(key)
            if (at, at_hook) == (index, HOOKS[hook]):
                yield (tags[0], tags[1]), Name.read(named)

    def marking(self, number: int) -> ReadMarking | None:
        value = self.maps["markings"].get(pack_index(number))
        return None if value is None else read_marking(value)

    def table(self, slot: int) -> bytes | None:
        """A compiled policy; None when it has gone meanwhile."""
        number = self.maps["policies"].get(pack_index(slot))
        if number is None:
            return None
        try:
            held = OpenedMap(unpack_index(number))
        except FileNotFoundError:
            return None
        try:
            return held.get(pack_index(0))
        finally:
            held.close()

    def counted(self, first: int, outcomes: int) -> list[Marked]:
        begin = first // COUNTERS_IN_BLOCK
        blocks = range(begin, begin + blocks_of(outcomes))
        return sum_blocks(self.maps["counters"].get(pack_index(block)) for block in blocks)[:outcomes]


def _programs(index: int, direction: Direction, route: RouteSocket) -> Iterator[int]:
    attach_type, parent = direction.value
    try:
        yield from programs_at(index, attach_type)
    except OSError as error:
        if error.errno not in _NO_TCX:
            raise
    for message in route.dump(clsact.dump_filters(index, parent)):
        number = clsact.parse_program(message.payload)
        if number is not None:
            yield number


def _opened(number: int, stack: contextlib.ExitStack, notes: list[str]) -> _Plane | None:
    """The plane that a program belongs to; None when it is no marking program, or not one of our version."""
    try:
        told = program(number)
        if not told.name.startswith(_NAME):
            return None
        maps = {}
        for one in told.maps:
            opened = OpenedMap(one)
            stack.callback(opened.close)
            maps[opened.name] = opened
    except FileNotFoundError:
        return None
    wanted = {
        name: (spec.kind, spec.key_size, spec.value_size, spec.max_entries)
        for name, spec in shipped("mark").maps.items()
        if name in ("markings", "direct", "named", "policies", "counters")
    }
    there = {
        name: (item.kind, item.key_size, item.element_size, item.max_entries)
        for name, item in maps.items()
        if name in wanted
    }
    if there != wanted:
        notes.append(f"program {number} ({told.name}) was made by another version of edge; use that one")
        return None
    return _Plane(maps)


def _policy_name(known: Recognised | None, knob: int) -> str:
    """The names that fit, not all where they are many. What only the knob tells apart is told apart by it."""
    if known is None:
        return ""
    by_knob = [f"msee-{name}" for name, number in KNOBS.items() if name and number == knob]
    names = known.names if len(known.names) <= 2 else (known.names[0], "alike")
    return next((name for name in by_knob if name in known.names), " or ".join(names))


def _counters(
    at: Endpoint,
    hook: Hook,
    name: str,
    known: Recognised | None,
    verdicts: tuple[Outcome, ...],
    counts: list[Marked],
) -> MarkingCounters:
    def class_name(outcome: Outcome) -> str:
        if known is None:
            return f"queue {outcome.queue}"
        rules = known.policy.rules
        return "default" if outcome.rule is None else rules[outcome.rule].class_name

    def rule_name(outcome: Outcome) -> str:
        if known is not None and outcome.rule is not None:
            return known.policy.rules[outcome.rule].name
        mark = "" if outcome.dscp is None else f" ({dscp_name(outcome.dscp)})"
        return f"rule {outcome.rule}{mark}"

    order = known.policy.classes if known is not None else ()
    queues = {item.name: item.queue for item in order}
    queues |= {class_name(item): item.queue for item in sorted(verdicts, key=lambda item: item.queue)}
    sums = dict.fromkeys(queues, Marked())
    for outcome, counted in zip(verdicts, counts, strict=True):
        sums[class_name(outcome)] += counted
    return MarkingCounters(
        at,
        hook,
        None,
        name,
        tuple(ClassCounters(name, queue, sums[name]) for name, queue in queues.items()),
        tuple(
            RuleCounters(rule_name(outcome), class_name(outcome), counted)
            for outcome, counted in zip(verdicts, counts, strict=True)
            if outcome.rule is not None
        ),
        counts[0],
    )
