"""A fault as data, what a kind of fault is, and both as JSON. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lab.faults.units import Options, words_of

if TYPE_CHECKING:
    from lab.model import LabModel

Act = Literal["kill", "terminate", "stop"]
"""What happens to the processes of daemons: SIGKILL, SIGTERM, SIGSTOP (and SIGCONT at the end)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. name: unique among the active faults of a lab; kind: a row of `kinds`.

    target: what it harms, in the operator's words. options: an instance of the kind's own class.
    """

    name: str
    kind: str
    target: str
    options: Options

    def __str__(self) -> str:
        words = " ".join(f"--{name} {value}" for name, value in words_of(self.options).items())
        return f"{self.kind} {self.target} {words}".rstrip()


@dataclass(frozen=True, slots=True)
class Active:
    """A fault of a running lab. since: seconds since 1970; phase: which of its kind's phases it is in."""

    fault: Fault
    since: float
    phase: int = 0


@dataclass(frozen=True, slots=True)
class Phases:
    """What a fault does over time: seconds of each phase; the last one may last for ever (None).

    repeat: after the last comes the first again.
    """

    seconds: tuple[float | None, ...]
    repeat: bool = False

    def after(self, phase: int) -> int | None:
        """The phase that follows, None when none does."""
        if phase + 1 < len(self.seconds):
            return phase + 1
        return 0 if self.repeat else None


ALWAYS = Phases((None,))

Transform = Callable[["LabModel", str, Any, int], "LabModel"]
"""(model, target, options, phase) -> the harmed model. Raises UsageError where the fault does not fit."""


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort of target. known: all names that a model has for it, for completion and suggestions."""

    name: str
    words: str
    known: Callable[[LabModel], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table of kinds.

    harm: what it does to the model. act: what it does to the daemons that `daemons` tells; once only where
    that is no lasting state. needs_time: part of what it does happens later, see `phases`. heals: what the
    end of it means, in words. source: section of the facts, or the RFC.
    """

    name: str
    words: str
    sort: Sort
    options: type[Options]
    heals: str
    source: str
    example: str
    harm: Transform = lambda model, target, options, phase: model
    phases: Callable[[Any], Phases] = lambda options: ALWAYS
    act: Act | None = None
    daemons: Callable[[LabModel, str], tuple[str, ...]] = lambda model, target: ()

    @property
    def lasting(self) -> bool:
        """Whether it stays until it is healed; else it is over at once, and the lab heals it by itself."""
        return self.act in (None, "stop")


def fault_json(active: Active, phases: Phases) -> dict[str, Any]:
    """An active fault for listings and the wire. phase counts from 1."""
    fault = active.fault
    return {
        "name": fault.name,
        "kind": fault.kind,
        "target": fault.target,
        "options": words_of(fault.options),
        "since": active.since,
        "phase": active.phase + 1,
        "phases": len(phases.seconds),
    }
