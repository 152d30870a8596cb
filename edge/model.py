"""The router as data: read this first. A Router has ports; VRFs have subinterfaces and sessions.

A *VRF* is one Linux network namespace with its own BIRD, so two VRFs of one router may use the same
addresses. The router's own namespace holds its ports (the "line card"); a VRF either lives there
(a CE has one VRF, its main one) or in a namespace of its own (an MSEE has one per circuit and
peering). A *subinterface* carries one peering: the frames on its port that bear its tags.

Everything here is frozen and pure: no name below opens a socket or starts a process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    # edge.qos.model is built on the addresses of this module.
    from edge.qos.model import Policy, TrafficClass, Treatment

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network
Community = tuple[int, int]

ETHERTYPE_DOT1Q = 0x8100
ETHERTYPE_DOT1AD = 0x88A8
TAG_ETHERTYPES = (ETHERTYPE_DOT1Q, ETHERTYPE_DOT1AD)

MSEE_ASN = 12076
"""AS number of Microsoft's edge on every peering (facts 3.2)."""

GATEWAY_ASN = 65515
"""AS number of an ExpressRoute virtual network gateway (facts 3.2)."""

TRUNK_MTU = 1508
"""Octets of payload a trunk carries: a 1500-octet packet inside two tags of 4 octets each."""

IP_MTU = 1500
"""Octets of an IP packet on a peering (facts 1.3, "Port MTU 1500")."""


@dataclass(frozen=True, slots=True, order=True)
class Tag:
    """One VLAN tag: vid 1..4094 and the ethertype (TPID) that announces it."""

    vid: int
    tpid: int = ETHERTYPE_DOT1Q

    def __post_init__(self) -> None:
        if not 1 <= self.vid <= 4094:
            raise ValueError(f"VLAN id {self.vid} is outside 1-4094 (IEEE 802.1Q)")
        if self.tpid not in TAG_ETHERTYPES:
            raise ValueError(f"ethertype 0x{self.tpid:04x} does not announce a VLAN tag")

    def __str__(self) -> str:
        return f"{self.vid}" if self.tpid == ETHERTYPE_DOT1Q else f"0x{self.tpid:04x}:{self.vid}"


TagStack = tuple[Tag, ...]
"""Tags as they stand in the frame, outermost (S-tag) first; empty for an untagged frame."""


@dataclass(frozen=True, slots=True)
class Bfd:
    """BFD parameters asked for; the slower side wins (RFC 5880 6.8.7, facts 4)."""

    interval_ms: int = 300
    multiplier: int = 3


@dataclass(frozen=True, slots=True)
class Timers:
    """BGP timers in seconds. Defaults are Microsoft's 60/180 (facts 4).

    connect_delay_s and error_wait_s are not negotiated: they say how soon this end tries (again).
    error_wait_s is the first and the longest pause after an error.
    """

    keepalive_s: int = 60
    hold_s: int = 180
    connect_delay_s: int = 1
    connect_retry_s: int = 2
    error_wait_s: tuple[int, int] = (1, 8)


@dataclass(frozen=True, slots=True)
class PrefixLimit:
    """Most prefixes one session may bring in. Above it the session is dropped and tried again."""

    count: int
    retry_s: int = 5


@dataclass(frozen=True, slots=True)
class ImportPolicy:
    """What a session accepts.

    prefixes: only these and longer ones inside them; None accepts any.
    refuse: networks refused together with everything inside them; the default route is refused
        by `refuse_default`, since every route lies inside 0.0.0.0/0.
    ignore_communities: forget what the neighbour attached (facts 3.3).
    strip_private_asns: take private AS numbers out of the received path (facts 3.2).
    """

    prefixes: tuple[Network, ...] | None = None
    refuse: tuple[Network, ...] = ()
    refuse_default: bool = False
    ignore_communities: bool = False
    strip_private_asns: bool = False
    local_pref: int | None = None
    limit: PrefixLimit | None = None


