"""Circuits: order, change, delete; authorizations."""

from __future__ import annotations

from dataclasses import replace

from lab.service import bandwidth, limits, locations
from lab.service.commands import (
    ChangeBandwidth,
    ChangeFamily,
    ChangeSku,
    CreateAuthorization,
    CreateCircuit,
    DeleteCircuit,
    RevokeAuthorization,
    SetRateLimit,
)
from lab.service.handlers.capacity import refuse_capacity, refuse_quota
from lab.service.handlers.common import refuse_name, refuse_usage
from lab.service.handlers.tags import Ports, free_s_tag, refuse_s_tag
from lab.service.refusal import Refusal
from lab.service.regions import REGIONS
from lab.service.resources import Authorization, Circuit
from lab.service.state import Accepted, Event, Outcome, State, drop, find, put
from lab.service.views import provisioned_mbps


def create_circuit(state: State, command: CreateCircuit) -> Outcome:
    """Order a circuit. Direct circuits are Provisioned at once, others wait for the provider (facts 2.1)."""
    if no := refuse_name(state.circuits, "circuit", command.name):
        return no
    if bool(command.provider) == bool(command.port) or (command.port and command.location):
        return Refusal(
            "CircuitOwner",
            "a circuit goes through a provider at a location, or over a Direct port pair",
            "give provider and location, or port alone",
        )
    where = _direct(state, command) if command.port else _through_provider(state, command)
    if isinstance(where, Refusal):
        return where
    place = locations.LOCATIONS[where]
    region = command.region or _nearest_region(place)
    if region not in REGIONS:
        return Refusal("RegionUnknown", f"there is no Azure region {region}", "use one such as westeurope")
    if no := (
        limits.refuse_sku(command.tier, command.family)
        or (locations.refuse_local_tier(place) if command.tier == "local" else None)
        or _refuse_resiliency(state, command, where)
        or refuse_quota(state, command.scope.subscription, region)
    ):
        return no
    ports = Ports(command.port, command.provider, where, command.metro)
    tag = command.s_tag if command.s_tag is not None else free_s_tag(state, ports)
    if tag is None:
        return Refusal("StagExhausted", f"all S-tags at {where} are taken", "use another location")
    if no := refuse_s_tag(state, ports, tag):
        return no
    key, after = (command.service_key, state)
    if not key:
        key, after = state.guid(f"circuit/{command.name}")
    elif any(one.service_key == key for one in state.circuits.values()):
        return Refusal("ServiceKeyTaken", f"another circuit has the service key {key}", "leave it out")
    circuit = Circuit(
        command.name,
        command.scope,
        where,
        region,
        command.tier,
        command.family,
        command.bandwidth_mbps,
        key,
        tag,
        provider=command.provider,
        port=command.port,
        provider_state="Provisioned" if command.port else "NotProvisioned",
        rate_limit=command.rate_limit,
        metro=command.metro,
    )
    words = f"circuit {circuit.name} has the service key {key}; billing has begun"
    return Accepted(after.with_circuit(circuit), (Event("CircuitCreated", circuit.name, words),))


def _nearest_region(place: locations.Location) -> str:
    """The region a circuit is filed under when the order does not say: the nearest, else one of its area."""
    return next(
        iter((*place.local_regions, *(code for code, one in REGIONS.items() if one.area == place.area))), ""
    )


def _direct(state: State, command: CreateCircuit) -> str | Refusal:
    """Location of a circuit on Direct, when the port pair has room."""
    port = find(state.ports, "port pair", command.port)
    if isinstance(port, Refusal):
        return port
    if port.scope.subscription != command.scope.subscription:
        return Refusal(
            "PortForeign",
            f"port pair {port.name} belongs to subscription {port.scope.subscription}",
            "create the circuit in that subscription",
        )
    no = bandwidth.refuse_direct_bandwidth(
        command.bandwidth_mbps, port.bandwidth_gbps, provisioned_mbps(state, port.name)
    )
    return port.location if no is None else no


def _through_provider(state: State, command: CreateCircuit) -> str | Refusal:
    """Location of a circuit through a provider, when it is sold there."""
    place = locations.find(command.location)
    if place is None:
        return Refusal(
            "LocationUnknown",
            f"there is no peering location {command.location!r}",
            "use one such as Amsterdam",
        )
    if command.rate_limit:
        return _rate_limit_elsewhere(command.name)
    no = bandwidth.refuse_provider_bandwidth(command.bandwidth_mbps) or refuse_capacity(
        state, command.provider, place.name, command.bandwidth_mbps
    )
    return place.name if no is None else no


def _refuse_resiliency(state: State, command: CreateCircuit, where: str) -> Refusal | None:
    if command.metro and command.port:
        return Refusal(
            "MetroNotOffered",
            f"circuit {command.name} ends at the ports of {command.port}, which are in one site",
            "order it through a provider",
        )
    if command.metro:
        return locations.refuse_metro(where)
    if state.settings.metro_only and where in locations.METRO:
        return Refusal(
            "MetroOnly", f"at {where} circuits are sold with high resiliency only", "order it with metro"
        )
    return None


