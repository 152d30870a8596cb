"""Our octets against an independent encoder, and our decoder against octets of any kind."""

from __future__ import annotations

import struct
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.fastpath import clsact
from edge.net import messages as nl
from edge.net import netlink, snapshot

ifinfmsg = pytest.importorskip("pyroute2.netlink.rtnl.ifinfmsg").ifinfmsg
ifaddrmsg = pytest.importorskip("pyroute2.netlink.rtnl.ifaddrmsg").ifaddrmsg
rtmsg = pytest.importorskip("pyroute2.netlink.rtnl.rtmsg").rtmsg
tcmsg = pytest.importorskip("pyroute2.netlink.rtnl.tcmsg").tcmsg

ACK = nl.NLM_F_REQUEST | nl.NLM_F_ACK
A = nl.DeviceSpec("ams1", 1000, 1508, "02:00:00:00:00:0a")
B = nl.DeviceSpec("msee1", 1001, 1508, "02:00:00:00:00:0b", netns_fd=7)
LINK_FIELDS = ("family", "__align", "ifi_type", "index", "flags", "change")


def reference(kind: type, request: nl.Request, fields: dict[str, Any], attributes: list[Any]) -> bytes:
    """The same message by pyroute2, without its header."""
    message = kind()
    message["header"]["type"] = request.kind
    message["header"]["flags"] = request.flags | ACK
    message["header"]["sequence_number"] = 5
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = attributes
    message.encode()
    octets = bytes(message.data)
    return octets + bytes(-len(octets) % 4)


def shape(device: nl.DeviceSpec) -> list[tuple[str, Any]]:
    attributes: list[tuple[str, Any]] = [
        ("IFLA_IFNAME", device.name),
        ("IFLA_MTU", device.mtu),
        ("IFLA_ADDRESS", device.mac),
    ]
    if device.netns_fd is not None:
        attributes.append(("IFLA_NET_NS_FD", device.netns_fd))
    return attributes


def canonical(data: bytes, header: int, nested: dict[int, Any] | None = None) -> object:
    """A message as data: its header, and its attributes by type, whatever their order and flags."""
    known = nested or {}
    head = data[16 : 16 + header]
    return struct.unpack_from("=HH", data, 4), head, _attributes(data[16 + header :], known)


def _attributes(data: bytes, nested: dict[int, Any]) -> dict[int, object]:
    found: dict[int, object] = {}
    for kind, value in nl.attributes(data).items():
        if kind in nested:
            skip, inner = nested[kind]
            found[kind] = (value[:skip], _attributes(value[skip:], inner))
        else:
            found[kind] = value
    return found


INFO_DATA = {nl.IFLA_LINKINFO: (0, {nl.IFLA_INFO_DATA: (0, {nl.VETH_INFO_PEER: (16, {})})})}
PLAIN_DATA = {nl.IFLA_LINKINFO: (0, {nl.IFLA_INFO_DATA: (0, {})})}


def trimmed(value: object) -> object:
    """Text without its final zero: the kernel takes it with and without."""
    if isinstance(value, bytes):
        return value.rstrip(b"\0") if value[:1].isalpha() else value
    if isinstance(value, dict):
        return {key: trimmed(item) for key, item in value.items()}
    return tuple(trimmed(item) for item in value) if isinstance(value, tuple) else value


def same(request: nl.Request, other: bytes, header: int, nested: dict[int, Any]) -> None:
    ours = request.encode(5)
    assert len(ours) % 4 == 0
    assert struct.unpack_from("=I", ours, 8)[0] == 5
    assert trimmed(canonical(ours, header, nested)) == trimmed(canonical(other, header, nested))


def test_a_vlan_device_is_encoded_as_pyroute2_does() -> None:
    for tpid in (0x8100, 0x88A8):
        for device in (A, B):
            request = nl.new_vlan(device, 77, 100, tpid)
            data = [("IFLA_VLAN_ID", 100), ("IFLA_VLAN_PROTOCOL", tpid)]
            info = {"attrs": [("IFLA_INFO_KIND", "vlan"), ("IFLA_INFO_DATA", {"attrs": data})]}
            attributes = [*shape(device), ("IFLA_LINK", 77), ("IFLA_LINKINFO", info)]
            other = reference(ifinfmsg, request, {"index": 1000 + (device is B)}, attributes)
            same(request, other, 16, PLAIN_DATA)