@dataclass(frozen=True, slots=True)
class ExportPolicy:
    """What a session announces.

    originated: the VRF's own `originates`.
    networks: of those, only these exact prefixes go out by this session; None lets all. A CE with both
        peerings in one VRF announces its LAN on one and its NAT pool on the other (facts 3.3, 5).
    groups: routes learned from sessions of these groups (see Session.group).
    communities: a route filter - only routes that carry one of these; None lets all pass, an empty
        tuple none. Applies to learned routes only.
    empty_private_path: when every AS number of the path is private, announce with our own alone
        (facts 3.2: on-premises sees exactly `12076`).
    prepend: how many extra times our own AS number is put in front.
    within: of the routes of a group only exactly these networks; a group that is not named gives all.
    keep_private: groups whose paths `empty_private_path` leaves alone.
    attach: communities that the routes of exactly the networks `attach_to` get beside those that they have.
    """

    originated: bool = True
    groups: tuple[str, ...] = ()
    communities: tuple[Community, ...] | None = None
    empty_private_path: bool = False
    prepend: int = 0
    networks: tuple[Network, ...] | None = None
    attach: tuple[Community, ...] = ()
    attach_to: tuple[Network, ...] = ()
    within: tuple[tuple[str, tuple[Network, ...]], ...] = ()
    keep_private: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """One BGP session of one address family: neighbour and local address are of that family.

    name: unique inside the VRF, letters, digits and underscore only (it names a BIRD protocol).
    group: what kind of neighbour this is: "customer", "microsoft", "gateway", "core", "mesh".
    interface: device the neighbour is reached by (BFD and link-state watch it).
    local_asn == peer_asn makes it iBGP. password: TCP MD5 key (RFC 2385).
    enabled: False keeps the session configured but shut, as a disabled peering is.
    allow_own_as: take routes with our own AS number in the path, once (facts 3.2: Azure's gateways seem to).
    client: of an iBGP session: what it brings is reflected to the others, and theirs to it (RFC 4456).
    multihop: the neighbour is routers away, on a way that the table knows (`Vrf.paths`); so is the next hop.
    """

    name: str
    group: str
    interface: str
    local: Address
    neighbor: Address
    local_asn: int
    peer_asn: int
    imports: ImportPolicy = ImportPolicy()
    exports: ExportPolicy = ExportPolicy()
    password: str | None = field(default=None, repr=False)
    bfd: Bfd | None = None
    timers: Timers = Timers()
    next_hop_self: bool = False
    enabled: bool = True
    allow_own_as: bool = False
    client: bool = False
    multihop: bool = False

    @property
    def family(self) -> Literal[4, 6]:
        """IP version of the neighbour and so of the routes the session carries."""
        return 4 if self.neighbor.version == 4 else 6


@dataclass(frozen=True, slots=True)
class Originate:
    """A prefix the VRF announces as its own, with the communities it carries."""

    network: Network
    communities: tuple[Community, ...] = ()


@dataclass(frozen=True, slots=True)
class Qos:
    """What happens to the packets that a subinterface sends.

    towards: the direction in the policy's words, `out` towards Microsoft. tree: number of the PortQueues
    that they are steered into; None where the subinterface is in another namespace than its port, since a
    queue is named by a mark of the packet that the kernel clears on that way (facts, fast path 1.6).
    """

    policy: Policy
    towards: Literal["out", "in"]
    treatment: Treatment
    tree: int | None = None


@dataclass(frozen=True, slots=True)
class Steering:
    """By which policy a port steers the frames of one peering: those whose next tag is `inner`.

    None where the outer tag is the only one.
    """

    inner: Tag | None
    policy: Policy


@dataclass(frozen=True, slots=True)
class PortQueues:
    """Queues of one circuit on a port: number from 0, bits per second of whole frames, a queue per class.

    outer, steering: frames under this outer tag are steered at the port, those of each peering by its own
    policy; none where the subinterfaces steer.
    """

    number: int
    rate_bps: int
    classes: tuple[TrafficClass, ...]
    outer: Tag | None = None
    steering: tuple[Steering, ...] = ()


@dataclass(frozen=True, slots=True)
class PortMacsec:
    """MACsec on a port (facts 9): the wire below it, and the pre-shared keys in hexadecimal digits.

    priority: of two ends the one with the smaller number hands out the session keys.
    """

    wire: str
    ckn: str
    cak: str = field(repr=False)
    priority: int = 16


