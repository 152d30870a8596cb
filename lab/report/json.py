"""Results as plain data for `--format json`: each carries "version" and only grows. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.check_model import (
    BudgetCheck,
    CommunitiesCheck,
    FlowCheck,
    NeverCheck,
    OutageCheck,
    QueueCheck,
    RoutesCheck,
    ThroughputCheck,
)
from lab.checks.result import CheckResult, title
from lab.model import FrameCheck, HttpsCheck, NameCheck, PathCheck, PingCheck, RouteCheck, SessionsCheck
from lab.view import LabView

if TYPE_CHECKING:
    from lab.baseline.drift import Drift

_KINDS = {
    PingCheck: "ping",
    PathCheck: "path",
    SessionsCheck: "sessions",
    RouteCheck: "route",
    FrameCheck: "frame",
    NameCheck: "name",
    HttpsCheck: "https",
    BudgetCheck: "budget",
    FlowCheck: "flow",
    NeverCheck: "never",
    QueueCheck: "queue",
    ThroughputCheck: "throughput",
    OutageCheck: "outage",
    RoutesCheck: "routes",
    CommunitiesCheck: "communities",
}


def inspect_json(view: LabView) -> dict[str, Any]:
    """What `inspect` shows."""
    return view.to_json()


def kind_of(result: CheckResult) -> str:
    """The check's key in the topology file."""
    return _KINDS[type(result.check)]


def checks_json(
    lab: str,
    results: Sequence[CheckResult],
    evidence: Path | None = None,
    drift: Sequence[Drift] | None = None,
) -> dict[str, Any]:
    """What `check` found, with what each saw.

    evidence: the folder of a run that failed. drift: from a baseline, None when none was asked for.
    """
    return {
        "version": 1,
        "lab": lab,
        "passed": sum(result.ok for result in results),
        "failed": sum(not result.ok for result in results),
        "evidence": str(evidence) if evidence is not None else None,
        "checks": [
            {
                "kind": kind_of(result),
                "name": title(result.check),
                "ok": result.ok,
                "words": result.words,
                "duration_s": result.duration_s,
                "evidence": result.evidence,
            }
            for result in results
        ],
        **({} if drift is None else {"drift": [item.to_json() for item in drift]}),
    }


def dumps(data: dict[str, Any]) -> str:
    """The data as text that ends with a line end; the same data gives the same text."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
