"""Bulk through a running lab: iperf3 at both ends, inside the nodes' namespaces; nothing of it stays."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from edge.errors import CapabilityError, DeadlineError, EdgeError, UsageError
from lab import enter
from lab.client import Client
from lab.lookup import source_namespace
from lab.traffic.callplan import far_end
from lab.traffic.iperf import PACKAGE, PROGRAM, LoadResult, LoadWanted, client_words, result, server_words

PORTS = range(5201, 5300)
"""The first is iperf3's own; others are taken where that is in use."""

READY_DEADLINE_S = 10.0
END_DEADLINE_S = 15.0
"""Beyond the time asked for: for the last words of a load on a path that has just died."""

_GONE_DEADLINE_S = 10.0
_LOOK_S = 0.02
_REASON_S = 1.0


@dataclass(frozen=True, slots=True)
class _Program:
    """A program in a node. alive: its errors, which end when the last of its processes is gone."""

    pid: int
    pidfd: int
    alive: int
    output: IO[bytes]

    def ended(self, seconds: float) -> bool:
        """Wait for its end, at most so long."""
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        return bool(poller.poll(max(0, int(seconds * 1000))))

    def said(self) -> dict[str, Any]:
        """Its JSON. Raises EdgeError when it left none."""
        self.output.seek(0)
        text = self.output.read().decode(errors="replace")
        errors = os.read(self.alive, 65536).decode(errors="replace").strip()
        try:
            found = json.loads(text)
        except ValueError:
            words = errors or text.strip() or "nothing"
            raise EdgeError(f"{PROGRAM} ended before its time; it said: {words[:500]}") from None
        if not isinstance(found, dict):
            raise EdgeError(f"{PROGRAM} said something else than a JSON object: {text[:100]}")
        return found


@contextmanager
def _started(client: Client, namespace: str, command: Sequence[str]) -> Iterator[_Program]:
    """A program in a node for the time of the block; at its end it is gone, whatever happened."""
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(tempfile.TemporaryFile())
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, nothing)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        stack.callback(os.close, reading)
        try:
            pid = enter.begin(
                client.supervisor_pid, namespace, command, streams=(nothing, output.fileno(), writing)
            )
        finally:
            os.close(writing)
        pidfd = os.pidfd_open(pid)
        stack.callback(os.close, pidfd)
        program = _Program(pid, pidfd, reading, output)
        try:
            yield program
        finally:
            _end(program)


def _end(program: _Program) -> None:
    """Its keeper, our child, goes at once and takes the program along; the pipe tells when both are gone."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(program.pidfd, signal.SIGKILL)
    os.waitpid(program.pid, 0)
    end = time.monotonic() + _GONE_DEADLINE_S
    while select.select([program.alive], [], [], max(0.0, end - time.monotonic()))[0]:
        if not os.read(program.alive, 65536):
            return


def run_load(client: Client, wanted: LoadWanted) -> LoadResult:
    """A whole load. Raises CapabilityError without iperf3, UsageError, EdgeError and DeadlineError."""
    if shutil.which(PROGRAM) is None:
        raise CapabilityError(f"{PROGRAM} is not installed", f"apt-get install {PACKAGE}")
    if wanted.protocol == "udp" and wanted.rate_bps is None:
        raise UsageError("UDP sends as much as it is told to; say how much, for example --rate 100M")
    model = client.model
    near = source_namespace(model, wanted.source)
    far, address = far_end(model, wanted.target, wanted.family)
    if near == far:
        raise UsageError(f"{wanted.source} and {wanted.target} are one node; a load needs two")
    port = _free_port(client, far, wanted)
    loads = client_words(str(address), port, wanted)
    with _started(client, far, server_words(port, wanted)) as server:
        _wait_ready(client, far, wanted, port, server)
        with _started(client, near, loads) as loading:
            if not loading.ended(wanted.seconds + END_DEADLINE_S):
                raise DeadlineError(
                    f"{PROGRAM} from {wanted.source} to {wanted.target} did not end within "
                    f"{wanted.seconds + END_DEADLINE_S:g} s: the path between them broke"
                )
            client_said = loading.said()
        if client_said.get("error"):
            reason = server.said().get("error", "") if server.ended(_REASON_S) else ""
            words = f"; {wanted.target} says: {reason}" if reason else ""
            raise EdgeError(f"{PROGRAM} at {wanted.source} says: {client_said['error']}{words}")
        if not server.ended(END_DEADLINE_S):
            raise DeadlineError(f"{PROGRAM} at {wanted.target} did not end with its client")
        return result(model.name, wanted, client_said, server.said())


def _listens(client: Client, namespace: str, wanted: LoadWanted, port: int) -> bool:
    """Whether somebody listens on a TCP port there: then it cannot be bound even for reuse."""
    family = socket.AF_INET if wanted.family == 4 else socket.AF_INET6
    with client.socket(namespace, family, socket.SOCK_STREAM, 0) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise
    return False


def _free_port(client: Client, namespace: str, wanted: LoadWanted) -> int:
    for port in PORTS:
        if not _listens(client, namespace, wanted, port):
            return port
    raise UsageError(f"TCP ports {PORTS[0]}-{PORTS[-1]} of {namespace} are all in use")


def _wait_ready(client: Client, namespace: str, wanted: LoadWanted, port: int, server: _Program) -> None:
    end = time.monotonic() + READY_DEADLINE_S
    while not _listens(client, namespace, wanted, port):
        if server.ended(_LOOK_S):
            words = server.said().get("error", "nothing")
            raise EdgeError(f"{PROGRAM} at {wanted.target} ended at once; it said: {words}")
        if time.monotonic() > end:
            raise DeadlineError(f"{PROGRAM} did not listen at {wanted.target} within {READY_DEADLINE_S:g} s")
