"""A route netlink socket that stays inside one namespace: batches of requests, and dumps.

Requests go out packed, many in one send, each with a sequence number of its own and NLM_F_ACK; the
kernel works through them in order during the send and answers each. So a batch costs two system calls
for a hundred changes, and an error still belongs to exactly one of them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge.errors import DeadlineError, EdgeError
from edge.net import messages as nl
from edge.net.namespaces import inside

NETLINK_ROUTE = 0
_SOL_NETLINK = 270
_NETLINK_ADD_MEMBERSHIP, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK = 1, 10, 11, 12

_BATCH = 100
"""Requests a send: their acknowledgements all wait in the receive buffer, 212992 octets on a stock kernel.
250 were seen to fit there and 300 not (the read then fails with ENOBUFS); refusals with words are longer."""

_DEADLINE_S = 30.0
"""Longest wait for an answer. It is there when the send returns, unless others keep the kernel's lock."""

_DUMP_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Refusal:
    """The kernel refused one request: errno, and the kernel's own words when it gave any."""

    errno: int
    words: str = ""

    def __str__(self) -> str:
        text = os.strerror(self.errno)
        return f"{text} ({self.words})" if self.words else text

    def error(self) -> OSError:
        """The same as an exception of the class that belongs to its errno."""
        return OSError(self.errno, str(self))


class InterruptedDumpError(EdgeError):
    """The state changed again and again while it was read."""


class RouteSocket:
    """Requests and dumps in the namespace `netns_fd`; as a context it closes itself. One thread at a time.

    Without one in the calling thread's own, which takes no rights.
    """

    def __init__(self, netns_fd: int | None = None) -> None:
        """Open the socket. Raises OSError when the namespace cannot be entered."""
        with contextlib.nullcontext() if netns_fd is None else inside(netns_fd):
            opened = open_socket()
        self._use(opened)

    def _use(self, opened: socket.socket) -> None:
        self._socket = opened
        self._sequence = 0

    @classmethod
    def over(cls, opened: socket.socket) -> RouteSocket:
        """The same over a route netlink socket that somebody opened in a namespace; closes it at the end."""
        made = cls.__new__(cls)
        made._use(prepared(opened))
        return made

    def __enter__(self) -> RouteSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket, which lets the namespace go."""
        self._socket.close()

    def transact(self, requests: Sequence[nl.Request]) -> list[Refusal | None]:
        """Carry the requests out in order; a refusal of one does not stop the others.

        Raises DeadlineError when the kernel does not answer, OSError when the socket breaks.
        """
        results: list[Refusal | None] = []
        for start in range(0, len(requests), _BATCH):
            results += self._batch(requests[start : start + _BATCH])
        return results

    def _batch(self, requests: Sequence[nl.Request]) -> list[Refusal | None]:
        first = self._sequence + 1
        self._sequence += len(requests)
        self._socket.send(b"".join(request.encode(first + n) for n, request in enumerate(requests)))
        results: list[Refusal | None] = [None] * len(requests)
        waiting = len(requests)
        while waiting:
            for message in self._receive():
                position = message.sequence - first
                if message.kind == nl.NLMSG_ERROR and 0 <= position < len(requests):
                    results[position] = refusal(message)
                    waiting -= 1
        return results

    def ask(self, request: nl.Request) -> nl.Message | Refusal:
        """One question with one answer. Raises like `transact`."""
        self._sequence += 1
        self._socket.send(request.encode(self._sequence))
        answer: nl.Message | None = None
        while True:
            for message in self._receive():
                if message.sequence != self._sequence:
                    continue
                if message.kind != nl.NLMSG_ERROR:
                    answer = message
                    continue
                refused = refusal(message)
                if refused is not None:
                    return refused
                if answer is not None:
                    return answer
                raise EdgeError("the kernel acknowledged a question without answering it")

    def dump(self, request: nl.Request) -> list[nl.Message]:
        """All messages of a dump, read again when the state changed meanwhile.

        Raises InterruptedDumpError when it never stood still, OSError when the kernel refuses.
        """
        for _ in range(_DUMP_ATTEMPTS):
            found = self._dump_once(request)
            if found is not None:
                return found
        raise InterruptedDumpError("the kernel's state changes faster than it can be read; try again")

    def _dump_once(self, request: nl.Request) -> list[nl.Message] | None:
        self._sequence += 1
        self._socket.send(request.encode(self._sequence, nl.NLM_F_REQUEST))
        found: list[nl.Message] = []
        interrupted = False
        while True:
            for message in self._receive():
                if message.sequence != self._sequence:
                    continue
                interrupted |= bool(message.flags & nl.NLM_F_DUMP_INTR)
                if message.kind == nl.NLMSG_DONE:
                    return None if interrupted else found
                if message.kind == nl.NLMSG_ERROR:
                    refused = refusal(message)
                    if refused is not None:
                        raise refused.error()
                else:
                    found.append(message)

    def _receive(self) -> Iterable[nl.Message]:
        try:
            return nl.messages(self._socket.recv(1 << 16))
        except TimeoutError as error:
            raise DeadlineError(f"the kernel did not answer a request in {_DEADLINE_S:.0f} s") from error


def open_socket(groups: Iterable[int] = ()) -> socket.socket:
    """A route netlink socket in the calling thread's namespace, subscribed to multicast `groups`."""
    return prepared(
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE), groups
    )


def prepared(opened: socket.socket, groups: Iterable[int] = ()) -> socket.socket:
    """A new route netlink socket with options set and bound; closed when that fails (OSError)."""
    try:
        opened.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        opened.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        opened.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        # Binding sets the first 32 memberships, so it would cancel those asked for before it.
        opened.bind((0, 0))
        for group in groups:
            opened.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
        opened.settimeout(_DEADLINE_S)
    except OSError:
        opened.close()
        raise
    return opened


def refusal(message: nl.Message) -> Refusal | None:
    """What an acknowledgement says: None for done (RFC 3549 section 2.3.2.2, "ACK")."""
    number = -int(struct.unpack_from("=i", message.payload)[0])
    if number == 0:
        return None
    words = b""
    if message.flags & nl.NLM_F_ACK_TLVS:
        # With NETLINK_CAP_ACK only the header of the request is repeated before the attributes.
        words = nl.attributes(message.payload, 4 + 16).get(nl.NLMSGERR_ATTR_MSG, b"")
    return Refusal(number, words.rstrip(b"\0").decode(errors="replace"))
