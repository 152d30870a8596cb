"""Where to listen: the words of a user ("ams-primary", "ce1:ams1", "ce1") as devices. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge.errors import UsageError
from edge.net.objects.base import Endpoint
from lab.lookup import suggestion
from lab.model import ConnectionName, LabModel, Link

_SWITCHING = ("switch", "provider")


@dataclass(frozen=True, slots=True)
class Place:
    """A device to listen on; label is the name of its link, or what the device is."""

    at: Endpoint
    label: str


def resolve_where(model: LabModel, where: str) -> tuple[Place, ...]:
    """The devices that `where` means.

    A link's name: one end of it, so that each frame is seen once; the end that is not a switch, since
    directions are told from there. `NODE:DEVICE`: that device. A node's (or namespace's) name: all its
    devices. A circuit's name: the customer's end of each of its links. Raises UsageError with the
    nearest known name.
    """
    if ":" in where:
        return (_device(model, where),)
    for link in model.links:
        if link.name == where:
            return (Place(_seen_from(model, link), link.name),)
    spaces = _namespaces(model, where)
    if spaces:
        return tuple(place for place in _places(model) if place.at.namespace in spaces)
    links = circuit_links(model, where)
    if links:
        return tuple(Place(_seen_from(model, link), link.name) for link in links)
    known = {link.name for link in model.links} | {node.name for node in model.nodes}
    known |= {str(place.at) for place in _places(model)}
    raise UsageError(f"no link, node or device {where!r}; {suggestion(where, known)}")


def circuit_links(
    model: LabModel, circuit: str, connection: ConnectionName | None = None
) -> tuple[Link, ...]:
    """The customer's wires of a circuit, or of one connection; also those that it shares, as on Direct."""
    ends = {
        (end.namespace, end.device): end.connection
        for end in model.peering_ends
        if (end.circuit, end.side) == (circuit, "customer") and connection in (None, end.connection)
    }
    shared = {
        Endpoint(router.namespace, router.wire(sub.port))
        for router in model.routers
        for vrf in router.vrfs
        for sub in vrf.subinterfaces
        if (vrf.namespace, sub.name) in ends
    }
    return tuple(
        link
        for link in model.links
        if (circuit and link.circuit == circuit and connection in (None, link.connection))
        or (not link.circuit and link.trunk and shared & {link.a, link.b})
    )


def _device(model: LabModel, where: str) -> Place:
    name, _, device = where.partition(":")
    spaces = _namespaces(model, name)
    if not spaces:
        names = (node.name for node in model.nodes)
        raise UsageError(f"no node {name}; {suggestion(name, names)}")
    here = [place for place in _places(model) if place.at.namespace in spaces]
    for place in here:
        if place.at.device == device:
            return place
    raise UsageError(f"{name} has no device {device}; {suggestion(device, (p.at.device for p in here))}")


def _namespaces(model: LabModel, name: str) -> tuple[str, ...]:
    """The namespaces that a node's name or a namespace's name stands for."""
    node = model.node(name)
    if node is not None:
        return node.namespaces
    return (name,) if any(name in node.namespaces for node in model.nodes) else ()


def _seen_from(model: LabModel, link: Link) -> Endpoint:
    kinds = {space: node.kind for node in model.nodes for space in node.namespaces}
    if kinds.get(link.a.namespace) in _SWITCHING and kinds.get(link.b.namespace) not in _SWITCHING:
        return link.b
    return link.a


def _places(model: LabModel) -> Iterator[Place]:
    """Every device of the lab that frames pass, in the order of the model, each once."""
    labels: dict[Endpoint, str] = {}
    for link in model.links:
        labels.setdefault(link.a, link.name)
        labels.setdefault(link.b, link.name)
    for end in model.peering_ends:
        label = f"{end.circuit}/{end.peering} {end.connection}"
        labels.setdefault(Endpoint(end.namespace, end.device), label)
    for router in model.routers:
        for vrf in router.vrfs:
            names = [item.name for item in vrf.subinterfaces] + [item.name for item in vrf.interfaces]
            for name in names:
                labels.setdefault(Endpoint(vrf.namespace, name), name)
    for host in model.hosts:
        for plain in host.interfaces:
            labels.setdefault(Endpoint(host.namespace, plain.name), plain.name)
    for switch in model.switches:
        for bridge, _ in switch.bridges:
            labels.setdefault(Endpoint(switch.namespace, bridge), f"bridge {bridge}")
    for at, label in labels.items():
        yield Place(at, label)
