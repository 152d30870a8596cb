"""What a stream sends and when, packets of a period that repeats, and what became of them. Pure.

edge.fastpath.streams sends it.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

MARK_OCTETS = 20
"""Octets that tell a packet of ours, the least of a payload (EDGE_STREAM_MARK of csrc/streams.h)."""

RTP_OCTETS = 12
"""Octets of an RTP header, which come before the mark (EDGE_STREAM_RTP)."""

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Slot:
    """A packet of a period: when, in ns from its begin, and octets of its UDP payload, RTP header included.

    clock: RTP's, from the period's begin. marker: RTP's bit.
    """

    at_ns: int
    octets: int
    clock: int = 0
    marker: bool = False


@dataclass(frozen=True, slots=True)
class Pattern:
    """What is sent in every period. slots: in the order of their times. clock: RTP's units in a period."""

    period_ns: int
    slots: tuple[Slot, ...]
    clock: int = 0

    @property
    def bits_per_second(self) -> float:
        """Of UDP payload."""
        return 8.0 * sum(slot.octets for slot in self.slots) * NS_PER_S / self.period_ns

    def packets_in(self, duration_ns: int) -> int:
        """How many packets are due in that time from a period's begin."""
        whole, rest = divmod(duration_ns, self.period_ns)
        return whole * len(self.slots) + sum(slot.at_ns < rest for slot in self.slots)


def every(interval_ns: int, octets: int) -> Pattern:
    """One packet of that size each interval."""
    return Pattern(interval_ns, (Slot(0, octets),))


@dataclass(frozen=True, slots=True)
class Rtp:
    """What RTP headers of a stream say (RFC 3550 5.1); sequence and clock: of the first packet."""

    payload_type: int
    ssrc: int
    sequence: int = 0
    clock: int = 0


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream to send. socket: the place of the socket by which it leaves (StreamEngine.add_socket).

    packets: how many at most; 0 is until stopped. begin_ns: of its first period, after the engine's begin.
    """

    socket: int
    to: tuple[str, int]
    pattern: Pattern
    packets: int = 0
    begin_ns: int = 0
    rtp: Rtp | None = None


@dataclass(frozen=True, slots=True)
class Packets:
    """Packets of a stream as columns; place n is packet first + n.

    received_ns: 0 where it did not arrive. order: which arrival it was, from 1; 0 where it did not.
    traffic_class: as received, DSCP and ECN. taps: bit p is set where the tap at place p saw it.
    """

    first: int
    sent_ns: array[int]
    received_ns: array[int]
    order: array[int]
    traffic_class: bytes
    taps: array[int]

    def __len__(self) -> int:
        return len(self.sent_ns)
