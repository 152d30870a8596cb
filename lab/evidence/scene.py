"""Which links matter to a check: where its packets, or the cause of its failure, can be seen. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge.errors import UsageError
from lab.check_model import CommunitiesCheck, FlowCheck, NeverCheck, QueueCheck, RoutesCheck, ThroughputCheck
from lab.lookup import owners_of
from lab.model import Check, FrameCheck, LabModel, PathCheck, RouteCheck, SessionsCheck
from lab.places import Place, circuit_links, resolve_where

MOST_PLACES = 40
"""Links captured at once: each takes a socket and its part of a small machine."""


def places_of(model: LabModel, check: Check) -> tuple[Place, ...]:
    """Where to capture while the check is tried again, what is nearest to it first."""
    found: dict[Place, None] = {}
    for words in _words(model, check):
        try:
            places = resolve_where(model, words)
        except UsageError:
            # A check may name what there is no more; what is left is looked at all the same.
            continue
        for place in places:
            found[place] = None
    return tuple(found)[:MOST_PLACES]


def _words(model: LabModel, check: Check) -> Iterator[str]:
    """Links by name; a node stands for the links that end at it."""
    if isinstance(check, FrameCheck | FlowCheck | NeverCheck | QueueCheck):
        yield from _where(model, check.link)
    if isinstance(check, RouteCheck | RoutesCheck | CommunitiesCheck):
        yield from _links_at(model, check.node)
        return
    if not isinstance(check, SessionsCheck | FrameCheck):
        yield from _links_at(model, check.source)
        target = getattr(check, "target", "")
        yield from _links_at(model, _named(model, target))
    yield from _circuits(model, check)


def _circuits(model: LabModel, check: Check) -> Iterator[str]:
    """The cross-connections: of the circuit that is named, or all; and the ways to the Internet."""
    named = ""
    if isinstance(check, SessionsCheck | ThroughputCheck):
        named = check.circuit
    elif isinstance(check, PathCheck) and check.via in {circuit.name for circuit in model.circuits}:
        named = check.via
    for circuit in model.circuits:
        if named in ("", circuit.name):
            yield from (link.name for link in circuit_links(model, circuit.name))
    if not named:
        kinds = {space: node.kind for node in model.nodes for space in node.namespaces}
        for link in model.links:
            ends = {kinds.get(link.a.namespace), kinds.get(link.b.namespace)}
            if ends == {"internet-edge", "internet"}:
                yield link.name


def _where(model: LabModel, words: str) -> Iterator[str]:
    if any(words == circuit.name for circuit in model.circuits):
        yield from (link.name for link in circuit_links(model, words))
    elif any(words == link.name for link in model.links):
        yield words
    else:
        yield from _links_at(model, words)


def _links_at(model: LabModel, name: str) -> Iterator[str]:
    node = next((one for one in model.nodes if name == one.name or name in one.namespaces), None)
    if node is None:
        return
    for link in model.links:
        if {link.a.namespace, link.b.namespace} & set(node.namespaces):
            yield link.name


def _named(model: LabModel, target: str) -> str:
    """The node that has an address; the name itself otherwise."""
    return next((owner.node for owner in owners_of(model) if str(owner.address.ip) == target), target)


def slug(number: int, text: str) -> str:
    """A file name for a check: its place in the list and its title, in characters that every system takes."""
    words = re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.").lower()
    return f"{number:02d}-{words[:60].rstrip('-.')}"
