"""Which sessions are not up yet, asked from the BIRDs."""

from __future__ import annotations

from typing import Any

from edge.bgp.policy import protocol_name
from edge.bgp.state import ProtocolState
from edge.errors import EdgeError
from lab.world import World


def pending_sessions(world: World) -> list[dict[str, Any]]:
    """Enabled sessions of the model that are not up, as {node, namespace, session, neighbor, state}.

    Up means Established, and with BFD up as well: an end whose BFD was made anew lets the other one detect a
    loss, and close a session that looks well, up to a detection time later.
    """
    pending: list[dict[str, Any]] = []
    if world.model is None:
        return pending
    for router in world.model.routers:
        for vrf in router.vrfs:
            enabled = [session for session in vrf.sessions if session.enabled]
            if not enabled:
                continue
            try:
                states = {state.name: state for state in world.birds.control(vrf.namespace).protocols()}
            except EdgeError as error:
                states = {}
                silent = f"BIRD does not answer: {error}"
            else:
                silent = "BIRD does not have this session"
            for session in enabled:
                state = states.get(protocol_name(session))
                if state is None or state.info != "Established" or (session.bfd and state.bfd != "Up"):
                    pending.append(
                        {
                            "node": router.name,
                            "namespace": vrf.namespace,
                            "session": session.name,
                            "neighbor": str(session.neighbor),
                            "state": _words(state) if state else silent,
                        }
                    )
    return pending


def _words(state: ProtocolState) -> str:
    if state.info == "Established":
        return f"Established, but BFD is {state.bfd or 'not running'}"
    return state.info or state.state
