"""One BIRD in one network namespace: start, reconfigure, end; every wait follows an event.

BIRD logs to a pipe that lasts as long as the Daemon, restarts included; its read end is for one reader
of events. Our own waits only look at whether something was written (an edge of epoll), then ask the
control socket, so they take no line away from that reader. BIRD's end of the pipe does not block: when
nobody reads, lines are lost, never time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from edge.bgp.control import ControlSocket
from edge.bgp.files import Files, files_of, write_private
from edge.errors import CapabilityError, DaemonError, DeadlineError
from edge.net.namespaces import inside

START_TIMEOUT_S: Final = 15.0
STOP_TIMEOUT_S: Final = 5.0
CONFIGURE_TIMEOUT_S: Final = 15.0
ANSWER_TIMEOUT_S: Final = 1.0

_FULL_PIPE_RECHECK_S: Final = 0.25
"""A full pipe has no edges: then we look again after this time."""

_PIPE_OCTETS: Final = 1 << 18
_F_SETPIPE_SZ: Final = 1031
_RECONFIGURING: Final = "Reconfiguration in progress"

_SBIN = ("/usr/sbin", "/usr/local/sbin", "/sbin")
"""Where BIRD is installed; a user's PATH often lacks them."""


class Daemon:
    """The BIRD of `namespace`, whose named namespace is the file `netns`. Thread-safe.

    `config` is what it was last given and took. After `start` the process is a child of ours: whoever
    reaps children in this process leaves `pid` to us. `close` ends it all.
    """

    def __init__(self, namespace: str, netns: Path, directory: Path) -> None:
        self.namespace = namespace
        self.files: Files = files_of(directory, namespace)
        self.control = ControlSocket(self.files.control)
        self.config = ""
        self._netns = netns
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self.log_fd, self._log_write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # Only more room: an unprivileged user may be over its share of pipe buffers.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.log_fd, _F_SETPIPE_SZ, _PIPE_OCTETS)

    @property
    def alive(self) -> bool:
        """Whether the process runs; does not wait."""
        process = self._process
        return process is not None and process.poll() is None

    @property
    def pid(self) -> int | None:
        """Its process id until it is reaped; None when it was not started."""
        process = self._process
        return process.pid if process is not None else None

    @property
    def pidfd(self) -> int:
        """Readable once the process ended; ours, and another one after a restart. Raises DaemonError."""
        if self._pidfd < 0:
            raise self._not_running()
        return self._pidfd

    def answers(self) -> bool:
        """Whether it runs and its control socket answers within a second."""
        return self.alive and self._state() is not None

    def start(self, config: str) -> None:
        """Start it with this configuration; returns when its control socket answers.

        Raises CapabilityError without BIRD, DaemonError with BIRD's own words when it ends again,
        DeadlineError when it is not ready in time. Nothing runs after an error.
        """
        with self._lock:
            self.end()
            program = find_bird()
            write_private(self.files.candidate, config)
            self.files.candidate.replace(self.files.config)
            self.files.control.unlink(missing_ok=True)
            with self._writes() as writes:
                with self._inside():
                    self._process = subprocess.Popen(
                        [program, "-f", *self.files.arguments()],
                        stdin=subprocess.DEVNULL,
                        stdout=self._log_write_fd,
                        stderr=self._log_write_fd,
                        cwd="/",
                        start_new_session=True,
                    )
                self._pidfd = os.pidfd_open(self._process.pid)
                writes.register(self._pidfd, select.EPOLLIN)
                if not self._wait_until(writes, lambda: self._state() is not None, START_TIMEOUT_S):
                    raise self._start_failed()
            self.config = config

    def reconfigure(self, config: str) -> None:
        """Give it another configuration; sessions that it does not change stay up.

        A configuration that BIRD refuses leaves the old one in force and in the file, and raises
        DaemonError with BIRD's place and words. Raises DeadlineError when it was taken but sessions
        that it removes do not end in time.
        """
        with self._lock:
            if not self.alive:
                raise self._not_running()
            write_private(self.files.candidate, config)
            try:
                self.control.configure(check_only=True, file=self.files.candidate)
            except DaemonError as error:
                self.files.candidate.unlink()
                raise DaemonError(f"BIRD in {self.namespace}: {error}") from error
            with self._writes() as writes:
                writes.register(self._pidfd, select.EPOLLIN)
                self.files.candidate.replace(self.files.config)
                try:
                    self.control.configure()
                except DaemonError as error:
                    write_private(self.files.candidate, self.config)
                    self.files.candidate.replace(self.files.config)
                    raise DaemonError(f"BIRD in {self.namespace}: {error}") from error
                self.config = config
                if not self._wait_until(writes, self._settled, CONFIGURE_TIMEOUT_S):
                    raise DeadlineError(
                        f"BIRD in {self.namespace} did not finish its reconfiguration "
                        f"within {CONFIGURE_TIMEOUT_S:g} s; see its log"
                    )

    def end(self) -> None:
        """End the process: it takes its routes back; killed when it does not end in time. Idempotent."""
        with self._lock:
            if self._process is None:
                return
            if self.alive:
                try:
                    ControlSocket(self.files.control, ANSWER_TIMEOUT_S).down()
                except (DaemonError, DeadlineError):
                    self._signal(signal.SIGTERM)
                if not self._ended_within(STOP_TIMEOUT_S):
                    self._signal(signal.SIGKILL)
            self._reap()

    def close(self) -> None:
        """End the process, take its files away and close the log. Idempotent."""
        with self._lock:
            self.end()
            for path in (self.files.config, self.files.candidate, self.files.control, self.files.pid):
                path.unlink(missing_ok=True)
            if self.log_fd >= 0:
                os.close(self.log_fd)
                os.close(self._log_write_fd)
                self.log_fd = self._log_write_fd = -1

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def _state(self) -> str | None:
        """What the daemon says it is doing, None when it does not answer."""
        try:
            return ControlSocket(self.files.control, ANSWER_TIMEOUT_S).status().message
        except (DaemonError, DeadlineError):
            return None

    def _settled(self) -> bool:
        return self._state() not in (None, _RECONFIGURING)

    @contextlib.contextmanager
    def _writes(self) -> Iterator[select.epoll]:
        with select.epoll() as poll:
            poll.register(self.log_fd, select.EPOLLIN | select.EPOLLET)
            yield poll

    def _wait_until(self, writes: select.epoll, done: Callable[[], bool], timeout_s: float) -> bool:
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

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        try:
            fd = os.open(self._netns, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DaemonError(f"BIRD in {self.namespace}: no such namespace ({error.strerror})") from error
        try:
            with inside(fd):
                yield
        finally:
            os.close(fd)

    def _start_failed(self) -> DaemonError | DeadlineError:
        ended = self._ended_within(0)
        if not ended:
            self._signal(signal.SIGKILL)
        self._reap()
        if not ended:
            return DeadlineError(f"BIRD in {self.namespace} was not ready within {START_TIMEOUT_S:g} s")
        with contextlib.suppress(BlockingIOError):
            said = os.read(self.log_fd, _PIPE_OCTETS).decode(errors="replace").splitlines()
            words = [line.removeprefix("bird: ") for line in said if "<TRACE>" not in line][-3:]
            return DaemonError(f"BIRD in {self.namespace} does not start: {' / '.join(words)}")
        return DaemonError(
            f"BIRD in {self.namespace} does not start, and said nothing that is not in its log"
        )

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def _ended_within(self, timeout_s: float) -> bool:
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def _not_running(self) -> DaemonError:
        return DaemonError(f"BIRD in {self.namespace} does not run")


def find_bird() -> str:
    """The path of BIRD's program. Raises CapabilityError with the way to install it."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SBIN))
    program = shutil.which("bird", path=path)
    if program is None:
        raise CapabilityError("BIRD 2 is not installed", "apt install bird2")
    return program
