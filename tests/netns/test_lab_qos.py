"""Quality of service on a whole lab: marks on the wire, queues under overload, the MSEE's knob."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from labs import Labs, contoso, established, until

pytestmark = pytest.mark.root

TEAMS = "52.112.0.11"
VM = "10.50.1.4"
PC = "10.1.0.10"
CALL = {"voice": 46, "video": 34, "sharing": 18, "default": 0}

LISTEN = """
import json, select, socket, struct, sys, time  # 33: SO_RCVBUFFORCE
port, count, deadline, inputs = int(sys.argv[1]), int(sys.argv[2]), time.monotonic() + 60, [sys.stdin]
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)
udp.bind(("", port))
raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
raw.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)
print("ready", flush=True)
seen, got = [], 0
while time.monotonic() < deadline and (got < count or len(seen) < count):
    for sock in select.select([udp, raw, *inputs], [], [], 0.05)[0]:
        if sock is sys.stdin:
            # Nobody speaks any more; what is on its way has this much time.
            deadline, inputs = time.monotonic() + 1, []
            continue
        data = sock.recv(65535)
        if sock is udp:
            got += data.startswith(b"voice")
        elif data[9] == 17 and struct.unpack_from("!H", data, 22)[0] == port and data[28:33] == b"voice":
            words = struct.unpack("!10H", data[:20])
            total = sum(words)
            while total >> 16:
                total = (total & 0xFFFF) + (total >> 16)
            seen.append([data[1] >> 2, data[1] & 3, total == 0xFFFF])
print(json.dumps({"received": got, "seen": seen}))
"""
"""Listens on a UDP port: how many arrived, and (DSCP, ECN, header checksum right) of each packet."""

SPEAK = """
import socket, sys, time
target, pause, size = sys.argv[1], float(sys.argv[6]), int(sys.argv[7])
port, source, tos, count = map(int, sys.argv[2:6])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
sock.bind(("", source))
begin = time.monotonic()
for number in range(count):
    sock.sendto(b"voice".ljust(size, b"v"), (target, port))
    time.sleep(max(0.0, begin + number * pause - time.monotonic()))
"""
"""Sends UDP at a steady pace."""

FLOOD = """
import select, socket, sys, time
target, octets_per_second, port = sys.argv[1], float(sys.argv[2]), int((*sys.argv, 20002)[3])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", 20001))
begin = time.monotonic()
sent = 0
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.001)[0]:
    now = time.monotonic() - begin
    while sent * 1446 < now * octets_per_second:
        sock.sendto(bytes(1400), (target, port))
        sent += 1
