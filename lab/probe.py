"""Is it there? Echo requests from inside a node's namespace, over a raw socket.

The probe ends as soon as every request has its reply or its error: it waits for packets, never for time
to pass, except between two requests (`interval_s`).
"""

from __future__ import annotations

import errno
import math
import os
import socket
import struct
import time
from dataclasses import dataclass, field

from edge.model import Address
from lab import icmp
from lab.access import LabAccess
from lab.sockets import TIMESTAMP_SPACE, enable_timestamps, timestamp_ns, wait_ready

_SEND_WORDS = {
    errno.ENETUNREACH: "no route to {target}",
    errno.EHOSTUNREACH: "no route to {target}",
    errno.EADDRNOTAVAIL: "no source address to reach {target}",
    errno.EPERM: "the node's own packet rules refuse to send",
    errno.EACCES: "the node's own packet rules or routes refuse to send",
    errno.EINVAL: "the node's routes refuse to send",
    errno.ENETDOWN: "the interface towards {target} is down",
    errno.EMSGSIZE: "the packet is larger than the way allows",
}


@dataclass(frozen=True, slots=True)
class PingResult:
    """What came of some echo requests.

    sent: how many left the node. received: how many replies, duplicates not counted. rtt_ms: one
    round-trip time in milliseconds per reply, in the order of the requests. errors: what else was
    heard, each sentence once ("host unreachable from 10.1.0.1").
    """

    target: Address
    sent: int
    received: int
    rtt_ms: tuple[float, ...]
    errors: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """One line for people."""
        text = f"{self.received} of {self.sent} echo replies"
        if not self.sent:
            text = "no echo request could be sent"
        if self.rtt_ms:
            text += f", {sum(self.rtt_ms) / len(self.rtt_ms):.2f} ms"
        return "; ".join((text, *self.errors))


def send_problem(error: OSError, target: Address) -> str:
    """Why the kernel would not send a packet, in an operator's words."""
    number = error.errno or 0
    return _SEND_WORDS.get(number, os.strerror(number)).format(target=target)


def open_icmp(access: LabAccess, namespace: str, target: Address) -> socket.socket:
    """A non-blocking raw ICMP socket of the target's family inside `namespace`, with receive times."""
    if target.version == 4:
        sock = access.socket(namespace, socket.AF_INET, socket.SOCK_RAW, icmp.PROTO_ICMP)
    else:
        sock = access.socket(namespace, socket.AF_INET6, socket.SOCK_RAW, icmp.PROTO_ICMP6)
    try:
        sock.setblocking(False)
        enable_timestamps(sock)
    except OSError:
        sock.close()
        raise
    return sock


@dataclass(frozen=True, slots=True)
class Heard:
    """An ICMP message that arrived: from whom, when (ns since 1970), what."""

    sender: Address
    time_ns: int
    message: icmp.EchoReply | icmp.IcmpError


def hear(sock: socket.socket, target: Address) -> list[Heard]:
    """Everything of interest that waits in a raw ICMP socket; empties it."""
    heard: list[Heard] = []
    family = target.version
    while True:
        try:
            data, ancillary, _, address = sock.recvmsg(65535, TIMESTAMP_SPACE)
        except BlockingIOError:
            return heard
        body = icmp.strip_ipv4(data) if family == 4 else data
        message = icmp.parse(family, body) if body is not None else None
        if message is not None:
            sender = type(target)(address[0].partition("%")[0])
            heard.append(Heard(sender, timestamp_ns(ancillary), message))


@dataclass(slots=True)
class _Echoes:
    """The state of one ping: what went out and what came back."""

    target: Address
    identifier: int
    token: bytes
    sent_ns: dict[int, int] = field(default_factory=dict)
    rtt_ms: dict[int, float] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    errors: dict[str, None] = field(default_factory=dict)

    def send(self, sock: socket.socket, sequence: int) -> None:
        request = icmp.echo_request(self.target.version, self.identifier, sequence, self.token + bytes(40))
        self.sent_ns[sequence] = time.time_ns()
        try:
            sock.sendto(request, (str(self.target), 0))
        except OSError as error:
            del self.sent_ns[sequence]
            self.errors[send_problem(error, self.target)] = None

    def take(self, heard: Heard) -> None:
        message = heard.message
        if isinstance(message, icmp.EchoReply):
            ours = message.identifier == self.identifier and message.payload.startswith(self.token)
            if ours and message.sequence in self.sent_ns:
                elapsed = max(0, heard.time_ns - self.sent_ns[message.sequence])
                self.rtt_ms.setdefault(message.sequence, elapsed / 1e6)
        elif isinstance(message.quote, icmp.EchoQuote) and message.quote.destination == self.target:
            quote = message.quote
            # The quote may end before our token does (RFC 792 asks for 8 octets): then the id decides.
            if quote.identifier == self.identifier and self.token.startswith(
                quote.payload[: len(self.token)]
            ):
                self.failed.add(quote.sequence)
                self.errors[f"{message.words} from {heard.sender}"] = None

    def open(self) -> int:
        """How many requests still wait for an answer of any kind."""
        return len(self.sent_ns.keys() - self.rtt_ms.keys() - self.failed)


def ping(
    access: LabAccess,
    namespace: str,
    target: Address,
    count: int = 3,
    deadline_s: float = 2.0,
    *,
    interval_s: float = 0.02,
) -> PingResult:
    """Send `count` echo requests, `interval_s` seconds apart, and wait at most `deadline_s` for the replies.

    Replies to other pings of the same node are not ours: identifier, sequence and a random token in the
    payload must fit. Raises EdgeError when the node cannot be entered.
    """
    echoes = _Echoes(target, struct.unpack("=H", os.urandom(2))[0], os.urandom(8))
    end = time.monotonic() + deadline_s
    with open_icmp(access, namespace, target) as sock:
        next_sequence, next_send = 1, time.monotonic()
        while (now := time.monotonic()) < end:
            if next_sequence <= count and now >= next_send:
                echoes.send(sock, next_sequence)
                next_sequence, next_send = next_sequence + 1, now + interval_s
                continue
            if next_sequence > count and not echoes.open():
                break
            until = min(end, next_send if next_sequence <= count else math.inf)
            if wait_ready({sock.fileno(): sock}, until - now):
                for heard in hear(sock, target):
                    echoes.take(heard)
    rtts = tuple(echoes.rtt_ms[sequence] for sequence in sorted(echoes.rtt_ms))
    return PingResult(target, len(echoes.sent_ns), len(rtts), rtts, tuple(echoes.errors))
