"""A call through a running lab: sockets inside the two nodes, STUN, then streams by the engine in C.

    with Call(client, plan_call(client.model, Wanted("pc1", "teams", {"voice": 1}))) as call:
        call.connect()
        call.start()
        call.wait()
        print(call.result().mos)

Between start and wait anything may be done to the lab. Only this module of lab.traffic's calls acts.
"""

from __future__ import annotations

import errno
import os
import secrets
import select
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Literal

from edge.errors import DeadlineError, EdgeError, UsageError
from edge.fastpath.streamplan import NS_PER_S, Pattern, Rtp, Stream
from edge.fastpath.streams import StreamEngine
from edge.qos.model import PortRange
from lab.access import LabAccess
from lab.probe import send_problem
from lab.traffic import stun
from lab.traffic.callplan import CallPlan, Way
from lab.traffic.callresult import CallResult, StreamResult
from lab.traffic.measured import dscps, missed_targets, whole, windows
from lab.traffic.media import MEDIA, Medium, pattern_of, payload_type_of
from lab.traffic.ports import CALL_DSCP

STUN_DEADLINE_S = 8.0
STUN_AGAIN_S = 0.2
"""RFC 8489 6.2.1 waits half a second before it asks again; in a lab an answer takes milliseconds."""

_ANSWER_OCTETS = 2048


@dataclass(slots=True)
class _Leg:
    """A pair of sockets that streams of one medium use. seen: near, as far sees it."""

    medium: Medium
    near: socket.socket
    far: socket.socket
    seen: stun.Seen
    setup_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class _Sent:
    """A stream of the engine, and what it is in the call."""

    stream: int
    leg: _Leg
    number: int
    way: Way
    pattern: Pattern


End = Literal["near", "far"]


