"""Everything that we ask of the kernel, as data. Pure.

An object has a `key` (which thing it is) and attributes (how it is). Two sets of objects, wanted and
found, differ by creations (key only in wanted), deletions (key only in found) and changes (same key,
other attributes). `TIERS` gives the order of creation; deletions run through it backwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Literal, Protocol

from edge.ike.objects import IkeDaemon
from edge.model import Address, Interface, Network, Tag, TagStack
from edge.qos.model import Policy, TrafficClass, Treatment

Key = tuple[str, ...]


class KernelObject(Protocol):
    """What plan and engine need of an object. `namespace` is where its work is done."""

    @property
    def key(self) -> Key:
        """Which thing it is: kind first, then names."""

    @property
    def namespace(self) -> str:
        """The namespace in which it is made and read."""

    def __str__(self) -> str: ...


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """A network device in a namespace, shown as `ce1:xe0`."""

    namespace: str
    device: str

    def __str__(self) -> str:
        return f"{self.namespace}:{self.device}"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A named network namespace (`ip netns` sees it); its loopback is up."""

    name: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("namespace", self.name)

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.name

    def __str__(self) -> str:
        return f"namespace {self.name}"


@dataclass(frozen=True, slots=True)
class Veth:
    """A wire: two devices, each created straight in its namespace. MAC addresses are fixed."""

    a: Endpoint
    b: Endpoint
    mtu: int
    mac_a: str
    mac_b: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("veth", str(self.a), str(self.b))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.a.namespace

    def __str__(self) -> str:
        return f"link {self.a} -- {self.b}"


@dataclass(frozen=True, slots=True)
class Bridge:
    """A plain learning switch, no spanning tree, no multicast snooping."""

    at: Endpoint
    mtu: int
    mac: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("bridge", str(self.at))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.at.namespace

    def __str__(self) -> str:
        return f"bridge {self.at}"


@dataclass(frozen=True, slots=True)
class Macvlan:
    """A subinterface device for the `bpf` realisation: macvlan, mode source, empty source list.

    It hears nothing by itself (no leak of untagged broadcasts) and follows the carrier of `lower`.
    """

    at: Endpoint
    lower: str
    mtu: int
    mac: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("macvlan", str(self.at))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.at.namespace

    def __str__(self) -> str:
        return f"subinterface {self.at} on {self.lower}"


@dataclass(frozen=True, slots=True)
class VlanDevice:
    """A kernel VLAN device (802.1Q or 802.1ad by tpid); `at` may lie in another namespace than `lower`."""

    at: Endpoint
    lower: Endpoint
    vid: int
    tpid: int
    mtu: int
    mac: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("vlan", str(self.at))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.lower.namespace

    def __str__(self) -> str:
        return f"VLAN device {self.at} (0x{self.tpid:04x} {self.vid} on {self.lower})"


MACSEC_OCTETS = 32
"""What MACsec adds to a frame: SecTAG with SCI, and the check value (IEEE 802.1AE)."""


@dataclass(frozen=True, slots=True)
class Macsec:
    """A MACsec device on a port: it encrypts (GCM-AES-128) what leaves by it and drops what arrives clear.

    It has no keys of its own making: until key agreement (MkaDaemon) has given it some, nothing passes.
    """

    at: Endpoint
    lower: str
    mtu: int
    mac: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("macsec", str(self.at))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.at.namespace

    def __str__(self) -> str:
        return f"MACsec {self.at} on {self.lower}"


@dataclass(frozen=True, slots=True)
class MkaDaemon:
    """Key agreement (MKA, IEEE 802.1X) on a port, with pre-shared keys in hexadecimal digits."""

    at: Endpoint
    ckn: str
    cak: str = field(repr=False)
    priority: int

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("mka", str(self.at))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.at.namespace

    def __str__(self) -> str:
        return f"MACsec key agreement on {self.at}"


