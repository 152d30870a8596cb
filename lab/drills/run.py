"""Runs drills: deploys what they need, injects each fault under the meter, heals, destroys.

Drills of one lab share it. A lab that was made here is taken away again whatever happens, Ctrl-C included;
one of the user's own is only healed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

from edge.errors import CapabilityError, DeadlineError, EdgeError, UsageError
from lab import state
from lab.client import STOP_DEADLINE_S, Client, meet
from lab.drills.model import Drill, Row
from lab.drills.topologies import SETTINGS, Setting
from lab.interruptions import undisturbed
from lab.traffic.meter import Meter, ways_of
from lab.traffic.metering import Mark, Metering

if TYPE_CHECKING:
    from edge.net.capabilities import Asked

Tell = Callable[[str], None]
"""Takes a line about what is being done."""

DEPLOY_WAIT_S = 60.0
BACK_WAIT_S = 60.0
"""How long sessions may take to be Established again after healing: BIRD waits longer after each failure."""

BEFORE_S = 0.5
"""How long probes run before the fault, so that a picture shows what was well."""

AFTER_S = 0.5
"""How long they go on when all is well again."""

LOOK_S = 0.1


def run_drills(
    drills: Sequence[Drill],
    *,
    links: Asked,
    interval_ns: int,
    tell: Tell,
    settings: dict[str, Setting] | None = None,
) -> Iterator[Row]:
    """A row for each drill, in order, as it is done. Raises EdgeError; no lab is left then.

    settings: of the drills' topologies, those of the table when left out.
    """
    known = settings or SETTINGS
    # Nobody else's, and short: the paths of a lab's sockets may not be long.
    name = f"drill{os.getpid()}"
    for _, group in groupby(drills, key=lambda drill: known[drill.topology].lab):
        with _taken_away(name):
            yield from _on_one_lab(name, tuple(group), known, links, interval_ns, tell)


def _on_one_lab(
    name: str,
    drills: tuple[Drill, ...],
    known: dict[str, Setting],
    links: Asked,
    interval_ns: int,
    tell: Tell,
) -> Iterator[Row]:
    from lab.deploy import deploy
    from lab.topology import derive

    for topology, group in groupby(drills, key=lambda drill: drill.topology):
        tell(f"deploying {topology}")
        model = derive({**known[topology].document(), "name": name})
        try:
            done = deploy(model, links=links, step=False, wait_s=DEPLOY_WAIT_S, listener=lambda message: None)
        except CapabilityError as error:
            yield from (Row(drill, skipped=_missing(error)) for drill in group)
            continue
        if done.pending:
            raise EdgeError(f"{topology}: {', '.join(map(session_words, done.pending))} did not come up")
        with Client(state.find(name)) as client:
            for drill in group:
                yield run_drill(client, drill, interval_ns, tell)


def _missing(error: CapabilityError) -> str:
    return str(error.missing)


def session_words(pending: dict[str, Any]) -> str:
    """A session that is not up, for people."""
    return f"{pending['session']} of {pending['namespace']} ({pending['state']})"


@contextmanager
def _taken_away(name: str) -> Iterator[None]:
    """The lab of that name, if there is one at the end, goes. Signals wait for that."""
    try:
        yield
    finally:
        with undisturbed():
            for lab in state.discover():
                if lab.name == name:
                    client = meet(lab, STOP_DEADLINE_S)
                    if client is not None:
                        with client:
                            client.stop()
                    lab.clear()


class Faults:
    """Faults that this process has injected into a lab, and heals."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._names: list[str] = []
        self._count = 0

    def __enter__(self) -> Faults:
        return self

    def __exit__(self, *_: object) -> None:
        if self._names:
            # The connection may stand in the middle of an answer that nobody read to its end.
            with undisturbed(), Client(self._client.directory) as client:
                self._heal(client)

    def inject(self, kind: str, targets: Iterable[str], options: dict[str, str]) -> None:
        """Let it happen. Raises UsageError for words that fit nothing, EdgeError."""
        from lab.faults.calls import inject

        for target in targets:
            self._count += 1
            name = f"drill-{os.getpid()}-{self._count}"
            # Known before it is there: who is interrupted meanwhile heals it all the same.
            self._names.append(name)
            if not inject(self._client, kind, target, options, name=name)["fault"]["lasting"]:
                self._names.remove(name)

    def heal(self) -> None:
        """Heal what is left of them."""
        self._heal(self._client)

    def _heal(self, client: Client) -> None:
        from lab.faults.calls import heal, heal_each, not_healed

        names = list(self._names)
        if not names:
            return
        try:
            heal(client, names)
        except UsageError:
            # One of them was refused, or somebody else has healed it. Nothing was done for the others.
            if why := heal_each(client, names):
                raise EdgeError(not_healed(why)) from None
        # Only now: who is interrupted while it heals tries again at the end.
        self._names = [name for name in self._names if name not in names]


