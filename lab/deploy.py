"""`edgelab deploy`: start a lab or change a running one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.errors import CapabilityError, DeadlineError, EdgeError, UsageError
from edge.net.neighbours import read_tables, require_room
from lab import sandbox, state
from lab.client import Client, meet, process_ended
from lab.model import LabModel
from lab.neighbours import neighbours

if TYPE_CHECKING:
    from edge.net.capabilities import Asked, RealisationName

GOING_DEADLINE_S = 10.0
"""How long a lab that was broken off may take to vanish, or one that another command starts to be there."""

RECHECK_S = 0.05
"""Pause between two questions to a lab that another command is starting."""

Listener = Callable[[dict[str, Any]], "dict[str, Any] | None"]

Spawn = Callable[[state.RunDirectory, int], "tuple[socket.socket, int]"]
"""What starts a supervisor: `spawn_here`, or lab.apart.spawn in a program that has threads."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a deploy did.

    pending: sessions that were not Established when the waiting ended. changes: what the service has
    differently now, where the lab ran before; what commands had changed and the file does not say is in it.
    dropped: active faults that do not fit any more and ended, each with `why`.
    """

    name: str
    created: bool
    counts: dict[str, int]
    seconds: float
    realisation: dict[str, str]
    pending: tuple[dict[str, Any], ...]
    wait_seconds: float
    changes: tuple[dict[str, Any], ...] = ()
    dropped: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The result as plain data."""
        return {
            "version": 1,
            "name": self.name,
            "created": self.created,
            "counts": self.counts,
            "changed": any(self.counts.values()),
            "seconds": self.seconds,
            "realisation": self.realisation,
            "pending": list(self.pending),
            "wait_seconds": self.wait_seconds,
            "changes": list(self.changes),
            "dropped": list(self.dropped),
        }


def renamed(model: LabModel, name: str) -> LabModel:
    """The same lab under another name. Raises UsageError for one that cannot be a lab's."""
    from lab.topology import derive

    if not state.NAME_PATTERN.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a lab: letters, digits and dashes, at most 32")
    return derive({**model.document, "name": name})


def spawn_here(directory: state.RunDirectory, lock_fd: int) -> tuple[socket.socket, int]:
    """Start a supervisor as a fork of this process, which must have one thread; see lab.sandbox.spawn."""
    return sandbox.spawn(directory, lock_fd, lambda first: _supervise(directory, first))


@contextlib.contextmanager
def _connection(name: str, spawn: Spawn) -> Iterator[tuple[Client, bool]]:
    """A client of the lab of that name, started if it does not run; with True when it was started."""
    running = next((lab for lab in state.running_labs() if lab.name == name), None)
    if running is not None and _comes_up(running):
        with Client(running) as client:
            yield client, False
        return
    with state.claim(name) as (directory, lock_fd):
        try:
            connected, pid = spawn(directory, lock_fd)
        except BaseException:
            directory.remove()
            raise
    pidfd = os.pidfd_open(pid)
    try:
        with Client(directory, connected) as client:
            yield client, True
    except BaseException:
        # It may be complete already, so that hanging up alone would leave it running.
        _end(pidfd)
        directory.clear()
        raise
    finally:
        os.close(pidfd)


def _end(pidfd: int) -> None:
    """End a lab that this command began: the next command must find nothing half gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, number)
        if process_ended(pidfd, GOING_DEADLINE_S):
            return


def _comes_up(lab: state.RunDirectory) -> bool:
    """Whether the lab that holds the name is in use; False when it has ended.

    One that another command is starting, or broke off and that is going, is waited for. Raises UsageError
    when it is neither there nor gone by then, EdgeError when it does not answer.
    """
    end = time.monotonic() + GOING_DEADLINE_S
    while time.monotonic() < end:
        client = meet(lab, GOING_DEADLINE_S)
        if client is None:
            return False
        with client:
            try:
                pidfd = os.pidfd_open(client.supervisor_pid)
            except ProcessLookupError:
                continue
            try:
                if client.request("hello").get("document") is not None:
                    return True
                process_ended(pidfd, RECHECK_S)
            except DeadlineError:
                raise
            except EdgeError:
                # It went while we asked.
                process_ended(pidfd, GOING_DEADLINE_S)
            finally:
                os.close(pidfd)
    raise UsageError(f"lab {lab.name} is being deployed by another command; wait, or destroy it")


def _supervise(directory: state.RunDirectory, first: Any) -> None:
    from lab.supervisor import main

    main(directory, sandbox.NETNS_DIRECTORY, first)


def deploy(
    model: LabModel,
    *,
    links: Asked,
    step: bool,
    wait_s: float | None,
    listener: Listener,
    spawn: Spawn = spawn_here,
) -> Deployed:
    """Bring `model` up under its name, or change the running lab of that name into it.

    links: the realisation asked for, "auto" lets the machine decide. step: every step waits for the
    listener's {"go": true}. wait_s: how long to wait for all sessions; None does not wait. When the
    command dies half way, a new lab vanishes and a running one returns to what it was.
    Raises EdgeError; nothing new is left then.
    """
    if all(lab.name != model.name for lab in state.running_labs()):
        require_room(neighbours(model), read_tables())
    with _connection(model.name, spawn) as (client, created):
        if not created:
            client.agree()
        answer = client.request(
            "apply", listener, None if step else 120.0, document=model.document, links=links, step=step
        )
        waited: dict[str, Any] = {"pending": [], "seconds": 0.0}
        if wait_s is not None:
            listener({"waiting": wait_s})
            waited = client.request("wait", None, wait_s + 30.0, wait_s=wait_s)
    return Deployed(
        name=model.name,
        created=created,
        counts=answer["counts"],
        seconds=answer["seconds"],
        realisation=answer["realisation"],
        pending=tuple(waited["pending"]),
        wait_seconds=waited["seconds"],
        changes=tuple(answer["changes"]),
        dropped=tuple(answer["dropped"]),
    )


def dry_run(model: LabModel, links: Asked) -> tuple[dict[str, Any], str]:
    """The plan as JSON and a note on what it assumes. Needs no root and changes nothing."""
    for lab in state.running_labs():
        if lab.name == model.name:
            with Client(lab) as client:
                client.agree()
                answer = client.request("apply", document=model.document, links=links, dry_run=True)
            return {**answer["plan"], "dropped": answer["dropped"]}, f"against the running lab {model.name}"
    from edge.net.capabilities import choose_realisation, probe_for_lab
    from lab.compile import compile_lab
    from lab.cores import settle
    from lab.plan import diff
    from lab.topology import derive

    with contextlib.suppress(CapabilityError):
        # A core of labels that this kernel does not route is planned all the same, as asked for.
        model = derive(settle(model.document)[0])
    try:
        chosen = choose_realisation(probe_for_lab(deciding=links), links)
    except CapabilityError:
        name: RealisationName = "bpf" if links == "auto" else links
        reason = f"assuming {name} links, which this user cannot make here"
    else:
        name, reason = chosen.name, f"{chosen.name} links: {chosen.reason}"
    plan = {**diff(compile_lab(model, name), ()).to_json(), "dropped": []}
    return plan, f"lab {model.name} does not run yet; {reason}"
