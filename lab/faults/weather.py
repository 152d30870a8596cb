"""A storm of faults over a running lab, and whether the lab outlived it."""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.errors import EdgeError, UsageError
from lab.checks.result import title
from lab.faults.calls import active
from lab.faults.explained import unexplained
from lab.faults.schedule import Moment, Scripted
from lab.faults.script import run
from lab.footprint import Footprint, footprint

if TYPE_CHECKING:
    from lab.api import Lab

SETTLE_S = 60.0
"""How long everything may take to be as before, once all is healed."""

RECHECK_S = 0.25

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Weather:
    """How a lab came through a storm.

    struck: kind -> how often. refused: faults that did not fit when their time came, in words. down, failed,
    more: sessions that did not return, checks that fail, and what the lab has more of, in words. unexplained:
    events that no fault explains (lab.faults.explained).
    """

    seconds: float
    struck: Mapping[str, int]
    refused: tuple[str, ...]
    events: int
    falls: int
    unexplained: tuple[Mapping[str, Any], ...]
    down: str
    failed: tuple[str, ...]
    more: tuple[str, ...]
    before: Footprint
    after: Footprint

    @property
    def ok(self) -> bool:
        """Whether all is as it was, and nothing happened without a reason."""
        return not (self.unexplained or self.down or self.failed or self.more)


@dataclass(slots=True)
class _Log:
    events: list[dict[str, Any]] = field(default_factory=list)
    broken: list[EdgeError] = field(default_factory=list)


def weather(lab: Lab, strikes: Sequence[Scripted], tell: Tell, settle_s: float = SETTLE_S) -> Weather:
    """Let the storm happen, heal everything, and look at what is left.

    Raises UsageError when faults are active already, EdgeError when the lab ends meanwhile. Whatever ends
    this, Ctrl-C included, the faults of the storm are healed.
    """
    with lab.connect() as client:
        if active(client):
            raise UsageError(f"faults are active in lab {lab.name}; heal them first: edgelab heal {lab.name}")
        lab.wait(settle_s)
        supervisor = client.supervisor_pid
        before = footprint(supervisor)
        began = time.monotonic()
        with _listening(lab) as log:
            struck, refused = _happen(lab, strikes, tell)
            tell("healed; waiting until all is as before")
            down = ""
            try:
                lab.wait(settle_s)
            except EdgeError as error:
                down = str(error)
            results = lab.check(deadline_s=settle_s)
        # Who listens has a descriptor of the lab's.
        after = _settled(supervisor, before, settle_s)
        if log.broken:
            raise log.broken[0]
        loose = unexplained(lab.model, log.events)
        return Weather(
            seconds=round(time.monotonic() - began, 3),
            struck=struck,
            refused=tuple(refused),
            events=len(log.events),
            falls=sum(one["kind"] == "session" and one.get("state") == "down" for one in log.events),
            unexplained=tuple(loose),
            down=down,
            failed=tuple(f"{title(one.check)}: {one.words}" for one in results.failed),
            more=tuple(after.more_than(before)),
            before=before,
            after=after,
        )


def _happen(lab: Lab, strikes: Sequence[Scripted], tell: Tell) -> tuple[dict[str, int], list[str]]:
    """Each fault at its time; (kind -> how often, what could not be made)."""
    struck: Counter[str] = Counter()
    refused: list[str] = []

    def on_moment(moment: Moment, at_s: float) -> None:
        fault = moment.entry.fault
        if moment.what == "begins":
            struck[fault.kind] += 1
        tell(f"{at_s:8.1f} s  {fault}" if moment.what == "begins" else f"{at_s:8.1f} s  healed {fault.name}")

    with lab.connect() as client:
        run(client, strikes, on_moment, lambda moment, why: refused.append(f"{moment.entry.fault}: {why}"))
    return dict(struck), refused


def _settled(supervisor: int, before: Footprint, settle_s: float) -> Footprint:
    """The footprint once it is no more than before, or as it is when the time is over."""
    deadline = time.monotonic() + settle_s
    while True:
        now = footprint(supervisor)
        if not now.more_than(before) or time.monotonic() >= deadline:
            return now
        select.select([], [], [], RECHECK_S)


@contextlib.contextmanager
def _listening(lab: Lab) -> Iterator[_Log]:
    """The lab's events while the block runs, by a connection of their own."""
    log = _Log()
    since = time.time()
    with lab.connect() as client:

        def listen() -> None:
            try:
                # With those that are kept, since the first fault may come before we listen.
                for event in client.events(history=True, follow=True):
                    if event["time"] >= since:
                        log.events.append(event)
            except EdgeError as error:
                log.broken.append(error)

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            yield log
        finally:
            client.hang_up()
            listener.join(SETTLE_S)