def run_drill(client: Client, drill: Drill, interval_ns: int, tell: Tell) -> Row:
    """One drill on a lab that runs and is well; the lab is healed again. Raises EdgeError."""
    with ExitStack() as stack:
        watcher = stack.enter_context(Client(client.directory))
        faults = stack.enter_context(Faults(client))
        ways = ways_of(client.model, drill.source, drill.target_host, 4, "both")
        meter = stack.enter_context(Meter(client, ways, interval_ns))
        tell(f"{drill.name}: looking for the way")
        links = meter.choose(drill.crossing)
        if drill.crossing and not any(set(link.split("+")) & set(drill.crossing) for link in links.values()):
            words = " or ".join(drill.crossing)
            ends = f"{drill.source} and {drill.target_host}"
            return Row(drill, skipped=f"no flow between {ends} crosses {words}: nothing would be seen")
        meter.start()
        meter.wait(BEFORE_S)
        tell(f"{drill.name}: {drill.fault}")
        meter.mark(Mark(time.time_ns(), "fault", drill.fault))
        faults.inject(drill.kind, drill.targets, dict(drill.options))
        began = time.monotonic()
        settled = _settle(meter, drill, began)
        tell(f"{drill.name}: healing")
        meter.mark(Mark(time.time_ns(), "healed"))
        healed = time.monotonic()
        faults.heal()
        pending = _wait_established(watcher, meter)
        converged_s = None if pending else round(time.monotonic() - healed, 3)
        if not pending:
            meter.mark(Mark(time.time_ns(), "established"))
        meter.wait(AFTER_S)
        found = meter.finish()
    return Row(drill, found, settled, converged_s, pending=tuple(map(session_words, pending)))


def _settle(meter: Meter, drill: Drill, began: float) -> bool:
    """Wait until nothing is lost any more, the fault's least time at least; False when that does not come.

    Where an outage is expected to last, its least time is all that is waited for.
    """
    while (passed := time.monotonic() - began) < drill.deadline_s:
        meter.wait(LOOK_S)
        if passed < drill.at_least_s:
            continue
        if drill.aim.gap_s is None or meter.well_for() >= drill.quiet_s:
            return True
    return drill.aim.gap_s is None


def _wait_established(watcher: Client, meter: Meter) -> list[dict[str, Any]]:
    """Wait until all sessions are up and no probe is lost; sessions that are not up in time."""
    pending: list[dict[str, Any]] = watcher.request("wait", None, BACK_WAIT_S + 30.0, wait_s=BACK_WAIT_S)[
        "pending"
    ]
    end = time.monotonic() + BACK_WAIT_S
    while not pending and meter.well_for() < LOOK_S:
        if time.monotonic() > end:
            raise DeadlineError(f"all sessions are Established, and packets are lost {BACK_WAIT_S:g} s later")
        meter.wait(LOOK_S)
    return pending


def measure(
    client: Client,
    meter: Meter,
    seconds: float,
    fault: tuple[str, str, dict[str, str]] | None,
    stopped: Callable[[], bool] = lambda: False,
) -> Metering:
    """Let a meter run that has chosen its flows.

    fault: (kind, target, options), from a quarter of the time on; it is healed after the last probe.
    stopped: asked now and then, ends it early.
    """
    with Faults(client) as faults:
        meter.start()
        if fault is not None:
            kind, target, options = fault
            _sleep(meter, seconds / 4, stopped)
            words = " ".join((kind, target, *(f"--{name} {value}" for name, value in options.items())))
            if not stopped():
                meter.mark(Mark(time.time_ns(), "fault", words))
                faults.inject(kind, (target,), options)
            seconds *= 3 / 4
        _sleep(meter, seconds, stopped)
        return meter.finish()


def _sleep(meter: Meter, seconds: float, stopped: Callable[[], bool]) -> None:
    """Let the meter run so long."""
    end = time.monotonic() + seconds
    while not stopped() and (left := end - time.monotonic()) > 0:
        meter.wait(min(left, LOOK_S))
