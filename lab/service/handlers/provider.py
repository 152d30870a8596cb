"""The provider's acts: the cross connection's state, the throttle, its ports."""

from __future__ import annotations

from dataclasses import replace

from lab.service.commands import (
    Deprovision,
    Provision,
    SetProviderPort,
    SetThrottle,
    StartDeprovisioning,
    StartProvisioning,
)
from lab.service.handlers.capacity import port_name, used_mbps
from lab.service.locations import find as find_location
from lab.service.refusal import Refusal
from lab.service.resources import Circuit, ProviderPort, ProviderState
from lab.service.state import Accepted, Event, Outcome, State, find, put

STEPS: dict[ProviderState, tuple[ProviderState, ...]] = {
    "Provisioning": ("NotProvisioned",),
    "Provisioned": ("NotProvisioned", "Provisioning"),
    "Deprovisioning": ("Provisioning", "Provisioned"),
    "NotProvisioned": ("Provisioning", "Provisioned", "Deprovisioning"),
}
"""State -> those from which the provider may go there (facts 2.1)."""


def _provided(state: State, name: str) -> Circuit | Refusal:
    """A circuit that has a provider."""
    circuit = find(state.circuits, "circuit", name)
    if isinstance(circuit, Circuit) and circuit.direct:
        return Refusal(
            "NoProvider",
            f"circuit {name} is on Direct port pair {circuit.port} and has no provider",
            "it is Provisioned from the start",
        )
    return circuit


def _step(state: State, name: str, to: ProviderState, notes: str = "") -> Outcome:
    circuit = _provided(state, name)
    if isinstance(circuit, Refusal):
        return circuit
    if circuit.provider_state not in STEPS[to]:
        return Refusal(
            "ProviderStep",
            f"circuit {name} is {circuit.provider_state} and cannot become {to}",
            f"that goes from {' or '.join(STEPS[to])}",
        )
    throttle = {"Provisioned": circuit.bandwidth_mbps, "NotProvisioned": 0}.get(to, circuit.throttle_mbps)
    after = replace(
        circuit,
        provider_state=to,
        throttle_mbps=throttle,
        provider_notes=notes or circuit.provider_notes,
    )
    event = Event(f"Circuit{to}", name, f"{circuit.provider} has set circuit {name} to {to}")
    return Accepted(state.with_circuit(after), (event,))


def start_provisioning(state: State, command: StartProvisioning) -> Outcome:
    """The provider begins (facts 2.1)."""
    return _step(state, command.circuit, "Provisioning", command.notes)


def provision(state: State, command: Provision) -> Outcome:
    """The provider is done: peerings may be made (facts 2.1)."""
    return _step(state, command.circuit, "Provisioned", command.notes)


def start_deprovisioning(state: State, command: StartDeprovisioning) -> Outcome:
    """The provider begins to take its part down."""
    return _step(state, command.circuit, "Deprovisioning")


def deprovision(state: State, command: Deprovision) -> Outcome:
    """The provider has removed its part: the circuit carries nothing and may be deleted (facts 2.1)."""
    return _step(state, command.circuit, "NotProvisioned")


def set_throttle(state: State, command: SetThrottle) -> Outcome:
    """What the provider polices to; forgotten after an upgrade, it keeps the old rate (facts 11, 13)."""
    circuit = _provided(state, command.circuit)
    if isinstance(circuit, Refusal):
        return circuit
    if not circuit.provisioned:
        return Refusal(
            "CircuitNotProvisioned",
            f"circuit {circuit.name} is {circuit.provider_state}",
            "provision it first",
        )
    if command.mbps < 1:
        return Refusal("ThrottleInvalid", f"{command.mbps} Mbit/s is no rate", "use 1 Mbit/s or more")
    return Accepted(state.with_circuit(replace(circuit, throttle_mbps=command.mbps)))


def set_provider_port(state: State, command: SetProviderPort) -> Outcome:
    """What a provider's port pair carries; never less than its circuits have (facts 2)."""
    place = find_location(command.location)
    if place is None:
        return Refusal(
            "LocationUnknown",
            f"there is no peering location {command.location!r}",
            "use one such as Amsterdam",
        )
    if command.bandwidth_mbps < 1 or command.overprovision_factor < 1:
        return Refusal(
            "PortInvalid", "a port has a bandwidth and a factor of 1 or more", "give larger numbers"
        )
    used = used_mbps(state, command.provider, place.name)
    if used > command.bandwidth_mbps * command.overprovision_factor:
        return Refusal(
            "ProviderPortFull",
            f"circuits of {used} Mbit/s are on the port of {command.provider} at {place.name}",
            "describe a larger port, or delete circuits first",
        )
    name = port_name(command.provider, place.name)
    port = ProviderPort(
        name, command.provider, place.name, command.bandwidth_mbps, command.overprovision_factor
    )
    return Accepted(replace(state, provider_ports=put(state.provider_ports, name, port)))
