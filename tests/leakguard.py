"""A pytest plugin: every test leaves the machine as it found it, or fails by name.

Looked at before and after each test, each module and the whole run: processes, open descriptors,
temporary files, entries of /run/edgelab, named network namespaces, links and mounts.

The machine has other users, so the run is set apart from them. With root it gets network and mount
namespaces of its own, with an empty /run: what appears there is ours, and what a test leaves there
never reaches the machine. Without root nothing of the kind can be made. Processes are ours when they
descend from this one or bear the mark EDGELAB_TEST_RUN in their environment (which finds daemons
that cut their descent). Temporary files go to a directory of the run.

The kernel and init free some things late: a leak counts only when it outlives the grace
period (`leak_grace_s` in the ini file, seconds).
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import shutil
import signal
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.isolation import NETNS_DIRECTORY, isolate

MARK = "EDGELAB_TEST_RUN"
RECHECK_MS = 20
RUNTIME_DIRECTORY = Path("/run/edgelab")


OF_MODULES = frozenset(("ip_vti0",))
"""Devices that a kernel module puts into every namespace when it is loaded, and that nobody can delete."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What exists at one moment, as kind -> names. A name is what an operator would recognise."""

    things: dict[str, frozenset[str]]
    pids: frozenset[int]

    def leaks_since(self, before: Snapshot) -> dict[str, frozenset[str]]:
        """What is here and was not there before; kinds without any are left out."""
        found = {kind: names - before.things[kind] for kind, names in self.things.items()}
        return {kind: names for kind, names in found.items() if names}


@dataclass(slots=True)
class Guard:
    """Takes snapshots and compares them; remembers what was reported, to report it once."""

    mark: str
    temporary: Path
    isolated: bool
    grace_s: float
    reported: dict[str, set[str]] = field(default_factory=dict)

    def snapshot(self, before: Snapshot | None = None) -> Snapshot:
        """Look at everything. Processes that `before` had already seen are not looked at again."""
        pids = frozenset(int(name) for name in _names(Path("/proc")) if name.isdigit())
        things = {
            "process": frozenset(self._ours(pids - before.pids)) if before else frozenset(),
            "descriptor": frozenset(_descriptors()),
            "temporary file": frozenset(_names(self.temporary)),
        }
        if self.isolated:
            things["entry of /run/edgelab"] = frozenset(_names(RUNTIME_DIRECTORY))
            things["network namespace"] = frozenset(_names(NETNS_DIRECTORY))
            things["link"] = frozenset(name for _, name in socket.if_nameindex()) - OF_MODULES
            things["mount"] = frozenset(_mounts())
        return Snapshot(things, pids)

    def leaks_since(self, before: Snapshot) -> dict[str, frozenset[str]]:
        """What has appeared since `before`, was not reported yet, and stays beyond the grace period."""
        leaks = self._new(before)
        if leaks:
            # A descriptor in a reference cycle is closed (and complained about) by the collector.
            gc.collect()
            leaks = self._new(before)
        deadline = time.monotonic() + self.grace_s
        while leaks and time.monotonic() < deadline:
            _wait_for_an_end(leaks.get("process", frozenset()))
            leaks = self._new(before)
        for kind, names in leaks.items():
            self.reported.setdefault(kind, set()).update(names)
        return leaks

    def end_leaked(self, processes: frozenset[str]) -> None:
        """Kill leaked processes, which are ours, so that they cannot disturb the tests that follow."""
        for pid in map(_pid, processes):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def _new(self, before: Snapshot) -> dict[str, frozenset[str]]:
        leaks = self.snapshot(before).leaks_since(before)
        fresh = {kind: names - self.reported.get(kind, set()) for kind, names in leaks.items()}
        return {kind: frozenset(names) for kind, names in fresh.items() if names}

    def _ours(self, pids: frozenset[int]) -> Iterator[str]:
        mark = f"{MARK}={self.mark}".encode()
        for pid in pids:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                if _descends_from_us(pid) or mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    yield _describe(pid)


def _stat(pid: int) -> tuple[str, str, int]:
    """Name, state and parent of a process. The name may hold anything, brackets included."""
    head, _, tail = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")
    state, parent = tail.split()[:2]
    return head.partition("(")[2], state, int(parent)


def _descends_from_us(pid: int) -> bool:
    me = os.getpid()
    while pid > 1:
        pid = _stat(pid)[2]
        if pid == me:
            return True
    return False


def _describe(pid: int) -> str:
    name, state, _ = _stat(pid)
    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return f"{pid} {command or name}" + (" (ended, never waited for)" if state == "Z" else "")


def _pid(description: str) -> int:
    return int(description.split()[0])


def _descriptors() -> Iterator[str]:
    for entry in _names(Path("/proc/self/fd")):
        # The descriptor of this very listing is gone by now.
        with contextlib.suppress(FileNotFoundError):
            yield f"{entry} {Path('/proc/self/fd', entry).readlink()}"


def _names(directory: Path) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in entries]
    except FileNotFoundError:
        return []


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        yield f"{fields[0]} {fields[4]}"


def _wait_for_an_end(processes: frozenset[str]) -> None:
    """Return when one of the processes ends, or after RECHECK_MS: nothing announces the other kinds."""
    poll = select.poll()
    with contextlib.ExitStack() as stack:
        for pid in map(_pid, processes):
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                stack.callback(os.close, descriptor)
                # A process that ended but is not waited for would be ready at once, every time.
                if not select.select([descriptor], [], [], 0)[0]:
                    poll.register(descriptor, select.POLLIN)
        poll.poll(RECHECK_MS)


def _isolate() -> bool:
    """Set the run apart; False when that is not allowed here, as it is not without root."""
    try:
        isolate()
    except PermissionError:
        return False
    return True


_key = pytest.StashKey[Guard]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """How patient the guard is."""
    parser.addini("leak_grace_s", "seconds that a leak may live on after its test", default="3")


def pytest_configure(config: pytest.Config) -> None:
    """Set the run apart, before any test module is imported."""
    mark = os.environ.setdefault(MARK, uuid.uuid4().hex)
    # pytest's own tmp_path stays where a developer looks for it after a failure.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    temporary = Path(tempfile.mkdtemp(prefix="edgelab-test-"))
    previous = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    config.stash[_key] = Guard(mark, temporary, _isolate(), float(config.getini("leak_grace_s")))

    def restore() -> None:
        shutil.rmtree(temporary)
        tempfile.tempdir = None
        if previous is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = previous

    config.add_cleanup(restore)


def _watch(guard: Guard, what: str) -> Iterator[None]:
    before = guard.snapshot()
    yield
    leaks = guard.leaks_since(before)
    if leaks:
        guard.end_leaked(leaks.get("process", frozenset()))
        lines = [f"  {kind}: {name}" for kind, names in sorted(leaks.items()) for name in sorted(names)]
        pytest.fail("\n".join([f"{what} left behind:", *lines]), pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def leak_guard_of_the_run(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing outlives the run, fixtures of the session's scope included."""
    yield from _watch(request.config.stash[_key], "the run")


@pytest.fixture(scope="module", autouse=True)
def leak_guard_of_the_module(request: pytest.FixtureRequest, leak_guard_of_the_run: None) -> Iterator[None]:
    """Nothing outlives a module, fixtures of the module's scope included."""
    yield from _watch(request.config.stash[_key], request.node.nodeid)


@pytest.fixture(autouse=True)
def leak_guard(request: pytest.FixtureRequest, leak_guard_of_the_module: None) -> Iterator[None]:
    """Nothing outlives a test."""
    yield from _watch(request.config.stash[_key], request.node.nodeid)
