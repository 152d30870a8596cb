"""Peerings: write, disable, enable, reset, delete."""

from __future__ import annotations

from dataclasses import replace

from edge.model import Network
from lab.service import asn, prefixes
from lab.service import peerings as rules
from lab.service.commands import (
    DeletePeering,
    DisablePeering,
    EnablePeering,
    PutPeering,
    ResetPeering,
)
from lab.service.handlers.common import circuit_space, refuse_overlap
from lab.service.handlers.tags import refuse_c_tag
from lab.service.refusal import Refusal
from lab.service.resources import AdvertisedPrefix, Circuit, MicrosoftConfig, Peering, Switch
from lab.service.state import Accepted, Event, Outcome, State, circuit_and_peering, drop, find


def put_peering(state: State, command: PutPeering) -> Outcome:
    """Write a peering on a provisioned circuit (facts 2.1, 3.1-3.5).

    The customer's write replaces the provider's, settings and all: a known trap, told by an event (1.1).
    """
    circuit = find(state.circuits, "circuit", command.circuit)
    if isinstance(circuit, Refusal):
        return circuit
    if not circuit.provisioned:
        return Refusal(
            "CircuitNotProvisioned",
            f"circuit {circuit.name} is {circuit.provider_state}, so it takes no peering yet",
            f"give the service key {circuit.service_key} to {circuit.provider} and wait for Provisioned",
        )
    if command.by == "Provider" and circuit.direct:
        return Refusal(
            "NoProvider", f"circuit {circuit.name} is on Direct", "write the peering as the customer"
        )
    before = circuit.peerings.get(command.peering)
    if no := (
        refuse_c_tag(state, circuit, command.peering, command.vlan)
        or asn.refuse_peer_asn(command.peer_asn, command.peering, state.settings.strict)
        or (None if command.shared_key is None else rules.refuse_shared_key(command.shared_key))
        or _refuse_links(state, circuit, command)
        or _refuse_family_in_use(state, circuit, command)
    ):
        return no
    microsoft = None
    if command.peering == "microsoft":
        if no := _refuse_microsoft(state, command):
            return no
        microsoft = _microsoft(command, before)
    peering = Peering(
        command.peering,
        command.vlan,
        command.peer_asn,
        rules.split_v4(command.v4),
        rules.split_v6(command.v6),
        command.shared_key,
        before.state if before else "Enabled",
        command.bfd,
        command.by,
        microsoft,
        before.route_filter if before else "",
    )
    events = []
    if before is not None and before.written_by != command.by:
        events.append(
            Event(
                "PeeringOverwritten",
                circuit.name,
                f"the {command.peering} peering of circuit {circuit.name} was the "
                f"{before.written_by.lower()}'s, and the {command.by.lower()} has replaced it",
            )
        )
    return Accepted(state.with_peering(circuit, peering), tuple(events))


def _refuse_links(state: State, circuit: Circuit, command: PutPeering) -> Refusal | None:
    """Link subnets: the right size, and apart from everything they could be confused with (facts 3.1)."""
    if not command.v4 and not command.v6:
        return Refusal(
            "LinkSubnetMissing", "the peering has neither IPv4 nor IPv6", "give a /29, a /125, or both"
        )
    if no := (
        (rules.refuse_link_subnets(list(command.v4), 4) if command.v4 else None)
        or (rules.refuse_link_subnets(list(command.v6), 6) if command.v6 else None)
    ):
        return no
    links: tuple[Network, ...] = (*command.v4, *command.v6)
    for link in links:
        if no := prefixes.refuse_interface_network(link):
            return no
        if command.peering == "microsoft" and (no := prefixes.refuse_public(link, state.settings.strict)):
            return no
    if no := refuse_overlap(links, circuit_space(state, circuit, command.peering)):
        return no
    if command.peering == "private":
        return None
    # Public space is the world's: unique over all circuits, not only in one routing domain.
    taken = (
        (link, f"{link}, a link subnet of circuit {other.name}")
        for other, peering in state.peerings()
        if peering.name == "microsoft" and other.name != circuit.name
        for link in peering.subnets
    )
    return refuse_overlap(links, taken)


def _refuse_family_in_use(state: State, circuit: Circuit, command: PutPeering) -> Refusal | None:
    """IPv6 cannot leave a peering that a dual-stack gateway is connected to (facts 3.5)."""
    if command.peering == "microsoft" or command.v6:
        return None
    for link in state.links_of(circuit.name):
        if state.gateways[link.gateway].dual_stack:
            return Refusal(
                "GatewayDualStack",
                f"gateway {link.gateway} has IPv6 which circuit {circuit.name} would not",
                "give the peering IPv6 link subnets, or delete the connection first",
            )
    return None