def test_a_veth_is_encoded_as_pyroute2_does() -> None:
    request = nl.new_veth(A, B)
    queues = [("IFLA_NUM_TX_QUEUES", 1), ("IFLA_NUM_RX_QUEUES", 1)]
    peer = {"index": 1001, "attrs": [*shape(B), *queues]}
    data = {"attrs": [("VETH_INFO_PEER", peer)]}
    info = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]}
    attributes = [*shape(A), *queues, ("IFLA_LINKINFO", info)]
    same(request, reference(ifinfmsg, request, {"index": 1000}, attributes), 16, INFO_DATA)


def test_bridge_and_macvlan_are_encoded_as_pyroute2_does() -> None:
    bridge = nl.new_bridge(A)
    data: list[tuple[str, Any]] = [("IFLA_BR_STP_STATE", 0), ("IFLA_BR_MCAST_SNOOPING", 0)]
    info = {"attrs": [("IFLA_INFO_KIND", "bridge"), ("IFLA_INFO_DATA", {"attrs": data})]}
    attributes = [*shape(A), ("IFLA_LINKINFO", info)]
    same(bridge, reference(ifinfmsg, bridge, {"index": 1000}, attributes), 16, PLAIN_DATA)

    macvlan = nl.new_macvlan(A, 77)
    data = [("IFLA_MACVLAN_MODE", "source")]
    info = {"attrs": [("IFLA_INFO_KIND", "macvlan"), ("IFLA_INFO_DATA", {"attrs": data})]}
    attributes = [*shape(A), ("IFLA_LINK", 77), ("IFLA_LINKINFO", info)]
    same(macvlan, reference(ifinfmsg, macvlan, {"index": 1000}, attributes), 16, PLAIN_DATA)


def test_states_of_devices_are_encoded_as_pyroute2_does() -> None:
    for request, fields, attributes in (
        (nl.set_up(9, True), {"index": 9, "flags": 1, "change": 1}, []),
        (nl.set_up(9, False), {"index": 9, "flags": 0, "change": 1}, []),
        (nl.set_up_named("eth0", True), {"index": 0, "flags": 1, "change": 1}, [("IFLA_IFNAME", "eth0")]),
        (nl.set_mtu(9, 1400), {"index": 9}, [("IFLA_MTU", 1400)]),
        (nl.set_mac(9, A.mac), {"index": 9}, [("IFLA_ADDRESS", A.mac)]),
        (nl.set_master(9, 12), {"index": 9}, [("IFLA_MASTER", 12)]),
        (nl.delete_device(9), {"index": 9}, []),
    ):
        same(request, reference(ifinfmsg, request, fields, attributes), 16, {})


def test_a_question_for_a_device_is_encoded_as_pyroute2_does() -> None:
    mask = ("IFLA_EXT_MASK", nl.RTEXT_FILTER_SKIP_STATS)
    for request, fields, attributes in (
        (nl.get_link("ams1"), {}, [mask, ("IFLA_IFNAME", "ams1")]),
        (nl.get_link_at(9), {"index": 9}, [mask]),
        (nl.get_link_at(9, 0), {"index": 9}, [mask, ("IFLA_IF_NETNSID", 0)]),
    ):
        same(request, reference(ifinfmsg, request, fields, attributes), 16, {})


