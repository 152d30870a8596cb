"""Which drills an operator means: those of the table, or those of a topology or a lab of his own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.document.suggest import hint_for
from edge.errors import UsageError
from lab import state
from lab.client import Client
from lab.drills.generic import drills_for
from lab.drills.model import Drill, Row
from lab.drills.table import DRILLS
from lab.drills.topologies import GALLERY, SETTINGS, SUFFIX, Setting, gallery, read

if TYPE_CHECKING:
    from edge.net.capabilities import Asked


@dataclass(frozen=True, slots=True)
class Choice:
    """Drills to run. settings: their topologies. lab: the running lab that they are for, None to deploy."""

    drills: tuple[Drill, ...]
    settings: dict[str, Setting]
    lab: state.RunDirectory | None = None

    def run(self, links: Asked, interval_ns: int, tell: Callable[[str], None]) -> Iterator[Row]:
        """A row for each, as it is done."""
        from lab.drills.run import run_drill, run_drills

        if self.lab is None:
            yield from run_drills(
                self.drills, links=links, interval_ns=interval_ns, tell=tell, settings=self.settings
            )
            return
        with Client(self.lab) as client:
            for drill in self.drills:
                yield run_drill(client, drill, interval_ns, tell)


def choose(words: tuple[str, ...], everything: bool, longer: bool) -> Choice:
    """What `edgelab drill WORDS` means. everything: all of them, long ones with `longer` only.

    The first word may name a lab that runs, a topology file, or one of the gallery; the others, drills.
    Raises UsageError for a word that is none.
    """
    own = _own(words[0]) if words and words[0] not in DRILLS else None
    if own is None:
        return Choice(_picked(words, DRILLS, everything, longer), SETTINGS)
    names = words[1:]
    known = {drill.name: drill for drill in own.drills}
    return Choice(_picked(names, known, everything or not names, longer), own.settings, own.lab)


def _own(word: str) -> Choice | None:
    """The drills of a lab or a topology that a word names."""
    from lab.topology import derive

    running = {lab.name: lab for lab in state.running_labs()}
    if word in running:
        with Client(running[word]) as client:
            return Choice(drills_for(client.model, word), {}, running[word])
    path = Path(word)
    if "/" not in word and not path.exists() and word.removesuffix(SUFFIX) in gallery():
        path = GALLERY / f"{word.removesuffix(SUFFIX)}{SUFFIX}"
    if path.suffix not in (".yml", ".yaml", ".json"):
        known = (*DRILLS, *running, *gallery())
        raise UsageError(f"no drill, running lab or topology {word}; {hint_for(word, known)}")
    document = read(path)
    model = derive(document)
    return Choice(drills_for(model, model.name), {model.name: Setting(model.name, lambda: document)})


def _picked(
    names: tuple[str, ...], known: dict[str, Drill], everything: bool, longer: bool
) -> tuple[Drill, ...]:
    unknown = [f"no drill {name}; {hint_for(name, known)}" for name in names if name not in known]
    if unknown:
        raise UsageError("\n".join(unknown))
    if names:
        # In the table's order, in which those of one lab stand together.
        return tuple(drill for name, drill in known.items() if name in names)
    found = tuple(drill for drill in known.values() if everything and (longer or not drill.long))
    if everything and known and not found:
        raise UsageError(f"all drills there take minutes; name one of {', '.join(known)}, or add --long")
    return found
