"""Queues, policers and markings of a running lab at one moment. Pure but for `collect`.

`to_json` is a contract: it carries "version" and only grows. All counters are of the kernel, or of the
engine of `ring` links, since the object was made or that engine started; packets and octets of a GSO frame
are those of its segments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge.countrows import QueueLine, RuleRow, by_class, by_rule
from edge.net.objects.base import Endpoint
from lab.access import LabAccess
from lab.model import LabModel


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A class of a port: what has left by it, what it dropped, what waits in it now.

    towards: the link's other end. circuit is empty for frames that no marking steers.
    """

    port: str
    link: str
    towards: str
    circuit: str
    name: str
    strict: bool
    rate_bps: int
    ceil_bps: int
    packets: int
    octets: int
    drops: int
    backlog_packets: int
    backlog_octets: int
    borrowed: int

    @property
    def line(self) -> QueueLine:
        """As tables show it."""
        return QueueLine(
            self.port,
            self.circuit,
            self.name,
            self.strict,
            self.rate_bps if self.circuit else None,
            self.packets,
            self.octets,
            self.drops,
            self.backlog_packets,
            self.borrowed,
        )


@dataclass(frozen=True, slots=True)
class PolicerRow:
    """What a provider's policer saw of one direction of a connection, by DSCP.

    name: EF, AF41, AF21, AF11 or other.
    """

    circuit: str
    towards: str
    name: str
    packets: int
    octets: int
    dropped_packets: int
    dropped_octets: int


@dataclass(frozen=True, slots=True)
class ClassesView:
    """All of it. time: seconds since 1970 at which it was read."""

    lab: str
    time: float
    queues: tuple[QueueRow, ...]
    policers: tuple[PolicerRow, ...]
    markings: tuple[RuleRow, ...]
    rules: tuple[RuleRow, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--format json`."""
        return {"version": 1, **asdict(self)}


def collect(access: LabAccess, now: float) -> ClassesView:
    """Read now. Raises EdgeError when the lab's supervisor does not answer."""
    return view_of(access.model, access.counters(), now)


def view_of(model: LabModel, status: Mapping[str, Any], now: float) -> ClassesView:
    """The view of a status (lab.access)."""
    return ClassesView(
        model.name,
        now,
        tuple(queues(model, status)),
        tuple(policers(status.get("tag_counters") or {})),
        tuple(by_class(status.get("markings", ()))),
        tuple(by_rule(status.get("markings", ()))),
    )


def queues(model: LabModel, status: Mapping[str, Any]) -> Iterator[QueueRow]:
    """The classes of all ports, by the `queues` of a status."""
    links = {str(at): (link.name, str(far)) for link in model.links for at, far in _both(link.a, link.b)}
    circuits = dict(_circuits(model))
    for item in status.get("queues", ()):
        fields = {key: value for key, value in item.items() if key not in ("at", "tree")}
        link, far = links.get(item["at"], ("", ""))
        yield QueueRow(item["at"], link, far, circuits.get((item["at"], item["tree"]), ""), **fields)


def _both(a: Endpoint, b: Endpoint) -> tuple[tuple[Endpoint, Endpoint], tuple[Endpoint, Endpoint]]:
    return (a, b), (b, a)


def _circuits(model: LabModel) -> Iterator[tuple[tuple[str, int], str]]:
    """(port, tree) -> circuit, by the peerings whose subinterfaces are on the port."""
    for end in model.peering_ends:
        for router in model.routers:
            subs = [s for vrf in router.vrfs if vrf.namespace == end.namespace for s in vrf.subinterfaces]
            ports = {sub.port for sub in subs if sub.name == end.device and router.name == end.node}
            for port in router.ports:
                for queues in port.queues:
                    if port.name in ports and queues.outer in (None, end.tags[0]):
                        yield (f"{router.namespace}:{port.name}", queues.number), end.circuit


def policers(counters: Mapping[str, Any]) -> Iterator[PolicerRow]:
    """The policers of both directions of all connections, by the `tag_counters` of a status."""
    for circuit in counters.get("virtual_circuits", ()):
        for key, towards in (("a_to_b", "Microsoft"), ("b_to_a", "customer")):
            for item in circuit[key].get("by_class", ()):
                passed, dropped = item["passed"], item["dropped"]
                yield PolicerRow(
                    circuit["name"],
                    towards,
                    item["name"],
                    passed["packets"],
                    passed["bytes"],
                    dropped["packets"],
                    dropped["bytes"],
                )
