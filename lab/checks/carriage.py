"""Which links carried so many octets: proof that traffic crossed a circuit, and by what it went if not.

The kernel counts the octets of every device, whoever sends them and whatever is inside: so tunnels and
encryption do not hide traffic, and other traffic at that moment counts as well. Where a wire carries one
circuit alone, its own ends are looked at; where circuits share it, as on ExpressRoute Direct, both ends
of each peering.

An edge's subinterface may count nothing: eBPF takes its frames before they are sent. The other end of the
peering has counted them then. So what a carrier carried is the most that any of its devices counted, in
one direction.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge.net.netlink import NETLINK_ROUTE, RouteSocket
from edge.net.objects.base import Endpoint
from edge.net.readings import read_traffic
from lab.access import LabAccess
from lab.model import LabModel
from lab.places import circuit_links

WORTH_TELLING = 0.1
"""Part of what was received that a link must have carried to be named: acknowledgements are less."""

Octets = Mapping[Endpoint, tuple[int, int]]
"""What devices have received and sent since they were made."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """A wire, or a peering on one connection, with the devices that count what it carries."""

    name: str
    devices: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Carriage:
    """How `received` octets of data came: what each carrier of a circuit, and each other link, carried.

    That counts headers, too, so what all came by a circuit is more there than was received.
    """

    received: int
    circuit: Mapping[str, int]
    others: Mapping[str, int]

    @property
    def part(self) -> float:
        """How much of it the circuit can have carried at most, 1 for all."""
        return min(1.0, sum(self.circuit.values()) / self.received) if self.received else 0.0

    @property
    def shares(self) -> str:
        """By what it crossed the circuit: `ams-primary (46 %), ams-secondary (54 %)`."""
        total = sum(self.circuit.values())
        parts = ((name, 100 * octets / total) for name, octets in self.circuit.items() if octets)
        return ", ".join(f"{name} ({percent:.0f} %)" for name, percent in parts if percent >= 1)

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """Other links that carried a part worth telling."""
        return tuple(
            name for name, octets in self.others.items() if octets >= max(1, WORTH_TELLING * self.received)
        )


def circuit_carriers(model: LabModel, circuit: str) -> tuple[Carrier, ...]:
    """What counts all that crosses a circuit, each octet once. Pure."""
    wires = circuit_links(model, circuit)
    if wires and all(link.circuit == circuit for link in wires):
        return tuple(Carrier(link.name, (link.a, link.b)) for link in wires)
    ends: dict[str, list[Endpoint]] = {}
    for end in model.peering_ends:
        if end.circuit == circuit:
            name = f"{circuit}/{end.peering} {end.connection}"
            ends.setdefault(name, []).append(Endpoint(end.namespace, end.device))
    return tuple(Carrier(name, tuple(devices)) for name, devices in ends.items())


def other_carriers(model: LabModel, circuit: str, hosts: Iterable[str]) -> tuple[Carrier, ...]:
    """All links but those of the circuit and those that end at one of these namespaces. Pure.

    Of a wire that it shares with other circuits, theirs.
    """
    own, spaces = set(circuit_links(model, circuit)), set(hosts)
    sharing = (
        item
        for other in model.circuits
        if other.name != circuit and own & set(circuit_links(model, other.name))
        for item in circuit_carriers(model, other.name)
    )
    links = (
        Carrier(link.name, (link.a, link.b))
        for link in model.links
        if link not in own and not spaces & {link.a.namespace, link.b.namespace}
    )
    return (*sharing, *links)


def carried(carriers: Iterable[Carrier], before: Octets, after: Octets) -> dict[str, int]:
    """What each carried between two readings, in the direction that had more. Pure.

    A device that was not there at both, or was made anew meanwhile, proves nothing.
    """
    return {
        item.name: max(
            (
                late - early
                for device in item.devices
                if device in before and device in after
                for early, late in zip(before[device], after[device], strict=True)
                if late >= early
            ),
            default=0,
        )
        for item in carriers
    }


def read_octets(access: LabAccess, carriers: Sequence[Carrier]) -> dict[Endpoint, tuple[int, int]]:
    """What the devices of carriers have counted so far. Raises EdgeError, OSError."""
    found = {}
    devices = {device for item in carriers for device in item.devices}
    for space in sorted({device.namespace for device in devices}):
        opened = access.socket(space, socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
        with RouteSocket.over(opened) as route:
            for name, counted in read_traffic(route).items():
                if Endpoint(space, name) in devices:
                    found[Endpoint(space, name)] = (counted.rx_octets, counted.tx_octets)
    return found
