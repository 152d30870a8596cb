"""What a fault harms, by the names that people use: links, connections, peerings, daemons. Pure."""

from __future__ import annotations

from typing import TypeGuard, get_args

from edge.document.suggest import hint_for
from edge.errors import UsageError
from edge.net.objects.base import Endpoint
from lab.faults.model import Sort
from lab.lookup import node_of
from lab.model import ConnectionName, LabModel, Link, Node, PeeringEnd
from lab.places import circuit_links


def _no(what: str, target: str, known: tuple[str, ...]) -> UsageError:
    return UsageError(f"no {what} {target}; {hint_for(target, known)}")


def connection_names(model: LabModel) -> tuple[str, ...]:
    """`ams/primary`, `ams/secondary`, of every circuit that has them."""
    return tuple(dict.fromkeys(f"{end.circuit}/{end.connection}" for end in model.peering_ends))


def link_names(model: LabModel) -> tuple[str, ...]:
    """Every link, and connections and circuits, which mean the customer's wires of theirs."""
    connections = (name for name in connection_names(model) if _wires(model, name))
    circuits = (one.name for one in model.circuits if _wires(model, one.name))
    return tuple(dict.fromkeys((*(link.name for link in model.links), *connections, *circuits)))


def is_connection(word: str) -> TypeGuard[ConnectionName]:
    """Whether this is what people call one of the two connections of a circuit."""
    return word in get_args(ConnectionName)


def _wires(model: LabModel, target: str) -> tuple[Link, ...]:
    """The customer's wires of `CIRCUIT/CONNECTION` or of a circuit."""
    circuit, slash, connection = target.partition("/")
    if not slash:
        return circuit_links(model, circuit)
    return circuit_links(model, circuit, connection) if is_connection(connection) else ()


def links_of(model: LabModel, target: str) -> tuple[Link, ...]:
    """The links that a link's name, `CIRCUIT/CONNECTION` or a circuit means. Raises UsageError."""
    for link in model.links:
        if link.name == target:
            return (link,)
    if found := _wires(model, target):
        return found
    raise _no("link or connection", target, link_names(model))


def nodes_at(model: LabModel, link: Link) -> tuple[str, str]:
    """The nodes at the ends of a link, a and b."""
    one, other = node_of(model, link.a.namespace), node_of(model, link.b.namespace)
    return (one.name if one else link.a.namespace, other.name if other else link.b.namespace)


def end_at(model: LabModel, link: Link, node: str) -> tuple[Endpoint, Endpoint]:
    """(the device at the node, the other one). Raises UsageError when the node is no end of the link."""
    nodes = nodes_at(model, link)
    if node == nodes[0]:
        return link.a, link.b
    if node == nodes[1]:
        return link.b, link.a
    raise UsageError(f"{node} is no end of link {link.name}; write {nodes[0]} or {nodes[1]}")


def peering_names(model: LabModel) -> tuple[str, ...]:
    """`ams/private/primary` of every peering and connection, and `ams/private` for both connections."""
    ends = model.peering_ends
    whole = dict.fromkeys(f"{end.circuit}/{end.peering}" for end in ends)
    return (*dict.fromkeys(f"{end.circuit}/{end.peering}/{end.connection}" for end in ends), *whole)


def peering_ends(model: LabModel, target: str, side: str) -> tuple[PeeringEnd, ...]:
    """The ends on one side of `CIRCUIT/PEERING[/CONNECTION]`. Raises UsageError."""
    parts = target.split("/")
    found = tuple(
        end
        for end in model.peering_ends
        if end.side == side and [end.circuit, end.peering, end.connection][: len(parts)] == parts
    )
    if len(parts) < 2 or not found:
        raise _no("peering", target, peering_names(model))
    return found


def connection_ends(model: LabModel, target: str) -> tuple[PeeringEnd, ...]:
    """Microsoft's ends of all peerings of `CIRCUIT/CONNECTION`. Raises UsageError."""
    found = tuple(
        end
        for end in model.peering_ends
        if end.side == "microsoft" and f"{end.circuit}/{end.connection}" == target
    )
    if not found:
        raise _no("connection", target, connection_names(model))
    return found


def routing(model: LabModel) -> tuple[str, ...]:
    """The namespaces that have routing software."""
    return tuple(vrf.namespace for router in model.routers for vrf in router.vrfs if vrf.sessions or vrf.own)


def daemon_names(model: LabModel) -> tuple[str, ...]:
    """Nodes that have routing software, and their routing domains by name."""
    spaces = routing(model)
    nodes = (node.name for node in model.nodes if set(node.namespaces) & set(spaces))
    return tuple(dict.fromkeys((*nodes, *spaces)))


def daemons_of(model: LabModel, target: str) -> tuple[str, ...]:
    """Namespaces of the routing software of a node, or of one routing domain. Raises UsageError."""
    spaces = routing(model)
    node = model.node(target)
    found = tuple(space for space in spaces if node is not None and space in node.namespaces)
    # The namespace of an MSEE's ports bears the node's name and has no routing software.
    if target in spaces and len(found) <= 1:
        return (target,)
    if not found:
        raise _no("router with routing software", target, daemon_names(model))
    return found


def nodes_named(model: LabModel) -> tuple[str, ...]:
    """All nodes."""
    return tuple(node.name for node in model.nodes)


def node_named(model: LabModel, target: str) -> Node:
    """The node. Raises UsageError."""
    node = model.node(target)
    if node is None:
        raise _no("node", target, nodes_named(model))
    return node


def translating(model: LabModel) -> tuple[str, ...]:
    """Routers that translate source addresses."""
    return tuple(router.name for router in model.routers if any(vrf.nat for vrf in router.vrfs))


def site_names(model: LabModel) -> tuple[str, ...]:
    """The customer's sites."""
    return tuple(model.document.get("sites", {}))


def circuit_names(model: LabModel) -> tuple[str, ...]:
    """The circuits."""
    return tuple(circuit.name for circuit in model.circuits)


LINK = Sort("link", "a link as `inspect` names it, CIRCUIT/CONNECTION, or a circuit (both)", link_names)
PEERING = Sort("peering", "CIRCUIT/PEERING/CONNECTION, or CIRCUIT/PEERING for both", peering_names)
CONNECTION = Sort("connection", "CIRCUIT/CONNECTION", connection_names)
DAEMON = Sort("router", "a router, or one of its routing domains", daemon_names)
NODE = Sort("node", "a node", nodes_named)
NAT = Sort("router", "a router that translates addresses", translating)
SITE = Sort("site", "a site of the topology", site_names)
CIRCUIT = Sort("circuit", "a circuit", circuit_names)
