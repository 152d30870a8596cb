"""From the names people use to namespaces, addresses and peerings of a model, and back. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from edge.errors import UsageError
from edge.model import Address, Interface, PlainInterface, Session, Subinterface
from edge.net.objects.base import Endpoint
from lab.model import LabModel, Node, PeeringEnd


@dataclass(frozen=True, slots=True)
class Owner:
    """Who has an address: a node's device, with its subnet."""

    node: str
    at: Endpoint
    address: Interface


@dataclass(frozen=True, slots=True)
class PeeringSession:
    """One BGP session of a peering as one of its ends has it configured."""

    end: PeeringEnd
    session: Session


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known word, or all of them when none is near."""
    names = sorted(set(known))
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"known: {', '.join(names)}" if names else "there is none"


def node_of(model: LabModel, namespace: str) -> Node | None:
    """The node that a namespace belongs to."""
    return next((node for node in model.nodes if namespace in node.namespaces), None)


def source_namespace(model: LabModel, name: str) -> str:
    """The namespace from which a node speaks: its name or a namespace's own.

    Raises UsageError when there is no such node, or when it has several routing domains to choose from.
    """
    if any(name in node.namespaces for node in model.nodes):
        owners = {owner.at.namespace for owner in owners_of(model)}
        node = model.node(name)
        if node is None or name in owners:
            return name
    node = model.node(name)
    if node is None:
        raise UsageError(f"no node {name}; {suggestion(name, (node.name for node in model.nodes))}")
    speaking = [
        space for space in node.namespaces if space in {owner.at.namespace for owner in owners_of(model)}
    ]
    if len(speaking) == 1:
        return speaking[0]
    if not speaking:
        raise UsageError(f"{name} is a {node.kind} without an IP address; name a host or a router")
    raise UsageError(f"{name} has several routing domains; name one of them: {', '.join(speaking)}")


def owners_of(model: LabModel) -> Iterator[Owner]:
    """Every address of the lab with its owner, in the order of the model."""
    for router in model.routers:
        for vrf in router.vrfs:
            interfaces: tuple[Subinterface | PlainInterface, ...] = (*vrf.subinterfaces, *vrf.interfaces)
            for interface in interfaces:
                for address in interface.addresses:
                    yield Owner(router.name, Endpoint(vrf.namespace, interface.name), address)
    for host in model.hosts:
        for plain in host.interfaces:
            for address in plain.addresses:
                yield Owner(host.name, Endpoint(host.namespace, plain.name), address)


def target_address(model: LabModel, target: str, family: Literal[4, 6]) -> Address:
    """The address of a host or router of that name, or the literal address itself.

    Raises UsageError when the name is unknown or has no address of the family.
    """
    try:
        literal = ip_address(target)
    except ValueError:
        pass
    else:
        if literal.version != family:
            raise UsageError(f"{target} is not an IPv{family} address; change the address or the family")
        return literal
    owned = [owner for owner in owners_of(model) if target in (owner.node, owner.at.namespace)]
    if not owned:
        names = [owner.node for owner in owners_of(model)]
        raise UsageError(f"no host or router {target}; {suggestion(target, names)}")
    for owner in owned:
        if owner.address.version == family:
            return owner.address.ip
    raise UsageError(f"{target} has no IPv{family} address; give it one in the topology file")


def sessions_of(model: LabModel, end: PeeringEnd) -> tuple[PeeringSession, ...]:
    """The BGP sessions that this end of a peering has, one per address family."""
    return tuple(
        PeeringSession(end, session)
        for router in model.routers
        for vrf in router.vrfs
        if vrf.namespace == end.namespace
        for session in vrf.sessions
        if session.interface == end.device
    )


def other_end(model: LabModel, end: PeeringEnd) -> PeeringEnd | None:
    """The other side of the same peering on the same connection."""
    wanted = (end.circuit, end.peering, end.connection)
    return next(
        (
            item
            for item in model.peering_ends
            if (item.circuit, item.peering, item.connection) == wanted and item.side != end.side
        ),
        None,
    )
