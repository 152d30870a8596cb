"""Each type of object: made, found as wanted, changed, taken away. Seen with `ip` as well as with ours."""

from __future__ import annotations

import json
import select
import socket
import time
from ipaddress import IPv4Address, ip_address, ip_interface, ip_network

import pytest
from labs import until
from net_helpers import create_all, delete_all

from edge.fastpath.layout import BURST_OCTETS_MIN
from edge.net import mpls_support
from edge.net.capabilities import probe
from edge.net.kernel import Kernel
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.devices import AdminUp, Bridge, BridgePort, Macvlan, Namespace, Sysctl, Veth, VlanDevice
from edge.net.objects.frames import RateLimit
from edge.net.objects.routing import DeviceAddress, KernelRoute, MplsRoute, Ruleset
from tests.leakguard import OF_MODULES

pytestmark = pytest.mark.kernels("here", "stock")

A0, B0 = Endpoint("a", "eth0"), Endpoint("b", "eth0")
SPACES = (Namespace("a"), Namespace("b"))
WIRE = Veth(A0, B0, 1508, "02:00:00:00:00:0a", "02:00:00:00:00:0b")
UP = (AdminUp(A0), AdminUp(B0))
GUARD = Ruleset(
    "a",
    "inet",
    "edge",
    "\tcounter refused_sources {\n\t}\n\tchain input {\n\t\ttype filter hook input priority filter;\n\t}\n",
    "*filter\n:refused_sources -\n-A INPUT -j refused_sources\nCOMMIT\n",
)


def lab_of_every_type() -> list[KernelObject]:
    bridge = Endpoint("sw", "lan")
    port = Endpoint("sw", "p1")
    return [
        *SPACES,
        Namespace("sw"),
        Sysctl("a", "net/ipv4/ip_forward", "1"),
        Sysctl("a", "net/ipv4/conf/eth0/rp_filter", "2"),
        Sysctl("b", "net/ipv4/ping_group_range", "0 100"),
        WIRE,
        Veth(Endpoint("b", "lan"), port, 1500, "02:00:00:00:01:0a", "02:00:00:00:01:0b"),
        Bridge(bridge, 1500, "02:00:00:00:02:00"),
        BridgePort(port, "lan"),
        Macvlan(Endpoint("a", "eth0.100"), "eth0", 1500, "02:00:00:00:03:00"),
        *UP,
        AdminUp(bridge),
        AdminUp(port),
        AdminUp(Endpoint("b", "lan")),
        AdminUp(Endpoint("a", "eth0.100")),
        DeviceAddress(A0, ip_interface("10.0.0.1/29")),
        DeviceAddress(A0, ip_interface("fd00::1/125")),
        DeviceAddress(B0, ip_interface("10.0.0.2/29")),
        DeviceAddress(Endpoint("a", "lo"), ip_interface("10.255.0.1/32")),
        KernelRoute("a", ip_network("0.0.0.0/0"), (ip_address("10.0.0.2"),)),
        KernelRoute("a", ip_network("10.8.0.4/32"), device=A0.device),
        KernelRoute("a", ip_network("fd00:8::4/128"), device=A0.device),
        KernelRoute("a", ip_network("10.9.0.0/16"), (ip_address("10.0.0.3"), ip_address("10.0.0.2"))),
        KernelRoute("a", ip_network("fd00:9::/48"), (ip_address("fd00::3"), ip_address("fd00::2"))),
        KernelRoute("a", ip_network("::/0"), (ip_address("fd00::2"),)),
        GUARD,
    ]


@pytest.mark.kernels("stock")
def test_routes_of_labels_are_made_found_changed_and_taken_away(kernel: Kernel, sandbox) -> None:
    via = IPv4Address("10.0.0.2")
    # Asking loads the modules; what is found is complete from then on.
    assert mpls_support.probe().ok
    base = [
        *SPACES,
        Sysctl("a", "net/mpls/platform_labels", "65536"),
        WIRE,
        Sysctl("a", "net/mpls/conf/eth0/input", "1"),
        *UP,
        DeviceAddress(A0, ip_interface("10.0.0.1/29")),
    ]
    swap, pop = MplsRoute("a", 100, (300,), via, "eth0"), MplsRoute("a", 101, (), via, "eth0")
    create_all(kernel, [*base, swap, pop])
    assert kernel.found([*base, swap, pop]) == {*base, swap, pop}
    shown = sandbox.ip("-n", "a", "-f", "mpls", "route").splitlines()
    assert [line.strip() for line in shown] == [
        "100 as to 300 via inet 10.0.0.2 dev eth0 proto static",
        "101 via inet 10.0.0.2 dev eth0 proto static",
    ]
    other = MplsRoute("a", 100, (301, 302), via, "eth0")
    assert kernel.apply([Change(swap, other)]) == [None]
    assert kernel.found([*base, other, pop]) == {*base, other, pop}
    delete_all(kernel, [other, pop])
    assert kernel.found(base) == set(base)


