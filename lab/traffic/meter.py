"""The outage meter: probes in the lab, one flow each way, and taps that tell which link carried each.

A flow keeps its ports, so all its probes take one of several equal ways. Which one is found out beforehand:
some ports are tried, and one is taken whose packets cross the links that are asked for, so that a fault of
that link is met. The engine in C sends and receives (edge.fastpath.streams); here is what it is to do.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from edge.errors import EdgeError, UsageError
from edge.fastpath.streams import Packets, Stream, StreamEngine, every, tap_socket
from lab.access import LabAccess
from lab.lookup import owners_of, source_namespace, target_address
from lab.model import LabModel, Link
from lab.places import Place, circuit_links, resolve_where
from lab.traffic.metering import Course, Mark, Metering, carried
from lab.traffic.outage import NS_PER_S
from lab.traffic.probes import Probes

FIRST_PORT = 43000
"""UDP. Outside the ranges of Teams (facts 6), so that no policy marks or queues probes before the rest."""

TRIED = 16
"""Ports that are tried for each way: of two equal links one is missed once in 65,000 times."""

TRIAL_PACKETS = 3
TRIAL_INTERVAL_NS = 5_000_000
OCTETS = 64
"""Of UDP payload. 1,000 probes in a second are 0.9 Mbit/s with their headers and two tags."""

LINGER_S = 1.0

GRACE_S = 0.1
"""Probes sent within this time may be on their way: nothing is made of them while the meter runs."""

LOOK_BACK_S = 3.0
"""How far `well_for` looks back, and so the most that it says."""

Which = Literal["both", "forth", "back"]


@dataclass(frozen=True, slots=True)
class Way:
    """One direction: from a namespace's address to another's."""

    name: str
    source: tuple[str, str]
    target: tuple[str, str]


def ways_of(
    model: LabModel, source: str, target: str, family: Literal[4, 6], which: Which
) -> tuple[Way, ...]:
    """The ways between two hosts or routers. Raises UsageError for what is none, or has no such address."""
    ends = []
    for name in (source, target):
        space = source_namespace(model, name)
        address = next(
            (
                owner.address.ip
                for owner in owners_of(model)
                if owner.at.namespace == space and owner.address.version == family
            ),
            None,
        )
        # A name that has none of the family is told of as everywhere.
        ends.append((space, str(address if address is not None else target_address(model, name, family))))
    if ends[0] == ends[1]:
        raise UsageError(f"{source} and {target} are the same; name two nodes")
    forth = Way(f"{source} -> {target}", ends[0], ends[1])
    back = Way(f"{target} -> {source}", ends[1], ends[0])
    return {"both": (forth, back), "forth": (forth,), "back": (back,)}[which]


def tapped(model: LabModel) -> tuple[Place, ...]:
    """Where to see which connection carries a packet: the customer's wire of each.

    Where one wire has both connections, the provider's trunks to Microsoft instead.
    """
    found: dict[str, Link] = {}
    for circuit in model.circuits:
        for link in circuit_links(model, circuit.name):
            both = link.circuit and not link.connection
            for one in _trunks(model, link) if both else (link,):
                found[one.name] = one
    return tuple(place for name in found for place in resolve_where(model, name))


def _trunks(model: LabModel, line: Link) -> tuple[Link, ...]:
    """The trunks from the provider's fabric where a line ends to the MSEEs."""
    spaces = {line.a.namespace, line.b.namespace} & {fabric.namespace for fabric in model.fabrics}
    return tuple(
        link
        for link in model.links
        if link.trunk and link != line and {link.a.namespace, link.b.namespace} & spaces
    )


