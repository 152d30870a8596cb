"""The daemons of a lab under one face: our BIRDs, routers that users bring, key exchanges, servers of names.

Each has a name: routing software that of its namespace, others one with a colon, which no namespace has.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge.bgp.parse import parse_log_line
from edge.bgp.process import Birds
from edge.bgp.state import LogEvent
from edge.errors import EdgeError
from edge.ike.objects import IkeDaemon
from edge.ike.process import IkeDaemons
from edge.net.objects.base import KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.daemons import BirdDaemon, OwnRouter
from edge.own.process import OwnRouters
from lab.names.objects import KIND as NAMES_KIND
from lab.names.servers import Servers
from lab.state import IKE, NAMES, OWN_ROUTERS

Group = Birds | OwnRouters | IkeDaemons | Servers


class Daemons:
    """What runs in a lab beside the kernel."""

    def __init__(self, birds: Birds, own: OwnRouters, ike: IkeDaemons, servers: Servers) -> None:
        self.birds = birds
        self.own = own
        self.ike = ike
        self.servers = servers

    @staticmethod
    def handles(change: Change) -> bool:
        """Whether the change is one of daemons."""
        subject = change.subject
        return isinstance(subject, BirdDaemon | OwnRouter | IkeDaemon) or subject.key[0] == NAMES_KIND

    def apply(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Carry out the changes of one stage, which are all of one kind; one result each."""
        first = changes[0].subject
        if isinstance(first, BirdDaemon):
            return self.birds.apply(changes)
        if isinstance(first, IkeDaemon):
            return self.ike.apply(changes)
        return (self.own if isinstance(first, OwnRouter) else self.servers).apply(changes)

    def found(self) -> set[KernelObject]:
        """What runs and answers."""
        return {*self.birds.found(), *self.own.found(), *self.ike.found(), *self.servers.found()}

    def restart(self, name: str) -> None:
        """Start one again as it was. Raises EdgeError."""
        self._of(name).restart(name)

    def known(self) -> frozenset[str]:
        """Those that there are, whether they run or died."""
        return self.birds.known() | self.own.known() | self.ike.known() | self.servers.known()

    def routing(self) -> frozenset[str]:
        """The namespaces that have routing software."""
        return self.birds.known() | self.own.known()

    def pids(self) -> dict[str, tuple[int, ...]]:
        """Name -> process ids of what is not yet reaped."""
        one_each = {**self.birds.pids(), **self.ike.pids(), **self.servers.pids()}
        return {**{name: (pid,) for name, pid in one_each.items()}, **self.own.pids()}

    def pidfd(self, name: str) -> int:
        """Readable once a process of it ended. Raises DaemonError."""
        return self._of(name).pidfd(name)

    def log_fds(self) -> dict[str, int]:
        """Name -> read end of the pipe that it logs to."""
        groups = (self.birds, self.own, self.ike, self.servers)
        return {name: fd for group in groups for name, fd in group.log_fds().items()}

    def event(self, name: str, line: str) -> LogEvent | None:
        """What a line of its log tells of a session, None when nothing."""
        if name in self.own.known():
            return self.own.event(name, line)
        if name in self.ike.known():
            return self.ike.event(name, line)
        return None if name in self.servers.known() else parse_log_line(line)

    def software(self, name: str) -> str:
        """What people call the program."""
        group = self._of(name)
        return "BIRD" if isinstance(group, Birds) else group.software(name)

    def words(self, name: str) -> str:
        """What people call this one of them."""
        group = self._of(name)
        if isinstance(group, IkeDaemons | Servers):
            return group.words(name)
        return f"{self.software(name)} in {name}"

    def _of(self, name: str) -> Group:
        if name in self.own.known():
            return self.own
        if name in self.ike.known():
            return self.ike
        return self.servers if name in self.servers.known() else self.birds


def daemons_in(bird_directory: Path, netns_directory: Path) -> Daemons:
    """Nothing runs yet; the directories of routers are made. Raises OSError."""
    run_directory = bird_directory.parent
    own_directory = run_directory / OWN_ROUTERS
    for directory in (bird_directory, own_directory):
        directory.mkdir(mode=0o700, exist_ok=True)
    return Daemons(
        Birds(bird_directory, netns_directory),
        OwnRouters(own_directory, netns_directory),
        IkeDaemons(run_directory / IKE, netns_directory),
        Servers(run_directory / NAMES, netns_directory, run_directory.name),
    )
