"""A bad wire, slow and readable: what csrc/impair.h must do, written from its words and not from its code.

Times are whole nanoseconds. A frame is any value; `offer` takes it, `take` gives it back when it departs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
LOSS, DUPLICATE, REORDER, JITTER = range(4)


def mix(z: int) -> int:
    """splitmix64's output function."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def splitmix64(state: int):
    """The generator as published: an endless stream."""
    while True:
        state = (state + GOLDEN) & MASK
        yield mix(state)


def draw(seed: int, frame: int, which: int, bound: int) -> int:
    """Draw `which` of a frame as a number below `bound`."""
    return mix((mix(seed) + (4 * frame + which + 1) * GOLDEN) & MASK) * bound >> 64


@dataclass(frozen=True)
class Settings:
    seed: int = 0
    delay_ns: int = 0
    jitter_ns: int = 0
    rate_bps: int = 0
    queue_ns: int = 0
    loss_ppm: int = 0
    duplicate_ppm: int = 0
    reorder_ppm: int = 0


@dataclass
class Wire:
    """waiting: (departure, 0 for an express frame and 1 for one in order, number of the offer, frame)."""

    settings: Settings
    places: int
    offered: int = 0
    lost: int = 0
    overflowed: int = 0
    duplicated: int = 0
    reordered: int = 0
    taken: int = 0
    free: Fraction = Fraction(0)
    rate_bps: int = 0
    latest: int = 0
    waiting: list[tuple[int, int, int, object]] = field(default_factory=list)

    def offer(self, now: int, octets: int, frame: object) -> int:
        """In how many places the frame waits: 0 when it is lost or dropped."""
        s, number = self.settings, self.offered
        self.offered += 1
        if s.rate_bps and int(self.free) - now > s.queue_ns:
            self.overflowed += 1
            return 0
        if s.rate_bps != self.rate_bps:
            # The wire has another speed: the rest of a nanosecond is forgotten.
            self.free, self.rate_bps = Fraction(int(self.free)), s.rate_bps
        if s.rate_bps:
            if int(self.free) < now:
                self.free = Fraction(now)
            self.free += Fraction(octets * 8 * 10**9, s.rate_bps)
        else:
            self.free = Fraction(max(now, int(self.free)))
        sent = int(self.free)
        if draw(s.seed, number, LOSS, 10**6) < s.loss_ppm:
            self.lost += 1
            return 0
        express = draw(s.seed, number, REORDER, 10**6) < s.reorder_ppm
        copies = 1 + (draw(s.seed, number, DUPLICATE, 10**6) < s.duplicate_ppm)
        line = 0 if express else 1
        if sum(1 for item in self.waiting if item[1] == line) + copies > self.places:
            self.overflowed += 1
            return 0
        departure = sent
        if express:
            self.reordered += any(item[1] == 1 for item in self.waiting) and departure < self.latest
        else:
            delay = s.delay_ns
            if s.jitter_ns:
                delay += draw(s.seed, number, JITTER, 2 * s.jitter_ns + 1) - s.jitter_ns
            departure = self.latest = max(sent + max(0, delay), self.latest)
        self.waiting += [(departure, line, number, frame)] * copies
        self.duplicated += copies - 1
        return copies

    def take(self, now: int) -> object | None:
        """The next frame that departs by now, or None."""
        due = [item for item in self.waiting if item[0] <= now]
        if not due:
            return None
        first = min(due, key=lambda item: item[:3])
        self.waiting.remove(first)
        self.taken += 1
        return first[3]

    def due(self) -> int:
        """When the next frame departs."""
        return min((item[0] for item in self.waiting), default=MASK)
