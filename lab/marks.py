"""What this machine can do of quality of service, and what of a lab is left out where it cannot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from edge.errors import CapabilityError
from edge.fastpath.markplane import MarkPlane
from edge.net.capabilities import PacketRules
from edge.net.htb import LeafKind
from edge.net.marking import MarkPlaneLike
from edge.net.objects.base import KernelObject
from edge.net.objects.frames import Marking, Queues
from edge.net.queue_support import probe as probe_queues


@dataclass(frozen=True, slots=True)
class QosSupport:
    """What marks and what queues.

    plane: our programs, packet rules, or nothing that marks. leaves: queues at the ends of classes; None when
    there are no classes. lacks: what the lab goes without, in words, each with the way out.
    """

    plane: MarkPlaneLike | Literal["nft"] | None
    leaves: LeafKind | None
    lacks: tuple[str, ...] = ()

    @property
    def marking(self) -> str:
        """`bpf`, `nft`, or empty."""
        if self.plane is None:
            return ""
        return "nft" if self.plane == "nft" else "bpf"


def kernel_support(packet_rules: PacketRules) -> QosSupport:
    """That of the kernel: programs where it takes them, else packet rules where nftables has them."""
    lacks = []
    queues = probe_queues()
    if not queues.htb.ok:
        lacks.append(f"no queues: {queues.htb.detail} (way out: {queues.htb.remedy})")
    plane: MarkPlaneLike | Literal["nft"] | None
    try:
        plane = MarkPlane()
    except CapabilityError as error:
        plane = "nft" if packet_rules == "nft" else None
        if plane is None:
            lacks.append(
                f"no marking: {error.missing} (way out: {error.remedy or 'sudo modprobe nf_tables'})"
            )
    return QosSupport(plane, queues.leaves if queues.htb.ok else None, tuple(lacks))


def possible(wanted: Iterable[KernelObject], support: QosSupport) -> tuple[KernelObject, ...]:
    """The objects without those that the machine cannot do. Pure."""
    return tuple(filter(None, (_possible(item, support) for item in wanted)))


def _possible(item: KernelObject, support: QosSupport) -> KernelObject | None:
    if isinstance(item, Queues):
        return item if support.leaves is not None else None
    if not isinstance(item, Marking):
        return item
    # Packet rules see no tags.
    if support.plane is None or (support.plane == "nft" and item.outer is not None):
        return None
    return replace(item, tree=item.tree if support.leaves is not None else None)
