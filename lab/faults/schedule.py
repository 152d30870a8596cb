"""The timed script of a topology file (`faults:`) as an order of moments. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from lab.faults.kinds import KINDS
from lab.faults.model import Fault
from lab.faults.units import DURATION, words_of


@dataclass(frozen=True, slots=True)
class Scripted:
    """One entry: the fault begins at_s seconds after the script and lasts for_s; None: until it is healed."""

    at_s: float
    for_s: float | None
    fault: Fault

    def __str__(self) -> str:
        length = f" for {DURATION.show(self.for_s)}" if self.for_s is not None else ""
        return f"at {DURATION.show(self.at_s)}{length}: {self.fault}"


@dataclass(frozen=True, slots=True)
class Moment:
    """What happens at_s seconds after the script's begin: an entry's fault begins or ends."""

    at_s: float
    what: Literal["begins", "ends"]
    entry: Scripted

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        fault = self.entry.fault
        return {
            "at_s": self.at_s,
            "what": self.what,
            "name": fault.name,
            "kind": fault.kind,
            "target": fault.target,
            "options": words_of(fault.options),
        }


def timeline(script: Iterable[Scripted]) -> tuple[Moment, ...]:
    """All moments in order of time; at one time the ends come first, then the order of the file."""
    moments = []
    for entry in script:
        moments.append(Moment(entry.at_s, "begins", entry))
        if entry.for_s is not None:
            moments.append(Moment(_sum(entry.at_s, entry.for_s), "ends", entry))
    return tuple(sorted(moments, key=lambda moment: (moment.at_s, moment.what == "begins")))


def _sum(at_s: float, for_s: float) -> float:
    """So that 100ms and 200ms are the 300ms of a next entry: 0.1 + 0.2 is more than 0.3."""
    return round(at_s + for_s, 9)


def overlapping(script: Iterable[Scripted]) -> list[int]:
    """Numbers of the entries that begin while another one of their name still lasts."""
    ends: dict[str, float] = {}
    found = []
    for number, entry in sorted(enumerate(script), key=lambda item: item[1].at_s):
        if entry.at_s < ends.get(entry.fault.name, 0.0):
            found.append(number)
        lasts_s = entry.for_s if entry.for_s is not None else float("inf")
        end = _sum(entry.at_s, lasts_s if KINDS[entry.fault.kind].lasting else 0.0)
        ends[entry.fault.name] = max(end, ends.get(entry.fault.name, 0.0))
    return sorted(found)
