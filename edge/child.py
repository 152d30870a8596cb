"""A server as a child of ours in one network namespace: start, watch, end; every wait follows an event.

It says what it has to say to a pipe that lasts as long as the Child, restarts included; the pipe's read end
is for one reader. Our own waits only look at whether something was written (an edge of epoll), then ask
whoever waits, so they take no line away from that reader. The server's end of the pipe does not block: when
nobody reads, lines are lost, never time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from edge.errors import DaemonError, DeadlineError
from edge.net.namespaces import inside

STOP_TIMEOUT_S: Final = 5.0

_FULL_PIPE_RECHECK_S: Final = 0.25
"""A full pipe has no edges: then we look again after this time."""

_PIPE_OCTETS: Final = 1 << 18
_F_SETPIPE_SZ: Final = 1031

Waiting: TypeAlias = Callable[[Callable[[], bool], float], bool]
"""(done, timeout in seconds) -> whether it was done in time and the process still runs."""


class Child:
    """What runs as `what` (so messages call it). The caller serialises `start` and `end`.

    After `start` the process is ours to reap: whoever reaps children in this process leaves `pid` to us.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self.log_fd, self._log_write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # Only more room: an unprivileged user may be over its share of pipe buffers.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.log_fd, _F_SETPIPE_SZ, _PIPE_OCTETS)

    @property
    def alive(self) -> bool:
        """Whether the process runs; does not wait."""
        return self._pidfd >= 0 and not self._ended_within(0)

    @property
    def pid(self) -> int | None:
        """Its process id until it is reaped; None when it was not started."""
        process = self._process
        return process.pid if process is not None else None

    @property
    def pidfd(self) -> int:
        """Readable once the process ended; ours, and another one after a restart. Raises DaemonError."""
        if self._pidfd < 0:
            raise self.not_running()
        return self._pidfd

    def start(
        self,
        arguments: Sequence[str | Path],
        netns: Path,
        ready: Callable[[], bool],
        timeout_s: float,
        *,
        pass_fds: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start a program in the named namespace `netns`; returns when `ready` says so.

        `ready` is asked at once and after each write to the log. environment: added to ours. Raises
        DaemonError with the program's last words when it ends again, DeadlineError when it is not ready in
        time. Nothing runs after an error.
        """
        with self._writes() as writes:
            try:
                fd = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise DaemonError(f"{self.what}: no such namespace ({error.strerror})") from error
            try:
                with inside(fd):
                    self._process = subprocess.Popen(
                        arguments,
                        stdin=subprocess.DEVNULL,
                        stdout=self._log_write_fd,
                        stderr=self._log_write_fd,
                        cwd="/",
                        start_new_session=True,
                        pass_fds=pass_fds,
                        env={**os.environ, **environment} if environment else None,
                    )
            finally:
                os.close(fd)
            self._pidfd = os.pidfd_open(self._process.pid)
            writes.register(self._pidfd, select.EPOLLIN)
            if not self._wait(writes, ready, timeout_s):
                raise self._start_failed(timeout_s)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[Waiting]:
        """Open a wait before what leads to the event is done, so that nothing is missed."""
        with self._writes() as writes:
            writes.register(self.pidfd, select.EPOLLIN)
            yield lambda done, timeout_s: self._wait(writes, done, timeout_s)

    def end(self, ask: Callable[[], None] | None = None) -> None:
        """End the process as `ask` does it, by SIGTERM else; killed when it does not end in time."""
        if self._process is None:
            return
        if self.alive:
            if ask is None:
                self.signal(signal.SIGTERM)
            else:
                ask()
            if not self._ended_within(STOP_TIMEOUT_S):
                self.signal(signal.SIGKILL)
        self._reap()

    def close(self) -> None:
        """Close the log; the process has ended before. Idempotent."""
        if self.log_fd >= 0:
            os.close(self.log_fd)
            os.close(self._log_write_fd)
            self.log_fd = self._log_write_fd = -1

    def signal(self, number: int) -> None:
        """Send a signal to the process, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def not_running(self) -> DaemonError:
        """That it does not run, to be raised."""
        return DaemonError(f"{self.what} does not run")

    def _reap(self) -> None:
        if self._process is not None:
            # Processes of its own that it has left; until it is waited for, nobody else gets its number.
            group = self._process.pid
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
            self._process.wait()
            self._process = None
            # Where they are ours now (we are process 1): once they are gone, their sockets are free.
            with contextlib.suppress(ChildProcessError):
                while True:
                    os.waitpid(-group, 0)
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    @contextlib.contextmanager
    def _writes(self) -> Iterator[select.epoll]:
        with select.epoll() as poll:
            poll.register(self.log_fd, select.EPOLLIN | select.EPOLLET)
            yield poll

    def _wait(self, writes: select.epoll, done: Callable[[], bool], timeout_s: float) -> bool:
        """True when `done`, looked at after each write to the log; False when it ended or time is up."""
        deadline = time.monotonic() + timeout_s
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            ready = {fd for fd, _ in writes.poll(min(left, _FULL_PIPE_RECHECK_S))}
            if self._pidfd in ready:
                return False
        return True

    def _start_failed(self, timeout_s: float) -> DaemonError | DeadlineError:
        ended = self._ended_within(0)
        if not ended:
            self.signal(signal.SIGKILL)
        self._reap()
        if not ended:
            return DeadlineError(f"{self.what} was not ready within {timeout_s:g} s")
        with contextlib.suppress(BlockingIOError):
            said = os.read(self.log_fd, _PIPE_OCTETS).decode(errors="replace").splitlines()
            words = [line.removeprefix("bird: ") for line in said if "<TRACE>" not in line][-3:]
            return DaemonError(f"{self.what} does not start: {' / '.join(words)}")
        return DaemonError(f"{self.what} does not start, and said nothing that is not in its log")

    def _ended_within(self, timeout_s: float) -> bool:
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))
