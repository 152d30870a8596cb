"""What a receiver makes of a stream of numbered packets: loss, bursts, jitter, reordering, delay. Pure.

Sender and receiver read one clock (they are on one machine), so delays are one-way and true.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from lab.traffic.emodel import Codec, mos, over_a_network, rating

NS_PER_MS = 1e6
JITTER_GAIN = 16
"""RFC 3550 6.4.1."""

BUFFER_MS = 40.0
"""A jitter buffer that clients commonly begin with; who comes later than it is lost to the listener."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A packet as it arrived: its number, when it was sent and received, nanoseconds of one clock."""

    number: int
    sent_ns: int
    received_ns: int

    @property
    def delay_ns(self) -> int:
        """How long it was on its way."""
        return self.received_ns - self.sent_ns


@dataclass(frozen=True, slots=True)
class Delays:
    """One-way delays in ms; all 0 where nothing arrived."""

    least: float = 0.0
    median: float = 0.0
    p95: float = 0.0
    most: float = 0.0


@dataclass(frozen=True, slots=True)
class Quality:
    """A stream as its receiver had it.

    lost: never arrived. late: arrived after the jitter buffer gave it up. duplicates: arrivals beyond the
    first of a number. reordered: arrived behind one sent later (RFC 4737 3.3). bursts: runs of lost packets.
    burst_ratio: G.107's BurstR, 1 for loss at random. jitter_ms: the last value of RFC 3550's estimate, and
    the greatest. r and mos: of a call of the codec with these losses and this delay.
    """

    sent: int
    received: int
    lost: int
    late: int
    duplicates: int
    reordered: int
    longest_burst: int
    bursts: int
    burst_ratio: float
    jitter_ms: float
    jitter_max_ms: float
    delay: Delays
    r: float
    mos: float

    @property
    def loss_percent(self) -> float:
        """Packets that never arrived, of those sent."""
        return 100.0 * self.lost / self.sent if self.sent else 0.0

    @property
    def reordered_percent(self) -> float:
        """Packets that arrived behind later ones, of those received."""
        return 100.0 * self.reordered / self.received if self.received else 0.0


def quality(sent: int, arrivals: Sequence[Arrival], codec: Codec, buffer_ms: float = BUFFER_MS) -> Quality:
    """Judge a stream of packets 0 to sent - 1. arrivals: in the order in which they came.

    Raises ValueError for a packet that was never sent.
    """
    first = _first_arrivals(sent, arrivals)
    heard = list(first.values())
    late = late_ones(heard, buffer_ms)
    missing = [number not in first for number in range(sent)]
    silent = [number not in first or number in late for number in range(sent)]
    bursts = burst_lengths(missing)
    jitters = list(jitter(heard))
    delays = delays_of(heard)
    percent = 100.0 * sum(silent) / sent if sent else 0.0
    # Where nothing arrives the model's formula still leaves a codec that hides losses some points.
    r = (
        rating(over_a_network(codec, delays.median, buffer_ms, percent, burst_ratio(silent)))
        if heard
        else 0.0
    )
    return Quality(
        sent=sent,
        received=len(first),
        lost=sum(missing),
        late=len(late),
        duplicates=len(arrivals) - len(first),
        reordered=reordered(item.number for item in heard),
        longest_burst=max(bursts, default=0),
        bursts=len(bursts),
        burst_ratio=round(burst_ratio(missing), 3),
        jitter_ms=round(jitters[-1], 3) if jitters else 0.0,
        jitter_max_ms=round(max(jitters, default=0.0), 3),
        delay=delays,
        r=round(r, 2),
        mos=round(mos(r), 2),
    )


def _first_arrivals(sent: int, arrivals: Iterable[Arrival]) -> dict[int, Arrival]:
    first: dict[int, Arrival] = {}
    for item in arrivals:
        if not 0 <= item.number < sent:
            raise ValueError(f"packet {item.number} arrived, but only {sent} were sent")
        first.setdefault(item.number, item)
    return first


def burst_lengths(missing: Iterable[bool]) -> list[int]:
    """Lengths of the runs of missing packets. Pure."""
    return [sum(1 for _ in run) for gone, run in groupby(missing) if gone]


