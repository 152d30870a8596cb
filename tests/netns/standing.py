"""A lab that stands while a module's tests ask it: commands, routers' tables, hosts' packets.

Each test begins with `lab.again()`, which deploys the lab's own file: what the test before has ordered is
undone by the deploy, what it has done by hand on a router by the test itself (`by_hand`).
"""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from labs import Labs, established, until

from edge.bgp.process import control_path
from edge.bgp.state import BfdSession, ProtocolState, RouteInfo
from lab.client import Client
from lab.state import RunDirectory

SO_RCVBUFFORCE = 33


@dataclass
class Lab:
    """One lab of `labs`, made of `document`."""

    labs: Labs
    document: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As the document has it."""
        name: str = self.document["name"]
        return name

    def again(self, *options: str) -> Lab:
        """Deploy the lab as its file has it, and wait for its sessions unless options say otherwise."""
        self.deploy(self.document, *options)
        return self

    def deploy(self, document: Mapping[str, Any], *options: str) -> None:
        """Make the lab what another document says; without `--no-wait` all its sessions come up."""
        wait = options or ("--wait", "30")
        self.labs.ok("deploy", "-t", str(self.labs.file(dict(document))), *wait)

    def client(self) -> Client:
        """A connection to the lab."""
        return Client(RunDirectory(self.labs.directory / self.name))

    def say(self, line: str) -> dict[str, Any]:
        """An accepted command's answer; with `--wait` the sessions must have come up."""
        answer: dict[str, Any] = self.labs.json(*line.split(), "--lab", self.name)
        assert answer["ok"]
        assert answer.get("pending", []) == []
        return answer

    def no(self, line: str) -> str:
        """The code of a refused command, which has changed nothing."""
        state = self.labs.directory / self.name / "service.json"
        before = state.read_text()
        done = self.labs.run(*line.split(), "--lab", self.name, "--format", "json")
        assert done.returncode == 1, done.stdout + done.stderr
        assert state.read_text() == before
        code: str = json.loads(done.stdout)["refusal"]["code"]
        return code

    def inside(self, node: str, *command: str) -> str:
        """Output of a command in a node."""
        return self.labs.inside(self.name, node, *command)

    def answers(self, source: str, target: str, *options: str) -> bool:
        """Whether a ping is answered."""
        ping = ("ping", "-c", "1", "-W", "1", *options, target)
        return self.labs.run("exec", self.name, source, "--", *ping).returncode == 0

    def up(self, **like: Any) -> list[dict[str, Any]]:
        """Sessions of `inspect` that are Established, and like this."""
        return established(self.labs.json("inspect", self.name), **like)

    def addresses(self, node: str, device: str) -> set[str]:
        """A device's addresses but for link-local ones, with their lengths."""
        found = json.loads(self.inside(node, "ip", "-j", "address", "show", device))
        return {
            f"{one['local']}/{one['prefixlen']}" for one in found[0]["addr_info"] if one["scope"] == "global"
        }

    def macs(self, node: str) -> dict[str, str]:
        """The hardware addresses of a node's devices."""
        return {one["ifname"]: one["address"] for one in json.loads(self.inside(node, "ip", "-j", "link"))}

    def received(self, *subs: str) -> list[int]:
        """Frames that have come in at subinterfaces, `ce1:ams1.100`, by their tags' counters."""
        counters = self.labs.json("inspect", self.name)["tag_counters"]["subinterfaces"]
        packets = {one["sub"]: one["rx"]["packets"] for one in counters}
        return [packets[sub] for sub in subs]

    def next_hops(self, node: str, prefix: str) -> set[str]:
        """The next hops that the kernel has for a prefix."""
        family = f"-{ip_network(prefix).version}"
        routes = json.loads(self.inside(node, "ip", family, "-j", "route", "show", "exact", prefix))
        return {hop["gateway"] for route in routes for hop in route.get("nexthops") or [route]}

    def arp(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """By peering and path the ARP tables of a lab with one circuit, as Azure shows them."""
        document = self.labs.json("show", "arp", "--lab", self.name)
        return {(one["peering"], one["path"]): one["value"] for one in document["paths"]}

    def session(self, namespace: str, protocol: str) -> ProtocolState:
        """A session as its router has it."""
        with self.client() as client:
            (found,) = client.bird(namespace).protocols(protocol)
        return found

    def bfd(self, namespace: str, interface: str) -> BfdSession:
        """The BFD session on a device, as its router has it."""
        with self.client() as client:
            found = client.bird(namespace).bfd_sessions()
        (one,) = (one for one in found if one.interface == interface and one.address.version == 4)
        return one

    def routes(self, namespace: str, prefix: str | None = None, **narrow: Any) -> tuple[RouteInfo, ...]:
        """Routes of a router; see edge.bgp.control."""
        with self.client() as client:
            return client.bird(namespace).routes(ip_network(prefix) if prefix else None, **narrow)

    @contextlib.contextmanager
    def by_hand(self, node: str, *changes: tuple[str, str]) -> Iterator[None]:
        """A router that its owner has configured otherwise: (pattern, replacement) in its bird.conf."""
        file = control_path(self.labs.directory / self.name / "bird", node).with_suffix(".conf")
        text = file.read_text()
        for pattern, replacement in changes:
            text, count = re.subn(pattern, replacement, text)
            assert count, f"{node} has no {pattern}"
        own = file.with_suffix(".by-hand")
        own.write_text(text)
        try:
            with self.client() as client:
                client.bird(node).configure(file=own)
            yield
        finally:
            with self.client() as client:
                client.bird(node).configure()
            own.unlink()


@dataclass
class Flows:
    """UDP packets from one node to another, each flow from a port of its own, in a thread: what arrives.

    counted: packets sent and received, by flow.
    """

    lab: Lab
    source: str
    target: tuple[str, str]
    flows: int = 24
    every_s: float = 0.02
    sent: list[int] = field(default_factory=list)
    got: list[set[int]] = field(default_factory=list)

    def __enter__(self) -> Flows:
        node, address = self.target
        self._end = threading.Event()
        self.sent, self.got = [0] * self.flows, [set() for _ in range(self.flows)]
        with self.lab.client() as client:
            self._in = client.socket(node, socket.AF_INET, socket.SOCK_DGRAM, 0)
            self._out = [
                client.socket(self.source, socket.AF_INET, socket.SOCK_DGRAM, 0) for _ in range(self.flows)
            ]
        self._in.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 23)
        self._in.bind((address, 7007))
        self._in.setblocking(False)
        for number, one in enumerate(self._out):
            one.bind(("0.0.0.0", 20000 + 37 * number))
            one.connect((address, 7007))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        for one in (self._in, *self._out):
            one.close()

    def _run(self) -> None:
        due = time.monotonic()
        number = 0
        while not self._end.is_set():
            while due <= time.monotonic():
                flow = number % self.flows
                # A router that has just lost its route says so; the packet is lost then, as any other.
                with contextlib.suppress(OSError):
                    self._out[flow].send(b"%d %d" % (flow, self.sent[flow]))
                self.sent[flow] += 1
                number += 1
                due += self.every_s / self.flows
            self._drain(max(0.0, due - time.monotonic()))
        # What is on its way arrives.
        end = time.monotonic() + 1.0
        while self.lost() and time.monotonic() < end:
            self._drain(0.05)

    def _drain(self, wait_s: float) -> None:
        select.select([self._in], [], [], wait_s)
        with contextlib.suppress(BlockingIOError):
            while True:
                flow, number = self._in.recv(64).split()
                self.got[int(flow)].add(int(number))

    def lost(self) -> dict[int, int]:
        """Packets that did not arrive, by flow; flows that lost none are left out. Whole after the end."""
        return {flow: count for flow, sent in enumerate(self.sent) if (count := sent - len(self.got[flow]))}

    def silent(self, last: int) -> list[int]:
        """Flows of which none of the last packets arrived. Whole after the end."""
        return [
            flow for flow, sent in enumerate(self.sent) if not self.got[flow] & set(range(sent - last, sent))
        ]

    def wait(self, packets: int, what: str = "packets of every flow are sent") -> None:
        """Wait until each flow has sent so many more packets."""
        begin = list(self.sent)
        until(lambda: all(now - was >= packets for now, was in zip(self.sent, begin, strict=True)), what, 30)
