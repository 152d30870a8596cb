"""The hops of a path in the lab's own words: which node, which peering, or the Internet. Pure.

A router answers with the address of one of its interfaces, so an address is first looked up among all
addresses of the model. Addresses may repeat in different routing domains; then the owner in the domain of the
packet's source is meant, and of several the one that shares a subnet with the hop before it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from edge.model import Address
from lab.domains import domain_of
from lab.lookup import Owner, node_of, owners_of
from lab.model import LabModel, PeeringEnd
from lab.trace import Path

INTERNET = "internet"
_INTERNET_KINDS = ("internet", "internet-edge")


@dataclass(frozen=True, slots=True)
class HopName:
    """One hop for people. Empty strings mean: does not apply; node is empty for an unknown address.

    circuit, peering and connection are set when the hop proves that a peering was crossed: the address
    is that of one of its ends, or the hop is in the MSEE's routing domain of that peering.
    """

    address: Address | None
    node: str = ""
    namespace: str = ""
    circuit: str = ""
    peering: str = ""
    connection: str = ""
    internet: bool = False

    def __str__(self) -> str:
        if self.address is None:
            return "*"
        if not self.node:
            return f"unknown {self.address}"
        if self.circuit:
            return f"{self.node} ({self.circuit}/{self.peering} {self.connection})"
        return self.node


def explain_path(model: LabModel, path: Path, source: str = "") -> tuple[HopName, ...]:
    """Name every hop of a path, in order. source: the namespace that sent the packets, if it is known."""
    domain = domain_of(model, source) if source else frozenset()
    owners: dict[Address, list[Owner]] = defaultdict(list)
    for owner in owners_of(model):
        owners[owner.address.ip].append(owner)
    names: list[HopName] = []
    for hop in path.hops:
        before = names[-1].namespace if names else ""
        names.append(_name(model, owners, hop.address, before, domain))
    return tuple(names)


def vias(names: tuple[HopName, ...]) -> tuple[str, ...]:
    """What a path crosses, in order: names of circuits, and "internet"; each once."""
    crossed: dict[str, None] = {}
    for name in names:
        if name.circuit:
            crossed[name.circuit] = None
        if name.internet:
            crossed[INTERNET] = None
    return tuple(crossed)


def describe(names: tuple[HopName, ...]) -> str:
    """All hops on one line."""
    return ", ".join(str(name) for name in names) or "none"


def _name(
    model: LabModel,
    owners: dict[Address, list[Owner]],
    address: Address | None,
    before: str,
    domain: frozenset[str],
) -> HopName:
    if address is None:
        return HopName(None)
    known = owners.get(address, [])
    candidates = [item for item in known if item.at.namespace in domain] or known
    if not candidates:
        return HopName(address)
    owner = candidates[0]
    if len(candidates) > 1 and before:
        near = [item for near in owners.values() for item in near if item.at.namespace == before]
        owner = next(
            (item for item in candidates if any(other.address.ip in item.address.network for other in near)),
            owner,
        )
    node = node_of(model, owner.at.namespace)
    end = _crossed(model, owner)
    return HopName(
        address=address,
        node=owner.node,
        namespace=owner.at.namespace,
        circuit=end.circuit if end else "",
        peering=end.peering if end else "",
        connection=end.connection if end else "",
        internet=node is not None and node.kind in _INTERNET_KINDS,
    )


def _crossed(model: LabModel, owner: Owner) -> PeeringEnd | None:
    """The peering that a packet has crossed when this address answers.

    A customer's router has all its peerings in one namespace, so there the device must be the peering's;
    Microsoft's router has a routing domain of its own per peering.
    """
    for end in model.peering_ends:
        if end.namespace == owner.at.namespace and (end.device == owner.at.device or end.side == "microsoft"):
            return end
    return None
