"""What an outage meter found: probes of each way, what happened meanwhile, and what to make of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lab.traffic.outage import AVAILABILITY_PROMISED, NS_PER_S, Gap, Outage, outage
from lab.traffic.probes import Probe, Probes

MONTH_S = 30 * 86400
"""A month as service level agreements count it, near enough."""

Happening = Literal["fault", "healed", "established"]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened while probes were on their way. at_ns: since 1970."""

    at_ns: int
    what: Happening
    words: str = ""


@dataclass(frozen=True, slots=True)
class Course:
    """The probes of one way, in the order of sending. way: `pc1 -> vm1`."""

    way: str
    probes: Sequence[Probe]

    def links(self) -> tuple[str, ...]:
        """Links that carried probes which arrived, in the order of their first."""
        return Probes.of(self.probes).links()

    def between(self, begin_ns: int, end_ns: int) -> Probes:
        """Probes that were sent in that time."""
        return Probes.of(self.probes).between(begin_ns, end_ns)

    def first(self) -> Probe | None:
        """The first probe that arrived."""
        return next((probe for probe in self.probes if probe.received_ns is not None), None)

    def last(self, end_ns: int | None = None) -> Probe | None:
        """The last probe that arrived; of those sent before `end_ns`, where that is given."""
        return next(
            (
                probe
                for probe in reversed(self.probes)
                if probe.received_ns is not None and (end_ns is None or probe.sent_ns < end_ns)
            ),
            None,
        )


@dataclass(frozen=True, slots=True)
class Worst:
    """The longest gap of all ways, and the way it was on; gap is None where nothing was lost."""

    way: str
    gap: Gap | None

    @property
    def seconds(self) -> float:
        """How long; 0 where nothing was lost."""
        return self.gap.seconds if self.gap is not None else 0.0


@dataclass(frozen=True, slots=True)
class Metering:
    """One run of the meter. interval_ns: between two probes of a way.

    unheard: probes that arrived and found no room at the receiver, our own fault; they count as lost.
    """

    interval_ns: int
    courses: tuple[Course, ...]
    marks: tuple[Mark, ...] = ()
    unheard: int = 0

    def outages(self) -> tuple[Outage, ...]:
        """What to make of each way, in their order."""
        return tuple(outage(course.probes, self.interval_ns) for course in self.courses)

    def at(self, what: Happening) -> int | None:
        """When that happened first, None when it did not."""
        return next((mark.at_ns for mark in self.marks if mark.what == what), None)

    @property
    def lost(self) -> int:
        """Probes that were lost, of all ways."""
        return sum(found.lost for found in self.outages())

    @property
    def sent(self) -> int:
        """Probes that were sent, of all ways."""
        return sum(len(course.probes) for course in self.courses)

    @property
    def availability(self) -> float:
        """Percent of the run, of the way that had least."""
        return min((found.availability for found in self.outages()), default=100.0)

    def worst(self) -> Worst:
        """The longest gap."""
        found = [
            Worst(course.way, one.longest)
            for course, one in zip(self.courses, self.outages(), strict=True)
            if one.longest is not None
        ]
        quiet = Worst(self.courses[0].way if self.courses else "", None)
        return max(found, key=lambda one: one.seconds, default=quiet)

    def links(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(before, after): of each way the link that carried it at first, and at the end.

        At the end is before what was wrong has been healed, where that is known.
        """
        healed = self.at("healed")
        firsts, lasts = [], []
        for course in self.courses:
            first, last = course.first(), course.last(healed)
            firsts.append(first.link if first else "")
            lasts.append(last.link if last else "")
        return tuple(firsts), tuple(lasts)

    def until_healed(self) -> Metering:
        """The part before the fault was healed; all of it where nothing was."""
        healed = self.at("healed")
        return self if healed is None else self._cut(0, healed)

    def since_healed(self) -> Metering:
        """The part from then on; nothing where nothing was healed."""
        healed = self.at("healed")
        return self._cut(healed if healed is not None else 1 << 63, 1 << 63)

    def _cut(self, begin_ns: int, end_ns: int) -> Metering:
        courses = tuple(Course(one.way, one.between(begin_ns, end_ns)) for one in self.courses)
        return Metering(self.interval_ns, courses, self.marks, self.unheard)


def allowed_a_month(gap_s: float) -> int | None:
    """How many such gaps a month has room for at the availability promised; None when any number."""
    if gap_s <= 0:
        return None
    return int(round(MONTH_S * (100 - AVAILABILITY_PROMISED) / 100 / gap_s, 6))


def carried(taps: int, names: Sequence[str]) -> str:
    """The links that saw a packet, by the bits of their taps, joined by a plus. Pure."""
    return "+".join(name for place, name in enumerate(names) if taps >> place & 1)


def metering_json(found: Metering, *, probes: bool = False) -> dict[str, Any]:
    """A run as plain data; with `probes` each of them, as [sent, received or null, link]. Times in ns."""
    return {
        "version": 1,
        "interval_ms": found.interval_ns / 1e6,
        "longest_gap_s": round(found.worst().seconds, 6),
        "sent": found.sent,
        "lost": found.lost,
        "unheard": found.unheard,
        "availability_percent": round(found.availability, 4),
        "promised_percent": AVAILABILITY_PROMISED,
        "marks": [{"at_ns": mark.at_ns, "what": mark.what, "words": mark.words} for mark in found.marks],
        "ways": [
            {
                "way": course.way,
                "sent": one.sent,
                "lost": one.lost,
                "longest_gap_s": round(one.longest.seconds, 6) if one.longest else 0.0,
                "availability_percent": round(one.availability, 4),
                "link_before": first,
                "link_after": last,
                "links": list(course.links()),
                "gaps": [
                    {
                        "begin_ns": gap.begin_ns,
                        "seconds": round(gap.seconds, 6),
                        "lost": gap.lost,
                        "link_before": gap.before,
                        "link_after": gap.after,
                    }
                    for gap in one.gaps
                ],
                **(
                    {"probes": [[item.sent_ns, item.received_ns, item.link] for item in course.probes]}
                    if probes
                    else {}
                ),
            }
            for course, one, first, last in zip(found.courses, found.outages(), *found.links(), strict=True)
        ],
    }


def metering_of(data: dict[str, Any]) -> Metering:
    """The counterpart of metering_json with `probes`. Raises KeyError, TypeError, ValueError."""
    courses = tuple(
        Course(way["way"], Probes(Probe(sent, received, link) for sent, received, link in way["probes"]))
        for way in data["ways"]
    )
    marks = tuple(Mark(mark["at_ns"], mark["what"], mark["words"]) for mark in data["marks"])
    return Metering(round(data["interval_ms"] * 1e6), courses, marks, data["unheard"])


def seconds_since(found: Metering, at_ns: int) -> float:
    """Seconds from the first probe to a moment."""
    return (at_ns - begin_ns(found, at_ns)) / NS_PER_S


def begin_ns(found: Metering, default: int = 0) -> int:
    """When the first probe of all was sent; `default` where there was none."""
    return min((course.probes[0].sent_ns for course in found.courses if course.probes), default=default)
