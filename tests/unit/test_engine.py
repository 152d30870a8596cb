"""The engine: order, undo in reverse, gates, cancellation."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edge.errors import EdgeError, KernelError
from edge.net.objects import Change, KernelObject, Namespace, Sysctl
from lab.engine import CancelledError, Engine
from lab.plan import Stage, Step, diff

A, B = Namespace("a"), Namespace("b")
OBJECTS = [A, B, Sysctl("a", "net/ipv4/ip_forward", "1"), Sysctl("b", "net/ipv4/ip_forward", "1")]


class Machine:
    """A kernel in memory that can refuse one object."""

    def __init__(self, refuse: KernelObject | None = None, refuse_removal: bool = False) -> None:
        self.state: set[KernelObject] = set()
        self.batches: list[tuple[Change, ...]] = []
        self.refuse = refuse
        self.refuse_removal = refuse_removal

    def apply(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        self.batches.append(tuple(changes))
        return [self._one(change) for change in changes]

    def _one(self, change: Change) -> EdgeError | None:
        if change.after is not None and change.after == self.refuse:
            return KernelError(str(change.after), 1, "refused")
        if change.after is None and self.refuse_removal:
            return KernelError(str(change.before), 16, "busy")
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

    def undoing(self, steps: int, reason: str) -> None:
        self.lines.append(f"undo {steps}: {reason}")

    def undo_failed(self, change: Change, error: EdgeError) -> None:
        self.lines.append(f"stuck {change}: {error}")


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


def test_an_error_takes_back_everything_done_also_what_stood_beside_it() -> None:
    machine, notes = Machine(refuse=OBJECTS[3]), Notes()
    with pytest.raises(KernelError, match="refused"):
        Engine(machine.apply, [notes]).run(diff(OBJECTS, []))
    assert machine.state == set()
    assert notes.lines[-1].startswith("undo 3: b: net/ipv4/ip_forward = 1: refused")


def test_without_undo_what_was_made_is_left_to_the_end_of_its_sandbox() -> None:
    machine, notes = Machine(refuse=OBJECTS[3]), Notes()
    with pytest.raises(KernelError, match="refused"):
        Engine(machine.apply, [notes]).run(diff(OBJECTS, []), undo=False)
    assert machine.state == set(OBJECTS[:3])
    assert not any(line.startswith("undo") for line in notes.lines)


def test_undo_returns_a_changed_object_to_what_it_was() -> None:
    old = Sysctl("a", "net/ipv4/ip_forward", "0")
    machine = Machine(refuse=OBJECTS[3])
    machine.state = {A, B, old}
    with pytest.raises(KernelError):
        Engine(machine.apply).run(diff(OBJECTS, machine.state))
    assert machine.state == {A, B, old}


def test_an_undo_that_fails_is_told_and_the_first_error_stays_the_reason() -> None:
    machine, notes = Machine(refuse=OBJECTS[2], refuse_removal=True), Notes()
    with pytest.raises(KernelError, match="refused"):
        Engine(machine.apply, [notes]).run(diff(OBJECTS, []))
    assert sum(line.startswith("stuck delete") for line in notes.lines) == 3


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
    assert machine.state == set()


def test_a_client_that_has_gone_stops_the_run_between_stages() -> None:
    machine = Machine()
    with pytest.raises(CancelledError):
        Engine(machine.apply, cancelled=lambda: len(machine.batches) > 0).run(diff(OBJECTS, []))
    assert machine.state == set()