class Call:
    """One call; a context manager that hangs up. Raises UsageError, EdgeError and OSError as it says."""

    def __init__(self, access: LabAccess, plan: CallPlan) -> None:
        self.plan = plan
        self._access = access
        self._stack = ExitStack()
        self._engine = self._stack.enter_context(StreamEngine())
        self._legs: dict[Medium, list[_Leg]] = {}
        self._sent: list[_Sent] = []

    def __enter__(self) -> Call:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up at once; the engine goes, then its sockets."""
        self._engine.close()
        self._stack.close()

    def connect(self, deadline_s: float = STUN_DEADLINE_S) -> None:
        """Open the sockets and ask by STUN from each, as clients do before media.

        Raises UsageError when ports are taken, DeadlineError when an answer does not come.
        """
        counts = self.plan.wanted.streams
        servers: dict[int, socket.socket] = {}
        for medium in (medium for medium in MEDIA if counts.get(medium)):
            ways = (self.plan.near[medium], self.plan.far[medium])
            near = self._sockets("near", ways[0], counts[medium], medium, {})
            far = self._sockets("far", ways[1], counts[medium], medium, servers)
            # Fewer ports than streams: then several go between one pair of ports, each by its own SSRC.
            self._legs[medium] = [
                _Leg(medium, near[n % len(near)], far[n % len(far)], _name(near[n % len(near)]))
                for n in range(max(len(near), len(far)))
            ]
        self._ask([leg for legs in self._legs.values() for leg in legs], deadline_s)
        self._add_streams()

    def _sockets(
        self, end: End, ports: PortRange, count: int, medium: Medium, taken: dict[int, socket.socket]
    ) -> list[socket.socket]:
        """As many as there are streams, or ports. taken: sockets that other media share, by their port."""
        plan = self.plan
        namespace, address = plan.namespaces[end == "far"], plan.address if end == "far" else plan.own
        family = socket.AF_INET if plan.address.version == 4 else socket.AF_INET6
        made: list[socket.socket] = []
        for port in range(ports[0], ports[1] + 1):
            if len(made) == count:
                break
            if port in taken:
                made.append(taken[port])
                continue
            sock = self._stack.enter_context(self._access.socket(namespace, family, socket.SOCK_DGRAM, 0))
            sock.setblocking(False)
            try:
                sock.bind((str(address) if address is not None else "", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            if plan.wanted.marked and not (end == "far" and plan.relayed):
                _mark(sock, CALL_DSCP[medium])
            made.append(sock)
            taken[port] = sock
        if not made:
            which = f"port {ports[0]}" if ports[0] == ports[1] else f"ports {ports[0]}-{ports[1]}"
            raise UsageError(
                f"UDP {which} of {namespace} for {medium} are in use, perhaps by another call; "
                f"wait for its end, or have all streams in one call"
            )
        return made

    def _ask(self, legs: Sequence[_Leg], deadline_s: float) -> None:
        """STUN both ways: each near socket learns how far sees it."""
        waiting = {os.urandom(stun.TRANSACTION_OCTETS): leg for leg in legs}
        far = {leg.far.fileno(): leg.far for leg in legs}
        near = {leg.near.fileno(): leg.near for leg in legs}
        begin = time.monotonic()
        again, end, problem = begin, begin + deadline_s, ""
        poller = select.poll()
        for fd in (*far, *near):
            poller.register(fd, select.POLLIN)
        while waiting:
            now = time.monotonic()
            if now >= end:
                leg = next(iter(waiting.values()))
                raise DeadlineError(
                    f"{self.plan.wanted.target} did not answer {self.plan.wanted.source} by STUN at UDP port "
                    f"{_name(leg.far)[1]} ({leg.medium}) within {deadline_s:g} s"
                    f"{': ' + problem if problem else ''}; see what is down: edgelab inspect"
                )
            if now >= again:
                for transaction, leg in waiting.items():
                    problem = self._request(transaction, leg) or problem
                again = now + STUN_AGAIN_S
            for fd, _ in poller.poll(max(1, int((min(again, end) - now) * 1000))):
                for data, sender in _drain(far.get(fd) or near[fd]):
                    asked = stun.transaction_of(data)
                    if fd in far and asked is not None:
                        problem = self._answer(far[fd], stun.answer(asked, sender), sender) or problem
                    elif fd in near:
                        self._answered(data, waiting, begin)

    def _answer(self, sock: socket.socket, data: bytes, sender: tuple[Any, ...]) -> str:
        """Send an answer; why it could not be sent, if so: the next request may find the way back open."""
        try:
            sock.sendto(data, (str(sender[0]), sender[1]))
        except OSError as error:
            return f"{self.plan.wanted.target} cannot answer: {send_problem(error, sender[0])}"
        return ""

    def _request(self, transaction: bytes, leg: _Leg) -> str:
        """Send a request; why it could not be sent, if so."""
        try:
            leg.near.sendto(stun.request(transaction), (str(self.plan.address), _name(leg.far)[1]))
        except OSError as error:
            return send_problem(error, self.plan.address)
        return ""

    @staticmethod
    def _answered(data: bytes, waiting: dict[bytes, _Leg], begin: float) -> None:
        for transaction, leg in waiting.items():
            seen = stun.mapped(data, transaction)
            if seen is not None:
                leg.seen, leg.setup_ms = seen, (time.monotonic() - begin) * 1000
                del waiting[transaction]
                return

    def _add_streams(self) -> None:
        wanted = self.plan.wanted
        places: dict[int, int] = {}
        for legs in self._legs.values():
            for leg in legs:
                for sock in (leg.near, leg.far):
                    if sock.fileno() not in places:
                        places[sock.fileno()] = self._engine.add_socket(sock)
        duration_ns = int(wanted.seconds * NS_PER_S)
        for medium, legs in self._legs.items():
            pattern = pattern_of(medium, wanted.codec, self.plan.codec)
            count = wanted.streams[medium]
            ways = self.plan.ways
            for number in range(count):
                leg = legs[number % len(legs)]
                for turn, way in enumerate(ways):
                    here, to = (
                        (leg.near, (str(self.plan.address), _name(leg.far)[1]))
                        if way == "out"
                        else (leg.far, (str(leg.seen[0]), leg.seen[1]))
                    )
                    # Callers do not speak in step: each has its place within a packet's time.
                    shift_ns = (number * len(ways) + turn) * _step_ns(pattern) // (count * len(ways))
                    stream = Stream(
                        places[here.fileno()],
                        to,
                        pattern,
                        packets=max(1, pattern.packets_in(duration_ns)),
                        begin_ns=shift_ns,
                        rtp=Rtp(
                            payload_type_of(medium, wanted.codec),
                            secrets.randbits(32),
                            secrets.randbits(16),
                            secrets.randbits(32),
                        ),
                    )
                    self._sent.append(_Sent(self._engine.add(stream), leg, number, way, pattern))

    def start(self) -> None:
        """Begin to send, in the engine's thread. Raises EdgeError before `connect`."""
        if not self._sent:
            raise EdgeError("a call begins with connect()")
        self._engine.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Until the call has ended, or so long: has it? Raises EdgeError when the engine broke off."""
        return self._engine.wait(seconds)

    def stop(self) -> None:
        """End the call before its time; `wait` still waits for what is on its way."""
        self._engine.stop()

    def result(self) -> CallResult:
        """What is known of the call: all of it once it has ended."""
        wanted = self.plan.wanted
        return CallResult(
            lab=self._access.model.name,
            source=wanted.source,
            target=wanted.target,
            profile=wanted.profile,
            codec=wanted.codec,
            seconds=wanted.seconds,
            streams=tuple(self._result(item) for item in self._sent),
            overrun=self._engine.total().missed,
        )

    def _result(self, item: _Sent) -> StreamResult:
        counts, packets = self._engine.counts(item.stream), self._engine.packets(item.stream)
        codec = self.plan.codec
        found = whole(packets, counts.duplicates, codec)
        packet_ms = item.pattern.period_ns / 1e6 / len(item.pattern.slots)
        return StreamResult(
            medium=item.leg.medium,
            number=item.number,
            way=item.way,
            near=_shown(_name(item.leg.near)),
            far=_shown(_name(item.leg.far)),
            seen=_shown(item.leg.seen),
            setup_ms=item.leg.setup_ms,
            quality=found,
            dscp=dscps(packets),
            missed=missed_targets(found, packets, packet_ms, self.plan.target),
            windows=windows(packets, codec if item.leg.medium == "voice" else None),
            refused=counts.refused,
            refusal=send_problem(OSError(counts.refusal, ""), self.plan.address) if counts.refused else "",
            late_max_ms=counts.late_max_ns / 1e6,
        )


def hold(access: LabAccess, plan: CallPlan) -> CallResult:
    """A whole call. Raises what Call raises."""
    with Call(access, plan) as call:
        call.connect()
        call.start()
        call.wait()
        return call.result()


def _step_ns(pattern: Pattern) -> int:
    """From a packet or frame to the next."""
    later = (slot.at_ns for slot in pattern.slots if slot.at_ns > 0)
    return next(later, pattern.period_ns)


def _name(sock: socket.socket) -> stun.Seen:
    name = sock.getsockname()
    return ip_address(name[0]), int(name[1])


def _shown(end: stun.Seen) -> tuple[str, int]:
    return str(end[0]), end[1]


def _mark(sock: socket.socket, dscp: int) -> None:
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)


def _drain(sock: socket.socket) -> list[tuple[bytes, stun.Seen]]:
    """All that waits in a socket, with who sent it."""
    found: list[tuple[bytes, stun.Seen]] = []
    while True:
        try:
            data, sender = sock.recvfrom(_ANSWER_OCTETS)
        except BlockingIOError:
            return found
        found.append((data, (ip_address(sender[0]), int(sender[1]))))
