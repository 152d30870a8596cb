"""The derived lab as data: everything a topology file means, nothing about how it is made. Pure.

`lab.topology` makes one of these from a file; `lab.compile` turns it into kernel objects;
`inspect`, `check`, `capture` and `graph` read names and meaning from it. A *node* is one router, host
or switch; its namespaces are listed with it. The order of all tuples is the order of the file, and
every derived number (MAC, link address, AS) depends on names alone, so that adding one thing never
renumbers another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from edge.model import (
    Address,
    Community,
    Interface,
    Network,
    PortMacsec,
    Router,
    StaticRoute,
    TagStack,
)
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import Impairment, VirtualCircuit
from lab.check_model import (
    BudgetCheck,
    CommunitiesCheck,
    FlowCheck,
    NeverCheck,
    OutageCheck,
    QueueCheck,
    RoutesCheck,
    ThroughputCheck,
)

if TYPE_CHECKING:
    from lab.faults.model import Active
    from lab.faults.schedule import Scripted
    from lab.names.plan import Names
    from lab.service.state import State

NodeKind = Literal[
    "ce", "internet-edge", "host", "switch", "provider", "pe", "p", "msee", "gateway", "core", "internet"
]
Tier = Literal["site", "provider", "edge", "cloud", "internet"]
ConnectionName = Literal["primary", "secondary"]
PeeringName = Literal["private", "microsoft"]


@dataclass(frozen=True, slots=True)
class HostInterface:
    """An untagged interface of a host."""

    name: str
    addresses: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class Host:
    """An end system: one namespace, static routes, forwarding off."""

    name: str
    namespace: str
    interfaces: tuple[HostInterface, ...]
    routes: tuple[StaticRoute, ...] = ()


@dataclass(frozen=True, slots=True)
class Switch:
    """A namespace with bridges, each a LAN: (bridge name, its port devices)."""

    name: str
    namespace: str
    bridges: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Fabric:
    """A provider's switching fabric, or an MSEE's port on Direct: ports joined by virtual circuits.

    Nothing else is switched. ports: those that are up. follows: (port, other port) whose carrier the
    first one has as its administrative state; two may follow each other. macsec: of ports, by their names.
    """

    name: str
    namespace: str
    ports: tuple[str, ...]
    circuits: tuple[VirtualCircuit, ...]
    follows: tuple[tuple[str, str], ...] = ()
    macsec: tuple[tuple[str, PortMacsec], ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """What a person calls a box: its name, what it is, where it stands, its namespaces."""

    name: str
    kind: NodeKind
    tier: Tier
    namespaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A wire between two devices. `name` is what `capture` and `fault` take.

    trunk: it carries tagged frames and has the trunk's MTU. macsec: it has room for what encryption adds.
    circuit and connection say whose wire it is; they are empty on a LAN, on links inside Microsoft and on a
    trunk shared by circuits.
    """

    name: str
    a: Endpoint
    b: Endpoint
    trunk: bool = False
    circuit: str = ""
    connection: ConnectionName | Literal[""] = ""
    macsec: bool = False


@dataclass(frozen=True, slots=True)
class LinkImpairment:
    """A link harms what travels over it towards a node; `impairment` is at the device that sends it."""

    link: str
    towards: str
    impairment: Impairment


@dataclass(frozen=True, slots=True)
class PeeringEnd:
    """One end of a peering on one connection, to label sessions, tags and hops for people."""

    circuit: str
    peering: PeeringName
    connection: ConnectionName
    node: str
    namespace: str
    device: str
    side: Literal["customer", "microsoft"]
    tags: TagStack
    addresses: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class Peering:
    """A peering as ordered: the C-tag, the customer's AS number, what may be announced."""

    name: PeeringName
    vlan: int
    peer_asn: int
    subnets: tuple[Network, ...]
    bfd: bool
    advertised_public_prefixes: tuple[Network, ...] = ()
    route_filter: tuple[Community, ...] = ()


@dataclass(frozen=True, slots=True)
class Circuit:
    """A circuit as ordered."""

    name: str
    model: str
    provider: str
    location: str
    tier: str
    family: str
    bandwidth_bps: int
    s_tag: int
    peerings: tuple[Peering, ...]


@dataclass(frozen=True, slots=True)
class PingCheck:
    """`source` gets `count` echo replies from `target` (a node's name or an address)."""

    source: str
    target: str
    family: Literal[4, 6] = 4
    count: int = 3


