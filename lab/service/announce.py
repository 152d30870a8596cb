"""What Microsoft announces to whom, and what it takes: prefixes, AS paths, communities.

The customer's own routes are not state; who knows them (routers, a test) hands them in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from edge.model import Address, Community, Network
from lab.service import locations, prefixes, services
from lab.service.as_path import (
    MAINTENANCE_PREPENDS,
    AsPath,
    from_gateway,
    towards_customer,
    towards_gateway,
    without_private,
)
from lab.service.refusal import Refusal
from lab.service.regions import regional_community
from lab.service.resources import Circuit, Connection, Path, Peering
from lab.service.state import State
from lab.service.views import connection_status, gateway_prefixes, reach_status, vnet_communities


@dataclass(frozen=True, slots=True)
class Route:
    """A prefix as one BGP speaker tells it to another. via: the connection, circuit or service behind it."""

    prefix: Network
    as_path: AsPath = ()
    communities: tuple[Community, ...] = ()
    via: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """Prefixes that Microsoft can announce on Microsoft peerings. region: empty for a global service."""

    prefix: Network
    communities: tuple[Community, ...]
    region: str = ""


OnPremises = Mapping[str, Iterable[Route]]
"""Circuit -> what its customer announces on the private peering."""


def _prepend(circuit: Circuit, path: Path) -> int:
    return MAINTENANCE_PREPENDS if circuit.maintenance == path else 0


def private_routes(
    state: State, circuit: Circuit, path: Path = "primary", on_premises: OnPremises | None = None
) -> Iterator[Route]:
    """What an MSEE announces to the customer on the private peering (facts 3.2, 3.3, 10.3).

    Whole address spaces of connected networks, and what the customers of circuits joined by Global Reach
    announce; never what a third circuit has, the service is no transit.
    """
    more = _prepend(circuit, path)
    for link in state.links_of(circuit.name):
        if connection_status(state, link) == "Connected":
            for prefix in gateway_prefixes(state, state.gateways[link.gateway]):
                yield Route(
                    prefix,
                    towards_customer(from_gateway(), more, state.settings.private_asns),
                    _communities(state, link, prefix),
                    link.name,
                )
    for other, name in reached_circuits(state, circuit.name):
        for route in (on_premises or {}).get(other, ()):
            yield Route(route.prefix, towards_gateway(route.as_path, more), via=name)


def _communities(state: State, link: Connection, prefix: Network) -> tuple[Community, ...]:
    hub = state.vnets[state.gateways[link.gateway].vnet]
    return vnet_communities(hub, link) if prefix in hub.address_space else ()


def reached_circuits(state: State, circuit: str) -> list[tuple[str, str]]:
    """Circuits whose on-premises networks are known here, with the connection; never transitive (10.3)."""
    return [
        (one.peer_circuit if one.circuit == circuit else one.circuit, one.name)
        for one in state.reaches_of(circuit)
        if reach_status(state, one) == "Connected"
    ]


def gateway_routes(
    state: State, gateway: str, on_premises: OnPremises, path: Path = "primary"
) -> Iterator[Route]:
    """What the MSEEs tell a gateway: on-premises behind its circuits and those joined to them, and other
    VNets of a circuit where that is allowed (facts 3.2, 9, 10.3). via is the connection.
    """
    for link in state.joined_by(gateway):
        if connection_status(state, link) != "Connected":
            continue
        circuit = state.circuits[link.circuit]
        more = _prepend(circuit, path)
        for name in (circuit.name, *(other for other, _ in reached_circuits(state, circuit.name))):
            for route in on_premises.get(name, ()):
                yield Route(route.prefix, towards_gateway(route.as_path, more), via=link.name)
        for other in state.links_of(circuit.name):
            if other.gateway != gateway and vnet_to_vnet(state, gateway, other.gateway):
                for prefix in gateway_prefixes(state, state.gateways[other.gateway]):
                    yield Route(prefix, towards_gateway(from_gateway(), more), via=link.name)


def vnet_to_vnet(state: State, a: str, b: str) -> bool:
    """Whether two gateways' VNets may talk through a circuit they share (facts 9): both let it in."""
    if state.settings.vnet_to_vnet == "always":
        return True
    return all(state.gateways[name].allow_remote_vnet_traffic for name in (a, b))


