"""Faults of links: each is seen on the wire and in the kernel, and when it is healed nothing is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from faultlab import (
    active,
    assert_nothing_to_do,
    device,
    events,
    fault_events,
    link,
    lost_of,
    mended,
    state_of,
    status,
    view,
    well_again,
    without_carrier,
)
from labs import CONTOSO, Labs, contoso, established, until

pytestmark = pytest.mark.root

PRIMARY = ("192.168.15.1", "192.168.15.2")
"""Customer's and Microsoft's address of the primary private peering."""


@pytest.fixture(scope="module")
def lab(module_labs: Labs) -> Labs:
    module_labs.ok("deploy", "-t", str(CONTOSO), "--wait", "60")
    return module_labs


@pytest.fixture
def labs(lab: Labs) -> Iterator[Labs]:
    """The lab of the module. What a test breaks it mends itself; this is for a test that fails before."""
    yield lab
    lab.run("heal")


def received(labs: Labs, node: str, name: str) -> int:
    """Frames that a device has received, as the kernel counts them."""
    return int(device(labs, node, name)["stats64"]["rx"]["packets"])


def hears(labs: Labs, node: str) -> bool:
    """Whether frames arrive at an end of the primary connection's wire while they are sent to it."""
    sender, target = ("ce1", PRIMARY[1]) if node != "ce1" else ("msee1-amsterdam.ams.private", PRIMARY[0])
    before = received(labs, node, "ams1")
    labs.run("exec", "contoso", sender, "--", "ping", "-c", "2", "-i", "0.1", "-W", "0.2", target)
    return received(labs, node, "ams1") > before


def up(labs: Labs) -> set[str]:
    """The customer's edges that have a session with Microsoft."""
    return {one["namespace"] for one in established(view(labs), side="customer")}


def impairments(labs: Labs) -> list[dict[str, Any]]:
    """Impairments that are in force, with their counters: as the engine tells, not the model."""
    found: list[dict[str, Any]] = status(labs)["impairments"]
    return found


@pytest.mark.kernels("here", "stock")
def test_a_link_that_is_down_has_no_carrier_and_its_sessions_fall_at_once(labs: Labs) -> None:
    labs.ok("fault", "link-down", "ams/primary")
    until(lambda: without_carrier(labs, "ce1", "ams1"), "the carrier goes")
    assert "UP" in device(labs, "ce1", "ams1")["flags"], "the customer's own port stays as he has it"
    assert "UP" not in device(labs, "equinix-amsterdam", "ams1")["flags"]
    until(lambda: state_of(labs, "ce1", PRIMARY[1]) != "Established", "the session falls")
    assert link(labs, "ams-primary")["carrier"] is False
    assert_nothing_to_do(labs)
    until(lambda: lost_of(labs, 3) == 0, "the other link carries")
    assert [one["kind"] for one in labs.json("fault", "list")["active"]] == ["link-down"]
    assert "fault link-down-ams-primary is active: link-down ams/primary" in labs.ok("inspect")
    assert "link-down ams/primary" in labs.ok("heal")
    assert "no fault is active" in labs.ok("fault", "list")
    well_again(labs)
    assert link(labs, "ams-primary")["carrier"] is True


def test_deploy_and_the_service_leave_a_fault_where_it_is(labs: Labs) -> None:
    began = time.time()
    labs.ok("fault", "link-down", "ams/primary", "--at", "ce1", "--as", "cable")
    labs.ok("provider", "throttle", "ams", "100M")
    labs.ok("deploy", "-t", str(CONTOSO), "--no-wait")
    assert "UP" not in device(labs, "ce1", "ams1")["flags"]
    until(lambda: without_carrier(labs, "equinix-amsterdam", "ams1"), "the carrier goes")
    assert active(labs) == ["cable"]
    well_again(labs)
    assert fault_events(labs, began) == [("cable", "begins"), ("cable", "ends")]


