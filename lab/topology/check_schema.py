"""What the file may say about a check."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    Discriminator,
    Field,
    PlainValidator,
    Strict,
    Tag,
    WithJsonSchema,
    model_validator,
)

from lab.topology.pair_check_schema import (
    BudgetCheckSpec,
    FlowCheckSpec,
    NeverCheckSpec,
    OutageCheckSpec,
    QueueCheckSpec,
    ThroughputCheckSpec,
)
from lab.topology.part import Part
from lab.topology.qos_schema import ClassName
from lab.topology.set_check_schema import CommunitiesCheckSpec, RoutesCheckSpec
from lab.topology.values import CommunityText, Ethertype, Prefix, VlanId, refuse, show

CHECK_KINDS = (
    *("ping", "path", "sessions", "route", "frame", "name", "https", "budget", "flow", "never", "queue"),
    *("throughput", "outage", "routes", "communities"),
)
"""The key that names a check's kind. Where a check has several of them, the first here is its kind."""

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})+", re.IGNORECASE | re.ASCII)
_SCHEME = "https://"


def _host_name(value: str) -> str:
    if not _HOST_NAME.fullmatch(value):
        refuse(f"{value!r} is no host name", "write one such as teams.microsoft.com")
    return value


def _url(value: str) -> str:
    if not value.startswith(_SCHEME) or not _HOST_NAME.fullmatch(value.removeprefix(_SCHEME).rstrip("/")):
        refuse(f"{value!r} is no URL of a front end", "write one such as https://teams.microsoft.com")
    return value


HostName = Annotated[str, AfterValidator(_host_name)]
Url = Annotated[str, AfterValidator(_url)]


_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


def seconds(text: str) -> int:
    """An Uptime in seconds."""
    found = re.fullmatch(r"([0-9]{1,6})([a-z]+)", text)
    return int(found[1]) * _SECONDS[found[2]] if found else 0


def _uptime(value: object) -> str:
    text = value.replace(" ", "") if isinstance(value, str) else ""
    if not re.fullmatch(rf"[0-9]{{1,6}}({'|'.join(_SECONDS)})", text):
        if isinstance(value, int) and not isinstance(value, bool):
            refuse(f"{show(value)} has no unit", f"write {show(value)}s, or min, h or d")
        refuse(f"{show(value)} is no time that a session can be up", "write one such as 30s, 5min or 2h")
    return text


Uptime = Annotated[
    str,
    PlainValidator(_uptime),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+ ?(s|min|h|d)$", "examples": ["30s", "2h"]}),
]


def host_of(url: str) -> str:
    """The host name of a Url."""
    return url.removeprefix(_SCHEME).rstrip("/")


class PingCheckSpec(Part):
    """The first answers the second's echo requests: [source, target]."""

    ping: Annotated[tuple[str, str], Strict(False)] = Field(
        description="[source host, target host or address]"
    )
    family: Literal[4, 6] = Field(default=4, description="IP version.")
    count: int = Field(default=3, ge=1, le=100, description="Echo requests, all to be answered.")


class PathCheckSpec(Part):
    """Packets from the first to the second pass a circuit or the Internet."""

    path: Annotated[tuple[str, str], Strict(False)] = Field(
        description="[source host, target host or address]"
    )
    via: str = Field(description="A circuit's name, or internet.")
    peering: Literal["private", "microsoft"] | None = Field(default=None, description="The peering crossed.")
    hop: str | None = Field(default=None, description="A node that must be on the path.")
    family: Literal[4, 6] = Field(default=4, description="IP version.")
    protocol: Literal["udp", "icmp"] = Field(default="udp", description="Which packets ask the way.")
    port: int = Field(default=33434, ge=1, le=65535, description="UDP destination port.")
    dscp: dict[ClassName, Annotated[int, Field(ge=0, le=63)]] = Field(
        default_factory=dict,
        description="Class and the DSCP that its packets have on the circuit's cross-connection, both ways; "
        "each goes through the queue of its class.",
        examples=[{"voice": 46}],
    )


class SessionsCheckSpec(Part):
    """All BGP sessions that match are in this state."""

    sessions: str = Field(description="A circuit's name, or all.")
    peering: Literal["private", "microsoft"] | None = Field(default=None, description="Of this peering only.")
    connection: Literal["primary", "secondary"] | None = Field(
        default=None, description="Of this connection only."
    )
    state: Literal["established", "down"] = Field(
        default="established", description="down: none of them is established."
    )
    uptime: Uptime | None = Field(
        default=None, description="They have been established for so long.", examples=["10s"]
    )

    @model_validator(mode="after")
    def _fits(self) -> SessionsCheckSpec:
        if self.uptime is not None and self.state == "down":
            refuse("sessions that are down have no uptime", "take uptime or state: down out")
        return self


