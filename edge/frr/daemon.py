"""The processes of one FRR: started in their order, ended in the other one; every wait follows an event.

They are one thing here: when one of them dies, all begin anew (`start`), as a router that is restarted. A
changed configuration starts them anew as well: vtysh can only add to what runs, it takes nothing away.
All log to one pipe that lasts over restarts; its read end is for one reader, and nobody waits for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from edge.errors import DaemonError, DeadlineError, EdgeError, Problem
from edge.frr import programs, words
from edge.frr.arrivals import Arrivals, arrivals
from edge.frr.files import Files
from edge.frr.view import in_view
from edge.frr.vty import Vty

START_TIMEOUT_S: Final = 20.0
LOAD_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 1.0

_PIPE_OCTETS: Final = 1 << 18
_F_SETPIPE_SZ: Final = 1031


class FrrRouter:
    """The FRR of `namespace`, whose named namespace is the file `netns`. See edge.own.kinds.Software."""

    def __init__(self, namespace: str, netns: Path, files: Files) -> None:
        self.namespace = namespace
        self.config = ""
        self._netns = netns
        self._files = files
        self._lock = threading.RLock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._pidfds: dict[str, int] = {}
        self._ended: select.epoll | None = None
        self.log_fd, self._log_write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # Only more room: a user may be over its share of pipe buffers.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.log_fd, _F_SETPIPE_SZ, _PIPE_OCTETS)

    @property
    def alive(self) -> bool:
        """Whether all processes run; does not wait."""
        processes = list(self._processes.values())
        return bool(processes) and all(process.poll() is None for process in processes)

    @property
    def pids(self) -> tuple[int, ...]:
        """See Software."""
        return tuple(process.pid for process in list(self._processes.values()))

    @property
    def pidfd(self) -> int:
        """See Software: an epoll descriptor, which is readable when one of those in it is."""
        if self._ended is None:
            raise DaemonError(f"FRR in {self.namespace} does not run")
        return self._ended.fileno()

    def answers(self) -> bool:
        """See Software."""
        return self.alive and all(self._answers(name) for name in list(self._processes))

    def start(self, config: str, name: str) -> None:
        """See Software."""
        with self._lock:
            self.end()
            daemons = programs.daemons()
            user, group = programs.owner()
            try:
                self._files.make(user, group)
                self._files.write(config, user, group)
                self._ended = select.epoll()
                with arrivals(self._files.run) as watch:
                    in_view(self._files.mounts(), self._netns, lambda: self._start(daemons, watch, name))
            except BaseException:
                self.end()
                raise
            self.config = config

    def end(self) -> None:
        """See Software. In the order opposite to the start: zebra is the last, and takes the routes back."""
        with self._lock:
            # First: whoever watches it must not take this for a death.
            if self._ended is not None:
                self._ended.close()
                self._ended = None
            for name in reversed(self._processes):
                self._signal(name, signal.SIGTERM)
                if not self._ended_within(name, STOP_TIMEOUT_S):
                    self._signal(name, signal.SIGKILL)
            for process in self._processes.values():
                process.wait()
            self._processes.clear()
            for fd in self._pidfds.values():
                os.close(fd)
            self._pidfds.clear()

    def close(self) -> None:
        """See Software."""
        with self._lock:
            self.end()
            self._files.remove()
            if self.log_fd >= 0:
                os.close(self.log_fd)
                os.close(self._log_write_fd)
                self.log_fd = self._log_write_fd = -1

    def _start(self, daemons: dict[str, str], watch: Arrivals, name: str) -> None:
        """In the view of the router: what others talk to first, then the others, then the configuration."""
        for stage in (programs.FIRST, programs.OTHERS):
            here = [daemon for daemon in stage if daemon in daemons]
            for daemon in here:
                self._launch(daemon, daemons[daemon])
            self._await(here, watch)
        self._load(name)

    def _launch(self, daemon: str, program: str) -> None:
        process = subprocess.Popen(
            # No TCP port for a vty, and nothing but the configuration that vtysh brings.
            [program, "-P", "0", "-f", os.devnull, "--log", "stdout", "--log-level", "informational"],
            stdin=subprocess.DEVNULL,
            stdout=self._log_write_fd,
            stderr=self._log_write_fd,
            cwd="/",
            start_new_session=True,
        )
        self._processes[daemon] = process
        self._pidfds[daemon] = os.pidfd_open(process.pid)
        assert self._ended is not None
        self._ended.register(self._pidfds[daemon], select.EPOLLIN)

    def _await(self, daemons: Iterable[str], watch: Arrivals) -> None:
        def ready() -> bool:
            return all(self._answers(daemon) for daemon in daemons)

        if watch.wait_until(ready, self.pidfd, START_TIMEOUT_S):
            return
        dead = [daemon for daemon in self._processes if self._ended_within(daemon, 0)]
        if not dead:
            raise DeadlineError(f"FRR in {self.namespace} was not ready within {START_TIMEOUT_S:g} s")
        said = ""
        with contextlib.suppress(BlockingIOError):
            said = os.read(self.log_fd, _PIPE_OCTETS).decode(errors="replace")
        last = " / ".join(said.splitlines()[-3:]) or "it said nothing"
        raise DaemonError(f"FRR in {self.namespace} does not start, {', '.join(dead)} ended: {last}")

    def _load(self, name: str) -> None:
        """Have vtysh give the configuration to all daemons."""
        try:
            done = subprocess.run(
                [programs.vtysh(), "-b"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=LOAD_TIMEOUT_S,
                check=False,
                cwd="/",
            )
        except subprocess.TimeoutExpired as error:
            raise DeadlineError(
                f"FRR in {self.namespace} did not take {name} within {LOAD_TIMEOUT_S:g} s"
            ) from error
        if done.returncode == 0:
            return
        said = (done.stdout + done.stderr).decode(errors="replace")
        found = [
            Problem(name, item.line, int(item.line > 0), "", item.words) for item in words.complaints(said)
        ]
        if not found:
            raise DaemonError(f"FRR in {self.namespace} does not take {name} (status {done.returncode})")
        raise DaemonError("\n".join(map(str, found)))

    def _answers(self, daemon: str) -> bool:
        try:
            Vty(self._files.run, daemon, ANSWER_TIMEOUT_S).command("show version")
        except EdgeError:
            return False
        return True

    def _signal(self, daemon: str, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfds[daemon], number)

    def _ended_within(self, daemon: str, timeout_s: float) -> bool:
        poll = select.poll()
        poll.register(self._pidfds[daemon], select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))
