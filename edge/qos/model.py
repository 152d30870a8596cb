"""Classes, rules and policies as data: read this first. Pure.

A *policy* is an ordered list of rules; the first rule that matches a packet gives its class and its
DSCP. A class has one queue. What no rule matches is of the class `default`. The compiled form of a policy
is a flat table (edge.qos.table) that user space and the kernel read alike.

A policy is applied at a device in one direction with a *treatment*: on a Microsoft peering packets are
marked; a private peering carries DSCP unchanged (facts 6.1), so there they are only steered into queues.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from edge.model import Network

DSCP_EF, DSCP_AF41, DSCP_AF21, DSCP_AF11, DSCP_CS0 = 46, 34, 18, 10, 0
DSCP_CS6 = 48
"""What ExpressRoute knows on Microsoft peering (facts 6.1)."""

Direction = Literal["out", "in"]
"""Seen from the customer: `out` towards Microsoft, `in` from it."""

Hint = Literal["", "stun", "rtp"]
"""What the payload must look like: a STUN header (RFC 8489 section 5), an RTP header (RFC 3550 5.1)."""

PortRange = tuple[int, int]
"""First and last port, both included."""


@dataclass(frozen=True, slots=True)
class TrafficClass:
    """A class and its queue.

    name: `voice`, `video`, `sharing`, `files`, `default` in the built-in profiles.
    queue: 0 is served first; also the index of counters.
    share: percent of the circuit's bandwidth that the class is sure of.
    strict: served before all others, and policed to its share (RFC 3246); others may borrow what is free.
    """

    name: str
    queue: int
    share: int
    strict: bool = False


CLASSES = (
    TrafficClass("voice", 0, 30, strict=True),
    TrafficClass("video", 1, 30),
    TrafficClass("sharing", 2, 15),
    TrafficClass("files", 3, 5),
    TrafficClass("default", 4, 20),
)
"""The classes of the ExpressRoute table. The shares are ours; no document gives any (facts 6.1)."""

DEFAULT_CLASS = "default"
"""Class of what no rule matches; every policy has it."""

QUEUES_MAX = 8
"""Most classes of a policy."""

RULES_MAX = 1024
"""Most rules of a policy."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A packet matches when every field that is not empty matches.

    protocols: IP protocol numbers. either_ports: the source or the destination port lies in the range (a
    client's port, whichever way the packet goes). source, destination: IPv4 and IPv6 prefixes, one must
    hold the address. existing_dscp: the packet came with one of these. direction: only that way.
    dscp: what the packet leaves with; None leaves it as it is.
    position: `file:line:column` for people, empty for a built-in rule.

    A later fragment has no ports: a rule that asks for ports or a hint does not match it. Ports are those
    of TCP, UDP, UDP-Lite, DCCP and SCTP.
    """

    name: str
    class_name: str
    dscp: int | None
    protocols: tuple[int, ...] = ()
    source_ports: PortRange | None = None
    destination_ports: PortRange | None = None
    either_ports: PortRange | None = None
    source: tuple[Network, ...] = ()
    destination: tuple[Network, ...] = ()
    existing_dscp: tuple[int, ...] = ()
    hint: Hint = ""
    direction: Direction | Literal["both"] = "both"
    position: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules in their order. unmatched_dscp: what packets leave with that no rule matches, None as before."""

    name: str
    rules: tuple[Rule, ...]
    classes: tuple[TrafficClass, ...] = CLASSES
    unmatched_dscp: int | None = DSCP_CS0

    def class_of(self, name: str) -> TrafficClass:
        """The class of that name. Raises KeyError."""
        for item in self.classes:
            if item.name == name:
                return item
        raise KeyError(name)


Treatment = Literal["mark", "steer"]
"""`mark`: class, DSCP and queue. `steer`: class and queue, the DSCP stays as it is."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the fast path decides of a packet.

    rule: index into Policy.rules, None when no rule matched. dscp: as the packet leaves. queue: of the class.
    """

    class_name: str
    rule: int | None
    dscp: int
    queue: int
