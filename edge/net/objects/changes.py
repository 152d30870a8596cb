"""What is done to objects, and in which order. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.ike.objects import IkeDaemon
from edge.net.objects.base import KernelObject
from edge.net.objects.daemons import BirdDaemon, MkaDaemon, OwnRouter
from edge.net.objects.devices import (
    AdminUp,
    Bridge,
    BridgePort,
    IpsecTunnel,
    Macsec,
    Macvlan,
    Namespace,
    Sysctl,
    Veth,
    VlanDevice,
)
from edge.net.objects.frames import Impairment, Marking, Queues, RateLimit, SubinterfaceTags, VirtualCircuit
from edge.net.objects.routing import DeviceAddress, KernelRoute, MplsRoute, Ruleset

TIERS: tuple[tuple[type, ...], ...] = (
    (Namespace,),
    (Sysctl,),
    (Veth, Bridge),
    (Macsec, Macvlan, VlanDevice, IpsecTunnel),
    (BridgePort, RateLimit, Queues, Sysctl),
    (AdminUp,),
    (DeviceAddress,),
    (KernelRoute, MplsRoute),
    (Marking,),
    (SubinterfaceTags, VirtualCircuit, Ruleset),
    (Impairment,),
    (MkaDaemon,),
    (IkeDaemon,),
    (BirdDaemon,),
    (OwnRouter,),
)
"""Order of creation: an object needs nothing of a later tier.

Sysctl stands twice: namespace-wide values first, so that devices are born with them, and values of
one device once the device is there.
"""


def tier_of(subject: KernelObject) -> int:
    """Index into TIERS at which an object is created. Raises ValueError for a foreign type."""
    tiers = [index for index, types in enumerate(TIERS) if type(subject) in types]
    if not tiers:
        raise ValueError(f"no tier for {type(subject).__name__}")
    return tiers[-1] if isinstance(subject, Sysctl) and subject.device else tiers[0]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to do: `before` is None for a creation, `after` None for a deletion."""

    before: KernelObject | None
    after: KernelObject | None

    def __post_init__(self) -> None:
        if self.before is None and self.after is None:
            raise ValueError("a change needs a before or an after")

    @property
    def subject(self) -> KernelObject:
        """What it is about: the object as it will be, or as it was when it goes."""
        subject = self.after if self.after is not None else self.before
        assert subject is not None
        return subject

    @property
    def action(self) -> Literal["create", "change", "delete"]:
        """What is done to the subject."""
        if self.before is None:
            return "create"
        return "delete" if self.after is None else "change"

    def inverse(self) -> Change:
        """The change that takes this one back."""
        return Change(before=self.after, after=self.before)

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"
