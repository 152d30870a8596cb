"""The schema applied to a source: every problem at once, then the rules, then the model.

When the schema finds something wrong, the bad parts are cut off (the smallest object that can go) and
the rules judge what is left, so that one run shows the mistakes of both. `Draft` remembers what was cut:
a reference to something that stands in the file, broken, is not a second problem.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from edge.errors import InputError, Problem
from lab.model import LabModel
from lab.service.state import State
from lab.topology import rules, words
from lab.topology.derivation import build
from lab.topology.faults_schema import NO_FAULT
from lab.topology.placing import place
from lab.topology.schema import Topology
from lab.topology.scripts import scripted
from lab.topology.source import DocumentPath, Source, step

SUBSTITUTES: dict[str, Any] = {"name": "lab", "circuits": {}, "sites": {}}
"""What stands in for a section that the file must have, while the rest is judged."""

NOTHING: dict[str, dict[str, str]] = {"checks": {"sessions": "all"}, "faults": NO_FAULT}
"""What stands in for an entry of a list, so that those behind it keep their number."""

OPTIONAL_IN_ENTRY = ("handoff", "announce", "overrides", "connections", "gateway_subnet", "qos")
"""Keys of a circuit, site or virtual network that can be cut off without taking the entry along."""

OPTIONAL_IN_PEERING = ("shared_key", "bfd", "timers", "route_filter")
"""The same for a peering."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A topology that the schema accepts, and the paths that had to be cut off to get there."""

    topology: Topology
    cut: tuple[DocumentPath, ...] = ()


def model_of(source: Source, known: Iterable[Problem] = (), state: State | None = None) -> LabModel:
    """The model of a source. Raises InputError with every problem of schema, service and rules.

    known: problems found before, of files that the source names. state: that of a running lab, which the
    file's own orders have led to and commands have changed; None for what the orders lead to.
    """
    draft, found = draft_of(source)
    problems = [*known, *(source.problem(f.path, f.message, f.hint, f.at_key) for f in found)]
    if draft is not None and state is not None:
        problems += rules.check_state(draft.topology, state, source)
    elif draft is not None:
        placed = place(draft.topology, draft.cut)
        problems += rules.check(draft.topology, placed, source, draft.cut)
        state = placed.state
    if problems or draft is None or state is None:
        raise InputError(problems)
    return scripted(build(draft.topology, state), draft.topology)


def draft_of(source: Source) -> tuple[Draft | None, list[words.Finding]]:
    """What of the source the schema accepts (None: nothing), and what it found wrong."""
    strict = source.data.get("strict") is True
    data = source.data
    first: list[words.Finding] | None = None
    cut: list[DocumentPath] = []
    while True:
        try:
            topology = Topology.model_validate(data, context={"strict": strict})
        except ValidationError as error:
            found = words.findings(error, data)
        else:
            return Draft(topology, tuple(cut)), first or []
        if first is None:
            first, data = found, copy.deepcopy(data)
        mended = [_mend(data, finding) for finding in found]
        gone = [path for path in map(_removable, found) if _cut_off(data, path)]
        if not gone and not any(mended):
            return None, first
        cut += gone


def _mend(data: Any, finding: words.Finding) -> bool:
    """Read a misspelt key as the missing one that it stands for, so that its object can be judged."""
    here = data
    for part in finding.path[:-1]:
        here = step(here, part)
    if not finding.means or not isinstance(here, dict) or finding.path[-1] not in here:
        return False
    here[finding.means] = here.pop(finding.path[-1])
    return True


def _removable(finding: words.Finding) -> DocumentPath:
    """The smallest part whose removal takes the finding away and shifts no list index."""
    path = finding.path
    if finding.extra or not path:
        return path
    if path[0] in ("circuits", "ports", "sites", "vnets"):
        if len(path) > 4 and path[2] == "peerings":
            return path[:5] if path[4] in OPTIONAL_IN_PEERING else path[:4]
        if len(path) > 3 and path[2] in ("hosts", "peerings"):
            return path[:4]
        if len(path) > 2 and path[2] in OPTIONAL_IN_ENTRY:
            return path[:3]
        return path[:2]
    if path[0] in ("checks", "faults", "links") and len(path) > 1:
        return path[:2]
    if path[:2] == ("internet", "hosts") and len(path) > 2:
        return path[:3]
    return path[:1]


def _cut_off(data: Any, path: DocumentPath) -> bool:
    """Take one part away; False when it went with a larger one before."""
    if len(path) == 1 and path[0] in SUBSTITUTES:
        data[path[0]] = copy.deepcopy(SUBSTITUTES[str(path[0])])
        return True
    if len(path) == 2 and path[0] in NOTHING and isinstance(path[1], int):
        data[path[0]][path[1]] = dict(NOTHING[str(path[0])])
        return True
    if not path:
        return False
    here = data
    for part in path[:-1]:
        here = step(here, part)
    if not isinstance(here, dict) or path[-1] not in here:
        return False
    del here[path[-1]]
    return True
