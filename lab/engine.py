"""Runs a plan: stage after stage, the steps of a stage together; takes everything back on an error.

The engine knows neither the kernel nor the screen: `apply` does the work, observers are told. With a
gate every step runs alone and waits for the gate first (`deploy --step`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from edge.errors import EdgeError
from edge.net.objects import Change
from lab.plan import Plan, Stage, Step

Apply = Callable[[Sequence[Change]], Sequence[EdgeError | None]]


class CancelledError(EdgeError):
    """Whoever asked for the plan has gone (Ctrl-C, a killed command)."""


class Observer(Protocol):
    """What an engine tells while it works. Steps are numbered from 1 over the whole plan."""

    def stage_started(self, stage: Stage, first_step: int, steps: int) -> None:
        """The steps from `first_step` on, of `steps` in all, begin."""

    def stage_finished(self, stage: Stage) -> None:
        """All steps of the stage are done."""

    def undoing(self, steps: int, reason: str) -> None:
        """Something failed; `steps` steps are being taken back."""

    def undo_failed(self, change: Change, error: EdgeError) -> None:
        """This change could not be made to take something back: a remainder is left."""


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
        self._done: list[tuple[Change, ...]] = []

    def run(self, plan: Plan, undo: bool = True) -> None:
        """Carry the plan out. On an error everything done is undone and the error raised.

        undo: False where what was made goes by itself, as in a sandbox that ends. Raises the first
        EdgeError of a step, or CancelledError.
        """
        steps = len(plan.steps)
        number = 1
        try:
            for stage in plan.stages:
                for observer in self._observers:
                    observer.stage_started(stage, number, steps)
                self._run_stage(stage, number)
                number += len(stage.steps)
                for observer in self._observers:
                    observer.stage_finished(stage)
        except EdgeError as error:
            if undo:
                self._undo(str(error))
            raise

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
        results = self._apply(changes)
        self._done.append(
            tuple(change for change, error in zip(changes, results, strict=True) if error is None)
        )
        errors = [error for error in results if error is not None]
        if errors:
            raise errors[0]

    def _undo(self, reason: str) -> None:
        batches = [batch for batch in reversed(self._done) if batch]
        self._done = []
        for observer in self._observers:
            observer.undoing(sum(map(len, batches)), reason)
        for batch in batches:
            changes = tuple(change.inverse() for change in reversed(batch))
            for change, error in zip(changes, self._apply(changes), strict=True):
                if error is not None:
                    for observer in self._observers:
                        observer.undo_failed(change, error)
