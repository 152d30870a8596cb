"""Queues that we made on the devices of a namespace, read from outside: what HTB and its leaves counted.

The kernel knows numbers; the names of classes are those of the markings that steer into them, where these
are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edge.net import htb
from edge.net import messages as nl
from edge.net.htb import ROOT, Counts, FoundQueue, HtbClass
from edge.net.netlink import RouteSocket
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import Queues, QueueTree
from edge.net.queues import CIRCUIT, TREE_STRIDE, UNSTEERED, ClassCounters, counted, minor_of
from edge.qos.model import TrafficClass

Classes = Sequence[tuple[HtbClass, Counts]]
Names = Mapping[int, Mapping[int, str]]
"""By tree, what the class of a queue is called."""


def read(route: RouteSocket, devices: Mapping[int, str], names: Names) -> tuple[ClassCounters, ...]:
    """The counters of our queues at devices (ifindex -> name) of the socket's namespace. Raises OSError,
    EdgeError when they cannot be read."""
    dump = (htb.parse_queue(message.payload) for message in route.dump(nl.dump_queues()))
    disciplines = [item for item in dump if item is not None]
    found: list[ClassCounters] = []
    for index in [item.index for item in disciplines if is_ours(item) and item.index in devices]:
        own = [item for item in disciplines if item.index == index]
        parsed = (htb.parse_class(message.payload) for message in route.dump(htb.dump_classes(index)))
        classes = [item for item in parsed if item is not None]
        found += counters(devices[index], own, classes, names)
    return tuple(found)


def is_ours(item: FoundQueue) -> bool:
    """Whether it is the root of queues that we made: our handle, and our class for what nothing steered."""
    return (item.kind, item.parent, item.handle) == ("htb", nl.TC_H_ROOT, ROOT) and item.default == UNSTEERED


def counters(
    device: str, disciplines: Iterable[FoundQueue], classes: Classes, names: Names
) -> tuple[ClassCounters, ...]:
    """The rows of a device, trees and queues in their order. Pure."""
    there = {item.minor: item for item, _ in classes}
    trees = []
    for minor, circuit in sorted(there.items()):
        number = minor // TREE_STRIDE
        if minor % TREE_STRIDE != CIRCUIT:
            continue
        first = minor_of(number, 0)
        known = names.get(number, {})
        queues = sorted(item.minor - first for item in there.values() if item.parent == minor)
        own = tuple(
            TrafficClass(
                known.get(queue, f"queue {queue}"), queue, share=0, strict=there[first + queue].prio == 0
            )
            for queue in queues
        )
        trees.append(QueueTree(number, circuit.rate_octets * 8, own))
    return counted(Queues(Endpoint("", device), tuple(trees)), disciplines, classes)
