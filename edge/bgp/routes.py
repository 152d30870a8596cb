"""The answer to `show route all` as routes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Final, get_args

from edge.bgp.parse import TIME, or_daemon_error, parse_time
from edge.bgp.state import NextHop, Reply, RouteInfo, RouteKind
from edge.errors import DaemonError
from edge.model import Community

CODE_ROUTE: Final = 1007
CODE_ROUTE_TYPE: Final = 1008
CODE_ROUTE_ATTRIBUTE: Final = 1012

_ROUTE = re.compile(
    rf"(?P<network>\S+)?\s+(?P<kind>[a-z]+) \[(?P<protocol>\S+) (?P<since>{TIME})"
    r"(?: from (?P<from>[^\]\s]+))?\](?P<flags>[^(]*)\((?P<preference>[0-9]+)[^)]*\)"
)
_VIA = re.compile(r"\tvia (?P<address>\S+) on (?P<device>\S+)(?P<rest>.*)")
_DEVICE = re.compile(r"\tdev (?P<device>\S+)(?P<rest>.*)")
_WEIGHT = re.compile(r"\bweight ([0-9]+)")
_ATTRIBUTE = re.compile(r"\s*BGP\.(\w+): ?(.*)")
_COMMUNITY = re.compile(r"\(([0-9]+),\s?([0-9]+)\)")


@or_daemon_error
def parse_routes(replies: Iterable[Reply], now: datetime | None = None) -> tuple[RouteInfo, ...]:
    """`show route all`, in BIRD's order: all routes of a prefix stand together, the best first."""
    routes: list[RouteInfo] = []
    table = ""
    for reply in replies:
        if reply.code not in (CODE_ROUTE, CODE_ROUTE_TYPE, CODE_ROUTE_ATTRIBUTE):
            continue
        if reply.text.startswith("Table "):
            table = reply.text[len("Table ") :].rstrip(":")
            continue
        head = _ROUTE.match(reply.text)
        if head is not None:
            if head["network"] is None and not routes:
                raise DaemonError("cannot read BIRD's answer: a route without its prefix")
            routes.append(
                RouteInfo(
                    network=ip_network(head["network"]) if head["network"] else routes[-1].network,
                    protocol=head["protocol"],
                    best="*" in head["flags"],
                    kind=_kind(head["kind"]),
                    preference=int(head["preference"]),
                    since=parse_time(head["since"], now),
                    learned_from=ip_address(head["from"].partition("%")[0]) if head["from"] else None,
                    table=table,
                )
            )
        elif routes:
            routes[-1] = _route_detail(routes[-1], reply.text)
    return tuple(routes)


def _kind(word: str) -> RouteKind:
    known: dict[str, RouteKind] = {kind: kind for kind in get_args(RouteKind)}
    return known.get(word, "other")


def _route_detail(route: RouteInfo, text: str) -> RouteInfo:
    hop = _VIA.match(text) or _DEVICE.match(text)
    if hop is not None:
        found = hop.groupdict()
        weight = _WEIGHT.search(found["rest"])
        address = ip_address(found["address"]) if found.get("address") else None
        next_hop = NextHop(address, found["device"], int(weight[1]) if weight else 1)
        return replace(route, next_hops=(*route.next_hops, next_hop))
    attribute = _ATTRIBUTE.match(text)
    if attribute is None:
        return route
    key, value = attribute[1], attribute[2].strip()
    if key == "as_path":
        return replace(route, as_path=tuple(int(number) for number in re.findall(r"[0-9]+", value)))
    if key == "community":
        return replace(route, communities=_communities(value))
    if key == "local_pref":
        return replace(route, local_pref=int(value))
    if key == "med":
        return replace(route, med=int(value))
    if key == "origin":
        return replace(route, origin=value)
    return route


def _communities(text: str) -> tuple[Community, ...]:
    return tuple((int(first), int(second)) for first, second in _COMMUNITY.findall(text))
