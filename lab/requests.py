"""What a supervisor does for the commands: one function per request, one thread per connection."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from edge import __version__
from edge.errors import EdgeError, UsageError
from edge.net.capabilities import Asked
from lab.changing import change, gone
from lab.cores import settle
from lab.faults import serving
from lab.faults.faulted import carried
from lab.faults.telling import dropped_json
from lab.model import LabModel
from lab.ordering import Outcome, in_scope, order
from lab.protocol import PROTOCOL_VERSION, Channel, ClosedError, error_to_json
from lab.readiness import pending_sessions, received
from lab.service.codec import decode_command, encode_state
from lab.service.commands import ChangeSku
from lab.service.difference import differences
from lab.world import World

if TYPE_CHECKING:
    from edge.net.mpls_support import CoreChoice
    from lab.supervisor import Supervisor

STATUS_PATIENCE_S = 2.0
"""How long a look at the lab waits for a deploy that is changing it."""


def serve(supervisor: Supervisor, channel: Channel, first: bool) -> None:
    """Answer requests until the client goes. The first client's lab ends with it if unfinished.

    The channel stays open, for who opened it to close.
    """
    try:
        while True:
            message, descriptors = channel.receive()
            for descriptor in descriptors:
                os.close(descriptor)
            _answer(supervisor, channel, message)
    except ClosedError:
        pass
    finally:
        if first and (supervisor.world is None or supervisor.world.model is None):
            supervisor.stop()


def _answer(supervisor: Supervisor, channel: Channel, message: dict[str, Any]) -> None:
    handler = _HANDLERS.get(str(message.get("op")))
    try:
        if handler is None:
            raise UsageError(f"this lab does not know the request {message.get('op')!r}")
        handler(supervisor, channel, message)
    except ClosedError:
        raise
    except EdgeError as error:
        channel.send({"ok": False, "error": error_to_json(error)})
    except Exception as error:  # noqa: BLE001 - the last guard of a connection
        # A defect of ours must reach the log whole and the user in one line.
        traceback.print_exc()
        words = (
            f"the lab's supervisor failed: {type(error).__name__}: {error}; see {supervisor.directory.log}"
        )
        channel.send({"ok": False, "error": error_to_json(EdgeError(words))})


def _hello(supervisor: Supervisor, channel: Channel, _: dict[str, Any]) -> None:
    world = supervisor.world
    channel.send(
        {
            "ok": True,
            "protocol": PROTOCOL_VERSION,
            "edgelab": __version__,
            "document": world.model.document if world and world.model else None,
            "state": encode_state(world.model.state) if world and world.model else None,
        }
    )


def _model(message: dict[str, Any]) -> tuple[LabModel, CoreChoice | None]:
    from lab.topology import derive

    document = message.get("document")
    if not isinstance(document, dict):
        raise UsageError("the request carries no topology")
    settled, core = settle(document)
    return derive(settled), core


def _world(supervisor: Supervisor, asked: Asked) -> World:
    if supervisor.world is None:
        supervisor.world = World(supervisor.directory.bird, supervisor.netns_directory, asked)
    elif asked not in ("auto", supervisor.world.realisation.name):
        raise UsageError(
            f"the lab runs with {supervisor.world.realisation.name} links and cannot change to {asked}; "
            f"destroy it and deploy again"
        )
    return supervisor.world


def _apply(supervisor: Supervisor, channel: Channel, message: dict[str, Any]) -> None:
    model, core = _model(message)
    began = time.monotonic()
    with supervisor.apply_lock:
        if supervisor.stopping:
            raise UsageError("the lab is being destroyed")
        world = _world(supervisor, message.get("links", "auto"))
        before = world.model.state if world.model is not None else model.state
        model, dropped = carried(world.model, model)
        plan = world.plan(model)
        if message.get("dry_run"):
            channel.send({"ok": True, "plan": plan.to_json(), "dropped": dropped_json(dropped)})
            return
        change(supervisor, channel, world, model, plan, bool(message.get("step")))
        world.core = core
    counts = plan.counts()
    supervisor.bus.publish("lab", state="deployed", **counts)
    seconds = round(time.monotonic() - began, 4)
    changes = [asdict(item) for item in differences(before, model.state)]
    channel.send(
        {
            "ok": True,
            "counts": counts,
            "seconds": seconds,
            "realisation": world.realisation_json(),
            "changes": changes,
            "dropped": dropped_json(dropped),
        }
    )


def _service(supervisor: Supervisor, channel: Channel, message: dict[str, Any]) -> None:
    """Carry out a command to the service: the answer says what changed, or why nothing did."""
    began = time.monotonic()
    with supervisor.apply_lock:
        world = supervisor.world
        if supervisor.stopping or world is None or world.model is None:
            raise UsageError("nothing is deployed yet, or the lab is being destroyed")
        before = world.model
        command = decode_command(in_scope(before, message.get("command")))
        reports = received(world) if isinstance(command, ChangeSku) else ()
        outcome = order(before, command, reports, str(message.get("site", "")))
        wanted, dropped = carried(before, outcome.model)
        outcome = replace(outcome, model=wanted)
        plan = world.plan(outcome.model)
        if message.get("dry_run"):
            told = {**_told(before, outcome), "dropped": dropped_json(dropped)}
            channel.send({"ok": True, "plan": plan.to_json(), **told})
            return
        change(supervisor, channel, world, outcome.model, plan, step=False)
        for namespace, protocol in outcome.restarts:
            world.birds.control(namespace).restart(protocol)
    told = {**_told(before, outcome), "dropped": dropped_json(dropped)}
    changes = [str(item) for item in differences(before.state, outcome.model.state)]
    supervisor.bus.publish("service", command=type(command).__name__, changes=changes)
    seconds = round(time.monotonic() - began, 4)
    steps = plan.to_json()["steps"]
    channel.send({"ok": True, "counts": plan.counts(), "steps": steps, "seconds": seconds, **told})


def _told(before: LabModel, outcome: Outcome) -> dict[str, Any]:
    return {
        "events": [asdict(event) for event in outcome.events],
        "changes": [asdict(item) for item in differences(before.state, outcome.model.state)],
        "restarts": [f"{namespace}:{protocol}" for namespace, protocol in outcome.restarts],
    }


def _wait(supervisor: Supervisor, channel: Channel, message: dict[str, Any]) -> None:
    """Wait until all enabled sessions are Established, at most `wait_s`; tell which are not."""
    deadline = time.monotonic() + float(message.get("wait_s", 10.0))
    began = time.monotonic()
    while True:
        seen = supervisor.bus.count
        world = supervisor.world
        if world is None or world.model is None:
            raise UsageError("nothing is deployed yet")
        pending = pending_sessions(world)
        left = deadline - time.monotonic()
        if supervisor.stopping:
            raise EdgeError("the lab was destroyed before all its sessions were Established")
        if not pending or left <= 0:
            break
        if gone(channel):
            return
        # Sessions come up in bursts; the log of each wakes us, the bound is for a line that got lost.
        supervisor.bus.wait(seen, min(left, 0.25))
    channel.send({"ok": True, "pending": pending, "seconds": round(time.monotonic() - began, 4)})


def _status(supervisor: Supervisor, channel: Channel, _: dict[str, Any]) -> None:
    _look(supervisor, channel, lambda world: {"status": world.status()})


def _counters(supervisor: Supervisor, channel: Channel, _: dict[str, Any]) -> None:
    _look(supervisor, channel, lambda world: {"counters": world.counters()})


def _rules(supervisor: Supervisor, channel: Channel, message: dict[str, Any]) -> None:
    asked = [str(one) for one in message.get("namespaces", ())]
    _look(supervisor, channel, lambda world: {"counters": world.rule_counters(asked)})


def _look(supervisor: Supervisor, channel: Channel, read: Callable[[World], dict[str, Any]]) -> None:
    world = supervisor.world
    if world is None or world.model is None:
        raise UsageError("nothing is deployed yet")
    # Half-applied changes make no picture. But a deploy that waits for its operator must not hide the lab.
    settled = supervisor.apply_lock.acquire(timeout=STATUS_PATIENCE_S)
    try:
        seen = read(world)
    except OSError as error:
        raise EdgeError(f"the lab changed while it was looked at ({error.strerror}); try again") from error
    finally:
        if settled:
            supervisor.apply_lock.release()
    channel.send({"ok": True, **seen})


def _socket(supervisor: Supervisor, channel: Channel, message: dict[str, Any]) -> None:
    world = supervisor.world
    namespace = str(message.get("namespace"))
    if world is None:
        raise UsageError("nothing is deployed yet")
    with world.kernel.socket(
        namespace, int(message["family"]), int(message["type"]), int(message["proto"])
    ) as opened:
        channel.send({"ok": True}, (opened.fileno(),))


def _events(supervisor: Supervisor, channel: Channel, message: dict[str, Any]) -> None:
    history = bool(message.get("history", True))
    if not message.get("follow", True):
        for past in supervisor.bus.history() if history else ():
            channel.send({"event": past})
        channel.send({"ok": True})
        return
    for event in supervisor.bus.follow(0 if history else supervisor.bus.count):
        if event is None:
            if gone(channel):
                return
            continue
        channel.send({"event": event})
    channel.send({"ok": True})


def _tie(supervisor: Supervisor, channel: Channel, _: dict[str, Any]) -> None:
    """From here on the lab ends with this client, however that ends: a killed test run leaves no lab."""
    try:
        channel.send({"ok": True})
        while True:
            for descriptor in channel.receive()[1]:
                os.close(descriptor)
    except ClosedError:
        supervisor.stop()
        raise


def _stop(supervisor: Supervisor, channel: Channel, _: dict[str, Any]) -> None:
    channel.send({"ok": True})
    supervisor.stop()


_HANDLERS: dict[str, Callable[[Supervisor, Channel, dict[str, Any]], None]] = {
    "hello": _hello,
    "tie": _tie,
    "apply": _apply,
    "service": _service,
    "wait": _wait,
    "status": _status,
    "counters": _counters,
    "rules": _rules,
    "socket": _socket,
    "events": _events,
    "stop": _stop,
    "fault": serving.fault,
    "heal": serving.heal,
    "faults": serving.faults,
}