"""
"""Bulk: full packets without regard for anybody, until its input ends."""


def lab(labs: Labs, **changes: Any) -> None:
    """The reference lab, its secondary connection cut, so that all packets go one way."""
    labs.ok("deploy", "-t", str(labs.file(contoso(**changes))))
    labs.inside("contoso", "ce2", "ip", "link", "set", "ams2", "down")
    until(
        lambda: (
            {item["connection"] for item in established(labs.json("inspect"), circuit="ams")} == {"primary"}
        ),
        "only the primary connection is left",
    )
    until(lambda: "via 198.51.100.2" in route(labs), "ce1 has the way to Teams")


def route(labs: Labs) -> str:
    return labs.inside("contoso", "ce1", "ip", "route", "get", TEAMS)


def circuit(**keys: Any) -> dict[str, Any]:
    document: dict[str, Any] = contoso()["circuits"]
    document["ams"].update(keys)
    return document


def sites(qos: Any) -> dict[str, Any]:
    document: dict[str, Any] = contoso()["sites"]
    document["hq"].pop("qos", None)
    if qos is not None:
        document["hq"]["qos"] = qos
    return document


def python(labs: Labs, node: str, code: str, *arguments: Any) -> subprocess.Popen[str]:
    """Run a piece of Python in a node; it says when it is ready, and ends when its input does."""
    words = ("exec", "contoso", node, "--", sys.executable, "-c", code, *map(str, arguments))
    started = labs.popen(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


@contextmanager
def listening(labs: Labs, node: str, count: int) -> Iterator[dict[str, Any]]:
    """What a node heard while the block ran; complete when the block is left."""
    heard: dict[str, Any] = {}
    listener = python(labs, node, LISTEN, 40000, count)
    yield heard
    output, _ = listener.communicate(timeout=90)
    heard.update(json.loads(output))


def speak(
    labs: Labs, target: str, *, dscp: int = 0, ecn: int = 0, source: int = 50000, count: int = 5
) -> None:
    arguments = (target, 40000, source, dscp << 2 | ecn, count, 0.01, 200)
    labs.inside("contoso", "pc1", sys.executable, "-c", SPEAK, *map(str, arguments))


def heard_dscps(
    labs: Labs, node: str, target: str, dscp: int, source: int = 20001, count: int = 5
) -> set[int]:
    with listening(labs, node, count) as heard:
        speak(labs, target, dscp=dscp, source=source, count=count)
    return {item[0] for item in heard["seen"]}


@pytest.mark.kernels("here", "stock")
@pytest.mark.shows("a call is marked and queued, both ways", here="bpf", stock="kernel")
def test_a_call_is_marked_and_queued_on_the_cross_connection_both_ways(labs: Labs) -> None:
    call = {"path": ["pc1", "teams"], "via": "ams", "peering": "microsoft", "dscp": CALL}
    private = {"path": ["pc1", "vm1"], "via": "ams", "peering": "private", "dscp": {"voice": 0}}
    labs.ok("deploy", "-t", str(labs.file(contoso(checks=[call, private]))))
    checks = labs.json("check")["checks"]
    assert [item["ok"] for item in checks] == [True, True], [item["words"] for item in checks]
    seen = {
        (item["way"], item["class"], item["dscp"], tuple(item["tags"]))
        for item in checks[0]["evidence"]["seen"]
    }
    assert seen == {(way, name, dscp, (3, 200)) for way in ("out", "in") for name, dscp in CALL.items()}
    queues = labs.json("classes")["queues"]
    for name in ("voice", "video", "sharing"):
        for side in ("ce", "msee"):
            mine = [item for item in queues if item["port"].startswith(side) and item["name"] == name]
            assert sum(item["packets"] for item in mine) >= 5, (side, name)
    marks_give_no_priority_on_private_peering(labs)


def marks_give_no_priority_on_private_peering(labs: Labs) -> None:
    def at_msee() -> Counter[str]:
        found: Counter[str] = Counter()
        for item in labs.json("classes")["queues"]:
            if item["port"].startswith("msee"):
                found[item["name"]] += item["packets"]
        return found

    before = at_msee()
    with listening(labs, "pc1", 20) as heard:
        arguments = (PC, 40000, 50000, 46 << 2, 20, 0.01, 200)
        labs.inside("contoso", "vm1", sys.executable, "-c", SPEAK, *map(str, arguments))
    assert {item[0] for item in heard["seen"]} == {46}
    rose = at_msee() - before
    assert rose["default"] >= 20
    assert rose["voice"] == 0


def test_a_wrong_expectation_of_a_mark_fails_and_says_what_was_seen(labs: Labs) -> None:
    wrong = {"path": ["pc1", "teams"], "via": "ams", "dscp": {"voice": 34}}
    labs.ok("deploy", "-t", str(labs.file(contoso(checks=[wrong]))))
    done = labs.run("check", "--deadline", "3", "--format", "json")
    assert done.returncode == 1
    assert "with DSCP 46 on ams-" in json.loads(done.stdout)["checks"][0]["words"]


def test_scenario_46_a_private_peering_carries_every_dscp_unchanged(labs: Labs) -> None:
    """A packet marked 26 arrives at the virtual machine with 26; so do others."""
    lab(labs)
    for dscp in (46, 26, 0):
        # Ports of a call are for the queues only there.
        assert heard_dscps(labs, "vm1", VM, dscp, source=50000) == {dscp}


def test_the_msee_does_with_unknown_marks_as_it_is_told_and_learns_it_live(labs: Labs) -> None:
    lab(labs, circuits=circuit(qos={"msee": "pass"}), sites=sites(None))
    before = uptimes(labs)
    answers: tuple[tuple[str, set[int]], ...] = (("pass", {26}), ("remark", {0}), ("drop", set()))
    for number, (knob, arrives) in enumerate(answers, 1):
        changed = contoso(circuits=circuit(qos={"msee": knob}), sites=sites(None))
        # This puts the secondary connection right, too. A flow that moves to it would leave without address
        # translation, as ce2 has seen it begin without: so each has a port of its own.
        labs.ok("deploy", "-t", str(labs.file(changed)))
        assert heard_dscps(labs, "teams", TEAMS, 34, source=21000 + number) == {34}
        assert heard_dscps(labs, "teams", TEAMS, 26, source=22000 + number) == arrives
        assert unknown_at_msee(labs) >= 5 * number
    # The edge's own BGP is CS6 by nature, and must not be lost to the knob.
    after = uptimes(labs)
    assert all(after.get(session, -1.0) > uptime for session, uptime in before.items())


def unknown_at_msee(labs: Labs) -> int:
    markings = labs.json("classes")["markings"]
    return sum(item["unknown"] for item in markings if item["hook"] == "ingress")


def test_an_edge_with_a_policy_leaves_the_msee_nothing_to_do(labs: Labs) -> None:
    lab(labs, circuits=circuit(qos={"msee": "drop"}))
    assert heard_dscps(labs, "teams", TEAMS, 26) == {0}
    assert heard_dscps(labs, "teams", TEAMS, 0, source=50025) == {34}


def test_marking_keeps_ecn_and_checksums_right(labs: Labs) -> None:
    lab(labs)
    for ecn in (1, 2, 3):
        with listening(labs, "teams", 5) as heard:
            speak(labs, TEAMS, ecn=ecn)
        assert heard["received"] == 5
        assert {tuple(item) for item in heard["seen"]} == {(46, ecn, True)}


def test_a_changed_bandwidth_has_its_effect_and_sessions_go_on(labs: Labs) -> None:
    lab(labs)
    before = uptimes(labs)
    labs.ok("deploy", "-t", str(labs.file(contoso(circuits=circuit(bandwidth="50M")))), "--no-wait")
    after = uptimes(labs)
    assert all(after.get(session, -1.0) >= uptime for session, uptime in before.items())
    voice = [item for item in labs.json("classes")["queues"] if item["name"] == "voice"]
    assert {item["ceil_bps"] for item in voice} == {50_000_000 * 99 // 100 * 30 // 100}
    rate = labs.inside("contoso", "ce1", "tc", "class", "show", "dev", "ams1", "classid", "1:f")
    assert "rate 49500Kbit" in rate


def uptimes(labs: Labs) -> dict[tuple[str, str], float]:
    """Seconds since each session of the primary connection was established."""
    found = established(labs.json("inspect"), circuit="ams", connection="primary")
    return {(item["namespace"], item["name"]): item["uptime_s"] for item in found}


def overload(labs: Labs) -> tuple[int, int]:
    """(voice packets sent, received) while bulk comes at three times the circuit's 50 Mbit/s."""
    count, seconds, before = 300, 3.0, dropped(labs)
    with listening(labs, "teams", count) as heard:
        bulk = python(labs, "pc1", FLOOD, TEAMS, 3 * 50e6 / 8)
        until(lambda: dropped(labs) > before + 300, "the circuit is full")
        arguments = (TEAMS, 40000, 50000, 0, count, seconds / count, 1000)
        labs.inside("contoso", "pc1", sys.executable, "-c", SPEAK, *map(str, arguments))
        bulk.communicate(timeout=30)
    return count, heard["received"]