@dataclass(frozen=True, slots=True)
class Port:
    """A physical port: a network device in the router's namespace that carries tagged frames.

    macsec: the device is one that encrypts, on a wire below.
    """

    name: str
    mtu: int = TRUNK_MTU
    queues: tuple[PortQueues, ...] = ()
    macsec: PortMacsec | None = None


@dataclass(frozen=True, slots=True)
class Subinterface:
    """A tagged interface of a VRF on one of the router's ports.

    qos: of what it sends. unknown_dscp: an MSEE's knob for what it receives with a DSCP that the service
    does not know (facts 6.1); None for a router that is none.
    """

    name: str
    port: str
    tags: TagStack
    addresses: tuple[Interface, ...]
    mtu: int = IP_MTU
    mac: str = ""
    qos: Qos | None = None
    unknown_dscp: Literal["pass", "remark", "drop"] | None = None


@dataclass(frozen=True, slots=True)
class PlainInterface:
    """An untagged interface of a VRF (a LAN, a link inside Microsoft); its device exists already.

    lower: the device that exists, where the interface is another one over it, which takes whatever the
    wire carries and sends no packet longer than `mtu`. Empty: the device itself, with the wire's MTU.
    """

    name: str
    addresses: tuple[Interface, ...]
    mtu: int = IP_MTU
    lower: str = ""


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """A route in the kernel that no protocol brought; several next hops make it ECMP.

    metric: of routes to one destination the lowest is used; 0 goes before any other route.
    device: without a next hop, the device on whose link the destination is.
    """

    destination: Network
    via: tuple[Address, ...] = ()
    metric: int = 0
    device: str = ""


@dataclass(frozen=True, slots=True)
class LabelPath:
    """A label-switched path: packets to `destination` leave under `labels` (MPLS, RFC 3032).

    labels: outermost first; via: the neighbour that knows the outermost.
    """

    destination: Network
    labels: tuple[int, ...]
    via: Address


@dataclass(frozen=True, slots=True)
class LabelRoute:
    """What a router does with frames whose outermost label is `label`: others in its place, or none (pop).

    Packets without a label left are given to `via` as they are: it is a VRF. via is IPv4 whatever they are.
    """

    label: int
    out: tuple[int, ...]
    via: IPv4Address
    device: str


