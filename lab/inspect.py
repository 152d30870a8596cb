"""Collect a LabView: one question to the supervisor, one to each BIRD, all read now."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from edge.bgp.diagnosis import LOOK_THERE
from edge.model import Address
from lab.access import LabAccess, SharedAccess
from lab.classes import queues
from lab.diagnose import why_not_established
from lab.model import LabModel, Link, LinkImpairment, Node, PeeringEnd
from lab.routing import software_name
from lab.service.sessions import has_sla
from lab.sessions import SessionState, read_sessions
from lab.view import ImpairmentView, LabView, LinkView, NodeView, SessionView


def collect(access: LabAccess) -> LabView:
    """How the lab is at this moment. Raises EdgeError when its supervisor does not answer.

    A BIRD that does not answer is shown as such; the others are shown all the same.
    """
    shared = SharedAccess(access)
    model = shared.model
    # First the BIRDs: whatever makes a session fail has left its mark in the status by then.
    states = read_sessions(shared, model)
    status = shared.status()
    realisation = status.get("realisation") or {}
    shut = _shut_ends(model)
    sessions = _ask_far_ends(tuple(_session(state, model, status, shut) for state in states))
    return LabView(
        name=model.name,
        realisation=realisation.get("name", ""),
        reason=realisation.get("reason", ""),
        uptime_s=round(max(0.0, time.time() - float(status.get("started", time.time()))), 1),
        nodes=tuple(_node(node, model, states, status) for node in model.nodes),
        links=tuple(_link(link, model, status) for link in model.links),
        sessions=sessions,
        tag_counters=status.get("tag_counters") or {},
        packet_counters=status.get("nft_counters") or {},
        queues=tuple(_queues(model, status)),
        markings=tuple(status.get("markings") or ()),
        marking=status.get("marking", ""),
        lacks=tuple(status.get("lacks") or ()),
        sla=_sla(model, sessions),
        engine=status.get("engine") or {},
        core=realisation.get("core", ""),
        core_reason=realisation.get("core_reason", ""),
    )


def _queues(model: LabModel, status: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The classes of ports as the supervisor tells them, with their link and circuit."""
    for found, row in zip(status.get("queues") or (), queues(model, status), strict=True):
        yield {**found, "link": row.link, "towards": row.towards, "circuit": row.circuit}


def _sla(model: LabModel, sessions: tuple[SessionView, ...]) -> dict[str, bool]:
    """Of each peering that is ordered, whether all sessions of both its connections are up at the MSEEs."""
    up = frozenset(
        (one.circuit, one.peering, one.connection, one.family)
        for one in sessions
        if one.side == "microsoft" and one.established
    )
    return {
        f"{circuit.name}/{peering.name}": has_sla(model.state, circuit, peering, up)
        for circuit, peering in model.state.peerings()
    }


def _ask_far_ends(sessions: tuple[SessionView, ...]) -> tuple[SessionView, ...]:
    """Where one end of a peering can only point at the other, let the other one give the reason."""
    reasons = {
        (item.label, item.family, item.side): f"{item.node} says: {item.why}"
        for item in sessions
        if item.circuit and item.why and not item.why.endswith(LOOK_THERE)
    }
    opposite = {"customer": "microsoft", "microsoft": "customer"}
    return tuple(
        replace(item, why=reasons.get((item.label, item.family, opposite[item.side]), item.why))
        if item.circuit and item.why.endswith(LOOK_THERE)
        else item
        for item in sessions
    )


def _node(node: Node, model: LabModel, states: tuple[SessionState, ...], status: dict[str, Any]) -> NodeView:
    daemons = status.get("daemons", {})
    restarts = sum(int(daemons.get(space, {}).get("restarts", 0)) for space in node.namespaces)
    silent = {state.namespace for state in states if state.namespace in node.namespaces and state.silent}
    speakers = (vrf for router in model.routers for vrf in router.vrfs if vrf.namespace in silent)
    who = " and ".join(dict.fromkeys(software_name(vrf) for vrf in speakers))
    state = f"{who} does not answer in {', '.join(sorted(silent))}" if silent else "up"
    return NodeView(node.name, node.kind, node.tier, node.namespaces, state, restarts)


