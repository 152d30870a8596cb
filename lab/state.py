"""The run directory of a lab: where it is, who owns it, which labs run.

`<base>/<name>/` holds the supervisor's socket and lock, its log and BIRD's files. The supervisor keeps
an exclusive lock (flock) on `lock` for life; the kernel drops it when the process ends, however it
ends. So "does this lab run?" is a question to the kernel, and a directory without a locked `lock` is
debris that the next deploy, or destroy, clears away.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.bgp.files import SOCKET_PATH_MAX
from edge.errors import EdgeError, UsageError

NAME_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", re.IGNORECASE)

CLAIM_PATIENCE_S = 0.25
"""How long a name may be busy because somebody looks at it or clears it away, before a lab must be why."""

RECHECK_S = 0.01
"""Pause between two looks at a lock: the kernel tells nobody that a lock became free without taking it."""

OWN_ROUTERS = "routers"
"""Folder of what users' own routers keep (edge.own), beside the BIRDs' in a run directory."""

IKE = "ike"
"""Folder of the configurations and sockets of key exchanges (edge.ike)."""

NAMES = "names"
"""Folder of the certificate authority and of the servers behind names (lab.names)."""

_LONGEST_PATH = SOCKET_PATH_MAX - len("/bird/h-0123456789ab.ctl")
"""Octets of a run directory's path that leave room for the longest socket in it (edge.bgp.files)."""


