"""Which way does it go? A path trace whose probes all belong to one flow.

Routers spread flows over equal paths by addresses and ports, so a trace that changes a port with every
probe (as the first traceroute did) draws paths that no packet takes. Here all probes carry the same
addresses, protocol and ports ("Paris traceroute", Augustin et al., IMC 2006). Which probe an error
answers is told by the length of the quoted UDP packet, or by the quoted echo's sequence number whose
checksum is kept constant. Several hops are asked at once.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Literal

from edge.model import Address
from lab import icmp
from lab.access import LabAccess
from lab.probe import hear, open_icmp, send_problem
from lab.sockets import TIMESTAMP_SPACE, enable_timestamps, timestamp_ns, wait_ready

Protocol = Literal["udp", "icmp"]

MAX_HOPS = 30
WINDOW = 5
"""Hops asked beyond the farthest that answered; so many silent ones in a row end the trace."""

TRIES = 4
RETRY_S = 0.3
"""A probe unanswered for so long is sent again: far above any round trip inside one machine.

All tries together last longer than a second, since a Linux router reports a missing route to one asker
once a second only (ip_error() in net/ipv4/route.c; no sysctl of a namespace changes that).
"""

_CLOCK_GRAIN_S = 1e-6
_TOKEN_SIZE = 8

_DNS_PORT = 53
_DNS_TOKEN = struct.pack("!3H", 0x0100, 1, 0)
_DNS_ROOM = 9
"""A DNS server answers questions only. Two random octets and these begin a header (RFC 1035 4.1.1:
recursion desired, one question), and so many zeros more end it and are a question for the root."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A router (or the target) at this distance; address None when nobody answered."""

    address: Address | None
    rtt_ms: float | None


@dataclass(frozen=True, slots=True)
class Path:
    """The hops towards `target`, nearest first. problem says why it ended early, empty otherwise."""

    target: Address
    hops: tuple[Hop, ...]
    reached: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class UdpFlow:
    """The probes of one trace over UDP; the index of a probe is the length of its payload beyond `room`."""

    target: Address
    port: int
    source_port: int
    token: bytes
    room: int = 0

    def payload(self, index: int) -> bytes:
        """Payload of probe `index`: the token and as many zeros as its number."""
        return self.token + bytes(self.room + index)

    def index_of(self, message: icmp.EchoReply | icmp.IcmpError) -> int | None:
        """The number of the probe that this message answers, or None when it is not about ours.

        A source NAT on the way may have changed address and source port of the quoted packet, so the
        source port counts only when the quote is too short for the token.
        """
        if isinstance(message, icmp.EchoReply) or not isinstance(message.quote, icmp.UdpQuote):
            return None
        quote = message.quote
        if quote.destination != self.target or quote.destination_port != self.port:
            return None
        if len(quote.payload) >= _TOKEN_SIZE:
            ours = quote.payload.startswith(self.token)
        else:
            ours = quote.source_port == self.source_port
        index = quote.length - 8 - _TOKEN_SIZE - self.room
        return index if ours and index >= 0 else None


@dataclass(frozen=True, slots=True)
class EchoFlow:
    """The probes of one trace over ICMP echo; the sequence number is the probe's index."""

    target: Address
    identifier: int
    token: bytes

    def request(self, index: int) -> bytes:
        """Echo request `index`; two octets of payload keep the checksum the same for all."""
        balance = struct.pack("!H", 0xFFFF - index)
        return icmp.echo_request(self.target.version, self.identifier, index, balance + self.token)

    def index_of(self, message: icmp.EchoReply | icmp.IcmpError) -> int | None:
        """The number of the probe that this message answers, or None when it is not about ours."""
        if isinstance(message, icmp.EchoReply):
            echo: icmp.EchoReply | icmp.EchoQuote = message
        elif isinstance(message.quote, icmp.EchoQuote) and message.quote.destination == self.target:
            echo = message.quote
        else:
            return None
        token = echo.payload[2 : 2 + _TOKEN_SIZE]
        ours = token == self.token if len(token) == _TOKEN_SIZE else echo.identifier == self.identifier
        return echo.sequence if ours else None


@dataclass(slots=True)
class Progress:
    """What is known of the path so far. Decides what to ask next; touches no socket."""

    max_hops: int = MAX_HOPS
    sent: dict[int, list[float]] = field(default_factory=dict)
    answers: dict[int, Hop] = field(default_factory=dict)
    last: int = 0
    reached: bool = False
    problem: str = ""
    service: list[Hop] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.last = self.max_hops

    def answer(self, ttl: int, hop: Hop, *, final: bool, reached: bool, problem: str = "") -> None:
        """Note who answered at distance `ttl`; `final` ends the path there."""
        if ttl > self.last:
            return
        self.answers.setdefault(ttl, hop)
        if final and (ttl < self.last or not self.reached):
            self.last, self.reached, self.problem = ttl, reached, problem

    def settle(self, *, at_end: bool = False) -> None:
        """Place answers of a service on the target, which do not say which probe they answer.

        Once every probe is accounted for, the target is one hop beyond the farthest router.
        """
        probes = sum(len(tries) for tries in self.sent.values())
        if self.service and not self.reached and (at_end or len(self.answers) + len(self.service) >= probes):
            self.answer(max(self.answers, default=0) + 1, self.service[0], final=True, reached=True)

    def _asked(self) -> range:
        horizon = max(self.answers, default=0) + WINDOW
        return range(1, min(self.last, horizon) + 1)

    def due(self, now: float) -> list[int]:
        """The distances to probe at this moment."""
        return [
            ttl
            for ttl in self._asked()
            if ttl not in self.answers
            and len(tries := self.sent.get(ttl, [])) < TRIES
            and (not tries or self._silence_left(ttl, now) == 0)
        ]

    def next_due(self, now: float) -> float | None:
        """Seconds until a probe must be repeated or given up; None when all is known."""
        open_hops = [ttl for ttl in self._asked() if ttl not in self.answers and ttl in self.sent]
        waits = [(self._silence_left(ttl, now), len(self.sent[ttl])) for ttl in open_hops]
        return min((left for left, tries in waits if left or tries < TRIES), default=None)

    def _silence_left(self, ttl: int, now: float) -> float:
        """Seconds for which the last probe to this distance may still be answered."""
        left = self.sent[ttl][-1] + RETRY_S - now
        return left if left > _CLOCK_GRAIN_S else 0.0

    def hops(self) -> tuple[Hop, ...]:
        """The hops in order; silent ones have no address, and none follow the last that answered."""
        farthest = max((ttl for ttl in self.answers if ttl <= self.last), default=0)
        return tuple(self.answers.get(ttl, Hop(None, None)) for ttl in range(1, farthest + 1))


