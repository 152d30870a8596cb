"""Results as plain data for `--format json`: each carries "version" and only grows. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lab.check_model import (
    BudgetCheck,
    CommunitiesCheck,
    FlowCheck,
    NeverCheck,
    QueueCheck,
    RoutesCheck,
    ThroughputCheck,
)
from lab.checks.result import CheckResult, title
from lab.model import FrameCheck, HttpsCheck, NameCheck, PathCheck, PingCheck, RouteCheck, SessionsCheck
from lab.view import LabView

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
    RoutesCheck: "routes",
    CommunitiesCheck: "communities",
}


def inspect_json(view: LabView) -> dict[str, Any]:
    """What `inspect` shows."""
    return view.to_json()


def kind_of(result: CheckResult) -> str:
    """The check's key in the topology file."""
    return _KINDS[type(result.check)]


def checks_json(lab: str, results: Sequence[CheckResult]) -> dict[str, Any]:
    """What `check` found, with the evidence of each."""
    return {
        "version": 1,
        "lab": lab,
        "passed": sum(result.ok for result in results),
        "failed": sum(not result.ok for result in results),
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
    }


def dumps(data: dict[str, Any]) -> str:
    """The data as text that ends with a line end; the same data gives the same text."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
