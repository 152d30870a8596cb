"""One BIRD in one network namespace: start, reconfigure, end; every wait follows an event (edge.child)."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Final

from edge.bgp.control import ControlSocket
from edge.bgp.files import Files, files_of, write_private
from edge.child import Child
from edge.errors import CapabilityError, DaemonError, DeadlineError

START_TIMEOUT_S: Final = 15.0
CONFIGURE_TIMEOUT_S: Final = 15.0
ANSWER_TIMEOUT_S: Final = 1.0

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
        self._child = Child(f"BIRD in {namespace}")

    @property
    def alive(self) -> bool:
        """Whether the process runs; does not wait."""
        return self._child.alive

    @property
    def pid(self) -> int | None:
        """Its process id until it is reaped; None when it was not started."""
        return self._child.pid

    @property
    def pidfd(self) -> int:
        """Readable once the process ended; ours, and another one after a restart. Raises DaemonError."""
        return self._child.pidfd

    @property
    def log_fd(self) -> int:
        """Read end of the pipe that it logs to."""
        return self._child.log_fd

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
            self._child.start(
                [program, "-f", *self.files.arguments()],
                self._netns,
                lambda: self._state() is not None,
                START_TIMEOUT_S,
            )
            self.config = config

    def reconfigure(self, config: str) -> None:
        """Give it another configuration; sessions that it does not change stay up.

        A configuration that BIRD refuses leaves the old one in force and in the file, and raises
        DaemonError with BIRD's place and words. Raises DeadlineError when it was taken but sessions
        that it removes do not end in time.
        """
        with self._lock:
            if not self.alive:
                raise self._child.not_running()
            write_private(self.files.candidate, config)
            try:
                self.control.configure(check_only=True, file=self.files.candidate)
            except DaemonError as error:
                self.files.candidate.unlink()
                raise DaemonError(f"BIRD in {self.namespace}: {error}") from error
            with self._child.waiting() as wait:
                self.files.candidate.replace(self.files.config)
                try:
                    self.control.configure()
                except DaemonError as error:
                    write_private(self.files.candidate, self.config)
                    self.files.candidate.replace(self.files.config)
                    raise DaemonError(f"BIRD in {self.namespace}: {error}") from error
                self.config = config
                if not wait(self._settled, CONFIGURE_TIMEOUT_S):
                    raise DeadlineError(
                        f"BIRD in {self.namespace} did not finish its reconfiguration "
                        f"within {CONFIGURE_TIMEOUT_S:g} s; see its log"
                    )

    def end(self) -> None:
        """End the process: it takes its routes back; killed when it does not end in time. Idempotent."""
        with self._lock:
            self._child.end(self._ask_down)

    def _ask_down(self) -> None:
        try:
            ControlSocket(self.files.control, ANSWER_TIMEOUT_S).down()
        except (DaemonError, DeadlineError):
            self._child.signal(signal.SIGTERM)

    def close(self) -> None:
        """End the process, take its files away and close the log. Idempotent."""
        with self._lock:
            self.end()
            for path in (self.files.config, self.files.candidate, self.files.control, self.files.pid):
                path.unlink(missing_ok=True)
            self._child.close()

    def _state(self) -> str | None:
        """What the daemon says it is doing, None when it does not answer."""
        try:
            return ControlSocket(self.files.control, ANSWER_TIMEOUT_S).status().message
        except (DaemonError, DeadlineError):
            return None

    def _settled(self) -> bool:
        return self._state() not in (None, _RECONFIGURING)


def find_bird() -> str:
    """The path of BIRD's program. Raises CapabilityError with the way to install it."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SBIN))
    program = shutil.which("bird", path=path)
    if program is None:
        raise CapabilityError("BIRD 2 is not installed", "apt install bird2")
    return program
