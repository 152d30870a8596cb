"""Checks of the BGP sessions of peerings. A session is up when both its ends say so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lab.access import LabAccess
from lab.checks.result import Verdict
from lab.diagnose import why_not_established
from lab.model import LabModel, PeeringEnd, SessionsCheck
from lab.report.words import duration
from lab.sessions import SessionState, read_sessions

Why = Callable[["PeeringSession"], str]
"""Finds the reason why a session is not up."""


@dataclass(frozen=True, slots=True)
class EndState:
    """What one end of a peering says of one of its sessions."""

    end: PeeringEnd
    state: SessionState


@dataclass(frozen=True, slots=True)
class PeeringSession:
    """One session of a peering on one connection, seen from the ends that were asked."""

    circuit: str
    peering: str
    connection: str
    family: int
    ends: tuple[EndState, ...]

    @property
    def established(self) -> bool:
        """Whether every end says that it is up."""
        return all(item.state.established for item in self.ends)

    @property
    def down(self) -> bool:
        """Whether an end says that it is not up, and none that it is. Silence of all of them says nothing."""
        return not self.unanswered and not any(item.state.established for item in self.ends)

    @property
    def unanswered(self) -> bool:
        """Whether nobody answers for it at any of its ends."""
        return all(item.state.silent for item in self.ends)

    @property
    def uptime_s(self) -> float:
        """Seconds for which all its ends say that it has been up; 0 while it is not."""
        found = (item.state.found for item in self.ends)
        return min((one.uptime_s or 0.0 for one in found if one), default=0.0) if self.established else 0.0

    @property
    def speaker(self) -> EndState:
        """The end to quote: one that says it is not up, the customer's first."""
        unwell = [item for item in self.ends if not item.state.established] or list(self.ends)
        return min(unwell, key=lambda item: item.end.side != "customer")

    def __str__(self) -> str:
        item = self.speaker
        return (
            f"{self.circuit}/{self.peering} {self.connection} IPv{self.family} "
            f"{item.end.node} -> {item.state.session.neighbor} is {item.state.word}"
        )


def look_at_sessions(access: LabAccess, check: SessionsCheck, seconds: float) -> Verdict:
    """Ask the BIRDs at both ends of the peerings that match; each has its own short timeout."""
    model = access.model
    ends = [end for end in model.peering_ends if _matches(check, end)]
    states = read_sessions(access, model, {end.namespace for end in ends})
    sessions = pair(ends, states)
    verdict = judge_sessions(check, sessions)
    if verdict.ok or not sessions or check.state == "down":
        return verdict

    def explain() -> str:
        status = access.status()
        return judge_sessions(check, sessions, lambda item: _why(model, item, status)).words

    return Verdict(verdict.ok, verdict.words, verdict.evidence, explain)


def _matches(check: SessionsCheck, end: PeeringEnd) -> bool:
    return (
        check.circuit in ("", end.circuit)
        and check.peering in ("", end.peering)
        and check.connection in ("", end.connection)
    )


def _why(model: LabModel, session: PeeringSession, status: dict[str, Any]) -> str:
    """The first reason that says more than "not yet", the customer's end first."""
    ends = sorted(session.ends, key=lambda item: item.end.side != "customer")
    reasons = [why_not_established(model, item.state, item.end, status) for item in ends]
    return next((reason for reason in reasons if reason and "has not" not in reason), next(iter(reasons), ""))


def pair(ends: Sequence[PeeringEnd], states: Sequence[SessionState]) -> tuple[PeeringSession, ...]:
    """Sessions with what both their ends say, in the order of the ends. Pure."""
    found: dict[tuple[str, str, str, int], list[EndState]] = defaultdict(list)
    for end in ends:
        for state in states:
            if (state.namespace, state.session.interface) == (end.namespace, end.device):
                key = (end.circuit, end.peering, end.connection, state.session.family)
                found[key].append(EndState(end, state))
    return tuple(PeeringSession(*key, tuple(items)) for key, items in found.items())


def judge_sessions(
    check: SessionsCheck, sessions: Sequence[PeeringSession], why: Why | None = None
) -> Verdict:
    """Whether all sessions are as the check wants them. Pure, as far as `why` is."""
    evidence = {"sessions": [_json(session) for session in sessions]}
    if not sessions:
        return Verdict(
            False, "no session of a peering matches; check circuit, peering and connection", evidence
        )
    total = len(sessions)
    if check.state == "down":
        up = [session for session in sessions if not session.down]
        words = f"{total - len(up)} of {total} sessions down"
        silent = [session for session in up if session.unanswered]
        if len(up) > len(silent):
            words += "; up: " + ", ".join(str(session) for session in up if not session.unanswered)
        for session in silent:
            nodes = " and ".join(dict.fromkeys(item.end.node for item in session.ends))
            words += f"; {_name(session)} is unknown, not proven to be down: nobody answers at {nodes}; "
            words += "see why with: edgelab events --no-follow"
        return Verdict(not up, words, evidence)
    bad = [session for session in sessions if not session.established]
    young = [s for s in sessions if s.established and s.uptime_s < check.uptime_s]
    parts = [f"{total - len(bad)} of {total} sessions established"]
    parts += [f"{session}{_because(session, why)}" for session in bad]
    if check.uptime_s and not bad:
        least = min(session.uptime_s for session in sessions)
        parts.append(f"the youngest for {duration(least)}")
    parts += [f"{_name(s)} only for {duration(s.uptime_s)}, not {duration(check.uptime_s)}" for s in young]
    parts += _dead_peerings(sessions)
    return Verdict(not bad and not young, "; ".join(parts), evidence)


def _name(session: PeeringSession) -> str:
    item = session.speaker
    return f"{session.circuit}/{session.peering} {session.connection} IPv{session.family} at {item.end.node}"


def _because(session: PeeringSession, why: Why | None) -> str:
    reason = why(session) if why else ""
    return f": {reason}" if reason else ""


def _dead_peerings(sessions: Sequence[PeeringSession]) -> list[str]:
    """Peerings without a single session on either connection: the failure that redundancy cannot hide."""
    by_peering: dict[tuple[str, str], list[PeeringSession]] = defaultdict(list)
    for session in sessions:
        by_peering[session.circuit, session.peering].append(session)
    return [
        f"{'both' if len(items) == 2 else f'all {len(items)}'} sessions of {circuit}/{peering} are down: "
        f"circuit {circuit} has no {peering} path"
        for (circuit, peering), items in by_peering.items()
        if len({item.connection for item in items}) > 1 and not any(item.established for item in items)
    ]


def _json(session: PeeringSession) -> dict[str, Any]:
    return {
        "circuit": session.circuit,
        "peering": session.peering,
        "connection": session.connection,
        "family": session.family,
        "established": session.established,
        "uptime_s": round(session.uptime_s, 1),
        "ends": [
            {
                "node": item.end.node,
                "neighbor": str(item.state.session.neighbor),
                "state": item.state.word,
            }
            for item in session.ends
        ],
    }
