"""What a place on a wire is: whose, which side of it, which peerings pass it, which way Microsoft lies. Pure.

`capture` writes it beside the frames, and judges them by the policy that holds for them there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from edge.model import Address, Network, Router, Subinterface, Vrf
from edge.net.objects.base import Endpoint
from edge.qos.expressroute import TREATMENT, MseeKnob
from edge.qos.model import DSCP_CS6, Direction, Policy, Treatment
from edge.qos.steering import CONTROL
from lab.model import LabModel, Link, Node, PeeringEnd, PeeringName
from lab.pcapng import Direction as Way
from lab.places import Place

Vids = tuple[int, ...]
"""VLAN ids, outermost first."""

_SITE_RANKS = {"host": 0, "switch": 1, "ce": 2}
"""Boxes of a site, the farther from Microsoft the lower."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What judges frames that go `direction` on a peering.

    knob: what the MSEE there does with a DSCP that it does not know; None where nothing says. marked: whether
    frames have been marked already when they are seen, else that is still to come.
    """

    circuit: str
    peering: PeeringName
    direction: Direction
    policy: Policy
    treatment: Treatment
    knob: MseeKnob | None
    marked: bool


@dataclass(frozen=True, slots=True)
class Vantage:
    """A place with its meaning.

    outward: the direction, as a capture tells it, in which frames go towards Microsoft; unknown where that
    means nothing. tagged: by VLAN ids and direction, what judges them. plain: on a site's LAN, by peering and
    direction. comment: all about the place in words.
    """

    place: Place
    outward: Way
    tagged: dict[tuple[Vids, Direction], Applied]
    plain: dict[tuple[PeeringName, Direction], Applied]
    comment: str

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that frames here can have, in the order of their policies."""
        policies = (item.policy for item in (*self.tagged.values(), *self.plain.values()))
        return tuple(dict.fromkeys(item.name for policy in policies for item in policy.classes))

    def towards(self, way: Way) -> Direction | None:
        """`out` towards Microsoft, `in` from it; None where nobody can say."""
        if "unknown" in (way, self.outward):
            return None
        return "out" if way == self.outward else "in"


@dataclass(frozen=True, slots=True)
class Destinations:
    """Which addresses lie behind which peering: the VNets' behind private, Microsoft's own behind its."""

    private: tuple[Network, ...]
    microsoft: tuple[Network, ...]

    def peering(self, address: Address) -> PeeringName | None:
        """The peering that leads to an address; None when none does."""
        if any(address in network for network in self.private):
            return "private"
        return "microsoft" if any(address in network for network in self.microsoft) else None


def destinations(model: LabModel) -> Destinations:
    """Those of a lab: the address spaces of its VNets, and what Microsoft's core announces."""
    cores = {node.name for node in model.nodes if node.kind == "core"}
    announced = (
        item.network
        for router in model.routers
        if router.name in cores
        for vrf in router.vrfs
        for item in vrf.originates
        if item.network.prefixlen
    )
    spaces = (network for item in model.state.vnets.values() for network in item.address_space)
    return Destinations(tuple(dict.fromkeys(spaces)), tuple(dict.fromkeys(announced)))


def vantage(model: LabModel, place: Place) -> Vantage:
    """What a place of this lab is."""
    link = next((item for item in model.links if place.at in (item.a, item.b)), None)
    here = _subinterfaces_at(model, place.at)
    far = link.b if link and link.a == place.at else link.a if link else None
    there = _subinterfaces_at(model, far) if far else {}
    seen = here or there
    outward: Way = "unknown"
    tagged: dict[tuple[Vids, Direction], Applied] = {}
    if seen:
        side = next(iter(seen.values())).side
        # Seen from the box that has the peering: a customer's sends towards Microsoft, an MSEE away from it.
        outward = "outbound" if (side == "customer") == bool(here) else "inbound"
        for vids, end in seen.items():
            for item in _applied(model, end):
                tagged[vids, item.direction] = item
    plain: dict[tuple[PeeringName, Direction], Applied] = {}
    if link and not seen and far:
        outward = _on_a_lan(model, place.at, far)
        if outward != "unknown":
            plain = _behind(model, place.at.namespace)
    return Vantage(place, outward, tagged, plain, _words(model, place, link, far, seen, outward))


def _subinterfaces_at(model: LabModel, at: Endpoint) -> dict[Vids, PeeringEnd]:
    """The peerings whose frames pass a device: all of a port by their tags, or the one of a subinterface."""
    for end in model.peering_ends:
        if (end.namespace, end.device) == (at.namespace, at.device):
            return {(): end}
    ends = {(end.namespace, end.device): end for end in model.peering_ends}
    return {
        tuple(tag.vid for tag in sub.tags): ends[vrf.namespace, sub.name]
        for router, vrf, sub in _subinterfaces(model)
        if router.namespace == at.namespace
        and at.device in (sub.port, router.wire(sub.port))
        and (vrf.namespace, sub.name) in ends
    }


def _subinterfaces(model: LabModel) -> Iterator[tuple[Router, Vrf, Subinterface]]:
    for router in model.routers:
        for vrf in router.vrfs:
            for sub in vrf.subinterfaces:
                yield router, vrf, sub


