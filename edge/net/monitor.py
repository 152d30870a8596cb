"""Devices as they come, go and lose carrier: events from the kernel, and the carrier of subinterfaces.

A VRF in a namespace of its own sees its subinterface through a veth whose inner end stands beside the port.
Such a pair knows nothing of the trunk; `CarrierMirror` takes the inner end down when the port loses carrier,
which takes the carrier off the subinterface, and up again when it returns. So BIRD in the VRF learns of a
cut trunk as it would from a real VLAN interface. So does a device with `AdminUp.follows`.

Two ports may follow each other, as those of a link-loss forwarding line do. One that was taken down here has
no carrier for that reason alone, which says nothing about its own wire.
"""

from __future__ import annotations

import errno
import select
import socket
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from edge.errors import EdgeError
from edge.net import messages as nl
from edge.net.namespaces import inside
from edge.net.netlink import RouteSocket, open_socket
from edge.net.objects.base import Endpoint
from edge.net.objects.devices import AdminUp
from edge.net.objects.frames import SubinterfaceTags, followers
from edge.net.snapshot import parse_link

_RTNLGRP_LINK = 1


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """The state of a device after something happened to it; present is False when it has gone."""

    namespace: str
    device: str
    ifindex: int
    admin_up: bool
    carrier: bool
    present: bool = True

    @property
    def at(self) -> Endpoint:
        """The device."""
        return Endpoint(self.namespace, self.device)


class LinkMonitor:
    """Subscriptions to the link events of namespaces. One thread at a time.

    netns_fd: gives the descriptor of a namespace by name, as Kernel.netns_fd does.
    A subscription keeps its namespace alive: `unwatch` (or `watch` without it) lets it go.
    """

    def __init__(self, netns_fd: Callable[[str], int]) -> None:
        self._netns_fd = netns_fd
        self._sockets: dict[str, socket.socket] = {}
        self._pending: list[LinkEvent] = []

    def watch(self, namespaces: Iterable[str]) -> None:
        """Watch exactly these namespaces. The state of each new one comes as events of the next `read`.

        Raises EdgeError when a namespace does not exist, OSError when it cannot be entered.
        """
        wanted = set(namespaces)
        self.unwatch(set(self._sockets) - wanted)
        for namespace in sorted(wanted - set(self._sockets)):
            with inside(self._netns_fd(namespace)):
                opened = open_socket((_RTNLGRP_LINK,))
            opened.setblocking(False)
            self._sockets[namespace] = opened
            # Subscribed first, read then: nothing falls between.
            self._pending += self._state(namespace)

    def unwatch(self, namespaces: Iterable[str]) -> None:
        """Let these namespaces go; events of theirs that nobody read are dropped."""
        gone = set(namespaces)
        for namespace in gone & set(self._sockets):
            self._sockets.pop(namespace).close()
        self._pending = [event for event in self._pending if event.namespace not in gone]

    def close(self) -> None:
        """Watch nothing any more."""
        self.unwatch(set(self._sockets))

    def filenos(self) -> dict[str, int]:
        """Descriptor to wait on (readable) by namespace; changes with `watch` only."""
        return {namespace: opened.fileno() for namespace, opened in self._sockets.items()}

    def read(self) -> list[LinkEvent]:
        """What happened since the last call, in order within a namespace; never blocks.

        When the kernel had to drop events, the state of every device of that namespace comes instead.
        """
        events, self._pending = self._pending, []
        # One question for all: each one of its own would let another busy thread of ours go first.
        poller = select.poll()
        by_fd = {opened.fileno(): (namespace, opened) for namespace, opened in self._sockets.items()}
        for fd in by_fd:
            poller.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poller.poll(0)}
        for fd, (namespace, opened) in by_fd.items():
            if fd in ready:
                events += self._drain(namespace, opened)
        return events

    def _drain(self, namespace: str, opened: socket.socket) -> list[LinkEvent]:
        events: list[LinkEvent] = []
        dropped = False
        while True:
            try:
                data = opened.recv(1 << 16)
            except BlockingIOError:
                # The present state is read last: what still stood in the queue is older, and while anything
                # stands there after an overrun the kernel goes on dropping.
                return self._state(namespace) if dropped else events
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                dropped = True
                continue
            events += [_event(namespace, message) for message in nl.messages(data) if _is_link(message)]

    def _state(self, namespace: str) -> list[LinkEvent]:
        with RouteSocket(self._netns_fd(namespace)) as route:
            return [_event(namespace, message) for message in route.dump(nl.dump_links())]


