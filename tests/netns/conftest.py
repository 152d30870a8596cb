"""A private place for tests on the real kernel: own mounts, own network, an empty /run/netns.

The test's thread itself moves there and back, so that `ip`, `nft` and the code under test all see the same
namespaces; when the test ends the kernel takes everything along.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from labs import Labs, own_labs

from edge.net import namespaces as ns
from edge.net.capabilities import probe
from edge.net.kernel import Kernel
from tests.netns.forkserver import Server
from tests.results import realisation_shown

CLONE_FS = 0x200


@dataclass(frozen=True)
class Sandbox:
    """Where the test is."""

    netns_directory: Path

    def run(self, *command: str) -> str:
        """Output of a command that must succeed."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
        return done.stdout

    def ip(self, *arguments: str) -> str:
        """Output of `ip`, by default in words."""
        return self.run("ip", *arguments)

    def ip_json(self, *arguments: str) -> list[dict[str, Any]]:
        """Output of `ip -j`."""
        found: list[dict[str, Any]] = json.loads(self.run("ip", "-j", *arguments) or "[]")
        return found


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """New mount and network namespaces with an empty /run/netns for the time of the test."""
    if os.geteuid() != 0:
        pytest.skip("needs root: makes network namespaces")
    directory = Path.cwd()
    homes = [
        (os.open(f"/proc/thread-self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC), kind)
        for name, kind in (("mnt", ns.CLONE_NEWNS), ("net", ns.CLONE_NEWNET))
    ]
    try:
        ns.unshare(ns.CLONE_NEWNS | ns.CLONE_NEWNET)
        ns.mount("none", "/", flags=ns.MS_REC | ns.MS_PRIVATE)
        ns.mount("tmpfs", "/run", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=0755")
        netns = Path("/run/netns")
        netns.mkdir()
        ns.mount(str(netns), netns, "none", ns.MS_BIND)
        yield Sandbox(netns)
    finally:
        # A mount namespace is entered only by a thread that shares its working directory with no other,
        # and a thread that was joined may not have ended in the kernel yet.
        ns.unshare(CLONE_FS)
        for fd, kind in homes:
            ns.setns(fd, kind)
            os.close(fd)
        os.chdir(directory)


@pytest.fixture
def kernel(sandbox: Sandbox) -> Iterator[Kernel]:
    """A Kernel without a tag plane over the sandbox."""
    opened = Kernel(netns_directory=sandbox.netns_directory, packet_rules=probe().packet_rules)
    yield opened
    opened.close()


@pytest.fixture(scope="session", autouse=True)
def fork_server(leak_guard_of_the_run: None) -> Iterator[Server | None]:
    """What forks the commands of all tests here. Always there, so that no test is the one that leaves it."""
    if os.geteuid() != 0:
        yield None
        return
    server = Server()
    yield server
    server.close()


@pytest.fixture
def labs(tmp_path: Path, fork_server: Server, request: pytest.FixtureRequest) -> Iterator[Labs]:
    """The `edgelab` program with a run directory of the test's own; all its labs are destroyed at the end.

    A test that is marked to show one realisation gets that one.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root: makes network namespaces")
    with own_labs(tmp_path, fork_server) as made:
        shown = realisation_shown(request.node)
        if shown is not None:
            made.environment["EDGELAB_DEPLOY_LINKS"] = shown
        yield made


@pytest.fixture(scope="module")
def module_labs(tmp_path_factory: pytest.TempPathFactory, fork_server: Server) -> Iterator[Labs]:
    """Like `labs`, for all tests of a module: they share its labs."""
    if os.geteuid() != 0:
        pytest.skip("needs root: makes network namespaces")
    with own_labs(tmp_path_factory.mktemp("module"), fork_server) as made:
        yield made
