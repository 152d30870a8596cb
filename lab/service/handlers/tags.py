"""S-tags and C-tags: which are free, and where one must be alone."""

from __future__ import annotations

from dataclasses import dataclass

from lab.model import PeeringName
from lab.service.locations import sites
from lab.service.refusal import Refusal
from lab.service.resources import Circuit
from lab.service.state import State

VLAN_IDS = range(1, 4095)
"""Numbers a tag can have (IEEE 802.1Q)."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that a circuit ends on: of a Direct port pair, or a provider's at its two sites."""

    pair: str
    provider: str
    location: str
    metro: bool = False

    @property
    def sites(self) -> tuple[str, str]:
        """Where the primary and the secondary link end (facts 7). Raises KeyError as `locations.sites`."""
        return sites(self.location, self.metro)

    def shares(self, circuit: Circuit) -> bool:
        """Whether a circuit has a port in common: of a Metro and a standard circuit perhaps one only."""
        others = sites(circuit.location, circuit.metro)
        same = any(one == other for one, other in zip(self.sites, others, strict=True))
        return (circuit.port, circuit.provider) == (self.pair, self.provider) and same


def free_s_tag(state: State, ports: Ports) -> int | None:
    """The lowest S-tag that no other circuit has there (facts 1.2); None when all are taken."""
    taken = {one.s_tag for one in state.circuits.values() if ports.shares(one)}
    return next((tag for tag in VLAN_IDS if tag not in taken), None)


def refuse_s_tag(state: State, ports: Ports, tag: int) -> Refusal | None:
    """Whether a circuit may have this S-tag: unique on the ports (facts 1.2)."""
    if tag not in VLAN_IDS:
        return Refusal("VlanInvalid", f"{tag} is no VLAN id", "use one of 1-4094")
    for one in state.circuits.values():
        if one.s_tag == tag and ports.shares(one):
            return Refusal(
                "StagTaken",
                f"S-tag {tag} is taken by circuit {one.name} of {ports.pair or ports.provider} at "
                f"{ports.location}",
                "use another of 1-4094, or leave it to the service",
            )
    return None


def refuse_c_tag(state: State, circuit: Circuit, peering: PeeringName, vlan: int) -> Refusal | None:
    """Whether a peering may have this C-tag (facts 1.2).

    It is alone in its circuit; on a Dot1Q port pair, where no S-tag tells circuits apart, alone on the pair.
    """
    if vlan not in VLAN_IDS:
        return Refusal("VlanInvalid", f"{vlan} is no VLAN id", "use one of 1-4094")
    for other in circuit.peerings.values():
        if other.name != peering and other.vlan == vlan:
            return Refusal(
                "VlanTakenInCircuit",
                f"C-tag {vlan} is taken by the {other.name} peering of circuit {circuit.name}",
                "use another of 1-4094",
            )
    if not circuit.direct or state.ports[circuit.port].encapsulation == "QinQ":
        return None
    for neighbour in state.circuits_on(circuit.port):
        for other in neighbour.peerings.values():
            if neighbour.name != circuit.name and other.vlan == vlan:
                return Refusal(
                    "VlanTakenOnPort",
                    f"C-tag {vlan} is taken by the {other.name} peering of circuit {neighbour.name} on the "
                    f"Dot1Q port pair {circuit.port}",
                    "use another of 1-4094",
                )
    return None