def dropped(labs: Labs) -> int:
    view = labs.json("classes")
    queues = sum(item["drops"] for item in view["queues"] if item["port"] == "ce1:ams1")
    limited = labs.json("inspect")["tag_counters"].get("virtual_circuits", ())
    return int(queues + sum(item["a_to_b"]["dropped"]["packets"] for item in limited))


@pytest.mark.shows("voice loses nothing in an overload behind queues", here="bpf")
def test_scenario_44_voice_loses_nothing_behind_queues_and_much_without(labs: Labs) -> None:
    """Under three times the circuit's load voice loses nothing where edges queue, and a lot where not."""
    lab(labs, circuits=circuit(bandwidth="50M"))
    sent, with_queues = overload(labs)
    voice = [item for item in labs.json("classes")["queues"] if item["name"] == "voice"]
    assert sum(item["drops"] for item in voice) == 0
    assert sum(item["packets"] for item in voice if item["port"] == "ce1:ams1") >= sent

    changed = contoso(circuits=circuit(bandwidth="50M"), sites=sites(None))
    labs.ok("deploy", "-t", str(labs.file(changed)), "--no-wait")
    labs.inside("contoso", "ce2", "ip", "link", "set", "ams2", "down")
    _, without = overload(labs)

    assert with_queues == sent
    assert sent - without > 0.05 * sent