def base_directory() -> Path:
    """Where all labs of this user keep their run directories.

    EDGELAB_DIR when set; /run/edgelab for root; else $XDG_RUNTIME_DIR/edgelab or /tmp/edgelab-UID.
    """
    if override := os.environ.get("EDGELAB_DIR"):
        return Path(override).absolute()
    if os.geteuid() == 0:
        return Path("/run/edgelab")
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "edgelab"
    return Path(f"/tmp/edgelab-{os.geteuid()}")  # noqa: S108 - ownership and mode are verified


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Paths of one lab. Made by `claim`, found by `discover`."""

    path: Path

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.path.name

    @property
    def socket(self) -> Path:
        """The supervisor's Unix socket; only its owner can open it."""
        return self.path / "socket"

    @property
    def lock(self) -> Path:
        """The file the supervisor holds locked as long as it lives."""
        return self.path / "lock"

    @property
    def log(self) -> Path:
        """What the supervisor and BIRD wrote."""
        return self.path / "supervisor.log"

    @property
    def bird(self) -> Path:
        """BIRD's configurations and control sockets."""
        return self.path / "bird"

    @property
    def own_routers(self) -> Path:
        """Files and sockets of users' own routers."""
        return self.path / OWN_ROUTERS

    @property
    def names(self) -> Path:
        """The certificate authority, and the configurations of the servers behind names."""
        return self.path / NAMES

    def running(self) -> bool:
        """Whether a supervisor (or a deploy that is just starting one) holds the lock."""
        try:
            fd = os.open(self.lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            # Shared: two who ask at the same moment must not take each other for a lab.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def write_state(self, state: dict[str, Any]) -> None:
        """Store facts about the running lab for `list` (atomic replace)."""
        self._write("state.json", state)

    def read_state(self) -> dict[str, Any]:
        """The facts of `write_state`, empty when there are none (yet)."""
        return self._read("state.json")

    def write_service(self, envelope: dict[str, Any]) -> None:
        """Store the service's State (`lab.service.codec`), for completion and for people (atomic replace)."""
        self._write("service.json", envelope)

    def read_service(self) -> dict[str, Any]:
        """What `write_service` stored, empty when there is nothing (yet)."""
        return self._read("service.json")

    def _write(self, name: str, data: dict[str, Any]) -> None:
        temporary = self.path / f"{name}.new"
        temporary.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        temporary.replace(self.path / name)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            data = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return data if isinstance(data, dict) else {}

    def empty(self) -> None:
        """Delete all in the directory but the lock, which tells that its holder still lives."""
        with contextlib.suppress(OSError):
            _clear_debris(self, ignore_errors=True)

    def remove(self) -> None:
        """Delete the directory and all in it; the base goes too when it was the last lab.

        For the holder of the lock. The lock's file goes last: until then nobody can claim the name, so
        nothing of a new lab is deleted.
        """
        self.empty()
        with contextlib.suppress(OSError):
            self.lock.unlink(missing_ok=True)
            self.path.rmdir()
            self.path.parent.rmdir()

    def clear(self) -> None:
        """Delete the debris of a lab that has ended; a directory that is in use again is left alone."""
        try:
            fd = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError:
            # There is no room for a lock file, or no right to make one, so nobody can claim it either.
            self.remove()
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same_file(fd, self.lock):
                self.remove()
        except BlockingIOError:
            return
        finally:
            os.close(fd)


def _ensure_base() -> Path:
    base = base_directory()
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = base.stat()
    except OSError as error:
        raise EdgeError(
            f"cannot make {base}: {error.strerror}; set EDGELAB_DIR to a writable folder"
        ) from error
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise EdgeError(
            f"{base} belongs to someone else or others may write to it; "
            f"set EDGELAB_DIR to a folder of your own"
        )
    return base


@contextlib.contextmanager
def claim(name: str) -> Iterator[tuple[RunDirectory, int]]:
    """Take the name for a new lab: a fresh directory and the descriptor of its held lock.

    The lock belongs to the open file, so a child that inherits the descriptor keeps it after the
    caller has closed its own. Raises UsageError when a lab of that name runs, EdgeError when the
    directory cannot be made.
    """
    directory = RunDirectory(base_directory() / name)
    excess = len(os.fsencode(directory.path)) - _LONGEST_PATH
    if excess > 0:
        raise UsageError(
            f"{directory.path} is too long for the sockets of a lab; "
            f"set EDGELAB_DIR to a folder whose name is at least {excess} characters shorter"
        )
    if '"' in str(directory.path) or not str(directory.path).isprintable():
        raise UsageError(
            f"BIRD takes no file under {str(directory.path)!r}; set EDGELAB_DIR to a folder without "
            f"double quotes and control characters in its name"
        )
    fd = _lock(directory)
    try:
        try:
            _clear_debris(directory)
        except OSError as error:
            raise _not_writable(directory, error) from error
        yield directory, fd
    finally:
        os.close(fd)


def _lock(directory: RunDirectory) -> int:
    """The descriptor of the directory's lock, held. Others may look at it or clear it away meanwhile."""
    end = time.monotonic() + CLAIM_PATIENCE_S
    while True:
        fd = _try_lock(directory)
        if fd is not None:
            return fd
        if time.monotonic() > end:
            raise UsageError(
                f"lab {directory.name} is running, or another command is starting or ending it; try again"
            )
        select.select([], [], [], RECHECK_S)


def _try_lock(directory: RunDirectory) -> int | None:
    _ensure_base()
    try:
        directory.path.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(directory.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        # Somebody who clears debris took the folder away between our two calls.
        return None
    except OSError as error:
        raise _not_writable(directory, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    if not _same_file(fd, directory.lock):
        os.close(fd)
        return None
    return fd


def _not_writable(directory: RunDirectory, error: OSError) -> EdgeError:
    return EdgeError(
        f"cannot write to {directory.path}: {error.strerror}; "
        f"free some space there, or set EDGELAB_DIR to another folder"
    )


def _same_file(fd: int, path: Path) -> bool:
    """Whether `path` still names the file behind `fd`: a destroy may have won the race."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), path.stat())
    return False


def _clear_debris(directory: RunDirectory, ignore_errors: bool = False) -> None:
    for entry in directory.path.iterdir():
        if entry == directory.lock:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors)
        else:
            entry.unlink(missing_ok=True)


def discover() -> tuple[RunDirectory, ...]:
    """Every lab directory of this user, running or debris, by name."""
    try:
        entries = sorted(base_directory().iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return tuple(RunDirectory(path) for path in entries if path.is_dir())


def running_labs() -> tuple[RunDirectory, ...]:
    """The labs that run now."""
    return tuple(directory for directory in discover() if directory.running())


def find(name: str | None) -> RunDirectory:
    """The running lab of that name; without a name the only one that runs. Raises UsageError."""
    labs = running_labs()
    names = ", ".join(lab.name for lab in labs)
    if name is not None:
        for lab in labs:
            if lab.name == name:
                return lab
        known = f"running: {names}" if labs else "no lab runs; start one with: edgelab deploy -t FILE"
        raise UsageError(f"no lab {name} is running; {known}")
    if not labs:
        raise UsageError("no lab is running; start one with: edgelab deploy -t FILE")
    if len(labs) > 1:
        raise UsageError(f"more than one lab is running ({names}); say which")
    return labs[0]
