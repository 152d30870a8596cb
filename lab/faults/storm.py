"""Faults by chance: from a seed, what goes wrong in a lab, when, and for how long. Pure.

The same seed, lab and time give the same storm, so what it breaks can be broken again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from random import Random

from edge.errors import UsageError
from lab.faults.faulted import carried, misfit, read
from lab.faults.kinds import KINDS
from lab.faults.model import Active, Kind
from lab.faults.schedule import Scripted
from lab.faults.targets import links_of, nodes_at
from lab.faults.units import NODE, Option, fields_of
from lab.model import LabModel

TRIES = 20
"""How often a fault that does not fit is drawn again before the storm goes on without it."""

LASTS_S = (0.5, 8.0)
PAUSE_S = (0.5, 4.0)
"""Shortest and longest: of a fault, and from the beginning of one to that of the next."""


def storm(model: LabModel, seed: int, seconds: float, most: int = 2) -> tuple[Scripted, ...]:
    """A script of faults for a time, in the order of their beginnings; all are healed by its end.

    model: the lab without faults. most: how many are active at once. Raises UsageError for a time or a
    number that makes no storm.
    """
    if seconds < LASTS_S[0] or most < 1:
        raise UsageError(f"a storm lasts {LASTS_S[0]:g}s at least and has one fault at once at least")
    chance = Random(seed)  # noqa: S311 - it is to be foreseen
    strikes: list[Scripted] = []
    now = 0.0
    while (left := seconds - now) >= LASTS_S[0]:
        busy = [one for one in strikes if _end(one) > now]
        if len(busy) < most:
            struck = _strike(model, chance, now, min(left, LASTS_S[1]), busy, len(strikes))
            if struck is not None:
                strikes.append(struck)
        now = round(now + chance.uniform(*PAUSE_S), 3)
    return tuple(strikes)


def _strike(
    model: LabModel, chance: Random, now: float, longest_s: float, busy: list[Scripted], number: int
) -> Scripted | None:
    harmed = dataclasses.replace(model, faults=tuple(Active(one.fault, one.at_s) for one in busy))
    for _ in range(TRIES):
        kind = chance.choice(tuple(KINDS.values()))
        targets = kind.sort.known(model)
        if not targets:
            continue
        target = chance.choice(targets)
        words = drawn_options(model, kind, target, chance)
        for_s = round(chance.uniform(LASTS_S[0], longest_s), 3) if kind.lasting else None
        try:
            named = {"kind": kind.name, "target": target, "options": words, "name": f"storm-{number + 1}"}
            fault = read(model, named)
        except UsageError:
            continue
        # What two faults make of one thing together nobody could foresee from their rows.
        if target in {one.fault.target for one in busy} or misfit(harmed, fault):
            continue
        struck = Scripted(now, for_s, fault)
        if can_end_alone(model, [*busy, struck]):
            return struck
    return None


def can_end_alone(model: LabModel, busy: Iterable[Scripted]) -> bool:
    """Whether each of these can be healed at its own time: what is left then fits without it.

    A wrong tag may be one that another fault has a peering give up; the other one must not end before it.
    """
    left = [one for one in busy if one.for_s is not None]
    for ending in sorted(left, key=_end):
        left.remove(ending)
        faults = tuple(Active(one.fault, one.at_s) for one in left)
        if carried(dataclasses.replace(model, faults=faults), model)[1]:
            return False
    return True


def _end(one: Scripted) -> float:
    return one.at_s + (one.for_s or 0.0)


def drawn_options(model: LabModel, kind: Kind, target: str, chance: Random) -> dict[str, str]:
    """Every option that is needed, and each of the others or not."""
    found: dict[str, str] = {}
    for name, (field, option) in fields_of(kind.options).items():
        needed = field.default is dataclasses.MISSING
        if not needed and chance.random() < 0.5:
            continue
        if option.unit is NODE:
            found[name] = chance.choice(_ends(model, target))
        else:
            found[name] = _value(option, chance)
    return found


def _ends(model: LabModel, target: str) -> tuple[str, ...]:
    try:
        return nodes_at(model, links_of(model, target)[0])
    except UsageError:
        return tuple(node.name for node in model.nodes)


def _value(known: Option, chance: Random) -> str:
    if known.unit.choices:
        return chance.choice(known.unit.choices)
    assert known.drawn is not None, "an option that is neither a choice nor a node has a range"
    return known.unit.show(known.drawn.draw(chance))
