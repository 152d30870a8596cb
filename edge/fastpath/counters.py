"""What the tag plane counted, as data for people and for JSON. Pure.

Octets are those of whole frames as the trunk carries them: with all tags, without preamble and FCS.
A GSO frame counts as the segments that a wire would carry, headers included.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from edge.model import TagStack
from edge.net.objects.base import Endpoint


@dataclass(frozen=True, slots=True)
class Traffic:
    """A number of frames and their octets."""

    packets: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class SubinterfaceCounters:
    """Frames that the subinterface received from its port (rx) and sent to it (tx)."""

    sub: Endpoint
    port: Endpoint
    tags: TagStack
    rx: Traffic
    tx: Traffic


@dataclass(frozen=True, slots=True)
class PolicedClass:
    """What the policer let pass and dropped of frames by their DSCP; name: EF, AF41, AF21, AF11 or other."""

    name: str
    passed: Traffic
    dropped: Traffic


@dataclass(frozen=True, slots=True)
class DirectionCounters:
    """One direction of a virtual circuit: frames that passed, and frames above the rate.

    by_class: the same as the policer saw it, by DSCP; frames that came while there was no rate are not in it.
    """

    passed: Traffic
    dropped: Traffic
    by_class: tuple[PolicedClass, ...] = ()


@dataclass(frozen=True, slots=True)
class CircuitCounters:
    """A virtual circuit: from port_a to port_b, and back."""

    namespace: str
    name: str
    a_to_b: DirectionCounters
    b_to_a: DirectionCounters


@dataclass(frozen=True, slots=True)
class UnknownStack:
    """Tags that came in at a port where nobody waits for them.

    tags are the two outermost as (tpid, vid), empty for untagged frames; a vid may be one that nobody
    may use (0 is a priority tag, 4095 reserved), so these are not `Tag`s. packets may miss a frame of
    those that raced to be the first; the oldest stacks give way when there are very many.
    """

    tags: tuple[tuple[int, int], ...]
    packets: int

    def __str__(self) -> str:
        return "/".join(f"0x{tpid:04x}:{vid}" for tpid, vid in self.tags) or "untagged"


@dataclass(frozen=True, slots=True)
class PortCounters:
    """Frames dropped at a port because of their tags, and which tags those were, most first."""

    port: Endpoint
    dropped: Traffic
    unknown: tuple[UnknownStack, ...]


@dataclass(frozen=True, slots=True)
class TagCounters:
    """All counters at one moment, in the order in which the objects were added."""

    subinterfaces: tuple[SubinterfaceCounters, ...]
    circuits: tuple[CircuitCounters, ...]
    ports: tuple[PortCounters, ...]

    def subinterface(self, sub: Endpoint) -> SubinterfaceCounters | None:
        """The counters of one subinterface, or None."""
        return next((c for c in self.subinterfaces if c.sub == sub), None)

    def circuit(self, namespace: str, name: str) -> CircuitCounters | None:
        """The counters of one virtual circuit, or None."""
        return next((c for c in self.circuits if (c.namespace, c.name) == (namespace, name)), None)

    def port(self, port: Endpoint) -> PortCounters | None:
        """The counters of one port, or None."""
        return next((c for c in self.ports if c.port == port), None)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`: names as `node:device`, tags as {"tpid": "0x88a8", "vid": 3}."""
        return {
            "subinterfaces": [
                {
                    "sub": str(c.sub),
                    "port": str(c.port),
                    "tags": _tags_json((tag.tpid, tag.vid) for tag in c.tags),
                    "rx": asdict(c.rx),
                    "tx": asdict(c.tx),
                }
                for c in self.subinterfaces
            ],
            "virtual_circuits": [
                {
                    "namespace": c.namespace,
                    "name": c.name,
                    "a_to_b": asdict(c.a_to_b),
                    "b_to_a": asdict(c.b_to_a),
                }
                for c in self.circuits
            ],
            "ports": [
                {
                    "port": str(c.port),
                    "dropped": asdict(c.dropped),
                    "unknown": [{"tags": _tags_json(u.tags), "packets": u.packets} for u in c.unknown],
                }
                for c in self.ports
            ],
        }


def _tags_json(tags: Iterable[tuple[int, int]]) -> list[dict[str, str | int]]:
    return [{"tpid": f"0x{tpid:04x}", "vid": vid} for tpid, vid in tags]