def test_silent_loss_stops_all_frames_and_leaves_the_carrier_so_that_bfd_must_tell(labs: Labs) -> None:
    labs.ok("fault", "silent", "ams/primary")
    # Each session by its own BFD, which do not end in one moment.
    until(lambda: up(labs) == {"ce2"}, "BFD ends the sessions of the primary connection, and no other")
    assert not hears(labs, "ce1")
    assert not hears(labs, "equinix-amsterdam")
    seen = link(labs, "ams-primary")
    assert (seen["up"], seen["carrier"]) == (True, True)
    counted = [one for one in impairments(labs) if one["offered"]]
    assert counted
    assert all(one["lost"] == one["offered"] for one in counted)
    assert_nothing_to_do(labs)
    well_again(labs)
    assert impairments(labs) == []


def test_one_way_loss_lets_the_other_direction_pass(labs: Labs) -> None:
    assert hears(labs, "ce1")
    labs.ok("fault", "one-way", "ams/primary", "--towards", "ce1")
    assert not hears(labs, "ce1")
    assert hears(labs, "equinix-amsterdam")
    assert [one["at"] for one in impairments(labs)] == ["equinix-amsterdam:ams1"]
    mended(labs)
    assert hears(labs, "ce1")


def test_a_link_loses_its_part_and_the_same_frames_by_the_same_seed(labs: Labs) -> None:
    labs.ok("fault", "loss", "pc1", "--part", "20%", "--seed", "3", "--towards", "pc1")
    until(lambda: lost_of(labs, 1) == 0, "the hosts know their neighbours")
    count = 200
    lost = lost_of(labs, count, interval="0.01")
    # One way: 0.2 of them, five standard deviations wide.
    assert abs(lost - 0.2 * count) < 5 * (count * 0.2 * 0.8) ** 0.5
    assert_nothing_to_do(labs)
    mended(labs)
    assert lost_of(labs, 20) == 0


def test_delay_jitter_and_rate_are_measured(labs: Labs) -> None:
    def shortest_ms(*more: str) -> float:
        shown = labs.inside("contoso", "pc1", "ping", "-c", "3", "-i", "0.3", *more, "10.50.1.4")
        return float(re.findall(r"= ([\d.]+)/", shown)[0])

    # What the fault costs is the least there can be; a busy machine only adds to it.
    assert shortest_ms() < 40
    labs.ok("fault", "delay", "pc1", "--by", "60ms", "--jitter", "5ms", "--towards", "pc1")
    assert 55 <= shortest_ms() < 400
    labs.ok("heal", "delay-pc1")
    labs.ok("fault", "slow", "pc1", "--rate", "100k", "--towards", "pc1")
    # 1,042 octets of a frame at 100 kbit/s are 83 ms, one way.
    assert 80 < shortest_ms("-s", "1000") < 400
    mended(labs)
    assert shortest_ms("-s", "1000") < 40


def test_frames_arrive_twice_and_out_of_order(labs: Labs) -> None:
    labs.ok("fault", "duplicate", "pc1", "--part", "50%", "--towards", "pc1")
    shown = labs.inside("contoso", "pc1", "ping", "-c", "40", "-i", "0.02", "10.50.1.4")
    assert 5 < int(re.findall(r"\+(\d+) duplicates", shown)[0]) < 36
    labs.ok("heal")
    labs.ok("fault", "reorder", "pc1", "--part", "30%", "--by", "50ms", "--towards", "pc1")
    shown = labs.inside("contoso", "pc1", "ping", "-c", "60", "-i", "0.01", "10.50.1.4")
    order = [int(number) for number in re.findall(r"icmp_seq=(\d+)", shown)]
    assert len(order) == 60
    assert order != sorted(order)
    mended(labs)


def test_a_flapping_link_falls_again_and_again_until_it_is_healed(labs: Labs) -> None:
    began = time.time()
    labs.ok("fault", "flap", "ams/primary", "--period", "1s", "--down", "40%")
    until(lambda: len(carriers(labs, began)) >= 3, "it falls twice and comes back between", 60.0)
    assert carriers(labs, began)[:3] == [False, True, False]
    mended(labs)
    until(lambda: carriers(labs, began)[-1], "its carrier is back")
    flapped = carriers(labs, began)
    told = [state for name, state in fault_events(labs, began) if name == "flap-ams-primary"]
    # A phase is told when it has been brought about: the first as the beginning, then each in its turn.
    assert told[:2] == ["begins", "phase 2 of 2"]
    assert told[-1] == "ends"
    # Two periods later nothing has happened: the ping takes as long.
    labs.inside("contoso", "pc1", "ping", "-c", "11", "-i", "0.2", "10.1.0.1")
    assert carriers(labs, began) == flapped


