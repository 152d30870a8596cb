"""Packets judged and marked many at a time, by the same C that runs in the kernel. Made for notebooks, too.

    from array import array
    from edge.fastpath.classify import VERDICT_FIELDS, Table
    from edge.qos.profiles import profile

    table = Table(profile("teams"), "out", "mark")
    buffer = bytearray(frames_one_after_the_other)
    offsets, lengths = array("Q", [0, 60]), array("I", [60, 98])    # or NumPy arrays of uint64 and uint32

    verdicts = table.classify(buffer, offsets, lengths)
    verdicts[0]                          # Verdict(class_name='voice', rule=0, dscp=46, queue=0)
    verdicts.dscps.tolist()              # [46, 0]
    numpy.frombuffer(verdicts.octets, VERDICT_FIELDS)   # all fields, without a copy

    marked = table.mark(buffer, offsets, lengths)       # changes octets in the buffer
    marked.changed, marked.counts[0].packets

Give a call 256 packets or more: it costs about as much as judging a hundred (facts fastpath 4). Buffers
are not copied. cffi gives the global interpreter lock back while the C runs, so that threads judge in
parallel; nobody else may use a buffer while `mark` works on it.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edge.errors import CapabilityError
from edge.qos.classes import rules_of
from edge.qos.model import Direction, Policy, Treatment, Verdict
from edge.qos.table import Shape, compile_policy, shape

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

VERDICT_OCTETS = 8
VERDICT_FIELDS = [
    ("rule", "u2"),
    ("class_id", "u1"),
    ("queue", "u1"),
    ("dscp", "u1"),
    ("flags", "u1"),
    ("policer", "u2"),
]
"""struct edge_verdict of csrc/policy.h as NumPy's dtype takes it."""

NO_RULE = 0xFFFF
"""In the column of rules: no rule matched."""

FLAG_IP, FLAG_REMARK = 1, 2
"""In the column of flags: it is an IP packet; it leaves with another DSCP than it came with."""


class Lane(enum.IntEnum):
    """A way to judge packets (enum edge_lane). All give equal verdicts.

    BEST is the fastest that the machine has; LINEAR tries rule after rule, the reference; SCALAR looks up
    tables, on any machine; AVX2 judges eight packets at a time, on x86 processors that have AVX2 and BMI2.
    """

    BEST = 0
    LINEAR = 1
    SCALAR = 2
    AVX2 = 3


def _extension() -> Any:
    # Imported on first use: commands that judge nothing start without it.
    try:
        from edge.fastpath import _classify as module
    except ImportError as error:
        raise CapabilityError(
            f"the C extension edge.fastpath._classify is not built: {error}",
            "in a source tree: python3 setup.py build_ext --inplace (needs gcc and Python's headers)",
        ) from error
    return module


def lanes() -> tuple[Lane, ...]:
    """The lanes of this machine, without BEST. Raises CapabilityError when the C extension is not built."""
    library = _extension().lib
    return tuple(lane for lane in Lane if lane is not Lane.BEST and library.edge_lane_available(lane))


