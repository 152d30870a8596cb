"""All charons of a sandbox: one for each namespace whose tunnels negotiate their keys."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.bgp.files import SOCKET_PATH_MAX, write_private
from edge.child import Child
from edge.errors import DaemonError, EdgeError
from edge.ike.config import connections, name_of, settings
from edge.ike.objects import IkeDaemon
from edge.ike.support import DAEMON, LOADER, command
from edge.ike.vici import Vici, has_keys
from edge.ike.words import event_of
from edge.model import IpsecTunnel
from edge.net.ipsec import forgetting
from edge.net.namespaces import inside
from edge.net.rulesets import run_inside

if TYPE_CHECKING:
    from edge.bgp.state import LogEvent
    from edge.net.objects.changes import Change

SUFFIX: Final = ":ike"
"""Behind a namespace the name of its charon among the daemons; no namespace has a colon."""

START_TIMEOUT_S: Final = 15.0
LOAD_TIMEOUT_S: Final = 15.0
_WORKERS: Final = 8


def _asks(subject: object) -> bool:
    return isinstance(subject, IkeDaemon) and any(
        one.exchange is not None and one.exchange.initiates for one in subject.tunnels
    )


class IkeDaemons:
    """The charons of the namespaces named in `netns_directory`; all files lie in `directory`. Thread-safe.

    They are children of this process. One that ends by itself is not started again by itself: watch `pidfd`
    and call `restart`. Names are those of namespaces with SUFFIX.
    """

    def __init__(self, directory: Path, netns_directory: Path) -> None:
        self.directory = directory
        self.netns_directory = netns_directory
        self._lock = threading.RLock()
        self._children: dict[str, Child] = {}
        self._wanted: dict[str, IkeDaemon] = {}
        self._trouble: dict[tuple[str, str], str] = {}

    def apply(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Do all changes (of IkeDaemon objects) side by side; the result of each, None for done.

        Those that answer come first, those that ask find them ready. Nobody waits for keys: a tunnel without
        a second end is none of our errors.
        """
        self.directory.mkdir(mode=0o700, exist_ok=True)
        results: dict[int, EdgeError | None] = {}
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="ike") as pool:
            for asking in (False, True):
                turn = [n for n, change in enumerate(changes) if _asks(change.subject) == asking]
                results |= zip(turn, pool.map(self._apply_one, (changes[n] for n in turn)), strict=True)
        return [results[number] for number in range(len(changes))]

    def found(self) -> set[IkeDaemon]:
        """Those that run and have all their connections, as they were last configured."""
        with self._lock:
            known = dict(self._wanted)
        return {wanted for name, wanted in known.items() if self._holds(name, wanted)}

    def words(self, name: str) -> str:
        """What people call one of them."""
        return f"IPsec key exchange in {name.removesuffix(SUFFIX)}"

    def software(self, name: str) -> str:
        """What people call the program."""
        return "strongSwan"

    def pids(self) -> dict[str, int]:
        """Name -> process id of those not yet reaped: leave these to us when reaping."""
        with self._lock:
            return {name: pid for name, child in self._children.items() if (pid := child.pid) is not None}

    def pidfd(self, name: str) -> int:
        """Readable once it ended. Raises DaemonError when it does not run."""
        return self._child(name).pidfd

    def log_fds(self) -> dict[str, int]:
        """Name -> read end of the pipe that it logs to, not blocking, for one reader."""
        with self._lock:
            return {name: child.log_fd for name, child in self._children.items()}

    def known(self) -> frozenset[str]:
        """Those that there are, whether they run or died."""
        with self._lock:
            return frozenset(self._children)

    def event(self, name: str, line: str) -> LogEvent:
        """What a line of a log tells; the last trouble of each tunnel is kept for `tunnels`."""
        found = event_of(line)
        with self._lock:
            if found.what == "error":
                self._trouble[name, found.protocol] = found.text
            elif found.what == "established":
                self._trouble.pop((name, found.protocol), None)
        return found

    def restart(self, name: str) -> None:
        """Start it again as it was. Raises EdgeError."""
        with self._lock:
            wanted = self._wanted[name]
        self._start(name, wanted)

    def tunnels(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Namespace -> device -> {remote, established, trouble}, as charon has it now."""
        with self._lock:
            known, trouble = dict(self._wanted), dict(self._trouble)
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for name, wanted in known.items():
            there = self._installed(name)
            found[wanted.namespace] = {
                tunnel.name: {
                    "remote": str(tunnel.remote),
                    "established": name_of(tunnel) in there,
                    "trouble": trouble.get((name, name_of(tunnel)), ""),
                }
                for tunnel in wanted.tunnels
            }
        return found

    def _apply_one(self, change: Change) -> EdgeError | None:
        subject = change.subject
        if not isinstance(subject, IkeDaemon):
            raise TypeError(f"{subject} has nothing to do with IKE")
        name = subject.namespace + SUFFIX
        try:
            if change.action == "delete":
                self._delete(name)
            else:
                self._set(name, subject)
        except EdgeError as error:
            return error
        except OSError as error:
            return DaemonError(f"{subject}: {error.strerror or error}")
        return None

    def _set(self, name: str, wanted: IkeDaemon) -> None:
        with self._lock:
            before = self._wanted.get(name)
            child = self._children.setdefault(name, Child(self.words(name)))
            self._wanted[name] = wanted
        try:
            config, _ = self._files(name)
            same = config.exists() and config.read_text() == self._settings(name, wanted)
            if before is not None and child.alive and same:
                self._reload(name, before, wanted)
            else:
                self._start(name, wanted)
        except BaseException:
            self._delete(name)
            raise

    def _start(self, name: str, wanted: IkeDaemon) -> None:
        child = self._child(name)
        if child.pid is not None:
            child.end()
            self._forget(wanted.namespace, wanted.tunnels)
        config, _ = self._files(name)
        write_private(config, self._settings(name, wanted))
        self._socket(name).unlink(missing_ok=True)
        child.start(
            command(DAEMON),
            self.netns_directory / wanted.namespace,
            lambda: self._connections(name) is not None,
            START_TIMEOUT_S,
            environment={"STRONGSWAN_CONF": str(config)},
        )
        self._load(name, wanted)

    def _reload(self, name: str, before: IkeDaemon, wanted: IkeDaemon) -> None:
        """Load what changed. The tunnels that differ end, and begin anew with what is loaded then."""
        others = {name_of(one) for one in before.tunnels if one not in wanted.tunnels}
        with Vici(self._socket(name)) as vici:
            old = [one["uniqueid"] for of, one in vici.associations() if of in others]
        self._load(name, wanted)
        with Vici(self._socket(name)) as vici:
            for number in old:
                # One that has gone meanwhile is refused, which is as good.
                vici.ask("terminate", {"ike-id": str(number), "force": "yes", "timeout": "500"})
        gone = tuple(one for one in before.tunnels if one.number not in {w.number for w in wanted.tunnels})
        self._forget(wanted.namespace, gone)

    def _load(self, name: str, wanted: IkeDaemon) -> None:
        """Give charon its connections and secrets. Raises DaemonError with swanctl's words."""
        config, file = self._files(name)
        write_private(file, connections(wanted.tunnels))
        options = ("--load-all", "--noprompt", "--clear", "--file", str(file))
        try:
            done = subprocess.run(
                (*command(LOADER), *options, "--uri", f"unix://{self._socket(name)}"),
                capture_output=True,
                text=True,
                timeout=LOAD_TIMEOUT_S,
                check=False,
                env={**os.environ, "STRONGSWAN_CONF": str(config)},
            )
        except subprocess.TimeoutExpired as error:
            raise DaemonError(f"{wanted}: swanctl did not end within {LOAD_TIMEOUT_S:g} s") from error
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if "No such file" not in line]
            raise DaemonError(f"{wanted}: swanctl cannot load it: {' / '.join(said[-3:])}")

    def _delete(self, name: str) -> None:
        with self._lock:
            wanted = self._wanted.pop(name, None)
            child = self._children.pop(name, None)
            for key in [key for key in self._trouble if key[0] == name]:
                del self._trouble[key]
        if child is not None:
            ran = child.pid is not None
            child.end()
            child.close()
            if ran and wanted is not None:
                self._forget(wanted.namespace, wanted.tunnels)
        for path in (*self._files(name), self._socket(name)):
            path.unlink(missing_ok=True)

    def _forget(self, namespace: str, tunnels: Sequence[IpsecTunnel]) -> None:
        """What a charon that was killed has left in the kernel would outlive it, and its keys."""
        if not (self.netns_directory / namespace).exists():
            # It has taken them along.
            return
        for tunnel in tunnels:
            for line in forgetting(tunnel.number).splitlines():
                run_inside(self._inside, namespace, "ip", tuple(line.split()), package="iproute2")

    def _holds(self, name: str, wanted: IkeDaemon) -> bool:
        found = self._connections(name) if self._child(name).alive else None
        return found == {name_of(one) for one in wanted.tunnels}

    def _connections(self, name: str) -> set[str] | None:
        """What charon has loaded; None when it does not answer (yet)."""
        try:
            with Vici(self._socket(name)) as vici:
                return vici.connections()
        except DaemonError:
            return None

    def _installed(self, name: str) -> set[str]:
        """The connections that have keys in the kernel."""
        try:
            with Vici(self._socket(name)) as vici:
                found = vici.associations()
        except DaemonError:
            return set()
        return {of for of, one in found if has_keys(one)}

    def _settings(self, name: str, wanted: IkeDaemon) -> str:
        return settings(self._socket(name), [one.exchange for one in wanted.tunnels if one.exchange])

    def _files(self, name: str) -> tuple[Path, Path]:
        stem = self._stem(name)
        return self.directory / f"{stem}.strongswan.conf", self.directory / f"{stem}.swanctl.conf"

    def _socket(self, name: str) -> Path:
        return self.directory / f"{self._stem(name)}.vici"

    def _stem(self, name: str) -> str:
        plain = name.removesuffix(SUFFIX)
        if len(os.fsencode(self.directory / f"{plain}.vici")) <= SOCKET_PATH_MAX:
            return plain
        return "h-" + hashlib.blake2s(plain.encode(), digest_size=5).hexdigest()

    def _child(self, name: str) -> Child:
        with self._lock:
            child = self._children.get(name)
        if child is None:
            raise DaemonError(f"{self.words(name)} was not started")
        return child

    @contextmanager
    def _inside(self, namespace: str) -> Iterator[None]:
        fd = os.open(self.netns_directory / namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with inside(fd):
                yield
        finally:
            os.close(fd)
