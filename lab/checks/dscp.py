"""Checks of marks on the wire: packets of each class, both ways, as a circuit's cross-connections carry them.

A host sends UDP as a client of that class would, the far end answers from where it was asked. What a capture
shows there is judged: DSCP, tags, and that the queue of the right class counted the packets.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal

from edge.errors import UsageError
from edge.fastpath.frames import Verdict as ParseVerdict
from edge.fastpath.frames import parse_tags
from edge.model import Address
from edge.net.objects import Endpoint
from edge.qos.expressroute import TABLE
from edge.qos.model import Policy, Rule
from edge.qos.profiles import profile
from lab.access import LabAccess
from lab.capture import FrameSource
from lab.checks.reach import look_at_path
from lab.checks.result import Verdict
from lab.lookup import node_of, owners_of, source_namespace, target_address
from lab.model import LabModel, PathCheck, PeeringEnd
from lab.places import resolve_where

PACKETS = 5
"""Of each class and direction."""

AGAIN_S = 0.3
"""What was not seen by then is sent again: an ARP request or a busy machine may have cost it."""

SNAPLEN = 192
PROTO_UDP = 17
_OTHER_PORTS = (20_001, 20_002)
"""Ports that no built-in policy names."""

_TRIES = 10
Way = Literal["out", "in"]
WAYS: tuple[Way, Way] = ("out", "in")


@dataclass(frozen=True, slots=True)
class Stimulus:
    """How a client of a class speaks: its port, the far end's, and the DSCP that it sets itself."""

    class_name: str
    source_port: int
    destination_port: int
    dscp: int = 0
    last_source_port: int = 0


@dataclass(frozen=True, slots=True)
class Sighting:
    """One of our packets on a cross-connection."""

    link: str
    way: Way
    class_name: str
    dscp: int
    vids: tuple[int, ...]


@dataclass(slots=True)
class Tally:
    """What was seen so far: how often each sighting."""

    token: bytes
    names: tuple[str, ...]
    seen: Counter[Sighting] = field(default_factory=Counter)

    def payload(self, class_name: str, way: Way) -> bytes:
        """What a packet of ours carries."""
        return self.token + bytes((self.names.index(class_name), WAYS.index(way)))

    def take(self, link: str, frame: bytes) -> None:
        """Look at a frame of a link."""
        found = read_frame(frame, self.token)
        if found is not None and found[0] < len(self.names) and found[1] < len(WAYS):
            number, way, dscp, vids = found
            self.seen[Sighting(link, WAYS[way], self.names[number], dscp, vids)] += 1

    def count(self, class_name: str, way: Way) -> int:
        """Packets of a class that went this way, marked however."""
        return sum(n for item, n in self.seen.items() if (item.class_name, item.way) == (class_name, way))

    def complete(self) -> bool:
        """Whether enough of every class was seen both ways."""
        return all(self.count(name, way) >= PACKETS for name in self.names for way in WAYS)


def stimulus_of(policy: Policy, class_name: str) -> Stimulus:
    """A client's packets of that class, by the first rule that ports or a DSCP can satisfy. Pure.

    Raises UsageError when the policy has no such class, or no rule of it that UDP could meet.
    """
    if class_name == "default":
        return Stimulus(class_name, *_OTHER_PORTS, last_source_port=_OTHER_PORTS[0] + _TRIES)
    if class_name not in {item.name for item in policy.classes}:
        raise UsageError(
            f"policy {policy.name} has no class {class_name}; it has "
            f"{', '.join(item.name for item in policy.classes)}"
        )
    for rule in policy.rules:
        if rule.class_name == class_name and rule.protocols in ((), *_with_udp(rule)) and not rule.hint:
            if rule.direction == "in" or rule.source or rule.destination:
                continue
            source = rule.source_ports or rule.either_ports or (_OTHER_PORTS[0], _OTHER_PORTS[0] + _TRIES)
            destination = (rule.destination_ports or (_OTHER_PORTS[1],))[0]
            dscp = rule.existing_dscp[0] if rule.existing_dscp else 0
            return Stimulus(class_name, source[0], destination, dscp, source[1])
    raise UsageError(f"policy {policy.name} has no rule for class {class_name} that a UDP packet alone meets")


def _with_udp(rule: Rule) -> tuple[tuple[int, ...], ...]:
    return (rule.protocols,) if PROTO_UDP in rule.protocols else ()


def read_frame(frame: bytes, token: bytes) -> tuple[int, int, int, tuple[int, ...]] | None:
    """(class number, way, DSCP, VLAN ids) of a UDP packet with our token; None for any other frame. Pure."""
    parsed = parse_tags(frame)
    if parsed.verdict is not ParseVerdict.WHOLE:
        return None
    packet = frame[parsed.payload_offset :]
    if parsed.ethertype == 0x0800 and len(packet) >= 20 and packet[9] == PROTO_UDP:
        header, traffic_class = (packet[0] & 0x0F) * 4, packet[1]
    elif parsed.ethertype == 0x86DD and len(packet) >= 40 and packet[6] == PROTO_UDP:
        header, traffic_class = 40, (packet[0] << 4 | packet[1] >> 4) & 0xFF
    else:
        return None
    payload = packet[header + 8 :]
    if not payload.startswith(token) or len(payload) < len(token) + 2:
        return None
    number, way = payload[len(token)], payload[len(token) + 1]
    return number, way, traffic_class >> 2, tuple(tag.vid for tag in parsed.tags)


