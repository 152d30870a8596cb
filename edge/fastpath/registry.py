"""What the tag plane remembers of its objects, and the way back from kernel tables to objects. Pure.

The kernel knows indexes and slots; names live here. `read_subinterface` and `read_circuit` build an
object from what the tables say, not from what was asked for: an entry that somebody changed shows as
what it says, and entries that do not fit together are no object at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from edge.fastpath.attach import Attachment
from edge.fastpath.layout import Action, Rate, Rule, RuleKey, SubinterfaceEntry, rewrite
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import SubinterfaceTags, VirtualCircuit

Rules = Mapping[RuleKey, Rule]
Ports = Mapping[int, Endpoint]


@dataclass(slots=True)
class PortRecord:
    """A port with its program; `users` rules share it."""

    endpoint: Endpoint
    slot: int
    attachment: Attachment
    users: int = 0


@dataclass(frozen=True, slots=True)
class SubinterfaceRecord:
    """hook: ifindex where its frames come from and go to - the macvlan, or the veth's inner end."""

    obj: SubinterfaceTags
    hook: int
    port: int
    tx_slot: int
    rx_slot: int
    attachment: Attachment


@dataclass(frozen=True, slots=True)
class CircuitRecord:
    """port_a, port_b: ifindexes; slots: a to b, b to a; buckets: the slots whose tokens each takes."""

    obj: VirtualCircuit
    port_a: int
    port_b: int
    slots: tuple[int, int]
    buckets: tuple[int, int]

    def rules(self) -> dict[RuleKey, Rule]:
        """The two rules that make the circuit; fewer than two when both ends are the same.

        Raises ValueError for tags or a rate that the tag plane cannot do.
        """
        rate = Rate.of(self.obj.rate_bps, self.obj.tolerance_percent)
        a, b = (self.port_a, self.obj.tags_a), (self.port_b, self.obj.tags_b)
        return {
            RuleKey.of(port, before): Rule(
                out, slot, Action.TO_PORT, *rewrite(before, after), rate=rate, bucket=bucket
            )
            for (port, before), (out, after), slot, bucket in (
                (a, b, self.slots[0], self.buckets[0]),
                (b, a, self.slots[1], self.buckets[1]),
            )
        }


@dataclass(slots=True)
class _Shared:
    """A policer that circuits name; `users` of them."""

    buckets: tuple[int, int]
    users: int = 0


class Policers:
    """The buckets of circuits, shared by those of a namespace that name the same policer.

    take: gives a slot and has it given back when the stack is unwound. give_back: of slots that nobody uses.
    """

    def __init__(
        self, take: Callable[[contextlib.ExitStack], int], give_back: Callable[[Iterable[int]], None]
    ) -> None:
        self._take, self._give_back = take, give_back
        self._shared: dict[tuple[str, str], _Shared] = {}

    def use(self, obj: VirtualCircuit, slots: tuple[int, int], undo: contextlib.ExitStack) -> tuple[int, int]:
        """The buckets of a circuit with these slots: a to b, b to a. Raises OSError when none is free."""
        if not obj.policer:
            return slots
        place = (obj.namespace, obj.policer)
        if place not in self._shared:
            with contextlib.ExitStack() as partial:
                self._shared[place] = _Shared((self._take(partial), self._take(partial)))
                partial.pop_all()
        shared = self._shared[place]
        shared.users += 1
        undo.callback(self.release, obj)
        return shared.buckets

    def release(self, obj: VirtualCircuit) -> None:
        """A circuit that used its buckets is gone."""
        if not obj.policer:
            return
        shared = self._shared[obj.namespace, obj.policer]
        shared.users -= 1
        if not shared.users:
            del self._shared[obj.namespace, obj.policer]
            self._give_back(shared.buckets)

    def named(self, record: CircuitRecord, buckets: tuple[int, int]) -> str | None:
        """The policer that a circuit with these buckets has: empty for its own, None for no such one."""
        if buckets == record.slots:
            return ""
        shared = (
            name
            for (namespace, name), item in self._shared.items()
            if (namespace, item.buckets) == (record.obj.namespace, buckets)
        )
        return next(shared, None)


def read_subinterface(
    record: SubinterfaceRecord, entry: SubinterfaceEntry, rules: Rules, ports: Ports
) -> SubinterfaceTags | None:
    """The object that `entry` (way out) and a rule (way in) make together, or None."""
    tags, port = entry.push, ports.get(entry.port)
    rule = rules.get(RuleKey.of(entry.port, tags))
    action = Action.TO_DEVICE if record.obj.inner is None else Action.TO_PEER
    if port is None or rule is None:
        return None
    if (rule.ifindex, rule.action, rule.depth, rule.pop, rule.push) != (
        record.hook,
        action,
        len(tags),
        len(tags),
        (),
    ):
        return None
    return SubinterfaceTags(record.obj.sub, port, tags, record.obj.inner)


def read_circuit(
    record: CircuitRecord, rules: Rules, ports: Ports, policers: Policers
) -> VirtualCircuit | None:
    """The object that the two rules with the circuit's slots make together, or None."""
    ways = []
    for slot in record.slots:
        mine = [(k, r) for k, r in rules.items() if r.action is Action.TO_PORT and r.slot == slot]
        if len(mine) != 1:
            return None
        ways.append(mine[0])
    (key_a, rule_a), (key_b, rule_b) = ways
    port_a, port_b = ports.get(key_a.ifindex), ports.get(key_b.ifindex)
    policer = policers.named(record, (rule_a.bucket, rule_b.bucket))
    if port_a is None or port_b is None or policer is None or rule_a.rate != rule_b.rate:
        return None
    for key, rule, other in ((key_a, rule_a, key_b), (key_b, rule_b, key_a)):
        if rule.ifindex != other.ifindex or rule.push + key.tags[rule.pop :] != other.tags:
            return None
    return VirtualCircuit(
        record.obj.namespace,
        record.obj.name,
        port_a.device,
        key_a.tags,
        port_b.device,
        key_b.tags,
        rule_a.rate.rate_bps or None,
        policer,
        rule_a.rate.tolerance_percent,
    )
