"""Impaired links: the link must be there, each direction spoken of once, and netem needs a free port."""

from __future__ import annotations

from collections import Counter

from edge.net.objects.base import Endpoint
from lab.model import LabModel
from lab.topology.derivation import build
from lab.topology.links import ends_of
from lab.topology.links_schema import LinkImpairment
from lab.topology.rules.context import Context
from lab.topology.rules.naming import claims
from lab.topology.source import DocumentPath
from lab.topology.suggest import hint_for


def check(context: Context) -> None:
    """Report what is wrong with links. Runs last: the ends of links are known once all else is right."""
    topology = context.topology
    known = [claim.name for claim in claims(topology, context.layout) if claim.what == "link"]
    entries_at: list[tuple[DocumentPath, str, LinkImpairment]] = []
    for name, entries in topology.links.items():
        path: DocumentPath = ("links", name)
        if name not in known:
            if all(one[0] in ("links", "checks") for one in context.cut):
                context.report(path, f"there is no link {name}", hint_for(name, known), at_key=True)
            continue
        nodes = [entry.towards for entry in entries]
        if len(entries) > 1 and (None in nodes or len(set(nodes)) < len(nodes)):
            words = "each entry of a link must be towards another end"
            context.report(path, words, "write towards: and the node in each, or one entry for both ways")
        several = isinstance(context.source.data["links"][name], list)
        for number, entry in enumerate(entries):
            if entry.towards is not None or entry.by == "netem":
                entries_at.append(((*path, number) if several else path, name, entry))
    if not entries_at or context.problems or context.cut:
        return
    model = build(topology.model_copy(update={"links": {}}), context.state)
    ends = ends_of(model)
    for path, name, entry in entries_at:
        if entry.towards not in (None, *ends[name]):
            one, other = ends[name]
            words = f"{entry.towards} is no end of link {name}"
            context.report((*path, "towards"), words, f"write {one} or {other}")
        elif entry.by == "netem":
            _check_netem(context, (*path, "by"), model, name, entry.towards)


def _check_netem(
    context: Context, path: DocumentPath, model: LabModel, name: str, towards: str | None
) -> None:
    """netem is the queue of the device that sends; one with queues of classes, or a rate, has its own."""
    link = next(item for item in model.links if item.name == name)
    one, other = ends_of(model)[name]
    taken = _queues(model)
    busy = [
        (sender, receiver)
        for at, sender, receiver in ((link.a, one, other), (link.b, other, one))
        if at in taken and towards in (None, receiver)
    ]
    if not busy:
        return
    words = " and ".join(f"{sender} has queues towards {receiver}" for sender, receiver in busy)
    free = {one, other} - {receiver for _, receiver in busy}
    hint = "leave by: netem away: the lab's own engine goes along with queues"
    if towards is None and len(free) == 1:
        hint += f"; or write towards: {free.pop()}"
    context.report(path, f"{words}, which netem would push aside", hint)


def _queues(model: LabModel) -> set[Endpoint]:
    """Ports with queues: of classes, or for a rate that peerings share (with VLAN devices it is there)."""
    routers = {
        Endpoint(router.namespace, port.name)
        for router in model.routers
        for port in router.ports
        if port.queues
    }
    shared = Counter(
        (Endpoint(fabric.namespace, circuit.port_a), circuit.policer)
        for fabric in model.fabrics
        for circuit in fabric.circuits
        if circuit.policer
    )
    return routers | {at for (at, _), count in shared.items() if count > 1}