def test_found_equals_wanted_after_a_lab_of_every_type(kernel: Kernel) -> None:
    wanted = lab_of_every_type()

    create_all(kernel, wanted)

    assert kernel.found(wanted) == set(wanted)


def test_a_lab_of_every_type_goes_away_completely(kernel: Kernel) -> None:
    wanted = lab_of_every_type()
    create_all(kernel, wanted)

    delete_all(kernel, wanted)

    assert kernel.found(wanted) == set()


def test_another_process_that_knows_nothing_finds_the_same(kernel: Kernel) -> None:
    wanted = [item for item in lab_of_every_type() if not isinstance(item, Ruleset)]
    create_all(kernel, wanted)
    other = Kernel(netns_directory=kernel._spaces.directory)
    try:
        assert other.found(wanted) == set(wanted)
    finally:
        other.close()


def test_ip_sees_the_wire_as_ordered(kernel: Kernel, sandbox) -> None:
    create_all(kernel, [*SPACES, WIRE])

    a, b = (sandbox.ip_json("-n", name, "-d", "link", "show", "eth0")[0] for name in "ab")

    assert (a["mtu"], a["address"], a["linkinfo"]["info_kind"]) == (1508, WIRE.mac_a, "veth")
    assert (b["mtu"], b["address"], b["operstate"]) == (1508, WIRE.mac_b, "DOWN")
    assert a["ifindex"] != b["ifindex"]
    assert a["ifindex"] == kernel.ifindex(A0)


def test_indexes_are_unique_over_all_namespaces(kernel: Kernel, sandbox) -> None:
    wanted = lab_of_every_type()
    create_all(kernel, wanted)

    indexes = [
        link["ifindex"]
        for name in ("a", "b", "sw")
        for link in sandbox.ip_json("-n", name, "link")
        if link["ifname"] not in {"lo", *OF_MODULES}
    ]

    assert len(indexes) == 6
    assert len(set(indexes)) == 6


def test_a_new_namespace_has_its_loopback_up(kernel: Kernel, sandbox) -> None:
    create_all(kernel, SPACES)
    assert "UP" in sandbox.ip_json("-n", "a", "link", "show", "lo")[0]["flags"]


def test_the_ends_of_a_wire_are_found_in_the_order_wanted(kernel: Kernel) -> None:
    create_all(kernel, [*SPACES, WIRE])
    turned = Veth(B0, A0, WIRE.mtu, WIRE.mac_b, WIRE.mac_a)

    assert turned in kernel.found([turned])
    assert WIRE in kernel.found([])


def test_both_ends_of_a_wire_may_lie_in_one_namespace(kernel: Kernel) -> None:
    wire = Veth(Endpoint("a", "x"), Endpoint("a", "y"), 1500, "02:00:00:00:00:01", "02:00:00:00:00:02")
    create_all(kernel, [Namespace("a"), wire])
    assert kernel.found([wire]) == {Namespace("a"), wire}