@dataclass(frozen=True, slots=True)
class BridgePort:
    """A device is a port of a bridge in the same namespace."""

    at: Endpoint
    bridge: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("bridge-port", str(self.at))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.at.namespace

    def __str__(self) -> str:
        return f"port {self.at} in bridge {self.bridge}"


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A value under /proc/sys/net of one namespace; `name` with slashes, `net/ipv4/ip_forward`."""

    namespace: str
    name: str
    value: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("sysctl", self.namespace, self.name)

    @property
    def device(self) -> str:
        """The device whose value this is; empty for a value of the whole namespace."""
        parts = self.name.split("/")
        if len(parts) == 5 and parts[2] in ("conf", "neigh") and parts[3] not in ("all", "default"):
            return parts[3]
        return ""

    def __str__(self) -> str:
        return f"{self.namespace}: {self.name} = {self.value}"


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
class RateLimit:
    """What leaves by a device is limited by a token bucket; a short queue, then drops (facts 2).

    `kernel` realisation; in the others a VirtualCircuit has its own. rate_bps: bits per second of whole
    frames, a multiple of 8. overhead_octets: what its length still lacks there: tags in metadata, and those
    that lower devices will add.
    """

    at: Endpoint
    rate_bps: int
    overhead_octets: int

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("rate-limit", str(self.at))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.at.namespace

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
class Queues:
    """What leaves by a port is queued by class: strict ones first but policed, the others by their shares."""

    at: Endpoint
    trees: tuple[QueueTree, ...]

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("queues", str(self.at))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.at.namespace

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
class Impairment:
    """What a device sends is harmed on its way, as a bad wire does: by `seed`, the same frames every time.

    delay_ns and jitter_ns: each frame waits delay +- jitter, evenly spread; frames keep their order unless
    reordered. Parts are in millionths of the frames: lost, sent twice, sent at once in front of those that
    wait (reordered). rate_bps: of a wire with this speed, None unlimited. by: our own engine, or netem.
    """

    at: Endpoint
    seed: int
    delay_ns: int = 0
    jitter_ns: int = 0
    loss_ppm: int = 0
    duplicate_ppm: int = 0
    reorder_ppm: int = 0
    rate_bps: int | None = None
    by: Literal["ring", "netem"] = "ring"

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("impairment", str(self.at))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.at.namespace

    def __str__(self) -> str:
        return f"impairment of what {self.at} sends"


@dataclass(frozen=True, slots=True)
class AdminUp:
    """A device is administratively up.

    follows: a device of the same namespace; while that has no carrier, this one is taken down, so that
    whoever is behind it notices, and counts as up (edge.net.monitor.CarrierMirror).
    """

    at: Endpoint
    follows: str = ""

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("up", str(self.at))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.at.namespace

    def __str__(self) -> str:
        return f"{self.at} up"


def followers(rules: Iterable[SubinterfaceTags | AdminUp]) -> Iterator[tuple[Endpoint, Endpoint]]:
    """(device, port whose carrier it follows): inner ends of subinterfaces, and devices that say so."""
    for rule in rules:
        if isinstance(rule, AdminUp):
            if rule.follows:
                yield rule.at, Endpoint(rule.at.namespace, rule.follows)
        elif rule.inner is not None:
            yield rule.inner, rule.port


@dataclass(frozen=True, slots=True)
class DeviceAddress:
    """An address with its prefix length on a device (IPv6 without duplicate address detection)."""

    at: Endpoint
    address: Interface

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("address", str(self.at), str(self.address))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.at.namespace

    def __str__(self) -> str:
        return f"address {self.address} on {self.at}"


@dataclass(frozen=True, slots=True)
class KernelRoute:
    """A static route (rtm_protocol static); several next hops make it multipath. metric: as of
    edge.model.StaticRoute. device: without a next hop, the device on whose link the destination is.
    """

    namespace: str
    destination: Network
    via: tuple[Address, ...] = ()
    metric: int = 0
    device: str = ""

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("route", self.namespace, self._where)

    @property
    def _where(self) -> str:
        return f"{self.destination} metric {self.metric}" if self.metric else str(self.destination)

    def __str__(self) -> str:
        where = f"via {', '.join(map(str, self.via))}" if self.via else f"on {self.device}"
        return f"{self.namespace}: route {self._where} {where}"


@dataclass(frozen=True, slots=True)
class MplsRoute:
    """A static route of labels (rtm_protocol static): `label` gives way to `out`, or to nothing (pop)."""

    namespace: str
    label: int
    out: tuple[int, ...]
    via: IPv4Address
    device: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("mpls-route", self.namespace, str(self.label))

    def __str__(self) -> str:
        what = f"as {'/'.join(map(str, self.out))}" if self.out else "popped"
        return f"{self.namespace}: label {self.label} {what} via {self.via} on {self.device}"


@dataclass(frozen=True, slots=True)
class IpsecTunnel:
    """A route-based IPsec tunnel: what is routed to its device leaves as ESP for the other end (RFC 4303).

    number: of the tunnel in its namespace, from 1; it marks what belongs together. keys: hexadecimal, 16
    octets for AES-128 (or 32 for AES-256) and 4 of salt (RFC 4106 8.1). The other end exchanges in and out.
    Without keys only the device is made: edge.ike agrees on associations for it.
    """

    at: Endpoint
    local: IPv4Address
    remote: IPv4Address
    number: int
    spi_out: int
    spi_in: int
    key_out: str = field(repr=False)
    key_in: str = field(repr=False)
    mtu: int

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("ipsec-tunnel", str(self.at))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.at.namespace

    def __str__(self) -> str:
        return f"IPsec tunnel {self.at} to {self.remote}"


@dataclass(frozen=True, slots=True)
class Ruleset:
    """One nftables table, replaced as a whole; `text` is its body for `nft -f`, without the braces.

    xtables: the same rules for iptables-restore and ip6tables-restore, for kernels without nftables;
    empty when they have no such form.
    """

    namespace: str
    family: Literal["ip", "ip6", "inet"]
    table: str
    text: str
    xtables: str = ""

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("ruleset", self.namespace, self.family, self.table)

    def __str__(self) -> str:
        return f"{self.namespace}: nftables {self.family} {self.table}"


@dataclass(frozen=True, slots=True)
class BirdDaemon:
    """A BIRD in a namespace with this configuration; a change is a soft reconfiguration."""

    namespace: str
    config: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("bird", self.namespace)

    def __str__(self) -> str:
        return f"BIRD in {self.namespace}"


@dataclass(frozen=True, slots=True)
class OwnRouter:
    """A user's own routing software (edge.own.kinds) with the user's configuration; a change starts it anew.

    file: what the user calls the configuration, for messages about its lines.
    """

    namespace: str
    kind: str
    config: str = field(repr=False)
    file: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("own-router", self.namespace)

    def __str__(self) -> str:
        return f"{self.kind} in {self.namespace} with {self.file}"


TIERS: tuple[tuple[type, ...], ...] = (
    (Namespace,),
    (Sysctl,),
    (Veth, Bridge),
    (Macsec, Macvlan, VlanDevice, IpsecTunnel),
    (BridgePort, RateLimit, Queues, Sysctl),
    (AdminUp,),
    (DeviceAddress,),
    (KernelRoute, MplsRoute),
    (Marking,),
    (SubinterfaceTags, VirtualCircuit, Ruleset),
    (Impairment,),
    (MkaDaemon,),
    (IkeDaemon,),
    (BirdDaemon,),
    (OwnRouter,),
)
"""Order of creation: an object needs nothing of a later tier.

Sysctl stands twice: namespace-wide values first, so that devices are born with them, and values of
one device once the device is there.
"""


def tier_of(subject: KernelObject) -> int:
    """Index into TIERS at which an object is created. Raises ValueError for a foreign type."""
    tiers = [index for index, types in enumerate(TIERS) if type(subject) in types]
    if not tiers:
        raise ValueError(f"no tier for {type(subject).__name__}")
    return tiers[-1] if isinstance(subject, Sysctl) and subject.device else tiers[0]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to do: `before` is None for a creation, `after` None for a deletion."""

    before: KernelObject | None
    after: KernelObject | None

    def __post_init__(self) -> None:
        if self.before is None and self.after is None:
            raise ValueError("a change needs a before or an after")

    @property
    def subject(self) -> KernelObject:
        """What it is about: the object as it will be, or as it was when it goes."""
        subject = self.after if self.after is not None else self.before
        assert subject is not None
        return subject

    @property
    def action(self) -> Literal["create", "change", "delete"]:
        """What is done to the subject."""
        if self.before is None:
            return "create"
        return "delete" if self.after is None else "change"

    def inverse(self) -> Change:
        """The change that takes this one back."""
        return Change(before=self.after, after=self.before)

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"
