"""Whether a policy fits the table that data paths load, and where it becomes too large. Pure."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import get_args

from edge.errors import Problem, UsageError
from edge.qos.expressroute import TREATMENT
from edge.qos.model import Direction, Policy
from edge.qos.table import compile_policy


def too_large(policy: Policy, filename: str) -> Problem | None:
    """Why no data path can load the policy, at the rule with which that begins; None when they can. Pure."""
    refusal = _refusal(policy)
    if refusal is None:
        return None
    good, bad = 0, len(policy.rules)
    while bad - good > 1:
        middle = (good + bad) // 2
        if _refusal(replace(policy, rules=policy.rules[:middle])) is None:
            good = middle
        else:
            bad = middle
    words, _, way_out = refusal.partition("; way out: ")
    rule = policy.rules[bad - 1]
    if not rule.position:
        return Problem(filename, 0, 0, "", words, way_out)
    file, line, column = rule.position.rsplit(":", 2)
    place = f"rules.{bad - 1}"
    return Problem(file, int(line), int(column), place, f"from rule {rule.name} on, {words}", way_out)


def _refusal(policy: Policy) -> str | None:
    """What the compiler says against the policy, in either direction and on either peering."""
    try:
        for direction, treatment in product(get_args(Direction), TREATMENT.values()):
            compile_policy(policy, direction, treatment)
    except UsageError as error:
        return str(error)
    return None
