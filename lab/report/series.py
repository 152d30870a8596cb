"""What plots show, as numbers: seconds on one axis, lists on the other. Pure.

outage    delays of probes by link, gaps, marks
queues    rates, drops and backlog of each class, from lines of `edgelab classes --watch --format json`
quality   MOS, loss, jitter and delay of the streams of a call
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from typing import Any

from lab.traffic.metering import Course, Metering, begin_ns, seconds_since
from lab.traffic.outage import NS_PER_S, outage
from lab.traffic.probes import Probe, Probes

POINTS_MAX = 2000
"""Points of one line: more is finer than a picture is wide, and makes files that open slowly."""

ELSEWHERE = "elsewhere"
"""The link of a probe that no tap saw."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class WaySeries:
    """One way of a meter. points: link -> (second, delay in ms) of probes that arrived, in their order.

    gaps: (begin, end) in seconds. lost: when probes were sent that never arrived.
    """

    way: str
    points: Mapping[str, tuple[Point, ...]]
    gaps: tuple[tuple[float, float], ...]
    lost: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class OutageSeries:
    """A run of the meter. marks: (second, what happened)."""

    ways: tuple[WaySeries, ...]
    marks: tuple[tuple[float, str], ...]

    @property
    def links(self) -> tuple[str, ...]:
        """All links that carried something, in the order of the first way."""
        return tuple(dict.fromkeys(link for way in self.ways for link in way.points))


def thinned(points: Collection[Point], most: int = POINTS_MAX) -> tuple[Point, ...]:
    """At most about so many points: of each stretch the highest, which is what somebody looks for."""
    return _thinned(points, len(points), most)


def _thinned(points: Iterable[Point], count: int, most: int = POINTS_MAX) -> tuple[Point, ...]:
    """The same of `count` points that are made one by one: a run of an hour has millions."""
    step = max(1, -(-count // most))
    rest = iter(points)
    stretches = iter(lambda: tuple(islice(rest, step)), ())
    return tuple(max(stretch, key=lambda point: point[1]) for stretch in stretches)


def outage_series(found: Metering) -> OutageSeries:
    """A run as a picture needs it; second 0 is the first probe."""
    ways = tuple(_way(found, course) for course in found.courses)
    marks = tuple((seconds_since(found, mark.at_ns), mark.words or mark.what) for mark in found.marks)
    return OutageSeries(ways, marks)


def _way(found: Metering, course: Course) -> WaySeries:
    begin = begin_ns(found)
    probes = Probes.of(course.probes)
    lost = array("q", chain.from_iterable(probes.lost()))
    by_link: dict[str, array[int]] = {}
    for place, probe in enumerate(probes):
        if probe.received_ns is not None:
            by_link.setdefault(probe.link or ELSEWHERE, array("q")).append(place)
    points = {
        link: _thinned((_point(probes[place], begin) for place in places), len(places))
        for link, places in by_link.items()
    }
    gaps = tuple(
        ((gap.begin_ns - begin) / NS_PER_S, (gap.end_ns - begin) / NS_PER_S)
        for gap in outage(probes, found.interval_ns).gaps
    )
    seconds = _thinned((_point(probes[place], begin) for place in lost), len(lost))
    return WaySeries(course.way, points, gaps, tuple(second for second, _ in seconds))


def _point(probe: Probe, begin: int) -> Point:
    """When it was sent, and its delay in ms; 0 where it never arrived."""
    delay_ms = 0.0 if probe.received_ns is None else (probe.received_ns - probe.sent_ns) / 1e6
    return (probe.sent_ns - begin) / NS_PER_S, delay_ms


@dataclass(frozen=True, slots=True)
class ClassSeries:
    """A class of a port over time: bits and dropped packets per second between looks, packets that wait."""

    name: str
    bits_per_s: tuple[Point, ...]
    drops_per_s: tuple[Point, ...]
    backlog: tuple[Point, ...]


def queue_series(
    views: Iterable[Mapping[str, Any]], port: str = "", circuit: str = ""
) -> tuple[ClassSeries, ...]:
    """Classes over time, from views of `edgelab classes` (lab.classes.ClassesView.to_json).

    port, circuit: only these. A class that stands on several ports bears the port's name, too. Counters that
    go back, since a queue was made anew, begin anew.
    """
    looks: dict[tuple[str, str, str], list[tuple[float, Mapping[str, Any]]]] = {}
    begin: float | None = None
    for view in views:
        begin = view["time"] if begin is None else begin
        for row in view["queues"]:
            if port in ("", row["port"]) and circuit in ("", row["circuit"]) and row["circuit"]:
                key = (row["port"], row["circuit"], row["name"])
                looks.setdefault(key, []).append((view["time"] - begin, row))
    ports = {key[0] for key in looks}
    return tuple(
        ClassSeries(
            name if len(ports) == 1 else f"{at} {name}",
            _rates(found, "octets", 8),
            _rates(found, "drops", 1),
            tuple((second, float(row["backlog_packets"])) for second, row in found),
        )
        for (at, _, name), found in looks.items()
    )


def _rates(found: Sequence[tuple[float, Mapping[str, Any]]], counter: str, factor: int) -> tuple[Point, ...]:
    return tuple(
        (second, max(0, row[counter] - before[counter]) * factor / (second - earlier))
        for (earlier, before), (second, row) in pairwise(found)
        if second > earlier
    )


@dataclass(frozen=True, slots=True)
class QualityPoint:
    """A stretch of a stream: its begin in seconds, and what a receiver had of it.

    mos: of voice only. delay_ms: None where nothing arrived.
    """

    second: float
    mos: float | None
    loss_percent: float
    jitter_ms: float
    delay_ms: float | None


def quality_series(call: Mapping[str, Any]) -> dict[str, tuple[QualityPoint, ...]]:
    """Streams of a call over time, from what `edgelab call --format json` prints."""
    return {
        f"{stream['medium']} {stream['number']} {stream['way']}": tuple(
            QualityPoint(
                window["begin_s"],
                window["mos"],
                window["loss_percent"],
                window["jitter_ms"],
                window["delay_ms"],
            )
            for window in stream["windows"]
        )
        for stream in call["streams"]
    }