def _is_link(message: nl.Message) -> bool:
    # Bridges tell of their ports in messages of their own family (AF_BRIDGE); those are no device states.
    return message.kind in (nl.RTM_NEWLINK, nl.RTM_DELLINK) and message.payload[:1] == b"\0"


def _event(namespace: str, message: nl.Message) -> LinkEvent:
    link = parse_link(message.payload)
    present = message.kind == nl.RTM_NEWLINK
    return LinkEvent(namespace, link.name, link.index, link.up and present, link.carrier and present, present)


def decide(
    inner_ends: Iterable[Endpoint], carrier_before: bool | None, event: LinkEvent
) -> list[tuple[Endpoint, bool]]:
    """What a port's event asks of the inner ends behind it: (inner end, up). Pure.

    They are moved when the carrier changes and when it is seen for the first time, not in between: an
    inner end that an operator took down while the trunk is well stays down.
    """
    if event.carrier == carrier_before:
        return []
    return [(inner, event.carrier) for inner in inner_ends]


class CarrierMirror:
    """Makes inner ends follow the carrier of their ports. One thread at a time.

    set_up: sets the administrative state of a device, as Kernel.set_up does.
    """

    def __init__(self, set_up: Callable[[Endpoint, bool], None]) -> None:
        self._set_up = set_up
        self._inner_ends: Mapping[Endpoint, list[Endpoint]] = {}
        self._ports: dict[Endpoint, Endpoint] = {}
        self._carrier: dict[Endpoint, bool] = {}
        self._taken_down: set[Endpoint] = set()

    def follow(self, rules: Iterable[SubinterfaceTags | AdminUp]) -> list[tuple[Endpoint, bool]]:
        """Mirror for these rules from now on; returns what was done at once for ports already seen."""
        known = set(self._ports)
        inner_ends: dict[Endpoint, list[Endpoint]] = defaultdict(list)
        self._ports = {}
        for inner, port in followers(rules):
            inner_ends[port].append(inner)
            self._ports[inner] = port
        self._inner_ends = inner_ends
        self._taken_down &= set(inner_ends)
        return self._move(
            [
                (inner, False)
                for inner, port in self._ports.items()
                if inner not in known and self._carrier.get(port) is False
            ]
        )

    def handle(self, events: Iterable[LinkEvent]) -> list[tuple[Endpoint, bool]]:
        """Take events in; returns what was done: (inner end, up).

        An inner end that somebody raises while its port has no carrier is taken down again.
        """
        moves: list[tuple[Endpoint, bool]] = []
        for event in events:
            at = event.at
            if self._is_our_doing(event):
                continue
            moves += decide(self._inner_ends.get(at, ()), self._carrier.get(at), event)
            if event.present:
                self._carrier[at] = event.carrier
            else:
                self._carrier.pop(at, None)
            port = self._ports.get(at)
            if port is not None and event.admin_up and self._carrier.get(port) is False:
                moves.append((at, False))
        return self._move(moves)

    def _is_our_doing(self, event: LinkEvent) -> bool:
        """Whether a port that others follow is down because we took it down, or was when the event was sent.

        A device that comes up ends that: its events come in order, so those before are of the time when it
        was down, however late they are read.
        """
        if event.at not in self._taken_down:
            return False
        if event.present and not event.admin_up:
            return True
        self._taken_down.discard(event.at)
        return False

    def _move(self, moves: Iterable[tuple[Endpoint, bool]]) -> list[tuple[Endpoint, bool]]:
        # Of several moves of one device the last one counts.
        last = dict(moves)
        done = []
        for inner, up in last.items():
            port = self._ports.get(inner)
            if not up and port is not None and port in self._taken_down and self._ports.get(port) == inner:
                # Of two that follow each other one stays up, or neither would see its wire come back.
                continue
            try:
                self._set_up(inner, up)
            except (EdgeError, OSError):
                # It went before us; when it comes back, its event brings us here again.
                continue
            done.append((inner, up))
            if not up and inner in self._inner_ends:
                self._taken_down.add(inner)
        return done
