"""A running lab that several scenarios share: commands to its service, traffic in it, and its counters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from labs import Labs, established, until
from uptimes import Uptimes, uptimes

FLOWS = """
import socket, sys
target, port, count, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
sock = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM)
for number in range(count):
    if number % each == 0:
        sock.close()
        sock = socket.socket(sock.family, socket.SOCK_DGRAM)
        sock.bind(("", 30000 + number // each))
    # Not connected: an answer of ICMP then ends nothing.
    sock.sendto(b"scenario" * 10, (target, port))
"""
"""Sends `count` UDP packets, `each` of one 5-tuple, the next with another source port."""

ECHO = """
import select, socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", int(sys.argv[1])))
print("ready", flush=True)
while True:
    ready = select.select([udp, sys.stdin], [], [], 60)[0]
    if not ready or sys.stdin in ready:
        break
    data, caller = udp.recvfrom(2048)
    udp.sendto(caller[0].encode(), caller)
"""
"""Answers each UDP packet with the address that it seems to come from, until its input ends."""

ASK = """
import socket, sys
target, port, source, tries = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", source))
udp.settimeout(0.5)
answer = ""
for _ in range(tries):
    udp.sendto(b"who am I", (target, port))
    try:
        answer = udp.recv(2048).decode()
        break
    except OSError:
        pass
print(answer)
"""
"""Asks an ECHO from one source port; the address that it saw, or nothing when no answer came."""

SINK = """
import select, socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.setsockopt(socket.SOL_SOCKET, 33, 1 << 25)  # 33: SO_RCVBUFFORCE
udp.bind(("", int(sys.argv[1])))
print("ready", flush=True)
octets = 0
while True:
    ready = select.select([udp, sys.stdin], [], [])[0]
    if udp in ready:
        octets += len(udp.recv(2048)) + 28
    else:
        break
print(octets)
"""
"""Octets of IP that came to a UDP port, until its input ends and nothing waits."""

OFFER = """
import socket, sys, time
target, port, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 8, float(sys.argv[4])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", int(sys.argv[5])))
udp.setsockopt(17, 103, 1300)  # SOL_UDP, UDP_SEGMENT: four packets for the work of one
udp.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, DO: a gateway drops what is long and may be cut
begin = time.monotonic()
sent = 0
while (now := time.monotonic() - begin) < seconds:
    while sent < now * rate and time.monotonic() - begin < seconds:
        udp.sendto(bytes(4 * 1300), (target, port))
        sent += 4 * 1328
    time.sleep(0.001)
print(sent, time.monotonic() - begin)
"""
"""Offers a rate in bits per second of IP for some seconds; (octets sent, seconds that it took)."""


@dataclass(frozen=True)
class Flood:
    """What came of an offer: bits per second of IP that were sent, and those that arrived."""

    offered_bps: float
    through_bps: float


@dataclass
class ScenarioLab:
    """One lab by its name, and the program to speak to it with."""

    labs: Labs
    name: str

    def deploy(self, document: dict[str, Any], *words: str) -> None:
        """Make the lab what the document says."""
        self.labs.ok("deploy", "-t", str(self.labs.file({**document, "name": self.name})), *words)

    def say(self, line: str) -> dict[str, Any]:
        """An accepted command's answer."""
        answer: dict[str, Any] = self.labs.json(*line.split(), "--lab", self.name)
        assert answer["ok"]
        return answer

    def refused(self, line: str) -> str:
        """The code of a refused command, which has changed nothing."""
        before = self.state()
        done = self.labs.run(*line.split(), "--lab", self.name, "--format", "json")
        assert done.returncode == 1, done.stdout + done.stderr
        assert self.state() == before
        answer = json.loads(done.stdout)
        assert answer["ok"] is False
        assert answer["refusal"]["way_out"]
        code: str = answer["refusal"]["code"]
        return code

    def state(self) -> dict[str, Any]:
        """The State as the supervisor keeps it."""
        state: dict[str, Any] = json.loads((self.labs.directory / self.name / "service.json").read_text())
        return state["state"]  # type: ignore[no-any-return]

    def inside(self, node: str, *command: str) -> str:
        """A command's output in a node."""
        return self.labs.inside(self.name, node, *command)

    def script(self, node: str, code: str, *arguments: Any) -> str:
        """A piece of Python in a node, to its end; its output."""
        return self.inside(node, sys.executable, "-c", code, *map(str, arguments))

    @contextmanager
    def serving(self, node: str, code: str, *arguments: Any) -> Iterator[list[str]]:
        """A piece of Python in a node, running beside; the list has its last words when the block is left."""
        words = ("exec", self.name, node, "--", sys.executable, "-c", code, *map(str, arguments))
        reading, writing = os.pipe2(os.O_CLOEXEC)
        with os.fdopen(writing, "w") as end_of_input:
            with os.fdopen(reading) as theirs:
                started = self.labs.fork(*words, stdin=theirs, stdout=subprocess.PIPE)
            said: list[str] = []
            assert started.stdout is not None
            try:
                assert started.stdout.readline() == "ready\n"
                yield said
            finally:
                end_of_input.close()
                started.wait(30)
                said.extend(started.communicate(timeout=30)[0].split())

    def reaches(self, source: str, target: str) -> bool:
        """Whether one ping is answered."""
        words = ("exec", self.name, source, "--", "ping", "-c", "1", "-W", "1", target)
        return self.labs.run(*words).returncode == 0

    def counted(self, *places: str, way: str = "rx") -> dict[str, int]:
        """Packets that devices (`node:device`) have received, or with `tx` sent."""
        found = {}
        for node in dict.fromkeys(place.partition(":")[0] for place in places):
            devices = json.loads(self.inside(node, "ip", "-j", "-s", "link", "show"))
            counted = {item["ifname"]: item["stats64"][way]["packets"] for item in devices}
            for place in places:
                if place.startswith(f"{node}:"):
                    found[place] = counted[place.partition(":")[2]]
        return found

    def arrivals(self, source: str, target: str, *places: str, flows: int, each: int = 1) -> dict[str, int]:
        """Packets that came by each place while `source` sent flows to `target`; those with few are left out.

        BFD and BGP come by as well, some packets in a second.
        """
        count = flows * each
        before = self.counted(*places)
        self.script(source, FLOWS, target, 33434, count, each)
        after = self.counted(*places)
        rose = {place: after[place] - before[place] for place in places}
        assert sum(rose.values()) >= count, rose
        return {place: more for place, more in rose.items() if more >= count // 20}

    def flood(self, source: str, target: str, node: str, rate_bps: float, seconds: float = 1.5) -> Flood:
        """Offer a rate from a node to a host's address on another node.

        A busy machine may not manage to offer it: then once more.
        """
        end = time.monotonic() + 30
        while True:
            with self.serving(node, SINK, 20002) as heard:
                said = self.script(source, OFFER, target, 20002, rate_bps, seconds, 20001)
            sent, took = map(float, said.split())
            found = Flood(sent * 8 / took, int(heard[0]) * 8 / took)
            if found.offered_bps > 0.9 * rate_bps:
                return found
            assert time.monotonic() < end, f"this machine cannot offer {rate_bps:.0f} bit/s: {found}"

    def dropped_by(self, namespace: str, counter: str) -> int:
        """Packets that a named counter of a namespace's packet rules has dropped."""
        listing = json.loads(self.inside(namespace, "nft", "-j", "list", "counters"))
        found = [item["counter"] for item in listing["nftables"] if "counter" in item]
        return sum(item["packets"] for item in found if item["name"] == counter)

    def routes(self, node: str) -> dict[str, list[str]]:
        """Destination -> next hops in a node's kernel."""
        listing = json.loads(self.inside(node, "ip", "-j", "route"))
        return {
            item["dst"]: [hop["gateway"] for hop in item.get("nexthops", [item]) if "gateway" in hop]
            for item in listing
        }

    def uptimes(self) -> Uptimes:
        """How long the sessions have been up."""
        return uptimes(self.labs, self.name)

    def established(self, **like: Any) -> list[dict[str, Any]]:
        """Sessions that match and are up."""
        return established(self.labs.json("inspect", self.name), **like)

    def until_routes(self, node: str, destination: str, hops: int) -> list[str]:
        """Wait until a node has so many next hops to a destination; those."""
        found: list[str] = until(
            lambda: len(there := self.routes(node).get(destination, [])) == hops and (there or ["none"]),
            f"{node} has {hops} ways to {destination}",
        )
        return found
