"""The supervisor's requests `fault`, `heal` and `faults`, and what makes a fault's later phases happen.

    fault  {kind, target, name?, options?, for_s?, dry_run?} -> {fault, struck, counts, seconds}
    heal   {names: [...]} or {all: true}, dry_run?           -> {healed: [...], counts, seconds}
    faults {}                                                -> {faults: [...]}

Each carries out one plan under the lock of all changes, with the same way back on an error as any other
change. With `for_s` the fault belongs to the connection: `{"fault": ...}` tells that it is there, and it is
healed after that time, or when the client goes; while another fault fits only together with it, once that
one is healed.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge.document.suggest import hint_for
from edge.errors import EdgeError, UsageError
from lab.changing import change, gone
from lab.faults import processes
from lab.faults.faulted import clinging, hanging, read
from lab.faults.kinds import KINDS
from lab.faults.model import Active
from lab.faults.telling import kept_by, phases_of, tell, to_json
from lab.faults.units import LONGEST_S
from lab.model import LabModel
from lab.protocol import Channel
from lab.world import World

if TYPE_CHECKING:
    from lab.supervisor import Supervisor


HEAL_TRIES = 3
"""How often a fault whose time is over is healed before its client is told that it cannot be."""

LEAST_PHASE_S = 0.2


def fault(supervisor: Supervisor, channel: Channel, message: dict[str, Any]) -> None:
    """Let something go wrong. Nothing is left of it when it cannot, or when the client goes meanwhile."""
    began = time.monotonic()
    for_s = message.get("for_s")
    with supervisor.apply_lock:
        world, before = _running(supervisor)
        taken = {active.fault.name for active in before.faults}
        wanted = read(before, message, taken)
        kind = KINDS[wanted.kind]
        if for_s is not None and not kind.lasting:
            raise UsageError(f"{kind.name} is over at once and heals by itself; leave the time away")
        active = Active(wanted, time.time())
        after = replace(before, faults=(*before.faults, active)) if kind.lasting else before
        plan = world.plan(after) if kind.lasting else None
        if message.get("dry_run"):
            channel.send({"ok": True, "fault": to_json(active), "plan": plan.to_json() if plan else None})
            return
        if plan is not None:
            change(supervisor, channel, world, after, plan, step=False)
        try:
            struck = _strike(world, active)
            if kind.lasting and gone(channel):
                raise EdgeError("the command that asked for the fault has gone")
        except EdgeError:
            _heal(supervisor, None, world, (active,) if kind.lasting else ())
            raise
        if not kind.lasting:
            tell(supervisor, active, "happens", "; ".join(struck))
    if phases_of(active).seconds != (None,):
        threading.Thread(target=_go_through_phases, args=(supervisor, active), daemon=True).start()
    answer = {
        "fault": to_json(active),
        "struck": struck,
        "counts": plan.counts() if plan is not None else {},
        "seconds": round(time.monotonic() - began, 4),
    }
    if for_s is not None:
        # Whoever goes now cannot be told; the fault must be healed all the same.
        with contextlib.suppress(EdgeError):
            channel.send(answer)
        _hold(supervisor, channel, active, float(for_s))
    channel.send({"ok": True, **answer})


def heal(supervisor: Supervisor, channel: Channel, message: dict[str, Any]) -> None:
    """Take faults out: those of `names`, or all."""
    began = time.monotonic()
    with supervisor.apply_lock:
        world, before = _running(supervisor)
        chosen = _chosen(before, message)
        if kept := clinging(before, chosen):
            raise UsageError(kept_by(supervisor.directory.name, chosen, kept))
        counts = _heal(supervisor, channel, world, chosen)
    seconds = round(time.monotonic() - began, 4)
    healed = [to_json(active) for active in chosen]
    channel.send({"ok": True, "healed": healed, "counts": counts, "seconds": seconds})


def halt_hanging(world: World, name: str) -> None:
    """Stop software that was started anew while a fault has it hang: it is not what heals that."""
    if world.model is not None and name in hanging(world.model):
        processes.strike(world, [name], "stop")


def faults(supervisor: Supervisor, channel: Channel, _: dict[str, Any]) -> None:
    """The active faults, the oldest first."""
    model = _running(supervisor)[1]
    channel.send({"ok": True, "faults": [to_json(active) for active in model.faults]})


def _running(supervisor: Supervisor) -> tuple[World, LabModel]:
    world = supervisor.world
    if supervisor.stopping or world is None or world.model is None:
        raise UsageError("nothing is deployed yet, or the lab is being destroyed")
    return world, world.model


def _chosen(model: LabModel, message: dict[str, Any]) -> tuple[Active, ...]:
    known = {active.fault.name: active for active in model.faults}
    if message.get("all"):
        return tuple(known.values())
    names = [str(name) for name in message.get("names") or ()]
    unknown = [f"no fault {name} is active; {hint_for(name, known)}" for name in names if name not in known]
    if unknown:
        raise UsageError("\n".join(unknown))
    return tuple(known[name] for name in dict.fromkeys(names))


def _strike(world: World, active: Active) -> list[str]:
    kind, model = KINDS[active.fault.kind], world.model
    if kind.act is None or model is None:
        return []
    return processes.strike(world, kind.daemons(model, active.fault.target), kind.act)


def _heal(
    supervisor: Supervisor, channel: Channel | None, world: World, ended: Iterable[Active]
) -> dict[str, int]:
    """Want the lab without these faults; stopped software goes on first, and then is told what it missed."""
    names = {active.fault.name for active in ended}
    model = world.model
    assert model is not None
    if not names:
        return {}
    left = tuple(active for active in model.faults if active.fault.name not in names)
    still = {space for active in left for space in _stopped(model, active)}
    awake = [space for active in ended for space in _stopped(model, active) if space not in still]
    healed = replace(model, faults=left)
    try:
        processes.wake(world, awake)
        plan = world.plan(healed)
        change(supervisor, channel, world, healed, plan, step=False)
    except EdgeError:
        # The faults are still the lab's.
        with contextlib.suppress(EdgeError):
            processes.strike(world, awake, "stop")
        raise
    return plan.counts()


def _stopped(model: LabModel, active: Active) -> tuple[str, ...]:
    kind = KINDS[active.fault.kind]
    return kind.daemons(model, active.fault.target) if kind.act == "stop" else ()


def _hold(supervisor: Supervisor, channel: Channel, active: Active, seconds: float) -> None:
    """Wait until the time is over or the client goes, then heal what somebody else has not healed."""
    poller = select.poll()
    poller.register(channel.sock, select.POLLIN)
    # The client says nothing while it waits: what wakes us is that it hangs up, or that the lab stops.
    poller.poll(max(seconds, 0.0) * 1000)
    for tries_left in reversed(range(HEAL_TRIES)):
        with supervisor.apply_lock:
            now = _now(supervisor, active)
            if now is None or supervisor.stopping or supervisor.world is None:
                return
            model = supervisor.world.model
            if model is not None and (kept := clinging(model, (now,))):
                words = f"{kept_by(supervisor.directory.name, (now,), kept)}; else it is healed after that"
                supervisor.report(words)
                threading.Thread(target=_heal_later, args=(supervisor, now), daemon=True).start()
                raise EdgeError(words)
            try:
                _heal(supervisor, None, supervisor.world, (now,))
                return
            except EdgeError as error:
                # The client may have gone, so nobody else would tell.
                supervisor.report(f"fault {active.fault.name} is not healed: {error}")
                if not tries_left:
                    raise


def _heal_later(supervisor: Supervisor, active: Active) -> None:
    """Heal a fault whose time is over as soon as no other one fits only together with it."""
    model = None
    tries_left = HEAL_TRIES
    while not supervisor.stopping:
        seen = supervisor.bus.count
        with supervisor.apply_lock:
            now, world = _now(supervisor, active), supervisor.world
            if now is None or world is None or world.model is None or supervisor.stopping:
                return
            # Most events change no fault.
            if world.model is not model and not clinging(world.model, (now,)):
                try:
                    _heal(supervisor, None, world, (now,))
                    return
                except EdgeError as error:
                    supervisor.report(f"fault {active.fault.name} is not healed: {error}")
                    tries_left -= 1
                    if not tries_left:
                        return
                    # Nothing may happen that would wake us to try again.
                    continue
            model = world.model
        supervisor.bus.wait(seen, LONGEST_S)


def _now(supervisor: Supervisor, active: Active) -> Active | None:
    """The fault as it is now, None when it was healed; another one of its name is not it."""
    model = supervisor.world.model if supervisor.world is not None else None
    same = (
        one
        for one in (model.faults if model is not None else ())
        if (one.fault.name, one.since) == (active.fault.name, active.since)
    )
    return next(same, None)


def _go_through_phases(supervisor: Supervisor, active: Active) -> None:
    """Bring the later phases of a fault about, each at its time, until it is healed."""
    phases = phases_of(active)
    due = time.monotonic()
    while (seconds := phases.seconds[active.phase]) is not None:
        following = phases.after(active.phase)
        # Who was kept waiting does not catch up at once: what flaps is up and down for a while each time.
        due = max(due + seconds, time.monotonic() + min(seconds, LEAST_PHASE_S))
        if following is None or not _sleep(supervisor, active, due):
            return
        with supervisor.apply_lock:
            now, world = _now(supervisor, active), supervisor.world
            if now is None or world is None or world.model is None or supervisor.stopping:
                return
            further = replace(now, phase=following)
            later = tuple(further if one is now else one for one in world.model.faults)
            model = replace(world.model, faults=later)
            try:
                change(supervisor, None, world, model, world.plan(model), step=False)
            except EdgeError as error:
                supervisor.report(f"fault {active.fault.name} does not go on yet: {error}")
                continue
            active = further
        tell(supervisor, active, f"phase {following + 1} of {len(phases.seconds)}")


def _sleep(supervisor: Supervisor, active: Active, due: float) -> bool:
    """Wait for the time; False when the fault was healed, or the lab stopped, before."""
    while (left := due - time.monotonic()) > 0:
        seen = supervisor.bus.count
        if supervisor.stopping or _now(supervisor, active) is None:
            return False
        supervisor.bus.wait(seen, left)
    return True
