"""Process 1 of a lab: keeps it alive, answers the commands, tells what happens.

The main thread waits for descriptors: new connections, daemons' logs and deaths, link events, signals.
Each connection has a thread that carries out its requests (see lab.requests). The lab ends when
someone asks for it, on SIGTERM, or when its first deploy goes away before it was finished.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from edge import __version__
from edge.bgp.state import LogEvent
from edge.errors import EdgeError
from edge.net.monitor import CarrierMirror, LinkMonitor
from edge.net.objects.base import Endpoint
from edge.net.objects.daemons import MkaDaemon
from edge.net.objects.devices import AdminUp
from edge.net.objects.frames import SubinterfaceTags
from lab.compile import compile_lab
from lab.events import EventBus
from lab.faults.serving import halt_hanging
from lab.heap import few_arenas
from lab.model import LabModel
from lab.protocol import PROTOCOL_VERSION, Channel, ClosedError, error_to_json
from lab.service.codec import encode_state
from lab.state import RunDirectory
from lab.world import World

ORPHAN_PATIENCE_S = 2.0
"""How long an ended child may lie before process 1 collects it: its own starter comes first."""

LOG_OCTETS = 1 << 16

LOG_LIMIT_OCTETS = 16 << 20
"""A lab that runs for weeks must not fill /run with the log of its BIRDs."""

DESCRIPTORS_MAX = 1 << 16

THREAD_SWITCH_S = 0.0005
"""How long a thread that computes may keep others waiting. Python's 5 ms come again at every system call, and
to pass a lost carrier on takes ten: 70 ms were measured while a fault was being read back, and 10 ms now."""

CRASH_LIMIT = 5
"""A daemon that died this often within CRASH_WINDOW_S is left dead and reported."""

CRASH_WINDOW_S = 30.0

ENGINE = "ring"
"""What the engine in user space is called among the daemons, beside the namespaces of the BIRDs."""


class Supervisor:
    """The running lab. `run` returns when the lab has ended."""

    def __init__(self, directory: RunDirectory, netns_directory: Path) -> None:
        self.directory = directory
        self.netns_directory = netns_directory
        self.bus = EventBus()
        self.world: World | None = None
        self.apply_lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._stopping = threading.Event()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._calls: list[Callable[[], None]] = []
        self._calls_lock = threading.Lock()
        self._channels: set[Channel] = set()
        self._channels_lock = threading.Lock()
        self._watched: list[int] = []
        self._deaths: dict[str, list[float]] = {}
        self._zombies: dict[int, float] = {}
        self._monitor: LinkMonitor | None = None
        self._mirror: CarrierMirror | None = None
        self._log_rest: dict[str, bytes] = {}
        self._link_states: dict[Endpoint, tuple[bool, bool, bool]] = {}

    def run(self, first: socket.socket) -> None:
        """Serve until stopped; `first` is the connection of the deploy that started the lab."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        listener.bind(str(self.directory.socket))
        self.directory.socket.chmod(0o600)
        listener.listen(64)
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._run_calls)
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._serve(first, first=True)
        while not self._stopping.is_set():
            for key, _ in self._selector.select(self._reap()):
                try:
                    key.data()
                except (EdgeError, OSError) as error:
                    # Whatever goes wrong with one descriptor must not take the lab along.
                    self.report(f"{type(error).__name__}: {error}")
        self.bus.publish("lab", state="stopping")
        self.bus.close()
        self._hang_up()
        # What is being applied sees that the lab stops, and must not write files while they are removed.
        # All the rest ends with this process, since it is process 1 of the sandbox.
        with self.apply_lock:
            self.directory.empty()

    def stop(self) -> None:
        """End the lab soon; callable from any thread and from signal handlers."""
        self._stopping.set()
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"s")

    @property
    def stopping(self) -> bool:
        """Whether the lab is about to end."""
        return self._stopping.is_set()

    def report(self, text: str) -> None:
        """A line of our own in the lab's log."""
        self._log(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}")

    def log_line(self, namespace: str, line: str) -> None:
        """A line that a daemon wrote (BIRD: its namespace), in the lab's log, which starts anew when long."""
        self._log(f"{namespace}: {line}")

    def _log(self, text: str) -> None:
        # A full disk costs lines of the log, never the lab.
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)
            if os.fstat(2).st_size > LOG_LIMIT_OCTETS:
                os.ftruncate(2, 0)

    def in_main_thread(self, call: Callable[[], None]) -> None:
        """Have `call` run by the main loop, which owns the selector."""
        with self._calls_lock:
            self._calls.append(call)
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"c")

    def rewatch(self) -> None:
        """Watch the daemons anew: a change that was undone may have started some."""
        self.in_main_thread(self._rewatch)

    def applied(self, model: LabModel) -> None:
        """The world is now what `model` says: watch its daemons and links, store facts and the State."""
        assert self.world is not None
        self.world.model = model
        self.in_main_thread(self._rewatch)
        try:
            self.directory.write_service(encode_state(model.state))
            self.directory.write_state(
                {
                    "version": 1,
                    "protocol": PROTOCOL_VERSION,
                    "edgelab": __version__,
                    "name": self.directory.name,
                    "topology": model.name,
                    "started": self.world.started,
                    "realisation": self.world.realisation.name,
                    "nodes": len(model.nodes),
                    "circuits": [circuit.name for circuit in model.circuits],
                }
            )
        except OSError as error:
            # The lab is as it should be; only what other commands read of it is not.
            self.report(f"cannot store facts and State for `list` and completion: {error}")

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        self._serve(connection, first=False)

    def _serve(self, connection: socket.socket, first: bool) -> None:
        from lab.requests import serve

        channel = Channel(connection)
        with self._channels_lock:
            self._channels.add(channel)

        def work() -> None:
            try:
                serve(self, channel, first)
            finally:
                with self._channels_lock:
                    self._channels.discard(channel)
                channel.close()

        threading.Thread(target=work, daemon=True).start()

    def _hang_up(self) -> None:
        """Wake who waits for a client (perhaps an operator before `deploy --step`); answers still go out."""
        with self._channels_lock:
            for channel in self._channels:
                with contextlib.suppress(OSError):
                    channel.sock.shutdown(socket.SHUT_RD)

    def _run_calls(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        with self._calls_lock:
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    def _rewatch(self) -> None:
        """Register anew whatever the world has to tell: descriptors change with every daemon and node."""
        world = self.world
        if world is None or world.model is None:
            return
        while self._watched:
            self._unwatch(self._watched[-1])
        for name, fd in world.daemons.log_fds().items():
            self._watch(fd, partial(self._read_log, fd, name))
        for name in world.daemons.pids():
            self._watch(world.daemons.pidfd(name), partial(self._daemon_died, name))
        for fd, agreement in world.mka.pidfds().items():
            self._watch(fd, partial(self._agreement_died, fd, agreement))
        if world.ring is not None:
            self._watch(world.ring.pidfd, self._engine_died)
        if self._monitor is None or self._mirror is None:
            self._monitor = LinkMonitor(world.kernel.netns_fd)
            self._mirror = CarrierMirror(world.kernel.set_up)
        wanted = compile_lab(world.model, world.realisation.name)
        self._mirror.follow(item for item in wanted if isinstance(item, SubinterfaceTags | AdminUp))
        self._monitor.watch(space for node in world.model.nodes for space in node.namespaces)
        for fd in self._monitor.filenos().values():
            self._watch(fd, self._read_links)
        self._read_links()

    def _watch(self, fd: int, call: Callable[[], None]) -> None:
        self._selector.register(fd, selectors.EVENT_READ, call)
        self._watched.append(fd)

    def _unwatch(self, fd: int) -> None:
        if fd in self._watched:
            self._watched.remove(fd)
            # A descriptor that was closed has left the kernel's set by itself.
            with contextlib.suppress(KeyError, ValueError, OSError):
                self._selector.unregister(fd)

    def _read_log(self, fd: int, namespace: str) -> None:
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(fd, LOG_OCTETS)
        *lines, self._log_rest[namespace] = (self._log_rest.get(namespace, b"") + data).split(b"\n")
        for raw in lines:
            line = raw.decode(errors="replace")
            self.log_line(namespace, line)
            event = self._event(namespace, line)
            if event is not None and event.changes_state:
                self.bus.publish("session", namespace=namespace, **_fields(event))

    def _event(self, namespace: str, line: str) -> LogEvent | None:
        return self.world.daemons.event(namespace, line) if self.world is not None else None

    def _read_links(self) -> None:
        if self._monitor is None or self._mirror is None:
            return
        events = self._monitor.read()
        self._mirror.handle(events)
        for event in events:
            state = (event.admin_up, event.carrier, event.present)
            if self._link_states.get(event.at) == state:
                continue
            self._link_states[event.at] = state
            self.bus.publish(
                "link",
                namespace=event.namespace,
                device=event.device,
                up=event.admin_up,
                carrier=event.carrier,
                present=event.present,
            )

    def _daemon_died(self, name: str) -> None:
        world = self.world
        assert world is not None
        self._unwatch(world.daemons.pidfd(name))
        if self._may_return(name, world.daemons.words(name)):
            threading.Thread(target=self._restart, args=(name,), daemon=True).start()

    def _may_return(self, name: str, what: str) -> bool:
        """Tell of a death; False when there were so many that it stays dead."""
        now = time.monotonic()
        deaths = [at for at in self._deaths.get(name, []) if now - at < CRASH_WINDOW_S] + [now]
        self._deaths[name] = deaths
        if len(deaths) > CRASH_LIMIT:
            self.bus.publish("daemon", namespace=name, state="given up", deaths=len(deaths))
            self.report(f"{what} died {len(deaths)} times in {CRASH_WINDOW_S:.0f} s; left dead")
            return False
        self.bus.publish("daemon", namespace=name, state="died", deaths=len(deaths))
        return True

    def _restart(self, name: str) -> None:
        world = self.world
        assert world is not None
        with self.apply_lock:
            if name not in world.daemons.known():
                # It was taken away while we waited for the lock.
                return
            try:
                world.daemons.restart(name)
            except EdgeError as error:
                self.bus.publish("daemon", namespace=name, state="not restarted", why=str(error))
                self.report(f"{world.daemons.words(name)} does not start: {error}")
                return
            world.restarts[name] = world.restarts.get(name, 0) + 1
            halt_hanging(world, name)
        self.bus.publish("daemon", namespace=name, state="restarted", restarts=world.restarts[name])
        self.in_main_thread(self._rewatch)

    def _agreement_died(self, fd: int, agreement: MkaDaemon) -> None:
        """A key agreement has ended: its port keeps the keys that it has until it is back."""
        self._unwatch(fd)
        if self._may_return(str(agreement.at), str(agreement)):
            threading.Thread(target=self._restart_agreement, args=(agreement,), daemon=True).start()

    def _restart_agreement(self, agreement: MkaDaemon) -> None:
        world = self.world
        assert world is not None
        with self.apply_lock:
            try:
                world.mka.restart(agreement)
            except EdgeError as error:
                self.report(f"{agreement} does not start: {error}")
                return
        self.bus.publish("daemon", namespace=str(agreement.at), state="restarted")
        self.in_main_thread(self._rewatch)

    def _engine_died(self) -> None:
        """The engine that carries tags in user space has ended: nothing crosses a trunk until it is back."""
        world = self.world
        assert world is not None
        assert world.ring is not None
        self._unwatch(world.ring.pidfd)
        self.report(f"the ring engine ended: {world.ring.ending()}")
        if self._may_return(ENGINE, "the ring engine"):
            threading.Thread(target=self._restart_engine, daemon=True).start()

    def _restart_engine(self) -> None:
        world = self.world
        assert world is not None
        assert world.ring is not None
        with self.apply_lock:
            try:
                world.ring.restart()
            except EdgeError as error:
                self.bus.publish("daemon", namespace=ENGINE, state="not restarted", why=str(error))
                self.report(str(error))
                return
            world.restarts[ENGINE] = world.restarts.get(ENGINE, 0) + 1
        self.bus.publish("daemon", namespace=ENGINE, state="restarted", restarts=world.restarts[ENGINE])
        self.in_main_thread(self._rewatch)

    def _reap(self) -> float | None:
        """Collect orphans that ended in this pid namespace; returns seconds until the next look.

        Children of our own are collected at once by whoever started them, so only what has lain for
        ORPHAN_PATIENCE_S is nobody's.
        """
        ours = {pid for pids in self.world.daemons.pids().values() for pid in pids} if self.world else set()
        ours |= set(self.world.mka.pids()) if self.world else set()
        if self.world and self.world.ring:
            ours.add(self.world.ring.pid)
        now = time.monotonic()
        ended = {pid for pid in _ended_children() if pid not in ours}
        self._zombies = {pid: self._zombies.get(pid, now) for pid in ended}
        for pid, since in list(self._zombies.items()):
            if now - since >= ORPHAN_PATIENCE_S:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
                del self._zombies[pid]
        return ORPHAN_PATIENCE_S if self._zombies else None


def _fields(event: LogEvent) -> dict[str, str]:
    """A line of BIRD's log for the event stream; empty fields are left out."""
    fields = {
        "event": event.what,
        "protocol": event.protocol,
        "state": event.state,
        "neighbor": event.neighbor,
        "text": event.text,
    }
    return {name: value for name, value in fields.items() if value}


def _ended_children() -> list[int]:
    """Process ids of our children that have ended and wait to be collected."""
    ended = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for pid in (task / "children").read_text(encoding="ascii").split():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
                    if stat.rpartition(")")[2].split()[0] == "Z":
                        ended.append(int(pid))
    return ended


def main(directory: RunDirectory, netns_directory: Path, first: socket.socket) -> None:
    """Entry of process 1. Never raises: what goes wrong is in the lab's log."""
    try:
        gc.freeze()
        gc.enable()
        few_arenas()
        sys.setswitchinterval(THREAD_SWITCH_S)
        _allow_many_descriptors()
        Supervisor(directory, netns_directory).run(first)
    except Exception as error:  # noqa: BLE001 - the last guard of process 1
        with contextlib.suppress(OSError):
            traceback.print_exc()
        # The log goes with the directory, so whoever started the lab must be told here.
        words = f"the lab's supervisor failed: {type(error).__name__}: {error}"
        with contextlib.suppress(ClosedError):
            Channel(first).send({"ok": False, "error": error_to_json(EdgeError(words))})
        directory.empty()


def _allow_many_descriptors() -> None:
    """A namespace with a BIRD takes seven descriptors: the usual limit of 1024 ends at 140 of them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_MAX)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
