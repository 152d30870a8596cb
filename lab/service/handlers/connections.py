"""Connections: a gateway linked to a circuit."""

from __future__ import annotations

from dataclasses import replace

from lab.service import limits
from lab.service.bandwidth import word
from lab.service.commands import LinkVnet, Redeem, SetFastPath, SetWeight, Unlink
from lab.service.gateway_subnet import room
from lab.service.handlers.common import refuse_name, refuse_reach, refuse_vnet_overlap
from lab.service.handlers.keys import redeem_key, release_key
from lab.service.handlers.networks import refuse_fastpath
from lab.service.refusal import Refusal
from lab.service.resources import Circuit, Connection, Gateway
from lab.service.state import Accepted, Outcome, State, drop, find, find_peering, put
from lab.service.views import link_count


def link_vnet(state: State, command: LinkVnet) -> Outcome:
    """Connect inside the circuit's subscription (facts 10.2)."""
    return _connect(state, command, "")


def redeem(state: State, command: Redeem) -> Outcome:
    """Connect from another subscription with a key (facts 10.2)."""
    if not command.authorization_key:
        return Refusal(
            "AuthorizationNeeded", "no authorization key is given", "ask the circuit's owner for one"
        )
    return _connect(state, command, command.authorization_key)


def _connect(state: State, command: LinkVnet | Redeem, key: str) -> Outcome:
    if no := refuse_name(state.connections, "connection", command.name):
        return no
    gateway = find(state.gateways, "gateway", command.gateway)
    if isinstance(gateway, Refusal):
        return gateway
    circuit = find(state.circuits, "circuit", command.circuit)
    if isinstance(circuit, Refusal):
        return circuit
    if no := (
        _refuse_circuit(state, circuit, gateway)
        or _refuse_networks(state, circuit, gateway)
        or _refuse_weight(command.weight)
        or (refuse_fastpath(gateway.sku, gateway.units) if command.fastpath else None)
        or (_refuse_private_link(circuit, command.fastpath) if command.private_link_fastpath else None)
    ):
        return no
    slot = _free_slot(state, gateway)
    if isinstance(slot, Refusal):
        return slot
    redeemed = redeem_key(state, circuit, gateway.scope.subscription, key, command.name)
    if isinstance(redeemed, Refusal):
        return redeemed
    after, authorization = redeemed
    made = Connection(
        command.name,
        command.scope,
        gateway.name,
        circuit.name,
        command.weight,
        command.fastpath,
        command.private_link_fastpath,
        authorization,
        state.vnets[gateway.vnet].community,
        slot,
    )
    return Accepted(replace(after, connections=put(after.connections, made.name, made)))


def _refuse_circuit(state: State, circuit: Circuit, gateway: Gateway) -> Refusal | None:
    """Whether the circuit takes this gateway (facts 2.2, 3.5, 10.2)."""
    if not circuit.provisioned:
        return Refusal(
            "CircuitNotProvisioned",
            f"circuit {circuit.name} is {circuit.provider_state}",
            "wait until its provider has provisioned it",
        )
    peering = find_peering(circuit, "private")
    if isinstance(peering, Refusal):
        return peering
    links = state.joined_by(gateway.name)
    if circuit.name in [link.circuit for link in links]:
        return Refusal(
            "ConnectionTwice",
            f"gateway {gateway.name} joins circuit {circuit.name} already",
            "use that connection",
        )
    if gateway.dual_stack and peering.v6 is None:
        return Refusal(
            "GatewayDualStack",
            f"gateway {gateway.name} has IPv6 and the private peering of circuit {circuit.name} has not",
            "give the peering IPv6 link subnets, or make an IPv4 gateway",
        )
    places = [*(state.circuits[link.circuit].location for link in links), circuit.location]
    return limits.refuse_vnet_links(
        link_count(state, circuit.name) + 1, word(circuit.bandwidth_mbps), circuit.tier
    ) or limits.refuse_gateway_circuits(gateway.sku, places, gateway.units)