@pytest.mark.parametrize(
    ("setup", "before", "after"),
    [
        ((), WIRE, Veth(A0, B0, 1500, "02:00:00:00:00:1a", WIRE.mac_b)),
        (
            (),
            Bridge(Endpoint("a", "br"), 1500, "02:00:00:00:00:01"),
            Bridge(Endpoint("a", "br"), 1400, "02:00:00:00:00:02"),
        ),
        (
            (WIRE,),
            Macvlan(Endpoint("a", "sub"), "eth0", 1500, "02:00:00:00:00:01"),
            Macvlan(Endpoint("a", "sub"), "eth0", 1400, "02:00:00:00:00:02"),
        ),
        (
            (WIRE, *UP, DeviceAddress(A0, ip_interface("10.0.0.1/24"))),
            KernelRoute("a", ip_network("10.9.0.0/16"), (ip_address("10.0.0.2"),)),
            KernelRoute("a", ip_network("10.9.0.0/16"), (ip_address("10.0.0.3"), ip_address("10.0.0.4"))),
        ),
        (
            (WIRE, *UP, DeviceAddress(A0, ip_interface("fd00::1/64"))),
            KernelRoute("a", ip_network("fd09::/16"), (ip_address("fd00::2"), ip_address("fd00::5"))),
            KernelRoute("a", ip_network("fd09::/16"), (ip_address("fd00::3"), ip_address("fd00::4"))),
        ),
        ((), Sysctl("a", "net/ipv4/ip_forward", "1"), Sysctl("a", "net/ipv4/ip_forward", "0")),
        (
            (),
            GUARD,
            Ruleset("a", "inet", "edge", "\tcounter other {\n\t}\n", "*filter\n:other -\nCOMMIT\n"),
        ),
        (
            (
                Veth(Endpoint("a", "p"), Endpoint("b", "p"), 1500, "02:00:00:00:00:01", "02:00:00:00:00:02"),
                Bridge(Endpoint("a", "br1"), 1500, "02:00:00:00:00:03"),
                Bridge(Endpoint("a", "br2"), 1500, "02:00:00:00:00:04"),
            ),
            BridgePort(Endpoint("a", "p"), "br1"),
            BridgePort(Endpoint("a", "p"), "br2"),
        ),
    ],
    ids=lambda item: type(item).__name__ if not isinstance(item, tuple) else "",
)
def test_a_change_is_made_in_place(
    kernel: Kernel, setup: tuple[KernelObject, ...], before: KernelObject, after: KernelObject
) -> None:
    create_all(kernel, [*SPACES, *setup, before])

    assert kernel.apply([Change(before, after)]) == [None]

    assert kernel.found([*SPACES, *setup, after]) == {*SPACES, *setup, after}


def test_a_macvlan_moves_to_another_lower_device(kernel: Kernel) -> None:
    second = Veth(
        Endpoint("a", "eth1"), Endpoint("b", "eth1"), 1508, "02:00:00:00:00:01", "02:00:00:00:00:02"
    )
    before = Macvlan(Endpoint("a", "sub"), "eth0", 1500, "02:00:00:00:00:03")
    after = Macvlan(Endpoint("a", "sub"), "eth1", 1500, "02:00:00:00:00:03")
    create_all(kernel, [*SPACES, WIRE, second, before])

    assert kernel.apply([Change(before, after)]) == [None]

    assert kernel.found([]) == {*SPACES, WIRE, second, after}


def test_a_changed_mtu_keeps_addresses_and_state(kernel: Kernel) -> None:
    rest = [*SPACES, *UP, DeviceAddress(A0, ip_interface("10.0.0.1/29"))]
    create_all(kernel, [*rest, WIRE])
    after = Veth(A0, B0, 1400, WIRE.mac_a, WIRE.mac_b)

    kernel.apply([Change(WIRE, after)])

    assert kernel.found([*rest, after]) == {*rest, after}


def test_a_bridge_keeps_its_mtu_whatever_its_ports_have(kernel: Kernel) -> None:
    bridge = Bridge(Endpoint("a", "br"), 1500, "02:00:00:00:00:05")
    wanted = [*SPACES, bridge, WIRE, BridgePort(A0, "br")]

    create_all(kernel, wanted)

    assert kernel.found(wanted) == set(wanted)


def test_an_empty_source_list_keeps_a_macvlan_deaf(kernel: Kernel, sandbox) -> None:
    create_all(kernel, [*SPACES, WIRE, Macvlan(Endpoint("a", "s"), "eth0", 1500, "02:00:00:00:00:03")])
    info = sandbox.ip_json("-n", "a", "-d", "link", "show", "s")[0]["linkinfo"]["info_data"]
    assert info["mode"] == "source"
    assert not info.get("macaddr_count")


def test_an_ipv6_address_is_ready_at_once(kernel: Kernel, sandbox) -> None:
    create_all(kernel, [*SPACES, WIRE, *UP, DeviceAddress(A0, ip_interface("fd00::1/64"))])
    addresses = sandbox.ip_json("-n", "a", "-6", "addr", "show", "eth0", "scope", "global")
    assert addresses[0]["addr_info"][0].get("tentative") is None
    assert addresses[0]["addr_info"][0]["nodad"] is True


def test_a_setting_goes_back_to_what_it_was(kernel: Kernel, sandbox) -> None:
    setting = Sysctl("a", "net/ipv4/ip_forward", "1")
    create_all(kernel, [Namespace("a"), setting])

    kernel.apply([Change(setting, None)])

    assert sandbox.run("ip", "netns", "exec", "a", "cat", "/proc/sys/net/ipv4/ip_forward") == "0\n"


