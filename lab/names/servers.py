"""The servers behind a lab's names: dnsmasq and nginx as children, the authority, the files of the nodes."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from edge.bgp.files import write_private
from edge.child import Child
from edge.errors import CapabilityError, DaemonError, EdgeError
from edge.model import Address
from edge.net.capabilities import found_program
from edge.net.namespaces import inside
from edge.net.objects.changes import Change
from lab.names import nodes, query, web
from lab.names.authority import Authority
from lab.names.objects import NamesObject, NodeFiles, Resolver, WebServer
from lab.names.table import RESOLVER, ZONE

PACKAGES = {"dnsmasq": "dnsmasq-base", "nginx": "nginx-light", "openssl": "openssl"}
"""Program -> the package of Debian and Ubuntu that brings it."""

RESOLVER_NAME, WEB_NAME = "names:resolver", "names:web"
"""What the servers are called among the lab's daemons; no namespace has a colon."""

START_TIMEOUT_S: Final = 15.0
ANSWER_TIMEOUT_S: Final = 1.0
_BACKLOG: Final = 128


def require_programs() -> None:
    """Raise CapabilityError with one apt line for every program that names need and the machine lacks."""
    missing = [name for name in PACKAGES if found_program(name) is None]
    if missing:
        words = (
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed, which names need"
        )
        raise CapabilityError(
            words,
            "sudo apt-get install --no-install-recommends " + " ".join(PACKAGES[one] for one in missing),
        )


