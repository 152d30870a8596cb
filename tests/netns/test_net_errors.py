"""Each change has its own result: one that fails says why and disturbs no other of its batch."""

from __future__ import annotations

import socket
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest
from net_helpers import create_all
from test_net_objects import A0, B0, GUARD, SPACES, UP, WIRE

from edge.errors import CapabilityError, DaemonError, KernelError
from edge.net.kernel import Kernel
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.daemons import BirdDaemon
from edge.net.objects.devices import AdminUp, Bridge, Macvlan, Namespace, Sysctl, Veth, VlanDevice
from edge.net.objects.frames import SubinterfaceTags, VirtualCircuit
from edge.net.objects.routing import DeviceAddress, KernelRoute, Ruleset


def create(kernel: Kernel, *objects: KernelObject) -> list[str | None]:
    return [str(error) if error else None for error in kernel.apply([Change(None, item) for item in objects])]


def test_an_error_in_a_packed_batch_hits_its_own_change_only(kernel: Kernel) -> None:
    create_all(kernel, [*SPACES, WIRE, *UP])
    # More than the receive buffer has room for acknowledgements.
    good = [DeviceAddress(A0, ip_interface(f"10.{n // 250}.{n % 250}.1/24")) for n in range(1000)]
    bad = DeviceAddress(A0, ip_interface("10.0.7.1/24"))
    missing = DeviceAddress(Endpoint("a", "eth9"), ip_interface("10.9.0.1/24"))
    batch = [*good[:120], bad, missing, *good[120:]]

    results = create(kernel, *batch)

    assert results[120] is not None
    assert "File exists" in results[120]
    assert "address 10.0.7.1/24 on a:eth0" in results[120]
    assert results[121] == "address 10.9.0.1/24 on a:eth9: a:eth9: namespace a has no such device"
    assert results[:120] + results[122:] == [None] * 1000
    assert set(good) <= kernel.found([])


def test_a_refusal_bears_the_kernels_own_words(kernel: Kernel) -> None:
    create_all(kernel, [*SPACES, WIRE, *UP])
    unreachable = KernelRoute("a", ip_network("10.9.0.0/16"), (ip_address("10.200.0.1"),))
    (words,) = create(kernel, unreachable)
    assert words is not None
    assert words.startswith("a: route 10.9.0.0/16 via 10.200.0.1: Network is unreachable")
    assert "gateway" in words


def test_a_wire_to_a_namespace_that_is_not_there_names_the_namespace(kernel: Kernel) -> None:
    create_all(kernel, [Namespace("a")])
    results = create(kernel, WIRE, Bridge(Endpoint("a", "br"), 1500, "02:00:00:00:00:01"))
    assert results == ["link a:eth0 -- b:eth0: namespace b: does not exist", None]
    (words,) = create(kernel, Veth(B0, A0, 1500, "02:00:00:00:00:01", "02:00:00:00:00:02"))
    assert words is not None
    assert "namespace b" in words


def test_a_name_taken_by_another_device_is_named(kernel: Kernel) -> None:
    create_all(kernel, [*SPACES, WIRE])
    other = Veth(A0, Endpoint("b", "eth7"), 1500, "02:00:00:00:00:01", "02:00:00:00:00:02")
    free = Veth(Endpoint("a", "eth8"), Endpoint("b", "eth8"), 1500, "02:00:00:00:00:03", "02:00:00:00:00:04")
    assert create(kernel, other, free) == ["link a:eth0 -- b:eth7: a:eth0 exists already", None]
    assert kernel.ifindex(A0) != 0


def test_an_index_taken_by_somebody_else_is_left_to_them(kernel: Kernel, sandbox) -> None:
    create_all(kernel, SPACES)
    for index in range(1000, 1004):
        for name in ("a", "b"):
            sandbox.ip("-n", name, "link", "add", f"i{index}", "index", str(index), "type", "ifb")
    bridge = Bridge(Endpoint("b", "br"), 1500, "02:00:00:00:00:01")

    assert create(kernel, WIRE, bridge) == [None, None]

    assert {WIRE, bridge} <= kernel.found([])
    indexes = {kernel.ifindex(at) for at in (A0, B0, bridge.at)}
    assert len(indexes) == 3
    assert min(indexes) > 1003


def test_a_namespace_that_exists_is_refused_and_kept(kernel: Kernel) -> None:
    create_all(kernel, SPACES)
    assert create(kernel, Namespace("a"), Namespace("c")) == ["namespace a: exists already", None]
    assert kernel.found([]) == {*SPACES, Namespace("c")}


def test_a_setting_that_does_not_exist_and_a_value_refused_are_told_apart(kernel: Kernel) -> None:
    create_all(kernel, SPACES)
    results = create(
        kernel,
        Sysctl("a", "net/ipv4/no_such", "1"),
        Sysctl("a", "net/ipv4/conf/eth9/rp_filter", "1"),
        Sysctl("a", "net/ipv4/fib_multipath_hash_policy", "99"),
        Sysctl("a", "net/ipv4/../../kernel/hostname", "x"),
        Sysctl("nowhere", "net/ipv4/ip_forward", "1"),
        Sysctl("a", "net/ipv4/ip_forward", "1"),
    )
    assert results[0] == "a: net/ipv4/no_such = 1: this kernel has no such setting"
    assert results[1] == "a: net/ipv4/conf/eth9/rp_filter = 1: eth9 does not exist"
    assert results[2] == "a: net/ipv4/fib_multipath_hash_policy = 99: Invalid argument"
    assert results[3] is not None
    assert results[3].endswith("is not a name under net/")
    assert results[4] == "namespace nowhere: does not exist"
    assert results[5] is None


