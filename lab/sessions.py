"""The states of BGP sessions, asked from the BIRDs at this moment, many at once."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from edge.bgp.policy import protocol_name
from edge.bgp.state import ProtocolState
from edge.errors import EdgeError
from edge.model import Session, Vrf
from lab.access import LabAccess
from lab.model import LabModel
from lab.routing import sessions_from, unknown

WORKERS = 8
"""BIRDs asked at the same time: each answers within a millisecond or two, on few cores."""


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session as one router has it configured, and what that router's BIRD says of it.

    found is None when BIRD (or the user's own router) did not answer or does not know the session; problem
    then says so. silent: it did not answer.
    """

    node: str
    namespace: str
    session: Session
    found: ProtocolState | None
    problem: str = ""
    silent: bool = False

    @property
    def established(self) -> bool:
        """Whether this end says that the session is up."""
        return self.found is not None and self.found.established

    @property
    def word(self) -> str:
        """The state in one word, as RFC 4271 8.2.2 names it; `Down` when shut, `unknown` without BIRD."""
        if self.found is None:
            return "unknown"
        return self.found.bgp_state or self.found.state


def read_sessions(
    access: LabAccess, model: LabModel, namespaces: Iterable[str] | None = None
) -> tuple[SessionState, ...]:
    """The sessions of all routers (or of those routing domains only), in the order of the model."""
    wanted = None if namespaces is None else set(namespaces)
    domains = [
        (router.name, vrf)
        for router in model.routers
        for vrf in router.vrfs
        if vrf.sessions and (wanted is None or vrf.namespace in wanted)
    ]

    def ask(vrf: Vrf) -> dict[str, ProtocolState] | str:
        try:
            return sessions_from(access, vrf)
        except EdgeError as error:
            return str(error)

    with ThreadPoolExecutor(WORKERS) as pool:
        answers = list(pool.map(ask, [vrf for _, vrf in domains]))
    return tuple(
        _state(node, vrf, session, answer)
        for (node, vrf), answer in zip(domains, answers, strict=True)
        for session in vrf.sessions
    )


def _state(node: str, vrf: Vrf, session: Session, answer: dict[str, ProtocolState] | str) -> SessionState:
    if isinstance(answer, str):
        return SessionState(node, vrf.namespace, session, None, answer, silent=True)
    found = answer.get(protocol_name(session))
    problem = "" if found else unknown(vrf, session)
    return SessionState(node, vrf.namespace, session, found, problem)
