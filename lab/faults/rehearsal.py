"""A script of faults gone through without a lab: which of them could not be made, or not be healed. Pure.

A fault may fit only on top of another one, or only without it, so each is judged by what is active at its
time; what is healed when is decided as the run decides it (`lab.faults.script`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lab.faults.faulted import Dropped, clinging, misfit
from lab.faults.kinds import KINDS
from lab.faults.model import Active
from lab.faults.schedule import Scripted, timeline
from lab.model import LabModel


@dataclass(frozen=True, slots=True)
class Unmade:
    """An entry, by its number, whose fault cannot be made at its time. why: its kind's words, one a line."""

    number: int
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """An entry whose name a fault has whose time is over, but which another one keeps."""

    number: int


@dataclass(frozen=True, slots=True)
class Unhealed:
    """An entry whose fault cannot be healed, not even after its time.

    together: all that are left so, which includes it. kept: the faults without an end that keep them.
    """

    number: int
    together: tuple[Active, ...]
    kept: tuple[Dropped, ...]


Snag = Unmade | Taken | Unhealed


def rehearse(model: LabModel, script: Iterable[Scripted]) -> list[Snag]:
    """What would go wrong in a run of the script on the lab, if no other fault is active.

    An entry that cannot be made is left out of what follows, and so is one that begins while another of its
    name is to last (`overlapping` tells of it).
    """
    entries = tuple(script)
    found: list[Snag] = []
    active: dict[int, Active] = {}
    overdue: set[int] = set()
    for moment in timeline(entries):
        number = next(place for place, entry in enumerate(entries) if entry is moment.entry)
        fault = moment.entry.fault
        if moment.what == "ends":
            overdue |= active.keys() & {number}
            _heal(model, active, overdue)
            continue
        same = next((place for place, one in active.items() if one.fault.name == fault.name), None)
        if same in overdue:
            found.append(Taken(number))
        elif same is None and (why := misfit(_harmed(model, active), fault)):
            found.append(Unmade(number, tuple(why)))
        elif same is None and KINDS[fault.kind].lasting:
            active[number] = Active(fault, moment.at_s)
    left = tuple(one for number, one in active.items() if number in overdue)
    if kept := clinging(_harmed(model, active), left):
        found += [Unhealed(number, left, kept) for number in active if number in overdue]
    return found


def _harmed(model: LabModel, active: dict[int, Active]) -> LabModel:
    return replace(model, faults=tuple(active.values()))


def _heal(model: LabModel, active: dict[int, Active], overdue: set[int]) -> None:
    """Take out of both what can be healed, the newest first; the rest waits for the next one that ends."""
    for number in [one for one in reversed(active) if one in overdue]:
        if not clinging(_harmed(model, active), (active[number],)):
            del active[number]
            overdue.discard(number)
