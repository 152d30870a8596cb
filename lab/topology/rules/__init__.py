"""What no single key can tell: references, overlaps, and the service's rules about combinations.

All rules run, whatever the others find; none of them reports what a part that the schema has cut off
(see `validate.Draft`) only seems to cause.
"""

from __future__ import annotations

from edge.errors import Problem
from lab.topology.rules import checks, circuits, links, naming, sites, space, vnets
from lab.topology.rules.context import Context
from lab.topology.schema import Topology
from lab.topology.source import DocumentPath, Source

RULES = (circuits.check, sites.check, vnets.check, space.check, naming.check, checks.check, links.check)


def check(topology: Topology, source: Source, cut: tuple[DocumentPath, ...] = ()) -> list[Problem]:
    """Every problem of a topology that the schema accepts; `cut` are the parts it did not accept."""
    context = Context(topology, source, cut)
    for rule in RULES:
        rule(context)
    return context.problems
