"""Checks of whole sets: the routes of a router, and the communities of one route."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edge.bgp.policy import protocol_name
from edge.bgp.state import RouteInfo
from edge.errors import UsageError
from edge.model import Community, Network, Vrf
from lab.access import LabAccess
from lab.check_model import CommunitiesCheck, RoutesCheck, WantedRoute
from lab.checks.result import Verdict
from lab.checks.routes import describe_route, route_json, routing_domains
from lab.model import LabModel
from lab.routing import best_routes

SHOWN = 8
"""Routes named in the words of a verdict; the evidence has them all."""

Found = Mapping[Network, Sequence[RouteInfo]]


def look_at_routes(access: LabAccess, check: RoutesCheck, seconds: float) -> Verdict:
    """Ask every BIRD of the node for all it has. Raises UsageError, DaemonError or DeadlineError."""
    found: dict[Network, list[RouteInfo]] = defaultdict(list)
    asked = 0
    for vrf in routing_domains(access.model, check.node):
        names = _sessions(access.model, vrf, check)
        asked += bool(names)
        for route in _routes(access, vrf, check) if names else ():
            wanted = route.protocol in names and (bool(check.circuit) or route.best)
            if wanted and check.family in (None, route.network.version):
                found[route.network].append(route)
    if not asked:
        peering = f"/{check.peering}" if check.peering else ""
        raise UsageError(f"{check.node} has no session over {check.circuit}{peering}")
    return judge_routes(check, found)


def _sessions(model: LabModel, vrf: Vrf, check: RoutesCheck) -> set[str]:
    """What routes of the sessions that are meant are called after."""
    ends = {
        (end.namespace, end.device)
        for end in model.peering_ends
        if end.circuit == check.circuit and check.peering in ("", end.peering)
    }
    return {
        protocol_name(session) if vrf.own is None else str(session.neighbor)
        for session in vrf.sessions
        if not check.circuit or (vrf.namespace, session.interface) in ends
    }


def _routes(access: LabAccess, vrf: Vrf, check: RoutesCheck) -> Iterator[RouteInfo]:
    if vrf.own is None:
        yield from access.bird(vrf.namespace).routes()
        return
    if check.exact is not None:
        raise UsageError(
            f"{check.node} is a router of your own, whose routes cannot be listed; use contains and lacks"
        )
    control = access.own_router(vrf.namespace, vrf.own.kind)
    for prefix in {wanted.prefix for wanted in (*check.contains, *check.lacks)}:
        yield from control.routes(prefix)


def judge_routes(check: RoutesCheck, found: Found) -> Verdict:
    """Whether the set is as the check wants it. Pure."""
    evidence: dict[str, Any] = {
        "routes": [route_json(route) for _, routes in _in_order(found) for route in routes]
    }
    where = f" over {check.circuit}" if check.circuit else ""
    where += f"/{check.peering}" if check.peering else ""
    who = f"{check.node} has {len(found)} route{'' if len(found) == 1 else 's'}{where}"
    problems = [*_missing((*(check.exact or ()), *check.contains), found)]
    if check.exact is not None:
        named = {wanted.prefix for wanted in check.exact}
        problems += [
            f"unexpected {prefix} {describe_route(routes[0])}"
            for prefix, routes in _in_order(found)
            if prefix not in named
        ]
    for wanted in check.lacks:
        for route in found.get(wanted.prefix, ()):
            if _differs(wanted, route) is None:
                problems.append(f"{wanted.prefix} {describe_route(route)} should not be there")
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        return Verdict(False, f"{who}: {'; '.join(problems[:SHOWN])}{more}", evidence)
    return Verdict(True, f"{who}, {'exactly ' if check.exact is not None else ''}those expected", evidence)


def _in_order(found: Found) -> list[tuple[Network, Sequence[RouteInfo]]]:
    def key(item: tuple[Network, Sequence[RouteInfo]]) -> tuple[int, int, int]:
        network = item[0]
        return network.version, int(network.network_address), network.prefixlen

    return sorted(found.items(), key=key)


def _missing(wanted: Sequence[WantedRoute], found: Found) -> Iterator[str]:
    for one in dict.fromkeys(wanted):
        routes = found.get(one.prefix, ())
        if not routes:
            yield f"no route {one.prefix}"
            continue
        differences = [_differs(one, route) for route in routes]
        if None not in differences:
            yield f"{one.prefix} {describe_route(routes[0])}, expected {differences[0]}"


def _differs(wanted: WantedRoute, route: RouteInfo) -> str | None:
    """What the route has not that is wanted; None when it has all."""
    if wanted.as_path is not None and route.as_path != wanted.as_path:
        return f"AS path {' '.join(map(str, wanted.as_path)) or 'empty'}"
    if wanted.next_hop is not None and wanted.next_hop not in {hop.address for hop in route.next_hops}:
        return f"next hop {wanted.next_hop}"
    if not set(wanted.communities) <= set(route.communities):
        return f"communities {_text(wanted.communities)}"
    return None


def look_at_communities(access: LabAccess, check: CommunitiesCheck, seconds: float) -> Verdict:
    """Ask every BIRD of the node for this prefix. Raises UsageError, DaemonError or DeadlineError."""
    routes = [
        route
        for vrf in routing_domains(access.model, check.node)
        for route in best_routes(access, vrf, check.prefix)
    ]
    return judge_communities(check, routes)


def judge_communities(check: CommunitiesCheck, routes: Sequence[RouteInfo]) -> Verdict:
    """Whether every best route has the communities that the check wants. Pure."""
    evidence = {"routes": [route_json(route) for route in routes]}
    if not routes:
        return Verdict(False, f"{check.node} has no route {check.prefix}", evidence)
    problems = []
    for route in routes:
        has = set(route.communities)
        exact = set(check.exact) if check.exact is not None else set()
        missing = (exact | set(check.contains)) - has
        extra = (has - exact if check.exact is not None else set()) | (set(check.lacks) & has)
        if missing or extra:
            text = f"{check.node} has {check.prefix} {describe_route(route)}"
            text += f"; missing {_text(missing)}" if missing else ""
            text += f"; unexpected {_text(extra)}" if extra else ""
            problems.append(text)
    words = f"{check.node} has {check.prefix} {describe_route(routes[0])}"
    return Verdict(not problems, "; ".join(problems) or words, evidence)


def _text(communities: Sequence[Community] | set[Community]) -> str:
    return " ".join(f"{high}:{low}" for high, low in sorted(communities))