class Packets:
    """Where packets lie: packet i has the octets buffer[offsets[i] : offsets[i] + lengths[i]].

    buffer: any buffer of octets, writable for `Table.mark`. offsets: a buffer of 64-bit, lengths of 32-bit
    unsigned numbers (array("Q"), array("I"), NumPy), or sequences of int, which are copied. Keeps the
    buffers from being resized or closed until `release`, or the end of a `with` block. Raises ValueError
    when the two are not of one length or a packet is not inside the buffer.
    """

    def __init__(
        self,
        buffer: ReadableBuffer,
        offsets: ReadableBuffer | Sequence[int],
        lengths: ReadableBuffer | Sequence[int],
    ) -> None:
        module = _extension()
        self._ffi = module.ffi
        self._views: list[Any] = []
        try:
            self.writable = not memoryview(buffer).readonly
            self.base = self._view("uint8_t[]", buffer)
            self.offsets = self._view("uint64_t[]", _numbers(offsets, "Q"))
            self.lengths = self._view("uint32_t[]", _numbers(lengths, "I"))
            if len(self.offsets) != len(self.lengths):
                raise ValueError(f"{len(self.offsets)} offsets, but {len(self.lengths)} lengths")
            outside = module.lib.edge_batch_outside(len(self.base), self.offsets, self.lengths, len(self))
            if outside < len(self):
                raise ValueError(
                    f"packet {outside}: {self.lengths[outside]} octets from {self.offsets[outside]} on "
                    f"are not inside a buffer of {len(self.base)}"
                )
        except BaseException:
            self.release()
            raise

    def _view(self, kind: str, buffer: ReadableBuffer) -> Any:
        view = self._ffi.from_buffer(kind, buffer)
        self._views.append(view)
        return view

    def __len__(self) -> int:
        return len(self.offsets)

    def __enter__(self) -> Packets:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let go of the buffers. Packets must not be used afterwards."""
        while self._views:
            self._ffi.release(self._views.pop())


def _numbers(given: ReadableBuffer | Sequence[int], code: str) -> ReadableBuffer:
    """A buffer of unsigned numbers of the size that `code` has. Raises ValueError for a buffer of another."""
    try:
        view = memoryview(given)  # type: ignore[arg-type]
    except TypeError:
        return array(code, given)  # type: ignore[arg-type]
    size = array(code).itemsize
    if view.itemsize != size or view.format.lstrip("@=<") not in "BHILQN":
        raise ValueError(f"numbers must be unsigned and of {8 * size} bits, not of format {view.format!r}")
    return view


@dataclass(frozen=True, slots=True)
class Verdicts(Sequence[Verdict]):
    """The verdicts of a batch, in the order of its packets.

    octets: struct edge_verdict for each, 8 octets. The columns are views of these octets.
    """

    octets: memoryview
    policy: Policy

    def __len__(self) -> int:
        return len(self.octets) // VERDICT_OCTETS

    def __getitem__(self, index: Any) -> Any:
        """The verdict of a packet in words. Raises IndexError."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        rule = self.rules[place]
        item = self.policy.classes[self.classes[place]]
        return Verdict(item.name, None if rule == NO_RULE else rule, self.dscps[place], self.queues[place])

    def _column(self, offset: int) -> memoryview:
        return self.octets[offset::VERDICT_OCTETS]

    @property
    def rules(self) -> memoryview:
        """Indexes into Policy.rules, NO_RULE where none matched."""
        return self.octets.cast("H")[:: VERDICT_OCTETS // 2]

    @property
    def classes(self) -> memoryview:
        """Indexes into Policy.classes."""
        return self._column(2)

    @property
    def queues(self) -> memoryview:
        """Queues of the classes."""
        return self._column(3)

    @property
    def dscps(self) -> memoryview:
        """DSCP with which the packets leave; 0 for what is not IP."""
        return self._column(4)

    @property
    def flags(self) -> memoryview:
        """FLAG_IP and FLAG_REMARK."""
        return self._column(5)


@dataclass(frozen=True, slots=True)
class Count:
    """What matched a rule. rule: index into Policy.rules, None for no rule. bytes: by the lengths given.
    remarked: of the packets, those whose DSCP changed."""

    rule: int | None
    packets: int
    bytes: int
    remarked: int


@dataclass(frozen=True, slots=True)
class Marked:
    """What `mark` did.

    changed: packets whose octets changed. counts: "no rule" first, then the rules of the direction.
    verdicts: where they were asked for.
    """

    changed: int
    counts: tuple[Count, ...]
    verdicts: Verdicts | None = None


class Table:
    """A policy, compiled for a direction and a treatment, in memory of its own.

    octets: the compiled table, as a BPF map takes it (edge.qos.table.map_value pads it). lane: how packets
    are judged. Raises UsageError when the policy does not fit (edge.qos.table), CapabilityError when the
    machine lacks the lane or the C extension is not built.
    """

    def __init__(
        self, policy: Policy, direction: Direction, treatment: Treatment, lane: Lane = Lane.BEST
    ) -> None:
        module = _extension()
        self.policy = policy
        self.direction = direction
        self.treatment = treatment
        self.lane = self._available(lane)
        self.octets = compile_policy(policy, direction, treatment)
        self._ffi, self._lib = module.ffi, module.lib
        self._memory = self._ffi.new("uint64_t[]", self._lib.edge_policy_size() // 8)
        self._ffi.memmove(self._memory, self.octets, len(self.octets))
        self._table = self._ffi.cast("struct edge_policy *", self._memory)
        self._rules = rules_of(policy, direction)
        if self._lib.edge_policy_check(self._table) != 0:
            raise AssertionError("edge.qos.table and csrc/policy.h disagree")

    @staticmethod
    def _available(lane: Lane) -> Lane:
        if not _extension().lib.edge_lane_available(lane):
            raise CapabilityError(
                f"this processor cannot run the lane {lane.name}", "use Lane.BEST, which takes what is there"
            )
        return lane

    @property
    def pointer(self) -> Any:
        """`struct edge_policy *` in memory that lives as long as the Table, for other C of this package."""
        return self._table

    @property
    def shape(self) -> Shape:
        """Structure and size of the table."""
        return shape(self.octets)

    def _chosen(self, lane: Lane | None) -> Lane:
        return self.lane if lane is None else self._available(lane)

    def classify(
        self,
        buffer: ReadableBuffer,
        offsets: ReadableBuffer | Sequence[int],
        lengths: ReadableBuffer | Sequence[int],
        lane: Lane | None = None,
    ) -> Verdicts:
        """Judge Ethernet frames; arguments and ValueError as for `Packets`."""
        with Packets(buffer, offsets, lengths) as packets:
            return self.classify_packets(packets, lane)

    def classify_packets(self, packets: Packets, lane: Lane | None = None) -> Verdicts:
        """The same for packets whose buffers are kept from call to call."""
        octets = bytearray(len(packets) * VERDICT_OCTETS)
        with self._ffi.from_buffer("struct edge_verdict[]", octets) as verdicts:
            self._lib.edge_classify_batch(
                self._table,
                packets.base,
                packets.offsets,
                packets.lengths,
                len(packets),
                verdicts,
                self._chosen(lane),
            )
        return Verdicts(memoryview(octets), self.policy)

    def mark(
        self,
        buffer: WriteableBuffer,
        offsets: ReadableBuffer | Sequence[int],
        lengths: ReadableBuffer | Sequence[int],
        lane: Lane | None = None,
        *,
        verdicts: bool = False,
    ) -> Marked:
        """Judge frames and write the DSCP into the buffer, with the checksum of IPv4; ECN stays.

        Packets must not overlap. verdicts: whether they are returned, too. Arguments and ValueError as for
        `Packets`; TypeError when the buffer cannot be written to.
        """
        with Packets(buffer, offsets, lengths) as packets:
            return self.mark_packets(packets, lane, verdicts=verdicts)

    def mark_packets(self, packets: Packets, lane: Lane | None = None, *, verdicts: bool = False) -> Marked:
        """The same for packets whose buffers are kept from call to call."""
        if not packets.writable:
            raise TypeError("the buffer is read-only; mark works in place, so give it a bytearray")
        counts = self._ffi.new("struct edge_count[]", len(self._rules) + 1)
        octets = bytearray(len(packets) * VERDICT_OCTETS if verdicts else 0)
        with self._ffi.from_buffer("struct edge_verdict[]", octets) as room:
            changed = self._lib.edge_mark_batch(
                *(self._table, packets.base, packets.offsets, packets.lengths, len(packets)),
                *(room if verdicts else self._ffi.NULL, counts, self._chosen(lane)),
            )
        found = tuple(
            Count(rule, one.packets, one.bytes, one.remarked)
            for rule, one in zip((None, *self._rules), counts, strict=True)
        )
        return Marked(changed, found, Verdicts(memoryview(octets), self.policy) if verdicts else None)

    def classify_one(self, frame: bytes | bytearray | memoryview) -> Verdict:
        """The verdict of one Ethernet frame. For more than a few, use `classify`."""
        verdict: Verdict = self.classify(frame, [0], [len(frame)])[0]
        return verdict