def change_bandwidth(state: State, command: ChangeBandwidth) -> Outcome:
    """Raise it without a session being touched; the provider's throttle stays as it is (facts 2)."""
    circuit = find(state.circuits, "circuit", command.circuit)
    if isinstance(circuit, Refusal):
        return circuit
    more = command.bandwidth_mbps - circuit.bandwidth_mbps
    if more < 0:
        return Refusal(
            "BandwidthLowered",
            f"circuit {circuit.name} has {circuit.bandwidth_mbps} Mbit/s, which cannot be lowered",
            "create a new circuit and move to it",
        )
    if more == 0:
        return Accepted(state)
    if circuit.direct:
        port = state.ports[circuit.port]
        no = bandwidth.refuse_direct_bandwidth(
            command.bandwidth_mbps,
            port.bandwidth_gbps,
            provisioned_mbps(state, port.name) - circuit.bandwidth_mbps,
        )
    else:
        no = bandwidth.refuse_provider_bandwidth(command.bandwidth_mbps) or refuse_capacity(
            state, circuit.provider, circuit.location, more
        )
    if no:
        return no
    raised = replace(circuit, bandwidth_mbps=command.bandwidth_mbps)
    events = [
        Event("BandwidthRaised", circuit.name, f"circuit {circuit.name} has {raised.bandwidth_mbps} Mbit/s")
    ]
    if 0 < circuit.throttle_mbps < raised.bandwidth_mbps:
        words = f"{circuit.provider} still polices circuit {circuit.name} to {circuit.throttle_mbps} Mbit/s"
        events.append(Event("ThrottleBehind", circuit.name, words))
    return Accepted(state.with_circuit(raised), tuple(events))


def change_sku(state: State, command: ChangeSku) -> Outcome:
    """Another tier, unless what hangs on the circuit does not fit into it (facts 2)."""
    circuit = find(state.circuits, "circuit", command.circuit)
    if isinstance(circuit, Refusal):
        return circuit
    if no := limits.refuse_sku_change(circuit.tier, command.tier, circuit.family) or refuse_usage(
        state, circuit, command.tier, circuit.bandwidth_mbps
    ):
        return no
    return Accepted(state.with_circuit(replace(circuit, tier=command.tier)))


def change_family(state: State, command: ChangeFamily) -> Outcome:
    """Other billing, one way only (facts 2)."""
    circuit = find(state.circuits, "circuit", command.circuit)
    if isinstance(circuit, Refusal):
        return circuit
    if no := limits.refuse_family_change(circuit.family, command.family):
        return no
    return Accepted(state.with_circuit(replace(circuit, family=command.family)))


def _rate_limit_elsewhere(name: str) -> Refusal:
    return Refusal(
        "RateLimitNotDirect",
        f"circuit {name} goes through a provider, and rate limiting is for Direct ports",
        "let the provider change its throttle",
    )


def set_rate_limit(state: State, command: SetRateLimit) -> Outcome:
    """Rate limiting on Direct (facts 10.4)."""
    circuit = find(state.circuits, "circuit", command.circuit)
    if isinstance(circuit, Refusal):
        return circuit
    if not circuit.direct:
        return _rate_limit_elsewhere(circuit.name)
    return Accepted(state.with_circuit(replace(circuit, rate_limit=command.enabled)))


def delete_circuit(state: State, command: DeleteCircuit) -> Outcome:
    """Delete it with its peerings and keys, when the provider has let go and nothing is linked (2.1)."""
    circuit = find(state.circuits, "circuit", command.circuit)
    if isinstance(circuit, Refusal):
        return circuit
    if not circuit.direct and circuit.provider_state != "NotProvisioned":
        return Refusal(
            "CircuitProvisioned",
            f"circuit {circuit.name} is {circuit.provider_state}",
            f"let {circuit.provider} deprovision it first",
        )
    hanging = state.users_of(circuit.name)
    if hanging:
        return Refusal(
            "CircuitInUse",
            f"circuit {circuit.name} has the connections {', '.join(hanging)}",
            "delete them first",
        )
    after = replace(
        state,
        circuits=drop(state.circuits, [circuit.name]),
        received=tuple(report for report in state.received if report.circuit != circuit.name),
    )
    return Accepted(after, (Event("CircuitDeleted", circuit.name, "billing has ended"),))


def create_authorization(state: State, command: CreateAuthorization) -> Outcome:
    """A key for one connection (facts 10.2)."""
    circuit = find(state.circuits, "circuit", command.circuit)
    if isinstance(circuit, Refusal):
        return circuit
    if no := refuse_name(circuit.authorizations, "authorization", command.name):
        return no
    key, after = command.key, state
    if not key:
        key, after = state.guid(f"authorization/{circuit.name}/{command.name}")
    elif any(a.key == key for one in state.circuits.values() for a in one.authorizations.values()):
        return Refusal(
            "AuthorizationKeyTaken", "another authorization has that key", "leave it out, one is made"
        )
    made = Authorization(command.name, key)
    return Accepted(
        after.with_circuit(replace(circuit, authorizations=put(circuit.authorizations, command.name, made)))
    )


def revoke_authorization(state: State, command: RevokeAuthorization) -> Outcome:
    """Take the key back and delete the link made with it (facts 10.2)."""
    circuit = find(state.circuits, "circuit", command.circuit)
    if isinstance(circuit, Refusal):
        return circuit
    authorization = find(circuit.authorizations, "authorization", command.name)
    if isinstance(authorization, Refusal):
        return authorization
    after = state.with_circuit(replace(circuit, authorizations=drop(circuit.authorizations, [command.name])))
    if not authorization.used_by:
        return Accepted(after)
    after = replace(
        after,
        connections={
            name: one
            for name, one in after.connections.items()
            if (one.circuit, one.authorization) != (circuit.name, command.name)
        },
        reaches={
            name: one
            for name, one in after.reaches.items()
            if (one.peer_circuit, one.authorization) != (circuit.name, command.name)
        },
    )
    words = f"{authorization.used_by} is deleted with the authorization {command.name} it was made with"
    return Accepted(after, (Event("ConnectionRevoked", authorization.used_by, words),))
