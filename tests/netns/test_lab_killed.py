"""kill -9 at every step of the plan, of deploy or supervisor: nothing is left, the next one works."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path
from typing import Any

import pytest
from labs import Labs, contoso, until

# Loaded once here, every forked deploy and its supervisor have them: hundreds of starts are a minute shorter.
import lab.supervisor
from lab import sandbox
from lab.deploy import deploy
from lab.topology import derive, load

assert lab.supervisor

pytestmark = pytest.mark.root

PARTS = 4
"""The steps are dealt out to this many tests, so that each stays short and xdist can spread them."""


def small() -> dict[str, Any]:
    """One CE, one circuit, Microsoft peering only: every kind of step (packet rules, too), few of each."""
    document = contoso(vnets={})
    site, peerings = document["sites"]["hq"], document["circuits"]["ams"]["peerings"]
    site |= {"edges": ["ce1"], "lan": "10.1.0.0/16", "hosts": {"pc1": "10.1.0.10"}, "internet": False}
    peerings.pop("private")
    peerings["microsoft"]["route_filter"] = ["teams"]
    return document


def fork_deploy(document: dict[str, Any], victim: str, step: int) -> tuple[int, int]:
    """Deploy in a forked child that kills itself (or the supervisor) before step number `step`.

    Returns (exit status of the child, number of steps it got to).
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 0
        try:
            os.close(read)
            _deploy_and_kill(document, victim, step, write)
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            status = 4
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as reader:
        seen = len(reader.read())
    _, raw = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(raw), seen


def _deploy_and_kill(document: dict[str, Any], victim: str, step: int, write: int) -> None:
    pids: list[int] = []
    spawn = sandbox.spawn

    def remembering(*arguments: Any) -> Any:
        result = spawn(*arguments)
        pids.append(result[1])
        return result

    sandbox.spawn = remembering

    def listener(message: dict[str, Any]) -> dict[str, Any] | None:
        if "gate" not in message:
            return None
        os.write(write, b".")
        if message["gate"]["number"] == step:
            os.kill(os.getpid() if victim == "deploy" else pids[0], signal.SIGKILL)
        return {"go": True}

    deploy(derive(document), links="auto", step=True, wait_s=None, listener=listener)


def processes_of(directory: Path) -> list[str]:
    """Processes whose command line or environment names the run directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if str(directory / "contoso").encode() in (entry / "cmdline").read_bytes():
                    found.append(entry.name)
            except OSError:
                continue
    return found


def wait_gone(labs: Labs) -> None:
    """Wait until the lab's supervisor has let go of its lock."""
    import fcntl

    lock = labs.directory / "contoso" / "lock"
    try:
        held = lock.open()
    except FileNotFoundError:
        return
    with held:
        for _ in range(400):
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                select.select([], [], [], 0.025)
            else:
                return
    raise AssertionError("the supervisor still holds its lock 10 s after its deploy was killed")


@pytest.mark.parametrize("victim", ["deploy", "supervisor"])
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_step_leaves_nothing_the_next_deploy_trips_over(
    labs: Labs, monkeypatch: pytest.MonkeyPatch, victim: str, part: int
) -> None:
    monkeypatch.setenv("EDGELAB_DIR", str(labs.directory))
    document = load(labs.file(small())).document
    step, last = part + 1, 0
    while True:
        status, seen = fork_deploy(document, victim, step)
        if seen < step:
            assert status == 0, f"the whole deploy failed with {status}"
            break
        last = step
        assert status == (-signal.SIGKILL if victim == "deploy" else 4), f"step {step}: {status}"
        wait_gone(labs)
        until(lambda: not processes_of(labs.directory), f"no process is left after a kill at step {step}")
        step += PARTS
    assert last > 80, "the plan is shorter than it should be"
    labs.ok("destroy", "contoso")
    assert not labs.directory.exists() or not any(labs.directory.iterdir())
