"""The tables of csrc/tags.h as Python values: packed for the kernel, unpacked from it. Pure.

A test compares every size and offset with what the C compiler makes of the header.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

from edge.model import Tag, TagStack

STACK_MAX = 2
"""Most tags a rule can have: an S-tag and a C-tag."""

DEPTH_ANY = 0xFF

NANOBITS_PER_BIT = 1_000_000_000

LARGEST_GSO_FRAME = 65_536 + 45 * 66
"""Octets on the wire of the largest GSO frame: 64 KiB in 46 segments, 45 copies of the headers
(18 octets of Ethernet and tags in metadata, 20 IPv4, at least 20 TCP, rounded up for options)."""

BURST_OCTETS_MIN = 2 * LARGEST_GSO_FRAME
"""A bucket smaller than one GSO frame would never let one pass. Room for two lets one pass while the
bucket still refills after the other, as a TCP sender with one frame in flight needs."""

BURST_SECONDS = 0.25
"""The bucket holds a quarter of a second of the rate. TCP on links without delay sends whole GSO
frames, and when the policer takes the last of them it notices only by its retransmission timeout, 200 ms
at least (RFC 6298 asks for more). A bucket that fills faster than that stands full and idle meanwhile:
measured, one flow got 5 % of the rate with 10 ms, 47 % with 100 ms, 97-101 % with 250 ms."""

BURST_BITS_MAX = 4_000_000_000
"""Largest bucket (250 ms of 16 Gbit/s): twice this in nanobits stays inside 64 bits."""

TOLERANCE_PERCENT_MAX = 100

RATE_MAX_BPS = 400_000_000_000
"""Fastest policer: the fastest port that ExpressRoute Direct sells (facts: expressroute)."""

_KEY = struct.Struct("=I 4H")
_RULE = struct.Struct("=II 4B 4H 6s 2xI 5Q")
_SUBINTERFACE = struct.Struct("=II B3x 4H")
_STATS = struct.Struct("=4Q")
_BUCKET_LOCK_OCTETS, _BUCKET_OCTETS = 8, 32
POLICED_CLASSES = ("EF", "AF41", "AF21", "AF11", "other")
"""By what a policer counts, in the order of enum edge_class (facts: expressroute 6.1)."""
SIZES = {
    "edge_rule_key": _KEY.size,
    "edge_rule": _RULE.size,
    "edge_subinterface": _SUBINTERFACE.size,
    "edge_stats": _STATS.size,
    "edge_policer": _BUCKET_OCTETS + len(POLICED_CLASSES) * _STATS.size,
}

RawTag = tuple[int, int]
"""(tpid, vid) as the kernel keeps it; (0, 0) is no tag. Unlike `Tag` it may hold what nobody may send."""


class Action(enum.IntEnum):
    """What becomes of a frame that matches a rule (enum edge_action)."""

    TO_DEVICE = 1
    TO_PEER = 2
    TO_PORT = 3


def _raw(tags: TagStack) -> tuple[int, int, int, int]:
    if len(tags) > STACK_MAX:
        raise ValueError(
            f"{len(tags)} tags on one frame; the tag plane handles {STACK_MAX} (S-tag and C-tag)"
        )
    flat = [number for tag in tags for number in (tag.tpid, tag.vid)]
    outer_tpid, outer_vid, inner_tpid, inner_vid = flat + [0] * (2 * STACK_MAX - len(flat))
    return outer_tpid, outer_vid, inner_tpid, inner_vid


def _stack(outer: RawTag, inner: RawTag) -> TagStack:
    return tuple(Tag(vid, tpid) for tpid, vid in (outer, inner) if tpid)


@dataclass(frozen=True, slots=True)
class RuleKey:
    """A port and the outermost tags of the frames that the rule is for."""

    ifindex: int
    outer: RawTag = (0, 0)
    inner: RawTag = (0, 0)

    @classmethod
    def of(cls, ifindex: int, tags: TagStack) -> RuleKey:
        """The key for `tags` on a port. Raises ValueError for more than two tags."""
        a, b, c, d = _raw(tags)
        return cls(ifindex, (a, b), (c, d))

    @property
    def tags(self) -> TagStack:
        """The tags of a rule. Raises ValueError for tags that nobody may use (keys of `unknown`)."""
        return _stack(self.outer, self.inner)

    @property
    def raw_tags(self) -> tuple[RawTag, ...]:
        """The tags as seen, valid or not, outermost first."""
        return tuple(tag for tag in (self.outer, self.inner) if tag[0])

    def pack(self) -> bytes:
        """The key as `rules` and `unknown` have it."""
        return _KEY.pack(self.ifindex, *self.outer, *self.inner)

    @classmethod
    def unpack(cls, data: bytes) -> RuleKey:
        """The inverse of `pack`."""
        ifindex, a, b, c, d = _KEY.unpack(data)
        return cls(ifindex, (a, b), (c, d))


@dataclass(frozen=True, slots=True)
class Rate:
    """A policer's settings (struct edge_rate); all zero is no limit. tolerated_bps 0: no tolerance."""

    rate_bps: int = 0
    burst_nanobits: int = 0
    fill_ns: int = 0
    tolerated_bps: int = 0
    tolerated_fill_ns: int = 0

    @classmethod
    def of(cls, rate_bps: int | None, tolerance_percent: int = 0) -> Rate:
        """Settings for a rate in bits per second; what is offered may exceed it by so many percent.

        Raises ValueError for a rate that cannot be policed.
        """
        if rate_bps is None:
            return cls()
        if not 1 <= rate_bps <= RATE_MAX_BPS:
            raise ValueError(f"a rate of {rate_bps} bit/s cannot be policed; use 1 to {RATE_MAX_BPS}")
        if not 0 <= tolerance_percent <= TOLERANCE_PERCENT_MAX:
            raise ValueError(
                f"a tolerance of {tolerance_percent} % cannot be policed; use 0 to {TOLERANCE_PERCENT_MAX}"
            )
        bits = max(BURST_OCTETS_MIN * 8, min(BURST_BITS_MAX, int(rate_bps * BURST_SECONDS)))
        burst = bits * NANOBITS_PER_BIT
        fill_ns = -(-burst // rate_bps)
        if not tolerance_percent:
            return cls(rate_bps, burst, fill_ns)
        tolerated_bps = rate_bps * (100 + tolerance_percent) // 100
        return cls(rate_bps, burst, fill_ns, tolerated_bps, -(-burst // tolerated_bps))

    @property
    def tolerance_percent(self) -> int:
        """The tolerance that these settings came from; rates of 100 bit/s and more tell it exactly."""
        if not self.tolerated_bps:
            return 0
        return -(-(self.tolerated_bps - self.rate_bps) * 100 // self.rate_bps)


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of a frame (struct edge_rule). `depth` is None when deeper tags do not matter.

    slot: of its counters; bucket: the slot whose tokens its policer takes, 0 without a rate.
    """

    ifindex: int
    slot: int
    action: Action
    pop: int
    push: TagStack = ()
    depth: int | None = None
    mac: bytes = bytes(6)
    rate: Rate = Rate()
    bucket: int = 0

    def pack(self) -> bytes:
        """The value as `rules` has it."""
        return _RULE.pack(
            self.ifindex,
            self.slot,
            self.action,
            DEPTH_ANY if self.depth is None else self.depth,
            self.pop,
            len(self.push),
            *_raw(self.push),
            self.mac,
            self.bucket,
            self.rate.rate_bps,
            self.rate.burst_nanobits,
            self.rate.fill_ns,
            self.rate.tolerated_bps,
            self.rate.tolerated_fill_ns,
        )

    @classmethod
    def unpack(cls, data: bytes) -> Rule:
        """The inverse of `pack`."""
        ifindex, slot, action, depth, pop, _push, a, b, c, d, mac, bucket, *rate = _RULE.unpack(data)
        return cls(
            ifindex,
            slot,
            Action(action),
            pop,
            _stack((a, b), (c, d)),
            None if depth == DEPTH_ANY else depth,
            mac,
            Rate(*rate),
            bucket,
        )


@dataclass(frozen=True, slots=True)
class SubinterfaceEntry:
    """How frames of a subinterface leave (struct edge_subinterface)."""

    port: int
    slot: int
    push: TagStack

    def pack(self) -> bytes:
        """The value as `subinterfaces` has it."""
        return _SUBINTERFACE.pack(self.port, self.slot, len(self.push), *_raw(self.push))

    @classmethod
    def unpack(cls, data: bytes) -> SubinterfaceEntry:
        """The inverse of `pack`."""
        port, slot, _push, a, b, c, d = _SUBINTERFACE.unpack(data)
        return cls(port, slot, _stack((a, b), (c, d)))


@dataclass(frozen=True, slots=True)
class Stats:
    """Frames and octets of one slot (struct edge_stats), summed over CPUs."""

    packets: int = 0
    octets: int = 0
    dropped_packets: int = 0
    dropped_octets: int = 0

    @classmethod
    def sum(cls, per_cpu: bytes) -> Stats:
        """Add up what the kernel hands over for all possible CPUs."""
        columns = zip(*_STATS.iter_unpack(per_cpu), strict=True)
        return cls(*(sum(column) for column in columns))


def unpack_policed(data: bytes) -> tuple[Stats, ...]:
    """What a policer counted for each of POLICED_CLASSES: its value in `buckets` behind lock and bucket."""
    rows = _STATS.iter_unpack(data[_BUCKET_LOCK_OCTETS + _BUCKET_OCTETS :])
    return tuple(Stats(*row) for row in rows)


def pack_index(index: int) -> bytes:
    """An ifindex or a slot as key or value of a map."""
    return struct.pack("=I", index)


def unpack_index(data: bytes) -> int:
    """The inverse of `pack_index`."""
    return int(struct.unpack("=I", data)[0])


def rewrite(before: TagStack, after: TagStack) -> tuple[int, TagStack]:
    """The least work that turns `before` into `after`: how many tags to take off, then which to put on.

    Equal tags at the bottom stay where they are.
    """
    common = 0
    while common < min(len(before), len(after)) and before[-1 - common] == after[-1 - common]:
        common += 1
    return len(before) - common, after[: len(after) - common]
