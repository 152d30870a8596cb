"""Microsoft's acts: quotas, authorisation, validation of prefixes, maintenance; and what routers report."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from edge.model import Network
from lab.service import asn
from lab.service.commands import (
    ApprovePrefix,
    AuthorizeMicrosoft365,
    BeginMaintenance,
    EndMaintenance,
    RaiseQuota,
    RegisterPrefix,
    ReportPrefixes,
    ValidatePrefixes,
)
from lab.service.handlers.capacity import DEFAULT_QUOTA
from lab.service.limits import customer_prefix_limit
from lab.service.prefix_limit import judge
from lab.service.prefixes import inside
from lab.service.refusal import Refusal
from lab.service.resources import (
    AdvertisedPrefix,
    Circuit,
    MicrosoftConfig,
    Peering,
    Quota,
    Received,
    Registration,
    Validation,
)
from lab.service.state import Accepted, Event, Outcome, State, circuit_and_peering, find, find_peering, put
from lab.service.views import WAITING, prefixes_state


def raise_quota(state: State, command: RaiseQuota) -> Outcome:
    """More circuits for a subscription, never fewer than everybody has (facts 2.2)."""
    wanted = (command.circuits, command.circuits_per_region)
    least = (DEFAULT_QUOTA.circuits, DEFAULT_QUOTA.circuits_per_region)
    if wanted[0] < least[0] or wanted[1] < least[1]:
        return Refusal(
            "QuotaBelowDefault",
            f"{wanted[0]} circuits and {wanted[1]} per region are fewer than every subscription has",
            f"ask for {least[0]} and {least[1]} or more",
        )
    return Accepted(replace(state, quotas=put(state.quotas, command.subscription, Quota(*wanted))))


def authorize_microsoft_365(state: State, command: AuthorizeMicrosoft365) -> Outcome:
    """Let a subscription attach Microsoft 365 communities, or not; filters in place stay (facts 3.6)."""
    kept = tuple(one for one in state.authorized_365 if one != command.subscription)
    now = (*kept, command.subscription) if command.allowed else kept
    return Accepted(replace(state, authorized_365=now))


def register_prefix(state: State, command: RegisterPrefix) -> Outcome:
    """An entry of a routing registry; another entry for the same prefix there is replaced (facts 3.4)."""
    if command.registry == "NONE":
        return Refusal("RegistryNone", "NONE is no registry", "name one such as RIPENCC")
    made = Registration(command.prefix, command.asn, command.registry)
    kept = tuple(
        one for one in state.registrations if (one.prefix, one.registry) != (made.prefix, made.registry)
    )
    return Accepted(replace(state, registrations=(*kept, made)))


def _microsoft_peering(state: State, name: str) -> tuple[Circuit, Peering, MicrosoftConfig] | Refusal:
    circuit = find(state.circuits, "circuit", name)
    if isinstance(circuit, Refusal):
        return circuit
    peering = find_peering(circuit, "microsoft")
    if isinstance(peering, Refusal):
        return peering
    return circuit, peering, peering.microsoft or MicrosoftConfig()


def validate(state: State, peering: Peering, prefix: Network) -> Validation:
    """What the registries say about a prefix (facts 3.2, 3.4).

    A private AS number needs a person; a prefix of nobody, or of somebody else, needs proof. A lab that is
    not strict takes documentation numbers for public ones.
    """
    config = peering.microsoft or MicrosoftConfig()
    owner = config.customer_asn or peering.peer_asn
    if asn.kind(owner) == "private":
        return "ManualValidationNeeded"
    entries = [
        one
        for one in state.registrations
        if inside(prefix, one.prefix) and config.registry in ("NONE", one.registry)
    ]
    if not entries:
        return "ValidationNeeded"
    return "Configured" if any(one.asn == owner for one in entries) else "AsnValidationFailed"


def _written(
    state: State,
    circuit: Circuit,
    peering: Peering,
    config: MicrosoftConfig,
    found: tuple[AdvertisedPrefix, ...],
) -> Outcome:
    after = replace(peering, microsoft=replace(config, prefixes=found))
    how = prefixes_state(after)
    words = f"advertised prefixes of circuit {circuit.name} are {how}"
    if how != "Configured":
        words += ", so its Microsoft peering has no session"
    return Accepted(state.with_peering(circuit, after), (Event(f"Prefixes{how}", circuit.name, words),))


def validate_prefixes(state: State, command: ValidatePrefixes) -> Outcome:
    """The answer to everything that waits (facts 3.4)."""
    there = _microsoft_peering(state, command.circuit)
    if isinstance(there, Refusal):
        return there
    circuit, peering, config = there
    found = tuple(
        replace(one, validation=validate(state, peering, one.prefix)) if one.validation in WAITING else one
        for one in config.prefixes
    )
    return _written(state, circuit, peering, config, found)


def approve_prefix(state: State, command: ApprovePrefix) -> Outcome:
    """The answer of a person, whatever the registries said (facts 3.4)."""
    there = _microsoft_peering(state, command.circuit)
    if isinstance(there, Refusal):
        return there
    circuit, peering, config = there
    if command.prefix not in [one.prefix for one in config.prefixes]:
        listed = ", ".join(str(one.prefix) for one in config.prefixes)
        return Refusal(
            "PrefixNotAdvertised",
            f"{command.prefix} is not among the advertised prefixes of circuit {circuit.name}",
            f"name one of {listed}" if listed else "add it to the peering first",
        )
    answer: Validation = "Configured" if command.approved else "ValidationFailed"
    found = tuple(
        replace(one, validation=answer) if one.prefix == command.prefix else one for one in config.prefixes
    )
    return _written(state, circuit, peering, config, found)


def begin_maintenance(state: State, command: BeginMaintenance) -> Outcome:
    """Prepend on one connection; the two are never worked on at once (facts 4)."""
    circuit = find(state.circuits, "circuit", command.circuit)
    if isinstance(circuit, Refusal):
        return circuit
    if circuit.maintenance:
        return Refusal(
            "MaintenanceRuns",
            f"the {circuit.maintenance} connection of circuit {circuit.name} is being worked on",
            "end that first, the two have separate windows",
        )
    return _maintenance(state, circuit, command.path)


def end_maintenance(state: State, command: EndMaintenance) -> Outcome:
    """Take the prepends away."""
    circuit = find(state.circuits, "circuit", command.circuit)
    if isinstance(circuit, Refusal):
        return circuit
    if not circuit.maintenance:
        return Refusal(
            "MaintenanceNone", f"nobody works on circuit {circuit.name}", "begin a maintenance first"
        )
    return _maintenance(state, circuit, "")


def _maintenance(state: State, circuit: Circuit, path: Literal["primary", "secondary", ""]) -> Outcome:
    words = f"maintenance of the {path or circuit.maintenance} connection of circuit {circuit.name} "
    event = Event("Maintenance", circuit.name, words + ("begins" if path else "ends"))
    return Accepted(state.with_circuit(replace(circuit, maintenance=path)), (event,))


def report_prefixes(state: State, command: ReportPrefixes) -> Outcome:
    """Remember a count; tell when it crosses the limit, or comes near it (facts 3.3)."""
    found = circuit_and_peering(state, command.circuit, command.peering)
    if isinstance(found, Refusal):
        return found
    circuit, peering = found
    if command.version not in peering.versions or command.count < 0:
        return Refusal(
            "ReportInvalid",
            f"the {peering.name} peering of circuit {circuit.name} has no IPv{command.version} session "
            f"with {command.count} prefixes",
            f"report IPv{' or IPv'.join(map(str, peering.versions))}, 0 prefixes or more",
        )
    made = Received(circuit.name, peering.name, command.path, command.version, command.count)
    key = (made.circuit, made.peering, made.path, made.version)
    before = 0
    kept = []
    for one in state.received:
        if (one.circuit, one.peering, one.path, one.version) == key:
            before = one.count
        else:
            kept.append(one)
    limit = customer_prefix_limit(peering.name, circuit.tier, command.version).count
    was, now = judge(before, limit), judge(command.count, limit)
    after = replace(state, received=(*kept, made) if command.count else tuple(kept))
    if was == now:
        return Accepted(after)
    words = (
        f"the {command.path} IPv{command.version} session of the {peering.name} peering of circuit "
        f"{circuit.name} has {command.count} of {limit} prefixes"
    )
    return Accepted(after, (Event(f"Prefixes{now.capitalize()}", circuit.name, words),))
