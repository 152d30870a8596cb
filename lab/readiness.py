"""Which sessions are not up yet, asked from the BIRDs."""

from __future__ import annotations

from typing import Any

from edge.bgp.policy import protocol_name
from edge.errors import EdgeError
from lab.world import World


def pending_sessions(world: World) -> list[dict[str, Any]]:
    """Enabled sessions of the model that are not Established, as {node, namespace, session, state}."""
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
                if state is None or state.info != "Established":
                    pending.append(
                        {
                            "node": router.name,
                            "namespace": vrf.namespace,
                            "session": session.name,
                            "neighbor": str(session.neighbor),
                            "state": state.info or state.state if state else silent,
                        }
                    )
    return pending
