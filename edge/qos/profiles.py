"""The built-in policies: Teams, Skype for Business Online and Server, and what Microsoft marks itself. Pure.

The tables are from facts 6.2; each names its source. Where a document is silent or two conflict, it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Literal

from edge.document.suggest import hint_for
from edge.errors import UsageError
from edge.qos.expressroute import trap_rules, trust_rules
from edge.qos.model import (
    DSCP_AF11,
    DSCP_AF21,
    DSCP_AF41,
    DSCP_EF,
    Direction,
    Hint,
    Policy,
    PortRange,
    Rule,
)
from edge.qos.names import PROTOCOL_BY_NAME

if TYPE_CHECKING:
    from edge.model import Network

TCP, UDP = PROTOCOL_BY_NAME["tcp"], PROTOCOL_BY_NAME["udp"]
MEDIA = (TCP, UDP)
"""Media goes over UDP, and over TCP where UDP does not pass (facts 6.2)."""

Side = Literal["either", "near", "far", "source", "destination"]
"""Which port lies in the range. `near`: the customer's (source on the way out, destination on the way in);
`far`: Microsoft's."""

M365_MEDIA: tuple[Network, ...] = tuple(
    ip_network(text) for text in ("13.107.64.0/18", "52.112.0.0/14", "52.120.0.0/14", "2603:1063::/38")
)
"""Microsoft 365's media relays, endpoint set 11 of 2022-07-28 (facts 6.2, `m365-ep`, **(V)**: it changes)."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A row of a table: what is sent, on which ports, and what the source says of its marking."""

    name: str
    class_name: str
    dscp: int
    ports: PortRange
    side: Side
    protocols: tuple[int, ...] = MEDIA
    far: tuple[Network, ...] = ()
    hint: Hint = ""


TEAMS_CLIENTS = (
    Flow("teams-audio", "voice", DSCP_EF, (50000, 50019), "either"),
    Flow("teams-video", "video", DSCP_AF41, (50020, 50039), "either"),
    Flow("teams-sharing", "sharing", DSCP_AF21, (50040, 50059), "either"),
)
"""Ports of Teams clients (facts 6.2, `teams-qos`), with any address at the other end and on either side, so
that both directions and calls between two clients are caught."""

TEAMS_RELAYS = (
    Flow("teams-relay-audio", "voice", DSCP_EF, (3479, 3479), "far", (UDP,), M365_MEDIA),
    Flow("teams-relay-video", "video", DSCP_AF41, (3480, 3480), "far", (UDP,), M365_MEDIA),
    Flow("teams-relay-sharing", "sharing", DSCP_AF21, (3481, 3481), "far", (UDP,), M365_MEDIA),
    Flow("teams-relay-stun", "voice", DSCP_EF, (3478, 3478), "far", (UDP,), M365_MEDIA, "stun"),
)
"""Microsoft's relays: they catch browsers, whose own ports are dynamic. Port 3478 carries STUN and any
medium; 3479-3481 are said to be split by medium (facts 6.2, `m365-ep`, the split is **(U)**). A check of
connectivity decides how soon a call begins, so STUN on 3478 goes with voice **(D)**; its other traffic does
not."""

SKYPE_ONLINE_CLIENTS = (
    Flow("skype-audio", "voice", DSCP_EF, (50000, 50019), "near"),
    Flow("skype-video", "video", DSCP_AF41, (50020, 50039), "near"),
    Flow("skype-sharing", "sharing", DSCP_AF21, (50040, 50059), "near"),
)
"""Ports of Skype for Business Online clients (facts 6.2, `sfbo-ports` 2015). The far end uses 50000-59999,
which holds all three ranges: only the customer's port tells the medium."""

SKYPE_SERVER_CLIENTS = (
    Flow("client-audio", "voice", DSCP_EF, (50020, 50039), "near"),
    Flow("client-video", "video", DSCP_AF41, (58000, 58019), "near"),
    Flow("client-sharing", "sharing", DSCP_AF21, (42000, 42019), "near"),
    Flow("client-files", "files", DSCP_AF11, (42020, 42039), "near"),
)
"""Ports of Skype for Business Server's clients, once port ranges are switched on (facts 6.2, `sfb-cl`)."""

SKYPE_SERVERS = (
    Flow("server-audio", "voice", DSCP_EF, (49152, 57500), "source", (UDP,)),
    Flow("server-video", "video", DSCP_AF41, (57501, 65535), "source", (UDP,)),
    Flow("server-sharing", "sharing", DSCP_AF21, (40803, 49151), "source", (UDP,)),
)
"""Source ports of conferencing, application and mediation servers, with sharing moved to 40803 as the page
asks (facts 6.2, `sfb-srv`). The page bounds them by the executable; a router cannot, and every system's
ephemeral ports lie in them: so only UDP **(D)**, and a policy file should name the `servers`."""

