"""A model with its active faults -> the model as it is harmed; an operator's words -> a fault. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge.document.suggest import hint_for
from edge.errors import UsageError
from lab.faults.kinds import KINDS
from lab.faults.model import Active, Fault, Kind
from lab.faults.units import fields_of
from lab.model import LabModel

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,46}[A-Za-z0-9])?")


def faulted(model: LabModel) -> LabModel:
    """The model as its faults make it; itself without any.

    Raises UsageError when one of them does not fit the model.
    """
    harmed = replace(model, faults=()) if model.faults else model
    for active in model.faults:
        harmed = _harmed(harmed, active)
    return harmed


def _harmed(model: LabModel, active: Active) -> LabModel:
    fault = active.fault
    kind = KINDS[fault.kind]
    kind.daemons(model, fault.target)
    return kind.harm(model, fault.target, fault.options, active.phase)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A fault that a changed model has no place for. why: the words of its kind, one line."""

    active: Active
    why: str


def carried(before: LabModel | None, after: LabModel) -> tuple[LabModel, tuple[Dropped, ...]]:
    """`after` with the faults of `before` that still fit there, and those that do not.

    A fault may fit only on top of an older one (a tag that another peering had before it was wrong), so
    each is tried on the model as the older ones that stay have harmed it.
    """
    kept: list[Active] = []
    dropped: list[Dropped] = []
    harmed = replace(after, faults=())
    for active in before.faults if before is not None else ():
        try:
            harmed = _harmed(harmed, active)
        except UsageError as error:
            dropped.append(Dropped(active, "; ".join(str(error).splitlines())))
            continue
        kept.append(active)
    return replace(after, faults=tuple(kept)), tuple(dropped)


def clinging(model: LabModel, ended: Iterable[Active]) -> tuple[Dropped, ...]:
    """The active faults that fit no more once `ended` are healed; without them the others do fit."""
    names = {one.fault.name for one in ended}
    left = tuple(one for one in model.faults if one.fault.name not in names)
    return carried(replace(model, faults=left), model)[1]


def hanging(model: LabModel) -> frozenset[str]:
    """The namespaces whose routing software is stopped by a fault."""
    return frozenset(
        space
        for active in model.faults
        if KINDS[active.fault.kind].act == "stop"
        for space in KINDS[active.fault.kind].daemons(model, active.fault.target)
    )


def read(model: LabModel | None, words: Mapping[str, Any], taken: Collection[str] = ()) -> Fault:
    """The fault that {kind, target, name, options} says; options: {name: text}.

    model: what it must fit; None asks for its words alone. taken: names of the active faults.
    Raises UsageError with every problem, one a line.
    """
    problems: list[str] = []
    name = str(words.get("name") or "")
    if name and not NAME.fullmatch(name):
        problems.append(f"{name!r} cannot name a fault: letters, digits, dots and dashes, at most 48")
    if name in taken:
        problems.append(f"a fault {name} is active; give another name, or: edgelab heal {name}")
    kind = KINDS.get(str(words.get("kind")))
    if kind is None:
        problems.append(f"no kind of fault {words.get('kind')}; {hint_for(str(words.get('kind')), KINDS)}")
        raise UsageError("\n".join(problems))
    options, wrong = options_of(kind, words.get("options") or {})
    problems += wrong
    target = str(words.get("target") or "")
    fault = None
    if options is not None:
        fault = Fault(name or _name(kind.name, target, taken), kind.name, target, options)
        problems += misfit(model, fault) if model is not None else ()
    elif model is not None and target not in kind.sort.known(model):
        problems.append(f"no {kind.sort.name} {target}; {hint_for(target, kind.sort.known(model))}")
    if problems or fault is None:
        raise UsageError("\n".join(problems))
    return fault


def misfit(model: LabModel, fault: Fault) -> list[str]:
    """What keeps a fault from harming a model, on top of what harms it already; empty when it fits."""
    try:
        _harmed(faulted(model), Active(fault, 0.0))
    except UsageError as error:
        return str(error).splitlines()
    return []


def options_of(kind: Kind, given: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """(the options, or None, and every problem) of a kind from what people wrote."""
    known = fields_of(kind.options)
    problems: list[str] = []
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in known:
            words = hint_for(name, known) if known else "it has none"
            problems.append(f"{kind.name} has no option {name}; {words}")
            continue
        field, option = known[name]
        try:
            values[field.name] = option.unit.read(text)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    for name, (field, option) in known.items():
        if field.default is dataclasses.MISSING and name not in given:
            problems.append(
                f"{kind.name} needs {name}: {option.help} Write one such as {option.unit.example}"
            )
    return (None if problems else kind.options(**values)), problems


def _name(kind: str, target: str, taken: Collection[str]) -> str:
    """A name that says what it is: kind and target, with a number where that is taken."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", f"{kind}-{target}").strip("-")[:44].rstrip("-")
    number = 2
    name = stem
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    return name


def gone(before: Iterable[Active], after: Iterable[Active]) -> tuple[Active, ...]:
    """Those of `before` that `after` has no more, whatever phase they are in."""
    left = {(one.fault.name, one.since) for one in after}
    return tuple(one for one in before if (one.fault.name, one.since) not in left)
