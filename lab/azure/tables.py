"""Rows that Azure shows of a circuit, with its names in JSON. Pure.

Names are those of Microsoft.Network: arpTables, routeTables, routeTablesSummary, stats (facts 12).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Interface = Literal["On-Prem", "Microsoft"]

INCOMPLETE = "Incomplete"
"""In the place of a MAC address, where nobody has answered (facts 10.6)."""

BGP_VERSION = 4


@dataclass(frozen=True, slots=True)
class ArpRow:
    """Who has an address of the peering's link. age: minutes since the owner was last heard; None unknown."""

    age: int | None
    interface: Interface
    ip: str
    mac: str

    def to_json(self) -> dict[str, object]:
        """As POST .../arpTables/{path} answers."""
        return {"age": self.age, "interface": self.interface, "ipAddress": self.ip, "macAddress": self.mac}


@dataclass(frozen=True, slots=True)
class RouteRow:
    """A route of the MSEE's routing domain, in the columns of a Cisco router.

    loc_prf is empty for a route that came by eBGP, as there. weight: 32768 for what the router has of
    itself, else 0. path: AS numbers, nearest first, then the origin: `i`, `e` or `?`.
    """

    network: str
    next_hop: str
    loc_prf: str
    weight: int
    path: str

    def to_json(self) -> dict[str, object]:
        """As POST .../routeTables/{path} answers."""
        return {
            "network": self.network,
            "nextHop": self.next_hop,
            "locPrf": self.loc_prf,
            "weight": self.weight,
            "path": self.path,
        }


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """A BGP neighbour. up_down: how long in this state; state_pfx_rcd: prefixes received, or the state."""

    neighbor: str
    asn: int
    up_down: str
    state_pfx_rcd: str

    def to_json(self) -> dict[str, object]:
        """As POST .../routeTablesSummary/{path} answers."""
        return {
            "neighbor": self.neighbor,
            "v": BGP_VERSION,
            "as": self.asn,
            "upDown": self.up_down,
            "statePfxRcd": self.state_pfx_rcd,
        }


@dataclass(frozen=True, slots=True)
class Octets:
    """Octets of a peering on one path. into: into Azure, from the customer; out: to the customer."""

    into: int
    out: int


@dataclass(frozen=True, slots=True)
class StatsRow:
    """Octets of a peering on both paths."""

    primary: Octets
    secondary: Octets

    def to_json(self) -> dict[str, int]:
        """As GET .../stats answers."""
        return {
            "primarybytesIn": self.primary.into,
            "primarybytesOut": self.primary.out,
            "secondarybytesIn": self.secondary.into,
            "secondarybytesOut": self.secondary.out,
        }


def up_down(seconds: float | None) -> str:
    """A time as routers print it: 00:12:48, then 1d03h, 2w5d, 1y10w; `never` for None. Pure.

    >>> up_down(768), up_down(97_300), up_down(1_700_000)
    ('00:12:48', '1d03h', '2w5d')
    """
    if seconds is None:
        return "never"
    whole = int(seconds)
    hours, days = whole // 3600, whole // 86400
    if hours < 24:
        return f"{hours:02}:{whole // 60 % 60:02}:{whole % 60:02}"
    if days < 7:
        return f"{days}d{hours % 24:02}h"
    if days < 365:
        return f"{days // 7}w{days % 7}d"
    return f"{days // 365}y{days % 365 // 7:02}w"


def route_row(
    network: str,
    next_hop: str,
    as_path: tuple[int, ...],
    *,
    origin: str,
    internal: bool,
    local: bool,
    local_pref: int | None,
) -> RouteRow:
    """A row of the route table. Pure. origin: `IGP`, `EGP` or `Incomplete`, as BIRD has it."""
    sign = {"IGP": "i", "EGP": "e"}.get(origin, "?")
    return RouteRow(
        network,
        next_hop,
        str(local_pref) if internal and local_pref is not None else "",
        32768 if local else 0,
        " ".join([*map(str, as_path), sign]),
    )