def _link(link: Link, model: LabModel, status: dict[str, Any]) -> LinkView:
    ends = [status.get("links", {}).get(str(at)) for at in (link.a, link.b)]
    known = [end for end in ends if end is not None]
    return LinkView(
        name=link.name,
        a=str(link.a),
        b=str(link.b),
        circuit=link.circuit,
        connection=link.connection,
        up=all(end.get("up", False) for end in known) if known else None,
        carrier=all(end.get("carrier", False) for end in known) if known else None,
        tags=tuple(_tags(link, model)) if link.trunk else (),
        impairments=tuple(_impairment(item, status) for item in model.impairments if item.link == link.name),
    )


def _impairment(item: LinkImpairment, status: dict[str, Any]) -> ImpairmentView:
    settings = item.impairment
    at = str(settings.at)
    counted = next((found for found in status.get("impairments", ()) if found["at"] == at), None)
    counters: dict[str, int] = {}
    if counted is not None:
        counters = {name: counted[name] for name in ("offered", "lost", "duplicated", "reordered", "waiting")}
        counters["dropped"] = counted["overflowed"] + counted["refused"]
    return ImpairmentView(
        towards=item.towards,
        by=settings.by,
        seed=str(settings.seed),
        delay_ms=settings.delay_ns / 1e6,
        jitter_ms=settings.jitter_ns / 1e6,
        loss_percent=settings.loss_ppm / 1e4,
        duplicate_percent=settings.duplicate_ppm / 1e4,
        reorder_percent=settings.reorder_ppm / 1e4,
        rate_bps=settings.rate_bps,
        **counters,
    )


def _tags(link: Link, model: LabModel) -> Iterator[tuple[str, str]]:
    """The peerings of the routers whose port is an end of this wire."""
    ports = {
        (router.name, vrf.namespace, subinterface.name)
        for router in model.routers
        for vrf in router.vrfs
        for subinterface in vrf.subinterfaces
        if f"{router.namespace}:{router.wire(subinterface.port)}" in (str(link.a), str(link.b))
    }
    for end in model.peering_ends:
        if (end.node, end.namespace, end.device) in ports:
            yield "/".join(str(tag.vid) for tag in end.tags), f"{end.circuit}/{end.peering}"


def _end(state: SessionState, model: LabModel) -> PeeringEnd | None:
    at = (state.namespace, state.session.interface)
    return next((end for end in model.peering_ends if (end.namespace, end.device) == at), None)


def _session(
    state: SessionState, model: LabModel, status: dict[str, Any], shut: set[tuple[Address, Address]]
) -> SessionView:
    end, found, session = _end(state, model), state.found, state.session
    return SessionView(
        circuit=end.circuit if end else "",
        peering=end.peering if end else "",
        connection=end.connection if end else "",
        side=end.side if end else "",
        node=state.node,
        namespace=state.namespace,
        name=session.name,
        group=session.group,
        interface=session.interface,
        neighbor=str(session.neighbor),
        family=session.family,
        state=state.word,
        uptime_s=found.uptime_s if found and found.established else None,
        imported=found.imported if found else 0,
        exported=found.exported if found else 0,
        bfd=found.bfd if found else "",
        why=why_not_established(model, state, end, status),
        shut=not session.enabled or (session.local, session.neighbor) in shut,
    )


def _shut_ends(model: LabModel) -> set[tuple[Address, Address]]:
    """(local, neighbor) of sessions whose other end is shut."""
    return {
        (session.neighbor, session.local)
        for router in model.routers
        for vrf in router.vrfs
        for session in vrf.sessions
        if not session.enabled
    }
