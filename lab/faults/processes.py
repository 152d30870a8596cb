"""Signals to the routing software of a lab: dead, ended, stopped, going on. In the supervisor only."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from edge.bgp.control import ControlSocket
from edge.bgp.process import control_path
from edge.errors import DeadlineError, EdgeError, UsageError
from lab.faults.model import Act
from lab.world import World

SIGNALS: dict[Act, signal.Signals] = {
    "kill": signal.SIGKILL,
    "terminate": signal.SIGTERM,
    "stop": signal.SIGSTOP,
}

AWAKE_TIMEOUT_S = 15.0
"""How long software that was stopped may take until it answers again."""

RECHECK_S = 0.05


def strike(world: World, daemons: Iterable[str], act: Act) -> list[str]:
    """Send the signal of `act` to all processes of these daemons; returns which, in words.

    Raises UsageError, before anything is sent, when one of them does not run, EdgeError when one has just
    ended.
    """
    pids = world.daemons.pids()
    names = tuple(daemons)
    dead = [name for name in names if not pids.get(name)]
    if dead:
        raise UsageError(
            f"no routing software runs in {', '.join(dead)}; see why with: edgelab events --no-follow"
        )
    struck = []
    for name in names:
        for pid in pids[name]:
            try:
                os.kill(pid, SIGNALS[act])
            except ProcessLookupError:
                raise EdgeError(f"{world.daemons.words(name)} has just ended by itself; try again") from None
        struck.append(f"{world.daemons.words(name)}, process {', '.join(map(str, pids[name]))}")
    return struck


def wake(world: World, daemons: Iterable[str]) -> None:
    """Let stopped software go on, and wait until it answers; what has ended meanwhile is left alone.

    Raises DeadlineError, DaemonError when it does not answer in time.
    """
    pids = world.daemons.pids()
    names = tuple(name for name in daemons if pids.get(name))
    for name in names:
        for pid in pids[name]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    for name in names:
        if name in world.birds.known():
            _answers(control_path(world.birds.directory, name))


def _answers(path: Path) -> None:
    """Wait until a BIRD answers. Who asked it while it was stopped has filled its queue of connections."""
    end = time.monotonic() + AWAKE_TIMEOUT_S
    while True:
        try:
            ControlSocket(path, max(RECHECK_S, end - time.monotonic())).status()
            return
        except DeadlineError:
            if time.monotonic() >= end:
                raise
            select.select([], [], [], RECHECK_S)
