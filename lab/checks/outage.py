"""Checks of outages: how long nothing comes through between two hosts while something goes wrong.

The fault really happens, under the outage meter, and is healed again, whatever comes of it; so these checks
run when all others are decided, one by one, and each once only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.errors import EdgeError
from lab.access import LabAccess
from lab.check_model import OutageCheck
from lab.checks.result import Verdict
from lab.client import Client
from lab.drills.model import Aim, Drill, Row
from lab.drills.run import run_drill
from lab.drills.words import fault_of

INTERVAL_NS = 1_000_000
QUIET_S = 1.0
AT_LEAST_S = 1.5
"""How long a fault lasts at least, from when all that it does has begun."""

DEADLINE_S = 30.0
"""An outage that lasts longer is given up: it is then no failover."""


def look_at_outage(
    access: LabAccess, check: OutageCheck, cancelled: Callable[[], bool], seconds: float
) -> Verdict:
    """Break it, measure, heal. Raises UsageError for a fault that does not fit, EdgeError."""
    directory = getattr(access, "directory", None)
    if directory is None:
        raise EdgeError("only the supervisor of a whole lab can let something go wrong")
    wrong = fault_of(access.model, check.fault)
    drill = Drill(
        name="check",
        words=check.fault,
        topology="",
        kind=wrong.kind,
        targets=(wrong.target,),
        aim=Aim(check.most_s, "the check"),
        crossing=wrong.crossing,
        options=wrong.options,
        source=check.source,
        target_host=check.target,
        quiet_s=QUIET_S,
        at_least_s=AT_LEAST_S + wrong.unfolds_s,
        deadline_s=max(DEADLINE_S, 2 * check.most_s) + wrong.unfolds_s,
    )
    # A connection of its own: what is shared is locked for as long as one question takes.
    with Client(directory) as client:
        row = run_drill(client, drill, INTERVAL_NS, lambda words: None)
    if row.metering is None:
        return Verdict(False, f"{check.fault}: {row.skipped}", {"fault": check.fault}, final=True)
    return judge_outage(check, row)


def judge_outage(check: OutageCheck, row: Row) -> Verdict:
    """Whether the outage kept within what the check allows. Pure. Raises ValueError if it did not run."""
    part = row.fault_part
    assert row.metering is not None
    before, after = row.metering.links()
    ways = [
        f"{course.way} by {first or 'no link of a circuit'}, then {last or 'none'}"
        for course, first, last in zip(row.metering.courses, before, after, strict=True)
    ]
    evidence: dict[str, Any] = {
        "fault": row.drill.fault,
        "gap_s": round(row.gap_s, 6),
        "lost": part.lost,
        "sent": part.sent,
        "before": list(before),
        "after": list(after),
        "converged_s": row.converged_s,
    }
    gap = f"longest gap {row.gap_s * 1000:.0f} ms, {part.lost} of {part.sent} probes lost"
    words = f"{row.drill.fault}: {row.problem}; {gap}" if row.problem else f"{row.drill.fault}: {gap}"
    return Verdict(not row.problem, f"{words} ({'; '.join(ways)})", evidence, final=True)
