"""Two hosts talk and links are watched: packets of each class, both ways, that bear a token of ours.

A host sends UDP as a client of the class would; the far end answers to where it was asked from, so that
translated addresses do not matter. What a capture shows of these packets is counted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Literal

from edge.errors import UsageError
from edge.fastpath.frames import Verdict as ParseVerdict
from edge.fastpath.frames import parse_tags
from edge.model import Address
from edge.net.objects.base import Endpoint
from lab.access import LabAccess
from lab.capture import Frame, FrameSource
from lab.check_model import Way
from lab.checks.opaque import carries, unreadable
from lab.checks.stimulus import OTHER_PORTS, PROTO_UDP, TRIES, Stimulus
from lab.lookup import node_of, owners_of, source_namespace, target_address
from lab.model import LabModel
from lab.places import Place

PACKETS = 5
"""Of each class and direction, at least."""

AGAIN_S = 0.3
"""What was not seen by then is sent again: an ARP request or a busy machine may have cost it."""

SNAPLEN = 192
WAYS: tuple[Way, Way] = ("out", "in")
_ETHERTYPES = {4: 0x0800, 6: 0x86DD}
_MPLS = 0x8847


@dataclass(frozen=True, slots=True)
class Seen:
    """One of our packets in a frame: number of its class, way, mark, VLAN ids and their ethertypes."""

    number: int
    way: int
    dscp: int
    vids: tuple[int, ...]
    tpids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One of our packets on a link. port: the device that sent it onto that link, where it is known."""

    link: str
    way: Way
    class_name: str
    dscp: int
    vids: tuple[int, ...]
    tpids: tuple[int, ...] = ()
    port: str = ""


@dataclass(slots=True)
class Tally:
    """What was seen so far: how often each sighting; how many packets were sent, and how many arrived.

    wrapped: packets of ours inside something else, by link and way. hidden: frames that nobody can look into,
    by link and kind. dropped: frames that a capture missed, by device. vanished: devices that were deleted
    meanwhile, also those that came back.
    """

    token: bytes
    names: tuple[str, ...]
    seen: Counter[Sighting] = field(default_factory=Counter)
    sent: Counter[tuple[str, Way]] = field(default_factory=Counter)
    arrived: Counter[tuple[str, Way]] = field(default_factory=Counter)
    wrapped: Counter[tuple[str, Way]] = field(default_factory=Counter)
    hidden: Counter[tuple[str, str]] = field(default_factory=Counter)
    dropped: dict[str, int] = field(default_factory=dict)
    vanished: frozenset[str] = frozenset()

    def payload(self, class_name: str, way: Way) -> bytes:
        """What a packet of ours carries."""
        return self.token + bytes((self.names.index(class_name), WAYS.index(way)))

    def take(self, link: str, frame: bytes, port: str = "") -> None:
        """Look at a frame of a link."""
        found = read_frame(frame, self.token)
        if found is not None and found.number < len(self.names) and found.way < len(WAYS):
            name, way = self.names[found.number], WAYS[found.way]
            self.seen[Sighting(link, way, name, found.dscp, found.vids, found.tpids, port)] += 1
            return
        at = carries(frame, self.token) + len(self.token) + 1
        if at > len(self.token):
            self.wrapped[link, WAYS[min(frame[at], 1) if at < len(frame) else 0]] += 1
        elif kind := unreadable(frame):
            self.hidden[link, kind] += 1

    def count(self, class_name: str, way: Way) -> int:
        """Packets of a class that went this way, marked however."""
        return sum(n for item, n in self.seen.items() if (item.class_name, item.way) == (class_name, way))

    def complete(self) -> bool:
        """Whether enough of every class was seen both ways."""
        return all(self.count(name, way) >= PACKETS for name in self.names for way in WAYS)


