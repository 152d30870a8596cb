"""Probes and the gaps between them: how long nothing came through, and by which link they went. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lab.traffic.probes import Probe, Probes

__all__ = ["AVAILABILITY_PROMISED", "NS_PER_S", "Gap", "Outage", "Probe", "outage"]

NS_PER_S = 1e9

AVAILABILITY_PROMISED = 99.95
"""Percent, of an ExpressRoute circuit with both connections (facts 7, `sla`)."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of probes that were lost. begin_ns: the first lost one's sending; end_ns: that of the next
    one that came through (of the last sent, when none did). before, after: links that carried the neighbours.
    """

    begin_ns: int
    end_ns: int
    lost: int
    before: str
    after: str

    @property
    def seconds(self) -> float:
        """How long nothing that was sent came through."""
        return (self.end_ns - self.begin_ns) / NS_PER_S


@dataclass(frozen=True, slots=True)
class Outage:
    """A run of probes. longest: the longest gap, None when nothing was lost."""

    sent: int
    lost: int
    seconds: float
    gaps: tuple[Gap, ...]

    @property
    def longest(self) -> Gap | None:
        """The gap that lasted longest, the earliest of equal ones."""
        return max(self.gaps, key=lambda gap: gap.seconds, default=None)

    @property
    def availability(self) -> float:
        """Percent of the time in which what was sent came through."""
        down = sum(gap.seconds for gap in self.gaps)
        return 100.0 * (1 - down / self.seconds) if self.seconds > 0 else 100.0


def outage(probes: Iterable[Probe], interval_ns: int) -> Outage:
    """Judge a run. probes: in the order of sending; interval_ns: between two of them.

    A gap is as long as no probe that was sent came through, so it is known to one interval.
    """
    run = Probes.of(probes)
    gaps = tuple(_gap(run, lost, interval_ns) for lost in run.lost())
    length = run[-1].sent_ns - run[0].sent_ns + interval_ns if run else 0
    return Outage(len(run), sum(gap.lost for gap in gaps), length / NS_PER_S, gaps)


def _gap(run: Probes, lost: range, interval_ns: int) -> Gap:
    before = run[lost.start - 1].link if lost.start else ""
    if lost.stop == len(run):
        return Gap(run[lost.start].sent_ns, run[-1].sent_ns + interval_ns, len(lost), before, "")
    back = run[lost.stop]
    return Gap(run[lost.start].sent_ns, back.sent_ns, len(lost), before, back.link)
