"""Small worlds of the service that tests start from, and the two ways to ask for something."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from edge.model import Address, Network
from lab.service.apply import Refused, apply, apply_all
from lab.service.commands import (
    AuthorizeMicrosoft365,
    Command,
    CreateCircuit,
    CreateGateway,
    CreatePortPair,
    CreateVnet,
    LinkVnet,
    Provision,
    PutPeering,
    RegisterPrefix,
    SetLinkAdminState,
    ValidatePrefixes,
)
from lab.service.refusal import Refusal
from lab.service.resources import Circuit, Encapsulation, Peering, Scope, Tier
from lab.service.state import Settings, State

EMPTY = State()


def v4(text: str) -> IPv4Network:
    return IPv4Network(text)


def v6(text: str) -> IPv6Network:
    return IPv6Network(text)


def net(text: str) -> Network:
    return ip_network(text)


def at(text: str) -> Address:
    return ip_address(text)


def done(state: State, *commands: Command) -> State:
    """The state after commands that are all accepted."""
    outcome = apply_all(state, commands)
    assert not isinstance(outcome, Refused), (outcome.command, str(outcome.refusal))
    return outcome.state


def refused(state: State, command: Command) -> str:
    """The code of a refusal, which has words and a source, and a way out or none."""
    outcome = apply(state, command)
    assert isinstance(outcome, Refusal), command
    assert outcome.words
    assert not outcome.words.endswith(".")
    assert outcome.source
    assert 400 <= outcome.status < 500
    return outcome.code


def events(state: State, command: Command) -> list[str]:
    """Kinds of events that an accepted command causes."""
    outcome = apply(state, command)
    assert not isinstance(outcome, Refusal), str(outcome)
    return [event.kind for event in outcome.events]


def ordered(
    name: str = "ams",
    tier: Tier = "standard",
    location: str = "Amsterdam",
    mbps: int = 200,
    family: Any = "unlimited",
    **more: Any,
) -> CreateCircuit:
    return CreateCircuit(name, tier, family, mbps, provider="Equinix", location=location, **more)


def private(circuit: str = "ams", number: int = 15, dual: bool = False, **more: Any) -> PutPeering:
    """A private peering with a link subnet of its number."""
    given: dict[str, Any] = {
        "vlan": 100,
        "peer_asn": 65010,
        "v4": (v4(f"192.168.{number}.0/29"),),
        "v6": (v6(f"fd00:{number}::/125"),) if dual else (),
        **more,
    }
    return PutPeering(circuit, "private", **given)


def microsoft(circuit: str = "ams", number: int = 0, **more: Any) -> PutPeering:
    given: dict[str, Any] = {
        "vlan": 200,
        "peer_asn": 64496,
        "v4": (v4(f"198.51.100.{8 * number}/29"),),
        "advertised_prefixes": (v4(f"203.0.113.{16 * number}/28"),),
        **more,
    }
    return PutPeering(circuit, "microsoft", **given)


def with_circuit(
    state: State = EMPTY, name: str = "ams", tier: Tier = "standard", number: int = 15, **more: Any
) -> State:
    """A provisioned circuit with a private peering."""
    return done(state, ordered(name, tier, **more), Provision(name), private(name, number))


def with_microsoft(state: State = EMPTY, tier: Tier = "premium", **more: Any) -> State:
    """A provisioned circuit whose Microsoft peering is validated, authorised for Microsoft 365."""
    return done(
        state,
        ordered(tier=tier),
        Provision("ams"),
        RegisterPrefix(net("203.0.113.0/24"), 64496, "RADB"),
        microsoft(**more),
        ValidatePrefixes("ams"),
        AuthorizeMicrosoft365("lab"),
    )


def with_vnet(
    state: State,
    name: str = "hub",
    number: int = 50,
    circuits: tuple[str, ...] = ("ams",),
    region: str = "westeurope",
    sku: Any = "ErGw3AZ",
    subscription: str = "lab",
) -> State:
    """A virtual network with a gateway that joins circuits."""
    scope = Scope(subscription)
    return done(
        state,
        CreateVnet(name, region, (net(f"10.{number}.0.0/16"),), scope),
        CreateGateway(f"{name}-gw", name, sku, (net(f"10.{number}.255.0/26"),), scope=scope),
        *(LinkVnet(f"{name}-{circuit}", f"{name}-gw", circuit, scope=scope) for circuit in circuits),
    )


def with_port(encapsulation: Encapsulation = "QinQ", gbps: int = 10) -> State:
    """A Direct port pair with both links enabled."""
    return done(
        EMPTY,
        CreatePortPair("pair", "Amsterdam", gbps, encapsulation),
        SetLinkAdminState("pair", "primary", "Enabled"),
        SetLinkAdminState("pair", "secondary", "Enabled"),
    )


def on_port(name: str, gbps: int = 1, **more: Any) -> CreateCircuit:
    return CreateCircuit(name, "standard", "metered", 1000 * gbps, port="pair", **more)


def strict() -> State:
    return State(Settings(strict=True))


def circuit(state: State, name: str = "ams") -> Circuit:
    return state.circuits[name]


def peering(state: State, name: Any = "private", of: str = "ams") -> Peering:
    return state.circuits[of].peerings[name]
