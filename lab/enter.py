"""Run a program inside a node of a running lab: `edgelab exec` and `edgelab shell`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.errors import EdgeError, UsageError
from edge.net import namespaces as ns
from edge.own.kinds import Mount
from edge.own.places import cover
from lab.sandbox import NETNS_DIRECTORY

EXIT_NOT_FOUND = 127
EXIT_NOT_EXECUTABLE = 126


def run(
    supervisor_pid: int, namespace: str | None, command: Sequence[str], mounts: Sequence[Mount] = ()
) -> int:
    """Run `command` in the lab's sandbox and, if given, in a node's network namespace.

    mounts: directories of a user's own router there, so that its tools find it where they look.
    Returns its exit status as a shell would (128 + signal when it was killed, 127 when there is no such
    program). The terminal stays the caller's. Raises EdgeError when the sandbox cannot be entered.
    """
    child = begin(supervisor_pid, namespace, command, mounts)
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        _, status = os.waitpid(child, 0)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def begin(
    supervisor_pid: int,
    namespace: str | None,
    command: Sequence[str],
    mounts: Sequence[Mount] = (),
    streams: tuple[int, int, int] = (0, 1, 2),
) -> int:
    """Start `command` as `run` does: the pid of a child of ours that ends with it, and it with the child.

    streams: descriptors for its standard input, output and errors. What cannot be entered is told there.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        for number, descriptor in enumerate(streams):
            if number != descriptor:
                os.dup2(descriptor, number)
        _child(supervisor_pid, namespace, command, mounts)
    return child


def _child(
    supervisor_pid: int, namespace: str | None, command: Sequence[str], mounts: Sequence[Mount]
) -> None:
    """Never returns. Enters, forks once more (a pid namespace takes children only) and executes."""
    status = 1
    try:
        _enter(supervisor_pid, namespace, mounts)
        # Whoever ends the command (`timeout`, a CI job) ends the program in the lab, too. The kernel forgets
        # this wish when a user namespace is entered, so not before.
        ns.die_with_parent(signal.SIGKILL)
        grandchild = os.fork()
        if grandchild == 0:
            ns.die_with_parent(signal.SIGTERM)
            _execute(command)
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        _, raw = os.waitpid(grandchild, 0)
        code = os.waitstatus_to_exitcode(raw)
        status = 128 - code if code < 0 else code
    except (OSError, EdgeError) as error:
        print(f"edgelab: cannot enter the lab: {error}", file=sys.stderr, flush=True)
        status = 4
    finally:
        os._exit(status)


def _enter(supervisor_pid: int, namespace: str | None, mounts: Sequence[Mount]) -> None:
    try:
        here = Path.cwd()
    except FileNotFoundError:
        here = Path("/")
    kinds = ns.CLONE_NEWNS | ns.CLONE_NEWPID | ns.CLONE_NEWNET | ns.CLONE_NEWUTS
    if os.geteuid() != 0:
        kinds |= ns.CLONE_NEWUSER
    pidfd = os.pidfd_open(supervisor_pid)
    try:
        ns.setns(pidfd, kinds)
    finally:
        os.close(pidfd)
    # Each visitor gets mounts of its own, so that /sys can show the node's devices.
    ns.unshare(ns.CLONE_NEWNS)
    ns.mount("none", "/", flags=ns.MS_REC | ns.MS_SLAVE)
    if namespace is not None:
        try:
            fd = os.open(NETNS_DIRECTORY / namespace, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise UsageError(f"there is no namespace {namespace}") from None
        ns.setns(fd)
        os.close(fd)
        ns.mount("sysfs", "/sys", "sysfs", ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC)
    cover(mounts)
    with contextlib.suppress(OSError):
        os.chdir(here)


def _execute(command: Sequence[str]) -> None:
    # Python ignores it, and what is ignored stays so in the program: `exec ce1 -- yes | head` must end.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - running what the user says is the purpose
    except FileNotFoundError:
        print(f"edgelab: {command[0]}: no such program", file=sys.stderr, flush=True)
        os._exit(EXIT_NOT_FOUND)
    except OSError as error:
        print(f"edgelab: {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(EXIT_NOT_EXECUTABLE)