def service_offers() -> tuple[Offer, ...]:
    """The prefixes of `services`; one that belongs to several services carries all their communities."""
    found: dict[Network, tuple[Community, ...]] = {}
    for service in services.SERVICES.values():
        for prefix in service.prefixes:
            found[prefix] = (*found.get(prefix, ()), service.community)
    return tuple(Offer(prefix, communities) for prefix, communities in found.items())


def _within_tier(circuit: Circuit, offer: Offer) -> bool:
    """Whether a circuit's tier carries an offer (facts 2).

    Local exchanges the routes of its regions only, so no global service's; Microsoft 365 needs premium.
    """
    place = locations.LOCATIONS[circuit.location]
    if offer.region:
        return locations.refuse_region(circuit.tier, place, offer.region) is None
    if circuit.tier == "local":
        return False
    found = [services.service_of(community) for community in offer.communities]
    return circuit.tier == "premium" or not any(one is not None and one.microsoft_365 for one in found)


def microsoft_routes(
    state: State, circuit: Circuit, path: Path = "primary", offers: Iterable[Offer] | None = None
) -> Iterator[Route]:
    """What an MSEE announces on the Microsoft peering (facts 3.6, 3.7).

    Nothing without a route filter, all in legacy mode, otherwise what carries a community of the filter.
    """
    peering = circuit.peerings.get("microsoft")
    if peering is None or peering.microsoft is None:
        return
    wanted = state.filters[peering.route_filter].communities if peering.route_filter else ()
    everything = peering.microsoft.legacy and not peering.route_filter
    for offer in service_offers() if offers is None else offers:
        if offer.prefix.version not in peering.versions or not _within_tier(circuit, offer):
            continue
        if everything or any(community in wanted for community in offer.communities):
            yield Route(
                offer.prefix, towards_customer((), _prepend(circuit, path)), offer.communities, circuit.name
            )


def announced_communities(state: State, circuit: Circuit) -> tuple[Community, ...]:
    """Communities of which a route needs one to be announced on the Microsoft peering (facts 3.6).

    Those of the route filter, none without one; in legacy mode those of everything that the tier carries.
    """
    peering = circuit.peerings["microsoft"]
    if peering.route_filter:
        return state.filters[peering.route_filter].communities
    found = (route.communities for route in microsoft_routes(state, circuit))
    return tuple(dict.fromkeys(community for communities in found for community in communities))


def way_to(routes: Iterable[Route], destination: Address) -> str:
    """By what a customer's router sends there: "expressroute" where a route leads, else "internet" (8)."""
    there = any(
        route.prefix.version == destination.version and destination in route.prefix for route in routes
    )
    return "expressroute" if there else "internet"


def taken_on_private(route: Route) -> Route:
    """What an MSEE makes of a customer's route: any length, default route too, no communities (3.3)."""
    return Route(route.prefix, route.as_path, (), route.via)


def taken_on_microsoft(peering: Peering, route: Route) -> Route | Refusal:
    """The same on a Microsoft peering, or why it is not taken (facts 3.2-3.4).

    No default route, no private space, nothing outside the advertised prefixes; private AS numbers and
    communities are taken out.
    """
    if no := prefixes.refuse_public(route.prefix, strict=False):
        return no
    advertised = [one.prefix for one in peering.microsoft.prefixes] if peering.microsoft else []
    if not any(prefixes.inside(route.prefix, one) for one in advertised):
        return Refusal(
            "PrefixNotAdvertised",
            f"{route.prefix} is not among the advertised prefixes",
            "add it to the peering",
        )
    return Route(route.prefix, without_private(route.as_path), (), route.via)


def region_of(route: Route) -> str:
    """The Azure region that a route's communities name, empty when none does (facts 3.7)."""
    found = [regional_community(community) for community in route.communities]
    return next((one[0].code for one in found if one is not None), "")
