"""Who speaks BGP in a routing domain, asked in the same words: our BIRD, or what the user has brought."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.bgp.policy import protocol_name
from edge.bgp.state import ProtocolState, RouteInfo
from edge.errors import EdgeError, UsageError
from edge.model import Network, Session, Vrf
from lab.access import LabAccess

if TYPE_CHECKING:
    from lab.world import World


def sessions_from(access: LabAccess, vrf: Vrf) -> dict[str, ProtocolState]:
    """The states of a domain's sessions by the names that the model gives them (protocol_name).

    Raises EdgeError when nobody answers.
    """
    if vrf.own is None:
        return {state.name: state for state in access.bird(vrf.namespace).protocols()}
    return named(vrf, access.own_router(vrf.namespace, vrf.own.kind).protocols())


def sessions_in(world: World, vrf: Vrf) -> dict[str, ProtocolState]:
    """The same, asked inside the supervisor."""
    if vrf.own is None:
        return {state.name: state for state in world.birds.control(vrf.namespace).protocols()}
    return named(vrf, world.daemons.own.control(vrf.namespace).protocols())


def named(vrf: Vrf, states: Iterable[ProtocolState]) -> dict[str, ProtocolState]:
    """A user's router knows neighbours, not our names: those that both know, by our names. Pure."""
    by_neighbor = {state.neighbor: state for state in states}
    return {
        protocol_name(session): replace(
            by_neighbor[session.neighbor], name=protocol_name(session), interface=session.interface
        )
        for session in vrf.sessions
        if session.neighbor in by_neighbor
    }


def unknown(vrf: Vrf, session: Session) -> str:
    """Why a domain does not have a session that it should have, with the way out."""
    if vrf.own is None:
        return "BIRD does not have this session; deploy the topology again"
    return f"{vrf.own.file} has no neighbor {session.neighbor}; add it there and deploy the topology again"


def best_routes(access: LabAccess, vrf: Vrf, prefix: Network) -> list[RouteInfo]:
    """The routes that a domain chose for exactly this prefix. Raises EdgeError."""
    if vrf.own is None:
        return [route for route in access.bird(vrf.namespace).routes(prefix) if route.best]
    found = access.own_router(vrf.namespace, vrf.own.kind).routes(prefix)
    return [route for route in found if route.best]


def chosen_routes(access: LabAccess, vrf: Vrf) -> list[RouteInfo]:
    """All routes that a domain chose. Raises UsageError for a user's own router, EdgeError."""
    if vrf.own is not None:
        name = software_name(vrf)
        raise UsageError(f"{vrf.namespace} runs {name}, which is asked for one prefix at a time; say which")
    return [route for route in access.bird(vrf.namespace).routes() if route.best]


def refresh(access: LabAccess, vrf: Vrf, session: Session) -> None:
    """Send a session's routes again, if it is up; it is not disturbed (RFC 2918). Raises EdgeError."""
    if vrf.own is not None:
        control = access.own_router(vrf.namespace, vrf.own.kind)
        if any(state.established and state.neighbor == session.neighbor for state in control.protocols()):
            control.refresh(str(session.neighbor))
        return
    bird, name = access.bird(vrf.namespace), protocol_name(session)
    if any(state.established for state in bird.protocols(name)):
        bird.command(f"reload {name}")


def software_name(vrf: Vrf) -> str:
    """What people call who speaks BGP in a domain. Raises UsageError for a kind that there is not."""
    if vrf.own is None:
        return "BIRD"
    from edge.own.kinds import kind

    return kind(vrf.own.kind).name


def why_silent(vrf: Vrf, error: EdgeError) -> str:
    """What is said of the sessions of a domain where nobody answers."""
    return f"{software_name(vrf)} does not answer: {error}"
