"""One change as netlink requests: which message, in which namespace. Pure but for the indexes it asks for.

`Indexes` answers with the index a device has, or hands out one for a device about to be made; both raise
MissingError when the namespace (or the device) is not there.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Protocol

from edge.fastpath.layout import BURST_OCTETS_MIN, NANOBITS_PER_BIT, Rate
from edge.net import messages as nl
from edge.net import mpls
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.devices import AdminUp, Bridge, BridgePort, Macsec, Macvlan, Veth, VlanDevice
from edge.net.objects.frames import RateLimit
from edge.net.objects.routing import DeviceAddress, KernelRoute, MplsRoute

Device = Veth | Bridge | Macsec | Macvlan | VlanDevice
LinkState = Device | BridgePort | RateLimit | AdminUp | DeviceAddress | KernelRoute | MplsRoute

_DEVICES = (Veth, Bridge, Macsec, Macvlan, VlanDevice)
LINK_STATE = (*_DEVICES, BridgePort, RateLimit, AdminUp, DeviceAddress, KernelRoute, MplsRoute)
"""The types of LinkState."""

GONE = frozenset((errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENXIO))
"""What the kernel answers when that which shall go is not there."""


class Indexes(Protocol):
    """Where device indexes and namespace descriptors come from."""

    def index(self, at: Endpoint) -> int:
        """Index of a device. Raises MissingError."""

    def allocate(self, at: Endpoint) -> int:
        """A new index for a device about to be made."""

    def exists(self, at: Endpoint) -> bool:
        """Whether the device is there now."""

    def fd(self, name: str) -> int:
        """Descriptor of a namespace. Raises MissingError."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request in one namespace."""

    namespace: str
    request: nl.Request


def devices_of(subject: KernelObject) -> tuple[Endpoint, ...]:
    """The devices that come into being with an object."""
    if isinstance(subject, Veth):
        return (subject.a, subject.b)
    if isinstance(subject, Bridge | Macsec | Macvlan | VlanDevice):
        return (subject.at,)
    return ()


def lower_of(subject: KernelObject) -> Endpoint | None:
    """The device that must be there before `subject` can be made on it."""
    if isinstance(subject, VlanDevice):
        return subject.lower
    return Endpoint(subject.at.namespace, subject.lower) if isinstance(subject, Macsec | Macvlan) else None


def must_be_remade(change: Change) -> bool:
    """Whether the kernel cannot change it in place: it is taken away and made anew.

    What hung on such a device (addresses, routes, its being up) goes with it; it shows as missing in
    what is found next.
    """
    before, after = change.before, change.after
    if isinstance(before, VlanDevice) and isinstance(after, VlanDevice):
        return (before.lower, before.vid, before.tpid) != (after.lower, after.vid, after.tpid)
    if isinstance(before, Macsec) and isinstance(after, Macsec):
        return (before.lower, before.mac) != (after.lower, after.mac)
    if isinstance(before, Macvlan) and isinstance(after, Macvlan):
        return before.lower != after.lower
    return False


def create(subject: LinkState, indexes: Indexes) -> list[Step]:
    """The requests that bring `subject` about. Raises MissingError."""
    if isinstance(subject, Veth | Bridge | Macsec | Macvlan | VlanDevice):
        return _create_device(subject, indexes)
    if isinstance(subject, KernelRoute):
        return [Step(subject.namespace, _add_route(subject, indexes))]
    if isinstance(subject, MplsRoute):
        return [_mpls(subject, indexes, replace=False)]
    index = indexes.index(subject.at)
    if isinstance(subject, BridgePort):
        bridge = indexes.index(Endpoint(subject.namespace, subject.bridge))
        return [Step(subject.namespace, nl.set_master(index, bridge))]
    if isinstance(subject, RateLimit):
        return [Step(subject.namespace, _token_bucket(index, subject))]
    if isinstance(subject, AdminUp):
        return [Step(subject.namespace, nl.set_up(index, True))]
    return [Step(subject.namespace, nl.add_address(index, subject.address))]


def _mpls(route: MplsRoute, indexes: Indexes, replace: bool) -> Step:
    index = indexes.index(Endpoint(route.namespace, route.device))
    return Step(route.namespace, mpls.add_route(route.label, route.out, route.via, index, replace))


def _add_route(route: KernelRoute, indexes: Indexes, replace: bool = False) -> nl.Request:
    on_link = indexes.index(Endpoint(route.namespace, route.device)) if route.device else 0
    return nl.add_route(route.destination, route.via, route.metric, replace, on_link)


def _token_bucket(index: int, limit: RateLimit) -> nl.Request:
    rate = Rate.of(limit.rate_bps)
    burst_octets = rate.burst_nanobits // NANOBITS_PER_BIT // 8
    return nl.set_token_bucket(
        index, limit.rate_bps, limit.overhead_octets, burst_octets, queue_octets=BURST_OCTETS_MIN
    )


