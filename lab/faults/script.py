"""Runs a timed script of faults on a running lab: each moment by its deadline, nothing left on Ctrl-C."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterable

from edge.errors import EdgeError
from lab.client import Client
from lab.faults.calls import heal_if_active, inject
from lab.faults.schedule import Moment, Scripted, timeline
from lab.faults.units import words_of

Told = Callable[[Moment, float], None]
"""(moment, seconds after the begin at which it was done)."""


Refused = Callable[[Moment, EdgeError], None]
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
    began = time.monotonic()
    try:
        for moment in timeline(script):
            # No event tells the time: this is a wait for a deadline.
            while (left := began + moment.at_s - time.monotonic()) > 0:
                select.select([], [], [], left)
            fault = moment.entry.fault
            if moment.what == "begins":
                try:
                    told = inject(client, fault.kind, fault.target, words_of(fault.options), name=fault.name)
                except EdgeError as error:
                    if on_refused is None:
                        raise
                    on_refused(moment, error)
                    continue
                if told["fault"]["lasting"]:
                    lasting[fault.name] = told["fault"]
            elif fault.name in lasting:
                heal_if_active(client, lasting.pop(fault.name))
            on_moment(moment, time.monotonic() - began)
    except BaseException:
        # What was interrupted may have left an answer unread: a connection of its own has none.
        with Client(client.directory) as again:
            for told_before in lasting.values():
                heal_if_active(again, told_before)
        raise
    return list(lasting)
