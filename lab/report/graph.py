"""A lab as a picture: boxes in fixed tiers, wires with tags and state, BGP as a second layer. Pure.

`picture` makes the data from a model, and from a view of the running lab where there is one; drawing is in
`graphtext` (Mermaid, Graphviz) and `graphsvg` (SVG, HTML).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edge.model import TagStack
from lab.lookup import node_of
from lab.model import LabModel, NodeKind, PeeringEnd, Tier
from lab.view import LabView, LinkView, SessionView

State = Literal["", "up", "down", "partly"]
"""Empty when no running lab was asked. partly: some of several wires or sessions are up."""

TIERS: dict[Tier, str] = {
    "site": "Customer",
    "provider": "Connectivity provider",
    "edge": "Microsoft edge",
    "cloud": "Microsoft cloud",
    "internet": "Internet",
}

COLUMNS: dict[tuple[Tier, NodeKind], int] = {
    ("site", "host"): 0,
    ("site", "switch"): 1,
    ("site", "ce"): 2,
    ("site", "internet-edge"): 2,
    ("provider", "pe"): 3,
    ("provider", "provider"): 4,
    ("edge", "msee"): 5,
    ("cloud", "gateway"): 6,
    ("cloud", "core"): 6,
    ("cloud", "switch"): 7,
    ("cloud", "host"): 8,
    ("internet", "internet"): 6,
    ("internet", "host"): 8,
}
"""From left to right as a packet of the customer's goes; the Internet lies below."""

_MIDDLE_OF_TIER: dict[Tier, int] = {"site": 2, "provider": 4, "edge": 5, "cloud": 7, "internet": 6}


@dataclass(frozen=True, slots=True)
class Box:
    """A node. domains: its routing domains beside the node itself. state: whether its daemons answer."""

    name: str
    kind: str
    tier: Tier
    column: int
    domains: tuple[str, ...]
    state: State


@dataclass(frozen=True, slots=True)
class Wire:
    """All links between two nodes. tags: what they carry, as ("3/100", "ams/private")."""

    a: str
    b: str
    links: tuple[str, ...]
    trunk: bool
    tags: tuple[tuple[str, str], ...]
    state: State


@dataclass(frozen=True, slots=True)
class Peer:
    """All BGP sessions between two nodes. labels: peerings, or kinds of internal sessions. why: reasons why
    some are not up."""

    a: str
    b: str
    labels: tuple[str, ...]
    sessions: int
    state: State
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that is drawn, in the order of the model."""

    name: str
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    peers: tuple[Peer, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--format json`."""
        return {"version": 1, **asdict(self)}


def picture(model: LabModel, view: LabView | None = None) -> Picture:
    """The picture of a model; with the states of a view of the same lab."""
    return Picture(model.name, _boxes(model, view), _wires(model, view), _peers(model, view))


def _boxes(model: LabModel, view: LabView | None) -> tuple[Box, ...]:
    states = {} if view is None else {node.name: node.state for node in view.nodes}
    boxes = []
    for node in model.nodes:
        found = states.get(node.name)
        state: State = "" if found is None else "up" if found == "up" else "down"
        column = COLUMNS.get((node.tier, node.kind), _MIDDLE_OF_TIER[node.tier])
        domains = tuple(space for space in node.namespaces if space != node.name)
        boxes.append(Box(node.name, node.kind, node.tier, column, domains, state))
    return tuple(boxes)


def _together(states: list[bool | None]) -> State:
    """One state for several things that are up, down, or unknown."""
    if any(state is None for state in states):
        return ""
    return "up" if all(states) else "partly" if any(states) else "down"


