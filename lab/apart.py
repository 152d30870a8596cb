"""What must begin in a process with one thread: the start of a lab, and entering one.

Both fork and live on in the child, or move into other namespaces. In a program that has threads, or that
has put something else in the place of its standard streams (a test runner does both), a forked child may
wait for a lock that only a thread it has not got can open. So here a new Python does it, which has read only
what it needs:

    caller --descriptors, words--> python -c ... lab.apart --fork--> supervisor, or a program in a node
           <--socket, pid----------'

`edgelab` itself has one thread and no need of this.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import EdgeError
from lab.protocol import Channel, ClosedError, error_from_json, error_to_json

if TYPE_CHECKING:
    from edge.own.kinds import Mount
    from lab.state import RunDirectory

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from lab.apart import main; sys.exit(main(sys.argv[1:]))"
)


def _python(*words: str) -> list[str]:
    """The command that runs `main` with these words, importing what this process would import."""
    ours = str(Path(__file__).resolve().parents[1])
    path = [ours, *(entry for entry in sys.path if entry and entry != ours)]
    # -I: neither the working directory nor PYTHON* of the caller's environment takes part.
    return [sys.executable, "-I", "-c", _BOOT, json.dumps(path), *words]


def spawn(directory: RunDirectory, lock_fd: int) -> tuple[socket.socket, int]:
    """Start a lab's supervisor; see lab.sandbox.spawn, which does it in the new process. Raises EdgeError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    channel = Channel(ours)
    try:
        with theirs:
            process = subprocess.Popen(
                _python("spawn", str(directory.path), str(lock_fd), str(theirs.fileno())),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(lock_fd, theirs.fileno()),
            )
        with process:
            assert process.stderr is not None
            words = process.stderr.read().decode(errors="replace").strip()
        try:
            answer, descriptors = channel.receive()
        except ClosedError:
            raise EdgeError(f"the process that starts a lab ended before it did: {words}") from None
    finally:
        channel.close()
    if not answer["ok"]:
        raise error_from_json(answer["error"])
    return socket.socket(fileno=descriptors[0]), int(answer["pid"])


def entering(
    supervisor_pid: int, namespace: str | None, command: Sequence[str], mounts: Sequence[Mount] = ()
) -> list[str]:
    """The words of a program that does what lab.enter.run does with the same arguments."""
    covered = [[str(mount.source), str(mount.target)] for mount in mounts]
    return _python("enter", str(supervisor_pid), json.dumps(namespace), json.dumps(covered), *command)


def main(words: Sequence[str]) -> int:
    """Do what `spawn` or `entering` asked for; the exit status."""
    if words[0] == "spawn":
        return _spawn(Path(words[1]), int(words[2]), socket.socket(fileno=int(words[3])))
    from edge.own.kinds import Mount
    from lab import enter

    mounts = [Mount(Path(source), Path(target)) for source, target in json.loads(words[3])]
    return enter.run(int(words[1]), json.loads(words[2]), words[4:], mounts)


def _spawn(path: Path, lock_fd: int, answers: socket.socket) -> int:
    from lab.deploy import spawn_here
    from lab.state import RunDirectory

    # The supervisor lives on in a fork of this process and must not hold its caller's end open.
    for fd in (lock_fd, answers.fileno()):
        os.set_inheritable(fd, False)
    channel = Channel(answers)
    try:
        connected, pid = spawn_here(RunDirectory(path), lock_fd)
    except EdgeError as error:
        channel.send({"ok": False, "error": error_to_json(error)})
        return error.exit_code
    channel.send({"ok": True, "pid": pid}, (connected.fileno(),))
    return 0