def _applied(model: LabModel, end: PeeringEnd) -> Iterator[Applied]:
    """What judges the frames of a peering, each way, on the connection of one of its ends."""
    knob = None
    found: dict[Direction, Policy] = {}
    for router, vrf, sub in _subinterfaces(model):
        for item in model.peering_ends:
            if (item.namespace, item.device) != (vrf.namespace, sub.name) or not _same(item, end):
                continue
            knob = knob or sub.unknown_dscp
            policy = sub.qos.policy if sub.qos else _steering(router, sub)
            if policy is not None:
                found["out" if item.side == "customer" else "in"] = policy
    treatment = TREATMENT[end.peering]
    for direction, policy in found.items():
        yield Applied(end.circuit, end.peering, direction, policy, treatment, knob, marked=True)


def as_marked(policy: Policy) -> Policy:
    """The policy for frames that it has marked already: a router's own protocols came as CS6, and left as 0.

    So it reads them as an MSEE's port does (edge.qos.steering.by_dscp). Numbers of rules stay.
    """
    own = (DSCP_CS6,)
    return replace(
        policy,
        rules=tuple(
            replace(rule, existing_dscp=())
            if (rule.class_name, rule.existing_dscp) == (CONTROL, own)
            else rule
            for rule in policy.rules
        ),
    )


def _same(a: PeeringEnd, b: PeeringEnd) -> bool:
    return (a.circuit, a.peering, a.connection) == (b.circuit, b.peering, b.connection)


def _steering(router: Router, sub: Subinterface) -> Policy | None:
    """By what a port chooses the queue of a peering's frames, where the subinterface does not."""
    for port in router.ports:
        for queues in port.queues:
            if port.name == sub.port and queues.outer in (None, *sub.tags[:1]):
                for item in queues.steering:
                    if item.inner in (None, *sub.tags[-1:]):
                        return item.policy
    return None


def _on_a_lan(model: LabModel, here: Endpoint, far: Endpoint) -> Way:
    """The direction towards Microsoft on a wire of a site's LAN; unknown on any other wire."""
    ranks = []
    for at in (here, far):
        node = node_at(model, at)
        if node is None or node.tier != "site" or node.kind not in _SITE_RANKS:
            return "unknown"
        ranks.append(_SITE_RANKS[node.kind])
    if ranks[0] == ranks[1]:
        return "unknown"
    return "outbound" if ranks[0] < ranks[1] else "inbound"


def _behind(model: LabModel, namespace: str) -> dict[tuple[PeeringName, Direction], Applied]:
    """What judges frames of the LAN that a namespace is on, by the edges that it reaches."""
    found: dict[tuple[PeeringName, Direction], Applied] = {}
    for reached in _reached(model, namespace):
        for end in model.peering_ends:
            if (end.namespace, end.side) == (reached, "customer"):
                for item in _applied(model, end):
                    # Towards Microsoft the edge has yet to mark; what comes has been marked by the MSEE.
                    one = replace(item, marked=item.direction == "in")
                    found.setdefault((item.peering, item.direction), one)
    return found


def _reached(model: LabModel, namespace: str) -> Iterator[str]:
    """The namespaces of a site that a frame of its LAN reaches, the nearest first; not beyond an edge."""
    seen, waiting = {namespace}, deque((namespace,))
    while waiting:
        here = waiting.popleft()
        yield here
        node = model.node(here)
        if node is not None and node.kind == "ce" and here != namespace:
            continue
        for link in model.links:
            for near, far in ((link.a, link.b), (link.b, link.a)):
                other = node_at(model, far)
                if (
                    near.namespace == here
                    and far.namespace not in seen
                    and other is not None
                    and other.tier == "site"
                    and other.kind in _SITE_RANKS
                ):
                    seen.add(far.namespace)
                    waiting.append(far.namespace)


def node_at(model: LabModel, at: Endpoint) -> Node | None:
    """The box that a device belongs to."""
    return next((node for node in model.nodes if at.namespace in node.namespaces), None)


def _words(
    model: LabModel,
    place: Place,
    link: Link | None,
    far: Endpoint | None,
    seen: dict[Vids, PeeringEnd],
    outward: Way,
) -> str:
    """All about a place: `link ams-primary at ce1 (ce), the other end is ...`."""
    parts = [
        f"link {link.name}, seen at its end {place.at}{_kind(model, place.at)}"
        if link
        else f"{place.at}{_kind(model, place.at)}"
    ]
    if far is not None:
        parts.append(f"the other end is {far}{_kind(model, far)}")
    if link and link.circuit:
        parts.append(f"circuit {link.circuit} {link.connection}".rstrip())
    for vids, end in seen.items():
        what = f"{end.circuit}/{end.peering} {end.connection}"
        parts.append(f"tags {'/'.join(map(str, vids))} are {what}" if vids else what)
    if outward != "unknown":
        parts.append(f"{outward} is towards Microsoft")
    return "; ".join(parts)


def _kind(model: LabModel, at: Endpoint) -> str:
    node = node_at(model, at)
    return f" ({node.kind})" if node else ""