def _refuse_microsoft(state: State, command: PutPeering) -> Refusal | None:
    """Advertised prefixes: public, none of them a link subnet, each of a family the peering has (3.4, 5)."""
    if not command.advertised_prefixes:
        return Refusal(
            "PrefixesMissing",
            "a Microsoft peering needs the public prefixes that will be announced",
            "list them in advertised_prefixes",
        )
    if len(set(command.advertised_prefixes)) < len(command.advertised_prefixes):
        return Refusal("PrefixTwice", "a prefix is listed twice", "list each once")
    own: tuple[Network, ...] = (*command.v4, *command.v6)
    links = [(link, f"the link subnet {link}") for link in own]
    for other, peering in state.peerings():
        if peering.name == "microsoft" and other.name != command.circuit:
            links += [(link, f"{link}, a link subnet of circuit {other.name}") for link in peering.subnets]
    for prefix in command.advertised_prefixes:
        if no := prefixes.refuse_public(prefix, state.settings.strict):
            return no
        if not (command.v4 if prefix.version == 4 else command.v6):
            return Refusal(
                "PrefixFamily",
                f"{prefix} cannot be announced, the peering has no IPv{prefix.version}",
                "give it link subnets of that version, or take the prefix out",
                prefix,
            )
    return refuse_overlap(command.advertised_prefixes, links)


def _microsoft(command: PutPeering, before: Peering | None) -> MicrosoftConfig:
    """The peering's own part. A prefix that was believed under the same numbers stays so."""
    believed: dict[Network, AdvertisedPrefix] = {}
    if before is not None and before.microsoft is not None:
        same = (before.peer_asn, before.microsoft.customer_asn, before.microsoft.registry)
        if same == (command.peer_asn, command.customer_asn, command.registry):
            believed = {one.prefix: one for one in before.microsoft.prefixes}
    return MicrosoftConfig(
        tuple(believed.get(prefix, AdvertisedPrefix(prefix)) for prefix in command.advertised_prefixes),
        command.customer_asn,
        command.registry,
        command.legacy,
    )


def _switch(state: State, command: DisablePeering | EnablePeering, wanted: Switch) -> Outcome:
    found = circuit_and_peering(state, command.circuit, command.peering)
    if isinstance(found, Refusal):
        return found
    circuit, peering = found
    after = state.with_peering(circuit, replace(peering, state=wanted))
    return Accepted(_forget(after, circuit.name, peering.name) if wanted == "Disabled" else after)


def disable_peering(state: State, command: DisablePeering) -> Outcome:
    """Shut both sessions of a peering (facts 2.1)."""
    return _switch(state, command, "Disabled")


def enable_peering(state: State, command: EnablePeering) -> Outcome:
    """Open them again."""
    return _switch(state, command, "Enabled")


def reset_peering(state: State, command: ResetPeering) -> Outcome:
    """Down and up again; an old peering comes back with BFD (facts 4)."""
    found = circuit_and_peering(state, command.circuit, command.peering)
    if isinstance(found, Refusal):
        return found
    circuit, peering = found
    after = state.with_peering(circuit, replace(peering, state="Enabled", bfd=True))
    words = f"both sessions of the {peering.name} peering of circuit {circuit.name} start anew"
    return Accepted(_forget(after, circuit.name, peering.name), (Event("PeeringReset", circuit.name, words),))


def delete_peering(state: State, command: DeletePeering) -> Outcome:
    """Remove a peering; a private one only without links to VNets and other circuits (facts 2.1)."""
    found = circuit_and_peering(state, command.circuit, command.peering)
    if isinstance(found, Refusal):
        return found
    circuit, peering = found
    if peering.name == "private":
        hanging = state.users_of(circuit.name)
        if hanging:
            return Refusal(
                "PeeringInUse",
                f"the private peering of circuit {circuit.name} has the connections {', '.join(hanging)}",
                "delete them first",
            )
    after = state.with_circuit(replace(circuit, peerings=drop(circuit.peerings, [peering.name])))
    return Accepted(_forget(after, circuit.name, peering.name))


def _forget(state: State, circuit: str, peering: str) -> State:
    """What routers reported about sessions that are gone counts no more."""
    kept = tuple(one for one in state.received if (one.circuit, one.peering) != (circuit, peering))
    return replace(state, received=kept)