def test_sessions_survive_an_overload_of_the_queues(labs: Labs) -> None:
    lab(labs, circuits=circuit(bandwidth="50M"))
    before = uptimes(labs)
    # Bulk to the port of BFD: what a host sends there must not get into the class of the routers.
    bulk = python(labs, "pc1", FLOOD, TEAMS, 3 * 50e6 / 8, 3784)
    until(lambda: queue(labs, "default")["drops"] > 3000, "bulk has filled its class for a while")
    control, default = queue(labs, "control"), queue(labs, "default")
    until(lambda: queue(labs, "control")["packets"] > control["packets"] + 20, "BFD goes on beside it")
    bulk.communicate(timeout=30)
    after = uptimes(labs)
    assert before
    assert all(after.get(session, -1.0) > uptime for session, uptime in before.items())
    assert queue(labs, "control")["drops"] == 0
    assert control["packets"] < 1000 < default["packets"], "bulk is in the class default"


def queue(labs: Labs, name: str) -> dict[str, Any]:
    """The counters of a class at the edge's port."""
    (found,) = [
        item
        for item in labs.json("classes")["queues"]
        if (item["port"], item["circuit"], item["name"]) == ("ce1:ams1", "ams", name)
    ]
    return dict(found)


def test_counters_are_shown_as_they_go_on_and_end_quietly(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(labs.file(contoso())))
    assert "voice (strict)" in labs.ok("classes")
    assert "(none)" in labs.ok("classes", "--rules")
    words = (sys.executable, "-m", "edge.cli", "classes", "--format", "json")
    from_inside = json.loads(labs.inside("contoso", "ce1", *words))
    assert {(item["at"], item["policy"]) for item in from_inside["markings"]} == {
        ("ams1.100", "teams or microsoft"),
        ("ams1.200", "teams or microsoft"),
    }
    told = [item for item in labs.json("classes")["queues"] if item["port"] == "ce1:ams1"]
    same = ("name", "strict", "rate_bps", "ceil_bps")
    assert [[item[key] for key in same] for item in from_inside["queues"]] == [
        [item[key] for key in same] for item in told
    ]
    watching = labs.popen(
        *("classes", "--watch", "--every", "0.1", "--format", "json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert watching.stdout is not None
    views = [json.loads(watching.stdout.readline()) for _ in range(3)]
    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=10)
    assert (watching.returncode, errors) == (0, "")
    assert [view["version"] for view in views] == [1, 1, 1]
    assert views[0]["time"] < views[1]["time"] < views[2]["time"]
