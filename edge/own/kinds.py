"""What a kind of routing software must bring to be a user's own router. Another kind is one more module.

A module of a kind has one `Kind`; KINDS names the modules, which are imported when first used.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast

from edge.bgp.state import BfdSession, LogEvent, ProtocolState, RouteInfo
from edge.errors import UsageError
from edge.model import Network

KINDS: Final[dict[str, str]] = {"frr": "edge.frr.kind"}
"""Kind, as a topology file says it, and the module that has it as `KIND`."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """What the software says against a line of its configuration; line 0 is the whole file."""

    line: int
    words: str


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory of ours that stands in the place of one of the system's, for who works with the router."""

    source: Path
    target: Path


class Control(Protocol):
    """Reads one router, in any process of the same user. Sessions are named by the neighbour's address.

    All methods raise DaemonError when nothing answers, DeadlineError when it takes too long.
    """

    def protocols(self) -> tuple[ProtocolState, ...]:
        """All BGP sessions that are configured, with BFD's state."""
        ...

    def routes(self, prefix: Network) -> tuple[RouteInfo, ...]:
        """What BGP knows of exactly this prefix, the best first."""
        ...

    def bfd_sessions(self) -> tuple[BfdSession, ...]:
        """All BFD sessions, with their negotiated times."""
        ...

    def refresh(self, neighbor: str) -> None:
        """Send our routes to a neighbour again; the session is not disturbed (RFC 2918)."""
        ...


class Software(Protocol):
    """The processes of one router. Thread-safe; they are children of this process until `close`."""

    @property
    def config(self) -> str:
        """What it was last started with."""
        ...

    @property
    def pids(self) -> tuple[int, ...]:
        """Processes not yet reaped."""
        ...

    @property
    def pidfd(self) -> int:
        """Readable once one of the processes ended; another one after a start. Raises DaemonError."""
        ...

    @property
    def log_fd(self) -> int:
        """What all processes log to, not blocking; stays the same until `close`."""
        ...

    def start(self, config: str, name: str) -> None:
        """(Re)start with this configuration, whose file is called `name`; returns when it was taken.

        Raises CapabilityError when the software is missing, DaemonError with the software's words and the
        line of the file when it refuses it, DeadlineError. Nothing runs after an error.
        """
        ...

    def answers(self) -> bool:
        """Whether all its processes run and it answers."""
        ...

    def end(self) -> None:
        """End the processes; routes are taken back. Idempotent."""
        ...

    def close(self) -> None:
        """End, take the files away and close the log. Idempotent."""
        ...


class Kind(Protocol):
    """One kind of software."""

    name: str
    """What people call it."""

    def ready(self) -> None:
        """Return when this machine and this user can run such a router. Raises CapabilityError."""
        ...

    def check(self, config: str) -> tuple[Complaint, ...]:
        """What is wrong with a configuration, as far as it can be told without starting anything.

        Raises CapabilityError when the software is missing.
        """
        ...

    def software(self, namespace: str, netns: Path, directory: Path) -> Software:
        """The router of a namespace, whose files lie below `directory`; nothing is started."""
        ...

    def control(self, directory: Path, namespace: str) -> Control:
        """A reader of that router."""
        ...

    def mounts(self, directory: Path, namespace: str) -> tuple[Mount, ...]:
        """What whoever enters the namespace has to see, so that the software's own tools find the router."""
        ...

    def event(self, line: str) -> LogEvent | None:
        """What a line of the log tells; None when it tells nothing of a session."""
        ...


def kind(name: str) -> Kind:
    """The kind of that name. Raises UsageError."""
    module = KINDS.get(name)
    if module is None:
        raise UsageError(f"there is no kind of router {name!r}; there is {', '.join(KINDS)}")
    return cast("Kind", importlib.import_module(module).KIND)
