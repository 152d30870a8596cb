"""What a lab is like at a moment, and what is different at another."""

from __future__ import annotations

import math
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lab.api import Lab
from lab.service.difference import differences
from lab.service.state import State

BY_ITSELF_S = 5.0
"""How long what a deploy would put right may take to be right by itself: a daemon that is started again."""

LOOK_AGAIN_S = 0.2
"""Pause between two looks at a lab that is on its way back: routes and daemons settle without a word."""

SHOWN = 8
"""Differences named in one message."""


@dataclass(frozen=True, slots=True)
class Condition:
    """sessions: the established ones, in words. faults: the active ones, in words. service: what is ordered.

    odd: what a deploy of the same topology would put right, in words.
    """

    sessions: frozenset[str]
    faults: frozenset[str]
    service: State
    odd: frozenset[str]


def look(lab: Lab) -> Condition:
    """The condition now. Raises EdgeError when the lab does not answer."""
    with lab.connect() as client:
        model = client.model
        plan: dict[str, Any] = client.request("apply", document=model.document, dry_run=True)["plan"]
    return Condition(
        sessions=frozenset(
            f"session {one.name} of {one.namespace} to {one.neighbor}"
            for one in lab.sessions()
            if one.established
        ),
        faults=frozenset(f"{one['kind']} {one['target']} ({one['name']})" for one in lab.faults()),
        service=model.state,
        odd=frozenset(f"{step['action']} {step['object']}" for step in plan["steps"]),
    )


def worse(before: Condition, after: Condition) -> tuple[str, ...]:
    """What is not as it was, a line each; sessions that have come meanwhile are no harm. Pure."""
    return tuple(_worse(before, after))


def _worse(before: Condition, after: Condition) -> Iterator[str]:
    yield from (f"fault {fault} is active" for fault in sorted(after.faults - before.faults))
    yield from (f"{session} is down" for session in sorted(before.sessions - after.sessions))
    ordered = [f"the service has {item}" for item in differences(before.service, after.service)]
    yield from ordered
    if not ordered:
        # What is odd follows from what was ordered, where that has changed.
        yield from (f"a deploy would {step}" for step in sorted(after.odd - before.odd))


def wait_for(lab: Lab, before: Condition, seconds: float) -> tuple[Condition, tuple[str, ...]]:
    """Look until nothing is worse than before, at most so long: the last look, and what is worse still."""
    began = time.monotonic()
    while True:
        now = look(lab)
        left = worse(before, now)
        if not left or time.monotonic() - began >= min(seconds, _patience_s(before, now)):
            return now, left
        select.select([], [], [], LOOK_AGAIN_S)


def _patience_s(before: Condition, now: Condition) -> float:
    """How long it is worth to wait for what is different."""
    if differences(before.service, now.service) or now.faults - before.faults:
        # Somebody has to give the opposite order, or to heal.
        return 0.0
    return BY_ITSELF_S if now.odd - before.odd else math.inf


def in_words(lines: tuple[str, ...]) -> str:
    """Lines for a message, the first few and how many there are more."""
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join(f"  {line}" for line in [*lines[:SHOWN], *more])