def test_clsact_and_its_filters_are_encoded_as_pyroute2_does() -> None:
    kind, header = ("TCA_KIND", "clsact"), {"index": 9, "handle": 0xFFFF0000, "parent": 0xFFFFFFF1}
    for request in (clsact.new_qdisc(9), clsact.delete_qdisc(9)):
        same(request, reference(tcmsg, request, header, [kind]), 20, {})

    kind = ("TCA_KIND", "bpf")
    info = 0xED70 << 16 | 0x0300  # the priority, and ETH_P_ALL in network order
    header = {"index": 9, "handle": 1, "parent": 0xFFFFFFF3, "info": info}
    at = (9, clsact.EGRESS, 0xED70)
    for request in (clsact.get_filter(*at), clsact.delete_filter(*at)):
        same(request, reference(tcmsg, request, header, [kind]), 20, {})
    options = [("TCA_BPF_FD", 77), ("TCA_BPF_NAME", "edge"), ("TCA_BPF_FLAGS", 1)]
    request = clsact.new_filter(*at, 77, "edge")
    other = reference(tcmsg, request, header, [kind, ("TCA_OPTIONS", {"attrs": options})])
    same(request, other, 20, {clsact.TCA_OPTIONS: (0, {})})


def test_the_program_of_a_filter_is_read_from_its_options() -> None:
    head = bytes(20) + nl.text(clsact.TCA_KIND, "bpf")
    options = nl.text(clsact.TCA_BPF_NAME, "edge") + nl.u32(clsact.TCA_BPF_ID, 4711)
    assert clsact.parse_program(head + nl.attribute(clsact.TCA_OPTIONS | nl.NESTED, options)) == 4711
    assert clsact.parse_program(head + nl.attribute(clsact.TCA_OPTIONS, options[:12])) is None
    assert clsact.parse_program(head) is None


@pytest.mark.parametrize("text", ["10.0.0.1/29", "fd00::1/125"])
def test_an_address_is_encoded_as_pyroute2_does(text: str) -> None:
    interface = ip_interface(text)
    request = nl.add_address(9, interface)
    fields = {
        "family": nl.FAMILY_OF_VERSION[interface.version],
        "prefixlen": interface.network.prefixlen,
        "flags": 2 if interface.version == 6 else 0,
        "index": 9,
    }
    attributes = [("IFA_LOCAL", str(interface.ip)), ("IFA_ADDRESS", str(interface.ip))]
    same(request, reference(ifaddrmsg, request, fields, attributes), 8, {})


@pytest.mark.parametrize(
    ("destination", "via"),
    [("10.9.0.0/16", "10.0.0.2"), ("0.0.0.0/0", "10.0.0.2"), ("fd09::/16", "fd00::2")],
)
def test_a_route_is_encoded_as_pyroute2_does(destination: str, via: str) -> None:
    network = ip_network(destination)
    request = nl.add_route(network, (ip_address(via),), replace=True)
    fields = {
        "family": nl.FAMILY_OF_VERSION[network.version],
        "dst_len": network.prefixlen,
        "table": 254,
        "proto": 4,
        "type": 1,
    }
    attributes = [("RTA_DST", str(network.network_address))] if network.prefixlen else []
    attributes.append(("RTA_GATEWAY", via))
    assert request.flags == nl.NLM_F_CREATE | nl.NLM_F_REPLACE
    same(request, reference(rtmsg, request, fields, attributes), 12, {})


@pytest.mark.parametrize(
    ("destination", "via"),
    [
        ("10.9.0.0/16", ("10.0.0.2",)),
        ("10.9.0.0/16", ("10.0.0.2", "10.0.0.3", "10.0.0.4")),
        ("0.0.0.0/0", ("fd00::2",)),
        ("::/0", ("fd00::2", "fd00::3")),
    ],
)
@pytest.mark.parametrize("metric", [0, 77])
def test_a_route_reads_back_as_it_was_written(destination: str, via: tuple[str, ...], metric: int) -> None:
    network, hops = ip_network(destination), tuple(map(ip_address, via))
    (message,) = nl.messages(nl.add_route(network, hops, metric).encode(1))
    assert snapshot.parse_route(message.payload) == (network, hops, metric, 0)


def test_the_metric_that_the_kernel_gives_an_ipv6_route_is_none_that_was_asked_for() -> None:
    network, via = ip_network("fd09::/16"), (ip_address("fd00::2"),)
    (message,) = nl.messages(nl.add_route(network, via, nl.IPV6_METRIC).encode(1))
    assert snapshot.parse_route(message.payload) == (network, via, 0, 0)