SKYPE_EDGE = tuple(
    replace(flow, name=flow.name.replace("server", "edge"), side="destination") for flow in SKYPE_SERVERS
)
"""The inner side of Edge servers, whose own ports stay 50000 and up: the same three ranges as destination
ports (facts 6.2, `sfb-edge`)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A built-in policy: its name, a line for people, and how it is built for some servers' addresses.

    takes_servers: `servers` narrows its rules; others have none that it could narrow.
    """

    name: str
    title: str
    build: Callable[[tuple[Network, ...]], tuple[Rule, ...]]
    takes_servers: bool = False


def rules_of(flows: tuple[Flow, ...], servers: tuple[Network, ...] = ()) -> tuple[Rule, ...]:
    """The rules of a table. servers: an address on the side of a `source` or `destination` is in them."""
    return tuple(rule for flow in flows for rule in _rules_of_flow(flow, servers))


def _rules_of_flow(flow: Flow, servers: tuple[Network, ...]) -> tuple[Rule, ...]:
    base = Rule(flow.name, flow.class_name, flow.dscp, flow.protocols, hint=flow.hint)
    if flow.side == "either":
        return (replace(base, either_ports=flow.ports),)
    if flow.side == "source":
        return (replace(base, source_ports=flow.ports, source=servers),)
    if flow.side == "destination":
        return (replace(base, destination_ports=flow.ports, destination=servers),)
    return tuple(_directed(base, flow, direction) for direction in ("out", "in"))


def _directed(base: Rule, flow: Flow, direction: Direction) -> Rule:
    """The rule of one direction: seen from the customer, `out` has the near end as the source."""
    named = replace(base, name=f"{flow.name}-{direction}", direction=direction)
    if (flow.side == "near") == (direction == "out"):
        named = replace(named, source_ports=flow.ports)
    else:
        named = replace(named, destination_ports=flow.ports)
    if direction == "out":
        return replace(named, destination=flow.far)
    return replace(named, source=flow.far)


def _teams(_servers: tuple[Network, ...]) -> tuple[Rule, ...]:
    """Ports before markings: a Mac marks sharing as video, whose port tells better (facts 6.2)."""
    return (*rules_of(TEAMS_CLIENTS), *rules_of(TEAMS_RELAYS), *trust_rules())


def _skype_online(_servers: tuple[Network, ...]) -> tuple[Rule, ...]:
    return (*rules_of(SKYPE_ONLINE_CLIENTS), *rules_of(TEAMS_RELAYS[-1:]), *trust_rules(), *trap_rules())


def _skype_server(*tables: tuple[Flow, ...]) -> Callable[[tuple[Network, ...]], tuple[Rule, ...]]:
    """Markings before ports: Windows marks by executable, which knows better than a range (facts 6.2)."""

    def build(servers: tuple[Network, ...]) -> tuple[Rule, ...]:
        ports = (rule for flows in tables for rule in rules_of(flows, servers))
        return (*trust_rules(), *trap_rules(), *ports)

    return build


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("teams", "Teams: client ports, Microsoft's relays, endpoint markings", _teams),
        Profile("skype-online", "Skype for Business Online: client ports, endpoint markings", _skype_online),
        Profile(
            "skype-server",
            "Skype for Business Server: clients, conferencing servers, then Edge",
            _skype_server(SKYPE_SERVER_CLIENTS, SKYPE_SERVERS, SKYPE_EDGE),
            takes_servers=True,
        ),
        Profile(
            "skype-server-clients",
            "Skype for Business Server: endpoint markings, client ports",
            _skype_server(SKYPE_SERVER_CLIENTS),
        ),
        Profile(
            "skype-server-conferencing",
            "Skype for Business Server: conferencing, application and mediation servers, by source port",
            _skype_server(SKYPE_SERVERS),
            takes_servers=True,
        ),
        Profile(
            "skype-server-edge",
            "Skype for Business Server: Edge servers, by destination port",
            _skype_server(SKYPE_EDGE),
            takes_servers=True,
        ),
        Profile(
            "microsoft",
            "what the MSEE marks: Microsoft's own media, and markings of the table",
            _teams,
        ),
        Profile("none", "no rule: everything is of the class default and leaves with DSCP 0", lambda _: ()),
    )
}
"""All built-in policies by name, in the order they are listed in."""

MSEE_PROFILE = "microsoft"
"""The policy at the MSEE's egress: Microsoft marks what it sends, by its own rules whatever the customer's
are (facts 6.1, `qos`; which rules is not documented **(D)**: those of Teams)."""


def profile(name: str, servers: tuple[Network, ...] = ()) -> Policy:
    """A built-in policy by name. Raises UsageError with the nearest name when there is none."""
    found = PROFILES.get(name)
    if found is None:
        raise UsageError(f"there is no policy {name}; {hint_for(name, PROFILES)}")
    return Policy(name, found.build(servers))