@dataclass(frozen=True, slots=True)
class VrfPort:
    """Where a label-switching router meets one of its VRFs: a wire from its namespace into the VRF's."""

    device: str
    namespace: str
    vrf_device: str
    addresses: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class LabelSwitch:
    """The part of a router that knows labels and no customer. interfaces: its ports, with their addresses."""

    interfaces: tuple[PlainInterface, ...]
    routes: tuple[LabelRoute, ...]
    vrfs: tuple[VrfPort, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceNat:
    """Sources inside `inside` that leave by `interface` take an address of `pool` (facts 5).

    ports: the first and the last port that TCP and UDP may take; None leaves the choice to the kernel.
    """

    interface: str
    inside: tuple[IPv4Network, ...]
    pool: IPv4Network | IPv4Address
    ports: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class SourceFilter:
    """Packets that come in by `interface` pass only with a source in `allowed` (facts 3.4).

    The neighbour's own link addresses always pass, or BGP and BFD would not.
    """

    interface: str
    allowed: tuple[Network, ...]


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """What comes in by `interface` for a port of `outside` goes on to the same port of `inside` (facts 5).

    source: the caller's address becomes this one, the router's own towards `inside`, so that answers come
    back here whatever other ways there are; None leaves it.
    """

    interface: str
    outside: IPv4Address
    protocol: Literal["tcp", "udp"]
    port: int
    inside: IPv4Address
    source: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class StatefulFilter:
    """What comes in by `interface` passes only in a flow that began elsewhere, or to a PublishedPort.

    Address families alike; packets to the router itself (BGP, BFD) are not asked.
    """

    interface: str


@dataclass(frozen=True, slots=True)
class RateCap:
    """Of the packets passed on by `interface` those above rate_bps (bits per second of IP) are dropped.

    The router's own packets are neither counted nor dropped, so its sessions survive (facts 10.3).
    packets_per_s: those above it are dropped, too; None: as many as come. counted: the name of the counter of
    what the rate dropped; with `_packets` behind it that of what the other limit dropped.
    """

    interface: str
    rate_bps: int
    packets_per_s: int | None = None
    counted: str = "capped"


@dataclass(frozen=True, slots=True)
class OwnRouting:
    """Routing software of the user's, and what it is configured to do. kind: see edge.own.kinds.

    file: what the user calls the configuration.
    """

    kind: str
    config: str = field(repr=False)
    file: str


@dataclass(frozen=True, slots=True)
class IkeOffers:
    """What an end of a tunnel proposes and accepts, the best first, in strongSwan's words.

    Lives are of keys: of the IKE association, and of those of a tunnel in seconds and octets. dead_peer_s:
    after so many seconds without an answer the other end counts as dead.
    """

    ike: tuple[str, ...]
    esp: tuple[str, ...]
    ike_life_s: int
    life_s: int
    life_octets: int
    dead_peer_s: int


@dataclass(frozen=True, slots=True)
class KeyExchange:
    """A tunnel's keys are negotiated by IKEv2 with a pre-shared key (RFC 7296). initiates: unasked."""

    shared_key: str = field(repr=False)
    initiates: bool
    offers: IkeOffers


@dataclass(frozen=True, slots=True)
class IpsecTunnel:
    """The end of a route-based IPsec tunnel: what is routed to the device `name` leaves as ESP (RFC 4303).

    The device's addresses stand in a PlainInterface of that name. With an `exchange` there are no numbers and
    keys (0 and empty). The rest is as in edge.net.objects.devices.
    """

    name: str
    local: IPv4Address
    remote: IPv4Address
    number: int
    spi_out: int
    spi_in: int
    key_out: str = field(repr=False)
    key_in: str = field(repr=False)
    mtu: int
    exchange: KeyExchange | None = None


@dataclass(frozen=True, slots=True)
class NoFragments:
    """A VRF that forwards no fragments and makes none, as a virtual network gateway does (facts 10.1).

    longest: octets of the longest packet that passes; the MTU of the interfaces keeps to it. An IPv4 packet
    above it that routers may fragment is dropped. tell: the senders of others above it are told by ICMP, so
    that path MTU discovery works (RFC 1191, RFC 8201); False keeps silent, which makes a black hole.
    """

    longest: int
    tell: bool = True


@dataclass(frozen=True, slots=True)
class Vrf:
    """One routing domain: a namespace, its interfaces, its BGP sessions and their policies.

    own: who speaks BGP here instead of our BIRD. `sessions` are then those that its configuration should
    have: they are looked for, not made; `originates` and policies say nothing.
    """

    name: str
    namespace: str
    router_id: IPv4Address
    subinterfaces: tuple[Subinterface, ...] = ()
    interfaces: tuple[PlainInterface, ...] = ()
    sessions: tuple[Session, ...] = ()
    originates: tuple[Originate, ...] = ()
    routes: tuple[StaticRoute, ...] = ()
    nat: tuple[SourceNat, ...] = ()
    source_filters: tuple[SourceFilter, ...] = ()
    published: tuple[PublishedPort, ...] = ()
    firewalls: tuple[StatefulFilter, ...] = ()
    rate_caps: tuple[RateCap, ...] = ()
    no_fragments: NoFragments | None = None
    tunnels: tuple[IpsecTunnel, ...] = ()
    ecmp_paths: int = 4
    paths: tuple[LabelPath, ...] = ()
    own: OwnRouting | None = None


@dataclass(frozen=True, slots=True)
class Router:
    """A router: its namespace with the ports, and its VRFs (one of them may share the namespace).

    labels: of a router in an MPLS core, which switches frames between its ports and VRFs by label.
    """

    name: str
    namespace: str
    ports: tuple[Port, ...] = ()
    vrfs: tuple[Vrf, ...] = ()
    labels: LabelSwitch | None = None

    def wire(self, port: str) -> str:
        """The device that a port's frames pass on the wire: the port, or what is below it with MACsec."""
        found = next((one.macsec for one in self.ports if one.name == port), None)
        return found.wire if found is not None else port
