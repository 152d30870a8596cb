"""All users' own routers of a sandbox, started and changed side by side."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from edge.bgp.state import LogEvent
from edge.errors import DaemonError, EdgeError
from edge.net.objects.changes import Change
from edge.net.objects.daemons import OwnRouter
from edge.own.kinds import Control, Software, kind

_WORKERS: Final = 4
"""Each starts several processes at once."""


class OwnRouters:
    """The routers of the namespaces named in `netns_directory`; their files lie below `directory`.

    Thread-safe, and to be watched as `edge.bgp.process.Birds`: one that dies is started by `restart`.
    """

    def __init__(self, directory: Path, netns_directory: Path) -> None:
        self.directory = directory
        self.netns_directory = netns_directory
        self._lock = threading.Lock()
        self._routers: dict[str, tuple[OwnRouter, Software]] = {}

    def apply(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Do all changes (of OwnRouter objects) at once; the result of each, None for done.

        A creation and a change return when the router runs with its configuration: a change starts it anew.
        """
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="own") as pool:
            return list(pool.map(self._apply_one, changes))

    def found(self) -> set[OwnRouter]:
        """The routers that run and answer, each as it was last started."""
        return {subject for subject, software in self._all() if software.answers()}

    def restart(self, namespace: str) -> None:
        """Start a router again as it was; raises DaemonError when there is none, and what `start` raises."""
        subject, software = self._router(namespace)
        software.start(subject.config, subject.file)

    def close(self) -> None:
        """End all routers. Idempotent."""
        for _, software in self._all():
            software.close()
        with self._lock:
            self._routers.clear()

    def control(self, namespace: str) -> Control:
        """A reader of the router of a namespace. Raises DaemonError when none was started."""
        return kind(self._router(namespace)[0].kind).control(self.directory, namespace)

    def pids(self) -> dict[str, tuple[int, ...]]:
        """Namespace -> processes not yet reaped: leave these to us when reaping."""
        return {subject.namespace: software.pids for subject, software in self._all() if software.pids}

    def pidfd(self, namespace: str) -> int:
        """Readable once a process of the router ended. It changes with `restart`."""
        return self._router(namespace)[1].pidfd

    def log_fds(self) -> dict[str, int]:
        """Namespace -> read end of the pipe that the router logs to."""
        return {subject.namespace: software.log_fd for subject, software in self._all()}

    def event(self, namespace: str, line: str) -> LogEvent | None:
        """What a line of a router's log tells."""
        return kind(self._router(namespace)[0].kind).event(line)

    def software(self, namespace: str) -> str:
        """What people call the software of a namespace."""
        return kind(self._router(namespace)[0].kind).name

    def known(self) -> frozenset[str]:
        """The namespaces that have a router, whether it runs or died."""
        with self._lock:
            return frozenset(self._routers)

    def _apply_one(self, change: Change) -> EdgeError | None:
        subject = change.subject
        if not isinstance(subject, OwnRouter):
            raise TypeError(f"{subject} is not a user's own router")
        try:
            if change.action == "delete":
                self._delete(subject.namespace)
            else:
                self._start(subject)
        except EdgeError as error:
            return error
        except OSError as error:
            return DaemonError(f"{subject}: {error.strerror or error}")
        return None

    def _start(self, wanted: OwnRouter) -> None:
        with self._lock:
            known = self._routers.get(wanted.namespace)
        if known is not None and known[0].kind != wanted.kind:
            self._delete(wanted.namespace)
            known = None
        if known is None:
            netns = self.netns_directory / wanted.namespace
            software = kind(wanted.kind).software(wanted.namespace, netns, self.directory)
        else:
            software = known[1]
        with self._lock:
            self._routers[wanted.namespace] = (wanted, software)
        try:
            software.start(wanted.config, wanted.file)
        except BaseException:
            self._delete(wanted.namespace)
            raise

    def _delete(self, namespace: str) -> None:
        with self._lock:
            known = self._routers.pop(namespace, None)
        if known is not None:
            known[1].close()

    def _all(self) -> list[tuple[OwnRouter, Software]]:
        with self._lock:
            return list(self._routers.values())

    def _router(self, namespace: str) -> tuple[OwnRouter, Software]:
        with self._lock:
            known = self._routers.get(namespace)
        if known is None:
            raise DaemonError(f"no router of a user was started in {namespace}")
        return known