class RouteCheckSpec(Part):
    """A router has (or has not) a route."""

    route: Annotated[tuple[str, Prefix], Strict(False)] = Field(description="[router, prefix]")
    present: bool = Field(default=True, description="false: the route must not be there.")
    as_path: list[int] | None = Field(default=None, description="The exact AS path.")
    communities: list[CommunityText] = Field(
        default_factory=list, description="Communities it carries at least."
    )


class FrameCheckSpec(Part):
    """A frame with exactly these tags is seen on a link."""

    frame: str = Field(description="A link's name, for example ams-primary.")
    tags: Annotated[list[VlanId], Field(max_length=2)] = Field(description="VLAN ids, outermost first.")
    protocol: Literal["any", "arp", "bgp", "bfd", "icmp", "icmp6"] = Field(
        default="any", description="What the frame carries."
    )
    ethertypes: Annotated[list[Ethertype], Field(max_length=2)] | None = Field(
        default=None,
        description="Ethertypes of the tags, as they are on the wire; any when left out.",
        examples=[["0x8100", "0x8100"]],
    )
    dscp: Annotated[int, Field(ge=0, le=63)] | None = Field(
        default=None, description="The mark of the IP packet in it; any when left out.", examples=[48]
    )

    @model_validator(mode="after")
    def _fits(self) -> FrameCheckSpec:
        if self.ethertypes is not None and len(self.ethertypes) != len(self.tags):
            refuse(f"{len(self.tags)} tags and {len(self.ethertypes)} ethertypes", "write one for each tag")
        if self.dscp is not None and self.protocol == "arp":
            refuse("ARP has no DSCP", "take dscp out, or name another protocol")
        return self


class NameCheckSpec(Part):
    """A node's nameserver knows a name; the lab needs `internet: {names: true}`."""

    name: Annotated[tuple[str, HostName], Strict(False)] = Field(
        description="[source host, name]", examples=[["pc1", "teams.microsoft.com"]]
    )
    via: str | None = Field(
        default=None, description="How the question travels: a circuit's name, or internet."
    )
    family: Literal[4, 6] = Field(default=4, description="IP version of the address.")
    present: bool = Field(default=True, description="false: the name has no address.")


class HttpsCheckSpec(Part):
    """A front end answers with a good certificate; the lab needs `internet: {names: true}`."""

    https: Annotated[tuple[str, Url], Strict(False)] = Field(
        description="[source host, https://name]", examples=[["pc1", "https://teams.microsoft.com"]]
    )
    via: str | None = Field(default=None, description="The way to it: a circuit's name, or internet.")
    peering: Literal["private", "microsoft"] | None = Field(default=None, description="The peering crossed.")
    family: Literal[4, 6] = Field(default=4, description="IP version.")
    revocation: bool = Field(
        default=False,
        description="true: the revocation list that the certificate names can be fetched, too, and does not "
        "list it.",
    )


def _kind(value: object) -> str | None:
    """Tag of a check by the key that names its kind; in <> so that no key can look like it."""
    keys = value if isinstance(value, dict) else vars(value) if isinstance(value, BaseModel) else {}
    found = [kind for kind in CHECK_KINDS if kind in keys]
    return f"<{found[0]}>" if found else None


CheckSpec = Annotated[
    Annotated[PingCheckSpec, Tag("<ping>")]
    | Annotated[PathCheckSpec, Tag("<path>")]
    | Annotated[SessionsCheckSpec, Tag("<sessions>")]
    | Annotated[RouteCheckSpec, Tag("<route>")]
    | Annotated[FrameCheckSpec, Tag("<frame>")]
    | Annotated[NameCheckSpec, Tag("<name>")]
    | Annotated[HttpsCheckSpec, Tag("<https>")]
    | Annotated[BudgetCheckSpec, Tag("<budget>")]
    | Annotated[FlowCheckSpec, Tag("<flow>")]
    | Annotated[NeverCheckSpec, Tag("<never>")]
    | Annotated[QueueCheckSpec, Tag("<queue>")]
    | Annotated[ThroughputCheckSpec, Tag("<throughput>")]
    | Annotated[OutageCheckSpec, Tag("<outage>")]
    | Annotated[RoutesCheckSpec, Tag("<routes>")]
    | Annotated[CommunitiesCheckSpec, Tag("<communities>")],
    Discriminator(_kind),
]
