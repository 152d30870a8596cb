"""A call as it was: each stream, what is worst of each kind, targets that were missed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.traffic.callplan import Way
from lab.traffic.measured import Window
from lab.traffic.media import Medium
from lab.traffic.quality import Quality

BUSY_MS = 20.0
"""A packet that was sent later than this by this machine's fault is worth a word: a whole packet of voice."""


@dataclass(frozen=True, slots=True)
class StreamResult:
    """A stream. near, far: the ends as packets name them where they are sent.

    seen: near as the far end sees it, behind a NAT. setup_ms: until the answer to STUN. dscp: DSCP as
    received -> packets. missed: Microsoft's targets that it misses. refused: packets that the sender's kernel
    would not send, and why. late_max_ms: how late the worst was sent.
    """

    medium: Medium
    number: int
    way: Way
    near: tuple[str, int]
    far: tuple[str, int]
    seen: tuple[str, int]
    setup_ms: float
    quality: Quality
    dscp: dict[int, int]
    missed: tuple[str, ...]
    windows: tuple[Window, ...]
    refused: int
    refusal: str
    late_max_ms: float

    def to_json(self) -> dict[str, Any]:
        """As plain data; r and mos are null for other media than voice."""
        q = self.quality
        voice = self.medium == "voice"
        return {
            "medium": self.medium,
            "number": self.number,
            "way": self.way,
            "near": _end(self.near),
            "far": _end(self.far),
            "seen": _end(self.seen),
            "setup_ms": round(self.setup_ms, 3),
            "sent": q.sent,
            "received": q.received,
            "lost": q.lost,
            "loss_percent": round(q.loss_percent, 3),
            "late": q.late,
            "duplicates": q.duplicates,
            "reordered": q.reordered,
            "longest_burst": q.longest_burst,
            "bursts": q.bursts,
            "burst_ratio": q.burst_ratio,
            "jitter_ms": q.jitter_ms,
            "jitter_max_ms": q.jitter_max_ms,
            "delay_ms": {
                "least": q.delay.least,
                "median": q.delay.median,
                "p95": q.delay.p95,
                "most": q.delay.most,
            },
            "r": q.r if voice else None,
            "mos": q.mos if voice else None,
            "dscp": {str(dscp): packets for dscp, packets in self.dscp.items()},
            "missed": list(self.missed),
            "refused": self.refused,
            "refusal": self.refusal,
            "sent_late_max_ms": round(self.late_max_ms, 3),
            "windows": [window.to_json() for window in self.windows],
        }


def _end(end: tuple[str, int]) -> dict[str, Any]:
    return {"address": end[0], "port": end[1]}


@dataclass(frozen=True, slots=True)
class CallResult:
    """A call. seconds: how long it was to last. overrun: arrivals that our own sockets had no room for."""

    lab: str
    source: str
    target: str
    profile: str
    codec: str
    seconds: float
    streams: tuple[StreamResult, ...]
    overrun: int = 0

    @property
    def mos(self) -> float | None:
        """The least of all streams of voice; None when there is none."""
        return min((item.quality.mos for item in self.streams if item.medium == "voice"), default=None)

    @property
    def loss_percent(self) -> float:
        """The most of all streams."""
        return max((item.quality.loss_percent for item in self.streams), default=0.0)

    @property
    def jitter_ms(self) -> float:
        """The most of all streams, at its worst moment."""
        return max((item.quality.jitter_max_ms for item in self.streams), default=0.0)

    @property
    def delay_ms(self) -> float:
        """The 95th percentile of the one-way delay, of the worst stream."""
        return max((item.quality.delay.p95 for item in self.streams), default=0.0)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of these figures is this machine's fault and not the network's, and what was never sent."""
        words = []
        late = max((item.late_max_ms for item in self.streams), default=0.0)
        if late > BUSY_MS:
            words.append(
                f"this machine was so busy that a packet was sent {late:.0f} ms late: "
                f"delay and jitter are also its own"
            )
        if self.overrun:
            words.append(f"{self.overrun} packets found no room in the receiver's socket: they count as lost")
        refusals = {item.refusal: 0 for item in self.streams if item.refused}
        for item in self.streams:
            if item.refused:
                refusals[item.refusal] += item.refused
        words += [f"{count} packets were not sent: {why}" for why, count in refusals.items()]
        return tuple(words)

    def to_json(self) -> dict[str, Any]:
        """As plain data, for `--format json`."""
        return {
            "version": 1,
            "lab": self.lab,
            "source": self.source,
            "target": self.target,
            "profile": self.profile,
            "codec": self.codec,
            "seconds": self.seconds,
            "mos": self.mos,
            "loss_percent": round(self.loss_percent, 3),
            "delay_ms": self.delay_ms,
            "jitter_ms": self.jitter_ms,
            "warnings": list(self.warnings),
            "streams": [item.to_json() for item in self.streams],
        }


@dataclass(frozen=True, slots=True)
class Asked:
    """Targets that a user gives; None is not asked. The worst stream decides."""

    mos: float | None = None
    loss_percent: float | None = None
    delay_ms: float | None = None
    jitter_ms: float | None = None
    microsoft: bool = False


def failures(result: CallResult, asked: Asked) -> tuple[str, ...]:
    """Which of the targets the call misses, in words."""
    words = []
    if asked.mos is not None and (result.mos is None or result.mos < asked.mos):
        words.append(
            f"MOS {result.mos:.2f}, at least {asked.mos:g} wanted" if result.mos else "no voice, no MOS"
        )
    if asked.delay_ms is not None or asked.jitter_ms is not None:
        words += [
            f"{item.medium} {item.number} ({item.way}): nothing arrived, so it has no delay and no jitter"
            for item in result.streams
            if item.quality.sent and not item.quality.received
        ]
    for name, value, most, unit in (
        ("loss", result.loss_percent, asked.loss_percent, "%"),
        ("one-way delay", result.delay_ms, asked.delay_ms, "ms"),
        ("jitter", result.jitter_ms, asked.jitter_ms, "ms"),
    ):
        if most is not None and value > most:
            words.append(f"{name} {value:.3g} {unit}, at most {most:g} {unit} wanted")
    if asked.microsoft:
        words += [
            f"{item.medium} {item.number} ({item.way}): {missed}"
            for item in result.streams
            for missed in item.missed
        ]
    return tuple(words)


def worst(streams: Sequence[StreamResult]) -> dict[tuple[Medium, Way], list[StreamResult]]:
    """Streams of one kind together, the one that lost most first."""
    groups: dict[tuple[Medium, Way], list[StreamResult]] = {}
    for item in streams:
        groups.setdefault((item.medium, item.way), []).append(item)
    for group in groups.values():
        group.sort(key=lambda item: (-item.quality.loss_percent, -item.quality.jitter_max_ms))
    return groups