def _create_device(subject: Device, indexes: Indexes) -> list[Step]:
    if isinstance(subject, Veth):
        b_fd = indexes.fd(subject.b.namespace)
        a = nl.DeviceSpec(subject.a.device, indexes.allocate(subject.a), subject.mtu, subject.mac_a)
        b = nl.DeviceSpec(subject.b.device, indexes.allocate(subject.b), subject.mtu, subject.mac_b, b_fd)
        return [Step(subject.a.namespace, nl.new_veth(a, b))]
    if isinstance(subject, Bridge):
        index = indexes.allocate(subject.at)
        # A bridge takes the smallest MTU of its ports until somebody *changes* its own; setting the value
        # it has does not count. So it is born with another one.
        born = nl.DeviceSpec(subject.at.device, index, subject.mtu + 1, subject.mac)
        return [
            Step(subject.namespace, nl.new_bridge(born)),
            Step(subject.namespace, nl.set_mtu(index, subject.mtu)),
        ]
    if isinstance(subject, Macsec):
        lower = indexes.index(Endpoint(subject.namespace, subject.lower))
        device = nl.DeviceSpec(subject.at.device, indexes.allocate(subject.at), subject.mtu, subject.mac)
        return [Step(subject.namespace, nl.new_macsec(device, lower))]
    if isinstance(subject, Macvlan):
        lower = indexes.index(Endpoint(subject.namespace, subject.lower))
        device = nl.DeviceSpec(subject.at.device, indexes.allocate(subject.at), subject.mtu, subject.mac)
        return [Step(subject.namespace, nl.new_macvlan(device, lower))]
    lower = indexes.index(subject.lower)
    elsewhere = subject.at.namespace != subject.lower.namespace
    netns_fd = indexes.fd(subject.at.namespace) if elsewhere else None
    index = indexes.allocate(subject.at)
    device = nl.DeviceSpec(subject.at.device, index, subject.mtu, subject.mac, netns_fd)
    return [Step(subject.namespace, nl.new_vlan(device, lower, subject.vid, subject.tpid))]


def change(before: LinkState, after: LinkState, indexes: Indexes) -> list[Step]:
    """The requests that turn `before` into `after` in place. Raises MissingError."""
    if isinstance(after, Veth) and isinstance(before, Veth):
        ends = ((after.a, before.mac_a, after.mac_a), (after.b, before.mac_b, after.mac_b))
        return [
            step for at, old, new in ends for step in _reshape(at, before.mtu, after.mtu, old, new, indexes)
        ]
    kinds = Bridge | Macsec | Macvlan | VlanDevice
    if isinstance(after, kinds) and isinstance(before, kinds):
        return _reshape(after.at, before.mtu, after.mtu, before.mac, after.mac, indexes)
    if isinstance(after, KernelRoute):
        return [Step(after.namespace, _add_route(after, indexes, replace=True))]
    if isinstance(after, MplsRoute):
        return [_mpls(after, indexes, replace=True)]
    return create(after, indexes)


def _reshape(at: Endpoint, old_mtu: int, mtu: int, old_mac: str, mac: str, indexes: Indexes) -> list[Step]:
    index = indexes.index(at)
    steps = []
    if old_mtu != mtu:
        steps.append(Step(at.namespace, nl.set_mtu(index, mtu)))
    if old_mac != mac:
        steps.append(Step(at.namespace, nl.set_mac(index, mac)))
    return steps


def delete(subject: LinkState, indexes: Indexes) -> list[Step]:
    """The requests that take `subject` away. Raises MissingError when it has gone with its device.

    Of a veth one end is enough, and the other end's namespace may have lost its name already.
    """
    if isinstance(subject, KernelRoute):
        return [Step(subject.namespace, nl.delete_route(subject.destination, subject.metric))]
    if isinstance(subject, MplsRoute):
        return [Step(subject.namespace, mpls.delete_route(subject.label))]
    if isinstance(subject, Veth):
        at = subject.a if indexes.exists(subject.a) else subject.b
        return [Step(at.namespace, nl.delete_device(indexes.index(at)))]
    if isinstance(subject, Bridge | Macsec | Macvlan | VlanDevice):
        return [Step(subject.at.namespace, nl.delete_device(indexes.index(subject.at)))]
    index = indexes.index(subject.at)
    if isinstance(subject, BridgePort):
        return [Step(subject.namespace, nl.set_master(index, 0))]
    if isinstance(subject, RateLimit):
        return [Step(subject.namespace, nl.delete_queue(index))]
    if isinstance(subject, AdminUp):
        return [Step(subject.namespace, nl.set_up(index, False))]
    return [Step(subject.namespace, nl.delete_address(index, subject.address))]
