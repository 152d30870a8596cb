"""Route filters: which communities, on which Microsoft peering."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edge.model import Community
from lab.service import locations, services
from lab.service.commands import (
    AttachFilter,
    CreateRouteFilter,
    DeleteRouteFilter,
    DetachFilter,
    UpdateRouteFilter,
)
from lab.service.handlers.common import refuse_name
from lab.service.refusal import Refusal
from lab.service.resources import Circuit, RouteFilter
from lab.service.state import Accepted, Outcome, State, circuit_and_peering, drop, find, put


def _communities(entries: Iterable[str]) -> tuple[Community, ...] | Refusal:
    found: list[Community] = []
    for entry in entries:
        community = services.resolve_filter_entry(entry)
        if isinstance(community, Refusal):
            return community
        found.append(community)
    return tuple(dict.fromkeys(found))


def is_authorized(state: State, subscription: str, community: Community) -> bool:
    """`isAuthorizedToUse`: Microsoft 365 only where Microsoft has allowed it, the rest always (3.6)."""
    service = services.service_of(community)
    return service is None or not service.microsoft_365 or subscription in state.authorized_365


def _refuse_on(state: State, circuit: Circuit, communities: tuple[Community, ...]) -> Refusal | None:
    """Whether a circuit may have a filter with these communities (facts 2, 3.6)."""
    place = locations.LOCATIONS[circuit.location]
    for community in communities:
        if no := services.refuse_filter_on_tier(community, circuit.tier, place):
            return no
        if not is_authorized(state, circuit.scope.subscription, community):
            return Refusal(
                "FilterNotAuthorized",
                f"subscription {circuit.scope.subscription} may not use {community[0]}:{community[1]}: "
                "Microsoft has not authorised it for Microsoft 365",
                "ask Microsoft for the authorisation, or take the community out",
            )
    return None


def attached_to(state: State, name: str) -> tuple[Circuit, ...]:
    """`peerings` of a filter: circuits whose Microsoft peering has it."""
    return tuple(circuit for circuit, peering in state.peerings() if peering.route_filter == name)


def create_route_filter(state: State, command: CreateRouteFilter) -> Outcome:
    """Make one; what it may carry is asked when it is attached (facts 3.6)."""
    if no := refuse_name(state.filters, "route filter", command.name):
        return no
    communities = _communities(command.entries)
    if isinstance(communities, Refusal):
        return communities
    made = RouteFilter(command.name, command.scope, communities)
    return Accepted(replace(state, filters=put(state.filters, made.name, made)))


def update_route_filter(state: State, command: UpdateRouteFilter) -> Outcome:
    """Replace its communities; every circuit it is attached to must be allowed them."""
    found = find(state.filters, "route filter", command.name)
    if isinstance(found, Refusal):
        return found
    communities = _communities(command.entries)
    if isinstance(communities, Refusal):
        return communities
    for circuit in attached_to(state, found.name):
        if no := _refuse_on(state, circuit, communities):
            return no
    return Accepted(
        replace(state, filters=put(state.filters, found.name, replace(found, communities=communities)))
    )


def delete_route_filter(state: State, command: DeleteRouteFilter) -> Outcome:
    """Delete it when it is attached nowhere."""
    found = find(state.filters, "route filter", command.name)
    if isinstance(found, Refusal):
        return found
    users = attached_to(state, found.name)
    if users:
        return Refusal(
            "FilterInUse",
            f"route filter {found.name} is attached to {', '.join(circuit.name for circuit in users)}",
            "detach it first",
        )
    return Accepted(replace(state, filters=drop(state.filters, [found.name])))


def attach_filter(state: State, command: AttachFilter) -> Outcome:
    """Attach it to a Microsoft peering (facts 3.6)."""
    named = circuit_and_peering(state, command.circuit, "microsoft")
    if isinstance(named, Refusal):
        return named
    circuit, peering = named
    found = find(state.filters, "route filter", command.name)
    if isinstance(found, Refusal):
        return found
    if no := _refuse_on(state, circuit, found.communities):
        return no
    return Accepted(state.with_peering(circuit, replace(peering, route_filter=found.name)))


def detach_filter(state: State, command: DetachFilter) -> Outcome:
    """Take it away: no prefix is announced any more (facts 3.6)."""
    found = circuit_and_peering(state, command.circuit, "microsoft")
    if isinstance(found, Refusal):
        return found
    circuit, peering = found
    return Accepted(state.with_peering(circuit, replace(peering, route_filter="")))
