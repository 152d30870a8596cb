"""Impairments of links as the model has them: each harms what one end sends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from edge.net.objects.base import Endpoint
from edge.net.objects.frames import Impairment
from lab.model import LabModel, Link, LinkImpairment
from lab.topology import links_schema as schema
from lab.topology import names
from lab.topology.schema import Topology

SEED_BITS = 63
"""Of the seed of a direction. netem keeps 64 bits, JSON readers lose some beyond 53: it is shown as text."""


def ends_of(model: LabModel) -> dict[str, tuple[str, str]]:
    """Link -> the nodes at its ends, a and b."""
    owner = {space: node.name for node in model.nodes for space in node.namespaces}
    return {link.name: (owner[link.a.namespace], owner[link.b.namespace]) for link in model.links}


def impaired(model: LabModel, topology: Topology) -> LabModel:
    """The model with the impairments of the file, but of links that went with what a command deleted."""
    if not topology.links:
        return model
    ends, links = ends_of(model), {link.name: link for link in model.links}
    found = tuple(
        item
        for name, entries in topology.links.items()
        if name in links
        for entry in entries
        for item in _directions(links[name], ends[name], entry)
    )
    return replace(model, impairments=found)


def _directions(link: Link, nodes: tuple[str, str], entry: schema.LinkImpairment) -> Iterator[LinkImpairment]:
    for sender, receiver in ((link.a, nodes[1]), (link.b, nodes[0])):
        if entry.towards in (None, receiver):
            yield LinkImpairment(link.name, receiver, _impairment(link.name, sender, receiver, entry))


def _impairment(link: str, at: Endpoint, towards: str, entry: schema.LinkImpairment) -> Impairment:
    """The two directions of a link, and links of one seed, lose different frames."""
    return Impairment(
        at=at,
        seed=names.digest(f"{entry.seed} {link} {towards}", SEED_BITS),
        delay_ns=schema.nanoseconds(entry.delay),
        jitter_ns=schema.nanoseconds(entry.jitter),
        loss_ppm=schema.millionths(entry.loss),
        duplicate_ppm=schema.millionths(entry.duplicate),
        reorder_ppm=schema.millionths(entry.reorder),
        rate_bps=None if entry.rate is None else schema.bits_per_second(entry.rate),
        by=entry.by,
    )
