"""Values under /proc/sys/net of the calling thread's namespace."""

from __future__ import annotations

import os

_SIZE = 4096


def _path(name: str) -> str:
    parts = name.split("/")
    if parts[0] != "net" or len(parts) < 2 or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{name!r} is not a name under net/")
    return f"/proc/sys/{name}"


def read(name: str) -> str | None:
    """The value as the kernel writes it; None when there is no such setting (or no such device)."""
    try:
        fd = os.open(_path(name), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return os.read(fd, _SIZE).decode().strip()
    finally:
        os.close(fd)


def write(name: str, value: str) -> str:
    """Set a value unless it is that already; returns the value before.

    Raises OSError when the kernel has no such setting or refuses the value.
    """
    fd = os.open(_path(name), os.O_RDWR | os.O_CLOEXEC)
    try:
        before = os.read(fd, _SIZE).decode().strip()
        if not equal(before, value):
            os.pwrite(fd, f"{value}\n".encode(), 0)
        return before
    finally:
        os.close(fd)


def equal(one: str, other: str) -> bool:
    """Whether two texts are one value: some settings hold several numbers between tabs."""
    return one.split() == other.split()
