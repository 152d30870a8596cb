"""VRFs joined by wires, each with a real BIRD: what the tests of edge.bgp stand on."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path
from typing import Any

from edge.bgp.config import render
from edge.bgp.control import ControlSocket
from edge.bgp.parse import parse_log_line
from edge.bgp.policy import protocol_name
from edge.bgp.process import Birds
from edge.bgp.state import LogEvent, ProtocolState, RouteInfo
from edge.model import Community, Network, Originate, Session, Timers, Vrf
from edge.net.objects.changes import Change
from edge.net.objects.daemons import BirdDaemon

RECHECK_MS = 20
"""What has no line in a log (a route in the kernel, a counter) is looked at again after this time."""


@dataclass(frozen=True)
class Wire:
    """A wire between two namespaces: device `<a><b>` in each, 10.9.N.0/30 and fd09:N::/126."""

    number: int
    a: str
    b: str

    def device(self, namespace: str) -> str:
        return f"to-{self.b if namespace == self.a else self.a}"

    def address(self, namespace: str, family: int = 4) -> str:
        host = 1 if namespace == self.a else 2
        return f"10.9.{self.number}.{host}" if family == 4 else f"fd09:{self.number}::{host}"


@dataclass
class World:
    """Namespaces, wires and BIRDs of one test."""

    run: Callable[..., str]
    birds: Birds
    vrfs: dict[str, Vrf] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    _rest: dict[str, bytes] = field(default_factory=dict)

    def namespace(self, *names: str) -> None:
        for name in names:
            self.run("ip", "netns", "add", name)
            self.run("ip", "-n", name, "link", "set", "lo", "up")

    def wire(self, number: int, a: str, b: str) -> Wire:
        wire = Wire(number, a, b)
        self.run(
            *("ip", "-n", a, "link", "add", wire.device(a), "type", "veth"),
            *("peer", "name", wire.device(b), "netns", b),
        )
        for end in (a, b):
            device = wire.device(end)
            self.run("ip", "-n", end, "address", "add", f"{wire.address(end)}/30", "dev", device)
            self.run("ip", "-n", end, "address", "add", f"{wire.address(end, 6)}/126", "dev", device, "nodad")
            self.run("ip", "-n", end, "link", "set", device, "up")
        return wire

    def give(self, *vrfs: Vrf) -> None:
        """Start or reconfigure these VRFs' BIRDs; every one must take it."""
        changes = []
        for vrf in vrfs:
            before = self.vrfs.get(vrf.namespace)
            changes.append(
                Change(
                    BirdDaemon(vrf.namespace, render(before)) if before else None,
                    BirdDaemon(vrf.namespace, render(vrf)),
                )
            )
        assert self.birds.apply(changes) == [None] * len(vrfs)
        self.vrfs.update({vrf.namespace: vrf for vrf in vrfs})

    def control(self, namespace: str) -> ControlSocket:
        return self.birds.control(namespace)

    def state(self, namespace: str, session: Session) -> ProtocolState:
        (state,) = self.control(namespace).protocols(protocol_name(session))
        return state

    def routes(self, namespace: str, prefix: str) -> tuple[RouteInfo, ...]:
        return self.control(namespace).routes(ip_network(prefix))

    def drain(self) -> None:
        """Take what is in the logs, without waiting."""
        for namespace, fd in self.birds.log_fds().items():
            while True:
                try:
                    data = os.read(fd, 65536)
                except BlockingIOError:
                    break
                *lines, rest = (self._rest.get(namespace, b"") + data).split(b"\n")
                self._rest[namespace] = rest
                self.lines.setdefault(namespace, []).extend(line.decode() for line in lines)

    def events(self, namespace: str) -> list[LogEvent]:
        self.drain()
        return [event for line in self.lines.get(namespace, []) if (event := parse_log_line(line))]

    def wait(self, what: str, true: Callable[[], Any], timeout_s: float) -> float:
        """Seconds until `true()`, looked at after every line of any log; fails by `what` when late."""
        start = time.monotonic()
        while not true():
            if time.monotonic() - start > timeout_s:
                self.drain()
                logs = "\n".join(f"{name}: {line}" for name in self.lines for line in self.lines[name][-30:])
                raise AssertionError(f"{what}: not within {timeout_s} s\n{logs}")
            poll = select.poll()
            for fd in self.birds.log_fds().values():
                poll.register(fd, select.POLLIN)
            poll.poll(RECHECK_MS)
            self.drain()
        return time.monotonic() - start

    def established(self, *ends: tuple[str, Session], timeout_s: float = 10) -> float:
        return self.wait(
            "sessions established",
            lambda: all(self.state(namespace, session).established for namespace, session in ends),
            timeout_s,
        )

    def has_route(self, namespace: str, prefix: str, timeout_s: float = 5) -> RouteInfo:
        self.wait(f"{prefix} in {namespace}", lambda: self.routes(namespace, prefix), timeout_s)
        return self.routes(namespace, prefix)[0]

    def lacks_route(self, namespace: str, prefix: str, timeout_s: float = 5) -> None:
        self.wait(f"{prefix} gone from {namespace}", lambda: not self.routes(namespace, prefix), timeout_s)


def vrf(
    namespace: str,
    sessions: Sequence[Session],
    originates: Sequence[str | tuple[str, tuple[Community, ...]]] = (),
    **more: Any,
) -> Vrf:
    """A VRF whose router id follows from its name; originates are prefixes, or prefixes with communities."""
    number = sum(namespace.encode()) % 250 + 1
    own = [(item, ()) if isinstance(item, str) else item for item in originates]
    return Vrf(
        name=namespace,
        namespace=namespace,
        router_id=IPv4Address(f"10.255.{len(namespace)}.{number}"),
        sessions=tuple(sessions),
        originates=tuple(Originate(net(prefix), communities) for prefix, communities in own),
        **more,
    )


def session(
    wire: Wire, end: str, group: str, asns: tuple[int, int], *, family: int = 4, **more: Any
) -> Session:
    """The session of `end` over the wire; asns are ours and the neighbour's."""
    other = wire.b if end == wire.a else wire.a
    return Session(
        name=f"{other}_{family}" if "name" not in more else more.pop("name"),
        group=group,
        interface=wire.device(end),
        local=ip_address(wire.address(end, family)),
        neighbor=ip_address(wire.address(other, family)),
        local_asn=asns[0],
        peer_asn=asns[1],
        **{"timers": Timers(), **more},
    )


def net(text: str) -> Network:
    return ip_network(text)


def world_in(run: Callable[..., str], directory: Path, netns_directory: Path) -> World:
    directory.mkdir(exist_ok=True)
    return World(run, Birds(directory, netns_directory))
