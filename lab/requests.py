"""What a supervisor does for the commands: one function per request, one thread per connection."""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edge import __version__
from edge.errors import EdgeError, UsageError
from edge.net.capabilities import Asked
from lab.engine import CancelledError, Engine, settle
from lab.model import LabModel
from lab.plan import Plan, Stage, Step
from lab.protocol import PROTOCOL_VERSION, Channel, ClosedError, error_to_json
from lab.readiness import pending_sessions
from lab.world import World

if TYPE_CHECKING:
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

    def going_back(self, reason: str) -> None:
        """The change failed; the lab returns to what it was."""
        self._tell(state="going back", why=reason)

    def not_back(self, left: str) -> None:
        """This is not as it was before the change."""
        self._tell(state="not as before", title=left)

    def _tell(self, **fields: Any) -> None:
        self.supervisor.bus.publish("step", **fields)
        try:
            self.channel.send({"step": fields})
        except ClosedError:
            # The engine learns of it from `cancelled`; what it does next must not fail here.
            return


def _gone(channel: Channel) -> bool:
    """Whether the client has closed its end, without taking anything it sent."""
    try:
        return channel.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        # It went without reading all that we told it (ECONNRESET).
        return True


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
        tell = _Tell(supervisor, channel)
        engine = Engine(
            world.apply,
            [tell],
            gate,
            lambda: supervisor.stopping or _gone(channel),
        )
        try:
            engine.run(plan)
            _settled(supervisor, world, model, plan)
        except Exception as error:
            # Also after a defect of ours the lab goes back to what it was.
            _go_back(world, tell, error)
            raise
        supervisor.applied(model)
    supervisor.bus.publish("lab", state="deployed", **counts)
    seconds = round(time.monotonic() - began, 4)
    channel.send({"ok": True, "counts": counts, "seconds": seconds, "realisation": world.realisation_json()})


def _settled(supervisor: Supervisor, world: World, model: LabModel, done: Plan) -> None:
    """Read back what the plan made, and do what it took along. Raises EdgeError when something stays."""
    if not done:
        return

    def again() -> Plan:
        rest = world.plan(model)
        if rest:
            supervisor.report("still to do: " + "; ".join(map(str, rest.steps)))
        return rest

    left = settle(again, world.apply)
    if left:
        words = "\n  ".join(left[:10])
        raise EdgeError(f"the kernel does not show what it was asked for:\n  {words}")


def _go_back(world: World, tell: _Tell, reason: Exception) -> None:
    """Return a running lab to its model. A lab that never came up ends with its sandbox instead."""
    model = world.model
    if model is None:
        return
    tell.going_back(str(reason))
    for left in settle(lambda: world.plan(model), world.apply):
        tell.not_back(left)


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
        if _gone(channel):
            return
        # Sessions come up in bursts; the log of each wakes us, the bound is for a line that got lost.
        supervisor.bus.wait(seen, min(left, 0.25))
    channel.send({"ok": True, "pending": pending, "seconds": round(time.monotonic() - began, 4)})


def _status(supervisor: Supervisor, channel: Channel, _: dict[str, Any]) -> None:
    _look(supervisor, channel, lambda world: {"status": world.status()})


def _counters(supervisor: Supervisor, channel: Channel, _: dict[str, Any]) -> None:
    _look(supervisor, channel, lambda world: {"counters": world.counters()})


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
    "counters": _counters,
    "socket": _socket,
    "events": _events,
    "stop": _stop,
}
