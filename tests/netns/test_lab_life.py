"""A lab's whole life through the program: up, again, changed, beside another, broken, gone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest
from labs import CONTOSO, Labs, contoso, established, until
from uptimes import assert_undisturbed, uptimes

pytestmark = pytest.mark.root


@pytest.mark.kernels("here", "stock")
@pytest.mark.shows("the reference lab and its checks", here="bpf", stock="kernel")
def test_reference_lab_comes_up_proves_itself_and_a_second_deploy_changes_nothing(labs: Labs) -> None:
    first = labs.json("deploy", "-t", str(CONTOSO))
    assert first["created"]
    assert first["pending"] == []
    checks = labs.json("check")
    assert checks["failed"] == 0
    assert checks["passed"] == len(checks["checks"]) == 16
    view = labs.json("inspect")
    expected = {("private", 4), ("private", 6), ("microsoft", 4)}
    for connection in ("primary", "secondary"):
        up = established(view, circuit="ams", connection=connection, side="customer")
        assert {(session["peering"], session["family"]) for session in up} == expected
    again = labs.run("deploy", "-t", str(CONTOSO))
    assert (again.returncode, "nothing changed" in again.stdout) == (0, True)
    assert "contoso" in labs.ok("list")
    labs.ok("destroy", "contoso")
    assert labs.json("list")["labs"] == []
    assert labs.run("destroy", "contoso").returncode == 0
    assert not labs.directory.exists()


def test_changes_apply_to_the_running_lab_and_leave_the_other_sessions_alone(labs: Labs) -> None:
    document = contoso()
    labs.ok("deploy", "-t", str(labs.file(document)))
    before = uptimes(labs)
    assert len(before) >= 20

    document["sites"]["hq"]["hosts"]["pc2"] = "10.1.0.20"
    document["vnets"]["hub"]["hosts"]["vm2"] = "10.50.1.5"
    document["circuits"]["ams"]["bandwidth"] = "500M"
    document["sites"]["hq"]["announce"] = ["10.1.0.0/16", "fd00:1::/64", "10.9.0.0/16"]
    labs.ok("deploy", "-t", str(labs.file(document)))
    assert_undisturbed(before, uptimes(labs))
    assert "0% packet loss" in labs.inside("contoso", "pc2", "ping", "-c", "2", "-i", "0.2", "10.50.1.5")
    until(
        lambda: "10.9.0.0/16" in labs.inside("contoso", "hub-gw0", "ip", "route"),
        "the new prefix at the gateway",
    )

    document["circuits"]["ams"]["peerings"]["microsoft"]["shared_key"] = "another1"
    done = json.loads(labs.ok("deploy", "-t", str(labs.file(document)), "--format", "json"))
    assert done["pending"] == []
    neighbors = ("198.51.100.1", "198.51.100.2", "198.51.100.5", "198.51.100.6")
    assert_undisturbed(before, uptimes(labs), apart=neighbors)

    del document["circuits"]["ams"]["peerings"]["microsoft"]
    labs.ok("deploy", "-t", str(labs.file(document)))
    after = uptimes(labs)
    assert not any(key[1] in neighbors for key in after)
    private = before.where(lambda key: "microsoft" not in key[0] + key[1] and key in after)
    assert_undisturbed(private, after)
    assert labs.json("deploy", "-t", str(labs.file(document)))["changed"] is False


def test_what_someone_breaks_by_hand_is_seen_and_mended_by_the_next_deploy(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(CONTOSO))
    labs.inside("contoso", "pc1", "ip", "addr", "del", "10.1.0.10/16", "dev", "eth0")
    labs.inside("contoso", "ce1", "nft", "flush", "ruleset")
    labs.inside("contoso", "ce2", "ip", "link", "set", "ams2", "down")
    plan = json.loads(labs.ok("deploy", "-t", str(CONTOSO), "--dry-run", "--format", "json"))
    objects = " ".join(step["object"] for step in plan["steps"])
    assert "address 10.1.0.10/16 on pc1:eth0" in objects
    assert "ce1: nftables" in objects
    assert "ce2:ams2 up" in objects
    labs.ok("deploy", "-t", str(CONTOSO))
    assert labs.json("check")["failed"] == 0


def test_a_change_broken_off_at_any_step_returns_the_lab_to_what_it_was(labs: Labs) -> None:
    document = contoso()
    before = labs.file(document, "before.edge.yml")
    labs.ok("deploy", "-t", str(before))
    sessions = uptimes(labs)
    document["sites"]["hq"]["hosts"]["pc2"] = "10.1.0.20"
    document["circuits"]["ams"]["bandwidth"] = "1G"
    document["circuits"]["ams"]["peerings"]["private"]["vlan"] = 110
    del document["vnets"]["hub"]["hosts"]["vm1"]
    after = labs.file(document, "after.edge.yml")
    plan = json.loads(labs.ok("deploy", "-t", str(after), "--dry-run", "--format", "json"))
    steps = len(plan["steps"])
    assert steps > 20
    for taken in {1, 2, steps // 3, steps // 2, steps - 1}:
        done = labs.run("deploy", "-t", str(after), "--step", "--no-wait", input="\n" * taken)
        assert done.returncode == 4, done.stderr
        assert "going back to what it was" in done.stderr
        left = json.loads(labs.ok("deploy", "-t", str(before), "--dry-run", "--format", "json"))
        assert left["steps"] == [], f"broken off after {taken} steps"
    untouched = sessions.where(lambda key: "private" not in key[0] and key[0][:2] != "ce")
    assert len(untouched) >= 6
    assert_undisturbed(untouched, uptimes(labs))


def test_two_labs_of_one_topology_run_side_by_side_under_two_names(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(CONTOSO))
    labs.ok("deploy", "-t", str(CONTOSO), "--name", "second")
    assert [lab["name"] for lab in labs.json("list")["labs"]] == ["contoso", "second"]
    ambiguous = labs.run("inspect")
    assert (ambiguous.returncode, "say which" in ambiguous.stderr) == (2, True)
    for name in ("contoso", "second"):
        assert labs.json("check", name)["failed"] == 0
    labs.ok("destroy", "second")
    assert labs.json("check")["failed"] == 0


def test_a_bird_that_crashes_is_restarted_and_told(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(CONTOSO))
    pid = labs.inside("contoso", "ce1", "sh", "-c", "pgrep -f '^bird.*ce1' || ip netns pids ce1").split()[0]
    labs.inside("contoso", "ce1", "kill", "-SEGV", pid)
    events = until(
        lambda: [
            event
            for event in json.loads(
                "[" + ",".join(labs.ok("events", "--no-follow", "--format", "json").splitlines()) + "]"
            )
            if event["kind"] == "daemon" and event["state"] == "restarted"
        ],
        "the restart of ce1's BIRD",
    )
    assert events[0]["namespace"] == "ce1"
    until(
        lambda: all(s["state"] == "Established" for s in labs.json("inspect")["sessions"]),
        "all sessions Established again",
    )


def test_a_supervisor_killed_with_sigkill_takes_everything_along(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(CONTOSO))
    from lab.client import Client
    from lab.state import RunDirectory

    with Client(RunDirectory(labs.directory / "contoso")) as client:
        pid = client.supervisor_pid
    children = set(_descendants(pid))
    assert len(children) >= 9
    os.kill(pid, signal.SIGKILL)
    until(lambda: not any(os.path.exists(f"/proc/{child}") for child in children), "every process is gone")
    assert labs.json("list")["labs"] == []
    labs.ok("deploy", "-t", str(CONTOSO), "--no-wait")


def test_a_supervisor_that_hangs_is_still_destroyed(labs: Labs) -> None:
    # The program's patience is twice ten seconds.
    labs.constants["lab.client.STOP_DEADLINE_S"] = 1.0
    labs.ok("deploy", "-t", str(labs.file(contoso())), "--no-wait")
    from lab.client import Client
    from lab.state import RunDirectory

    with Client(RunDirectory(labs.directory / "contoso")) as client:
        pid = client.supervisor_pid
    os.kill(pid, signal.SIGSTOP)
    assert "contoso is gone" in labs.ok("destroy", "contoso")
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the supervisor's process is gone")


def test_exec_gives_the_exit_status_and_the_streams_of_the_command(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(labs.file(contoso())), "--no-wait")
    done = labs.run("exec", "pc1", "--", "sh", "-c", "cat; echo out; echo err >&2; exit 7", input="in ")
    assert (done.returncode, done.stdout, done.stderr) == (7, "in out\n", "err\n")
    assert labs.run("exec", "pc1", "--", "no-such-program").returncode == 127
    assert labs.run("exec", "pc1", "--", "sh", "-c", "kill -9 $$").returncode == 137
    missing = labs.run("exec", "pc9", "--", "true")
    assert (missing.returncode, "perhaps one of: pc1" in missing.stderr) == (2, True)
    assert "10.1.0.10/16" in labs.ok("exec", "contoso", "pc1", "--", "ip", "-br", "addr")
    shell = labs.run("shell", input="ip netns | sort | head -1; hostname\n")
    assert shell.stdout.split()[0] == "cdn"
    assert shell.stdout.split()[-1] == "contoso"


def _descendants(pid: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found[1:]
