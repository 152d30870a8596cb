"""The tables of csrc/mark.h as Python values: packed for the kernel, unpacked from it. Pure.

A test compares every size and offset with what the C compiler makes of the header.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edge.model import Tag
from edge.net.objects import TREES_MAX, Marking
from edge.qos.expressroute import ALLOWED

_KEY = struct.Struct("=II 4H")
_MARKING = struct.Struct("=4I Q")
_DIRECT = struct.Struct("=II")
_MARKED = struct.Struct("=5Q")
SIZES = {
    "edge_marking_key": _KEY.size,
    "edge_direct": _DIRECT.size,
    "edge_marking": _MARKING.size,
    "edge_marked": _MARKED.size,
}

HOOKS = {"ingress": 0, "egress": 1}
"""enum edge_hook."""

KNOBS = {"": 0, "pass": 0, "remark": 1, "drop": 2}
"""enum edge_knob."""

HTB_MAJOR = 1
QUEUES_IN_TREE = 16
"""A class of an HTB tree is 1:(tree * 16 + queue + 1), which `skb->priority` names (facts: fastpath 1.6)."""

ALL_DSCPS = (1 << 64) - 1


def marking_key(obj: Marking, index: int) -> bytes:
    """Key of `named` for an object at a device of that ifindex."""
    return _KEY.pack(index, HOOKS[obj.hook], *tag_numbers(obj))


def tag_numbers(obj: Marking) -> tuple[int, int, int, int]:
    """TPID and VLAN id of the outermost and of the next tag that a marking is for, 0 and 0 for any.

    Raises ValueError for a next tag below none.
    """
    if obj.inner is not None and obj.outer is None:
        raise ValueError(f"an inner tag ({obj.inner}) stands below an outer one; name that, too")
    outer, inner = ((tag.tpid, tag.vid) if tag is not None else (0, 0) for tag in (obj.outer, obj.inner))
    return *outer, *inner


def direct_value(obj: Marking, index: int, number: int) -> bytes:
    """Value of `direct`; number: of its entry of `markings`."""
    return _DIRECT.pack(direct_owner(obj, index), number)


def direct_owner(obj: Marking, index: int) -> int:
    """What stands for device and hook in `direct`; its place there is that, modulo the number of places."""
    return index * 2 + HOOKS[obj.hook]


def queue_base(tree: int | None) -> int:
    """The skb->priority that names queue 0 of a tree, 0 for none. ValueError for an impossible tree."""
    if tree is None:
        return 0
    if not 0 <= tree < TREES_MAX:
        raise ValueError(f"queue tree {tree}: a port has trees 0 to {TREES_MAX - 1}")
    return HTB_MAJOR << 16 | (tree * QUEUES_IN_TREE + 1)


def marking_value(obj: Marking, policy: int, counters: int) -> bytes:
    """Value of `markings`; policy, counters: indexes of its table, and of its first counter.

    Raises ValueError for a queue tree that cannot be.
    """
    if obj.tree is not None and obj.hook == "ingress":
        raise ValueError("frames that arrive are in no queue; take the hook egress, or no tree")
    known = sum(1 << dscp for dscp in ALLOWED) if obj.msee else ALL_DSCPS
    return _MARKING.pack(policy, counters, queue_base(obj.tree), KNOBS[obj.msee], known)


@dataclass(frozen=True, slots=True)
class ReadMarking:
    """A value of `markings` as it stands there. tree: None steers nowhere. knob: see KNOBS."""

    policy: int
    counters: int
    tree: int | None
    knob: int


def read_marking(value: bytes) -> ReadMarking:
    """The inverse of `marking_value`, as far as it goes."""
    policy, counters, base, knob, _known = _MARKING.unpack(value)
    return ReadMarking(policy, counters, (base & 0xFFFF) // QUEUES_IN_TREE if base else None, knob)


def read_direct(value: bytes) -> tuple[int, int]:
    """Owner and number of a value of `direct`; number 0 is none."""
    owner, number = _DIRECT.unpack(value)
    return owner, number


def read_key(key: bytes) -> tuple[int, int, Tag | None, Tag | None]:
    """Device, hook, outermost and next tag of a key of `named`."""
    index, hook, *tags = _KEY.unpack(key)
    outer, inner = (Tag(vid, tpid) if tpid else None for tpid, vid in (tags[:2], tags[2:]))
    return index, hook, outer, inner


@dataclass(frozen=True, slots=True)
class Marked:
    """What was counted of one outcome (struct edge_marked): packets and octets as the device carries them.

    remarked: packets that left with another DSCP. unknown: packets whose DSCP the service does not know, at a
    marking with a knob; dropped: those of them that the knob dropped.
    """

    packets: int = 0
    bytes: int = 0
    remarked: int = 0
    dropped: int = 0
    unknown: int = 0

    def __add__(self, other: Marked) -> Marked:
        return Marked(
            self.packets + other.packets,
            self.bytes + other.bytes,
            self.remarked + other.remarked,
            self.dropped + other.dropped,
            self.unknown + other.unknown,
        )


def sum_marked(per_cpu: bytes) -> Marked:
    """Add up what the kernel hands over for all possible CPUs."""
    columns = zip(*_MARKED.iter_unpack(per_cpu), strict=True)
    return Marked(*(sum(column) for column in columns))
