"""How a supervisor changes its lab: a plan carried out, watched by who asked, and undone on an error."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edge.errors import EdgeError
from lab.engine import CancelledError, Engine, settle
from lab.faults.telling import tell_changes
from lab.model import LabModel
from lab.plan import Plan, Stage, Step
from lab.protocol import Channel, ClosedError
from lab.world import World

if TYPE_CHECKING:
    from lab.supervisor import Supervisor


class Tell:
    """An engine's observer that tells the client and the event stream."""

    def __init__(self, supervisor: Supervisor, channel: Channel | None) -> None:
        self.supervisor = supervisor
        self.channel = channel

    def stage_started(self, stage: Stage, first_step: int, steps: int) -> None:
        """The steps from `first_step` on begin."""
        self._tell(state="started", title=stage.title, first=first_step, of=steps, count=len(stage.steps))

    def stage_finished(self, stage: Stage) -> None:
        """All steps of the stage are done."""
        self._tell(state="finished", title=stage.title, count=len(stage.steps))

    def going_back(self, reason: str) -> None:
        """The change failed; the lab returns to what it was."""
        self._tell(state="going back", why=reason)

    def not_back(self, left: str) -> None:
        """This is not as it was before the change."""
        self._tell(state="not as before", title=left)

    def _tell(self, **fields: Any) -> None:
        self.supervisor.bus.publish("step", **fields)
        if self.channel is None:
            return
        try:
            self.channel.send({"step": fields})
        except ClosedError:
            # The engine learns of it from `cancelled`; what it does next must not fail here.
            return


def gone(channel: Channel) -> bool:
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


def change(
    supervisor: Supervisor, channel: Channel | None, world: World, model: LabModel, plan: Plan, step: bool
) -> None:
    """Carry a plan out and have the lab be `model`, or what it was. The caller holds the lock.

    channel: of the client that asked, None where nobody waits for it.
    """
    before = world.model
    tell = Tell(supervisor, channel)
    engine = Engine(
        world.apply,
        [tell],
        _gate(channel) if step and channel is not None else None,
        lambda: supervisor.stopping or (channel is not None and gone(channel)),
    )
    try:
        engine.run(plan)
        _settled(supervisor, world, model, plan)
    except Exception as error:
        # Also after a defect of ours the lab goes back to what it was.
        _go_back(world, tell, error)
        supervisor.rewatch()
        raise
    supervisor.applied(model)
    tell_changes(supervisor, before, model)


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


def _go_back(world: World, tell: Tell, reason: Exception) -> None:
    """Return a running lab to its model. A lab that never came up ends with its sandbox instead."""
    model = world.model
    if model is None:
        return
    tell.going_back(str(reason))
    for left in settle(lambda: world.plan(model), world.apply):
        tell.not_back(left)
