"""`edge classes`: another process sees in the kernel what the one that made queues and markings knows."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import pytest
from net_helpers import create_all

from edge.fastpath.attach import HookKind
from edge.fastpath.markplane import MarkPlane
from edge.model import Tag
from edge.net.kernel import Kernel
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.devices import AdminUp, Namespace, Sysctl, Veth
from edge.net.objects.frames import Marking, Queues, QueueTree
from edge.net.objects.routing import DeviceAddress
from edge.qos.model import CLASSES, Policy, Rule
from edge.qos.policytext import to_yaml
from edge.qos.profiles import profile
from edge.qos.steering import at_msee_ingress, by_dscp, with_control
from tests.waiting import wait_until

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[2]
CE, MSEE = Endpoint("ce", "ams1"), Endpoint("msee", "ams1")
TEAMS = with_control(profile("teams"))
MINE = Policy("mine", (Rule("phones", "voice", 46, protocols=(17,)), Rule("rest", "files", None)))
MARKED = Marking(CE, "egress", TEAMS, "out", "mark", tree=2)
TAGGED = Marking(CE, "egress", by_dscp(), "in", "steer", outer=Tag(3), tree=2)
KNOB = Marking(MSEE, "ingress", at_msee_ingress("drop"), "out", "steer", msee="drop")
QUEUES = Queues(CE, (QueueTree(2, 100_000_000, TEAMS.classes),))
SPACES = [Namespace("ce"), Namespace("msee")]
NET: list[KernelObject] = [
    Veth(CE, MSEE, 1508, "02:00:00:00:01:0a", "02:00:00:00:01:0b"),
    AdminUp(CE),
    AdminUp(MSEE),
    DeviceAddress(CE, ip_interface("192.0.2.1/24")),
    DeviceAddress(MSEE, ip_interface("192.0.2.2/24")),
    QUEUES,
    MARKED,
    TAGGED,
    KNOB,
]


@dataclass
class World:
    """What made queues and markings, and the program that reads them."""

    kernel: Kernel
    plane: MarkPlane

    def edge(self, namespace: str, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `edge classes WORDS` in a namespace."""
        command = ("ip", "netns", "exec", namespace, sys.executable, "-m", "edge.cli", "classes", *words)
        environment = {**os.environ, "COLUMNS": "160"}
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, **options
        )

    def shown(self, namespace: str, *words: str) -> dict[str, Any]:
        """The same as data."""
        done = self.edge(namespace, *words, "--format", "json")
        assert (done.returncode, done.stderr) == (0, "")
        data: dict[str, Any] = json.loads(done.stdout)
        return data

    def known(self, obj: Marking) -> dict[str, Any]:
        """What the plane itself counted of a marking."""
        found = self.plane.counters().marking(obj)
        assert found is not None
        return {**found.to_json(), "at": obj.at.device}

    def speak(self, source: int, count: int) -> None:
        """UDP packets from the customer's edge to the MSEE."""
        with self.kernel.socket("ce", socket.AF_INET, socket.SOCK_DGRAM, 0) as sender:
            sender.bind(("192.0.2.1", source))
            for _ in range(count):
                sender.sendto(bytes(100), ("192.0.2.2", 40000))


@pytest.fixture
def world(sandbox, request: pytest.FixtureRequest) -> Iterator[World]:
    hook: HookKind = getattr(request, "param", "auto")
    reason = MarkPlane.probe(hook)
    if reason is not None:
        pytest.skip(reason)
    plane = MarkPlane(hook)
    kernel = Kernel(netns_directory=sandbox.netns_directory, mark_plane=plane)
    with contextlib.closing(plane), contextlib.closing(kernel):
        create_all(kernel, SPACES)
        # No frames but those of the test, not even of neighbour discovery.
        create_all(kernel, [Sysctl(at.name, "net/ipv6/conf/default/disable_ipv6", "1") for at in SPACES])
        create_all(kernel, NET)
        wait_until(
            lambda: sandbox.ip_json("-n", "ce", "link", "show", "ams1")[0]["operstate"] == "UP",
            "the link is up",
        )
        yield World(kernel, plane)


