"""Checks of what a node's BIRDs chose as best routes."""

from __future__ import annotations

from typing import Any

from edge.bgp.state import RouteInfo
from edge.errors import UsageError
from edge.model import Vrf
from lab.access import LabAccess
from lab.checks.result import Verdict
from lab.lookup import suggestion
from lab.model import LabModel, RouteCheck
from lab.routing import best_routes


def look_at_route(access: LabAccess, check: RouteCheck, seconds: float) -> Verdict:
    """Ask every BIRD of the node for exactly this prefix; each has its own short timeout.

    Raises UsageError for an unknown node, DaemonError or DeadlineError when a BIRD does not answer.
    """
    routes: list[RouteInfo] = []
    for vrf in routing_domains(access.model, check.node):
        routes += best_routes(access, vrf, check.prefix)
    return judge_route(check, routes)


def routing_domains(model: LabModel, node: str) -> list[Vrf]:
    """The domains of a node (or the one of that name) that speak BGP. Raises UsageError."""
    domains = [
        vrf
        for router in model.routers
        for vrf in router.vrfs
        if vrf.sessions and node in (router.name, vrf.namespace)
    ]
    if not domains:
        known = [router.name for router in model.routers if any(vrf.sessions for vrf in router.vrfs)]
        raise UsageError(f"no router {node} that speaks BGP; {suggestion(node, known)}")
    return domains


def judge_route(check: RouteCheck, routes: list[RouteInfo]) -> Verdict:
    """Whether one of the best routes is as the check wants it, or whether there is none. Pure."""
    evidence: dict[str, Any] = {"routes": [route_json(route) for route in routes]}
    seen = "; ".join(describe_route(route) for route in routes)
    has = f"{check.node} has {check.prefix} {seen}"
    if not check.present:
        if routes:
            return Verdict(False, f"{has}, and should not", evidence)
        return Verdict(True, f"{check.node} has no route {check.prefix}", evidence)
    if not routes:
        return Verdict(False, f"{check.node} has no route {check.prefix}", evidence)
    fits = [route for route in routes if check.as_path is None or route.as_path == check.as_path]
    if not fits:
        wanted = " ".join(map(str, check.as_path or ())) or "empty"
        return Verdict(False, f"{has}; expected AS path {wanted}", evidence)
    if not any(set(check.communities) <= set(route.communities) for route in fits):
        wanted = " ".join(f"{high}:{low}" for high, low in check.communities)
        return Verdict(False, f"{has}; expected communities {wanted}", evidence)
    return Verdict(True, has, evidence)


def describe_route(route: RouteInfo) -> str:
    """Next hops, AS path and communities of a route on one line."""
    hops = ", ".join(str(hop.address or hop.device) for hop in route.next_hops) or route.kind
    path = f"AS path {' '.join(map(str, route.as_path))}" if route.as_path else "no AS path"
    communities = " ".join(f"{high}:{low}" for high, low in route.communities)
    return f"by {hops} ({path}{f', communities {communities}' if communities else ''})"


def route_json(route: RouteInfo) -> dict[str, Any]:
    """A route as plain data."""
    return {
        "prefix": str(route.network),
        "protocol": route.protocol,
        "next_hops": [str(hop.address or hop.device) for hop in route.next_hops],
        "as_path": list(route.as_path),
        "communities": [f"{high}:{low}" for high, low in route.communities],
        "local_pref": route.local_pref,
    }
