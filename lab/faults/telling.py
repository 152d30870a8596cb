"""What is told of faults: an event for whoever follows, a line in the lab's log, JSON for clients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lab.faults.faulted import Dropped
from lab.faults.kinds import KINDS
from lab.faults.model import Active, Phases, fault_json

if TYPE_CHECKING:
    from lab.model import LabModel
    from lab.supervisor import Supervisor


def tell_changes(supervisor: Supervisor, before: LabModel | None, after: LabModel) -> None:
    """Tell which faults began and ended with a change that was made."""
    old = {(one.fault.name, one.since): one for one in (before.faults if before is not None else ())}
    new = {(one.fault.name, one.since): one for one in after.faults}
    for key, active in old.items():
        if key not in new:
            tell(supervisor, active, "ends")
    for key, active in new.items():
        if key not in old:
            tell(supervisor, active, "begins")


def tell(supervisor: Supervisor, active: Active, state: str, more: str = "") -> None:
    """An event, and a line in the lab's log."""
    one = active.fault
    fields = {"text": more} if more else {}
    since = round(active.since, 6)
    supervisor.bus.publish(
        "fault", name=one.name, state=state, fault=one.kind, target=one.target, since=since, **fields
    )
    supervisor.report(f"fault {one.name} {state}: {one}" + (f" ({more})" if more else ""))


def phases_of(active: Active) -> Phases:
    """What the fault does over time."""
    return KINDS[active.fault.kind].phases(active.fault.options)


def to_json(active: Active) -> dict[str, Any]:
    """A fault as `faults` lists it."""
    return {**fault_json(active, phases_of(active)), "lasting": KINDS[active.fault.kind].lasting}


def kept_by(lab: str, ended: Iterable[Active], kept: Iterable[Dropped]) -> str:
    """Why faults cannot be healed without others, and the command that heals both."""
    these, others = tuple(ended), tuple(kept)
    both = " ".join(one.fault.name for one in (*these, *(one.active for one in others)))
    return f"{cannot_end(these, others)}. Heal them together: edgelab heal {lab} {both}"


def cannot_end(ended: Iterable[Active], kept: Iterable[Dropped]) -> str:
    """Why faults cannot be healed without others."""
    these = " and ".join(one.fault.name for one in ended)
    reasons = "; ".join(f"{one.active.fault.name} ({one.active.fault}): {one.why}" for one in kept)
    return f"{these} cannot be healed alone, since without it this does not fit: {reasons}"


def dropped_json(dropped: Iterable[Dropped]) -> list[dict[str, Any]]:
    """Faults that ended with a change, as answers tell them: as `faults` lists them, and why."""
    return [{**to_json(one.active), "why": one.why} for one in dropped]
