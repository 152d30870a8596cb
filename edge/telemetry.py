"""Queues and markings of a network namespace at one moment, read from the kernel by whoever is inside it.

`to_json` is a contract: it carries "version" and only grows. Queues and markings have the shape that a lab's
supervisor gives them, too, but for the namespace, which has no name for who is inside.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edge.fastpath.markcounters import MarkingCounters
from edge.fastpath.markreading import MarkReader, Steering
from edge.net import messages as nl
from edge.net import queuereading
from edge.net.marking_rules import TABLE
from edge.net.netlink import RouteSocket
from edge.net.queues import ClassCounters
from edge.net.snapshot import parse_link
from edge.qos.model import Policy
from edge.qos.recognise import built_in, recognise, with_own_protocols

_NFT_S = 5.0


@dataclass(frozen=True, slots=True)
class Counters:
    """time: seconds since 1970 at which it was read. notes: what could not be read, in words."""

    time: float
    queues: tuple[ClassCounters, ...]
    markings: tuple[MarkingCounters, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--format json`."""
        return {
            "version": 1,
            "time": self.time,
            "queues": [{**item.to_json(), "at": item.at.device} for item in self.queues],
            "markings": [{**item.to_json(), "at": item.at.device} for item in self.markings],
            "notes": list(self.notes),
        }


class Reader:
    """Reads the calling thread's namespace, again and again.

    policies: beside the built-in ones, for the names of rules and classes.
    """

    def __init__(self, policies: Iterable[Policy] = ()) -> None:
        candidates = (*with_own_protocols(policies), *built_in())
        self._marks = MarkReader(lambda table: recognise(table, candidates))

    def read(self) -> Counters:
        """Read now. Raises OSError, EdgeError."""
        with RouteSocket() as route:
            links = [parse_link(message.payload) for message in route.dump(nl.dump_links())]
            devices = {link.index: link.name for link in links}
            marks = self._marks.read(devices)
            queues = queuereading.read(route, devices, _names(marks.steering))
        if not marks.markings and _packet_rules_mark():
            marks.notes.append(f"packet rules mark here: nft list table inet {TABLE}")
        return Counters(time.time(), queues, tuple(marks.markings), tuple(dict.fromkeys(marks.notes)))


def _names(steering: Iterable[Steering]) -> dict[int, dict[int, str]]:
    """What classes are called, by tree and queue. Where markings disagree nobody knows."""
    told: dict[int, dict[int, set[str]]] = {}
    for item in steering:
        for queue, name in item.names.items():
            told.setdefault(item.tree, {}).setdefault(queue, set()).add(name)
    return {
        tree: {queue: next(iter(names)) for queue, names in queues.items() if len(names) == 1}
        for tree, queues in told.items()
    }


def _packet_rules_mark() -> bool:
    """Whether this namespace has our table of nftables; False, too, where nobody may look."""
    try:
        asked = ("nft", "list", "table", "inet", TABLE)
        found = subprocess.run(asked, capture_output=True, check=False, timeout=_NFT_S)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return found.returncode == 0
