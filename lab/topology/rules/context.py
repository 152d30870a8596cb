"""What every rule needs: the topology, where to report, what was cut off before."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.errors import Problem
from lab.service.state import State
from lab.topology.layout import Layout
from lab.topology.schema import Topology
from lab.topology.source import DocumentPath, Source, fit, step
from lab.topology.suggest import hint_for


@dataclass(slots=True)
class Context:
    """One run of the rules over one file, or over what a running lab's State has made of it.

    layout: what stands where, of the file or of the State. state: what the file's orders led to as far as
    they were accepted, or the running lab's.
    """

    topology: Topology
    layout: Layout
    state: State
    source: Source
    cut: tuple[DocumentPath, ...] = ()
    problems: list[Problem] = field(default_factory=list)

    def report(self, path: DocumentPath, message: str, hint: str, at_key: bool = False) -> None:
        """A problem at a path of the validated document."""
        self.problems.append(self.source.problem(fit(path, self.source.data), message, hint, at_key))

    def is_cut(self, *path: str | int) -> bool:
        """Whether something at or below this path was cut off, or the path with it."""
        return any(one[: len(path)] == path or path[: len(one)] == one for one in self.cut)

    def stands_in_file(self, section: str, name: str) -> bool:
        """Whether the file has this entry, valid or not: a reference to it is no second problem."""
        return step(step(self.source.data, section), name) is not None

    def unknown(self, path: DocumentPath, what: str, name: str, section: str) -> None:
        """Report a reference to an entry of `section` that the file does not have."""
        if not self.stands_in_file(section, name):
            known = step(self.source.data, section)
            self.report(
                path, f"there is no {what} {name}", hint_for(name, known if isinstance(known, dict) else ())
            )