class Meter:
    """Sockets and taps in a lab, for one run of probes. A context manager; `choose`, `start`, `finish`."""

    def __init__(self, access: LabAccess, ways: Sequence[Way], interval_ns: int) -> None:
        """Raises EdgeError when a node cannot be entered or a port is taken, OSError when a link has gone."""
        self._access = access
        self._ways = tuple(ways)
        self.interval_ns = interval_ns
        self._stack = ExitStack()
        self._marks: list[Mark] = []
        self._engine: StreamEngine | None = None
        self._streams: list[int] = []
        self._links: list[str] = []
        with ExitStack() as undo:
            ends = dict.fromkeys(end for way in self._ways for end in (way.source, way.target))
            self._sockets = {
                end: [undo.enter_context(self._bound(end, FIRST_PORT + n)) for n in range(TRIED)]
                for end in ends
            }
            self._taps: list[socket.socket] = []
            for place in tapped(access.model):
                raw = access.socket(place.at.namespace, socket.AF_PACKET, socket.SOCK_RAW, 0)
                ports = [(FIRST_PORT, FIRST_PORT + TRIED - 1)]
                self._taps.append(undo.enter_context(tap_socket(raw, place.at.device, ports)))
                self._links.append(place.label)
            self._flows = dict.fromkeys(self._ways, 0)
            self._stack = undo.pop_all()

    def _bound(self, end: tuple[str, str], port: int) -> socket.socket:
        namespace, address = end
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = self._access.socket(namespace, family, socket.SOCK_DGRAM, 0)
        try:
            made.bind((address, port))
        except OSError as error:
            made.close()
            words = f"cannot send probes from {address} in {namespace}: {error.strerror}"
            raise EdgeError(f"{words}; perhaps another meter runs there") from error
        return made

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._engine is not None:
            self._engine.close()
        self._stack.close()

    @property
    def links(self) -> tuple[str, ...]:
        """The links that are watched."""
        return tuple(self._links)

    def choose(self, preferred: Sequence[str] = ()) -> dict[str, str]:
        """Find ports for each way, by preference such as cross one of these links; way -> its link.

        Raises EdgeError when nothing sent a way arrives.
        """
        with StreamEngine() as engine:
            places = self._add_to(engine)
            trials = {
                way: [
                    engine.add(
                        Stream(
                            places[way.source][n],
                            (way.target[1], FIRST_PORT),
                            every(TRIAL_INTERVAL_NS, OCTETS),
                            packets=TRIAL_PACKETS,
                        )
                    )
                    for n in range(TRIED)
                ]
                for way in self._ways
            }
            engine.start(linger_s=LINGER_S)
            engine.wait()
            links = {}
            for way, streams in trials.items():
                seen = [self._link_of(engine.packets(stream)) for stream in streams]
                heard = [n for n, link in enumerate(seen) if link is not None]
                if not heard:
                    raise EdgeError(
                        f"nothing sent {way.name} arrives, so that no outage can be measured; "
                        f"see why with: edgelab check; or measure one way with: --way"
                    )
                chosen = min(heard, key=lambda n: not set((seen[n] or "").split("+")) & set(preferred))
                self._flows[way] = chosen
                links[way.name] = seen[chosen] or ""
        return links

    def _link_of(self, packets: Packets) -> str | None:
        """By which link a trial's packets went; None when they did not arrive."""
        arrived = [taps for taps, received in zip(packets.taps, packets.received_ns, strict=True) if received]
        return carried(arrived[-1], self._links) if arrived else None

    def _add_to(self, engine: StreamEngine) -> dict[tuple[str, str], list[int]]:
        for tap in self._taps:
            engine.add_tap(tap)
        return {end: [engine.add_socket(one) for one in several] for end, several in self._sockets.items()}

    def start(self) -> None:
        """Send probes until `finish`."""
        self._engine = engine = StreamEngine()
        places = self._add_to(engine)
        pattern = every(self.interval_ns, OCTETS)
        self._streams = [
            engine.add(Stream(places[way.source][self._flows[way]], (way.target[1], FIRST_PORT), pattern))
            for way in self._ways
        ]
        engine.start(linger_s=LINGER_S)

    def mark(self, mark: Mark) -> None:
        """Keep that something has happened."""
        self._marks.append(mark)

    def well_for(self) -> float:
        """For how many seconds all that was sent has arrived, all ways; 0 while it does not."""
        assert self._engine is not None
        now = time.time_ns()
        since = []
        for stream in self._streams:
            latest = now - int(GRACE_S * NS_PER_S)
            first = self._engine.counts(stream).sent - int(LOOK_BACK_S * NS_PER_S / self.interval_ns)
            found = self._engine.packets(stream, max(0, first))
            known = [n for n, sent in enumerate(found.sent_ns) if sent < latest]
            lost = next((n for n in reversed(known) if not found.received_ns[n]), None)
            begin = 0 if lost is None else lost + 1
            since.append((latest - found.sent_ns[begin]) / NS_PER_S if begin < len(known) else 0.0)
        return min(since)

    def wait(self, seconds: float) -> None:
        """Let the probes run. Raises EdgeError when the engine broke off."""
        assert self._engine is not None
        if self._engine.wait(seconds):
            raise EdgeError("the probes ended before they were told to")

    def finish(self) -> Metering:
        """Send no more, wait for what is on its way, and tell what was found."""
        engine = self._engine
        assert engine is not None
        engine.stop()
        engine.wait()
        courses = tuple(
            Course(way.name, self._probes(engine.packets(stream)))
            for way, stream in zip(self._ways, self._streams, strict=True)
        )
        return Metering(self.interval_ns, courses, tuple(self._marks), engine.total().missed)

    def _probes(self, packets: Packets) -> Probes:
        # There are millions of packets and few sets of taps.
        links = {taps: carried(taps, self._links) for taps in set(packets.taps)}
        return Probes.of_columns(packets.sent_ns, packets.received_ns, map(links.__getitem__, packets.taps))
