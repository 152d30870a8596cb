"""Faults of routing software: killed, stopped, restarted; the lab is well again afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from faultlab import (
    active,
    assert_nothing_to_do,
    events,
    fault_events,
    lost_of,
    mended,
    state_of,
    status,
    well_again,
)
from labs import CONTOSO, Labs, until

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def lab(module_labs: Labs) -> Labs:
    module_labs.ok("deploy", "-t", str(CONTOSO), "--wait", "60")
    return module_labs


@pytest.fixture
def standing(lab: Labs) -> Iterator[Labs]:
    """The lab of the module. What a test breaks it mends itself; this is for a test that fails before.

    A test that has a daemon started anew takes a lab of its own: processes are counted test by test.
    """
    yield lab
    lab.run("heal")


def daemon(labs: Labs, namespace: str) -> dict[str, Any]:
    """{pid, restarts} of a namespace's daemon."""
    found: dict[str, Any] = status(labs)["daemons"][namespace]
    return found


def process_state(labs: Labs, namespace: str) -> str:
    """The state letter of the daemon as the kernel has it: S, T (stopped)..."""
    shown = labs.inside("contoso", namespace, "ps", "-o", "stat=", "-p", str(daemon(labs, namespace)["pid"]))
    return shown.strip()[:1]


def test_a_daemon_that_crashes_or_is_restarted_comes_back_with_its_sessions(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(CONTOSO), "--wait", "60")
    crashed, restarted = daemon(labs, "ce1"), daemon(labs, "ce2")
    told = labs.json("fault", "crash", "ce1")
    assert f"process {crashed['pid']}" in told["struck"][0]
    until(lambda: daemon(labs, "ce1")["restarts"] == 1, "the one that was killed is back")
    assert daemon(labs, "ce1")["pid"] != crashed["pid"]
    well_again(labs)
    labs.ok("fault", "restart", "ce2")
    until(lambda: daemon(labs, "ce2")["restarts"] == 1, "the one that was ended is back")
    assert daemon(labs, "ce2")["pid"] != restarted["pid"]
    well_again(labs)
    assert fault_events(labs) == [("crash-ce1", "happens"), ("restart-ce2", "happens")]
    texts = [one.get("text", "") for one in events(labs) if one["kind"] == "session"]
    assert any("Received: " in text for text in texts), (
        "who ends in order tells its neighbours (RFC 4271, Cease)"
    )


def test_software_that_hangs_falls_silent_while_its_router_still_forwards(standing: Labs) -> None:
    assert process_state(standing, "ce1") != "T"
    standing.ok("fault", "hang", "ce1")
    assert process_state(standing, "ce1") == "T"
    msee = "msee1-amsterdam.ams.private"
    until(lambda: state_of(standing, msee, "192.168.15.1") != "Established", "BFD of the neighbour tells")
    shown = standing.inside("contoso", "ce1", "ping", "-c", "2", "-i", "0.1", "192.168.15.2")
    assert " 0% packet loss" in shown, "the kernel goes on"
    assert_nothing_to_do(standing)
    # A change that its configuration needs waits for the end of the fault.
    done = standing.run("fault", "hang", "ce1")
    assert done.returncode == 0, done.stderr
    assert len(active(standing)) == 2
    standing.ok("heal", "hang-ce1")
    assert process_state(standing, "ce1") == "T", "the second fault still holds it"
    well_again(standing)
    assert process_state(standing, "ce1") != "T"


def test_what_was_ordered_while_software_hangs_is_configured_when_it_goes_on(standing: Labs) -> None:
    standing.ok("fault", "hang", "msee1-amsterdam.ams.microsoft")
    standing.ok("microsoft", "maintain", "ams", "primary")
    conf = standing.directory / "contoso" / "bird"
    file = next(one for one in conf.glob("*.conf") if "msee1" in one.name and "microsoft" in one.name)
    assert "bgp_path.prepend" not in file.read_text()
    standing.ok("heal")
    assert "bgp_path.prepend" in file.read_text()
    standing.ok("microsoft", "maintained", "ams")
    mended(standing)


def test_a_fault_whose_command_is_killed_at_once_is_there_whole_or_not_at_all(standing: Labs) -> None:
    command = standing.fork("fault", "hang", "ce2", "--for", "1h", stdout=subprocess.PIPE)
    assert command.stdout is not None
    assert "hang ce2" in command.stdout.readline()
    assert process_state(standing, "ce2") == "T"
    os.kill(command.pid, signal.SIGKILL)
    command.wait(30.0)
    command.stdout.close()
    until(lambda: process_state(standing, "ce2") != "T", "the lab heals what its command left")
    assert lost_of(standing, 3) == 0
    well_again(standing)