def need_vlan_devices() -> None:
    capabilities = probe()
    for needed in (capabilities.vlan, capabilities.vlan_ad):
        if not needed.ok:
            pytest.skip(needed.detail)


@pytest.mark.shows("802.1Q and 802.1ad devices, stacked", stock="kernel")
def test_vlan_devices_stack_and_cross_namespaces(kernel: Kernel) -> None:
    need_vlan_devices()
    outer = VlanDevice(Endpoint("a", "eth0s3"), A0, 3, 0x88A8, 1504, "02:00:00:00:00:05")
    inner = VlanDevice(Endpoint("b", "sub"), outer.at, 100, 0x8100, 1500, "02:00:00:00:00:06")
    wanted = [*SPACES, WIRE, inner, outer]

    create_all(kernel, wanted)

    assert kernel.found(wanted) == set(wanted)
    moved = VlanDevice(inner.at, inner.lower, 101, inner.tpid, inner.mtu, inner.mac)
    assert kernel.apply([Change(inner, moved)]) == [None]
    assert moved in kernel.found([*wanted[:-2], moved, outer])


TAGGED_A = VlanDevice(Endpoint("a", "eth0.5"), A0, 5, 0x8100, 1500, "02:00:00:00:00:15")
TAGGED_B = VlanDevice(Endpoint("b", "eth0.5"), B0, 5, 0x8100, 1500, "02:00:00:00:00:16")
TAGGED = (*SPACES, WIRE, TAGGED_A, TAGGED_B, *UP, AdminUp(TAGGED_A.at), AdminUp(TAGGED_B.at))
SENT_OCTETS = 1_200_000
SO_RCVBUFFORCE = 33


def test_a_rate_limit_is_found_changed_and_taken_away(kernel: Kernel) -> None:
    need_vlan_devices()
    limit = RateLimit(TAGGED_A.at, 200_000_000, 4)
    create_all(kernel, [*TAGGED, limit])
    assert kernel.found([]) == {*TAGGED, limit}
    fast = RateLimit(TAGGED_A.at, 100_000_000_000, 8)
    assert kernel.apply([Change(limit, fast)]) == [None]
    assert kernel.found([]) == {*TAGGED, fast}
    assert kernel.apply([Change(fast, None)]) == [None]
    assert kernel.apply([Change(fast, None)]) == [None], "what has gone already counts as done"
    assert kernel.found([]) == set(TAGGED)


@pytest.mark.shows("a circuit's bandwidth", stock="kernel")
def test_a_device_sends_no_faster_than_its_rate(kernel: Kernel, sandbox) -> None:
    need_vlan_devices()
    rate_bps = 4_000_000
    limit = RateLimit(TAGGED_A.at, rate_bps, 4)
    addresses = [
        DeviceAddress(TAGGED_A.at, ip_interface("10.0.0.1/24")),
        DeviceAddress(TAGGED_B.at, ip_interface("10.0.0.2/24")),
    ]
    create_all(kernel, [*TAGGED, limit, *addresses])
    with (
        kernel.socket("b", socket.AF_INET, socket.SOCK_DGRAM) as server,
        kernel.socket("a", socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 * SENT_OCTETS)
        server.bind(("10.0.0.2", 7))
        server.settimeout(20)
        client.connect(("10.0.0.2", 7))
        # A device that has just come up may drop what it is to send first.
        until(lambda: client.send(b"?") and select.select([server], [], [], 0.1)[0], "a datagram arrives")
        while select.select([server], [], [], 0.1)[0]:
            server.recv(2000)
        began = time.monotonic()
        # The sender waits for room in its buffer, which is smaller than the queue: nothing is lost.
        for _ in range(SENT_OCTETS // 1200):
            client.send(bytes(1200))
        for _ in range(SENT_OCTETS // 1200):
            server.recv(2000)
        elapsed_s = time.monotonic() - began
    # A full bucket passes at once, all else at the rate. Headers: UDP, IPv4, Ethernet, the tag.
    octets = SENT_OCTETS // 1200 * (1200 + 8 + 20 + 14 + 4) - BURST_OCTETS_MIN
    assert elapsed_s > octets * 8 / rate_bps * 0.98
    (queue,) = json.loads(sandbox.run(*["tc", "-n", "a", "-s", "-j", "qdisc", "show", "dev", "eth0.5"]))
    assert queue["overlimits"] > 0, "something else was slow"
    assert queue["drops"] == 0, "the sender's buffer is larger than the queue"
