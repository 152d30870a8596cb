"""Snapshots of all namespaces as the objects they amount to. Pure but for what `is_namespace` asks.

Where the kernel's form of a thing and the wanted one mean the same (the two ends of a wire turned round,
next hops in another order, a MAC address in capitals) the wanted form is given back, so that sets compare.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from edge.net import messages as nl
from edge.net.objects.base import Endpoint, KernelObject, Key
from edge.net.objects.devices import (
    AdminUp,
    Bridge,
    BridgePort,
    Macsec,
    Macvlan,
    Namespace,
    Sysctl,
    Veth,
    VlanDevice,
)
from edge.net.objects.frames import RateLimit, SubinterfaceTags, followers
from edge.net.objects.routing import DeviceAddress, KernelRoute, MplsRoute
from edge.net.snapshot import Link, Snapshot

OUR_KINDS = frozenset(("veth", "bridge", "macsec", "macvlan", "vlan"))

SameNamespace = Callable[[str, int, str], bool]
"""(namespace, number, other): whether the number means `other` inside `namespace` (RTM_GETNSID)."""


def interpret(
    snapshots: Mapping[str, Snapshot], wanted: Mapping[Key, KernelObject], is_namespace: SameNamespace
) -> Iterator[KernelObject]:
    """Everything of the snapshots that an object describes, in the kernel's own form.

    Devices of kinds that we never make (and their addresses) are passed over unless `wanted` names them.
    """
    places: dict[int, list[tuple[str, Link]]] = defaultdict(list)
    for namespace, snapshot in snapshots.items():
        for link in snapshot.links:
            places[link.index].append((namespace, link))
    named = {item.at for item in wanted.values() if isinstance(item, AdminUp | DeviceAddress)}
    for namespace, snapshot in snapshots.items():
        yield Namespace(namespace)
        by_index = {link.index: link for link in snapshot.links}
        for link in snapshot.links:
            device = _device(namespace, link, places, wanted, is_namespace)
            if device is not None:
                yield device
            at = Endpoint(namespace, link.name)
            bridge = by_index.get(link.master)
            if bridge is not None and bridge.kind == "bridge":
                yield BridgePort(at, bridge.name)
            ours = link.kind in OUR_KINDS or at in named
            if link.up and ours and link.index != nl.LOOPBACK_INDEX:
                yield AdminUp(at)
        for index, address in snapshot.addresses:
            link_of = by_index.get(index)
            if link_of is None:
                continue
            at = Endpoint(namespace, link_of.name)
            if link_of.kind in OUR_KINDS or index == nl.LOOPBACK_INDEX or at in named:
                yield DeviceAddress(at, address)
        for index, rate_bps, overhead in snapshot.rates:
            link_of = by_index.get(index)
            if link_of is not None and link_of.kind in OUR_KINDS:
                yield RateLimit(Endpoint(namespace, link_of.name), rate_bps, overhead)
        for destination, via, metric, on_link in snapshot.routes:
            device_of = by_index.get(on_link)
            on = device_of.name if device_of is not None else ""
            yield KernelRoute(namespace, destination, via, metric, on)
        for item in snapshot.labels:
            link_of = by_index.get(item.index)
            if link_of is not None:
                yield MplsRoute(namespace, item.label, item.out, item.via, link_of.name)


def _device(
    namespace: str,
    link: Link,
    places: Mapping[int, list[tuple[str, Link]]],
    wanted: Mapping[Key, KernelObject],
    is_namespace: SameNamespace,
) -> KernelObject | None:
    at = Endpoint(namespace, link.name)
    if link.kind == "bridge":
        return Bridge(at, link.mtu, link.mac)
    if link.kind not in ("veth", "macsec", "macvlan", "vlan"):
        return None
    other = _other(namespace, link, places, is_namespace)
    if other is None:
        return None
    if link.kind == "veth":
        return _veth((at, link), other, wanted)
    if link.kind == "vlan":
        return VlanDevice(at, other[0], link.vid, link.tpid, link.mtu, link.mac)
    if link.kind == "macsec":
        # With another cipher it is none of ours.
        return Macsec(at, other[0].device, link.mtu, link.mac) if link.suite == nl.GCM_AES_128_TOLD else None
    if link.macvlan_mode == nl.MACVLAN_MODE_SOURCE and other[0].namespace == namespace:
        return Macvlan(at, other[0].device, link.mtu, link.mac)
    return None


def _other(
    namespace: str,
    link: Link,
    places: Mapping[int, list[tuple[str, Link]]],
    is_namespace: SameNamespace,
) -> tuple[Endpoint, Link] | None:
    """The device that `link.link` means: a veth's peer, a subinterface's lower device."""
    candidates = places.get(link.link, [])
    if link.kind == "veth":
        candidates = [(place, peer) for place, peer in candidates if peer.link == link.index]
    if link.link_netnsid is None:
        candidates = [(place, peer) for place, peer in candidates if place == namespace]
    elif len(candidates) > 1:
        # Devices that others made have indexes that are not unique.
        number = link.link_netnsid
        candidates = [item for item in candidates if is_namespace(namespace, number, item[0])]
    return (Endpoint(candidates[0][0], candidates[0][1].name), candidates[0][1]) if candidates else None


def _veth(
    one: tuple[Endpoint, Link], other: tuple[Endpoint, Link], wanted: Mapping[Key, KernelObject]
) -> Veth:
    """The wire with its ends as in `wanted`, else sorted. Its MTU is the smaller one of the two."""
    (a, link_a), (b, link_b) = sorted((one, other), key=lambda end: end[0])
    if ("veth", str(b), str(a)) in wanted:
        (a, link_a), (b, link_b) = (b, link_b), (a, link_a)
    return Veth(a, b, min(link_a.mtu, link_b.mtu), link_a.mac, link_b.mac)


def mirrored(
    rules: Iterable[SubinterfaceTags | AdminUp], snapshots: Mapping[str, Snapshot]
) -> Iterator[AdminUp]:
    """Devices that are down because the port that they follow has no carrier: they count as up.

    See edge.net.monitor.CarrierMirror, which takes them down and up again. Of two that follow each other one
    is up at least: where both are down somebody else did it.
    """
    links = {
        Endpoint(namespace, link.name): link
        for namespace, snapshot in snapshots.items()
        for link in snapshot.links
    }
    pairs = set(followers(rules))
    for follower, followed in pairs:
        port, device = links.get(followed), links.get(follower)
        mutual = (followed, follower) in pairs
        if port is not None and device is not None and not port.carrier and (port.up or not mutual):
            yield AdminUp(follower)


def as_wanted(found: KernelObject, wanted: KernelObject | None) -> KernelObject:
    """`wanted` itself when it means the same as `found`, else `found`."""
    return wanted if wanted is not None and _canonical(found) == _canonical(wanted) else found


def _canonical(subject: KernelObject) -> object:
    if isinstance(subject, Veth):
        return (subject.a, subject.b, subject.mtu, subject.mac_a.lower(), subject.mac_b.lower())
    if isinstance(subject, Bridge):
        return (subject.at, subject.mtu, subject.mac.lower())
    if isinstance(subject, Macvlan):
        return (subject.at, subject.lower, subject.mtu, subject.mac.lower())
    if isinstance(subject, Macsec):
        return (subject.at, subject.lower, subject.mtu, subject.mac.lower())
    if isinstance(subject, VlanDevice):
        shape = (subject.vid, subject.tpid, subject.mtu, subject.mac.lower())
        return (subject.at, subject.lower, *shape)
    if isinstance(subject, AdminUp):
        return subject.key
    if isinstance(subject, KernelRoute):
        return (subject.key, frozenset(subject.via), len(subject.via), subject.device)
    if isinstance(subject, Sysctl):
        return (subject.key, tuple(subject.value.split()))
    return subject
