"""Namespaces by system call: enter, make and name them without starting a process.

`setns` and `unshare` act on the calling thread only; everything here puts the thread back where it
was. libc is called through ctypes because Python has `os.setns` and `os.unshare` from 3.12 only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 4096, 16384, 1 << 18, 1 << 19
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def setns(fd: int, kind: int = CLONE_NEWNET) -> None:
    """Move the calling thread into the namespace that `fd` refers to. Raises OSError."""
    _check(_libc.setns(fd, kind), "setns")


def unshare(flags: int) -> None:
    """Give the calling thread new namespaces (CLONE_NEW*). Raises OSError."""
    _check(_libc.unshare(flags), "unshare")


def map_to_root(user: int, group: int) -> None:
    """Make the user and the group, as they were before `unshare`, root of our new user namespace.

    One id each: that needs no helper with rights of its own. Raises OSError.
    """
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="ascii")


def mount(source: str, target: str | Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2); an empty `kind` or `data` is passed as NULL. Raises OSError naming the target."""
    _check(
        _libc.mount(
            source.encode(), str(target).encode(), kind.encode() or None, flags, data.encode() or None
        ),
        f"mount {kind or source} on {target}",
    )


def umount(target: str | Path) -> None:
    """Detach a mount at once, busy or not (MNT_DETACH). Raises OSError."""
    _check(_libc.umount2(str(target).encode(), MNT_DETACH), f"umount {target}")


def set_process_name(name: str) -> None:
    """What `ps -o comm` shows for this process; the kernel keeps 15 octets."""
    buffer = ctypes.create_string_buffer(name.encode()[:15])
    _check(_libc.prctl(PR_SET_NAME, ctypes.addressof(buffer), 0, 0, 0), "prctl(PR_SET_NAME)")


def die_with_parent(signal_number: int) -> None:
    """Ask the kernel for `signal_number` when the parent thread ends."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


@contextlib.contextmanager
def inside(netns_fd: int) -> Iterator[None]:
    """Run the block with the calling thread in the network namespace `netns_fd`.

    Sockets opened in the block stay in that namespace for good. The thread returns even if the block
    raises. Raises OSError when the namespace cannot be entered.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(netns_fd)
        try:
            yield
        finally:
            setns(home)
    finally:
        os.close(home)


def create_nameless() -> int:
    """An open descriptor of a new network namespace, which lives as long as somebody holds it.

    Only its loopback exists, down, with index 1. Raises OSError when the kernel refuses.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(CLONE_NEWNET)
        try:
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            setns(home)
    finally:
        os.close(home)


@contextlib.contextmanager
def scratch_namespace() -> Iterator[int]:
    """A nameless network namespace by its descriptor, gone after the block. Raises OSError."""
    fd = create_nameless()
    try:
        yield fd
    finally:
        os.close(fd)


def create_named(name: str, directory: Path) -> int:
    """Make a network namespace, name it as `ip netns` does, and return an open descriptor of it.

    The name is a bind mount of the namespace on `directory/name`. Raises FileExistsError when the
    name is taken, OSError when the kernel refuses; nothing is left behind then.
    """
    target = directory / name
    os.close(os.open(target, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    try:
        fd = create_nameless()
        try:
            mount(f"/proc/thread-self/fd/{fd}", target, "none", MS_BIND)
        except OSError:
            os.close(fd)
            raise
    except OSError:
        target.unlink()
        raise
    return fd


def delete_named(name: str, directory: Path) -> None:
    """Take the name away; the kernel frees the namespace when its last user is gone. Idempotent."""
    target = directory / name
    with contextlib.suppress(FileNotFoundError):
        with contextlib.suppress(OSError):
            umount(target)
        target.unlink()