def test_packet_rules_are_refused_by_the_line_of_the_operators_text(kernel: Kernel) -> None:
    create_all(kernel, SPACES)
    wrong = Ruleset("a", "inet", "edge", "\tchain x {\n\t\tip saddr 10.0.0.0/33 drop\n\t}\n")
    nowhere = replace(GUARD, namespace="nowhere")
    right = replace(GUARD, namespace="b")

    errors = kernel.apply([Change(None, item) for item in (wrong, nowhere, right)])

    assert isinstance(errors[0], DaemonError)
    assert "a: nftables inet edge: nft refuses the rules: line 2, column" in str(errors[0])
    assert "'ip saddr 10.0.0.0/33 drop'" in str(errors[0])
    assert isinstance(errors[1], KernelError)
    assert errors[2] is None


def test_refused_packet_rules_leave_the_old_ones_in_place(kernel: Kernel) -> None:
    good = GUARD
    bad = Ruleset("a", "inet", "edge", "\tchain x {\n\t\tjump nowhere\n\t}\n")
    create_all(kernel, [Namespace("a"), good])

    assert kernel.apply([Change(good, bad)])[0] is not None

    assert good in kernel.found([good])


def test_what_has_gone_already_counts_as_deleted(kernel: Kernel, sandbox) -> None:
    address = DeviceAddress(A0, ip_interface("10.0.0.1/24"))
    route = KernelRoute("a", ip_network("10.9.0.0/16"), (ip_address("10.0.0.2"),))
    rules = GUARD
    macvlan = Macvlan(Endpoint("a", "sub"), "eth0", 1500, "02:00:00:00:00:03")
    lab = [WIRE, macvlan, *UP, address, route, rules, Sysctl("a", "net/ipv4/ip_forward", "1")]
    create_all(kernel, [*SPACES, *lab])
    sandbox.ip("-n", "b", "link", "del", "eth0")

    assert [kernel.apply([Change(item, None)]) for item in lab] == [[None]] * len(lab)
    assert [kernel.apply([Change(item, None)]) for item in lab] == [[None]] * len(lab)
    for item in (*SPACES, *SPACES, *lab):
        assert kernel.apply([Change(item, None)]) == [None]


def test_a_wire_goes_with_the_end_whose_namespace_is_left(kernel: Kernel, sandbox) -> None:
    create_all(kernel, [*SPACES, WIRE])
    with kernel.socket("a", socket.AF_INET, socket.SOCK_DGRAM):
        # The socket keeps the namespace and its end of the wire alive; nobody can name them any more.
        sandbox.ip("netns", "del", "a")
        assert kernel.found([]) == {Namespace("b")}
        assert kernel.apply([Change(WIRE, None)]) == [None]
        assert [link["ifname"] for link in sandbox.ip_json("-n", "b", "link")] == ["lo"]


def test_tags_without_a_tag_plane_say_what_is_missing(kernel: Kernel) -> None:
    create_all(kernel, [*SPACES, WIRE])
    rule = SubinterfaceTags(B0, A0, ())
    circuit = VirtualCircuit("a", "vc", "eth0", (), "eth0", ())
    errors = kernel.apply([Change(None, rule), Change(None, circuit)])
    assert all(isinstance(error, CapabilityError) for error in errors)
    assert kernel.apply([Change(rule, None)]) == [None]


def test_a_vlan_device_without_8021q_names_the_module(kernel: Kernel) -> None:
    from edge.net.capabilities import probe

    if probe().vlan.ok:
        pytest.skip("the kernel has 8021q: its refusal cannot be seen")
    create_all(kernel, [*SPACES, WIRE])
    device = VlanDevice(Endpoint("a", "sub"), A0, 5, 0x8100, 1500, "02:00:00:00:00:01")
    (error,) = kernel.apply([Change(None, device)])
    assert isinstance(error, CapabilityError)
    assert "modprobe 8021q" in str(error)


def test_bird_is_not_the_kernels(kernel: Kernel) -> None:
    with pytest.raises(ValueError, match="BIRD in a is not an object of the kernel"):
        kernel.apply([Change(None, BirdDaemon("a", ""))])


def test_questions_about_what_is_not_there_raise(kernel: Kernel) -> None:
    create_all(kernel, SPACES)
    with pytest.raises(KernelError, match="a:eth5: namespace a has no such device"):
        kernel.ifindex(Endpoint("a", "eth5"))
    with pytest.raises(KernelError, match="namespace zz: does not exist"):
        kernel.netns_fd("zz")
    with pytest.raises(KernelError, match="namespace zz"):
        kernel.socket("zz", socket.AF_INET, socket.SOCK_STREAM)
    with pytest.raises(KernelError, match="namespace zz"):
        kernel.counters("zz")
    with pytest.raises(KernelError):
        kernel.set_up(AdminUp(Endpoint("a", "eth5")).at, True)
