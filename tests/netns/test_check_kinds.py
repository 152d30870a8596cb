"""Checks of budgets, flows, queues, throughput and sets on a whole lab: good and broken."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labs import Labs, contoso

from edge.errors import EXIT_CHECK_FAILED
from lab.checks import CheckResult, run_checks
from lab.client import Client
from lab.evidence import gather
from lab.faults.calls import active
from lab.state import RunDirectory
from lab.topology import derive

pytestmark = pytest.mark.root

Check = dict[str, Any]

BUDGET: Check = {"budget": ["pc1", "vm1"], "latency": "50ms", "jitter": "40ms", "loss": "0%", "packets": 20}
BUDGET6: Check = {"budget": ["pc1", "vm1"], "latency": "50ms", "packets": 20, "family": 6}
VOICE: Check = {
    "flow": ["pc1", "teams"],
    "link": "ams",
    "class": "voice",
    "tags": [3, 200],
    "ethertypes": ["0x8100", "0x8100"],
    "dscp": 46,
}
ANSWERS: Check = {"flow": ["pc1", "teams"], "link": "ams", "class": "voice", "way": "in", "dscp": 46}
PRIVATE: Check = {"never": ["pc1", "vm1"], "link": "hq-inet-internet"}
MICROSOFT: Check = {"never": ["pc1", "teams"], "link": "internet"}
QUEUE: Check = {"queue": ["pc1", "teams"], "link": "ams", "class": "voice"}
FAR_QUEUE: Check = {
    "queue": ["pc1", "teams"],
    "link": "equinix-amsterdam-msee1",
    "class": "voice",
    "way": "in",
}
SPEED: Check = {"throughput": ["pc1", "teams"], "circuit": "ams", "at_least": "20%", "seconds": 1}
HUB = {"prefix": "10.50.0.0/16", "as_path": [12076], "next_hop": "192.168.15.2"}
ROUTES: Check = {"routes": "ce1", "circuit": "ams", "peering": "private", "family": 4, "exact": [HUB]}
NO_DEFAULT: Check = {"routes": "ce1", "lacks": ["0.0.0.0/0"]}
COMMUNITIES: Check = {"communities": ["ce1", "52.112.0.0/14"], "exact": ["12076:5030"]}
GONE: tuple[Check, ...] = (
    {"route": ["ce1", "52.112.0.0/14"], "present": False},
    {"route": ["ce1", "10.50.0.0/16"], "present": False},
)
UPTIME: Check = {"sessions": "ams", "uptime": "1s"}
CONTROL: Check = {
    "frame": "ams-primary",
    "tags": [3, 100],
    "protocol": "bgp",
    "ethertypes": ["0x8100", "0x8100"],
    "dscp": 48,
}
GOOD = (
    *(BUDGET, BUDGET6, VOICE, ANSWERS, PRIVATE, MICROSOFT, QUEUE, FAR_QUEUE, SPEED, ROUTES, NO_DEFAULT),
    *(COMMUNITIES, UPTIME, CONTROL),
)


@pytest.fixture(scope="module")
def lab(module_labs: Labs) -> Labs:
    module_labs.ok("deploy", "-t", str(module_labs.file(contoso())))
    return module_labs


def client(lab: Labs) -> Client:
    return Client(RunDirectory(lab.directory / "contoso"))


def prove(lab: Labs, *checks: Check, within_s: float = 30) -> tuple[CheckResult, ...]:
    with client(lab) as access:
        model = access.model
        wanted = derive({**model.document, "checks": list(checks)}, model.state).checks
        return run_checks(access, wanted, within_s)


def failures(results: tuple[CheckResult, ...]) -> list[str]:
    return [result.words for result in results if not result.ok]


def deploy(lab: Labs, **changes: Any) -> None:
    lab.ok("deploy", "-t", str(lab.file(contoso(**changes))))


def carriers(lab: Labs, state: str) -> None:
    for edge, port in (("ce1", "ams1"), ("ce2", "ams2")):
        lab.inside("contoso", edge, "ip", "link", "set", port, state)


@pytest.fixture
def without_circuit(lab: Labs) -> Iterator[None]:
    carriers(lab, "down")
    assert failures(prove(lab, {"sessions": "ams", "state": "down"}, *GONE)) == []
    yield
    carriers(lab, "up")
    # After errors BIRD waits longer each time.
    assert failures(prove(lab, {"sessions": "ams"}, BUDGET, VOICE, within_s=90)) == []


def test_every_kind_holds_on_the_good_lab(lab: Labs) -> None:
    results = prove(lab, *GOOD)
    assert failures(results) == []
    budget, _, voice, answers, private, _, queue, far, speed, routes, *_ = (r.evidence for r in results)
    assert [budget[way]["received"] for way in ("out", "in")] == [20, 20]
    assert {(item["dscp"], *item["tags"], *item["ethertypes"]) for item in voice["seen"]} == {
        (46, 3, 200, "0x8100", "0x8100")
    }
    assert {item["way"] for item in answers["seen"]} >= {"in"}
    assert private["seen_at_source"] >= 10
    assert private["seen"] == []
    for counted, ports in ((queue, {"ce1:ams1", "ce2:ams2"}), (far, {"msee1-amsterdam:equinix"})):
        assert counted["on_the_wire"].keys() <= ports
        assert all(row["packets"] >= counted["on_the_wire"][row["port"]] for row in counted["queues"])
        assert all(row["drops"] == 0 for row in counted["queues"])
    assert speed["bandwidth_bps"] == 200_000_000
    assert speed["percent"] >= 20
    assert sum(speed["links"][name] for name in ("ams-primary", "ams-secondary")) >= speed["received_octets"]
    assert speed["received_octets"] >= speed["octets"] > 0
    assert [route["prefix"] for route in routes["routes"]] == ["10.50.0.0/16"]


def test_an_outage_is_measured_under_the_real_fault_and_healed_again(lab: Labs) -> None:
    # Once for an outage that may be, once for one that BFD alone cannot prevent: 3 times 300 ms (facts 4).
    cut = {"outage": ["pc1", "vm1"], "fault": "link-down ams/primary", "at_most": "20s"}
    silent = {"outage": ["pc1", "vm1"], "fault": "silent ams/primary", "at_most": "100ms"}
    good, bad = prove(lab, cut, silent)
    assert good.ok, good.words
    assert good.evidence["before"] == ["ams-primary", "ams-primary"]
    assert "ams-primary" not in good.evidence["after"]
    assert not bad.ok
    assert bad.evidence["gap_s"] > 0.1
    assert "and may be 100 ms" in bad.words
    with client(lab) as access:
        assert active(access) == []
    assert failures(prove(lab, {"sessions": "ams"}, BUDGET)) == []


def test_slow_and_narrow_links_break_budget_and_throughput_and_nothing_else(lab: Labs) -> None:
    harm = {"delay": "80ms", "rate": "5M"}
    deploy(lab, links={"ams-primary": harm, "ams-secondary": harm})
    budget, speed, voice, private = prove(lab, BUDGET, SPEED, VOICE, PRIVATE, within_s=1)
    assert "ms from pc1 to vm1, at most 50 ms allowed" in budget.words
    assert budget.evidence["out"]["latency_median_ms"] >= 79
    assert budget.evidence["out"]["received"] == 20, "late, not lost"
    assert "at least 40 Mbit/s expected" in speed.words
    assert failures((voice, private)) == []
    lossy = {"loss": "40%"}
    deploy(lab, links={"ams-primary": lossy, "ams-secondary": lossy})
    (lost,) = prove(lab, {**BUDGET, "packets": 100, "pace": "2ms", "loss": "10%"}, within_s=1)
    assert "% from pc1 to vm1, at most 10 % allowed" in lost.words
    # On the wire of the host itself, so that sessions stay.
    deploy(lab, links={"pc1": {"loss": "65%"}})
    (most,) = prove(lab, {**BUDGET, "packets": 300, "pace": "2ms", "jitter": None, "loss": None}, within_s=1)
    assert "cannot be judged: only" in most.words
    assert 0 < most.evidence["out"]["received"] < 150
    assert most.evidence["out"]["latency_ms"] < 50, "those that came were quick"
    deploy(lab)
    assert failures(prove(lab, BUDGET, SPEED)) == []


def test_other_tags_no_marks_and_no_queues_are_found(lab: Labs) -> None:
    document = contoso()
    circuit, site = document["circuits"]["ams"], document["sites"]["hq"]
    circuit["handoff"]["outer_ethertype"] = "0x88a8"
    circuit["peerings"]["microsoft"]["vlan"] = 201
    del site["qos"]
    deploy(lab, circuits={"ams": circuit}, sites={"hq": site})
    assert failures(prove(lab, {"sessions": "ams"}, MICROSOFT)) == []
    voice, queue, control = prove(lab, VOICE, QUEUE, CONTROL, within_s=2)
    assert "under tags 3/201, not tags 3/200" in voice.words
    assert "with ethertypes 0x88a8/0x8100, not ethertypes 0x8100/0x8100" in voice.words
    assert "with DSCP 0, not 46" in voice.words
    assert "which sends these packets onto ams, has no queues" in queue.words
    assert "no frame 3/100 bgp ethertypes 0x8100/0x8100 DSCP 48" in control.words
    assert "3/100 bgp ethertypes 0x88a8/0x8100 DSCP 48" in control.words
    deploy(lab)
    assert failures(prove(lab, {"sessions": "ams"}, VOICE, QUEUE, CONTROL)) == []


def test_without_the_circuit_its_promises_fail_and_the_evidence_shows_why(
    lab: Labs, without_circuit: None, tmp_path: Path
) -> None:
    wanted = (VOICE, MICROSOFT, ROUTES, COMMUNITIES, UPTIME, {"ping": ["pc1", "exchange"]})
    results = prove(lab, *wanted, within_s=1)
    voice, never, routes, communities, uptime, ping = results
    assert "none seen on ams" in voice.words
    assert "on internet, where none may be" in never.words
    assert routes.words == "ce1 has 0 routes over ams/private: no route 10.50.0.0/16"
    assert communities.words == "ce1 has no route 52.112.0.0/14"
    assert uptime.words.startswith("0 of 6 sessions established")
    assert ping.ok, "by the Internet"
    (fast,) = prove(lab, {**SPEED, "at_most": "105%"}, within_s=1)
    assert "at most 210 Mbit/s expected" in fast.words, "nobody polices the Internet"
    (astray,) = prove(lab, {**SPEED, "way": "in"}, within_s=1)
    assert "at least" not in astray.words, "it is fast enough, and fails all the same"
    assert "less than 1 % of it crossed circuit ams; it went by" in astray.words
    assert astray.evidence["circuit_octets"] < astray.evidence["received_octets"] / 100
    assert astray.evidence["links"]["hq-inet-internet"] >= astray.evidence["received_octets"]
    with client(lab) as access:
        evidence = gather(access, results, tmp_path / "evidence")
    assert evidence.problems == ()
    folder = evidence.folder
    assert folder is not None
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    listed = {item["file"] for item in json.loads((folder / "index.json").read_text())["files"]}
    assert files == listed | {"README.txt", "index.json"}
    assert "5 of 6 checks failed" in (folder / "README.txt").read_text()
    assert [item["ok"] for item in json.loads((folder / "results.json").read_text())["checks"]] == [
        *[False] * 5,
        True,
    ]
    (again,) = folder.glob("02-never-*.json")
    assert json.loads(again.read_text())["again"]["ok"] is False
    (capture,) = folder.glob("02-never-*.pcapng")
    seen = tshark(capture, "udp.port == 20002", "frame.interface_name", "ip.dst", "vlan.id")
    passed = {name for name, address, _ in seen if address.startswith("52.112.")}
    assert passed >= {"pc1:eth0", "hq-inet:internet"}
    assert not {name for name, *_ in seen} & {"ce1:ams1", "ce2:ams2"}
    assert tshark(capture, "_ws.malformed", "frame.number") == []
    ce1 = (folder / "routers" / "ce1.txt").read_text()
    assert "bird> show protocols all" in ce1
    assert "BGP state:          Idle" in ce1 or "BGP state:          Active" in ce1
    kernel = (folder / "kernel" / "ce1.txt").read_text()
    assert any("ams1@" in line and "state DOWN" in line for line in kernel.splitlines())
    assert "default via 10.1.0.3" in kernel
    status = json.loads((folder / "status.json").read_text())
    assert status["links"]["ce1:ams1"]["up"] is False
    events = json.loads((folder / "events.json").read_text())["events"]
    assert any(event.get("device") == "ams1" and event.get("up") is False for event in events)
    assert (folder / "supervisor.log").stat().st_size
    done = lab.run("validate", "-t", str(folder / "topology.edge.yml"))
    assert done.returncode == 0, done.stderr


def tshark(path: Path, expression: str, *fields: str) -> list[tuple[str, ...]]:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed (apt install tshark)")
    words = [word for one in fields for word in ("-e", one)]
    done = subprocess.run(
        ["tshark", "-n", "-r", str(path), "-Y", expression, "-T", "fields", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]


def test_a_disk_without_room_costs_the_evidence_and_not_the_verdict(lab: Labs, tmp_path: Path) -> None:
    bad = {"ping": ["pc1", "10.50.9.9"]}
    deploy(lab, checks=[{"ping": ["pc1", "vm1"]}, bad])
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(small)], check=True)
    try:
        full = lab.run("check", "--within", "500ms", "--evidence", str(small))
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert full.returncode == EXIT_CHECK_FAILED
    assert "FAILED  ping pc1 -> 10.50.9.9" in full.stdout
    assert "1 of 2 checks passed" in full.stdout
    assert "could not be written: No space left on device" in full.stderr
    (tmp_path / "file").write_text("")
    blocked = lab.run("check", "--within", "500ms", "--evidence", str(tmp_path / "file" / "x"))
    assert blocked.returncode == EXIT_CHECK_FAILED
    assert "evidence could not be written: Not a directory" in blocked.stderr
    assert "1 of 2 checks passed" in blocked.stdout


def test_the_command_names_its_evidence_and_tells_each_check_before_all_are_decided(
    lab: Labs, tmp_path: Path
) -> None:
    deploy(lab, checks=[{"ping": ["pc1", "vm1"]}, {"ping": ["pc1", "10.50.9.9"]}])
    words = ("check", "--within", "3s", "--junit", str(tmp_path / "junit.xml"), "--evidence", str(tmp_path))
    process = lab.popen(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    first = process.stdout.readline()
    assert process.poll() is None, "the second has three seconds to come true"
    out, err = process.communicate(timeout=60)
    assert first.split()[:4] == ["ok", "ping", "pc1", "->"]
    assert process.returncode == EXIT_CHECK_FAILED
    assert "1 of 2 checks passed" in out
    (folder,) = tmp_path.glob("contoso-*")
    assert err.strip().endswith(f"evidence: {folder}")
    assert f'<property name="evidence" value="{folder}"/>' in (tmp_path / "junit.xml").read_text()
    told = lab.run("check", "--within", "200ms", "--format", "json", "--no-evidence")
    assert json.loads(told.stdout)["evidence"] is None
