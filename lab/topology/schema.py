"""What a topology file may say: one pydantic model per object, one line of help per key.

Whatever a key can tell by itself is checked here, by the rules of lab.service; what needs two keys
stands in `rules`. Every key has an effect on the lab or is verified: a key that this version cannot
give an effect is not accepted.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from edge.model import Network
from lab.names.table import CRL, INTERNET_HOSTS
from lab.service import asn
from lab.service.vpn_gateway import CONNECTIONS_MAX, IPV4_ONLY
from lab.topology.check_schema import CheckSpec
from lab.topology.circuit_schema import Circuit
from lab.topology.edges_schema import EdgeRouter
from lab.topology.faults_schema import FaultSpec
from lab.topology.links_schema import LinkImpairments, LinkName
from lab.topology.part import Part
from lab.topology.ports_schema import PortPair
from lab.topology.qos_schema import SiteQos
from lab.topology.site_schema import Ike, InternetEdge
from lab.topology.values import (
    HostAddress,
    InterfacePrefix,
    LabName,
    Name,
    OneOrMany,
    Prefix,
    RegionCode,
    Secret,
    VlanId,
    refuse,
)

MAX_GENERATED_PREFIXES = 20_000
"""Most prefixes one `announce` entry makes; twice the largest limit of the service."""


def _announcement(value: object) -> object:
    return {"prefix": value} if isinstance(value, str) else value


class Announcement(Part):
    """A prefix that the edges announce, or a generator: `count` prefixes of `length` inside it."""

    prefix: Prefix = Field(description="The prefix, or what the generated ones are cut from.")
    count: int | None = Field(default=None, ge=1, le=MAX_GENERATED_PREFIXES, description="How many.")
    length: int | None = Field(default=None, ge=1, le=128, description="Prefix length of each.")
    circuits: list[str] = Field(
        default_factory=list,
        description="Circuits by which it is announced; all of the site when left out.",
        examples=[["lon"]],
    )

    @model_validator(mode="after")
    def _fits(self) -> Announcement:
        if (self.count is None) != (self.length is None):
            refuse("count and length belong together", "write both, for example {count: 4001, length: 28}")
        if self.count is None or self.length is None:
            return self
        if not self.prefix.prefixlen <= self.length <= self.prefix.max_prefixlen:
            refuse(
                f"{self.prefix} cannot be cut into /{self.length}",
                f"write a length of {self.prefix.prefixlen}-{self.prefix.max_prefixlen}",
            )
        room = 1 << (self.length - self.prefix.prefixlen)
        if self.count > room:
            refuse(
                f"{self.prefix} holds {room} prefixes of /{self.length}, not {self.count}",
                "write a longer length or a larger prefix",
            )
        return self


class Override(Part):
    """What a customer's device really has configured where it differs from the order (to practise)."""

    edge: str = Field(description="The customer's edge router.")
    circuit: str = Field(description="The circuit.")
    peering: Literal["private", "microsoft"] = Field(description="The peering.")
    connection: Literal["primary", "secondary"] | None = Field(
        default=None, description="One connection; all of this edge's when left out."
    )
    shared_key: str | None = Field(default=None, max_length=80, description='Another MD5 key; "" for none.')
    vlan: VlanId | None = Field(default=None, description="Another C-tag.")
    s_tag: VlanId | None = Field(default=None, description="Another S-tag.")
    peer_asn: int | None = Field(default=None, description="Another AS number of its own.")
    bfd: bool | None = Field(default=None, description="BFD configured or not.")
    local_preference: int | None = Field(
        default=None,
        ge=0,
        le=0xFFFFFFFF,
        description="Local preference of what is learned here, whatever its AS path; 100 is usual.",
    )

    @field_validator("peer_asn")
    @classmethod
    def _asn(cls, value: int | None) -> int | None:
        if value is not None and asn.kind(value) == "reserved":
            refuse(f"{value} cannot be the AS number of a BGP speaker", "write one of 1-4294967294")
        return value

    @field_validator("shared_key")
    @classmethod
    def _key(cls, value: str | None) -> str | None:
        if value is not None and not (value.isascii() and value.isalnum()) and value:
            refuse("the key may hold letters and digits only", 'write one such as wr0ng, or "" for none')
        return value

    @model_validator(mode="after")
    def _differs(self) -> Override:
        said = (self.shared_key, self.vlan, self.s_tag, self.peer_asn, self.bfd, self.local_preference)
        if all(value is None for value in said):
            refuse("overrides nothing", "add shared_key, vlan, s_tag, peer_asn, bfd or local_preference")
        return self


Hosts = dict[Name, Annotated[list[HostAddress], OneOrMany(), Field(min_length=1)]]


def _policy_alone(value: object) -> object:
    return {"policy": value} if isinstance(value, str) else value


