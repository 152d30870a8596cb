"""Global Reach: two circuits' private peerings joined."""

from __future__ import annotations

from dataclasses import replace

from edge.model import Network
from lab.service import limits
from lab.service.bandwidth import word
from lab.service.commands import DisableGlobalReach, EnableGlobalReach
from lab.service.handlers.common import circuit_space, refuse_name, refuse_overlap, refuse_reach_tiers
from lab.service.handlers.keys import redeem_key, release_key
from lab.service.refusal import Refusal
from lab.service.resources import Circuit, GlobalReach
from lab.service.state import Accepted, Outcome, State, drop, find, find_peering, put
from lab.service.views import link_count

TUNNEL_LENGTH = {4: 29, 6: 125}
"""Prefix length of the tunnel between the MSEEs by IP version (facts 10.3)."""


def enable_global_reach(state: State, command: EnableGlobalReach) -> Outcome:
    """Join them, where tiers and places allow it (facts 10.3)."""
    if no := refuse_name(state.reaches, "Global Reach connection", command.name):
        return no
    ends: list[Circuit] = []
    for name in (command.circuit, command.peer_circuit):
        circuit = find(state.circuits, "circuit", name)
        if isinstance(circuit, Refusal):
            return circuit
        peering = find_peering(circuit, "private")
        if isinstance(peering, Refusal):
            return peering
        ends.append(circuit)
    here, there = ends
    if no := _refuse_pair(state, here, there) or _refuse_tunnel(state, command, here, there):
        return no
    key = redeem_key(state, there, here.scope.subscription, command.authorization_key, command.name)
    if isinstance(key, Refusal):
        return key
    after, authorization = key
    made = GlobalReach(command.name, here.name, there.name, command.prefix, command.prefix_v6, authorization)
    return Accepted(replace(after, reaches=put(after.reaches, made.name, made)))


def _refuse_pair(state: State, here: Circuit, there: Circuit) -> Refusal | None:
    if here.name == there.name:
        return Refusal("ReachSelf", "a circuit cannot be joined with itself", "name another circuit")
    if any(set(one.circuits) == {here.name, there.name} for one in state.reaches.values()):
        return Refusal(
            "ReachTwice", f"circuits {here.name} and {there.name} are joined already", "use that connection"
        )
    if here.location == there.location:
        return Refusal(
            "ReachSameLocation",
            f"circuits {here.name} and {there.name} are both at {here.location}",
            "join circuits of two peering locations; at one the provider can connect the sites",
        )
    if no := refuse_reach_tiers(
        (here.name, here.tier, here.location), (there.name, there.tier, there.location)
    ):
        return no
    for end in (here, there):
        if no := limits.refuse_vnet_links(
            link_count(state, end.name) + 1, word(end.bandwidth_mbps), end.tier
        ):
            return Refusal(no.code, f"{no.words} (Global Reach counts as one)", no.way_out)
    return None


def _refuse_tunnel(state: State, command: EnableGlobalReach, here: Circuit, there: Circuit) -> Refusal | None:
    v6 = command.prefix_v6
    given: tuple[Network, ...] = (command.prefix,) if v6 is None else (command.prefix, v6)
    for prefix in given:
        if prefix.prefixlen != TUNNEL_LENGTH[prefix.version]:
            return Refusal(
                "ReachPrefixLength",
                f"{prefix} cannot number the tunnel",
                f"use a /{TUNNEL_LENGTH[prefix.version]} that neither VNets nor sites have",
            )
    for end in (here, there):
        if no := refuse_overlap(given, circuit_space(state, end)):
            return no
        peering = end.peerings["private"]
        for prefix in given:
            if prefix.version not in peering.versions:
                return Refusal(
                    "ReachFamily",
                    f"the private peering of circuit {end.name} has no IPv{prefix.version}",
                    "give it link subnets of that version first",
                )
    return None


def disable_global_reach(state: State, command: DisableGlobalReach) -> Outcome:
    """Part them; the key it was made with is free again."""
    found = find(state.reaches, "Global Reach connection", command.name)
    if isinstance(found, Refusal):
        return found
    after = replace(state, reaches=drop(state.reaches, [found.name]))
    return Accepted(release_key(after, found.peer_circuit, found.authorization))