def carriers(labs: Labs, since: float) -> list[bool]:
    """The carrier of ce1's port, as its changes were told from a time on."""
    told = [one for one in events(labs) if one["kind"] == "link" and one["namespace"] == "ce1"]
    return [one["carrier"] for one in told if one["device"] == "ams1" and one["time"] >= since]


def test_a_fault_for_a_time_is_healed_then_and_when_its_command_is_interrupted(labs: Labs) -> None:
    began = time.monotonic()
    told = labs.json("fault", "silent", "ams/primary", "--for", "1s")
    assert told["healed"] is True
    assert time.monotonic() - began > 1.0
    assert impairments(labs) == []

    command = labs.fork("fault", "silent", "ams/secondary", "--for", "1h", stdout=subprocess.PIPE)
    assert command.stdout is not None
    assert "silent ams/secondary" in command.stdout.readline()
    assert len(impairments(labs)) == 2
    os.kill(command.pid, signal.SIGINT)
    command.wait(30.0)
    command.stdout.close()
    until(lambda: impairments(labs) == [], "Ctrl-C heals it")
    well_again(labs)


def test_a_script_of_the_file_lets_faults_begin_and_end_in_their_order(labs: Labs) -> None:
    assert "has no `faults`" in labs.run("fault", "script").stderr
    script = [
        {"at": "600ms", "kind": "link-down", "target": "pc1", "name": "cable"},
        {"at": "0s", "for": "300ms", "kind": "silent", "target": "pc1"},
    ]
    file = str(labs.file(contoso(faults=script)))
    labs.ok("deploy", "-t", file)
    assert labs.json("fault", "script", "--dry-run")["active"] == []
    assert not without_carrier(labs, "pc1", "eth0")
    began = time.time()
    told = labs.json("fault", "script")
    assert [(one["name"], one["what"]) for one in told["moments"]] == [
        ("silent-pc1", "begins"),
        ("silent-pc1", "ends"),
        ("cable", "begins"),
    ]
    assert all(one["done_s"] >= one["at_s"] for one in told["moments"])
    assert told["active"] == ["cable"]
    until(lambda: without_carrier(labs, "pc1", "eth0"), "the carrier goes")
    seen = [("silent-pc1", "begins"), ("silent-pc1", "ends"), ("cable", "begins")]
    assert fault_events(labs, began) == seen
    labs.ok("heal", "cable")
    until(lambda: not without_carrier(labs, "pc1", "eth0"), "the carrier is back")

    # Interrupted, it leaves nothing.
    script.append({"at": "1h", "kind": "silent", "target": "pc1", "name": "never"})
    labs.ok("deploy", "-t", str(labs.file(contoso(faults=script))))
    command = labs.fork("fault", "script", stdout=subprocess.PIPE)
    until(lambda: without_carrier(labs, "pc1", "eth0"), "the cable is pulled")
    os.kill(command.pid, signal.SIGINT)
    command.wait(30.0)
    assert command.stdout is not None
    command.stdout.close()
    until(lambda: not without_carrier(labs, "pc1", "eth0"), "Ctrl-C heals it")
    labs.ok("deploy", "-t", str(CONTOSO))
    mended(labs)


def test_a_refused_fault_touches_nothing_and_says_all_that_is_wrong(labs: Labs) -> None:
    done = labs.run("fault", "loss", "ams/primry", "--part", "5", "--towards", "ce1")
    assert done.returncode == 2
    assert "5 has no unit; write 5%" in done.stderr
    assert "did you mean ams/primary?" in done.stderr
    done = labs.run("heal", "silnt")
    assert (done.returncode, "no fault silnt is active" in done.stderr) == (2, True)
    assert labs.run("fault", "contoso", "lnk-down", "ams").returncode == 2
    assert active(labs) == []
    planned = labs.json("fault", "link-down", "ams/primary", "--dry-run")
    assert [step["object"] for step in planned["plan"]["steps"]] == ["equinix-amsterdam:ams1 up"]
    assert link(labs, "ams-primary")["carrier"] is True
    mended(labs)
