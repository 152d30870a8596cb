"""Whether a state can be: everything it names is there, and what must be unique is.

Commands keep it so; a state read from a file has to show it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from lab.service import bandwidth, limits
from lab.service.locations import LOCATIONS, METRO, sites
from lab.service.regions import REGIONS
from lab.service.resources import Circuit
from lab.service.state import State
from lab.service.views import link_count, provisioned_mbps


def contradictions(state: State) -> list[str]:
    """What does not fit together, each in words; empty for every state that commands lead to."""
    return [*_names(state), *_references(state), *_unique(state), *_books(state)]


def _names(state: State) -> Iterator[str]:
    tables: dict[str, Any] = {
        "circuit": state.circuits,
        "route filter": state.filters,
        "virtual network": state.vnets,
        "gateway": state.gateways,
        "connection": state.connections,
        "Global Reach connection": state.reaches,
        "port pair": state.ports,
        "provider's port": state.provider_ports,
    }
    for circuit in state.circuits.values():
        tables[f"peering of {circuit.name}"] = circuit.peerings
        tables[f"authorization of {circuit.name}"] = circuit.authorizations
    for kind, table in tables.items():
        for name, value in table.items():
            if value.name != name:
                yield f"{kind} {name} calls itself {value.name}"


def _references(state: State) -> Iterator[str]:
    places = [(one.name, one.location) for one in state.circuits.values()]
    places += [(one.name, one.location) for one in state.ports.values()]
    places += [(one.name, one.location) for one in state.provider_ports.values()]
    yield from _missing(places, LOCATIONS)
    homes = [(one.name, one.region) for one in state.circuits.values()]
    homes += [(one.name, one.region) for one in state.vnets.values()]
    yield from _missing(homes, REGIONS)
    yield from _missing(
        ((f"circuit {one.name}", one.port) for one in state.circuits.values() if one.port), state.ports
    )
    yield from _missing(
        ((f"circuit {c.name}", p.route_filter) for c, p in state.peerings() if p.route_filter), state.filters
    )
    yield from _missing(((f"gateway {one.name}", one.vnet) for one in state.gateways.values()), state.vnets)
    for one in state.connections.values():
        yield from _missing([(f"connection {one.name}", one.gateway)], state.gateways)
        yield from _missing([(f"connection {one.name}", one.circuit)], state.circuits)
    for reach in state.reaches.values():
        yield from _missing(((f"Global Reach {reach.name}", end) for end in reach.circuits), state.circuits)
    hubs = {gateway.vnet for gateway in state.gateways.values()}
    yield from _missing(
        ((f"{one.name}, as hub", one.remote_gateway) for one in state.vnets.values() if one.remote_gateway),
        hubs,
    )
    yield from _missing(
        ((f"a report about {one.peering}", one.circuit) for one in state.received), state.circuits
    )


def _missing(wanted: Iterable[tuple[str, str]], there: Any) -> Iterator[str]:
    for who, name in wanted:
        if name not in there:
            yield f"{who} names {name}, which is not there"


def _unique(state: State) -> Iterator[str]:
    circuits = state.circuits.values()
    authorizations = [one for circuit in circuits for one in circuit.authorizations.values()]
    subinterfaces: list[object] = []
    for circuit, peering in state.peerings():
        single = circuit.port in state.ports and state.ports[circuit.port].encapsulation == "Dot1Q"
        tags = (peering.vlan,) if single else (circuit.s_tag, peering.vlan)
        subinterfaces.append((circuit.port, circuit.provider, circuit.location, tags))
    for what, values in (
        ("service key", [one.service_key for one in circuits]),
        ("authorization key", [one.key for one in authorizations]),
        ("S-tag", [place for one in circuits for place in _s_tags(one)]),
        ("subinterface", subinterfaces),
        ("gateway in", [one.vnet for one in state.gateways.values()]),
        ("place in the GatewaySubnet", [(one.gateway, one.slot) for one in state.connections.values()]),
        ("link of", [(one.gateway, one.circuit) for one in state.connections.values()]),
        ("Global Reach of", [frozenset(one.circuits) for one in state.reaches.values()]),
    ):
        for value, count in Counter[object](values).items():
            if count > 1:
                yield f"{what} {value} is there {count} times"


def _s_tags(circuit: Circuit) -> Iterator[tuple[object, ...]]:
    """A circuit's S-tag where its two links end (facts 1.2, 7)."""
    both = sites(circuit.location, circuit.metro and circuit.location in METRO)
    for number, site in enumerate(both, 1):
        yield circuit.port, circuit.provider, site, number, circuit.s_tag


def _books(state: State) -> Iterator[str]:
    """Sums and uses: port pairs, authorizations, links of circuits."""
    for port in state.ports.values():
        sold = provisioned_mbps(state, port.name)
        if sold > 1000 * port.bandwidth_gbps * bandwidth.OVERSUBSCRIPTION:
            yield f"port pair {port.name} has sold {sold} Mbit/s"
        if [link.path for link in port.links] != ["primary", "secondary"]:
            yield f"the links of port pair {port.name} are not primary and secondary"
    for circuit in state.circuits.values():
        if bool(circuit.port) == bool(circuit.provider):
            yield f"circuit {circuit.name} has provider and port pair, or neither"
        if circuit.metro and circuit.location not in METRO:
            yield f"circuit {circuit.name} is Metro at {circuit.location}"
        if bandwidth.word(circuit.bandwidth_mbps) not in limits.VNET_LINKS:
            yield f"circuit {circuit.name} has {circuit.bandwidth_mbps} Mbit/s, which is not sold"
        elif link_count(state, circuit.name) > limits.vnet_link_limit(
            bandwidth.word(circuit.bandwidth_mbps), circuit.tier
        ):
            yield f"circuit {circuit.name} has more links than its tier takes"
        if state.users_of(circuit.name) and "private" not in circuit.peerings:
            yield f"circuit {circuit.name} is linked and has no private peering"
        yield from _authorizations(state, circuit)


def _authorizations(state: State, circuit: Circuit) -> Iterator[str]:
    used = {one.authorization: one.name for one in state.links_of(circuit.name) if one.authorization}
    for reach in state.reaches.values():
        if reach.peer_circuit == circuit.name and reach.authorization:
            used[reach.authorization] = reach.name
    told = {one.name: one.used_by for one in circuit.authorizations.values() if one.used_by}
    if used != told:
        yield f"authorizations of circuit {circuit.name} are used by {used} and say {told}"