@pytest.mark.kernels("here", "stock")
@pytest.mark.shows("`edge classes` reads markings and queues", here="any", stock="any")
@pytest.mark.parametrize("world", ["auto", "clsact"], indirect=True)
def test_names_and_counters_are_those_of_the_process_that_made_them(world: World) -> None:
    world.speak(50005, 5)
    world.speak(50025, 3)
    seen = world.shown("ce")
    assert seen["version"] == 1
    assert seen["notes"] == []
    assert seen["queues"] == [
        {**item.to_json(), "at": "ams1"} for item in world.kernel.queue_counters([QUEUES])
    ]
    packets = {item["name"]: item["packets"] for item in seen["queues"]}
    assert (packets["voice"], packets["video"]) == (5, 3)
    # The customer's and Microsoft's policy are the same rules.
    marked, tagged = sorted(seen["markings"], key=lambda item: item["policy"], reverse=True)
    assert marked == {**world.known(MARKED), "policy": "teams or microsoft"}
    assert tagged == world.known(TAGGED)
    assert {rule["name"]: rule["packets"] for rule in marked["rules"]}["teams-audio"] == 5
    (knob,) = world.shown("msee")["markings"]
    assert knob == world.known(KNOB)


def test_a_policy_that_nobody_knows_is_shown_by_numbers_until_its_file_is_given(
    world: World, tmp_path: Path
) -> None:
    assert world.kernel.apply([Change(MARKED, replace(MARKED, policy=MINE, tree=1))]) == [None]
    world.speak(50005, 4)
    shown = next(item for item in world.shown("ce")["markings"] if item["outer"] is None)
    assert shown["policy"] == ""
    assert [(rule["name"], rule["class"]) for rule in shown["rules"]] == [
        ("rule 0 (EF)", "queue 0"),
        ("rule 1", "queue 3"),
    ]
    assert shown["rules"][0]["packets"] == 4
    assert {item["name"] for item in shown["classes"]} == {"queue 0", "queue 3", "queue 4"}
    file = tmp_path / "mine.yml"
    file.write_text(to_yaml(MINE))
    shown = next(item for item in world.shown("ce", "--policy", str(file))["markings"] if not item["outer"])
    assert (shown["policy"], [rule["name"] for rule in shown["rules"]]) == ("mine", ["phones", "rest"])
    assert [item["name"] for item in shown["classes"]] == [item.name for item in CLASSES]


def test_queues_whose_markings_disagree_have_numbers_and_those_of_others_are_left_out(
    world: World, sandbox
) -> None:
    other = replace(TEAMS, classes=tuple(replace(one, name=f"{one.name}2") for one in CLASSES), rules=())
    other = replace(other, classes=(*other.classes[:-1], CLASSES[-1]))
    assert world.kernel.apply([Change(TAGGED, replace(TAGGED, policy=other))]) == [None]
    sandbox.run("ip", "-n", "ce", "link", "add", "own", "type", "veth", "peer", "name", "own2")
    sandbox.run("tc", "-n", "ce", "qdisc", "add", "dev", "own", "root", "handle", "1:", "htb")
    seen = world.shown("ce")
    assert [item["name"] for item in seen["queues"]][:2] == ["voice", "video"]
    assert {item["at"] for item in seen["queues"]} == {"ams1"}


def test_tables_name_what_passes_and_an_empty_namespace_says_where_to_look(world: World, sandbox) -> None:
    world.speak(50005, 5)
    told = world.edge("ce").stdout
    rows = [line.split() for line in told.splitlines()]
    assert ["ams1", "voice", "(strict)", "30M", "5", "710", "0", "0"] in rows
    assert ["ams1", "egress", "teams", "or", "microsoft", "voice", "5", "710", "5"] in rows
    assert "teams-audio" in world.edge("ce", "--rules").stdout
    world.kernel.apply([Change(item, None) for item in (MARKED, TAGGED)])
    world.kernel.apply([Change(QUEUES, None)])
    assert "`ring` links the engine has them: edgelab classes" in world.edge("ce").stdout
    sandbox.run("ip", "netns", "exec", "ce", "nft", "add", "table", "inet", "edge_marking")
    assert world.shown("ce")["notes"] == ["packet rules mark here: nft list table inet edge_marking"]


def test_watching_goes_on_until_it_is_interrupted(world: World) -> None:
    words = ("ip", "netns", "exec", "ce", sys.executable, "-m", "edge.cli", "classes", "--watch", "--every")
    watching = subprocess.Popen(
        (*words, "0.1", "--format", "json"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    first = json.loads(watching.stdout.readline())
    world.speak(50005, 2)

    def voice(view: dict[str, Any]) -> int:
        return sum(item["packets"] for item in view["queues"] if item["name"] == "voice")

    wait_until(lambda: voice(json.loads(watching.stdout.readline())) == voice(first) + 2, "two packets more")
    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=10)
    assert (watching.returncode, errors) == (0, "")
