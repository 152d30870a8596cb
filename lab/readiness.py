"""Which sessions are not up yet, and what they have received, asked from the BIRDs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from edge.bgp.policy import protocol_name
from edge.bgp.state import ProtocolState
from edge.errors import EdgeError
from edge.model import Address, Session, Vrf
from lab.routing import sessions_in, unknown, why_silent
from lab.service.commands import ReportPrefixes
from lab.world import World

WORKERS = 16
"""BIRDs asked at the same time: one that hangs must not make the others wait."""


def pending_sessions(world: World) -> list[dict[str, Any]]:
    """Sessions of the model that can be up and are not, as {node, namespace, session, neighbor, state}.

    One whose other end is shut, or is nowhere, cannot: the customer's of a disabled peering, or the MSEE's
    of a circuit that ends at no site.
    Up means Established, and with BFD up as well: an end whose BFD was made anew lets the other one detect a
    loss, and close a session that looks well, up to a detection time later.
    """
    if world.model is None:
        return []
    open_ends = {
        (session.local, session.neighbor)
        for router in world.model.routers
        for vrf in router.vrfs
        for session in vrf.sessions
        if session.enabled
    }
    domains = [
        (router.name, vrf, enabled)
        for router in world.model.routers
        for vrf in router.vrfs
        if (
            enabled := [one for one in vrf.sessions if one.enabled and (one.neighbor, one.local) in open_ends]
        )
    ]
    answers = _ask(world, [vrf for _, vrf, _ in domains])
    left_out = set(_left_out([vrf for _, vrf, _ in domains], answers))
    return [
        {
            "node": node,
            "namespace": vrf.namespace,
            "session": session.name,
            "neighbor": str(session.neighbor),
            "state": words,
        }
        for (node, vrf, sessions), answer in zip(domains, answers, strict=True)
        for session in sessions
        if frozenset((session.local, session.neighbor)) not in left_out
        if (words := _missing(vrf, session, answer))
    ]


def _left_out(vrfs: list[Vrf], answers: list[dict[str, ProtocolState] | str]) -> Iterator[frozenset[Address]]:
    """Sessions inside a site that a user's own router does not have: it need not, they are not of Azure."""
    for vrf, answer in zip(vrfs, answers, strict=True):
        for session in vrf.sessions if vrf.own is not None and not isinstance(answer, str) else ():
            if session.group == "mesh" and protocol_name(session) not in answer:
                yield frozenset((session.local, session.neighbor))


def received(world: World) -> tuple[ReportPrefixes, ...]:
    """How many prefixes the customers announce now, counted at the MSEEs; a session that is down has none."""
    model = world.model
    if model is None:
        return ()
    ends = [end for end in model.peering_ends if end.side == "microsoft"]
    vrfs = {vrf.namespace: vrf for router in model.routers for vrf in router.vrfs}
    found = []
    for end, answer in zip(ends, _ask(world, [vrfs[end.namespace] for end in ends]), strict=True):
        for session in vrfs[end.namespace].sessions:
            if session.interface == end.device and not isinstance(answer, str):
                state = answer.get(protocol_name(session))
                count = sum(channel.imported for channel in state.channels) if state is not None else 0
                found.append(ReportPrefixes(end.circuit, end.peering, end.connection, session.family, count))
    return tuple(found)


def _ask(world: World, vrfs: list[Vrf]) -> list[dict[str, ProtocolState] | str]:
    """What is said of the sessions of these routing domains, or why nothing is."""

    def ask(vrf: Vrf) -> dict[str, ProtocolState] | str:
        try:
            return sessions_in(world, vrf)
        except EdgeError as error:
            return why_silent(vrf, error)

    with ThreadPoolExecutor(WORKERS, thread_name_prefix="ready") as pool:
        return list(pool.map(ask, vrfs))


def _missing(vrf: Vrf, session: Session, answer: dict[str, ProtocolState] | str) -> str:
    """What keeps the session from being up, in words; empty when it is."""
    if isinstance(answer, str):
        return answer
    state = answer.get(protocol_name(session))
    if state is None:
        return unknown(vrf, session)
    if state.info != "Established":
        return state.info or state.state
    if session.bfd and state.bfd != "Up":
        return f"Established, but BFD is {state.bfd or 'not running'}"
    return ""
