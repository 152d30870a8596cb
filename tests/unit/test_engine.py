"""The engine: order, gates, cancellation; and settling what is left to do."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edge.errors import EdgeError, KernelError
from edge.net.objects.base import KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.devices import Namespace, Sysctl
from lab.engine import CancelledError, Engine, settle
from lab.plan import Stage, Step, diff

A, B = Namespace("a"), Namespace("b")
OBJECTS = [A, B, Sysctl("a", "net/ipv4/ip_forward", "1"), Sysctl("b", "net/ipv4/ip_forward", "1")]


class Machine:
    """A kernel in memory that can refuse one object."""

    def __init__(self, refuse: KernelObject | None = None) -> None:
        self.state: set[KernelObject] = set()
        self.batches: list[tuple[Change, ...]] = []
        self.refuse = refuse

    def apply(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        self.batches.append(tuple(changes))
        return [self._one(change) for change in changes]

    def _one(self, change: Change) -> EdgeError | None:
        if change.after is not None and change.after == self.refuse:
            return KernelError(str(change.after), 1, "refused")
        if change.before is not None:
            self.state.remove(change.before)
        if change.after is not None:
            self.state.add(change.after)
        return None


class Notes:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage_started(self, stage: Stage, first_step: int, steps: int) -> None:
        self.lines.append(f"start {stage.title} {first_step}/{steps}")

    def stage_finished(self, stage: Stage) -> None:
        self.lines.append(f"end {stage.title}")


def test_stages_run_in_order_each_as_one_batch() -> None:
    machine, notes = Machine(), Notes()
    Engine(machine.apply, [notes]).run(diff(OBJECTS, []))
    assert machine.state == set(OBJECTS)
    assert [len(batch) for batch in machine.batches] == [2, 2]
    assert notes.lines == [
        "start namespaces 1/4",
        "end namespaces",
        "start namespace settings 3/4",
        "end namespace settings",
    ]


def test_the_first_error_stops_the_run_and_is_raised() -> None:
    machine, notes = Machine(refuse=OBJECTS[1]), Notes()
    with pytest.raises(KernelError, match="refused"):
        Engine(machine.apply, [notes]).run(diff(OBJECTS, []))
    assert machine.state == {A}
    assert notes.lines == ["start namespaces 1/4"]


def test_settle_returns_a_half_done_machine_to_what_it_was() -> None:
    old = Sysctl("a", "net/ipv4/ip_forward", "0")
    machine = Machine(refuse=OBJECTS[3])
    machine.state = {A, old}
    with pytest.raises(KernelError):
        Engine(machine.apply).run(diff(OBJECTS, machine.state))
    assert machine.state == {A, B, OBJECTS[2]}
    assert settle(lambda: diff([A, old], machine.state), machine.apply) == []
    assert machine.state == {A, old}


def test_settle_makes_the_plan_again_for_what_a_step_took_along() -> None:
    machine = Machine()
    machine.state = {A}
    lossy = [True]

    def apply(changes: Sequence[Change]) -> list[EdgeError | None]:
        results = machine.apply(changes)
        if any(change.subject == B for change in changes) and lossy.pop():
            machine.state.discard(A)
        lossy.append(False)
        return results

    assert settle(lambda: diff([A, B], machine.state), apply) == []
    assert machine.state == {A, B}


def test_settle_does_what_it_can_and_tells_what_is_left_with_the_reason() -> None:
    machine = Machine(refuse=B)
    assert settle(lambda: diff([A, B], machine.state), machine.apply) == [
        "create namespace b: namespace b: refused"
    ]
    assert machine.state == {A}


def test_a_gate_sees_every_step_and_may_stop_the_run() -> None:
    machine = Machine()
    seen: list[int] = []

    def gate(number: int, step: Step) -> None:
        seen.append(number)
        if number == 3:
            raise CancelledError("enough")

    with pytest.raises(CancelledError):
        Engine(machine.apply, gate=gate).run(diff(OBJECTS, []))
    assert seen == [1, 2, 3]
    assert machine.state == {A, B}


def test_a_client_that_has_gone_stops_the_run_between_stages() -> None:
    machine = Machine()
    with pytest.raises(CancelledError):
        Engine(machine.apply, cancelled=lambda: len(machine.batches) > 0).run(diff(OBJECTS, []))
    assert machine.state == {A, B}
