"""The reference lab as an ordinary user: tags by the engine in user space, everything else as with root."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labs import CONTOSO, contoso, established, until
from ordinary import USER, OrdinaryLabs, ordinary_labs

from edge.net.capabilities import probe

pytestmark = pytest.mark.root

WAIT = ("--wait", "60")
PACKET_BLOCK, ENHANCED_HEADER = 6, 28


@pytest.fixture
def labs() -> Iterator[OrdinaryLabs]:
    if os.geteuid() != 0:
        pytest.skip("needs root: becomes another user")
    if probe().packet_rules == "iptables":
        # An ordinary user can have no module loaded; on such a machine its administrator has to.
        modules = [
            f"{name}{kind}" for name in ("ip", "ip6") for kind in ("_tables", "table_filter", "table_nat")
        ]
        subprocess.run(["modprobe", "-a", *modules], check=True, capture_output=True)
    with ordinary_labs() as made:
        told = made.edge("doctor", "--links", "ring")
        if told.returncode:
            pytest.skip(f"an ordinary user can run no lab here: {told.stdout.splitlines()[-2:]}")
        yield made


def marks(check: dict[str, Any]) -> set[tuple[str, int, tuple[int, ...]]]:
    """Way, DSCP and tags of the packets that a check saw on the cross-connection."""
    return {(item["way"], item["dscp"], tuple(item["tags"])) for item in check["evidence"].get("seen", ())}


def uptimes(labs: OrdinaryLabs) -> dict[tuple[str, str], float]:
    """Established sessions by namespace and neighbour: for how long, in seconds."""
    found = established(labs.json("inspect", "contoso"))
    return {(session["namespace"], session["neighbor"]): session["uptime_s"] for session in found}


@pytest.mark.shows(
    "a lab without root",
    "the reference lab and its checks",
    "a call is marked and queued, both ways",
    "captures with all tags",
    here="ring",
)
def test_the_reference_lab_passes_its_checks_changes_and_goes(labs: OrdinaryLabs) -> None:
    done = json.loads(
        labs.ok("deploy", "-t", str(CONTOSO), "--links", "ring", *WAIT, "--format", "json", timeout=150)
    )
    assert done["realisation"]["name"] == "ring"
    assert done["pending"] == []
    checks = json.loads(labs.ok("check", "contoso", "--format", "json", timeout=150))
    assert len(checks["checks"]) >= 16
    assert all(check["ok"] for check in checks["checks"]), checks
    (call,) = [check for check in checks["checks"] if "pc1 -> teams" in check["name"]]
    assert marks(call) == {(way, dscp, (3, 200)) for way in ("out", "in") for dscp in (46, 34, 18, 0)}
    voice = [item for item in labs.json("classes", "contoso")["queues"] if item["name"] == "voice"]
    assert all(
        sum(item["packets"] for item in voice if item["port"].startswith(side)) >= 5
        for side in ("ce", "msee")
    )

    words = (sys.executable, "-m", "edge.cli", "classes")
    assert "the engine has them: edgelab classes" in labs.inside("contoso", "ce1", *words)

    # BFD of all three sessions on the primary connection passes several times a second.
    written = labs.scratch / "ams.pcapng"
    labs.ok("capture", "contoso", "ams-primary", "--count", "16", "--write", str(written))
    assert {struct.unpack("!4H", frame[12:20]) for frame in frames(written.read_bytes())} == {
        (0x8100, 3, 0x8100, 100),
        (0x8100, 3, 0x8100, 200),
    }

    before = uptimes(labs)
    document = contoso()
    document["circuits"]["ams"]["bandwidth"] = "500M"
    changed = json.loads(labs.ok("deploy", "-t", str(labs.file(document)), *WAIT, "--format", "json"))
    assert changed["counts"]["create"] == changed["counts"]["delete"] == 0
    assert changed["counts"]["change"] > 0
    after = uptimes(labs)
    assert after.keys() == before.keys()
    assert all(after[session] >= before[session] for session in before)
    again = json.loads(labs.ok("deploy", "-t", str(labs.file(document)), "--format", "json"))
    assert not again["changed"]

    labs.ok("destroy", "contoso")
    until(lambda: not labs.processes(), "the user's processes to end")
    assert not labs.directory.exists()


def frames(data: bytes) -> Iterator[bytes]:
    """The frames of a little-endian pcapng file."""
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if kind == PACKET_BLOCK:
            (captured,) = struct.unpack_from("<I", data, at + 20)
            yield data[at + ENHANCED_HEADER : at + ENHANCED_HEADER + captured]
        at += length


def test_auto_says_why_it_took_the_ring_and_doctor_agrees(labs: OrdinaryLabs) -> None:
    told = json.loads(labs.edge("doctor", "--format", "json").stdout)
    assert not told["root"]
    if told["realisation"]["name"] != "ring":
        pytest.skip(f"this kernel has better: {told['words']}")
    dry = labs.run("deploy", "--dry-run", "-t", str(CONTOSO))
    assert dry.returncode == 0
    assert "ring links: packet sockets carry tags; not kernel: " in dry.stdout + dry.stderr
    labs.ok("deploy", "-t", str(labs.file(contoso(vnets={}))), *WAIT, timeout=150)
    assert labs.json("inspect", "contoso")["realisation"] == "ring"
    assert "not bpf" in str(labs.json("inspect", "contoso")["reason"])


def test_an_engine_that_dies_is_reported_and_comes_back(labs: OrdinaryLabs) -> None:
    labs.ok("deploy", "-t", str(labs.file(contoso(vnets={}))), "--links", "ring", *WAIT, timeout=150)
    (engine,) = (int(line.split()[0]) for line in labs.processes() if line.split()[1] == "ring")
    os.kill(engine, signal.SIGSEGV)

    def told() -> bool:
        lines = labs.ok("events", "contoso", "--no-follow").splitlines()
        return any("ring" in line and "restarted" in line for line in lines)

    until(told, "the engine to be back")
    assert "killed by signal 11" in (labs.directory / "contoso" / "supervisor.log").read_text()
    labs.inside("contoso", "ce1", "ping", "-c", "1", "-W", "5", "192.168.15.2")
    again = json.loads(labs.ok("deploy", "-t", str(labs.file(contoso(vnets={}))), "--format", "json"))
    assert not again["changed"]
    seen = labs.json("inspect", "contoso")["engine"]
    assert seen["restarts"] == 1
    assert seen["ports"]["ce1:ams1"]["received"] > 0


def test_kill_9_of_the_supervisor_leaves_nothing(labs: OrdinaryLabs) -> None:
    # Where such a user's labs are by default, too.
    labs.environment.pop("EDGELAB_DIR")
    labs.ok("deploy", "-t", str(labs.file(contoso(vnets={}))), "--links", "ring", timeout=150)
    assert Path(f"/tmp/edgelab-{USER}/contoso/socket").exists()
    before = labs.processes()
    assert any("ring" in line for line in before)
    (supervisor,) = (int(line.split()[0]) for line in before if "lab:contoso" in line)
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not labs.processes(), "everything to end")
    assert labs.json("list")["labs"] == []
    labs.ok("destroy", "--all")
    assert not Path(f"/tmp/edgelab-{USER}").exists()
