"""All BIRDs of a sandbox: one per namespace, started and changed side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from edge.bgp.control import ControlSocket
from edge.bgp.daemon import Daemon
from edge.bgp.files import control_path
from edge.errors import DaemonError, EdgeError
from edge.net.objects.changes import Change
from edge.net.objects.daemons import BirdDaemon

__all__ = ["Birds", "control_path"]

_WORKERS: Final = 16

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Birds:
    """The BIRDs of the namespaces named in `netns_directory`; their files lie in `directory`.

    Thread-safe. The daemons are children of this process and end with `close`; one that ends by
    itself is not started again by itself: watch `pidfd` and call `restart`.
    """

    def __init__(self, directory: Path, netns_directory: Path) -> None:
        self.directory = directory
        self.netns_directory = netns_directory
        self._lock = threading.Lock()
        self._daemons: dict[str, Daemon] = {}

    def apply(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Do all changes (of BirdDaemon objects) at once; the result of each, None for done.

        A creation returns when the daemon answers, a change when it took the new configuration, a
        deletion when the process is gone. A daemon to create or change that runs already is
        reconfigured, one that died is started.
        """
        return _side_by_side(self._apply_one, changes)

    def found(self) -> set[BirdDaemon]:
        """The daemons that run and answer, each with the configuration it last took. At most 1-2 s."""
        daemons = self._all()
        answers = _side_by_side(Daemon.answers, daemons)
        return {
            BirdDaemon(daemon.namespace, daemon.config)
            for daemon, answer in zip(daemons, answers, strict=True)
            if answer
        }

    def restart(self, namespace: str) -> None:
        """Start the daemon of a namespace again, as it was last configured; ends it first if it runs.

        Raises DaemonError when there is none, and what Daemon.start raises.
        """
        daemon = self._daemon(namespace)
        daemon.start(daemon.config)

    def close(self) -> None:
        """End all daemons; they take their routes back. Idempotent."""
        _side_by_side(Daemon.close, self._all())
        with self._lock:
            self._daemons.clear()

    def control(self, namespace: str) -> ControlSocket:
        """The control socket of a namespace's daemon; using it raises DaemonError if none runs."""
        return ControlSocket(control_path(self.directory, namespace))

    def pids(self) -> dict[str, int]:
        """Namespace -> process id of the daemons not yet reaped: leave these to us when reaping."""
        return {daemon.namespace: pid for daemon in self._all() if (pid := daemon.pid) is not None}

    def pidfd(self, namespace: str) -> int:
        """Readable once the daemon ended. It stays ours and changes with `restart`."""
        return self._daemon(namespace).pidfd

    def log_fds(self) -> dict[str, int]:
        """Namespace -> read end of the pipe that its BIRD logs to, not blocking, for one reader.

        It stays the same over restarts and is closed when the daemon is deleted. `parse_log_line` reads
        the lines.
        """
        return {daemon.namespace: daemon.log_fd for daemon in self._all()}

    def known(self) -> frozenset[str]:
        """The namespaces that have a daemon, whether it runs or died."""
        with self._lock:
            return frozenset(self._daemons)

    def _apply_one(self, change: Change) -> EdgeError | None:
        subject = change.subject
        if not isinstance(subject, BirdDaemon):
            raise TypeError(f"{subject} is not a BIRD")
        try:
            if change.action == "delete":
                self._delete(subject.namespace)
            else:
                self._create_or_change(subject)
        except EdgeError as error:
            return error
        except OSError as error:
            return DaemonError(f"{subject}: {error.strerror or error}")
        return None

    def _create_or_change(self, wanted: BirdDaemon) -> None:
        with self._lock:
            daemon = self._daemons.get(wanted.namespace)
            if daemon is None:
                netns = self.netns_directory / wanted.namespace
                daemon = Daemon(wanted.namespace, netns, self.directory)
                self._daemons[wanted.namespace] = daemon
        if daemon.alive:
            daemon.reconfigure(wanted.config)
            return
        try:
            daemon.start(wanted.config)
        except BaseException:
            self._delete(wanted.namespace)
            raise

    def _delete(self, namespace: str) -> None:
        with self._lock:
            daemon = self._daemons.pop(namespace, None)
        if daemon is not None:
            daemon.close()

    def _all(self) -> list[Daemon]:
        with self._lock:
            return list(self._daemons.values())

    def _daemon(self, namespace: str) -> Daemon:
        with self._lock:
            daemon = self._daemons.get(namespace)
        if daemon is None:
            raise DaemonError(f"no BIRD was started in {namespace}")
        return daemon


def _side_by_side(work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    if not items:
        return []
    # Costly to import, and commands that only look for a control socket never come here.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(_WORKERS, len(items)), thread_name_prefix="bird") as pool:
        return list(pool.map(work, items))
