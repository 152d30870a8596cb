"""Runs a timed script of faults on a running lab: each moment by its deadline, nothing left on Ctrl-C."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from edge.errors import EdgeError, UsageError
from lab.client import Client
from lab.faults.calls import heal_each, heal_if_active, inject, not_healed
from lab.faults.schedule import Moment, Scripted, timeline
from lab.faults.units import words_of
from lab.interruptions import undisturbed

Told = Callable[[Moment, float], None]
"""(moment, seconds after the begin at which it was done)."""


Refused = Callable[[Moment, UsageError], None]
"""(moment, why its fault could not be made)."""


def run(
    client: Client,
    script: Iterable[Scripted],
    on_moment: Told = lambda moment, at_s: None,
    on_refused: Refused | None = None,
) -> list[str]:
    """Let the faults of a script begin and end, each at its time; returns the names of those that stay.

    An interruption ends the script and heals what it has injected, the newest first, and so does a fault that
    could not be made, unless on_refused hears of it. One that another fault keeps from being healed at its
    time is healed as soon as it can be. Raises EdgeError, also when faults could not be healed; UsageError of
    a fault that does not fit.
    """
    lasting: dict[str, dict[str, Any]] = {}
    # Named before it is there: its answer may be what an interruption keeps from us.
    mine: set[str] = set()
    overdue: dict[str, Moment] = {}
    began = time.monotonic()
    try:
        for moment in timeline(script):
            # No event tells the time: this is a wait for a deadline.
            while (left := began + moment.at_s - time.monotonic()) > 0:
                select.select([], [], [], left)
            fault = moment.entry.fault
            if moment.what == "begins":
                mine.add(fault.name)
                try:
                    told = inject(client, fault.kind, fault.target, words_of(fault.options), name=fault.name)
                except UsageError as error:
                    # The name may be that of somebody else's fault.
                    mine.discard(fault.name)
                    if on_refused is None:
                        raise
                    on_refused(moment, error)
                    continue
                if told["fault"]["lasting"]:
                    lasting[fault.name] = told["fault"]
                on_moment(moment, time.monotonic() - began)
            elif fault.name in lasting:
                overdue[fault.name] = moment
                for name in _ended(client, overdue, lasting):
                    del lasting[name]
                    mine.discard(name)
                    on_moment(overdue.pop(name), time.monotonic() - began)
        why = heal_each(client, overdue) if overdue else {}
    except BaseException as error:
        _mend(client, mine, error)
        raise
    for name in [one for one in overdue if one not in why]:
        del lasting[name]
        on_moment(overdue[name], time.monotonic() - began)
    if why:
        raise EdgeError(not_healed(why))
    return list(lasting)


def _ended(client: Client, overdue: Iterable[str], lasting: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Heal what is overdue, the newest first; the names of those that could be."""
    done = []
    for name in [one for one in reversed(list(lasting)) if one in overdue]:
        try:
            heal_if_active(client, lasting[name])
        except UsageError:
            # A fault that came later fits only together with it, and has to end before.
            continue
        done.append(name)
    return done


def _mend(client: Client, mine: Iterable[str], reason: BaseException) -> None:
    """Heal all that the script has injected. Raises EdgeError for what is left although the lab runs."""
    # What is being made sees that nobody waits for it, and is not made. A connection of its own has no
    # answer that nobody read.
    client.hang_up()
    with undisturbed():
        try:
            with Client(client.directory) as again:
                why = heal_each(again, mine)
        except EdgeError as error:
            if not client.directory.running():
                return
            why = {"the script's faults": str(error)}
    if why:
        words = f"{reason}\n" if isinstance(reason, EdgeError) else ""
        raise EdgeError(words + not_healed(why)) from reason
