"""A Python that has read the edgelab program, and forks it once for each command that a test gives.

Starting Python and importing costs more than most commands do: in the stock kernel's guest it is seconds.
So one process does it (`python -m tests.netns.forkserver`, started by `Server`) and each command is a fork of
it, with the arguments, environment, directory and streams that it would have. It is small on purpose: a fork
of pytest itself is many times as slow there. The command line's own tests start the real program.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
MODULES = (
    *("lab.cli", "lab.supervisor", "lab.requests", "lab.deploy", "lab.topology", "lab.world", "lab.sifting"),
    *(f"lab.commands.{name}" for name in ("capture", "enter", "faults", "files", "life", "prove", "service")),
    "lab.commands.show",
)
_REQUEST_OCTETS = 1 << 17


class Process:
    """A command that runs, as far as tests need one: what subprocess.Popen has of the same names."""

    def __init__(
        self, words: Sequence[str], pid: int, status: int, streams: Sequence[IO[str] | None]
    ) -> None:
        self.args, self.pid, self._status = list(words), pid, status
        self.stdout, self.stderr = streams
        self.returncode: int | None = None

    def terminate(self) -> None:
        """Send SIGTERM, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """The exit status, negative for a signal. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout)
            self.returncode = int(os.read(self._status, 16))
            os.close(self._status)
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """What it still writes, to its end. Raises subprocess.TimeoutExpired."""
        end = time.monotonic() + timeout
        texts = []
        for stream in (self.stdout, self.stderr):
            texts.append(_rest(stream, end, self.args) if stream else "")
        self.wait(max(0.0, end - time.monotonic()))
        return texts[0], texts[1]


def _rest(stream: IO[str], end: float, words: list[str]) -> str:
    with stream:
        chunks = []
        os.set_blocking(stream.fileno(), False)
        while True:
            # What the stream holds already comes with what wakes us, the end at the latest. Where nothing
            # waits it must not be read: that is an error of text streams (bpo-13322).
            left = max(0.0, end - time.monotonic())
            if not select.select([stream], [], [], left)[0]:
                raise subprocess.TimeoutExpired(words, left)
            data = stream.read()
            if not data:
                return "".join(chunks)
            chunks.append(data)


class Server:
    """The process that forks, as its user sees it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.netns.forkserver"], stdin=theirs, cwd=ROOT
            )

    def close(self) -> None:
        """End it; commands that still run go on."""
        self._socket.close()
        self._process.wait(10)

    def start(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        *,
        constants: Mapping[str, Any] | None = None,
        stdin: int | IO[str] | None = None,
        stdout: int | IO[str] | None = None,
        stderr: int | IO[str] | None = None,
    ) -> Process:
        """Start `edgelab WORDS`. Streams as subprocess.Popen takes them; constants: see Labs."""
        with contextlib.ExitStack() as stack:
            streams: list[IO[str] | None] = []
            theirs = []
            for number, wanted in enumerate((stdin, stdout, stderr)):
                if wanted == subprocess.PIPE:
                    reading, writing = os.pipe2(os.O_CLOEXEC)
                    stack.callback(os.close, writing)
                    streams.append(os.fdopen(reading, encoding="utf-8"))
                    theirs.append(writing)
                    continue
                if number:
                    streams.append(None)
                if wanted in (None, subprocess.DEVNULL):
                    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
                    stack.callback(os.close, null)
                    theirs.append(number if wanted is None else null)
                else:
                    theirs.append(wanted if isinstance(wanted, int) else wanted.fileno())  # type: ignore[union-attr]
            status, write_status = os.pipe2(os.O_CLOEXEC)
            stack.callback(os.close, write_status)
            request = {"words": words, "environment": dict(environment), "constants": dict(constants or {})}
            descriptors = array.array("i", [*theirs, write_status])
            self._socket.sendmsg(
                [json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
            )
            answer = self._socket.recv(64)
        assert answer, "the server of forks has ended"
        return Process(words, int(answer), status, streams)

    def run(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        *,
        constants: Mapping[str, Any] | None = None,
        input: str | None = None,  # noqa: A002 - as subprocess.run calls it
        timeout: float,
    ) -> subprocess.CompletedProcess[str]:
        """Run `edgelab WORDS` to its end; output captured. Raises subprocess.TimeoutExpired."""
        with contextlib.ExitStack() as stack:
            given, out, err = (
                stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in range(3)
            )
            given.write(input or "")
            given.seek(0)
            streams = {"stdin": given, "stdout": out, "stderr": err}
            process = self.start(words, environment, constants=constants, **streams)
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait(10)
                raise
            for stream in (out, err):
                stream.seek(0)
            return subprocess.CompletedProcess(process.args, process.returncode or 0, out.read(), err.read())


def _serve(requests: socket.socket) -> None:
    """Fork a command for each request; tell its pid at once and its status when it ends."""
    running: dict[int, tuple[int, int]] = {}
    poll = select.poll()
    poll.register(requests, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready in running:
                pid, status = running.pop(ready)
                poll.unregister(ready)
                os.close(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                # Nobody may wait for it any more.
                with contextlib.suppress(BrokenPipeError):
                    os.write(status, str(code).encode())
                os.close(status)
                continue
            message, descriptors, _, _ = socket.recv_fds(requests, _REQUEST_OCTETS, 4)
            if not message:
                return
            pid = os.fork()
            if pid == 0:
                _be_the_program(json.loads(message), descriptors[:3])
            for descriptor in descriptors[:3]:
                os.close(descriptor)
            pidfd = os.pidfd_open(pid)
            running[pidfd] = (pid, descriptors[3])
            poll.register(pidfd, select.POLLIN)
            requests.send(str(pid).encode())


def _be_the_program(request: dict[str, Any], streams: Sequence[int]) -> None:
    """Never returns: in the forked child, do what `python -m lab.cli WORDS` does."""
    status = 1
    try:
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.environ.clear()
        os.environ.update(request["environment"])
        for place, value in request["constants"].items():
            module, _, name = place.rpartition(".")
            setattr(importlib.import_module(module), name, value)
        sys.stdin = os.fdopen(0, encoding="utf-8")
        sys.stdout = os.fdopen(1, "w", encoding="utf-8")
        sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace")
        sys.argv = ["edgelab", *request["words"]]
        from lab.cli import main

        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)


if __name__ == "__main__":
    for name in MODULES:
        importlib.import_module(name)
    # A collector that looks at all this in each fork would have the kernel copy all of it.
    gc.disable()
    gc.freeze()
    with socket.socket(fileno=os.dup(0)) as channel:
        _serve(channel)
