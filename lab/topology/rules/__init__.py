"""What neither a single key nor the service can tell: references, and what the lab's own parts need.

The service's rules about what is ordered are not here: `placing` issues a file's orders and reports what it
refuses. All rules run, whatever the others find; none of them reports what a part that the schema has cut
off (see `validate.Draft`) only seems to cause.
"""

from __future__ import annotations

from edge.errors import Problem
from lab.service.state import State
from lab.topology import layout
from lab.topology.placing import Placed
from lab.topology.rules import (
    checks,
    circuits,
    direct,
    faults,
    internet_edges,
    links,
    naming,
    outages,
    sites,
    space,
    vnets,
    vpns,
)
from lab.topology.rules.context import Context
from lab.topology.schema import Topology
from lab.topology.source import DocumentPath, Source

RULES = (
    circuits.check,
    direct.check,
    vpns.check,
    sites.check,
    internet_edges.check,
    vnets.check,
    space.check,
    naming.check,
    checks.check,
    links.check,
    faults.check,
    outages.check,
)

RUNNING = (direct.check_macsec, sites.check, vnets.check, space.check, naming.check, naming.check_words)
"""What a running lab must go on to keep when a command has changed its State."""


def check(topology: Topology, placed: Placed, source: Source, cut: tuple[DocumentPath, ...]) -> list[Problem]:
    """Every problem of a topology that the schema accepts; `cut` are the parts it did not accept."""
    context = Context(topology, layout.of_file(topology), placed.state, source, cut)
    for mistake in placed.mistakes:
        context.report(mistake.path, mistake.refusal.words, mistake.hint)
    for rule in RULES:
        rule(context)
    return context.problems


def check_state(topology: Topology, state: State, source: Source) -> list[Problem]:
    """What of a State the lab cannot build, although the service has accepted it."""
    context = Context(topology, layout.of_state(state), state, source)
    for rule in RUNNING:
        rule(context)
    return context.problems
