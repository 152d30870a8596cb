"""The queues of a port: what classes and sizes a `Queues` object means, and the way back. Pure.

One circuit is one tree under the root, and its numbers are (all hexadecimal in `tc class show`):

    1:  root ----+-- 1:nf  the circuit, at its rate
                 |     +-- 1:n(q+1)  class with queue q: prio 0 and no borrowing when strict, else prio 1
                 +-- 1:0e  of the port: what no marking steers (ARP, circuits without queues)

n is QueueTree.number. A class has its share for sure whatever others send, so routing protocols, which have
a class of their own, and ARP pass an overload. A strict class is never above its share: what exceeds a
short queue is dropped, as RFC 3246 asks of the edge of a domain (section 4, "Security Considerations"), or
voice could starve the rest. The others share what is left by their weights.

Devices inside one machine have no speed: a frame that HTB lets go is gone at once, be it a GSO frame of
64 KiB. So voice, which has tokens of its own, never waits for a large frame to be "on the wire".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge.fastpath.layout import LARGEST_GSO_FRAME, RATE_MAX_BPS
from edge.net.htb import ROOT, Counts, FoundQueue, HtbClass, Leaf, LeafKind, burst_ticks
from edge.net.messages import TC_H_ROOT
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import Queues, QueueTree
from edge.qos.model import TrafficClass

TREE_STRIDE = 16
"""Class numbers of a tree: 16 n to 16 n + 15."""

CIRCUIT = 15
"""Place of the circuit's own class in its tree."""

UNSTEERED = 14
"""Minor of the port's class for frames that no marking steers."""

UNSTEERED_NAME = "unsteered"

UNSTEERED_BPS = RATE_MAX_BPS
"""It has no limit of its own: what belongs to no queue passes as through a port without queues. A class at
the root has nobody to borrow from, so it is limited by a rate that is never reached."""

TAG_OCTETS = 4
"""The outer tag stands in a waiting frame's metadata: the kernel's length lacks it, the wire has it."""

BURST_S = 0.025
"""What a class may send at once after a pause. Longer than a busy machine keeps the queue's timer waiting,
and with all classes together far below the quarter of a second that a policer's bucket holds."""

STRICT_QUEUE_S = 0.010
"""Queue of a strict class: what waits longer is late for a call (facts 6.2: jitter below 15 ms)."""

QUEUE_S = 0.050
"""Queue of the other classes at the circuit's rate, where they are plain queues."""

ROUND_S = 0.010
"""One turn of all classes that borrow, at the circuit's rate."""

FRAME_OCTETS = 1522
"""A full frame with two tags, without FCS."""

CODEL_TARGET_S = 0.005
CODEL_LIMIT_PACKETS = 10_240
"""fq_codel's defaults (RFC 8290, 5.2); its target must be above the time of one and a half frames."""


@dataclass(frozen=True, slots=True)
class ClassCounters:
    """What the queue of one class counted since it was made, and what waits in it now.

    tree: number of the QueueTree; None for the port's class of frames that nothing steered. rate_bps: what
    the class is sure of, ceil_bps: at most gets. packets and octets have left; a GSO frame counts as its
    segments; octets lack the outer tag but for `ring` links. drops: for want of room, or by the queue's own
    discipline. borrowed: turns in which it sent on what others left.
    """

    at: Endpoint
    tree: int | None
    name: str
    strict: bool
    rate_bps: int
    ceil_bps: int
    packets: int
    octets: int
    drops: int
    backlog_packets: int
    backlog_octets: int
    borrowed: int

    def to_json(self) -> dict[str, Any]:
        """Plain data; the device as `namespace:device`."""
        return {**asdict(self), "at": str(self.at)}


def minor_of(tree: int, queue: int) -> int:
    """Minor number of a class: skb->priority 1:minor steers into it."""
    return tree * TREE_STRIDE + queue + 1


