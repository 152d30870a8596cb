"""What becomes of frames that devices send and receive: tags, rates, queues, marks, harm. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from edge.model import Tag, TagStack
from edge.net.objects.base import Endpoint, Key, OnDevice
from edge.net.objects.devices import AdminUp
from edge.qos.model import Policy, TrafficClass, Treatment


@dataclass(frozen=True, slots=True)
class SubinterfaceTags:
    """Frames of `sub` leave by `port` under `tags`; tagged frames on `port` arrive at `sub` bare.

    `bpf` realisation. `inner` is None when `sub` is a Macvlan beside the port; otherwise `sub` is one
    end of a veth in the VRF's namespace and `inner` the other end, beside the port. Then the carrier
    of `sub` follows the port by the administrative state of `inner` (see edge.net.monitor).
    """

    sub: Endpoint
    port: Endpoint
    tags: TagStack
    inner: Endpoint | None = None

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("tags", str(self.sub))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.port.namespace

    def __str__(self) -> str:
        return f"tags {'/'.join(map(str, self.tags))} on {self.port} for {self.sub}"


def followers(rules: Iterable[SubinterfaceTags | AdminUp]) -> Iterator[tuple[Endpoint, Endpoint]]:
    """(device, port whose carrier it follows): inner ends of subinterfaces, and devices that say so."""
    for rule in rules:
        if isinstance(rule, AdminUp):
            if rule.follows:
                yield rule.at, Endpoint(rule.at.namespace, rule.follows)
        elif rule.inner is not None:
            yield rule.inner, rule.port


@dataclass(frozen=True, slots=True)
class VirtualCircuit:
    """A provider's virtual cross-connection between two ports of one namespace, both directions.

    A frame on port_a whose outermost tags are tags_a leaves by port_b with tags_b in their place,
    and the other way round; deeper tags are not looked at. rate_bps limits each direction (bits per
    second of whole frames, token bucket); None does not. policer: circuits of a namespace that name the same
    one, and have the same rate, share it: one bucket for what they carry from a to b, one for what they
    carry back. Empty: a circuit has its own. tolerance_percent: while no more than so much above the rate is
    offered, all of it passes; what exceeds that is clamped to the rate itself, as on ExpressRoute Direct
    (facts 10.4). VLAN devices have no such tolerance.
    """

    namespace: str
    name: str
    port_a: str
    tags_a: TagStack
    port_b: str
    tags_b: TagStack
    rate_bps: int | None = None
    policer: str = ""
    tolerance_percent: int = 0

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("virtual-circuit", self.namespace, self.name)

    def __str__(self) -> str:
        a, b = ("/".join(map(str, tags)) for tags in (self.tags_a, self.tags_b))
        return f"virtual circuit {self.name} {self.namespace}:{self.port_a} {a} -- {self.port_b} {b}"


@dataclass(frozen=True, slots=True)
class RateLimit(OnDevice):
    """What leaves by a device is limited by a token bucket; a short queue, then drops (facts 2).

    `kernel` realisation; in the others a VirtualCircuit has its own. rate_bps: bits per second of whole
    frames, a multiple of 8. overhead_octets: what its length still lacks there: tags in metadata, and those
    that lower devices will add.
    """

    kind: ClassVar[str] = "rate-limit"
    rate_bps: int
    overhead_octets: int

    def __str__(self) -> str:
        return f"rate limit {self.rate_bps / 1e6:g} Mbit/s on {self.at}"


TREES_MAX = 256
"""Trees of queues on one port. The number of a class has 16 bits, which would do for 4,095 of them; the
queue at the end of a class is numbered after it by 12 bits (edge.net.htb.LEAF_MAJORS)."""


@dataclass(frozen=True, slots=True)
class QueueTree:
    """The queues of one circuit on a port. number: 0..TREES_MAX - 1 on its port; class `c` is HTB class
    1:(number * 16 + c.queue + 1), which `skb->priority` names (facts, fast path 1.6)."""

    number: int
    rate_bps: int
    classes: tuple[TrafficClass, ...]


@dataclass(frozen=True, slots=True)
class Queues(OnDevice):
    """What leaves by a port is queued by class: strict ones first but policed, the others by their shares."""

    kind: ClassVar[str] = "queues"
    trees: tuple[QueueTree, ...]

    def __str__(self) -> str:
        return f"queues on {self.at}"


@dataclass(frozen=True, slots=True)
class Marking:
    """A policy is applied to what leaves (egress) or arrives (ingress) at a device.

    towards: the direction in the policy's words. outer, inner: only frames whose outermost tag, and next tag,
    are these; None takes the frames that no more specific Marking of the device takes. tree: the QueueTree of
    the port into which frames are steered, None steers nowhere. msee: what becomes of packets whose DSCP the
    service does not know, at the MSEE's ingress (facts 6.1); empty for a policy proper.
    """

    at: Endpoint
    hook: Literal["egress", "ingress"]
    policy: Policy
    towards: Literal["out", "in"]
    treatment: Treatment
    outer: Tag | None = None
    tree: int | None = None
    msee: Literal["", "pass", "remark", "drop"] = ""
    inner: Tag | None = None

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        tags = "/".join(str(tag) for tag in (self.outer, self.inner) if tag is not None)
        return ("marking", str(self.at), self.hook, tags)

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.at.namespace

    def __str__(self) -> str:
        return f"policy {self.policy.name} at {self.at} {self.hook}"


@dataclass(frozen=True, slots=True)
class Impairment(OnDevice):
    """What a device sends is harmed on its way, as a bad wire does: by `seed`, the same frames every time.

    delay_ns and jitter_ns: each frame waits delay +- jitter, evenly spread; frames keep their order unless
    reordered. Parts are in millionths of the frames: lost, sent twice, sent at once in front of those that
    wait (reordered). rate_bps: of a wire with this speed, None unlimited. by: our own engine, or netem.
    """

    kind: ClassVar[str] = "impairment"
    seed: int
    delay_ns: int = 0
    jitter_ns: int = 0
    loss_ppm: int = 0
    duplicate_ppm: int = 0
    reorder_ppm: int = 0
    rate_bps: int | None = None
    by: Literal["ring", "netem"] = "ring"

    def __str__(self) -> str:
        return f"impairment of what {self.at} sends"
