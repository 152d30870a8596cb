"""The commands' side of a running lab: requests, sockets inside nodes, BIRD's control sockets."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from edge.bgp.control import ControlSocket
from edge.bgp.process import control_path
from edge.errors import DeadlineError, EdgeError, UsageError
from lab.model import LabModel
from lab.names.certificates import CA_CERTIFICATE
from lab.protocol import PROTOCOL_VERSION, Channel, ClosedError, error_from_json
from lab.state import RECHECK_S, RunDirectory

if TYPE_CHECKING:
    from edge.own.kinds import Control

ANSWER_DEADLINE_S = 30.0
STOP_DEADLINE_S = 10.0
KILLED_DEADLINE_S = 120.0
"""After SIGKILL only the kernel is at work: it lets go of a lab's programs one by one, some 10 ms each."""
LAST_WORDS_LINES = 8


class Client:
    """A connection to one lab's supervisor. Implements lab.access.LabAccess."""

    def __init__(self, directory: RunDirectory, connected: socket.socket | None = None) -> None:
        """Connect (or take over a connected socket). Raises EdgeError when the lab does not answer."""
        self.directory = directory
        self._model: LabModel | None = None
        if connected is None:
            connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            # A supervisor that hangs accepts nobody: once its queue is full, connecting would wait for ever.
            connected.settimeout(ANSWER_DEADLINE_S)
            try:
                connected.connect(str(directory.socket))
            except OSError as error:
                connected.close()
                raise EdgeError(
                    f"lab {directory.name} does not answer ({error.strerror or error}); "
                    f"take it away with: edgelab destroy {directory.name}"
                ) from error
        self._channel = Channel(connected)
        self._busy = threading.Lock()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. The lab goes on, unless this was its first deploy and that is not finished."""
        self._channel.close()

    def hang_up(self) -> None:
        """End what another thread waits for on this connection; close it afterwards."""
        with contextlib.suppress(OSError):
            self._channel.sock.shutdown(socket.SHUT_RDWR)

    @property
    def supervisor_pid(self) -> int:
        """Process id of the supervisor as this process sees it (SO_PEERCRED)."""
        credentials = self._channel.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid: int = struct.unpack("=iII", credentials)[0]
        return pid

    def request(
        self,
        op: str,
        on_message: Callable[[dict[str, Any]], dict[str, Any] | None] | None = None,
        deadline_s: float | None = ANSWER_DEADLINE_S,
        **fields: Any,
    ) -> dict[str, Any]:
        """Ask and return the last answer; messages before it go to `on_message`.

        What on_message returns (if not None) is sent back. deadline_s bounds each wait for a message,
        None waits for ever. Raises what the supervisor raised, EdgeError when it goes away,
        DeadlineError when it is silent too long.
        """
        answer, descriptors = self._request(op, on_message, deadline_s, fields)
        for descriptor in descriptors:
            os.close(descriptor)
        return answer

    def _request(
        self,
        op: str,
        on_message: Callable[[dict[str, Any]], dict[str, Any] | None] | None,
        deadline_s: float | None,
        fields: dict[str, Any],
    ) -> tuple[dict[str, Any], list[int]]:
        with self._busy:
            self._channel.sock.settimeout(deadline_s)
            try:
                self._channel.send({"op": op, **fields})
                while True:
                    message, descriptors = self._channel.receive()
                    if "ok" in message:
                        break
                    reply = on_message(message) if on_message else None
                    if reply is not None:
                        self._channel.send(reply)
            except ClosedError as error:
                if isinstance(error.__cause__, TimeoutError):
                    raise DeadlineError(
                        f"lab {self.directory.name} did not answer `{op}` within {deadline_s} s; "
                        f"see {self.directory.log}, or end it with: edgelab destroy {self.directory.name}"
                    ) from error
                raise EdgeError(
                    f"lab {self.directory.name} ended while it was asked for `{op}`: it was destroyed or "
                    f"killed meanwhile; start it again with: edgelab deploy -t FILE{self._last_words()}"
                ) from error
        if not message["ok"]:
            raise error_from_json(message.get("error", {}))
        return message, descriptors

    def _last_words(self) -> str:
        """The end of the log of a lab that died: the deploy that finds it dead clears the log away."""
        with contextlib.suppress(OSError):
            lines = self.directory.log.read_text(encoding="utf-8", errors="replace").splitlines()
            own = [line for line in lines if " <" not in line][-LAST_WORDS_LINES:]
            if own:
                return "\nits log ends with:\n  " + "\n  ".join(own)
        return ""

    def agree(self) -> dict[str, Any]:
        """What the supervisor says of itself. Raises UsageError when it speaks another protocol."""
        hello = self.request("hello")
        if hello.get("protocol") != PROTOCOL_VERSION:
            raise UsageError(
                f"lab {self.directory.name} was started by edgelab {hello.get('edgelab')}, which speaks "
                f"another protocol; destroy it and deploy again"
            )
        return hello

    @property
    def model(self) -> LabModel:
        """The model the lab runs, as its supervisor has it. Raises UsageError before it is deployed."""
        if self._model is None:
            hello = self.agree()
            if hello.get("document") is None:
                raise UsageError(f"lab {self.directory.name} is still being deployed")
            from lab.service.codec import decode_state
            from lab.topology import derive

            self._model = derive(
                hello["document"], decode_state(hello["state"], f"lab {self.directory.name}")
            )
        return self._model

    def socket(self, namespace: str, family: int, kind: int, proto: int) -> socket.socket:
        """A socket that lives in the node's network namespace, whoever uses it."""
        fields = {"namespace": namespace, "family": family, "type": kind, "proto": proto}
        _, descriptors = self._request("socket", None, ANSWER_DEADLINE_S, fields)
        if len(descriptors) != 1:
            raise EdgeError(f"no socket came from {namespace}")
        return socket.socket(family, kind, proto, fileno=descriptors[0])

    def bird(self, namespace: str) -> ControlSocket:
        """BIRD's control socket in that namespace."""
        return ControlSocket(control_path(self.directory.bird, namespace))

    def own_router(self, namespace: str, kind: str) -> Control:
        """A reader of the user's own router in that namespace."""
        from edge.own.kinds import kind as kind_of

        return kind_of(kind).control(self.directory.own_routers, namespace)

    def authority(self) -> str:
        """The certificate of the lab's own authority; the file is ours, as the lab is."""
        try:
            return (self.directory.names / CA_CERTIFICATE).read_text(encoding="ascii")
        except OSError as error:
            words = f"lab {self.directory.name} has no certificate authority ({error.strerror})"
            raise EdgeError(words) from error

    def status(self) -> dict[str, Any]:
        """What only the supervisor can read; see lab.access."""
        status: dict[str, Any] = self.request("status")["status"]
        return status

    def counters(self) -> dict[str, Any]:
        """What counts frames by class; see lab.access."""
        counters: dict[str, Any] = self.request("counters")["counters"]
        return counters

    def rule_counters(self, namespaces: Sequence[str], /) -> dict[str, dict[str, tuple[int, int]]]:
        """What packet rules counted; see lab.access."""
        found: dict[str, dict[str, list[int]]] = self.request("rules", namespaces=[*namespaces])["counters"]
        return {
            space: {name: (packets, octets) for name, (packets, octets) in counters.items()}
            for space, counters in found.items()
        }

    def events(self, history: bool, follow: bool) -> Iterator[dict[str, Any]]:
        """The lab's events: those kept (history), then those to come (follow), until the lab ends."""
        self._channel.sock.settimeout(None if follow else ANSWER_DEADLINE_S)
        try:
            self._channel.send({"op": "events", "history": history, "follow": follow})
            while True:
                message, _ = self._channel.receive()
                if "ok" in message:
                    break
                yield message["event"]
        except ClosedError as error:
            if isinstance(error.__cause__, TimeoutError):
                raise DeadlineError(
                    f"lab {self.directory.name} did not tell its events within {ANSWER_DEADLINE_S:g} s; "
                    f"end it with: edgelab destroy {self.directory.name}"
                ) from error
            return
        if not message["ok"]:
            raise error_from_json(message.get("error", {}))

    def stop(self) -> None:
        """End the lab and wait until its process 1 is gone; a supervisor that hangs is killed."""
        try:
            pidfd = os.pidfd_open(self.supervisor_pid)
        except ProcessLookupError:
            return
        try:
            # A supervisor that hangs or goes already does not answer: the wait below decides.
            with contextlib.suppress(EdgeError):
                self.request("stop", deadline_s=STOP_DEADLINE_S)
            if not process_ended(pidfd, STOP_DEADLINE_S):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                if not process_ended(pidfd, KILLED_DEADLINE_S):
                    raise DeadlineError(
                        f"lab {self.directory.name} has been killed, but the kernel still holds process "
                        f"{self.supervisor_pid}; see /proc/{self.supervisor_pid}/stack"
                    )
        finally:
            os.close(pidfd)


def meet(directory: RunDirectory, deadline_s: float) -> Client | None:
    """A connection to a lab that may just be starting or ending; None when it has ended.

    Raises EdgeError when it runs but does not answer within deadline_s.
    """
    end = time.monotonic() + deadline_s
    while directory.running():
        try:
            return Client(directory)
        except EdgeError:
            # Its lock is held before its socket is there, and a little longer than its socket.
            if time.monotonic() > end:
                raise
        select.select([], [], [], RECHECK_S)
    return None


def take_away(directory: RunDirectory) -> bool:
    """End a lab and clear its debris; False when none ran. Raises EdgeError when it does not end."""
    client = meet(directory, STOP_DEADLINE_S)
    if client is not None:
        with client:
            client.stop()
    directory.clear()
    return client is not None


def process_ended(pidfd: int, deadline_s: float) -> bool:
    """Wait for the process behind a pidfd to end; False when it has not by the deadline."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(deadline_s * 1000))
