"""How everything that observes a running lab reaches it.

Probes, captures, checks and `inspect` run in the process of the command, not in the lab. They need
three things of a lab: sockets that live inside one of its namespaces, the control sockets of its BIRDs,
and what only its supervisor knows. `LabAccess` is that seam; the command's client implements it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from lab.model import LabModel

if TYPE_CHECKING:
    from edge.bgp.control import ControlSocket
    from edge.own.kinds import Control
    from lab.state import RunDirectory

Socket: TypeAlias = socket.socket
"""A name for the class that the methods called `socket` do not hide."""


class LabAccess(Protocol):
    """A running lab as an observer sees it. Need not be safe for threads; see SharedAccess."""

    @property
    def model(self) -> LabModel:
        """What the lab was derived to be; names and meaning come from it, never states."""
        ...

    def socket(self, namespace: str, family: int, kind: int, proto: int, /) -> Socket:
        """A new socket that was opened inside `namespace`; the caller closes it.

        Raises edge.errors.EdgeError when the namespace does not exist or the kernel refuses.
        """
        ...

    def bird(self, namespace: str, /) -> ControlSocket:
        """A client of the BIRD that runs in `namespace`. Raises EdgeError when it cannot be made."""
        ...

    def own_router(self, namespace: str, kind: str, /) -> Control:
        """A reader of the user's own router in `namespace`. Raises UsageError for an unknown kind."""

    def authority(self) -> str:
        """The certificate (PEM) of the lab's own authority. Raises EdgeError when the lab has no names."""
        ...

    def status(self) -> dict[str, Any]:
        """What the supervisor knows, as plain JSON data.

        realisation {name, reason}; started (Unix time, seconds); daemons {namespace:
        {software, pid, pids, restarts}};
        links {"namespace:device": {up, carrier}}; tag_counters (the tag plane's to_json);
        md5_failures {namespace: count};
        ike {namespace: {device: {remote, established, trouble}}} of tunnels;
        nft_counters {namespace: {name: [packets, bytes]}};
        marking and lacks (lab.marks.QosSupport); queues: a list of edge.net.queues.ClassCounters;
        markings: a list of edge.fastpath.markcounters.MarkingCounters;
        neighbors {namespace: [{address, device, mac, state}]}.
        """
        ...

    def counters(self) -> dict[str, Any]:
        """Of a status tag_counters, queues and markings: cheap enough to be read again and again."""
        ...

    def rule_counters(self, namespaces: Sequence[str], /) -> dict[str, dict[str, tuple[int, int]]]:
        """What packet rules counted, of namespaces that have any: namespace -> name -> (packets, octets)."""
        ...


class SharedAccess:
    """The same lab for several threads: what goes over the one connection to it goes in turn."""

    def __init__(self, access: LabAccess) -> None:
        self._access = access
        self._turn = threading.Lock()
        self.model = access.model
        # Of a whole lab with a supervisor of its own: who needs a second connection makes it there.
        self.directory: RunDirectory | None = getattr(access, "directory", None)

    def socket(self, namespace: str, family: int, kind: int, proto: int, /) -> Socket:
        """See LabAccess."""
        with self._turn:
            return self._access.socket(namespace, family, kind, proto)

    def bird(self, namespace: str, /) -> ControlSocket:
        """See LabAccess. Each call is a client of its own, so threads do not share one."""
        with self._turn:
            return self._access.bird(namespace)

    def own_router(self, namespace: str, kind: str, /) -> Control:
        """See LabAccess. Each call is a reader of its own, so threads do not share one."""
        with self._turn:
            return self._access.own_router(namespace, kind)

    def authority(self) -> str:
        """See LabAccess."""
        return self._access.authority()

    def status(self) -> dict[str, Any]:
        """See LabAccess."""
        with self._turn:
            return self._access.status()

    def counters(self) -> dict[str, Any]:
        """See LabAccess."""
        with self._turn:
            return self._access.counters()

    def rule_counters(self, namespaces: Sequence[str], /) -> dict[str, dict[str, tuple[int, int]]]:
        """See LabAccess."""
        with self._turn:
            return self._access.rule_counters(namespaces)