def _wires(model: LabModel, view: LabView | None) -> tuple[Wire, ...]:
    views: dict[str, LinkView] = {} if view is None else {link.name: link for link in view.links}
    between: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for number, link in enumerate(model.links):
        a, b = node_of(model, link.a.namespace), node_of(model, link.b.namespace)
        if a is not None and b is not None and a.name != b.name:
            between[a.name, b.name].append(number)
    wires = []
    for (a_name, b_name), numbers in between.items():
        links = [model.links[number] for number in numbers]
        trunks = {str(end) for link in links if link.trunk for end in (link.a, link.b)}
        tags = dict.fromkeys(
            ("/".join(str(tag.vid) for tag in end.tags), f"{end.circuit}/{end.peering}")
            for end in model.peering_ends
            if (port := _port(model, end)) is not None and port in trunks
        )
        seen = [views.get(link.name) for link in links]
        carrier = [
            None if one is None or one.carrier is None else bool(one.up and one.carrier) for one in seen
        ]
        wires.append(
            Wire(
                a_name,
                b_name,
                tuple(link.name for link in links),
                any(link.trunk for link in links),
                tuple(tags),
                _together(carrier),
            )
        )
    return tuple(wires)


def _port(model: LabModel, end: PeeringEnd) -> str | None:
    """The port below an end of a peering, as namespace:device."""
    for router in model.routers:
        if router.name != end.node:
            continue
        for vrf in router.vrfs:
            for subinterface in vrf.subinterfaces:
                if (vrf.namespace, subinterface.name) == (end.namespace, end.device):
                    return f"{router.namespace}:{subinterface.port}"
    return None


def _peers(model: LabModel, view: LabView | None) -> tuple[Peer, ...]:
    views: dict[tuple[str, str], SessionView] = {}
    if view is not None:
        views = {(session.namespace, session.name): session for session in view.sessions}
    ends = [
        (router.name, vrf.namespace, session)
        for router in model.routers
        for vrf in router.vrfs
        for session in vrf.sessions
    ]
    labels = {(end.namespace, end.device): f"{end.circuit}/{end.peering}" for end in model.peering_ends}
    domains = _domains(model)
    waiting: dict[tuple[str, object, object], int] = {}
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for number, (name, namespace, session) in enumerate(ends):
        # Strangers may have equal addresses: the two ends of a session can reach each other.
        domain = domains[namespace]
        other = waiting.pop((domain, session.neighbor, session.local), None)
        if other is None:
            waiting[domain, session.local, session.neighbor] = number
        else:
            found[ends[other][0], name] += [other, number]
    # Labels join domains that no link joins. Customers with equal addresses stand in one order at all PEs.
    left: defaultdict[tuple[object, object], list[int]] = defaultdict(list)
    for (_, local, neighbor), number in waiting.items():
        if others := left[neighbor, local]:
            other = others.pop(0)
            found[ends[other][0], ends[number][0]] += [other, number]
        else:
            left[local, neighbor].append(number)
    peers = []
    for (a, b), numbers in found.items():
        named = dict.fromkeys(
            labels.get((ends[n][1], ends[n][2].interface), ends[n][2].group) for n in numbers
        )
        seen = [views.get((ends[n][1], ends[n][2].name)) for n in numbers]
        states = [None if one is None else one.established for one in seen]
        why = dict.fromkeys(f"{one.node}: {one.why}" for one in seen if one is not None and one.why)
        peers.append(Peer(a, b, tuple(named), len(numbers) // 2, _together(states), tuple(why)))
    return tuple(peers)


def _domains(model: LabModel) -> dict[str, str]:
    """Namespace -> a namespace that stands for all that it can reach over links, trunks and circuits."""
    leader = {space: space for node in model.nodes for space in node.namespaces}

    def find(space: str) -> str:
        while leader[space] != space:
            space = leader[space]
        return space

    def join(a: str, b: str) -> None:
        leader[find(a)] = find(b)

    for link in model.links:
        if not link.trunk:
            join(link.a.namespace, link.b.namespace)
    ports = {str(link.a): str(link.b) for link in model.links if link.trunk}
    ports |= {b: a for a, b in ports.items()}
    tagged: dict[tuple[str, TagStack], str] = {}
    for router in model.routers:
        for vrf in router.vrfs:
            for sub in vrf.subinterfaces:
                port = f"{router.namespace}:{sub.port}"
                tagged[port, sub.tags] = vrf.namespace
                if (far := tagged.get((ports.get(port, ""), sub.tags))) is not None:
                    join(vrf.namespace, far)
    first: dict[tuple[str, str], str] = {}
    for end in model.peering_ends:
        join(end.namespace, first.setdefault((end.circuit, end.peering), end.namespace))
    return {space: find(space) for space in leader}
