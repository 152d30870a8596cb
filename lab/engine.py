"""Runs a plan: stage after stage, the steps of a stage together; and makes sure that it is done.

The engine knows neither the kernel nor the screen: `apply` does the work, observers are told. With a
gate every step runs alone and waits for the gate first (`deploy --step`). There is no list of inverse
steps: a lab goes back to what it was by `settle` with a plan towards that, made from what there is then,
so that also what went along unasked (with a namespace, with a device) comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from edge.errors import EdgeError
from edge.net.objects.changes import Change
from lab.plan import Plan, Stage, Step

Apply = Callable[[Sequence[Change]], Sequence[EdgeError | None]]

ROUNDS = 3
"""How often a plan is made again when the kernel does not show what was asked for: taking a device away
takes its addresses, taking those takes routes."""


class CancelledError(EdgeError):
    """Whoever asked for the plan has gone (Ctrl-C, a killed command)."""


class Observer(Protocol):
    """What an engine tells while it works. Steps are numbered from 1 over the whole plan."""

    def stage_started(self, stage: Stage, first_step: int, steps: int) -> None:
        """The steps from `first_step` on, of `steps` in all, begin."""

    def stage_finished(self, stage: Stage) -> None:
        """All steps of the stage are done."""


class Engine:
    """One run of one plan.

    gate: called with (step number, step) before each step; may raise to stop the run.
    cancelled: asked between steps; true stops the run as an error does.
    """

    def __init__(
        self,
        apply: Apply,
        observers: Sequence[Observer] = (),
        gate: Callable[[int, Step], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._apply = apply
        self._observers = tuple(observers)
        self._gate = gate
        self._cancelled = cancelled

    def run(self, plan: Plan) -> None:
        """Carry the plan out, up to the first error.

        Raises the first EdgeError of a step, or CancelledError. What was done stays.
        """
        steps = len(plan.steps)
        number = 1
        for stage in plan.stages:
            for observer in self._observers:
                observer.stage_started(stage, number, steps)
            self._run_stage(stage, number)
            number += len(stage.steps)
            for observer in self._observers:
                observer.stage_finished(stage)

    def _run_stage(self, stage: Stage, number: int) -> None:
        if self._gate is None:
            self._run_batch(stage.changes)
            return
        for offset, step in enumerate(stage.steps):
            self._gate(number + offset, step)
            self._run_batch(step.changes)

    def _run_batch(self, changes: tuple[Change, ...]) -> None:
        if self._cancelled():
            raise CancelledError("stopped before it was finished")
        for error in self._apply(changes):
            if error is not None:
                raise error


def settle(plan: Callable[[], Plan], apply: Apply) -> list[str]:
    """Make a plan and carry it out until nothing is left to do, at most ROUNDS times.

    An error of one step does not keep the others from being done. Returns what is left, in words, with
    the error of each; empty when all is as it should be.
    """
    errors: dict[tuple[str, ...], EdgeError] = {}
    for _ in range(ROUNDS):
        rest = plan()
        if not rest:
            return []
        for stage in rest.stages:
            changes = stage.changes
            for change, error in zip(changes, apply(changes), strict=True):
                if error is not None:
                    errors[change.subject.key] = error
    return [
        f"{step}: {errors[key]}" if (key := step.changes[0].subject.key) in errors else str(step)
        for step in plan().steps
    ]
