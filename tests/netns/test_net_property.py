"""Whatever set of objects is asked for: what is found after is what was asked for."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from net_helpers import delete_all, reconcile

from edge.net.kernel import Kernel
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.devices import AdminUp, Bridge, BridgePort, Macvlan, Namespace, Sysctl, Veth
from edge.net.objects.routing import DeviceAddress, KernelRoute

NAMES = ("n0", "n1", "n2")


def mac(number: int) -> str:
    return f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"


@st.composite
def labs(draw: st.DrawFn) -> list[KernelObject]:
    """Wires between three namespaces, some bridged, some addressed, with macvlans and routes on them."""
    lab: list[KernelObject] = [Namespace(name) for name in NAMES]
    for name in draw(st.sets(st.sampled_from(NAMES))):
        lab.append(Sysctl(name, "net/ipv4/ip_forward", draw(st.sampled_from(("0", "1")))))
    for name in draw(st.sets(st.sampled_from(NAMES))):
        lab.append(Bridge(Endpoint(name, "br"), draw(st.integers(1280, 1500)), mac(draw(st.integers(0, 99)))))
    bridged = {item.at.namespace for item in lab if isinstance(item, Bridge)}
    for wire in range(draw(st.integers(0, 5))):
        ends = [Endpoint(draw(st.sampled_from(NAMES)), f"w{wire}{side}") for side in "ab"]
        mtu = draw(st.integers(1400, 1508))
        first = 1000 + 1000 * draw(st.integers(0, 9)) + 2 * wire
        lab.append(Veth(ends[0], ends[1], mtu, mac(first), mac(first + 1)))
        for number, at in enumerate(ends):
            if draw(st.booleans()):
                lab.append(AdminUp(at))
            if at.namespace in bridged and draw(st.booleans()):
                lab.append(BridgePort(at, "br"))
                continue
            if draw(st.booleans()):
                lab.append(
                    Macvlan(Endpoint(at.namespace, f"m{at.device}"), at.device, 1300, mac(500 + first))
                )
            lab += draw(addresses(at, wire, number + 1))
    return lab


@st.composite
def addresses(draw: st.DrawFn, at: Endpoint, wire: int, host: int) -> list[KernelObject]:
    lab: list[KernelObject] = []
    if draw(st.booleans()):
        lab.append(DeviceAddress(at, IPv4Interface(f"10.{wire}.{host}.{host}/24")))
        if draw(st.booleans()):
            lab.append(AdminUp(at))
            hops = draw(st.lists(st.integers(100, 110), min_size=1, max_size=4, unique=True))
            via = tuple(ip_address(f"10.{wire}.{host}.{hop}") for hop in hops)
            lab.append(KernelRoute(at.namespace, ip_network(f"10.{100 + wire}.{host}.0/24"), via))
    if draw(st.booleans()):
        lab.append(DeviceAddress(at, IPv6Interface(f"fd00:{wire}:{host}::{host}/64")))
    return lab


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=labs(), second=labs())
def test_found_equals_wanted_after_one_lab_became_another(
    kernel: Kernel, first: list[KernelObject], second: list[KernelObject]
) -> None:
    """The first from nothing in one round; the second from the first, as drift is put right."""
    first_set, second_set = set(first), set(second)
    try:
        assert [error for error in reconcile(kernel, first_set) if error] == []
        assert kernel.found(first_set) == first_set
        for _ in range(3):
            reconcile(kernel, second_set)
        assert kernel.found(second_set) == second_set
    finally:
        delete_all(kernel, kernel.found([]))