class Servers:
    """What names need in the sandbox this process is in; all files lie in `directory`. Thread-safe.

    The servers are children of this process. One that ends by itself is not started again by itself: watch
    `pidfd` and call `restart`.
    """

    def __init__(self, directory: Path, netns_directory: Path, lab: str) -> None:
        self.directory = directory
        self.netns_directory = netns_directory
        self.authority = Authority(directory, lab)
        self._lock = threading.RLock()
        self._children: dict[str, Child] = {}
        self._objects: dict[str, NamesObject] = {}

    def apply(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Do all changes (of NamesObject) side by side; the result of each, None for done."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        with ThreadPoolExecutor(len(changes), thread_name_prefix="names") as pool:
            return list(pool.map(self._apply_one, changes))

    def found(self) -> set[NamesObject]:
        """What runs and answers, and whether the nodes have their files."""
        with self._lock:
            known = dict(self._objects)
        return {item for name, item in known.items() if self._holds(name, item)}

    def words(self, name: str) -> str:
        """What people call a server."""
        return "the lab's DNS server" if name == RESOLVER_NAME else "the lab's web server"

    def software(self, name: str) -> str:
        """What people call its program."""
        return "dnsmasq" if name == RESOLVER_NAME else "nginx"

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

    def restart(self, name: str) -> None:
        """Start it again as it was. Raises EdgeError."""
        with self._lock:
            wanted = self._objects[name]
        self._start(name, wanted)

    def _apply_one(self, change: Change) -> EdgeError | None:
        subject = change.subject
        try:
            if isinstance(subject, NodeFiles):
                self._files(subject if change.action != "delete" else None)
            elif isinstance(subject, Resolver | WebServer):
                name = RESOLVER_NAME if isinstance(subject, Resolver) else WEB_NAME
                if change.action == "delete":
                    self._delete(name)
                else:
                    self._serve(name, subject)
            else:
                raise TypeError(f"{subject} has nothing to do with names")
        except EdgeError as error:
            return error
        except (OSError, subprocess.CalledProcessError) as error:
            return DaemonError(f"{subject}: {error}")
        return None

    def _files(self, wanted: NodeFiles | None) -> None:
        if wanted is None:
            nodes.take(self.directory)
        else:
            nodes.give(self.directory, wanted.address, self.authority.certificate())
        with self._lock:
            self._objects.pop("nodes", None)
            if wanted is not None:
                self._objects["nodes"] = wanted

    def _serve(self, name: str, wanted: Resolver | WebServer) -> None:
        if isinstance(wanted, WebServer):
            self.authority.issue(wanted.front_ends)
        with self._lock:
            if name not in self._children:
                self._children[name] = Child(self.words(name))
            self._objects[name] = wanted
        try:
            self._start(name, wanted)
        except BaseException:
            self._delete(name)
            raise

    def _delete(self, name: str) -> None:
        with self._lock:
            self._objects.pop(name, None)
            child = self._children.pop(name, None)
        if child is not None:
            child.end()
            child.close()

    def _start(self, name: str, wanted: NamesObject) -> None:
        """Start a server anew; it has ended, and given its sockets back, before."""
        child = self._child(name)
        child.end()
        if isinstance(wanted, Resolver):
            self._start_resolver(child, wanted)
        elif isinstance(wanted, WebServer):
            self._start_web(child, wanted)

    def _start_resolver(self, child: Child, wanted: Resolver) -> None:
        config = self.directory / "dnsmasq.conf"
        write_private(config, wanted.config)
        child.start(
            [_program("dnsmasq"), f"--conf-file={config}"],
            self.netns_directory / wanted.namespace,
            lambda: self._resolves(wanted),
            START_TIMEOUT_S,
        )

    def _start_web(self, child: Child, wanted: WebServer) -> None:
        config = self.directory / "nginx.conf"
        write_private(config, wanted.config)
        program = _program("nginx")
        with ExitStack() as opened:
            listening = [opened.enter_context(self._listen(*at)) for at in wanted.sockets]
            numbers = [one.fileno() for one in listening]

            def ready() -> bool:
                # From now on the sockets are nginx's alone: who asks waits in their queue until it serves,
                # and is refused when it has ended.
                opened.close()
                return self._serves(wanted, START_TIMEOUT_S)

            child.start(
                [program, *_no_log_of_the_package(program), "-p", self.directory, "-c", config],
                self.netns_directory / wanted.namespace,
                ready,
                START_TIMEOUT_S,
                pass_fds=numbers,
                environment={"NGINX": "".join(f"{number};" for number in numbers)},
            )

    def _listen(self, namespace: str, address: Address, port: int) -> socket.socket:
        """A listening socket inside a namespace; it stays there whoever accepts on it."""
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        with self._inside(namespace):
            opened = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            try:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                opened.bind((str(address), port))
                opened.listen(_BACKLOG)
            except OSError as error:
                opened.close()
                raise DaemonError(
                    f"the lab's web server cannot listen on {address} port {port} in {namespace}: "
                    f"{error.strerror}; is another server of yours there?"
                ) from error
            return opened

    def _holds(self, name: str, item: NamesObject) -> bool:
        if isinstance(item, NodeFiles):
            return nodes.has(item.address, self.authority.certificate())
        if not self._child(name).alive:
            return False
        return self._resolves(item) if isinstance(item, Resolver) else self._serves(item, ANSWER_TIMEOUT_S)

    def _resolves(self, wanted: Resolver) -> bool:
        """Whether the DNS server answers in its own namespace."""
        number = 1
        asked = query.question(f"{RESOLVER}.{ZONE}", 4, number)

        def ask(opened: socket.socket) -> bool:
            opened.send(asked)
            said = query.answer(opened.recv(512), 4, number)
            return said is not None and said.rcode == 0

        at = (wanted.namespace, wanted.address, query.PORT)
        return self._asked(at, socket.SOCK_DGRAM, ANSWER_TIMEOUT_S, ask)

    def _serves(self, wanted: WebServer, timeout_s: float) -> bool:
        """Whether the web server answers at its first front end, over plain HTTP."""

        def ask(opened: socket.socket) -> bool:
            opened.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return opened.recv(16).startswith(b"HTTP/1.1 200")

        at = next(item for item in wanted.sockets if item[2] == web.HTTP)
        return self._asked(at, socket.SOCK_STREAM, timeout_s, ask)

    def _asked(
        self,
        at: tuple[str, Address, int],
        kind: socket.SocketKind,
        timeout_s: float,
        ask: Callable[[socket.socket], bool],
    ) -> bool:
        namespace, address, port = at
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        with self._inside(namespace):
            opened = socket.socket(family, kind | socket.SOCK_CLOEXEC)
        with opened:
            opened.settimeout(timeout_s)
            try:
                opened.connect((str(address), port))
                return ask(opened)
            except OSError:
                # Nobody is there (yet): refused, reset, or silent.
                return False

    @contextmanager
    def _inside(self, namespace: str) -> Iterator[None]:
        try:
            fd = os.open(self.netns_directory / namespace, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DaemonError(f"names: no namespace {namespace} ({error.strerror})") from error
        try:
            with inside(fd):
                yield
        finally:
            os.close(fd)

    def _child(self, name: str) -> Child:
        with self._lock:
            child = self._children.get(name)
        if child is None:
            raise DaemonError(f"{self.words(name)} was not started")
        return child


def _program(name: str) -> str:
    found = found_program(name)
    if found is None:
        require_programs()
    return found or name


def _no_log_of_the_package(program: str) -> tuple[str, ...]:
    """The option that keeps nginx from the log file of its package, from version 1.19.5 on."""
    option = ("-e", "stderr")
    tried = subprocess.run(
        [program, *option, "-v"], capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    return option if tried.returncode == 0 else ()
