"""What a supervisor does for the commands: one function per request, one thread per connection."""

from __future__ import annotations

import os
import select
import socket
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edge import __version__
from edge.errors import EdgeError, UsageError
from edge.net.capabilities import Asked
from edge.net.objects import Change
from lab.engine import CancelledError, Engine
from lab.model import LabModel
from lab.plan import Plan, Stage, Step
from lab.protocol import PROTOCOL_VERSION, Channel, ClosedError, error_to_json
from lab.readiness import pending_sessions
from lab.world import World

if TYPE_CHECKING:
    from lab.supervisor import Supervisor

CONVERGENCE_ROUNDS = 3
"""How often a plan is made again when the kernel does not show what was asked for."""


def serve(supervisor: Supervisor, channel: Channel, first: bool) -> None:
    """Answer requests until the client goes. The first client's lab ends with it if unfinished."""
    try:
        while True:
            message, descriptors = channel.receive()
            for descriptor in descriptors:
                os.close(descriptor)
            _answer(supervisor, channel, message)
    except ClosedError:
        pass
    finally:
        channel.close()
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
        }
    )


class _Tell:
    """An engine's observer that tells the client and the event stream."""

    def __init__(self, supervisor: Supervisor, channel: Channel) -> None:
        self.supervisor = supervisor
        self.channel = channel

    def stage_started(self, stage: Stage, first_step: int, steps: int) -> None:
        self._tell(state="started", title=stage.title, first=first_step, of=steps, count=len(stage.steps))

    def stage_finished(self, stage: Stage) -> None:
        self._tell(state="finished", title=stage.title, count=len(stage.steps))

    def undoing(self, steps: int, reason: str) -> None:
        self._tell(state="undoing", count=steps, why=reason)

    def undo_failed(self, change: Change, error: EdgeError) -> None:
        self._tell(state="undo failed", title=str(change), why=str(error))

    def _tell(self, **fields: Any) -> None:
        self.supervisor.bus.publish("step", **fields)
        try:
            self.channel.send({"step": fields})
        except ClosedError:
            # The engine learns of it from `cancelled`; what it does next must not fail here.
            return


def _gone(channel: Channel) -> bool:
    """Whether the client has closed its end, without taking anything it sent."""
    ready, _, _ = select.select([channel.sock], [], [], 0)
    return bool(ready) and channel.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""


def _gate(channel: Channel) -> Callable[[int, Step], None]:
    def gate(number: int, step: Step) -> None:
        try:
            channel.send({"gate": {"number": number, "step": str(step)}})
            answer, _ = channel.receive()
        except ClosedError as error:
            raise CancelledError("the command that was stepping through the plan has gone") from error
        if not answer.get("go"):
            raise CancelledError("stopped by the operator")

    return gate


def _model(message: dict[str, Any]) -> LabModel:
    from lab.topology import derive

    document = message.get("document")
    if not isinstance(document, dict):
        raise UsageError("the request carries no topology")
    return derive(document)


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
    model = _model(message)
    began = time.monotonic()
    with supervisor.apply_lock:
        if supervisor.stopping:
            raise UsageError("the lab is being destroyed")
        world = _world(supervisor, message.get("links", "auto"))
        plan = world.plan(model)
        if message.get("dry_run"):
            channel.send({"ok": True, "plan": plan.to_json()})
            return
        counts = plan.counts()
        gate = _gate(channel) if message.get("step") else None
        engine = Engine(
            world.apply,
            [_Tell(supervisor, channel)],
            gate,
            lambda: supervisor.stopping or _gone(channel),
        )
        # A lab that never came up ends with its sandbox; only a running one must return to what it was.
        engine.run(plan, undo=world.model is not None)
        _converge(supervisor, world, model, plan)
        supervisor.applied(model)
    supervisor.bus.publish("lab", state="deployed", **counts)
    seconds = round(time.monotonic() - began, 4)
    channel.send({"ok": True, "counts": counts, "seconds": seconds, "realisation": world.realisation_json()})


def _converge(supervisor: Supervisor, world: World, model: LabModel, done: Plan) -> None:
    """Read back what the plan made; a change may have taken other things with it (routes, addresses)."""
    if not done:
        return
    for _ in range(CONVERGENCE_ROUNDS):
        rest = world.plan(model)
        if not rest:
            return
        supervisor.report("still to do: " + "; ".join(map(str, rest.steps)))
        Engine(world.apply).run(rest)
    rest = world.plan(model)
    if rest:
        words = "\n  ".join(str(step) for step in rest.steps[:10])
        raise EdgeError(f"the kernel does not show what it was asked for:\n  {words}")


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
        if not pending or left <= 0 or supervisor.stopping:
            break
        if _gone(channel):
            return
        # Sessions come up in bursts; the log of each wakes us, the bound is for a line that got lost.
        supervisor.bus.wait(seen, min(left, 0.25))
    channel.send({"ok": True, "pending": pending, "seconds": round(time.monotonic() - began, 4)})


def _status(supervisor: Supervisor, channel: Channel, _: dict[str, Any]) -> None:
    world = supervisor.world
    if world is None or world.model is None:
        raise UsageError("nothing is deployed yet")
    channel.send({"ok": True, "status": world.status()})


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
            if _gone(channel):
                return
            continue
        channel.send({"event": event})
    channel.send({"ok": True})


def _stop(supervisor: Supervisor, channel: Channel, _: dict[str, Any]) -> None:
    channel.send({"ok": True})
    supervisor.stop()


_HANDLERS: dict[str, Callable[[Supervisor, Channel, dict[str, Any]], None]] = {
    "hello": _hello,
    "apply": _apply,
    "wait": _wait,
    "status": _status,
    "socket": _socket,
    "events": _events,
    "stop": _stop,
}