@pytest.mark.parametrize("destination", ["10.50.1.4/32", "fd00:50::4/128"])
def test_a_route_on_a_devices_link_reads_back_as_it_was_written(destination: str) -> None:
    network = ip_network(destination)
    (message,) = nl.messages(nl.add_route(network, (), on_link=1000).encode(1))
    assert snapshot.parse_route(message.payload) == (network, (), 0, 1000)


def test_a_device_reads_back_as_it_was_written() -> None:
    (message,) = nl.messages(nl.new_vlan(A, 77, 100, 0x88A8).encode(1))
    link = snapshot.parse_link(message.payload)
    assert (link.index, link.name, link.kind, link.mtu, link.mac) == (1000, "ams1", "vlan", 1508, A.mac)
    assert (link.link, link.vid, link.tpid, link.link_netnsid) == (77, 100, 0x88A8, None)


@pytest.mark.parametrize("text", ["", "02:00", "02:00:00:00:00:00:00", "zz:00:00:00:00:00"])
def test_what_is_no_mac_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - bytes.fromhex words some of them
        nl.mac_octets(text)


@given(st.binary(max_size=300))
def test_any_octets_split_into_messages_and_attributes_without_harm(data: bytes) -> None:
    assert sum(16 + len(message.payload) for message in nl.messages(data)) <= len(data)
    assert sum(4 + len(value) for value in nl.attributes(data).values()) <= len(data)


def test_a_refusal_carries_errno_and_the_kernels_words() -> None:
    echoed = struct.pack("=IHHII", 40, 24, 5, 9, 0)
    words = nl.attribute(nl.NLMSGERR_ATTR_MSG, b"Nexthop has invalid gateway\0")
    message = nl.Message(nl.NLMSG_ERROR, nl.NLM_F_ACK_TLVS, 9, struct.pack("=i", -101) + echoed + words)
    refused = netlink.refusal(message)
    assert str(refused) == "Network is unreachable (Nexthop has invalid gateway)"
    assert netlink.refusal(nl.Message(nl.NLMSG_ERROR, 0, 9, bytes(20))) is None


@pytest.mark.parametrize(
    ("offset", "octets"),
    [
        (4, bytes([253])),  # another table
        (5, bytes([12])),  # BIRD's protocol
        (7, bytes([6])),  # a blackhole
        (8, struct.pack("=I", nl.RTM_F_CLONED)),
        (0, bytes([28])),  # MPLS
    ],
)
def test_a_route_that_is_no_static_unicast_route_of_the_main_table_is_passed_over(
    offset: int, octets: bytes
) -> None:
    payload = bytearray(nl.add_route(ip_network("10.9.0.0/16"), (ip_address("10.0.0.2"),)).payload)
    assert snapshot.parse_route(bytes(payload)) is not None
    payload[offset : offset + len(octets)] = octets
    assert snapshot.parse_route(bytes(payload)) is None


def test_an_address_that_is_not_global_is_passed_over() -> None:
    payload = bytearray(nl.add_address(9, ip_interface("fe80::1/64")).payload)
    assert snapshot.parse_address(bytes(payload)) is not None
    payload[3] = 253
    assert snapshot.parse_address(bytes(payload)) is None


@pytest.mark.parametrize("rate_bps", [8, 200_000_000, 2**32 * 8 - 8, 2**32 * 8, 400_000_000_000])
def test_a_token_bucket_is_read_back_as_ordered(rate_bps: int) -> None:
    request = nl.set_token_bucket(7, rate_bps, 8, 1_000_000, 100_000)
    assert nl.parse_token_bucket(request.payload) == (7, rate_bps, 8)


def test_a_queue_of_another_kind_is_no_token_bucket() -> None:
    octets = nl.delete_queue(7).payload
    assert nl.parse_token_bucket(octets) is None
    assert nl.parse_token_bucket(octets + nl.attribute(nl.TCA_KIND, b"htb\0")) is None