class _Tracer:
    """The sockets of one trace."""

    def __init__(
        self,
        access: LabAccess,
        namespace: str,
        target: Address,
        protocol: Protocol,
        port: int,
        stack: ExitStack,
    ) -> None:
        self.target = target
        self.icmp = stack.enter_context(open_icmp(access, namespace, target))
        self.sender = self.icmp
        self.progress = Progress()
        self.sent_ns: dict[int, int] = {}
        token = os.urandom(_TOKEN_SIZE)
        self.flow: UdpFlow | EchoFlow
        if protocol == "icmp":
            self.flow = EchoFlow(target, struct.unpack("=H", os.urandom(2))[0], token)
        else:
            family = socket.AF_INET if target.version == 4 else socket.AF_INET6
            self.sender = stack.enter_context(access.socket(namespace, family, socket.SOCK_DGRAM, 0))
            self.sender.setblocking(False)
            enable_timestamps(self.sender)
            self.sender.bind(("", 0))
            own = self.sender.getsockname()[1]
            if port == _DNS_PORT:
                self.flow = UdpFlow(target, port, own, token[:2] + _DNS_TOKEN, _DNS_ROOM)
            else:
                self.flow = UdpFlow(target, port, own, token)

    def send(self, ttl: int, now: float) -> None:
        tries = self.progress.sent.setdefault(ttl, [])
        index = len(tries) * (MAX_HOPS + 1) + ttl
        tries.append(now)
        if self.target.version == 4:
            self.sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        else:
            self.sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
        self.sent_ns[index] = time.time_ns()
        if isinstance(self.flow, EchoFlow):
            self.sender.sendto(self.flow.request(index), (str(self.target), 0))
        else:
            self.sender.sendto(self.flow.payload(index), (str(self.target), self.flow.port))

    def listen(self, seconds: float) -> None:
        sockets = {sock.fileno(): sock for sock in (self.icmp, self.sender)}
        ready = wait_ready(sockets, seconds)
        if self.icmp in ready:
            for heard in hear(self.icmp, self.target):
                index = self.flow.index_of(heard.message)
                if index in self.sent_ns:
                    self._take(index, heard.sender, heard.time_ns, heard.message)
        if self.sender in ready and self.sender is not self.icmp:
            self._take_datagrams()

    def _take(
        self, index: int, sender: Address, time_ns: int, message: icmp.EchoReply | icmp.IcmpError
    ) -> None:
        hop = Hop(sender, max(0, time_ns - self.sent_ns[index]) / 1e6)
        ttl = index % (MAX_HOPS + 1)
        if isinstance(message, icmp.EchoReply) or message.port_unreachable:
            self.progress.answer(ttl, hop, final=True, reached=True)
        elif message.kind == "time-exceeded":
            self.progress.answer(ttl, hop, final=False, reached=False)
        else:
            words = f"{message.words} from {sender}"
            self.progress.answer(ttl, hop, final=True, reached=False, problem=words)

    def _take_datagrams(self) -> None:
        """A service on the target's port answers by itself instead of an ICMP error."""
        while True:
            try:
                _, ancillary, _, address = self.sender.recvmsg(65535, TIMESTAMP_SPACE)
            except BlockingIOError:
                break
            if type(self.target)(address[0].partition("%")[0]) == self.target:
                elapsed = timestamp_ns(ancillary) - max(self.sent_ns.values())
                self.progress.service.append(Hop(self.target, max(0, elapsed) / 1e6))
        self.progress.settle()


def trace(
    access: LabAccess,
    namespace: str,
    target: Address,
    *,
    protocol: Protocol = "udp",
    port: int = 33434,
    deadline_s: float = 3.0,
) -> Path:
    """The path of one flow from `namespace` to `target`; `port` is UDP's destination port.

    Ends when the target (or somebody who cannot go on) has answered and every hop before it has, or has
    been silent to all tries; at the latest after `deadline_s` seconds. Raises EdgeError when the node
    cannot be entered.
    """
    end = time.monotonic() + deadline_s
    with ExitStack() as stack:
        tracer = _Tracer(access, namespace, target, protocol, port, stack)
        progress = tracer.progress
        while (now := time.monotonic()) < end:
            try:
                for ttl in progress.due(now):
                    tracer.send(ttl, now)
            except OSError as error:
                return Path(target, progress.hops(), False, send_problem(error, target))
            wait = progress.next_due(now)
            if wait is None:
                break
            tracer.listen(min(wait, end - now))
        progress.settle(at_end=True)
        problem = progress.problem
        if not progress.reached and not problem:
            problem = "no answer beyond the last hop" if progress.answers else "no hop answered"
        return Path(target, progress.hops(), progress.reached, problem)
