"""What a circuit's peering on one path means: an MSEE, a routing domain, a device. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Interface
from typing import Literal

from edge.errors import UsageError
from edge.model import Address
from lab.lookup import suggestion
from lab.model import Circuit, ConnectionName, LabModel, PeeringEnd, PeeringName

PATHS: tuple[ConnectionName, ConnectionName] = ("primary", "secondary")

PEERING_NAMES: dict[PeeringName, Literal["AzurePrivatePeering", "MicrosoftPeering"]] = {
    "private": "AzurePrivatePeering",
    "microsoft": "MicrosoftPeering",
}
"""Names of the resources (facts 12); both are understood."""


@dataclass(frozen=True, slots=True)
class PeeringPath:
    """One peering of a circuit on one of its two connections, as the MSEE has it.

    here and there: the IPv4 addresses of the link, Microsoft's and the customer's. None without IPv4.
    """

    circuit: str
    peering: PeeringName
    path: ConnectionName
    node: str
    namespace: str
    device: str
    here: Address | None
    there: Address | None

    @property
    def label(self) -> str:
        """For people: `ams private primary`."""
        return f"{self.circuit} {self.peering} {self.path}"


def find_circuit(model: LabModel, name: str | None) -> Circuit:
    """The circuit of that name, or the only one. Raises UsageError with the names there are."""
    names = [circuit.name for circuit in model.circuits]
    if name is None and len(model.circuits) == 1:
        return model.circuits[0]
    for circuit in model.circuits:
        if circuit.name == name:
            return circuit
    if name is None:
        raise UsageError(f"say which circuit: --circuit {' or '.join(names)}" if names else "no circuit here")
    raise UsageError(f"no circuit {name}; {suggestion(name, names)}")


def find_peering(circuit: Circuit, name: str) -> PeeringName:
    """The peering of that name, ours or Azure's.

    Raises UsageError when it is not configured, with Azure's words for it (facts 10.6: HTTP 400).
    """
    wanted = name.lower()
    for short, long in PEERING_NAMES.items():
        if wanted in (short, long.lower()) and any(peering.name == short for peering in circuit.peerings):
            return short
    there = ", ".join(peering.name for peering in circuit.peerings) or "none"
    raise UsageError(f"peering {name} not found on circuit {circuit.name}; configured: {there}")


def peering_paths(
    model: LabModel,
    circuit: Circuit,
    peering: PeeringName | None = None,
    path: ConnectionName | None = None,
) -> tuple[PeeringPath, ...]:
    """The paths of a circuit, all or those asked for, primary first."""
    customer = {
        (end.peering, end.connection): end
        for end in model.peering_ends
        if end.circuit == circuit.name and end.side == "customer"
    }
    found = [
        PeeringPath(
            circuit.name,
            end.peering,
            end.connection,
            end.node,
            end.namespace,
            end.device,
            _ipv4(end),
            _ipv4(customer.get((end.peering, end.connection))),
        )
        for end in model.peering_ends
        if end.circuit == circuit.name
        and end.side == "microsoft"
        and peering in (None, end.peering)
        and path in (None, end.connection)
    ]
    return tuple(sorted(found, key=lambda item: (item.peering != "private", PATHS.index(item.path))))


def _ipv4(end: PeeringEnd | None) -> Address | None:
    interfaces = end.addresses if end is not None else ()
    return next((item.ip for item in interfaces if isinstance(item, IPv4Interface)), None)