def read_frame(frame: bytes, token: bytes) -> Seen | None:
    """A UDP packet with our token; None for any other frame. Pure."""
    parsed = parse_tags(frame)
    if parsed.verdict is not ParseVerdict.WHOLE:
        return None
    ethertype, packet = parsed.ethertype, frame[parsed.payload_offset :]
    if ethertype == _MPLS:
        ethertype, packet = _below_labels(packet)
    if ethertype == _ETHERTYPES[4] and len(packet) >= 20 and packet[9] == PROTO_UDP:
        header, traffic_class = (packet[0] & 0x0F) * 4, packet[1]
    elif ethertype == _ETHERTYPES[6] and len(packet) >= 40 and packet[6] == PROTO_UDP:
        header, traffic_class = 40, (packet[0] << 4 | packet[1] >> 4) & 0xFF
    else:
        return None
    payload = packet[header + 8 :]
    if not payload.startswith(token) or len(payload) < len(token) + 2:
        return None
    number, way = struct.unpack_from("=BB", payload, len(token))
    tags = parsed.tags
    return Seen(
        number, way, traffic_class >> 2, tuple(tag.vid for tag in tags), tuple(tag.tpid for tag in tags)
    )


def _below_labels(packet: bytes) -> tuple[int, bytes]:
    """(ethertype, packet) of what a stack of MPLS labels carries, told by its first half octet (RFC 4928)."""
    at = 0
    while at + 4 <= len(packet):
        last = packet[at + 2] & 1
        at += 4
        if last:
            version = packet[at] >> 4 if at < len(packet) else 0
            return _ETHERTYPES.get(version, 0), packet[at:]
    return 0, b""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two hosts that talk: the namespaces they are in, and their addresses."""

    namespaces: tuple[str, str]
    addresses: tuple[Address, Address]


def pair_of(model: LabModel, source: str, target: str, family: Literal[4, 6]) -> Pair:
    """Where two hosts are. Raises UsageError when the far one is no host of this lab, to answer."""
    far = target_address(model, target, family)
    near = target_address(model, source, family)
    for owner in owners_of(model):
        node = node_of(model, owner.at.namespace)
        if owner.address.ip == far and node is not None and node.kind == "host":
            return Pair((source_namespace(model, source), owner.at.namespace), (near, far))
    raise UsageError(f"{target} is no host of this lab, so nobody there can answer; name a host")


def observe(
    access: LabAccess,
    pair: Pair,
    wanted: Sequence[Stimulus],
    places: Sequence[Place],
    *,
    end: float,
    cancelled: Callable[[], bool],
    enough: Callable[[Tally], bool] = Tally.complete,
    flows: int = 1,
) -> Tally:
    """Have the pair talk until `enough` was seen, at most until `end` (monotonic).

    flows: how many clients speak for each class, each from a port of its own where the class has so many.
    Raises UsageError when ports are in use, EdgeError or OSError when a node or link cannot be used.
    """
    tally = Tally(os.urandom(8), tuple(item.class_name for item in wanted))
    ends = {str(at): str(far) for link in access.model.links for at, far in _both(link.a, link.b)}

    def take(frames: Sequence[Frame]) -> None:
        for frame in frames:
            place = source.places[frame.place]
            at = str(place.at)
            tally.take(place.label, frame.data, at if frame.direction == "outbound" else ends.get(at, ""))

    with FrameSource(access, places, SNAPLEN) as source, ExitStack() as stack:
        talk = Talk(access, pair, wanted, tally, stack, flows)
        again = time.monotonic()
        while time.monotonic() < end and not enough(tally) and not cancelled():
            if time.monotonic() >= again:
                talk.send(PACKETS)
                again = time.monotonic() + AGAIN_S
            poller = select.poll()
            for fd in (*source.fds(), *talk.fds()):
                poller.register(fd, select.POLLIN)
            wait_s = max(0.0, min(again, end) - time.monotonic())
            ready = [fd for fd, _ in poller.poll(-int(-wait_s * 1000 // 1))]
            talk.answer(ready)
            take(source.read([fd for fd in ready if fd in source.fds()]))
        # Whatever passed before the last packet arrived waits in the sockets already.
        now_ns = time.time_ns()
        while frames := source.read(source.fds()):
            take(frames)
            if frames[-1].time_ns > now_ns:
                break
        source.count_drops()
        tally.dropped = source.drops_by_place()
        tally.vanished = frozenset(source.vanished())
    return tally


def _both(a: Endpoint, b: Endpoint) -> tuple[tuple[Endpoint, Endpoint], tuple[Endpoint, Endpoint]]:
    return (a, b), (b, a)


class Talk:
    """The sockets of both ends."""

    def __init__(
        self,
        access: LabAccess,
        pair: Pair,
        wanted: Sequence[Stimulus],
        tally: Tally,
        stack: ExitStack,
        flows: int = 1,
    ) -> None:
        """Raises UsageError when other programs have the ports, EdgeError when a node cannot be entered."""
        self.tally = tally
        near, self.target = pair.addresses
        family = socket.AF_INET if self.target.version == 4 else socket.AF_INET6
        self.clients: dict[str, list[tuple[socket.socket, int]]] = {}
        self._names: dict[int, str] = {}
        self._servers: dict[int, socket.socket] = {}
        listening: dict[int, int] = {}
        for item in wanted:
            port = item.destination_port
            if port not in listening:
                server = stack.enter_context(access.socket(pair.namespaces[1], family, socket.SOCK_DGRAM, 0))
                server.setblocking(False)
                fixed = port != OTHER_PORTS[1]
                ports = range(port, port + 1) if fixed else range(port, port + TRIES + 1)
                listening[port] = bind(server, str(self.target), ports)
                self._servers[server.fileno()] = server
            clients = self.clients.setdefault(item.class_name, [])
            last = max(item.source_port, item.last_source_port)
            tries = range(item.source_port, min(last, item.source_port + TRIES + flows) + 1)
            for _ in range(min(flows, len(tries))):
                client = stack.enter_context(access.socket(pair.namespaces[0], family, socket.SOCK_DGRAM, 0))
                client.setblocking(False)
                set_dscp(client, item.dscp)
                bind(client, str(near), tries)
                clients.append((client, listening[port]))
                self._names[client.fileno()] = item.class_name

    def fds(self) -> list[int]:
        """Where packets of ours arrive."""
        return [*self._servers, *self._names]

    def send(self, packets: int) -> None:
        """Of every class as many packets as were not seen so far, from all its clients equally.

        Raises OSError when the node has no way there.
        """
        for name, clients in self.clients.items():
            missing = packets - min(self.tally.count(name, way) for way in WAYS)
            each = max(0, -(-missing // len(clients)))
            for client, port in clients * each:
                client.sendto(self.tally.payload(name, "out"), (str(self.target), port))
                self.tally.sent[name, "out"] += 1

    def answer(self, ready: Sequence[int]) -> None:
        """Send back what arrived at the far end, to where it seems to come from; count what came back."""
        for fd in ready:
            if fd in self._servers:
                self._serve(self._servers[fd])
            elif fd in self._names:
                name = self._names[fd]
                client = next(sock for sock, _ in self.clients[name] if sock.fileno() == fd)
                for data, _ in _datagrams(client, self.tally.token):
                    self.tally.arrived[name, "in"] += data[-1] == WAYS.index("in")

    def _serve(self, server: socket.socket) -> None:
        for data, sender in _datagrams(server, self.tally.token):
            name = self.tally.names[data[-2]]
            self.tally.arrived[name, "out"] += 1
            server.sendto(data[:-1] + bytes((WAYS.index("in"),)), sender)
            self.tally.sent[name, "in"] += 1


def _datagrams(sock: socket.socket, token: bytes) -> list[tuple[bytes, tuple[str, int]]]:
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            data, sender = sock.recvfrom(64)
            if data.startswith(token) and len(data) == len(token) + 2:
                found.append((data, sender))
    return found


def bind(sock: socket.socket, address: str, ports: range) -> int:
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


def set_dscp(sock: socket.socket, dscp: int) -> None:
    """The mark of what this socket sends."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
