"""What a lab is made of while it runs: the kernel, the tag plane and the daemons of one sandbox.

Lives in the supervisor. `plan` reads what really is, `apply` changes it; neither trusts a record of
what was done before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from edge.bgp.md5 import tcp_md5_failures
from edge.errors import EdgeError
from edge.fastpath.impair import EitherPlane, ImpairmentPlane
from edge.fastpath.ring import RingPlane
from edge.fastpath.tagplane import TagPlane
from edge.ike.objects import IkeDaemon
from edge.ike.support import require_strongswan
from edge.net import readings
from edge.net.capabilities import Asked, Realisation, choose_realisation, probe
from edge.net.kernel import Kernel
from edge.net.macsec import require_macsec
from edge.net.mka import MkaDaemons
from edge.net.mpls_support import CoreChoice
from edge.net.objects.base import KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.daemons import MkaDaemon
from edge.net.objects.devices import Macsec
from edge.net.objects.frames import Queues
from edge.net.objects.routing import Ruleset
from lab.compile import compile_lab
from lab.daemons import daemons_in
from lab.faults.faulted import hanging
from lab.faults.objects import without_hanging
from lab.marks import QosSupport, kernel_support, possible
from lab.model import LabModel
from lab.names.servers import require_programs
from lab.own_routers import without_theirs
from lab.plan import Plan, diff

Kind = TypeVar("Kind", Queues, Ruleset)


class World:
    """Kernel, tags and daemons of the sandbox this process is in."""

    def __init__(self, bird_directory: Path, netns_directory: Path, asked: Asked) -> None:
        """Choose the realisation of tags. Raises CapabilityError when none fits."""
        self.started = time.time()
        capabilities = probe(deciding=asked)
        self.realisation: Realisation = choose_realisation(capabilities, asked)
        # One engine in user space does all of it; else each has its programs in the kernel.
        self.ring = RingPlane(self._netns_fd) if self.realisation.name == "ring" else None
        self.tag_plane: TagPlane | RingPlane | None = self.ring
        if self.realisation.name == "bpf":
            self.tag_plane = TagPlane()
        self.impairments = EitherPlane(
            self.ring.impairments if self.ring else ImpairmentPlane(), ImpairmentPlane(way="mirred")
        )
        self.qos = (
            QosSupport(self.ring.marks, "bfifo") if self.ring else kernel_support(capabilities.packet_rules)
        )
        self.kernel = Kernel(
            netns_directory=netns_directory,
            tag_plane=self.tag_plane,
            packet_rules=capabilities.packet_rules,
            impairments=self.impairments,
            mark_plane=self.qos.plane,
            queue_leaves=self.qos.leaves,
            queues=self.ring.queues if self.ring else None,
        )
        self.daemons = daemons_in(bird_directory, netns_directory)
        self.birds = self.daemons.birds
        self.mka = MkaDaemons(bird_directory, self._netns_fd)
        self.model: LabModel | None = None
        self.core: CoreChoice | None = None
        self.restarts: dict[str, int] = {}

    def _netns_fd(self, namespace: str) -> int:
        return self.kernel.netns_fd(namespace)

    def plan(self, model: LabModel) -> Plan:
        """The steps from what the kernel and the daemons have now to `model`.

        Raises CapabilityError when the model needs what this machine has not.
        """
        if model.names is not None:
            require_programs()
        wanted = self._compiled(model)
        if any(isinstance(item, Macsec) for item in wanted):
            require_macsec()
        if any(isinstance(item, IkeDaemon) for item in wanted):
            require_strongswan()
        before = self._compiled(self.model) if self.model is not None else ()
        found = without_theirs(self.found(wanted), wanted, before)
        return diff(*without_hanging(hanging(model), wanted, found))

    def found(self, wanted: Sequence[KernelObject]) -> set[KernelObject]:
        """What there is: read from the kernel, the tag plane and the daemons."""
        return {*self.kernel.found(wanted), *self.daemons.found(), *self.mka.found()}

    def apply(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Carry out steps of one stage; one result each."""
        if self.daemons.handles(changes[0]):
            return self.daemons.apply(changes)
        if isinstance(changes[0].subject, MkaDaemon):
            return self.mka.apply(changes)
        return self.kernel.apply(changes)

    def realisation_json(self) -> dict[str, str]:
        """How tags are made in this lab, and why so."""
        return {
            "name": self.realisation.name,
            "reason": self.realisation.reason,
            "marking": self._marking(),
            "lacks": "; ".join(self.qos.lacks),
            "core": self.core.name if self.core else "",
            "core_reason": self.core.reason if self.core else "",
        }

    def _daemons_json(self) -> dict[str, dict[str, Any]]:
        """The daemons that run, by namespace, others by name: {software, pid, pids, restarts}.

        pid is the first of its processes.
        """
        return {
            name: {
                "software": self.daemons.software(name),
                "pid": pids[0],
                "pids": list(pids),
                "restarts": self.restarts.get(name, 0),
            }
            for name, pids in self.daemons.pids().items()
        }

    def status(self) -> dict[str, Any]:
        """Everything `inspect` and `check` need that only a process inside can read, read now."""
        spaces = {space: self.kernel.netns_fd(space) for space in self._namespaces()}
        return {
            "realisation": self.realisation_json(),
            "started": self.started,
            "pid": os.getpid(),
            "daemons": self._daemons_json(),
            "engine": self._engine_json(),
            "links": {
                f"{space}:{link.name}": {"up": link.up, "carrier": link.carrier}
                for space, fd in spaces.items()
                for link in readings.links(fd)
            },
            "tag_counters": self._tag_counters(),
            "md5_failures": {
                space: tcp_md5_failures(self.kernel.netns_fd(space)).total for space in self.daemons.routing()
            },
            "ike": self.daemons.ike.tunnels(),
            "marking": self._marking(),
            "lacks": list(self.qos.lacks),
            **self._qos_counters(),
            "impairments": self._impairments_json(),
            "nft_counters": self.rule_counters(self._ruled()),
            "neighbors": {
                space: [
                    {"address": str(n.address), "device": n.device, "mac": n.mac, "state": n.state}
                    for n in readings.neighbors(fd)
                ]
                for space, fd in spaces.items()
            },
        }

    def counters(self) -> dict[str, Any]:
        """Of a status what counts frames by class, without what takes programs to be started."""
        return {"tag_counters": self._tag_counters(), **self._qos_counters()}

    def rule_counters(self, namespaces: Sequence[str]) -> dict[str, dict[str, tuple[int, int]]]:
        """What packet rules counted in those of the namespaces that have any: name -> (packets, octets)."""
        ruled = self._ruled()
        return {space: self.kernel.counters(space) for space in namespaces if space in ruled}

    def _tag_counters(self) -> dict[str, Any]:
        return self.tag_plane.counters().to_json() if self.tag_plane else {}

    def _qos_counters(self) -> dict[str, Any]:
        queues = self.kernel.queue_counters(self._wanted(Queues))
        return {"markings": self._markings_json(), "queues": [item.to_json() for item in queues]}

    def _marking(self) -> str:
        return self.qos.marking if self.ring is None else "ring"

    def _markings_json(self) -> list[dict[str, Any]]:
        plane = self.kernel.mark_plane
        markings: list[dict[str, Any]] = plane.counters().to_json()["markings"] if plane is not None else []
        return markings

    def _engine_json(self) -> dict[str, Any]:
        """The engine in user space: pid, restarts, frames of each port; empty where there is none."""
        if self.ring is None:
            return {}
        ports = {
            str(at): {**asdict(traffic), "missed": missed}
            for at, (traffic, missed) in self.ring.traffic().items()
        }
        return {"pid": self.ring.pid, "restarts": self.restarts.get("ring", 0), "ports": ports}

    def _impairments_json(self) -> list[dict[str, Any]]:
        return [item.to_json() for item in self.impairments.counters()]

    def _namespaces(self) -> list[str]:
        if self.model is None:
            return []
        return [space for node in self.model.nodes for space in node.namespaces]

    def _wanted(self, kind: type[Kind]) -> list[Kind]:
        if self.model is None:
            return []
        return [item for item in self._compiled(self.model) if isinstance(item, kind)]

    def _compiled(self, model: LabModel) -> tuple[KernelObject, ...]:
        return possible(compile_lab(model, self.realisation.name), self.qos)

    def _ruled(self) -> list[str]:
        return sorted({item.namespace for item in self._wanted(Ruleset)})