def look_at_dscp(
    access: LabAccess, check: PathCheck, cancelled: Callable[[], bool], seconds: float
) -> Verdict:
    """The path first; then packets of every class of the check. Raises UsageError, EdgeError, OSError."""
    end = time.monotonic() + seconds
    path = look_at_path(access, check, seconds)
    if not path.ok:
        return path
    model = access.model
    policy = policy_of(model, check)
    wanted = [stimulus_of(policy, name) for name, _ in check.dscp]
    namespaces = (source_namespace(model, check.source), _far_namespace(model, check))
    addresses = (
        target_address(model, check.source, check.family),
        target_address(model, check.target, check.family),
    )
    before = queue_counters(access.counters())
    tally = Tally(os.urandom(8), tuple(item.class_name for item in wanted))
    with FrameSource(access, resolve_where(model, check.via), SNAPLEN) as source, ExitStack() as stack:
        talk = _Talk(access, namespaces, addresses, wanted, tally, stack)
        again = time.monotonic()
        while time.monotonic() < end and not tally.complete() and not cancelled():
            if time.monotonic() >= again:
                talk.send_missing()
                again = time.monotonic() + AGAIN_S
            poller = select.poll()
            for fd in (*source.fds(), *talk.fds()):
                poller.register(fd, select.POLLIN)
            wait_s = max(0.0, min(again, end) - time.monotonic())
            ready = [fd for fd, _ in poller.poll(-int(-wait_s * 1000 // 1))]
            talk.answer(ready)
            for frame in source.read([fd for fd in ready if fd in source.fds()]):
                tally.take(source.places[frame.place].label, frame.data)
    words, problems = judge(model, check, tally)
    problems += judge_queues(model, check, tally, before, queue_counters(access.counters()))
    evidence = {**path.evidence, "seen": [_json(item, count) for item, count in tally.seen.items()]}
    # Marks do not heal with time, as paths do: once enough was seen, another look shows the same.
    said = "; ".join(problems) if problems else words
    return Verdict(not problems, said, evidence, final=tally.complete())


class _Talk:
    """The sockets of both ends."""

    def __init__(
        self,
        access: LabAccess,
        namespaces: tuple[str, str],
        addresses: tuple[Address, Address],
        wanted: Sequence[Stimulus],
        tally: Tally,
        stack: ExitStack,
    ) -> None:
        self.tally = tally
        self.target = addresses[1]
        family = socket.AF_INET if self.target.version == 4 else socket.AF_INET6
        self.clients: dict[str, tuple[socket.socket, int]] = {}
        self.servers: dict[int, socket.socket] = {}
        listening: dict[int, int] = {}
        for item in wanted:
            client = stack.enter_context(access.socket(namespaces[0], family, socket.SOCK_DGRAM, 0))
            last = max(item.source_port, item.last_source_port)
            _bind(
                client, str(addresses[0]), range(item.source_port, min(last, item.source_port + _TRIES) + 1)
            )
            _set_dscp(client, item.dscp)
            port = item.destination_port
            if port not in listening:
                server = stack.enter_context(access.socket(namespaces[1], family, socket.SOCK_DGRAM, 0))
                server.setblocking(False)
                fixed = port != _OTHER_PORTS[1]
                ports = range(port, port + 1) if fixed else range(port, port + _TRIES + 1)
                listening[port] = _bind(server, str(self.target), ports)
                self.servers[server.fileno()] = server
            self.clients[item.class_name] = (client, listening[port])

    def fds(self) -> list[int]:
        """Where questions arrive."""
        return list(self.servers)

    def send_missing(self) -> None:
        """Packets of every class that was not seen often enough both ways."""
        for name, (client, port) in self.clients.items():
            missing = PACKETS - min(self.tally.count(name, way) for way in WAYS)
            for _ in range(missing):
                client.sendto(self.tally.payload(name, "out"), (str(self.target), port))

    def answer(self, ready: Sequence[int]) -> None:
        """Send back what arrived at the far end, to where it seems to come from."""
        for fd in ready:
            server = self.servers.get(fd)
            if server is None:
                continue
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, sender = server.recvfrom(64)
                    if data.startswith(self.tally.token):
                        server.sendto(data[:-1] + bytes((WAYS.index("in"),)), sender)


def _bind(sock: socket.socket, address: str, ports: range) -> int:
    """The first free port of a range. Raises UsageError when other programs have them all."""
    for port in ports:
        try:
            sock.bind((address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return port
    raise UsageError(f"UDP ports {ports[0]}-{ports[-1]} of {address} are in use by another program")


def _set_dscp(sock: socket.socket, dscp: int) -> None:
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)


def _far_namespace(model: LabModel, check: PathCheck) -> str:
    address = target_address(model, check.target, check.family)
    for owner in owners_of(model):
        node = node_of(model, owner.at.namespace)
        if owner.address.ip == address and node is not None and node.kind == "host":
            return owner.at.namespace
    raise UsageError(f"{check.target} is no host of this lab, so nobody there can answer; name a host")


def _ends(model: LabModel, check: PathCheck) -> Iterator[PeeringEnd]:
    for end in model.peering_ends:
        if end.circuit == check.via and check.peering in ("", end.peering):
            yield end


def policy_of(model: LabModel, check: PathCheck) -> Policy:
    """What the customer's edge applies on the circuit; that of Teams where it applies none."""
    devices = {(end.namespace, end.device) for end in _ends(model, check) if end.side == "customer"}
    for router in model.routers:
        for vrf in router.vrfs:
            for sub in vrf.subinterfaces:
                if (vrf.namespace, sub.name) in devices and sub.qos is not None and sub.qos.tree is not None:
                    return sub.qos.policy
    return profile("teams")


def judge(model: LabModel, check: PathCheck, tally: Tally) -> tuple[str, list[str]]:
    """(what was seen in words, what is wrong): marks and tags. Pure."""
    customer = [end for end in _ends(model, check) if end.side == "customer"]
    stacks = {tuple(tag.vid for tag in end.tags) for end in customer}
    problems = []
    links: dict[str, None] = {}
    for name, dscp in check.dscp:
        for way in WAYS:
            mine = {item: n for item, n in tally.seen.items() if (item.class_name, item.way) == (name, way)}
            if not mine:
                problems.append(f"no packet of {name} seen on {check.via} ({way})")
            for item, count in mine.items():
                links[item.link] = None
                if item.dscp != dscp:
                    problems.append(
                        f"{name} ({way}): {count} packets with DSCP {item.dscp} on {item.link}, not {dscp}"
                    )
                if item.vids not in stacks:
                    tags = "/".join(map(str, item.vids)) or "no tag"
                    problems.append(f"{name} ({way}): {count} packets under {tags} on {item.link}")
    seen = ", ".join(f"{name} {dscp}" for name, dscp in check.dscp)
    return f"{seen}, both ways on {' and '.join(links) or check.via}", problems


QueueCounters = dict[tuple[str, int | None, str], int]


def queue_counters(status: Mapping[str, Any]) -> QueueCounters:
    """Packets by (device, tree, class) of a status. Pure."""
    return {
        (item["at"], item["tree"], item["name"]): int(item["packets"]) for item in status.get("queues", ())
    }


def judge_queues(
    model: LabModel, check: PathCheck, tally: Tally, before: QueueCounters, after: QueueCounters
) -> list[str]:
    """Queues that did not count the packets of their class. Ports without queues are not judged. Pure."""
    by_dscp = {row.dscp: row.class_name for row in TABLE}
    ends = (end for end in _ends(model, check) if (end.side, end.peering) == ("customer", "private"))
    private = {tuple(tag.vid for tag in end.tags) for end in ends}
    expected: dict[tuple[str, int | None, str], int] = defaultdict(int)
    for item, count in tally.seen.items():
        # At the far end queues go by the mark, not by ports, and on private peering not even by that.
        far = "default" if item.vids in private else by_dscp.get(item.dscp, "default")
        name = item.class_name if item.way == "out" else far
        for port, tree in ports_of(model, check, item.link, item.way):
            expected[str(port), tree, name] += count
    problems = []
    for key, count in expected.items():
        rose = after.get(key, 0) - before.get(key, 0)
        if key in after and rose < count:
            problems.append(f"{key[0]}: {rose} packets in the queue of {key[2]}, {count} were on the wire")
    return problems


def ports_of(model: LabModel, check: PathCheck, link: str, way: Way) -> Iterator[tuple[Endpoint, int]]:
    """The port with queues (and its tree) that packets of a link left by. Pure."""
    connection = next((item.connection for item in model.links if item.name == link), "")
    side = "customer" if way == "out" else "microsoft"
    ends = [end for end in _ends(model, check) if (end.connection, end.side) == (connection, side)]
    found: dict[tuple[Endpoint, int], None] = {}
    for end in ends:
        for router in model.routers:
            subs = [s for v in router.vrfs if v.namespace == end.namespace for s in v.subinterfaces]
            names = {sub.port for sub in subs if sub.name == end.device and router.name == end.node}
            for port in router.ports:
                for queues in port.queues:
                    if port.name in names and queues.outer in (None, end.tags[0]):
                        found[Endpoint(router.namespace, port.name), queues.number] = None
    yield from found


def _json(item: Sighting, count: int) -> dict[str, Any]:
    return {
        "link": item.link,
        "way": item.way,
        "class": item.class_name,
        "dscp": item.dscp,
        "tags": list(item.vids),
        "packets": count,
    }
