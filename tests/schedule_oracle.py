"""Queues in front of a wire, slow and readable: what csrc/schedule.h must do, written from its words.

Deficit round robin as in Shreedhar and Varghese (1995), strict queues before it, each behind a token bucket
that its frames wait for.
Times are whole nanoseconds, tokens exact fractions of bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

NEVER = (1 << 64) - 1


@dataclass(frozen=True)
class Settings:
    share: int
    strict: bool = False
    limit_octets: int = 1 << 30
    burst_octets: int = 1 << 20


@dataclass
class Queue:
    settings: Settings
    frames: list[tuple[int, int, int]] = field(default_factory=list)
    deficit: int = 0
    tokens: Fraction | None = None
    filled_at: int = 0
    put: int = 0
    taken: int = 0
    dropped: int = 0
    taken_octets: int = 0

    def bits(self) -> int:
        """What the first frame waits for: its own length, or a full bucket when it is longer than that."""
        return 8 * min(self.frames[0][0], self.settings.burst_octets)

    def fill(self, now: int, rate_bps: int) -> None:
        """The bucket of a strict queue at this time."""
        burst = Fraction(self.settings.burst_octets * 8)
        if self.tokens is None:
            self.tokens, self.filled_at = burst, now
        earned = Fraction(max(0, now - self.filled_at) * self.share(rate_bps), 10**9)
        self.filled_at = max(now, self.filled_at)
        self.tokens = min(burst, self.tokens + earned)

    def share(self, rate_bps: int) -> int:
        return max(1, rate_bps * self.settings.share // 100)

    def due(self, rate_bps: int) -> int:
        """When the first frame has the tokens it needs."""
        if self.tokens is None or self.tokens >= self.bits():
            return 0
        return self.filled_at + math.ceil((self.bits() - self.tokens) * 10**9 / self.share(rate_bps))


@dataclass
class Schedule:
    places: int
    rate_bps: int = 0
    sent_at_bps: int = 0
    round_octets: int = 0
    queues: list[Queue] = field(default_factory=list)
    active: list[Queue] = field(default_factory=list)
    turn_begun: bool = False
    free: Fraction = Fraction(0)

    def set(self, rate_bps: int, round_octets: int, sets: list[Settings]) -> None:
        """Rate and queues; frames that wait stay, and a new round begins."""
        self.rate_bps, self.round_octets = rate_bps, round_octets
        for number, settings in enumerate(sets):
            if number == len(self.queues):
                self.queues.append(Queue(settings))
            self.queues[number].settings = settings
            self.queues[number].deficit = 0
        self.active = [q for q in self.queues if q.frames and not q.settings.strict]
        self.turn_begun = False

    def put(self, queue: int, octets: int, frame: int, packets: int = 1) -> int:
        """1, or 0 when the frame is dropped."""
        q = self.queues[queue]
        q.put += packets
        queued = sum(size for size, _, _ in q.frames)
        if len(q.frames) == self.places or (q.frames and queued + octets > q.settings.limit_octets):
            q.dropped += packets
            return 0
        if not q.frames and not q.settings.strict:
            self.active.append(q)
        q.frames.append((octets, packets, frame))
        return 1

    def take(self, now: int) -> tuple[int, int] | None:
        """(queue, frame) that leaves now, or None."""
        if int(self.free) > now:
            return None
        q = self._strict(now) or (self._turn() if self.active else None)
        if q is None:
            return None
        octets, packets, frame = q.frames.pop(0)
        q.taken += packets
        q.taken_octets += octets
        if q.settings.strict:
            assert q.tokens is not None
            q.tokens -= octets * 8
        else:
            q.deficit -= octets
            if not q.frames:
                q.deficit = 0
                self.active.remove(q)
                self.turn_begun = False
        if self.rate_bps != self.sent_at_bps:
            # The wire has another speed: the rest of a nanosecond is forgotten.
            self.free, self.sent_at_bps = Fraction(int(self.free)), self.rate_bps
        start = self.free if int(self.free) >= now else Fraction(now)
        if self.rate_bps:
            self.free = start + Fraction(octets * 8 * 10**9, self.rate_bps)
        else:
            self.free = Fraction(max(int(self.free), now))
        return self.queues.index(q), frame

    def _strict(self, now: int) -> Queue | None:
        """The first strict queue whose first frame has its tokens."""
        for q in self.queues:
            if q.settings.strict and q.frames:
                q.fill(now, self.rate_bps)
                assert q.tokens is not None
                if q.tokens >= q.bits():
                    return q
        return None

    def _turn(self) -> Queue:
        while True:
            q = self.active[0]
            if not self.turn_begun:
                q.deficit += max(1, q.settings.share * self.round_octets)
                self.turn_begun = True
            if q.frames[0][0] <= q.deficit:
                return q
            self.active.append(self.active.pop(0))
            self.turn_begun = False

    def due(self) -> int:
        """When a frame may leave."""
        waiting = [q for q in self.queues if q.frames]
        times = [q.due(self.rate_bps) if q.settings.strict else 0 for q in waiting]
        return max(int(self.free), min(times)) if times else NEVER
