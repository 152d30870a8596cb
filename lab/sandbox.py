"""The sandbox of a lab: new namespaces around a process that is their process 1.

Two forks: the first child takes new user (when not root), mount, network and uts namespaces and a pid
namespace for its children; the second child is process 1 there. It gets a private /run with the lab's
own run directory bound into it, its own /proc and /sys, and an empty /run/netns. When it ends - by
itself or by SIGKILL - the kernel ends every process inside, and mounts, network namespaces and links
go with them.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct
import traceback
from collections.abc import Callable
from pathlib import Path

from edge.errors import CapabilityError, EdgeError
from edge.net import namespaces as ns
from edge.net.capabilities import program_path
from lab.state import RunDirectory

NETNS_DIRECTORY = Path("/run/netns")

_USERNS_REMEDY = (
    "run as root, or allow unprivileged user namespaces: "
    "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 23.10 and later), "
    "kernel.unprivileged_userns_clone=1 (older Debian), user.max_user_namespaces=15000 (hardened systems)"
)


def spawn(
    directory: RunDirectory, lock_fd: int, main: Callable[[socket.socket], None]
) -> tuple[socket.socket, int]:
    """Start `main` as process 1 of a new sandbox; returns (socket to it, its pid seen from here).

    `main` gets the other end of the socket and runs until the lab ends. The lock descriptor stays
    open in the sandbox. Raises CapabilityError when the kernel refuses the namespaces, EdgeError when
    the sandbox cannot be furnished.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    report_read, report_write = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _outer_child(directory, lock_fd, main, theirs, ours, report_read, report_write)
    os.close(report_write)
    theirs.close()
    with os.fdopen(report_read, "rb") as reader:
        report = reader.read()
    os.waitpid(child, 0)
    if len(report) == 4:
        return ours, struct.unpack("=i", report)[0]
    ours.close()
    _raise_report(report)
    raise EdgeError("the sandbox ended before it began; its log is in " + str(directory.log))


def _raise_report(report: bytes) -> None:
    stage, _, rest = report.decode(errors="replace").partition(":")
    number, _, words = rest.partition(":")
    if stage == "unshare":
        if int(number) in (errno.EPERM, errno.ENOSPC, errno.EACCES, errno.EINVAL, errno.EUSERS):
            raise CapabilityError(
                f"the kernel refuses new namespaces to this user ({os.strerror(int(number))})", _USERNS_REMEDY
            )
        raise EdgeError(f"cannot make the sandbox: {words}")
    if stage == "furnish":
        raise EdgeError(f"cannot furnish the sandbox: {words}")


def _outer_child(
    directory: RunDirectory,
    lock_fd: int,
    main: Callable[[socket.socket], None],
    theirs: socket.socket,
    ours: socket.socket,
    report_read: int,
    report_write: int,
) -> None:
    """Never returns. Reports one of: 4 octets of pid, or `stage:errno:words`."""
    status = 1
    try:
        ours.close()
        os.close(report_read)
        os.setsid()
        try:
            _unshare()
        except OSError as error:
            os.write(report_write, f"unshare:{error.errno}:{error}".encode())
            os._exit(1)
        ready_read, ready_write = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            os.close(ready_read)
            os.close(report_write)
            _inner_child(directory, lock_fd, main, theirs, ready_write)
        os.close(ready_write)
        words = os.read(ready_read, 4096)
        os.write(report_write, struct.pack("=i", pid) if words == b"ok" else words)
        status = 0
    finally:
        os._exit(status)


def _unshare() -> None:
    flags = ns.CLONE_NEWNS | ns.CLONE_NEWNET | ns.CLONE_NEWUTS | ns.CLONE_NEWPID
    if os.geteuid() == 0:
        ns.unshare(flags)
        return
    user, group = os.geteuid(), os.getegid()
    ns.unshare(flags | ns.CLONE_NEWUSER)
    ns.map_to_root(user, group)


def _inner_child(
    directory: RunDirectory,
    lock_fd: int,
    main: Callable[[socket.socket], None],
    theirs: socket.socket,
    ready_write: int,
) -> None:
    """Process 1. Never returns."""
    status = 1
    try:
        try:
            _furnish(directory)
            _redirect_stdio(directory)
            _close_foreign_descriptors({lock_fd, theirs.fileno(), ready_write})
        except OSError as error:
            os.write(ready_write, f"furnish:{error.errno}:{error}".encode())
            os._exit(1)
        os.write(ready_write, b"ok")
        os.close(ready_write)
        main(theirs)
        status = 0
    except BaseException:  # noqa: BLE001 - process 1 must never return to the code of its parent
        traceback.print_exc()
    finally:
        os._exit(status)


def _furnish(directory: RunDirectory) -> None:
    os.umask(0o077)
    os.chdir("/")
    os.environ["PATH"] = program_path()
    ns.set_process_name(f"lab:{directory.name}")
    socket.sethostname(directory.name)
    ns.mount("none", "/", flags=ns.MS_REC | ns.MS_PRIVATE)
    ns.mount("proc", "/proc", "proc", ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC)
    # The run directory must stay reachable by its own path once /run is covered.
    keep = os.open(directory.path, os.O_PATH | os.O_CLOEXEC)
    try:
        ns.mount("tmpfs", "/run", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=0755,size=64m")
        if not directory.path.is_dir():
            directory.path.mkdir(mode=0o700, parents=True)
        ns.mount(f"/proc/self/fd/{keep}", directory.path, "none", ns.MS_BIND)
    finally:
        os.close(keep)
    NETNS_DIRECTORY.mkdir(mode=0o755)
    # `ip netns` wants its folder to be a shared mount of its own; without it, it makes one at first use.
    ns.mount(str(NETNS_DIRECTORY), NETNS_DIRECTORY, "none", ns.MS_BIND)
    ns.mount("sysfs", "/sys", "sysfs", ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC)


def _redirect_stdio(directory: RunDirectory) -> None:
    log = os.open(directory.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(null)
    os.close(log)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)


def _close_foreign_descriptors(keep: set[int]) -> None:
    """Drop what the caller had open: a pipe kept by a daemon makes `edgelab ... | cat` hang."""
    for fd in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if fd > 2 and fd not in keep:
            try:
                os.close(fd)
            except OSError as error:
                if error.errno != errno.EBADF:
                    raise
