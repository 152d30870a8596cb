"""Where the files of one BIRD lie, and how its configuration is written. Names are safe and short."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.errors import CapabilityError

SOCKET_PATH_MAX: Final = 107
"""Octets of a Unix socket's path without the final zero (unix(7), sun_path)."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Files:
    """The files of the BIRD of one namespace; all lie beside each other in one directory."""

    config: Path
    candidate: Path
    control: Path
    pid: Path

    def arguments(self) -> tuple[str | Path, ...]:
        """The options of BIRD's program that name them."""
        return ("-c", self.config, "-s", self.control, "-P", self.pid)


def files_of(directory: Path, namespace: str) -> Files:
    """The files of a namespace's BIRD: named after it, or after its hash when that would not do.

    Raises CapabilityError when the directory's own path leaves no room for a socket's name.
    """
    stem = namespace
    if not _PLAIN.fullmatch(namespace) or not _fits(directory, namespace):
        stem = "h-" + hashlib.blake2s(namespace.encode(), digest_size=6).hexdigest()
        if not _fits(directory, stem):
            raise CapabilityError(
                f"the path {directory} is too long for the socket of a routing daemon",
                f"choose a run directory of at most {SOCKET_PATH_MAX - 19} characters",
            )
    return Files(
        config=directory / f"{stem}.conf",
        candidate=directory / f"{stem}.new",
        control=directory / f"{stem}.ctl",
        pid=directory / f"{stem}.pid",
    )


def control_path(directory: Path, namespace: str) -> Path:
    """The control socket of the BIRD of a namespace, for readers in other processes."""
    return files_of(directory, namespace).control


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read (it holds keys). Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)


def _fits(directory: Path, stem: str) -> bool:
    return len(os.fsencode(directory / f"{stem}.ctl")) <= SOCKET_PATH_MAX
