"""Which sessions are not up yet, asked from the BIRDs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from edge.bgp.policy import protocol_name
from edge.bgp.state import ProtocolState
from edge.errors import EdgeError
from edge.model import Session
from lab.world import World

WORKERS = 16
"""BIRDs asked at the same time: one that hangs must not make the others wait."""


def pending_sessions(world: World) -> list[dict[str, Any]]:
    """Enabled sessions of the model that are not up, as {node, namespace, session, neighbor, state}.

    Up means Established, and with BFD up as well: an end whose BFD was made anew lets the other one detect a
    loss, and close a session that looks well, up to a detection time later.
    """
    if world.model is None:
        return []
    domains = [
        (router.name, vrf.namespace, enabled)
        for router in world.model.routers
        for vrf in router.vrfs
        if (enabled := [session for session in vrf.sessions if session.enabled])
    ]

    def ask(namespace: str) -> dict[str, ProtocolState] | str:
        try:
            return {state.name: state for state in world.birds.control(namespace).protocols()}
        except EdgeError as error:
            return f"BIRD does not answer: {error}"

    with ThreadPoolExecutor(WORKERS, thread_name_prefix="ready") as pool:
        answers = list(pool.map(ask, [namespace for _, namespace, _ in domains]))
    return [
        {
            "node": node,
            "namespace": namespace,
            "session": session.name,
            "neighbor": str(session.neighbor),
            "state": words,
        }
        for (node, namespace, sessions), answer in zip(domains, answers, strict=True)
        for session in sessions
        if (words := _missing(session, answer))
    ]


def _missing(session: Session, answer: dict[str, ProtocolState] | str) -> str:
    """What keeps the session from being up, in words; empty when it is."""
    if isinstance(answer, str):
        return answer
    state = answer.get(protocol_name(session))
    if state is None:
        return "BIRD does not have this session"
    if state.info != "Established":
        return state.info or state.state
    if session.bfd and state.bfd != "Up":
        return f"Established, but BFD is {state.bfd or 'not running'}"
    return ""
