"""What harmed models mean for kernel objects: devices that are down, routers that pass nothing on. Pure.

A device that is down takes things along that the kernel holds only for devices that are up: VLAN devices
above it go down, routes through it vanish. They are not wanted as long as it is down, and come back by the
plan that brings it up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from edge.model import Address, Network
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.daemons import BirdDaemon, OwnRouter
from edge.net.objects.devices import AdminUp, Sysctl, VlanDevice
from edge.net.objects.routing import DeviceAddress, KernelRoute

FORWARDING = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")
"""Settings of a router without which it passes nothing on; what is for itself it still takes."""


def harmed(
    objects: Iterable[KernelObject], down: Collection[Endpoint], halted: Collection[str]
) -> Iterator[KernelObject]:
    """The objects that are left while the devices `down` are down and the namespaces `halted` forward not."""
    items = tuple(objects)
    low = _with_those_above(items, down)
    subnets = _subnets(items) if low else {}
    for item in items:
        if isinstance(item, AdminUp) and item.at in low:
            continue
        if isinstance(item, Sysctl) and item.namespace in halted and item.name in FORWARDING:
            yield replace(item, value="0")
        elif isinstance(item, KernelRoute) and low:
            route = _through_living(item, low, subnets)
            if route is not None:
                yield route
        else:
            yield item


def _with_those_above(items: tuple[KernelObject, ...], down: Collection[Endpoint]) -> set[Endpoint]:
    """The devices that are down, with the VLAN devices over them, which follow them."""
    low = set(down)
    lower = {item.at: item.lower for item in items if isinstance(item, VlanDevice)}
    for at in lower:
        here: Endpoint | None = at
        while here is not None and here not in low:
            here = lower.get(here)
        if here is not None:
            low.add(at)
    return low


def _subnets(items: tuple[KernelObject, ...]) -> dict[str, list[tuple[Network, Endpoint]]]:
    found: dict[str, list[tuple[Network, Endpoint]]] = defaultdict(list)
    for item in items:
        if isinstance(item, DeviceAddress):
            found[item.namespace].append((item.address.network, item.at))
    return found


def _through_living(
    route: KernelRoute, low: set[Endpoint], subnets: dict[str, list[tuple[Network, Endpoint]]]
) -> KernelRoute | None:
    """The route as the kernel holds it, None when it holds none.

    Of several next hops it keeps the dead ones of IPv4 in the route, those of IPv6 it takes out.
    """

    def dead(via: Address) -> bool:
        on = [at for network, at in subnets.get(route.namespace, ()) if via in network]
        return bool(on) and all(at in low for at in on)

    if route.device and Endpoint(route.namespace, route.device) in low:
        return None
    living = tuple(via for via in route.via if not dead(via))
    if living == route.via:
        return route
    if not living:
        return None
    return replace(route, via=living) if route.destination.version == 6 else route


def without_hanging(
    hanging: Collection[str], wanted: Collection[KernelObject], found: Collection[KernelObject]
) -> tuple[Collection[KernelObject], Collection[KernelObject]]:
    """Wanted and found without the routing software that is stopped in the namespaces `hanging`.

    It does not answer, so it seems to be missing, and takes no configuration until it goes on. What is not
    wanted any more stays in: it can be ended all the same.
    """
    asleep = {item.key for item in wanted if item.namespace in hanging and _speaks(item)}
    if not asleep:
        return wanted, found
    return (
        tuple(item for item in wanted if item.key not in asleep),
        tuple(item for item in found if item.key not in asleep),
    )


def _speaks(item: KernelObject) -> bool:
    return isinstance(item, BirdDaemon | OwnRouter)
