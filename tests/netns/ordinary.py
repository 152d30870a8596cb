"""Running programs in tests as an ordinary user, though the tests themselves have root.

The user may not be able to reach the interpreter (root's home is closed on many machines). In a mount
namespace of the program's own a closed folder is covered by an open one that shows what is needed, and
nothing else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs import Labs

from edge.net import namespaces as ns

ROOT = Path(__file__).parents[2]
USER = 54321
"""A number that no account has: nothing on the machine is made for it."""


def become(user: int) -> None:
    """Make this process an ordinary user's for good, with all that our programs need in reach."""
    needed = [Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), ROOT]
    ns.unshare(ns.CLONE_NEWNS)
    ns.mount("none", "/", flags=ns.MS_REC | ns.MS_PRIVATE)
    closed: dict[Path, list[Path]] = {}
    for path in needed:
        for above in reversed(path.parents):
            if not above.stat().st_mode & 0o001:
                closed.setdefault(above, []).append(path)
                break
    for above, paths in closed.items():
        held = {path: os.open(path, os.O_PATH) for path in paths}
        ns.mount("tmpfs", above, "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=0755")
        for path, descriptor in held.items():
            path.mkdir(parents=True, exist_ok=True)
            ns.mount(f"/proc/self/fd/{descriptor}", path, "none", ns.MS_BIND | ns.MS_REC)
            os.close(descriptor)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


@dataclass
class OrdinaryLabs(Labs):
    """The programs as that user sees them."""

    user: int = USER

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("XDG_RUNTIME_DIR", "TMPDIR", "PYTHONHOME"):
            self.environment.pop(name, None)
        # As Debian gives it to users, without the administrators' folders.
        self.environment |= {"HOME": str(self.scratch), "PATH": "/usr/local/bin:/usr/bin:/bin"}

    def popen(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        return super().popen(*words, preexec_fn=lambda: become(self.user), **options)

    def run(self, *words: str, timeout: float = 90.0, **options: Any) -> subprocess.CompletedProcess[str]:
        return super().run(*words, timeout=timeout, preexec_fn=lambda: become(self.user), **options)

    def edge(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `edge WORDS`."""
        return subprocess.run(
            [sys.executable, "-m", "edge.cli", *words],
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=30,
            cwd=ROOT,
            preexec_fn=lambda: become(self.user),
        )

    def processes(self) -> list[str]:
        """What runs as this user: process ids and commands."""
        done = subprocess.run(
            ["ps", "-o", "pid=,comm=", "-u", str(self.user)], capture_output=True, text=True
        )
        return done.stdout.split("\n")[:-1]


@contextmanager
def ordinary_labs() -> Iterator[OrdinaryLabs]:
    """The `edgelab` program of an ordinary user with a home of its own, which is gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="edgelab-user-", dir="/tmp"))
    os.chown(home, USER, USER)
    labs = OrdinaryLabs(home / "labs", home)
    try:
        yield labs
        labs.destroy_all()
    finally:
        shutil.rmtree(home)
