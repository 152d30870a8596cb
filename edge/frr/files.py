"""The directories of one FRR: all below one of ours, each in the place of one of the system's.

FRR has paths of its own for sockets, configuration and crash logs, some of them not to be changed by
any option. So its programs see ours there instead (edge.frr.view), and the system's stay untouched.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.own.kinds import Mount

STANDS_FOR: Final = {
    "run": "/run/frr",
    "etc": "/etc/frr",
    "log": "/var/log/frr",
    "lib": "/var/lib/frr",
    "tmp": "/var/tmp",  # noqa: S108 - the place that our directory takes
}
"""Our directory -> the system's. /run/frr exists in no sandbox and is made there; others may be missing."""

OF_ONE_LIFE: Final = ("run", "etc", "tmp")
"""What a start finds empty."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Files:
    """Where the files of one FRR lie."""

    home: Path

    @property
    def run(self) -> Path:
        """Sockets and pid files."""
        return self.home / "run"

    @property
    def config(self) -> Path:
        """What vtysh loads: the user's configuration."""
        return self.home / "etc" / "frr.conf"

    def mounts(self) -> tuple[Mount, ...]:
        """What stands for what, as far as the system has it."""
        return tuple(
            Mount(self.home / ours, Path(theirs))
            for ours, theirs in STANDS_FOR.items()
            if ours == "run" or Path(theirs).is_dir()
        )

    def make(self, user: int, group: int) -> None:
        """Make directories that belong to FRR's user, or empty those of one life. Raises OSError.

        They stay the same over restarts: whoever is in the node has them mounted. So do logs.
        """
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for ours in STANDS_FOR:
            directory = self.home / ours
            directory.mkdir(mode=0o750, exist_ok=True)
            os.chown(directory, user, group)
            for entry in directory.iterdir() if ours in OF_ONE_LIFE else ():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()

    def write(self, config: str, user: int, group: int) -> None:
        """Write the configuration; it holds keys, so only FRR's user may read it. Raises OSError."""
        # What vtysh writes, too: one file for all daemons.
        for path, text in ((self.config, config), (self.config.with_name("vtysh.conf"), INTEGRATED)):
            path.unlink(missing_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                os.fchown(file.fileno(), user, group)
                file.write(text)

    def remove(self) -> None:
        """Take everything away. Raises OSError."""
        if self.home.exists():
            shutil.rmtree(self.home)


INTEGRATED: Final = "service integrated-vtysh-config\n"
"""vtysh.conf: one configuration for all daemons, in frr.conf."""


def files_of(directory: Path, namespace: str) -> Files:
    """The files of the FRR of a namespace: named after it, or after its hash where that would not do."""
    if _PLAIN.fullmatch(namespace):
        return Files(directory / namespace)
    return Files(directory / ("h-" + hashlib.blake2s(namespace.encode(), digest_size=6).hexdigest()))
