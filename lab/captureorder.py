"""Frames of many places in the order of their times, although they are read place by place.

While one socket is read, a frame passes the place of another that was looked at already: it comes with the
next read, and is older than what this one gave. And a frame gets its time a little before it is in the
socket: in between it waits for its CPU, which may be at work with something else. So frames wait here until a
later look at all places has had its chance to find older ones. InOrder decides that, and is pure;
OrderedSource reads.
"""

from __future__ import annotations

import select
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from lab.capture import Frame, FrameSource

HOLD_S = 0.02
"""How long a frame waits for older ones: far longer than it takes from its time into the socket, too short to
be noticed by people who look at frames as they come."""


def _time(frame: Frame) -> int:
    return frame.time_ns


class InOrder:
    """Puts what several reads gave into one order. Times of reads are of time.monotonic."""

    def __init__(self) -> None:
        self._held: list[Frame] = []
        # When each read had ended whose frames are held, and the latest time of a frame that it gave.
        self._reads: deque[tuple[float, int]] = deque()

    def take(
        self, frames: Sequence[Frame], looked: float, ended: float, behind_ns: int | None = None
    ) -> list[Frame]:
        """The frames that go on after a read.

        looked: when the look began that told which places had any. ended: when they had been read. behind_ns:
        the read left some behind, see FrameSource.behind_ns; None when it left none.

        What is not read by now came into a socket after `looked`, so its time is at most HOLD_S before that:
        no frame of a read that had ended by then is younger.
        """
        if frames:
            self._reads.append((ended, max(map(_time, frames))))
            # What is older than all of them stays where it is: there may be much of it.
            later = bisect_right(self._held, min(map(_time, frames)), key=_time)
            self._held[later:] = sorted((*self._held[later:], *frames), key=_time)
        until_ns = max((latest for read, latest in self._reads if read + HOLD_S <= looked), default=0)
        if behind_ns is not None:
            until_ns = min(until_ns, behind_ns - int(HOLD_S * 1e9))
        ready = bisect_right(self._held, until_ns, key=_time)
        gone, self._held = self._held[:ready], self._held[ready:]
        while self._reads and self._reads[0][1] <= until_ns:
            self._reads.popleft()
        return gone

    def due_s(self, now: float) -> float | None:
        """In how many seconds to look again, so that frames can go on; None when none are held."""
        return max(0.0, self._reads[0][0] + HOLD_S - now) if self._reads else None

    def holds(self, until_ns: int) -> bool:
        """Whether a frame waits that is as old as this."""
        return bool(self._held) and self._held[0].time_ns <= until_ns

    def rest(self) -> list[Frame]:
        """All that waits, when nothing more is read."""
        gone, self._held = self._held, []
        self._reads.clear()
        return gone


class OrderedSource:
    """Reads a FrameSource: what it gives is in the order of times over all reads."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._order = InOrder()
        self._looked = 0.0
        self._ready: list[int] = []

    def wait(self, others: Mapping[int, int], left_s: float | None = None) -> set[int]:
        """Until there is something to `read`, or something happens to `others`: which of them it happened to.

        others: descriptors and what to poll for at each (poll(2)). left_s: at most so long.
        """
        poller = select.poll()
        for fd in self._source.fds():
            poller.register(fd, select.POLLIN)
        for fd, wanted in others.items():
            poller.register(fd, wanted)
        due_s = self._order.due_s(time.monotonic())
        waits = [one for one in (left_s, due_s) if one is not None]
        poller.poll(-int(-min(waits) * 1000 // 1) if waits else None)
        # It may have been long until we got to run, and longer since poll looked at the first of them.
        self._looked = time.monotonic()
        found = [fd for fd, _ in poller.poll(0)]
        self._ready = [fd for fd in found if fd not in others]
        return {fd for fd in found if fd in others}

    def read(self) -> list[Frame]:
        """The frames that go on after the last wait."""
        frames = self._source.read(self._ready)
        gone = self._order.take(frames, self._looked, time.monotonic(), self._source.behind_ns)
        # Without devices nobody will look again.
        return gone if self._source.alive else gone + self._order.rest()

    def gave(self, until_ns: int) -> bool:
        """Whether all has gone on that was there until then, if the last wait was later."""
        behind_ns = self._source.behind_ns
        return not self._order.holds(until_ns) and (behind_ns is None or behind_ns > until_ns)

    def rest(self) -> Iterator[list[Frame]]:
        """All that has come by now and not gone on, and what was read with it; in several parts."""
        until_ns = time.time_ns()
        while True:
            looked = time.monotonic()
            frames = self._source.read(self._source.fds())
            yield self._order.take(frames, looked, time.monotonic(), self._source.behind_ns)
            if not any(frame.time_ns <= until_ns for frame in frames):
                break
        yield self._order.rest()