def _refuse_networks(state: State, circuit: Circuit, gateway: Gateway) -> Refusal | None:
    """Whether the networks behind the gateway may join: region, overlap, number (facts 2.2, 3.1, 10.2)."""
    hub = state.vnets[gateway.vnet]
    networks = (hub, *state.spokes_of(hub.name))
    prefixes = [prefix for vnet in networks for prefix in vnet.address_space]
    if len(prefixes) > limits.CONNECTION_FIRST_PREFIXES:
        return Refusal(
            "ConnectionPrefixes",
            f"{hub.name} and the networks peered to it have {len(prefixes)} prefixes, and a new connection "
            f"begins with at most {limits.CONNECTION_FIRST_PREFIXES}",
            "connect first and let them grow afterwards",
        )
    for vnet in networks:
        if no := refuse_reach(circuit.tier, circuit, vnet.region, vnet.name) or refuse_vnet_overlap(
            state, circuit, vnet.address_space
        ):
            return no
    return None


def _free_slot(state: State, gateway: Gateway) -> int | Refusal:
    """The first free place in the GatewaySubnet (facts 10.1: how many circuits fit)."""
    taken = {link.slot for link in state.joined_by(gateway.name)}
    most = room(gateway.subnets)
    free = next((slot for slot in range(most) if slot not in taken), None)
    if free is not None:
        return free
    smallest = max(gateway.subnets, key=lambda subnet: subnet.prefixlen)
    return Refusal(
        "GatewaySubnetFull",
        f"GatewaySubnet {smallest} has room for {most} circuits, not {most + 1}",
        "make the gateway in a larger GatewaySubnet, a /26 holds 16 circuits",
    )


def _refuse_weight(weight: int) -> Refusal | None:
    if 0 <= weight <= limits.MAX_WEIGHT:
        return None
    return Refusal("WeightRange", f"{weight} is no routing weight", f"use 0-{limits.MAX_WEIGHT}")


def _refuse_private_link(circuit: Circuit, fastpath: bool) -> Refusal | None:
    """FastPath for private endpoints: on Direct circuits, and only with FastPath itself (facts 10.1)."""
    if fastpath and circuit.direct:
        return None
    return Refusal(
        "FastPathPrivateLink",
        f"private endpoints over FastPath need FastPath and a Direct circuit, {circuit.name} is "
        f"{'one' if circuit.direct else 'a provider circuit'}",
        "leave private_link out" if not circuit.direct else "switch FastPath on as well",
    )


def set_weight(state: State, command: SetWeight) -> Outcome:
    """Which connection a gateway prefers (facts 4)."""
    found = find(state.connections, "connection", command.connection)
    if isinstance(found, Refusal):
        return found
    return _refuse_weight(command.weight) or _changed(state, replace(found, weight=command.weight))


def set_fast_path(state: State, command: SetFastPath) -> Outcome:
    """FastPath on or off (facts 10.1)."""
    found = find(state.connections, "connection", command.connection)
    if isinstance(found, Refusal):
        return found
    gateway, circuit = state.gateways[found.gateway], state.circuits[found.circuit]
    if no := (refuse_fastpath(gateway.sku, gateway.units) if command.enabled else None) or (
        _refuse_private_link(circuit, command.enabled) if command.private_link else None
    ):
        return no
    return _changed(
        state, replace(found, fastpath=command.enabled, private_link_fastpath=command.private_link)
    )


def _changed(state: State, connection: Connection) -> Accepted:
    return Accepted(replace(state, connections=put(state.connections, connection.name, connection)))


def unlink(state: State, command: Unlink) -> Outcome:
    """Delete a connection; its authorization is Available again (facts 10.2)."""
    found = find(state.connections, "connection", command.connection)
    if isinstance(found, Refusal):
        return found
    after = replace(state, connections=drop(state.connections, [found.name]))
    return Accepted(release_key(after, found.circuit, found.authorization))
