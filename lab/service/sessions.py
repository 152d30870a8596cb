"""The MSEE's side of every peering: sessions with their addresses, tags and limits, and what stops them.

This is what the state means to routers. A session that is `blocked` is configured and shut, so that the
others of its peering and its circuit never notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from edge.model import MSEE_ASN, Interface, Tag, TagStack
from lab.model import PeeringName
from lab.service.as_path import MAINTENANCE_PREPENDS
from lab.service.limits import customer_prefix_limit
from lab.service.peerings import LinkSubnet
from lab.service.prefix_limit import judge
from lab.service.resources import PATHS, Circuit, Path, Peering
from lab.service.state import State
from lab.service.views import prefixes_state

Blocked = Literal["", "NotProvisioned", "PeeringDisabled", "LinkDisabled", "ValidationNeeded", "PrefixLimit"]
"""Why a session may not come up; empty when it may."""


@dataclass(frozen=True, slots=True)
class MseeSession:
    """One BGP session as Microsoft's side has it.

    tags: on the wire of the MSEE. limit: most prefixes it takes. prepend: how many extra times 12076 goes
    into its routes. bfd: whether the MSEE answers to BFD.
    """

    circuit: str
    peering: PeeringName
    path: Path
    version: Literal[4, 6]
    tags: TagStack
    microsoft: Interface
    customer: Interface
    peer_asn: int
    limit: int
    bfd: bool
    shared_key: str | None = field(default=None, repr=False)
    prepend: int = 0
    blocked: Blocked = ""
    local_asn: int = MSEE_ASN

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Which session it is."""
        return (self.circuit, self.peering, self.path, self.version)


def tags_of(state: State, circuit: Circuit, peering: Peering) -> TagStack:
    """Tags of a peering at the MSEE: S-tag and C-tag, on Dot1Q ports the C-tag alone (facts 1.2)."""
    if circuit.direct and state.ports[circuit.port].encapsulation == "Dot1Q":
        return (Tag(peering.vlan),)
    return (Tag(circuit.s_tag), Tag(peering.vlan))


def sessions(state: State) -> Iterator[MseeSession]:
    """Two sessions for each peering and IP version (facts 1.1, 3.1)."""
    for circuit, peering in state.peerings():
        yield from sessions_of(state, circuit, peering)


def sessions_of(state: State, circuit: Circuit, peering: Peering) -> Iterator[MseeSession]:
    """The sessions of one peering."""
    tags = tags_of(state, circuit, peering)
    for version in peering.versions:
        family: Literal[4, 6] = 4 if version == 4 else 6
        limit = customer_prefix_limit(peering.name, circuit.tier, version).count
        for path, network in zip(PATHS, peering.links(version), strict=True):
            link = LinkSubnet(network)
            yield MseeSession(
                circuit.name,
                peering.name,
                path,
                family,
                tags,
                link.microsoft,
                link.customer,
                peering.peer_asn,
                limit,
                peering.bfd,
                peering.shared_key,
                MAINTENANCE_PREPENDS if circuit.maintenance == path else 0,
                _blocked(state, circuit, peering, path, version, limit),
            )


def _blocked(
    state: State, circuit: Circuit, peering: Peering, path: Path, version: int, limit: int
) -> Blocked:
    """The first reason in the order in which a packet would meet it (facts 1.3, 2.1, 3.3, 3.4)."""
    if circuit.direct and state.ports[circuit.port].link(path).admin_state == "Disabled":
        return "LinkDisabled"
    if not circuit.provisioned:
        return "NotProvisioned"
    if peering.state == "Disabled":
        return "PeeringDisabled"
    if peering.name == "microsoft" and prefixes_state(peering) != "Configured":
        return "ValidationNeeded"
    key = (circuit.name, peering.name, path, version)
    for one in state.received:
        if (one.circuit, one.peering, one.path, one.version) == key and judge(one.count, limit) == "dropped":
            return "PrefixLimit"
    return ""


def frame_owner(
    state: State, ports: tuple[str, str, str], tags: tuple[int, ...]
) -> tuple[str, PeeringName] | None:
    """The circuit and peering whose frames bear these VLAN ids, outermost first; None is dropped.

    ports: (Direct port pair, provider, location), one of the first two empty. Only an exact match counts, so
    a wrong tag leads nowhere, or into the other circuit that owns it, never into both (facts 1.2).
    """
    for circuit, peering in state.peerings():
        if (circuit.port, circuit.provider, circuit.location) == ports and tags == tuple(
            tag.vid for tag in tags_of(state, circuit, peering)
        ):
            return circuit.name, peering.name
    return None


def has_sla(
    state: State, circuit: Circuit, peering: Peering, up: frozenset[tuple[str, str, str, int]]
) -> bool:
    """Whether the SLA applies: every session of the peering is up, of both links (facts 3.1, 7).

    up: the keys of sessions that are Established now, as routers tell.
    """
    return all(one.key in up and not one.blocked for one in sessions_of(state, circuit, peering))