def _or_string(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [{"type": "string"}, *schema["anyOf"]]


def _string_or(schema: dict[str, Any]) -> None:
    schema["items"] = {"anyOf": [{"type": "string"}, schema["items"]]}


class Site(Part):
    """A customer's site: edge routers and hosts on one LAN, with a way to the Internet beside."""

    edge_routers: list[EdgeRouter] = Field(
        default_factory=list,
        alias="edges",
        description="Edge routers: one carries both connections, of two the first is primary and the second "
        "secondary; or a pair for each circuit, in their order. A name alone is a router of the lab's.",
        examples=[["ce1", {"name": "ce2", "router": "frr", "config": "ce2.frr.conf"}]],
        json_schema_extra=_string_or,
    )
    lan: Annotated[list[InterfacePrefix], OneOrMany(), Field(min_length=1)] = Field(
        description="The LAN: an IPv4 prefix, and an IPv6 prefix if wanted.", examples=["10.1.0.0/16"]
    )
    hosts: Hosts = Field(default_factory=dict, description="Hosts on the LAN: name and address(es).")
    circuits: list[str] = Field(default_factory=list, description="Circuits that end at this site.")
    provider_edges: list[Name] = Field(
        default_factory=list,
        description="any-to-any: the provider's PEs that the edges hang on: one for all edges, one for each, "
        "or several for an only edge. Sites that name the same PE share it. PROVIDER-SITE-pe when left out.",
        examples=[["pe-berlin"]],
    )
    internet: bool = Field(
        default=True, description="Give the site an Internet edge that translates addresses."
    )
    announce: list[Annotated[Announcement, BeforeValidator(_announcement)]] = Field(
        default_factory=list,
        description="Prefixes announced on private peerings beside the LAN.",
        examples=[["10.9.0.0/16", {"prefix": "10.64.0.0/10", "count": 4001, "length": 28}]],
        json_schema_extra=_string_or,
    )
    prepend: dict[str, Annotated[int, Field(ge=1, le=10)]] = Field(
        default_factory=dict,
        description="How often the edges put their AS number in front once more, by circuit: all that they "
        "announce there is farther away.",
        examples=[{"ams": 2}],
    )
    internet_edge: InternetEdge | None = Field(
        default=None, description="How the Internet edge translates addresses, if not to its own alone."
    )
    firewall: bool = Field(
        default=False,
        description="Edges and Internet edge let in, from Microsoft peerings and from the Internet, only "
        "what belongs to flows that began at the site, and what is published.",
    )
    overrides: list[Override] = Field(
        default_factory=list, description="What the edges have configured differently from the order."
    )
    qos: Annotated[SiteQos | None, BeforeValidator(_policy_alone)] = Field(
        default=None,
        description="How the edges mark and queue what they send to Microsoft; neither when left out. A "
        "policy alone may stand here.",
        examples=["teams"],
        json_schema_extra=_or_string,
    )

    @property
    def edges(self) -> list[str]:
        """The names of the edge routers, in their order."""
        return [edge.name for edge in self.edge_routers]


class Connection(Part):
    """A link between a virtual network's gateway and a circuit."""

    circuit: str = Field(description="The circuit; it needs a private peering.")
    weight: int = Field(
        default=0, ge=0, le=32000, description="The gateway prefers the highest, before the AS path's length."
    )
    fastpath: bool = Field(
        default=False,
        description="FastPath: what comes from the circuit goes around the gateway, straight to the "
        "machines; needs the largest gateways.",
    )


Oversize = Literal["icmp", "silent"]
"""What a gateway says about a packet above 1,400 octets. The facts (10.1) are silent about that."""


class Vpn(Part):
    """A site-to-site IPsec VPN beside the ExpressRoute gateway: the way when no circuit carries."""

    site: str = Field(description="The site whose Internet edge has the other end.")
    key: str | None = Field(
        default=None,
        min_length=8,
        max_length=128,
        description="Manual keys: the key from which both directions' keys are made. This or `ike`.",
    )
    ike: Ike | None = Field(
        default=None, description="Negotiated keys: strongSwan speaks IKEv2 at both ends. This or `key`."
    )
    announce: list[Prefix] = Field(
        default_factory=list,
        description="IPv4 that the site announces in the tunnel; as on circuits when left out. Longer "
        "prefixes than on circuits lead Azure into the tunnel.",
        examples=[["10.1.0.0/17"]],
    )

    @field_validator("announce")
    @classmethod
    def _v4(cls, value: list[Network]) -> list[Network]:
        for one in value:
            if one.version != 4:
                refuse(f"{one} is not IPv4", IPV4_ONLY)
        return value

    @model_validator(mode="after")
    def _one_kind_of_keys(self) -> Vpn:
        if (self.key is None) == (self.ike is None):
            refuse(
                "a tunnel has either a key or ike",
                "write ike: {shared_key: s3cretOfTheTunnel} for negotiated keys, key: s3cretOfTheTunnel for "
                "manual ones",
            )
        return self


class Vnet(Part):
    """A virtual network with an ExpressRoute gateway."""

    region: RegionCode = Field(description="Azure region.", examples=["westeurope"])
    address_space: Annotated[list[InterfacePrefix], OneOrMany(), Field(min_length=1)] = Field(
        description="Prefixes of the network, announced as they stand.", examples=[["10.50.0.0/16"]]
    )
    gateway: Literal["Standard", "HighPerformance", "UltraPerformance", "ErGw1AZ", "ErGw2AZ", "ErGw3AZ"] = (
        Field(
            default="ErGw1AZ", description="Gateway SKU; how many circuits it joins and how much it passes."
        )
    )
    gateway_subnet: (
        Annotated[list[InterfacePrefix], OneOrMany(), Field(min_length=1, max_length=2)] | None
    ) = Field(
        default=None, description="GatewaySubnet; the last /27 (and /64) of the address space when left out."
    )
    oversize: Oversize = Field(
        default="icmp",
        description="Packets above 1,400 octets, which the gateway does not pass: icmp tells their senders "
        "(path MTU discovery works), silent does not (a black hole). FastPath goes around both.",
    )
    connections: list[Connection] = Field(default_factory=list, description="Circuits that it joins.")
    vpn: Annotated[list[Vpn], OneOrMany(), Field(max_length=CONNECTIONS_MAX)] = Field(
        default_factory=list,
        description="A VPN gateway with a tunnel to a site, or to each of several; needs a kernel with ESP "
        "and VTI.",
        examples=[{"site": "hq", "ike": {"shared_key": "s3cretOfTheTunnel"}}],
    )
    vpn_active_active: bool = Field(
        default=False,
        description="The VPN gateway has two instances at work, each with a tunnel of its own to every site.",
    )
    hosts: Hosts = Field(default_factory=dict, description="Virtual machines: name and address(es).")


def _default_hosts(names: bool = False) -> dict[str, list[str]]:
    return {name: [at] for name, at in INTERNET_HOSTS.items() if names or name != CRL}


class Internet(Part):
    """The Internet beside the circuits."""

    hosts: Hosts = Field(
        default_factory=dict,
        description="Hosts on the Internet: name and public IPv4 address. When left out: dns 192.0.2.53 and "
        "cdn 192.0.2.80, with names also crl 192.0.2.84.",
    )
    names: bool = Field(
        default=False,
        description="Services have names: the Internet's host dns resolves them for all nodes, front ends "
        "answer HTTPS with certificates of the lab's own authority, whose revocation list lies on crl. Needs "
        "the packages dnsmasq-base, nginx-light and openssl.",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_hosts(cls, data: Any) -> Any:
        if isinstance(data, dict) and "hosts" not in data:
            return {**data, "hosts": _default_hosts(data.get("names") is True)}
        return data

    @model_validator(mode="after")
    def _has_hosts_for_names(self) -> Internet:
        missing = [name for name in INTERNET_HOSTS if name not in self.hosts] if self.names else []
        if missing:
            more = ", ".join(f"{name}: {INTERNET_HOSTS[name]}" for name in missing)
            refuse(f"names need the Internet's host {' and '.join(missing)}", f"add hosts: {{{more}}}")
        return self


def _default_internet() -> Internet:
    return Internet.model_validate({})


class Topology(Part):
    """A lab: circuits, the sites and virtual networks that they join, and what must hold."""

    name: LabName = Field(
        description="The lab's name: letters, digits, dashes, at most 32.", examples=["contoso"]
    )
    strict: bool = Field(
        default=False, description="true: refuse private and documentation numbers on Microsoft peerings."
    )
    ports: dict[Name, PortPair] = Field(
        default_factory=dict, description="ExpressRoute Direct port pairs by name."
    )
    secrets: dict[str, Secret] = Field(
        default_factory=dict,
        description="The key vault: secrets by name, in hexadecimal digits, for MACsec.",
        examples=[{"pair1-ckn": "1000", "pair1-cak": "00112233445566778899aabbccddeeff"}],
    )
    circuits: dict[Name, Circuit] = Field(description="ExpressRoute circuits by name.")
    sites: dict[Name, Site] = Field(description="The customer's sites by name.")
    vnets: dict[Name, Vnet] = Field(default_factory=dict, description="Virtual networks by name.")
    internet: Internet = Field(default_factory=_default_internet, description="Hosts on the Internet.")
    links: dict[LinkName, LinkImpairments] = Field(
        default_factory=dict,
        description="Links that carry frames badly, by their names in `edgelab inspect`; a list of two "
        "gives each direction its own.",
        examples=[{"ams-primary": {"delay": "20ms", "loss": "0.5%"}}],
    )
    core: Literal["auto", "mpls", "vrf"] = Field(
        default="auto",
        description="How a provider's core tells the customers of any-to-any circuits apart. mpls: by "
        "labels, its P routers know no customer. vrf: by a tag for each customer and a VRF at each hop. "
        "auto: mpls where the kernel routes it.",
    )
    faults: list[FaultSpec] = Field(
        default_factory=list,
        description="What goes wrong, and when: the script of `edgelab fault script`.",
    )
    checks: list[CheckSpec] = Field(default_factory=list, description="What `edgelab check` proves.")


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a topology file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Topology.model_json_schema(),
        "title": "edgelab topology",
    }
