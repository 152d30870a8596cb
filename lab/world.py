"""What a lab is made of while it runs: the kernel, the tag plane and the BIRDs of one sandbox.

Lives in the supervisor. `plan` reads what really is, `apply` changes it; neither trusts a record of
what was done before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.bgp.md5 import tcp_md5_failures
from edge.bgp.process import Birds
from edge.errors import EdgeError
from edge.fastpath.tagplane import TagPlane
from edge.net import readings
from edge.net.capabilities import Asked, Realisation, choose_realisation, probe
from edge.net.kernel import Kernel
from edge.net.objects import BirdDaemon, Change, KernelObject, Ruleset
from lab.compile import compile_lab
from lab.model import LabModel
from lab.plan import Plan, diff


class World:
    """Kernel, tags and daemons of the sandbox this process is in."""

    def __init__(self, bird_directory: Path, netns_directory: Path, asked: Asked) -> None:
        """Choose the realisation of tags. Raises CapabilityError when none fits."""
        self.started = time.time()
        capabilities = probe(deciding=asked)
        self.realisation: Realisation = choose_realisation(capabilities, asked)
        self.tag_plane = TagPlane() if self.realisation.name == "bpf" else None
        self.kernel = Kernel(
            netns_directory=netns_directory,
            tag_plane=self.tag_plane,
            packet_rules=capabilities.packet_rules,
        )
        bird_directory.mkdir(mode=0o700, exist_ok=True)
        self.birds = Birds(bird_directory, netns_directory)
        self.model: LabModel | None = None
        self.restarts: dict[str, int] = {}

    def plan(self, model: LabModel) -> Plan:
        """The steps from what the kernel and BIRD have now to `model`."""
        wanted = compile_lab(model, self.realisation.name)
        return diff(wanted, self.found(wanted))

    def found(self, wanted: Sequence[KernelObject]) -> set[KernelObject]:
        """What there is: read from the kernel, the tag plane and the BIRDs."""
        return {*self.kernel.found(wanted), *self.birds.found()}

    def apply(self, changes: Sequence[Change]) -> list[EdgeError | None]:
        """Carry out steps of one stage; one result each."""
        if isinstance(changes[0].subject, BirdDaemon):
            return self.birds.apply(changes)
        return self.kernel.apply(changes)

    def realisation_json(self) -> dict[str, str]:
        """How tags are made in this lab, and why so."""
        return {"name": self.realisation.name, "reason": self.realisation.reason}

    def daemons(self) -> dict[str, dict[str, Any]]:
        """The BIRDs that run: namespace -> {pid, restarts}."""
        return {
            namespace: {"pid": pid, "restarts": self.restarts.get(namespace, 0)}
            for namespace, pid in self.birds.pids().items()
        }

    def status(self) -> dict[str, Any]:
        """Everything `inspect` and `check` need that only a process inside can read, read now."""
        spaces = {space: self.kernel.netns_fd(space) for space in self._namespaces()}
        return {
            "realisation": self.realisation_json(),
            "started": self.started,
            "pid": os.getpid(),
            "daemons": self.daemons(),
            "links": {
                f"{space}:{link.name}": {"up": link.up, "carrier": link.carrier}
                for space, fd in spaces.items()
                for link in readings.links(fd)
            },
            "tag_counters": self.tag_plane.counters().to_json() if self.tag_plane else {},
            "md5_failures": {
                space: tcp_md5_failures(self.kernel.netns_fd(space)).total for space in self.birds.pids()
            },
            "nft_counters": {space: self.kernel.counters(space) for space in self._ruled()},
            "neighbors": {
                space: [
                    {"address": str(n.address), "device": n.device, "mac": n.mac, "state": n.state}
                    for n in readings.neighbors(fd)
                ]
                for space, fd in spaces.items()
            },
        }

    def _namespaces(self) -> list[str]:
        if self.model is None:
            return []
        return [space for node in self.model.nodes for space in node.namespaces]

    def _ruled(self) -> list[str]:
        if self.model is None:
            return []
        wanted = compile_lab(self.model, self.realisation.name)
        return sorted({item.namespace for item in wanted if isinstance(item, Ruleset)})
