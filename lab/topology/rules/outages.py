"""Outage checks: their faults fit the lab."""

from __future__ import annotations

from edge.errors import UsageError
from lab.drills.words import fault_of
from lab.topology.derivation import build
from lab.topology.pair_check_schema import OutageCheckSpec
from lab.topology.rules.context import Context


def check(context: Context) -> None:
    """Report what is wrong with their faults. Targets are known once all else is right."""
    wanted = [
        (n, spec) for n, spec in enumerate(context.topology.checks) if isinstance(spec, OutageCheckSpec)
    ]
    if not wanted or context.problems or context.cut:
        return
    model = build(context.topology, context.state)
    for number, spec in wanted:
        try:
            fault_of(model, spec.fault)
        except UsageError as error:
            for line in str(error).splitlines():
                words, _, hint = line.removeprefix(f"--fault {spec.fault!r}: ").partition("; ")
                context.report(("checks", number, "fault"), words, hint)
