"""The words behind `edgelab capture` as what to listen to: places, each perhaps narrowed to a class. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.errors import UsageError
from lab.lookup import suggestion
from lab.model import LabModel
from lab.places import Place, circuit_links, resolve_where
from lab.vantage import vantage


@dataclass(frozen=True, slots=True)
class Wanted:
    """A place; class_name: only frames of that class, empty for all."""

    place: Place
    class_name: str = ""


def resolve_all(model: LabModel, words: Sequence[str]) -> tuple[Wanted, ...]:
    """What `words` mean together, each place once.

    A word is what `resolve_where` takes, `all` (every link of the lab), a class (`voice`: on the customer's
    wires of all circuits), or one of the former with a class behind a slash (`ams-primary/voice`). Raises
    UsageError with the nearest known name.
    """
    found: dict[Wanted, None] = {}
    for word in words:
        for wanted in _resolve(model, word):
            found[wanted] = None
    # Who asks for all of a place's frames has those of each class already.
    whole = {item.place for item in found if not item.class_name}
    return tuple(item for item in found if not item.class_name or item.place not in whole)


def _resolve(model: LabModel, word: str) -> list[Wanted]:
    where, _, class_name = word.partition("/")
    if class_name:
        return _narrowed(model, where, _places(model, where), class_name)
    try:
        return [Wanted(place) for place in _places(model, where)]
    except UsageError as error:
        if ":" in where:
            raise
        classes = set(classes_of(model))
        if where in classes:
            return _narrowed(model, where, _all_wires(model), where)
        known = {item.name for item in model.links} | {item.name for item in model.nodes} | classes
        raise UsageError(f"no link, node, device or class {where!r}; {suggestion(where, known)}") from error


def classes_of(model: LabModel) -> tuple[str, ...]:
    """The classes that frames on a customer's wires can have."""
    names = (name for place in _all_wires(model) for name in vantage(model, place).classes)
    return tuple(dict.fromkeys(names))


def _all_wires(model: LabModel) -> tuple[Place, ...]:
    """The customer's wires of all circuits, each once."""
    circuits = (item.name for item in model.circuits if circuit_links(model, item.name))
    return tuple(dict.fromkeys(place for name in circuits for place in resolve_where(model, name)))


def _places(model: LabModel, where: str) -> tuple[Place, ...]:
    if where == "all" and model.node("all") is None:
        places = (resolve_where(model, link.name) for link in model.links)
        return tuple(dict.fromkeys(one for several in places for one in several))
    return resolve_where(model, where)


def _narrowed(model: LabModel, where: str, places: Sequence[Place], class_name: str) -> list[Wanted]:
    """The places at which there is such a class. Raises UsageError where there is none."""
    known = {place: vantage(model, place).classes for place in places}
    having = [Wanted(place, class_name) for place, names in known.items() if class_name in names]
    if not having:
        names = list(dict.fromkeys(name for several in known.values() for name in several))
        way_out = suggestion(class_name, names) if names else "no policy judges frames there"
        raise UsageError(f"{where} has no class {class_name!r}; {way_out}")
    return having
