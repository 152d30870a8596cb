"""What a call is to be: who speaks to whom, with how many streams of what, from which ports. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from edge.errors import UsageError
from edge.model import Address
from edge.qos.model import PortRange
from lab.lookup import node_of, owners_of, source_namespace, suggestion, target_address
from lab.model import LabModel
from lab.traffic.emodel import CODECS, Codec
from lab.traffic.media import MEDIA, Medium
from lab.traffic.ports import call_ports
from lab.traffic.quality import CLIENT_TO_EDGE, EDGE_TO_EDGE, Target

Way = Literal["out", "in"]
"""From the caller to who is called, or back."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call as a user asks for it: names, numbers of streams, seconds.

    both: the called side sends as well. marked: clients mark what they send (Microsoft's relays do not), else
    only the network does.
    """

    source: str
    target: str
    streams: Mapping[Medium, int]
    seconds: float = 10.0
    codec: str = "g711-plc"
    profile: str = "teams"
    family: Literal[4, 6] = 4
    both: bool = True
    marked: bool = False


@dataclass(frozen=True, slots=True)
class CallPlan:
    """A call that can be held.

    own: the caller's address; None leaves it to the kernel, as a router has several. near, far: ranges of
    ports at the ends, by medium. relayed: Microsoft's relays are called. target: Microsoft's for such a call.
    """

    wanted: Wanted
    namespaces: tuple[str, str]
    own: Address | None
    address: Address
    near: Mapping[Medium, PortRange]
    far: Mapping[Medium, PortRange]
    relayed: bool
    codec: Codec
    target: Target

    @property
    def ways(self) -> tuple[Way, ...]:
        """The directions in which something is sent."""
        return ("out", "in") if self.wanted.both else ("out",)


def far_end(model: LabModel, target: str, family: Literal[4, 6]) -> tuple[str, Address]:
    """(namespace, address) of who is called, by a node's name or an address of the lab.

    Raises UsageError when nobody in the lab has it.
    """
    address = target_address(model, target, family)
    if not _is_address(target):
        return source_namespace(model, target), address
    owner = next((item for item in owners_of(model) if item.address.ip == address), None)
    if owner is None:
        names = (node.name for node in model.nodes)
        raise UsageError(
            f"nobody in this lab has {target}, so nobody there can answer; {suggestion('', names)}"
        )
    return owner.at.namespace, address


def _is_address(word: str) -> bool:
    try:
        ip_address(word)
    except ValueError:
        return False
    return True


def plan_call(model: LabModel, wanted: Wanted) -> CallPlan:
    """Names become namespaces and addresses, the profile ports. Raises UsageError for what there is not."""
    if not any(wanted.streams.values()):
        raise UsageError("a call has one stream at least; ask for --audio, --video or --sharing")
    if wanted.codec not in CODECS:
        raise UsageError(f"no codec {wanted.codec}; {suggestion(wanted.codec, CODECS)}")
    near = source_namespace(model, wanted.source)
    far, address = far_end(model, wanted.target, wanted.family)
    if near == far:
        raise UsageError(f"{wanted.source} and {wanted.target} are one node; a call needs two")
    ports = call_ports(wanted.profile)
    node = node_of(model, near)
    client = node is not None and node.kind == "host"
    media = [medium for medium in MEDIA if wanted.streams.get(medium)]
    return CallPlan(
        wanted=wanted,
        namespaces=(near, far),
        own=target_address(model, wanted.source, wanted.family) if client else None,
        address=address,
        near={medium: ports.near[medium] for medium in media},
        far={medium: ports.far_of(address)[medium] for medium in media},
        relayed=ports.relayed(address),
        codec=CODECS[wanted.codec],
        target=CLIENT_TO_EDGE if client else EDGE_TO_EDGE,
    )
