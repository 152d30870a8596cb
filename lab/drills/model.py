"""What a drill is, what it aims at, and the row of figures that comes of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lab.traffic.metering import Metering, allowed_a_month, metering_json
from lab.traffic.outage import AVAILABILITY_PROMISED

Verdict = Literal["met", "missed", "skipped"]

LASTS_SHARE = 0.9
"""An outage that is expected to last covers at least this part of the time until it is healed."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What an outage may be. gap_s: the longest, in seconds; 0: not one packet may be lost.

    None: nothing protects against it, so it is expected to last until it is healed. source: who says so.
    """

    gap_s: float | None
    source: str

    @property
    def words(self) -> str:
        """For a table."""
        if self.gap_s is None:
            return "lasts"
        if self.gap_s == 0:
            return "no loss"
        return f"{self.gap_s * 1000:g} ms" if self.gap_s < 1 else f"{self.gap_s:g} s"


@dataclass(frozen=True, slots=True)
class Drill:
    """A fault and what is to be seen of it.

    topology: a row of `topologies`. kind, targets, options: the fault, in the words of `edgelab fault`; all
    targets are harmed. source, target_host: between which probes run, both ways. crossing: links that the
    probes shall cross before. quiet_s: it has settled when nothing was lost for so long. at_least_s: how
    long the fault lasts at least; for one that is expected to last, how long it lasts. deadline_s: when it is
    given up. long: only with --long.
    """

    name: str
    words: str
    topology: str
    kind: str
    targets: tuple[str, ...]
    aim: Aim
    crossing: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    source: str = "pc1"
    target_host: str = "vm1"
    quiet_s: float = 1.0
    at_least_s: float = 1.5
    deadline_s: float = 15.0
    long: bool = False

    @property
    def fault(self) -> str:
        """The fault in the words of the command line."""
        options = "".join(f" --{name} {value}" for name, value in self.options.items())
        return f"{self.kind} {', '.join(self.targets)}{options}"


@dataclass(frozen=True, slots=True)
class Row:
    """What came of a drill. settled: whether nothing was lost any more before it was healed.

    converged_s: from healing until all sessions were Established; None when they were not in time.
    skipped: why it did not run, empty when it did; then there is no metering.
    """

    drill: Drill
    metering: Metering | None = None
    settled: bool = False
    converged_s: float | None = None
    skipped: str = ""
    pending: tuple[str, ...] = ()

    @property
    def fault_part(self) -> Metering:
        """The run up to the healing. Raises ValueError for a drill that did not run."""
        if self.metering is None:
            raise ValueError(f"{self.drill.name} did not run")
        return self.metering.until_healed()

    @property
    def gap_s(self) -> float:
        """The longest gap until it was healed."""
        return self.fault_part.worst().seconds

    @property
    def problem(self) -> str:
        """Why the aim was missed, in words; empty when it was met or the drill did not run."""
        if self.metering is None:
            return ""
        if self.converged_s is None:
            return f"not all sessions came back after it was healed: {', '.join(self.pending) or 'too late'}"
        aim, part = self.drill.aim, self.fault_part
        if aim.gap_s is None:
            return _lasted(part)
        if not self.settled:
            return f"packets were still lost {self.drill.deadline_s:g} s after the fault"
        if aim.gap_s == 0:
            lost = self.metering.lost
            return f"{lost} packets were lost, and none may be" if lost else ""
        if self.gap_s > aim.gap_s:
            return f"the longest gap was {self.gap_s:.3f} s, and may be {aim.words}"
        return ""

    @property
    def verdict(self) -> Verdict:
        """Whether it went as it should."""
        if self.metering is None:
            return "skipped"
        return "missed" if self.problem else "met"


def _lasted(part: Metering) -> str:
    """What is wrong when an outage that should have lasted did not."""
    begin, end = part.at("fault"), part.at("healed")
    assert begin is not None
    assert end is not None
    gap = part.worst().gap
    # What it begins with may take its time: maintenance announces itself before it stops forwarding.
    span_s = (end - (gap.begin_ns if gap is not None else begin)) / 1e9
    if gap is None or gap.seconds < LASTS_SHARE * span_s:
        return "traffic went on, although nothing should protect it"
    return ""


def row_json(row: Row, *, probes: bool = False) -> dict[str, Any]:
    """A row as plain data; times in seconds."""
    drill = row.drill
    told: dict[str, Any] = {
        "name": drill.name,
        "words": drill.words,
        "topology": drill.topology,
        "fault": {"kind": drill.kind, "targets": list(drill.targets), "options": dict(drill.options)},
        "from": drill.source,
        "to": drill.target_host,
        "aim": {"gap_s": drill.aim.gap_s, "words": drill.aim.words, "source": drill.aim.source},
        "verdict": row.verdict,
        "problem": row.problem,
        "skipped": row.skipped,
    }
    if row.metering is None:
        return told
    part, after = row.fault_part, row.metering.since_healed()
    worst = part.worst()
    return {
        **told,
        "longest_gap_s": round(worst.seconds, 6),
        "way": worst.way,
        "sent": part.sent,
        "lost": part.lost,
        "availability_percent": round(part.availability, 4),
        "promised_percent": AVAILABILITY_PROMISED,
        "such_gaps_a_month": allowed_a_month(worst.seconds),
        "link_before": link_words(row.metering.links()[0]),
        "link_after": link_words(row.metering.links()[1]),
        "lost_after_healing": after.lost,
        "longest_gap_after_healing_s": round(after.worst().seconds, 6),
        "sessions_back_s": row.converged_s,
        "pending": list(row.pending),
        "unheard": row.metering.unheard,
        "metering": metering_json(row.metering, probes=probes),
    }


def link_words(links: tuple[str, ...]) -> str:
    """The links of the ways, once where all are the same: `ams-primary`, or `ams-primary / elsewhere`."""
    named = [link or "elsewhere" for link in links]
    return named[0] if len(set(named)) == 1 else " / ".join(named)