@dataclass(frozen=True, slots=True)
class PathCheck:
    """Packets from `source` to `target` pass `via`: a circuit's name, or "internet".

    peering and hop narrow it: the peering crossed, and a node that must be on the path. protocol and
    port say which packets ask (a path may depend on them). dscp: (class, DSCP) that packets of the class
    have on the circuit's cross-connection, both ways.
    """

    source: str
    target: str
    via: str
    peering: PeeringName | Literal[""] = ""
    hop: str = ""
    family: Literal[4, 6] = 4
    protocol: Literal["udp", "icmp"] = "udp"
    port: int = 33434
    dscp: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class SessionsCheck:
    """All sessions that match (empty fields match all) are in `state`, for at least uptime_s seconds."""

    circuit: str = ""
    peering: PeeringName | Literal[""] = ""
    connection: ConnectionName | Literal[""] = ""
    state: Literal["established", "down"] = "established"
    uptime_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RouteCheck:
    """Node `node` has (or has not) the prefix, with this AS path and at least these communities."""

    node: str
    prefix: Network
    present: bool = True
    as_path: tuple[int, ...] | None = None
    communities: tuple[Community, ...] = ()


@dataclass(frozen=True, slots=True)
class FrameCheck:
    """A frame with exactly these tags (VLAN ids, outermost first) and this protocol is on the link.

    tpids: the tags' ethertypes, dscp: its IP header's mark; None asks for neither.
    """

    link: str
    tags: tuple[int, ...]
    protocol: Literal["any", "arp", "bgp", "bfd", "icmp", "icmp6"] = "any"
    tpids: tuple[int, ...] | None = None
    dscp: int | None = None


@dataclass(frozen=True, slots=True)
class NameCheck:
    """A node's nameserver knows `name` (or does not), and the question travels `via` (empty: any way)."""

    source: str
    name: str
    via: str = ""
    family: Literal[4, 6] = 4
    present: bool = True


@dataclass(frozen=True, slots=True)
class HttpsCheck:
    """`host` resolves at `source` and answers HTTPS with a certificate of the lab's authority.

    via and peering: the way to it, as in a PathCheck; empty for any. revocation: the list that the
    certificate names can be fetched, and does not list it.
    """

    source: str
    host: str
    via: str = ""
    peering: PeeringName | Literal[""] = ""
    family: Literal[4, 6] = 4
    revocation: bool = False


Check = (
    PingCheck
    | PathCheck
    | SessionsCheck
    | RouteCheck
    | FrameCheck
    | NameCheck
    | HttpsCheck
    | BudgetCheck
    | FlowCheck
    | NeverCheck
    | QueueCheck
    | ThroughputCheck
    | OutageCheck
    | RoutesCheck
    | CommunitiesCheck
)


@dataclass(frozen=True, slots=True)
class LabModel:
    """A whole lab.

    document: the validated topology as plain JSON data. state: the service's State, which the document's
    orders lead to and which commands change afterwards. All else follows from the two
    (`lab.topology.derive`).
    script: faults that `edgelab fault script` lets happen, each at its time.
    faults: what goes wrong in the running lab. `lab.faults.faulted` makes of it the model as it is harmed:
    down: devices that are shut; halted: namespaces of routers that pass nothing on.
    """

    name: str
    nodes: tuple[Node, ...]
    routers: tuple[Router, ...]
    hosts: tuple[Host, ...]
    switches: tuple[Switch, ...]
    fabrics: tuple[Fabric, ...]
    links: tuple[Link, ...]
    circuits: tuple[Circuit, ...]
    peering_ends: tuple[PeeringEnd, ...]
    checks: tuple[Check, ...]
    document: dict[str, Any] = field(repr=False, compare=False)
    state: State = field(repr=False, compare=False)
    impairments: tuple[LinkImpairment, ...] = ()
    names: Names | None = None
    script: tuple[Scripted, ...] = ()
    faults: tuple[Active, ...] = ()
    down: tuple[Endpoint, ...] = ()
    halted: tuple[str, ...] = ()

    def node(self, name: str) -> Node | None:
        """The node of that name, or None."""
        return next((node for node in self.nodes if node.name == name), None)

    def host_addresses(self) -> dict[str, tuple[Address, ...]]:
        """Host name -> its addresses, in the order of the file."""
        return {
            host.name: tuple(a.ip for interface in host.interfaces for a in interface.addresses)
            for host in self.hosts
        }
