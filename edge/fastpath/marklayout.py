"""The tables of csrc/mark.h as Python values: packed for the kernel, unpacked from it. Pure.

A test compares every size and offset with what the C compiler makes of the header.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from edge.model import Tag
from edge.net.objects.frames import TREES_MAX, Marking
from edge.qos.expressroute import ALLOWED

_KEY = struct.Struct("=II 4H")
_NAME = struct.Struct("=HBB")
_MARKING = struct.Struct("=3I4x Q")
_OWNER = struct.Struct("=I")
_MARKED = struct.Struct("=5Q")
COUNTERS_IN_BLOCK = 4
"""Of an entry of `counters` (EDGE_MARKED_BLOCK); a marking begins with an entry of its own."""
SIZES = {
    "edge_marking_key": _KEY.size,
    "edge_name": _NAME.size,
    "edge_direct": _OWNER.size + _NAME.size,
    "edge_marking": _MARKING.size,
    "edge_marked": _MARKED.size,
    "edge_marked_block": _MARKED.size * COUNTERS_IN_BLOCK,
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


@dataclass(frozen=True, slots=True)
class Name:
    """What leads frames to a marking: its entry of `markings`, and the place of its table in `policies`.

    number: 0 is none. tags: in `direct`, whether the device has markings with a tag in `named`.
    """

    number: int
    policy: int
    tags: bool = False

    @classmethod
    def read(cls, value: bytes) -> Name:
        """From a value of `named`."""
        number, policy, tags = _NAME.unpack(value)
        return cls(number, policy, bool(tags))

    def packed(self) -> bytes:
        """Value of `named`."""
        return _NAME.pack(self.number, self.policy, self.tags)


NO_NAME = Name(0, 0)


def direct_value(owner: int, name: Name) -> bytes:
    """Value of `direct`; owner: see `direct_owner`."""
    return _OWNER.pack(owner) + name.packed()


def direct_owner(index: int, hook: str) -> int:
    """What stands for device and hook in `direct`; its place there is that, modulo the number of places."""
    return index * 2 + HOOKS[hook]


def queue_base(tree: int | None) -> int:
    """The skb->priority that names queue 0 of a tree, 0 for none. ValueError for an impossible tree."""
    if tree is None:
        return 0
    if not 0 <= tree < TREES_MAX:
        raise ValueError(f"queue tree {tree}: a port has trees 0 to {TREES_MAX - 1}")
    return HTB_MAJOR << 16 | (tree * QUEUES_IN_TREE + 1)


def marking_value(obj: Marking, counters: int) -> bytes:
    """Value of `markings`; counters: number of its first counter.

    Raises ValueError for a queue tree that cannot be.
    """
    if obj.tree is not None and obj.hook == "ingress":
        raise ValueError("frames that arrive are in no queue; take the hook egress, or no tree")
    known = sum(1 << dscp for dscp in ALLOWED) if obj.msee else ALL_DSCPS
    return _MARKING.pack(counters, queue_base(obj.tree), KNOBS[obj.msee], known)


@dataclass(frozen=True, slots=True)
class ReadMarking:
    """A value of `markings` as it stands there. tree: None steers nowhere. knob: see KNOBS."""

    counters: int
    tree: int | None
    knob: int


def read_marking(value: bytes) -> ReadMarking:
    """The inverse of `marking_value`, as far as it goes."""
    counters, base, knob, _known = _MARKING.unpack(value)
    return ReadMarking(counters, (base & 0xFFFF) // QUEUES_IN_TREE if base else None, knob)


def read_direct(value: bytes) -> tuple[int, Name]:
    """Owner and name of a value of `direct`."""
    (owner,) = _OWNER.unpack_from(value)
    return owner, Name.read(value[_OWNER.size :])


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
    """Add up what was counted of one outcome in several places."""
    columns = zip(*_MARKED.iter_unpack(per_cpu), strict=True)
    return Marked(*(sum(column) for column in columns))


def blocks_of(outcomes: int) -> int:
    """How many entries of `counters` a marking of so many outcomes takes."""
    return -(-outcomes // COUNTERS_IN_BLOCK)


def sum_blocks(blocks: Iterable[bytes | None]) -> list[Marked]:
    """Counters in order from entries of `counters`, as the kernel hands them over for all possible CPUs.

    None: no such entry; nothing was counted there.
    """
    counted = []
    for block in blocks:
        per_cpu = block or bytes(SIZES["edge_marked_block"])
        rows = [per_cpu[at : at + _MARKED.size] for at in range(0, len(per_cpu), _MARKED.size)]
        counted += [sum_marked(b"".join(rows[n::COUNTERS_IN_BLOCK])) for n in range(COUNTERS_IN_BLOCK)]
    return counted
