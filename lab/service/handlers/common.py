"""What several handlers ask: names, prefixes that must not meet, how much a tier allows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from edge.model import Network
from lab.service import limits, locations, services
from lab.service.bandwidth import word
from lab.service.prefixes import overlap
from lab.service.refusal import Refusal
from lab.service.resources import Circuit, Received
from lab.service.state import State
from lab.service.views import link_count

MAX_NAME = 80


def refuse_name(table: Collection[str], kind: str, name: str) -> Refusal | None:
    """Whether a new resource may have this name: as Azure writes names, and not taken."""
    if not re.fullmatch(r"[A-Za-z0-9]([\w.-]*\w)?", name, re.ASCII) or len(name) > MAX_NAME:
        return Refusal(
            "NameInvalid",
            f"{name[:MAX_NAME]!r} cannot name a {kind}",
            f"use letters, digits, dashes, dots and underscores, at most {MAX_NAME}",
        )
    if name in table:
        return Refusal("NameTaken", f"there is a {kind} {name} already", "use another name")
    return None


def circuit_space(state: State, circuit: Circuit, but_peering: str = "") -> Iterator[tuple[Network, str]]:
    """What the routing domain of a circuit's private peering has besides the customer's own networks.

    Links, Global Reach tunnels, virtual networks; each with the words for it.
    """
    for peering in circuit.peerings.values():
        if peering.name != but_peering:
            for link in peering.subnets:
                yield link, f"{link}, a link subnet of circuit {circuit.name} ({peering.name} peering)"
    for reach in state.reaches_of(circuit.name):
        for tunnel in reach.prefixes:
            yield tunnel, f"{tunnel} of Global Reach connection {reach.name}"
    for vnet in state.vnets_on(circuit.name):
        for prefix in vnet.address_space:
            yield prefix, f"{prefix} of virtual network {vnet.name}"


def refuse_overlap(networks: tuple[Network, ...], taken: Iterable[tuple[Network, str]]) -> Refusal | None:
    """Whether any of `networks` meets what is there (facts 3.1, 10.3)."""
    for other, words in taken:
        for network in networks:
            if overlap(network, other):
                return Refusal(
                    "PrefixOverlap",
                    f"{network} overlaps {words}",
                    "use a prefix that nothing there has",
                    network,
                )
    return None


def refuse_vnet_overlap(state: State, circuit: Circuit, networks: tuple[Network, ...]) -> Refusal | None:
    """Whether a virtual network with these prefixes may join a circuit (facts 3.1)."""
    return refuse_overlap(networks, circuit_space(state, circuit))


def refuse_reach(tier: str, circuit: Circuit, region: str, vnet: str) -> Refusal | None:
    """Whether a circuit of that tier reaches a VNet's region, with the VNet's name in the words."""
    no = locations.refuse_region(tier, locations.LOCATIONS[circuit.location], region)
    return None if no is None else Refusal(no.code, f"virtual network {vnet}: {no.words}", no.way_out)


def refuse_usage(state: State, circuit: Circuit, tier: str, mbps: int) -> Refusal | None:
    """Whether what hangs on a circuit fits into another tier (facts 2, 2.2).

    VNet links, regions, routes that come in now, communities of its filter, Global Reach.
    """
    if no := limits.refuse_vnet_links(link_count(state, circuit.name), word(mbps), tier):
        return no
    for vnet in state.vnets_on(circuit.name):
        if no := refuse_reach(tier, circuit, vnet.region, vnet.name):
            return no
    for report in received_on(state, circuit.name):
        most = limits.customer_prefix_limit(report.peering, tier, report.version).count
        if report.count > most:
            return Refusal(
                "UsageRoutes",
                f"the customer announces {report.count} IPv{report.version} prefixes on the {report.peering} "
                f"peering and tier {tier} takes {most}",
                "announce fewer first",
            )
    microsoft = circuit.peerings.get("microsoft")
    if microsoft is not None and microsoft.route_filter:
        place = locations.LOCATIONS[circuit.location]
        for community in state.filters[microsoft.route_filter].communities:
            if no := services.refuse_filter_on_tier(community, tier, place):
                return Refusal(no.code, no.words, f"take it out of filter {microsoft.route_filter} first")
    for reach in state.reaches_of(circuit.name):
        other = state.circuits[reach.circuits[reach.circuits[0] == circuit.name]]
        if no := refuse_reach_tiers(
            (circuit.name, tier, circuit.location), (other.name, other.tier, other.location)
        ):
            return no
    return None


def refuse_reach_tiers(a: tuple[str, str, str], b: tuple[str, str, str]) -> Refusal | None:
    """Whether two circuits, each (name, tier, location), may be joined by Global Reach (facts 10.3)."""
    areas = [locations.LOCATIONS[place].area for _, _, place in (a, b)]
    for name, tier, _ in (a, b):
        if tier == "local":
            return Refusal(
                "ReachLocal",
                f"circuit {name} is of tier local, which has no Global Reach",
                "change it to tier standard",
            )
        if areas[0] != areas[1] and tier != "premium":
            return Refusal(
                "ReachNeedsPremium",
                f"circuit {name} is of tier {tier} and the two locations are in {areas[0]} and {areas[1]}",
                "change both circuits to tier premium",
            )
    return None


def received_on(state: State, circuit: str) -> tuple[Received, ...]:
    """What routers reported about a circuit's sessions."""
    return tuple(report for report in state.received if report.circuit == circuit)
