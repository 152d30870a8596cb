"""What happened in a lab beside the faults that it had: disturbances that none of them explains. Pure.

A fault explains what happens to the routing domains that it touches, from its beginning until some time
after its end. So a session that falls elsewhere, or by itself, stands out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.bgp.policy import protocol_name
from edge.errors import UsageError
from lab.faults.kinds import KINDS
from lab.faults.sites import site_spaces
from lab.faults.targets import links_of
from lab.lookup import owners_of
from lab.model import LabModel, Link

GRACE_S = 20.0
"""How long after its end a fault explains what happens: hold timers, waits after errors, slow machines."""

_BEGINS, _ENDS = "begins", "ends"
_FALLING = frozenset({"stop", "flush", "down"})
_CHANGES = frozenset({"service", "lab"})
"""Kinds of events that tell of changes somebody asked for: they explain all that follows soon."""


Spaces = frozenset[str]


@dataclass(frozen=True, slots=True)
class Touched:
    """What a fault may disturb. between: sets of routing domains, of each of which sessions between two may
    fall; whole: domains all of whose sessions may. everything: whatever there is.
    """

    between: tuple[Spaces, ...] = ()
    whole: Spaces = frozenset()
    everything: bool = False


EVERYTHING = Touched(everything=True)


@dataclass(frozen=True, slots=True)
class _Window:
    begin: float
    end: float
    touched: Touched


def unexplained(model: LabModel, events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The disturbances among a lab's events that no fault and no command explains.

    A disturbance is a session that falls, a link that goes, a daemon that dies. model: the lab without its
    faults.
    """
    windows = _windows(model, events)
    across = _neighbours(model)
    return [
        event
        for event in events
        if _disturbs(event) and not any(_explains(window, event, across) for window in windows)
    ]


def touched(model: LabModel, kind: str, target: str) -> Touched:
    """What a fault of that kind and target may disturb.

    Everything, where the target is no link, router, peering, circuit or site of the model.
    """
    whole = {space for node in model.nodes if node.name == target for space in node.namespaces}
    links: tuple[Link, ...] = ()
    with contextlib.suppress(UsageError):
        whole.update(KINDS[kind].daemons(model, target))
    with contextlib.suppress(UsageError):
        links = links_of(model, target)
    with contextlib.suppress(UsageError):
        whole.update(site_spaces(model, target))
    if KINDS[kind].act is None:
        # Who has no power takes the carrier from the other ends of its links.
        links += tuple(link for link in model.links if whole & {link.a.namespace, link.b.namespace})
    between = (*(_across(model, link) for link in links), *_named(model, target))
    return Touched(between, frozenset(whole)) if between or whole else EVERYTHING


def _across(model: LabModel, link: Link) -> Spaces:
    """The routing domains that may talk over a link: at its ends, behind a switch there, of its peerings."""
    spaces = {link.a.namespace, link.b.namespace}
    switches = {switch.namespace for switch in model.switches} & spaces
    for other in model.links:
        if switches & {other.a.namespace, other.b.namespace}:
            spaces |= {other.a.namespace, other.b.namespace}
    for end in model.peering_ends:
        if (not link.circuit and link.trunk) or (end.circuit, end.connection) == (
            link.circuit,
            link.connection,
        ):
            spaces.add(end.namespace)
    return frozenset(spaces)


def _named(model: LabModel, target: str) -> list[Spaces]:
    """The two ends of each peering on each connection that a target such as `ams/private` names."""
    circuit, _, rest = target.partition("/")
    words = set(rest.split("/")) if rest else set()
    found: dict[tuple[str, str], set[str]] = {}
    for end in model.peering_ends:
        if end.circuit == circuit and words <= {end.peering, end.connection}:
            found.setdefault((end.peering, end.connection), set()).add(end.namespace)
    return [frozenset(spaces) for spaces in found.values()]


def _windows(model: LabModel, events: Sequence[Mapping[str, Any]]) -> list[_Window]:
    open_since: dict[str, tuple[float, Touched]] = {}
    windows: list[_Window] = []
    for event in events:
        at = float(event["time"])
        if event["kind"] in _CHANGES:
            began = 0.0 if event.get("state") == "deployed" else at
            windows.append(_Window(began, at + GRACE_S, EVERYTHING))
        if event["kind"] != "fault":
            continue
        name = str(event["name"])
        # It is told when it has been done, and what it does is seen before.
        began = min(at, float(event.get("since", at)))
        harmed = touched(model, str(event["fault"]), str(event["target"]))
        if event["state"] == _ENDS:
            since, harmed = open_since.pop(name, (at, harmed))
            windows.append(_Window(since, at + GRACE_S, harmed))
        elif event["state"] == _BEGINS:
            open_since[name] = (began, harmed)
        else:
            windows.append(_Window(began, at + GRACE_S, harmed))
    return windows + [_Window(since, float("inf"), harmed) for since, harmed in open_since.values()]


def _neighbours(model: LabModel) -> dict[tuple[str, str], Spaces]:
    """(namespace, BIRD's name of a session) -> the namespaces that may be at its other end."""
    owners: dict[str, set[str]] = {}
    for owner in owners_of(model):
        owners.setdefault(str(owner.address.ip), set()).add(owner.at.namespace)
    return {
        (vrf.namespace, protocol_name(session)): frozenset(owners.get(str(session.neighbor), ()))
        for router in model.routers
        for vrf in router.vrfs
        for session in vrf.sessions
    }


def _disturbs(event: Mapping[str, Any]) -> bool:
    if event["kind"] == "session":
        return event.get("event") == "state" and event.get("state") in _FALLING
    if event["kind"] == "link":
        return not (event.get("up") and event.get("carrier") and event.get("present"))
    return event["kind"] == "daemon" and event.get("state") == "died"


def _explains(window: _Window, event: Mapping[str, Any], across: Mapping[tuple[str, str], Spaces]) -> bool:
    # An event's time is that of its reading, which may lie a little before the fault that caused it is told.
    if not window.begin - 1.0 <= float(event["time"]) <= window.end:
        return False
    if window.touched.everything:
        return True
    between, whole = window.touched.between, window.touched.whole
    space = str(event.get("namespace", ""))
    far = across.get((space, str(event.get("protocol", ""))), frozenset())
    if event["kind"] == "session":
        return bool((far | {space}) & whole) or any(space in ends and far & ends for ends in between)
    return space in whole or (event["kind"] == "link" and any(space in ends for ends in between))
