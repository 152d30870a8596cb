"""Queues in the ring engine: strict ones first up to their shares, the others in turns (csrc/schedule.h).

One circuit is one tree at its port, served at the circuit's rate. What nothing steered (ARP, a frame of no
circuit) does not wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from edge.errors import EdgeError, KernelError
from edge.fastpath.layout import LARGEST_GSO_FRAME
from edge.fastpath.refusals import kernel_error
from edge.fastpath.ringhost import Host, Places
from edge.fastpath.ringprocess import PLACES, Op, Settings
from edge.net.objects.base import Endpoint, KernelObject, Key
from edge.net.objects.changes import Change
from edge.net.objects.frames import Queues, QueueTree
from edge.net.queues import (
    BURST_S,
    FRAME_OCTETS,
    QUEUE_S,
    ROUND_S,
    STRICT_QUEUE_S,
    ClassCounters,
    octets_per_second,
)
from edge.net.snapshot import Snapshot


def settings_of(tree: QueueTree) -> Settings:
    """The fields of struct edge_ring_tree but its place. Pure.

    The sizes are those of the kernel's queues (edge.net.queues): every queue holds a GSO frame at least, or
    would never let one pass; a turn of the smallest class holds a full frame.
    """
    full = octets_per_second(tree.rate_bps)
    shares = [item.share for item in tree.classes if not item.strict and item.share] or [1]
    turn = int(full * ROUND_S) * min(shares) // sum(shares)
    unit = max(FRAME_OCTETS, min(LARGEST_GSO_FRAME, turn))
    queues: list[dict[str, int]] = [
        {"share": 1, "strict": 0, "limit_octets": 0, "burst_octets": 0}
        for _ in range(1 + max((item.queue for item in tree.classes), default=0))
    ]
    for item in tree.classes:
        rate = octets_per_second(tree.rate_bps, item.share)
        strict_limit = max(LARGEST_GSO_FRAME, int(rate * STRICT_QUEUE_S))
        limit = strict_limit if item.strict else max(2 * LARGEST_GSO_FRAME, int(full * QUEUE_S))
        queues[item.queue] = {
            "share": max(1, item.share),
            "strict": int(item.strict),
            "limit_octets": limit,
            "burst_octets": max(LARGEST_GSO_FRAME, int(rate * BURST_S)),
        }
    return {
        "number": tree.number,
        "rate_bps": tree.rate_bps,
        "round_octets": -(-unit // min(shares)),
        "queues": len(queues),
        "queue": queues,
    }


@dataclass(slots=True)
class _Record:
    """places: of each tree in the engine's tables, by its number."""

    obj: Queues
    places: dict[int, int] = field(default_factory=dict)
    installed: bool = False


class RingQueues:
    """Queues at the engine's ports; the same methods as edge.net.disciplines.Disciplines."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._records: dict[Key, _Record] = {}
        self._places = Places(PLACES)

    def create(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Make or change queues; the result of each in order."""
        return [self._result(change) for change in changes]

    def delete(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Take the `before` of each change away; the result of each in order. Gone counts as done."""
        return [self._result(change) for change in changes]

    def _result(self, change: Change) -> EdgeError | None:
        subject = change.subject
        assert isinstance(subject, Queues)
        with self._host.lock:
            try:
                self._bring(subject, subject.trees if change.after is not None else ())
            except OSError as error:
                found: KernelError = kernel_error(subject, error)
                return found
        return None

    def _bring(self, wanted: Queues, trees: tuple[QueueTree, ...]) -> None:
        record = self._records.setdefault(wanted.key, _Record(wanted))
        before = {tree.number: tree for tree in record.obj.trees}
        after = {tree.number: tree for tree in trees}
        for number in list(record.places):
            fits = number in after and _width(after[number]) >= _width(before[number])
            if not fits:
                # The engine sends on what waits there.
                self._end(record, number)
        for number in after.keys() - record.places.keys():
            record.places[number] = self._places.take()
        record.obj = Queues(wanted.at, trees)
        if not trees:
            del self._records[wanted.key]
            return
        self._install(record)

    def _end(self, record: _Record, number: int) -> None:
        where = self._host.where(record.obj.at)
        place = record.places.pop(number)
        self._places.give_back(place)
        if where is not None and record.installed:
            body = self._host.engine.tree_body(place, {"number": number})
            self._host.withdraw(Op.TREE_DELETE, where.number, body)

    def _install(self, record: _Record) -> None:
        where = self._host.where(record.obj.at)
        if where is None:
            return
        for tree in record.obj.trees:
            body = self._host.engine.tree_body(record.places[tree.number], settings_of(tree))
            self._host.engine.ask(Op.TREE_PUT, where.number, body)
        record.installed = True

    def found(
        self, snapshots: Mapping[str, Snapshot], wanted: Mapping[Key, KernelObject]
    ) -> Iterable[Queues]:
        """The queues in force, as the engine has them."""
        with self._host.lock:
            if not self._host.engine.alive():
                return []
            return [record.obj for record in self._records.values() if self._intact(record)]

    def _intact(self, record: _Record) -> bool:
        for tree in record.obj.trees:
            read = self._host.engine.tree(record.places[tree.number]) if record.installed else None
            if read is None or read[0] != settings_of(tree):
                return False
        return True

    def counters(self, wanted: Iterable[Queues]) -> list[ClassCounters]:
        """What the queues of these ports counted; ports that have gone are passed over."""
        with self._host.lock:
            records = (self._records.get(queues.key) for queues in wanted)
            return [row for record in records if record is not None for row in self._counted(record)]

    def _counted(self, record: _Record) -> Iterator[ClassCounters]:
        for tree in record.obj.trees:
            read = self._host.engine.tree(record.places[tree.number]) if record.installed else None
            if read is None:
                continue
            for item in tree.classes:
                counts = read[1][item.queue]
                rate = octets_per_second(tree.rate_bps, item.share) * 8
                yield ClassCounters(
                    record.obj.at,
                    tree.number,
                    item.name,
                    item.strict,
                    rate,
                    rate if item.strict else octets_per_second(tree.rate_bps) * 8,
                    counts["taken_packets"],
                    counts["taken_octets"],
                    counts["dropped_packets"],
                    counts["queued_packets"],
                    counts["queued_octets"],
                    0,
                )

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


def _width(tree: QueueTree) -> int:
    return 1 + max((item.queue for item in tree.classes), default=0)
