"""Link events, and subinterfaces that follow the carrier of their trunk."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from net_helpers import create_all

from edge.errors import KernelError
from edge.net.kernel import Kernel
from edge.net.monitor import CarrierMirror, LinkEvent, LinkMonitor
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.devices import AdminUp, Namespace, Veth
from edge.net.objects.frames import SubinterfaceTags

TRUNK, FAR = Endpoint("msee", "ams"), Endpoint("ce", "ams1")
INNER, SUB = Endpoint("msee", "ams.100"), Endpoint("msee.private", "ams.100")
RULE = SubinterfaceTags(SUB, TRUNK, (), INNER)
WIRE = Veth(FAR, TRUNK, 1508, "02:00:00:00:00:01", "02:00:00:00:00:02")
LAB: tuple[KernelObject, ...] = (
    *(Namespace(name) for name in ("ce", "msee", "msee.private")),
    WIRE,
    Veth(SUB, INNER, 1500, "02:00:00:00:00:03", "02:00:00:00:00:04"),
    *(AdminUp(at) for at in (FAR, TRUNK, INNER, SUB)),
)
DEADLINE_S = 3.0


@pytest.fixture
def monitor(kernel: Kernel) -> Iterator[LinkMonitor]:
    opened = LinkMonitor(kernel.netns_fd)
    yield opened
    opened.close()


def read_until(
    monitor: LinkMonitor,
    condition: Callable[[LinkEvent], bool],
    handle: Callable[[list[LinkEvent]], object] = lambda events: None,
) -> LinkEvent:
    """The first event that meets the condition; all events on the way are handed to `handle`."""
    end = time.monotonic() + DEADLINE_S
    while True:
        events = monitor.read()
        handle(events)
        for event in events:
            if condition(event):
                return event
        left = end - time.monotonic()
        assert left > 0, f"waited {DEADLINE_S} s for an event"
        select.select(list(monitor.filenos().values()), [], [], left)


def drain(monitor: LinkMonitor) -> None:
    """Read until the lab is at rest: trunk and subinterface have carrier."""
    missing = {TRUNK, INNER, SUB}

    def seen(event: LinkEvent) -> bool:
        missing.discard(event.at) if event.carrier else missing.add(event.at)
        return not missing

    read_until(monitor, seen)


def test_the_first_read_tells_the_state_of_everything(kernel: Kernel, monitor: LinkMonitor) -> None:
    create_all(kernel, LAB)
    monitor.watch(["ce"])
    events = {event.at: event for event in monitor.read()}
    assert events[FAR] == LinkEvent("ce", "ams1", kernel.ifindex(FAR), True, True)
    assert set(events) == {FAR, Endpoint("ce", "lo")}


def test_a_pulled_wire_shows_at_the_other_end(kernel: Kernel, monitor: LinkMonitor) -> None:
    create_all(kernel, LAB)
    monitor.watch(["ce", "msee"])
    kernel.set_up(FAR, False)
    event = read_until(monitor, lambda event: event.at == TRUNK and not event.carrier)
    assert event.admin_up
    kernel.set_up(FAR, True)
    read_until(monitor, lambda event: event.at == TRUNK and event.carrier)


def test_a_device_that_goes_is_told_as_gone(kernel: Kernel, monitor: LinkMonitor) -> None:
    create_all(kernel, LAB)
    monitor.watch(["msee"])
    kernel.apply([Change(WIRE, None)])
    event = read_until(monitor, lambda event: event.at == TRUNK and not event.present)
    assert not event.carrier


def test_a_subinterface_loses_carrier_when_the_far_end_of_its_trunk_is_pulled(
    kernel: Kernel, monitor: LinkMonitor
) -> None:
    create_all(kernel, LAB)
    mirror = CarrierMirror(kernel.set_up)
    mirror.follow([RULE])
    monitor.watch(["msee", "msee.private"])
    drain(monitor)

    started = time.monotonic()
    kernel.set_up(FAR, False)
    event = read_until(monitor, lambda event: event.at == SUB and not event.carrier, mirror.handle)
    assert event.admin_up
    # An order of magnitude only: the kernel delays events of carrier by up to a second if it does not
    # take them for urgent, and then the indexes of the two ends were the same.
    assert time.monotonic() - started < 0.9

    kernel.set_up(FAR, True)
    read_until(monitor, lambda event: event.at == SUB and event.carrier, mirror.handle)


def test_an_inner_end_raised_beside_a_dead_trunk_is_taken_down_again(
    kernel: Kernel, monitor: LinkMonitor
) -> None:
    create_all(kernel, LAB)
    mirror = CarrierMirror(kernel.set_up)
    mirror.follow([RULE])
    monitor.watch(["msee"])
    kernel.set_up(FAR, False)
    read_until(monitor, lambda event: event.at == INNER and not event.admin_up, mirror.handle)

    kernel.set_up(INNER, True)

    read_until(monitor, lambda event: event.at == INNER and event.admin_up, mirror.handle)
    read_until(monitor, lambda event: event.at == INNER and not event.admin_up, mirror.handle)


def test_a_rule_that_comes_later_finds_its_trunk_dead_already(kernel: Kernel, monitor: LinkMonitor) -> None:
    create_all(kernel, LAB)
    mirror = CarrierMirror(kernel.set_up)
    monitor.watch(["msee"])
    kernel.set_up(FAR, False)
    read_until(monitor, lambda event: event.at == TRUNK and not event.carrier, mirror.handle)
    assert mirror.follow([RULE]) == [(INNER, False)]
    assert mirror.follow([RULE]) == []


def test_dropped_events_are_made_good_by_the_present_state(kernel: Kernel, monitor: LinkMonitor) -> None:
    create_all(kernel, LAB)
    monitor.watch(["ce"])
    monitor.read()
    # Many more events than the smallest receive buffer holds.
    subscription = socket.socket(fileno=os.dup(monitor.filenos()["ce"]))
    subscription.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    subscription.close()
    for _ in range(40):
        kernel.set_up(FAR, False)
        kernel.set_up(FAR, True)
    kernel.set_up(FAR, False)

    events = monitor.read()

    last = [event for event in events if event.at == FAR][-1]
    assert not last.admin_up
    assert Endpoint("ce", "lo") in {event.at for event in events}


def test_watching_lets_go_of_namespaces_no_longer_named(kernel: Kernel, monitor: LinkMonitor) -> None:
    create_all(kernel, LAB)
    monitor.watch(["ce", "msee"])
    monitor.watch(["msee"])
    assert set(monitor.filenos()) == {"msee"}
    assert {event.namespace for event in monitor.read()} == {"msee"}
    with pytest.raises(KernelError, match="namespace nowhere"):
        monitor.watch(["nowhere"])