def burst_ratio(missing: Sequence[bool]) -> float:
    """G.107's BurstR: mean length of bursts over what it would be by chance, 1 / (1 - p); 1 without loss.

    Less than 1 (losses further apart than by chance) counts as 1, the least that G.107 knows.
    """
    bursts = burst_lengths(missing)
    if not bursts or bursts[0] == len(missing):
        return 1.0
    lost = sum(bursts)
    return max(1.0, lost / len(bursts) * (1 - lost / len(missing)))


def jitter(arrivals: Iterable[Arrival]) -> Iterable[float]:
    """RFC 3550's estimate of interarrival jitter after each packet but the first, ms."""
    estimate = 0.0
    for before, after in pairwise(arrivals):
        change = abs(after.delay_ns - before.delay_ns) / NS_PER_MS
        estimate += (change - estimate) / JITTER_GAIN
        yield estimate


def late_ones(arrivals: Iterable[Arrival], buffer_ms: float) -> set[int]:
    """Numbers of the packets that a jitter buffer has given up when they come.

    It follows what packets take, as clients' buffers do, by the gain of RFC 3550's estimate: a delay that
    grows once and stays costs some packets and no more.
    """
    late: set[int] = set()
    usual: float | None = None
    for item in arrivals:
        delay = item.delay_ns / NS_PER_MS
        usual = delay if usual is None else usual
        if delay - usual > buffer_ms:
            late.add(item.number)
        usual += (delay - usual) / JITTER_GAIN
    return late


def reordered(numbers: Iterable[int]) -> int:
    """Packets that arrive behind one sent later (RFC 4737 section 3.3, type-P-reordered). Pure."""
    expected = count = 0
    for number in numbers:
        if number < expected:
            count += 1
        else:
            expected = number + 1
    return count


def delays_of(arrivals: Sequence[Arrival]) -> Delays:
    """Least, median, 95th percentile and most of the delays. Pure."""
    if not arrivals:
        return Delays()
    ordered = sorted(item.delay_ns / NS_PER_MS for item in arrivals)

    def at(part: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 3)

    return Delays(at(0), at(0.5), at(0.95), at(1))


def worst_window(missing: Sequence[bool], packets: int) -> float:
    """The greatest loss of any `packets` packets in a row, percent. Pure. Raises ValueError below one."""
    if packets < 1:
        raise ValueError("a window has one packet at least")
    size = min(packets, len(missing))
    if not size:
        return 0.0
    lost = most = sum(missing[:size])
    for gone, come in zip(missing, missing[size:], strict=False):
        lost += come - gone
        most = max(most, lost)
    return 100.0 * most / size


@dataclass(frozen=True, slots=True)
class Target:
    """What Microsoft asks of a network between two points, for each stream (facts 6.2, `teams-net`).

    delay_ms: one way. loss_percent in any window_s; burst_percent in any burst_s.
    """

    delay_ms: float
    loss_percent: float
    burst_percent: float
    jitter_ms: float
    reordered_percent: float
    window_s: float = 15.0
    burst_s: float = 0.2


EDGE_TO_EDGE = Target(30, 0.1, 1, 15, 0.01)
"""The customer's edge to Microsoft's."""

CLIENT_TO_EDGE = Target(50, 1, 10, 30, 0.05)
"""A client to Microsoft's edge."""


def misses(found: Quality, missing: Sequence[bool], packet_ms: float, target: Target) -> tuple[str, ...]:
    """Which figures of the target a stream misses, in words; empty when it meets all. Pure."""
    window = worst_window(missing, max(1, round(target.window_s * 1000 / packet_ms)))
    burst = worst_window(missing, max(1, round(target.burst_s * 1000 / packet_ms)))
    figures = (
        ("one-way delay", found.delay.p95, target.delay_ms, "ms"),
        (f"loss in {target.window_s:g} s", window, target.loss_percent, "%"),
        (f"loss in {target.burst_s * 1000:g} ms", burst, target.burst_percent, "%"),
        ("jitter", found.jitter_max_ms, target.jitter_ms, "ms"),
        ("reordered", found.reordered_percent, target.reordered_percent, "%"),
    )
    return tuple(
        f"{name} {value:.3g} {unit}, at most {most:g} {unit} allowed"
        for name, value, most, unit in figures
        if value > most
    )