def octets_per_second(rate_bps: int, share: int = 100) -> int:
    """A share in percent of a rate, as the kernel counts it: never nothing."""
    return max(1, rate_bps * share // 100 // 8)


def classes_of(queues: Queues) -> tuple[HtbClass, ...]:
    """All classes, parents before children."""
    return tuple(_classes(queues))


def _classes(queues: Queues) -> Iterator[HtbClass]:
    for tree in queues.trees:
        full = octets_per_second(tree.rate_bps)
        circuit = tree.number * TREE_STRIDE + CIRCUIT
        yield _class(circuit, 0, full, full, FRAME_OCTETS, 0)
        for item in tree.classes:
            rate = octets_per_second(tree.rate_bps, item.share)
            ceil = rate if item.strict else full
            prio = 0 if item.strict else 1
            quantum = _quantum(tree, item)
            yield _class(minor_of(tree.number, item.queue), circuit, rate, ceil, quantum, prio)
    if queues.trees:
        full = octets_per_second(UNSTEERED_BPS)
        yield _class(UNSTEERED, 0, full, full, FRAME_OCTETS, 0)


def _class(minor: int, parent: int, rate: int, ceil: int, quantum: int, prio: int) -> HtbClass:
    burst, ceil_burst = (max(2 * FRAME_OCTETS, int(octets * BURST_S)) for octets in (rate, ceil))
    return HtbClass(
        minor,
        parent,
        rate,
        ceil,
        burst_ticks(burst, rate),
        burst_ticks(ceil_burst, ceil),
        quantum,
        prio,
        TAG_OCTETS,
    )


def _quantum(tree: QueueTree, item: TrafficClass) -> int:
    """Octets in turn, in proportion to the share: a full frame at least for the smallest class.

    A turn shorter than the frames makes a round of one frame each, whatever the shares; so it grows with
    the rate, until it holds GSO frames.
    """
    shares = [one.share for one in tree.classes if not one.strict and one.share] or [1]
    smallest, total = min(shares), sum(shares)
    turn = int(octets_per_second(tree.rate_bps) * ROUND_S) * smallest // total
    unit = max(FRAME_OCTETS, min(LARGEST_GSO_FRAME, turn))
    return unit * max(1, item.share) // smallest if not item.strict else FRAME_OCTETS


def leaves_of(queues: Queues, kind: LeafKind) -> tuple[Leaf, ...]:
    """The queues of the classes that have no children. kind: that of the classes that are not strict.

    A strict class always has a plain short one: no discipline may delay or reorder voice to please others.
    Every queue holds one GSO frame at least, or would never let one pass.
    """
    found = []
    for tree in queues.trees:
        full = octets_per_second(tree.rate_bps)
        for item in tree.classes:
            rate = octets_per_second(tree.rate_bps, item.share)
            minor = minor_of(tree.number, item.queue)
            if item.strict:
                found.append(Leaf(minor, "bfifo", max(LARGEST_GSO_FRAME, int(rate * STRICT_QUEUE_S))))
            elif kind == "bfifo":
                found.append(Leaf(minor, "bfifo", max(2 * LARGEST_GSO_FRAME, int(full * QUEUE_S))))
            else:
                target_s = max(CODEL_TARGET_S, 1.5 * FRAME_OCTETS / rate)
                found.append(Leaf(minor, "fq_codel", CODEL_LIMIT_PACKETS, int(target_s * 1e6)))
    if queues.trees:
        found.append(Leaf(UNSTEERED, "bfifo", 2 * LARGEST_GSO_FRAME))
    return tuple(found)


def read_back(
    wanted: Queues | None,
    at_hand: Queues,
    disciplines: Iterable[FoundQueue],
    classes: Sequence[tuple[HtbClass, Counts]],
    kind: LeafKind,
) -> Queues | None:
    """The object that a device's disciplines and classes amount to; None when its queue is none of ours.

    at_hand: the device, as an object without trees: that is the answer when its HTB was changed in a way
    that no object tells, or is another one where ours is wanted. wanted: gives the names of classes, which
    the kernel does not know.
    """
    own = list(disciplines)
    roots = [item for item in own if item.parent == TC_H_ROOT]
    if not roots or roots[0].kind != "htb":
        return None
    if roots[0].handle != ROOT or roots[0].default != UNSTEERED:
        return at_hand if wanted is not None else None
    there = {item.minor: item for item, _ in classes}
    known = {tree.number: tree for tree in wanted.trees} if wanted is not None else {}
    numbers = [n for n in known if n * TREE_STRIDE + CIRCUIT in there]
    numbers += sorted(
        minor // TREE_STRIDE
        for minor in there
        if minor % TREE_STRIDE == CIRCUIT and minor // TREE_STRIDE not in known
    )
    found = Queues(at_hand.at, tuple(_tree(number, known.get(number), there) for number in numbers))
    shape = {item.minor: item for item in classes_of(found)}
    leaves = {(leaf.minor, leaf.kind, leaf.limit) for leaf in leaves_of(found, kind)}
    seen = {
        (item.parent & 0xFFFF, item.kind, item.limit)
        for item in own
        if item.parent != TC_H_ROOT and item.parent >> 16 == ROOT >> 16
    }
    return found if shape == there and leaves == seen else at_hand


def _tree(number: int, wanted: QueueTree | None, there: Mapping[int, HtbClass]) -> QueueTree:
    circuit = there[number * TREE_STRIDE + CIRCUIT]
    full = circuit.rate_octets
    # What the kernel keeps is whole octets: the wanted rate stands for the one it became.
    rate_bps = full * 8
    if wanted is not None and octets_per_second(wanted.rate_bps) == full:
        rate_bps = wanted.rate_bps
    names = {item.queue: (place, item) for place, item in enumerate(wanted.classes)} if wanted else {}
    classes: list[tuple[int, TrafficClass]] = []
    for item in there.values():
        if item.parent != circuit.minor:
            continue
        queue = item.minor - minor_of(number, 0)
        place, known = names.get(queue, (len(names) + queue, None))
        share = round(item.rate_octets * 100 / full)
        strict = item.prio == 0
        name = known.name if known is not None else f"queue{queue}"
        if known is not None and octets_per_second(rate_bps, known.share) == item.rate_octets:
            share = known.share
        classes.append((place, TrafficClass(name, queue, share, strict)))
    return QueueTree(number, rate_bps, tuple(item for _, item in sorted(classes, key=lambda pair: pair[0])))


def counted(
    queues: Queues, disciplines: Iterable[FoundQueue], classes: Sequence[tuple[HtbClass, Counts]]
) -> tuple[ClassCounters, ...]:
    """The counters of a port's queues by the names of `queues`; classes that are not there are left out."""
    there = {item.minor: (item, counts) for item, counts in classes}
    # A queue drops also what it had taken in (fq_codel), which its class does not see.
    drops = {
        item.parent & 0xFFFF: item.counts.drops for item in disciplines if item.parent >> 16 == ROOT >> 16
    }
    named = [
        (tree.number, item.name, minor_of(tree.number, item.queue))
        for tree in queues.trees
        for item in tree.classes
    ]
    rows: list[tuple[int | None, str, int]] = [*named, (None, UNSTEERED_NAME, UNSTEERED)]
    found = []
    for number, name, minor in rows:
        if minor not in there:
            continue
        item, counts = there[minor]
        found.append(
            ClassCounters(
                queues.at,
                number,
                name,
                number is not None and item.prio == 0,
                item.rate_octets * 8,
                item.ceil_octets * 8,
                counts.packets,
                counts.octets,
                drops.get(minor, counts.drops),
                counts.backlog_packets,
                counts.backlog_octets,
                counts.borrowed,
            )
        )
    return tuple(found)
