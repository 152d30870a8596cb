"""Runs a timed script of faults on a running lab: each moment by its deadline, nothing left on Ctrl-C."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from edge.errors import EdgeError, UsageError
from lab.client import Client
from lab.faults.calls import active, heal, heal_if_active, inject
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

    An interruption ends the script and heals what it has injected, and so does a fault that could not be
    made, unless on_refused hears of it. Raises EdgeError, UsageError of a fault that does not fit.
    """
    lasting: dict[str, dict[str, object]] = {}
    # Named before it is there: its answer may be what an interruption keeps from us.
    mine: set[str] = set()
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
            elif fault.name in lasting:
                heal_if_active(client, lasting[fault.name])
                del lasting[fault.name]
                mine.discard(fault.name)
            on_moment(moment, time.monotonic() - began)
    except BaseException:
        # What is being made sees that nobody waits for it, and is not made. A connection of its own has no
        # answer that nobody read.
        client.hang_up()
        with undisturbed(), Client(client.directory) as again:
            for name in [one["name"] for one in active(again) if one["name"] in mine]:
                with suppress(EdgeError):
                    heal(again, [name])
        raise
    return list(lasting)
