"""Subinterfaces on a real kernel: what is on the wire, who hears it, what is counted."""

from __future__ import annotations

import functools
import socket
import struct
import threading

import pytest

from edge.errors import KernelError
from edge.fastpath.counters import UnknownStack
from edge.model import Tag, TagStack
from edge.net.namespaces import inside
from edge.net.objects.frames import SubinterfaceTags
from tests.waiting import wait_until

from .conftest import Bench, Net, Seen, tags

pytestmark = pytest.mark.root

STACKS: dict[str, TagStack] = {
    "untagged": (),
    "dot1q": tags(100),
    "dot1ad": (Tag(100, 0x88A8),),
    "qinq-8100": tags(3, 100),
    "qinq-88a8": tags(3, 100, outer=0x88A8),
}
V4_A, V4_B = "192.0.2.1/30", "192.0.2.2/30"
V6_A, V6_B = "2001:db8::1/126", "2001:db8::2/126"
BROADCAST = b"\xff" * 6
SOURCE = bytes.fromhex("020000000001")
TCP_INFO = 11
"""struct tcp_info of <linux/tcp.h>: octets sent and, of these, sent again, stand at 200 and 208."""


def udp_frame(payload: bytes, *wire_tags: tuple[int, int], to: bytes = BROADCAST) -> bytes:
    """An IPv4/UDP broadcast to port 4000 under tags (tpid, tci)."""
    udp = struct.pack("!HHHH", 4000, 4000, 8 + len(payload), 0) + payload
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\xc0\0\2\1", b"\xff" * 4)
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + struct.pack("!H", ~total & 0xFFFF) + header[12:]
    stack = b"".join(struct.pack("!HH", *tag) for tag in wire_tags)
    return to + SOURCE + stack + b"\x08\x00" + header + udp


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS.keys())
@pytest.mark.parametrize("form", ["macvlan", "vrf"])
@pytest.mark.parametrize(
    "kind",
    [
        "bench",
        pytest.param("clsact_bench", marks=pytest.mark.shows("tag programs at clsact", here="bpf")),
    ],
)
@pytest.mark.shows("IPv6 and neighbour discovery", here="bpf")
def test_arp_ipv4_and_ipv6_pass_between_subinterfaces(
    request: pytest.FixtureRequest, kind: str, form: str, stack: TagStack
) -> None:
    bench: Bench = request.getfixturevalue(kind)
    a, b = bench.net("a"), bench.net("b")
    bench.wire(a, b)
    tap = bench.tap(b, "t0")
    end_b = b
    if form == "macvlan":
        sub_b = bench.macvlan(b, "t0", "s0", stack)
    else:
        end_b = bench.net("b-vrf")
        sub_b = bench.vrf(b, end_b, "t0", "s0", stack)
    sub_a = bench.macvlan(a, "t0", "s0", stack)
    bench.addresses(a, "s0", V4_A, V6_A)
    bench.addresses(end_b, "s0", V4_B, V6_B)

    for address_b, address_a in (("192.0.2.2", "192.0.2.1"), ("2001:db8::2", "2001:db8::1")):
        assert len(bench.echo(a, end_b, address_b)) == 32
        assert len(bench.echo(end_b, a, address_a)) == 32

    def carries(wanted: int, frame: Seen) -> bool:
        return int.from_bytes(frame.wire[12 + 4 * len(stack) : 14 + 4 * len(stack)], "big") == wanted

    expected = b"".join(struct.pack("!HH", tag.tpid, tag.vid) for tag in stack)
    for ethertype in (0x0806, 0x0800, 0x86DD):
        frame = tap.first(functools.partial(carries, ethertype))
        assert frame.wire[12 : 12 + 4 * len(stack)] == expected
    assert bench.plane.found() == {sub_a, sub_b}

    def both_ends_counted_the_same() -> bool:
        counted = bench.plane.counters()
        seen_a, seen_b = counted.subinterface(sub_a.sub), counted.subinterface(sub_b.sub)
        assert seen_a is not None
        assert seen_b is not None
        assert seen_a.tx.packets >= 4
        assert all(port.dropped.packets == 0 for port in counted.ports)
        return (seen_a.tx, seen_a.rx) == (seen_b.rx, seen_b.tx)

    wait_until(both_ends_counted_the_same, "neighbour discovery in flight")


@pytest.mark.parametrize("form", ["macvlan", "vrf"])
def test_unknown_tags_and_untagged_frames_are_dropped_and_remembered(bench: Bench, form: str) -> None:
    a, b = bench.net("a"), bench.net("b")
    bench.wire(a, b)
    listener = b
    if form == "macvlan":
        bench.macvlan(b, "t0", "s0", tags(100), V4_B)
    else:
        listener = bench.net("b-vrf")
        bench.vrf(b, listener, "t0", "s0", tags(100), V4_B)
    with listener.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", 4000))
        bench.send(a, "t0", udp_frame(b"untagged"))
        bench.send(a, "t0", udp_frame(b"other vid", (0x8100, 101)), count=3)
        bench.send(a, "t0", udp_frame(b"other tpid", (0x88A8, 100)))
        bench.send(a, "t0", udp_frame(b"one too many", (0x8100, 100), (0x8100, 7)))
        bench.send(a, "t0", udp_frame(b"priority tag", (0x8100, 0xE000)))
        bench.send(a, "t0", udp_frame(b"three", (0x88A8, 100), (0x8100, 5), (0x8100, 6)))
        bench.send(a, "t0", udp_frame(b"mine", (0x8100, 100)))
        assert sock.recv(100) == b"mine"
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(100)

    port = bench.plane.counters().port(b.at("t0"))
    assert port is not None
    assert port.unknown == (
        UnknownStack(((0x8100, 101),), 3),
        UnknownStack((), 1),
        UnknownStack(((0x8100, 0),), 1),
        UnknownStack(((0x8100, 100), (0x8100, 7)), 1),
        UnknownStack(((0x88A8, 100),), 1),
        UnknownStack(((0x88A8, 100), (0x8100, 5)), 1),
    )
    assert port.dropped.packets == 8
    assert port.dropped.bytes == sum(
        42 + size + 4 * depth
        for size, depth in ((8, 0), (9, 1), (9, 1), (9, 1), (10, 1), (12, 2), (12, 1), (5, 3))
    )
    document = bench.plane.counters().to_json()
    assert document["ports"][0]["port"] == "b:t0"
    assert document["ports"][0]["unknown"][0] == {"tags": [{"tpid": "0x8100", "vid": 101}], "packets": 3}


def test_a_frame_for_another_mac_is_not_accepted_by_a_vrf(bench: Bench) -> None:
    a, b, vrf = bench.net("a"), bench.net("b"), bench.net("b-vrf")
    bench.wire(a, b)
    bench.vrf(b, vrf, "t0", "s0", tags(100), V4_B)
    mac = bytes.fromhex(_mac(vrf, "s0"))
    other = bytes([mac[0], *mac[1:5], mac[5] ^ 1])
    with vrf.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", 4000))
        bench.send(a, "t0", udp_frame(b"for another", (0x8100, 100), to=other))
        bench.send(a, "t0", udp_frame(b"for you", (0x8100, 100), to=mac))
        assert sock.recv(100) == b"for you"
        # A MAC that changed later is still reached: by the veth, where the kernel decides.
        vrf.ip(f"link set s0 address {other.hex(':')}")
        bench.send(a, "t0", udp_frame(b"for the new you", (0x8100, 100), to=other))
        assert sock.recv(100) == b"for the new you"


def _mac(net: Net, device: str) -> str:
    fields = net.run("ip", "-o", "link", "show", device).split()
    return fields[fields.index("link/ether") + 1].replace(":", "")


def test_two_vrfs_with_equal_addresses_stay_apart(bench: Bench) -> None:
    a, b = bench.net("a"), bench.net("b")
    red_a, red_b, blue_a, blue_b = (bench.net(n) for n in ("red-a", "red-b", "blue-a", "blue-b"))
    bench.wire(a, b)
    for vrf_a, vrf_b, name, stack in (
        (red_a, red_b, "red", tags(3, 100, outer=0x88A8)),
        (blue_a, blue_b, "blue", tags(3, 200, outer=0x88A8)),
    ):
        bench.vrf(a, vrf_a, "t0", name, stack, V4_A, V6_A)
        bench.vrf(b, vrf_b, "t0", name, stack, V4_B, V6_B)
    for address in ("192.0.2.2", "2001:db8::2"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with red_b.socket(family, socket.SOCK_DGRAM) as red, blue_b.socket(family, socket.SOCK_DGRAM) as blue:
            red.bind(("", 4000))
            blue.bind(("", 4000))
            for vrf, text in ((red_a, b"red"), (blue_a, b"blue")):
                with vrf.socket(family, socket.SOCK_DGRAM) as sender:
                    sender.sendto(text, (address, 4000))
            assert (red.recv(10), blue.recv(10)) == (b"red", b"blue")
            for sock in (red, blue):
                sock.setblocking(False)
                with pytest.raises(BlockingIOError):
                    sock.recv(10)


@pytest.mark.parametrize("txvlan", ["on", "off"])
@pytest.mark.shows("1500 octets inside two tags", here="bpf")
def test_a_1500_octet_packet_passes_inside_two_tags(bench: Bench, txvlan: str) -> None:
    a, b = bench.net("a"), bench.net("b")
    bench.wire(a, b, mtu=1508)
    if txvlan == "off":
        a.run("ethtool", "-K", "t0", "txvlan", "off", "tx-vlan-stag-hw-insert", "off")
    stack = tags(3, 100, outer=0x88A8)
    bench.macvlan(a, "t0", "s0", stack, V4_A)
    bench.macvlan(b, "t0", "s0", stack, V4_B)
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER = IP_PMTUDISC_DO: never fragment
        with b.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("", 4000))
            sender.sendto(bytes(1472), ("192.0.2.2", 4000))
            assert len(receiver.recv(2000)) == 1472
        with pytest.raises(OSError, match="Message too long"):
            sender.sendto(bytes(1473), ("192.0.2.2", 4000))


@pytest.mark.parametrize("form", ["macvlan", "vrf"])
def test_a_tcp_stream_with_gso_passes_two_tags_and_is_counted_as_segments(bench: Bench, form: str) -> None:
    a, b = bench.net("a"), bench.net("b")
    bench.wire(a, b)
    stack = tags(3, 100, outer=0x88A8)
    end_b = b
    sub_a = bench.macvlan(a, "t0", "s0", stack)
    if form == "vrf":
        end_b = bench.net("b-vrf")
        sub_b = bench.vrf(b, end_b, "t0", "s0", stack)
    else:
        sub_b = bench.macvlan(b, "t0", "s0", stack)
    bench.addresses(a, "s0", V6_A)
    bench.addresses(end_b, "s0", V6_B)
    size = 8_000_000
    received = bytearray()
    with end_b.socket(socket.AF_INET6, socket.SOCK_STREAM) as server:
        server.bind(("2001:db8::2", 4000))
        server.listen()

        def receive() -> None:
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(1 << 20):
                    received.extend(data)

        receiver = threading.Thread(target=receive)
        receiver.start()
        tap = bench.tap(b, "t0")
        with a.socket(socket.AF_INET6, socket.SOCK_STREAM) as client:
            client.connect(("2001:db8::2", 4000))
            client.sendall(bytes(range(250)) * (size // 250))
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
            told = client.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 256)
            sent, sent_again = struct.unpack_from("=QQ", told, 200)
        receiver.join(20)
    assert bytes(received) == bytes(range(250)) * (size // 250)
    tap.sock.settimeout(0)
    assert max(len(frame.data) for frame in tap.frames()) > 4000
    counted = bench.plane.counters()

    def last_acknowledgement_arrived() -> bool:
        nonlocal counted
        counted = bench.plane.counters()
        sent, seen = counted.subinterface(sub_a.sub), counted.subinterface(sub_b.sub)
        return sent is not None and seen is not None and sent.tx == seen.rx

    wait_until(last_acknowledgement_arrived, "both ends to count the same")
    counters = counted.subinterface(sub_a.sub)
    assert counters is not None
    segment = 1500 - 40 - 32
    headers = 14 + 8 + 40 + 32
    assert size / segment <= counters.tx.packets <= size / segment * 1.3
    assert sent - sent_again == size
    assert counters.tx.bytes >= sent + headers * (size // segment)
    assert counters.tx.bytes <= sent + headers * counters.tx.packets * 1.01


def test_the_same_key_or_the_same_tags_twice_are_refused_and_leave_nothing(bench: Bench) -> None:
    a, b = bench.net("a"), bench.net("b")
    port, _ = bench.wire(a, b)
    first = bench.macvlan(a, "t0", "s0", tags(100), V4_A)
    with pytest.raises(KernelError, match=r"tags 100 on a:t0 for a:s0: it exists already"):
        bench.plane.add_subinterface(first, sub=bench.ifindex(a, "s0"), port=port, inner=None, netns_fd=a.fd)
    with pytest.raises(KernelError, match="other traffic has these tags at that port"):
        bench.macvlan(a, "t0", "s1", tags(100))
    with pytest.raises(KernelError, match="create it first"):
        bench.plane.add_subinterface(
            SubinterfaceTags(a.at("s2"), a.at("t0"), tags(7)), sub=9999, port=port, inner=None, netns_fd=a.fd
        )
    assert bench.plane.found() == {first}
    bench.plane.remove_subinterface(first)
    assert bench.plane.found() == set()
    assert bench.plane.counters().ports == ()
    with pytest.raises(KernelError, match="it is not there"):
        bench.plane.remove_subinterface(first)
    bench.plane.add_subinterface(first, sub=bench.ifindex(a, "s0"), port=port, inner=None, netns_fd=a.fd)
    assert bench.plane.found() == {first}


def test_found_sees_what_others_broke(bench: Bench) -> None:
    a, b = bench.net("a"), bench.net("b")
    bench.wire(a, b)
    keep = bench.macvlan(a, "t0", "s0", tags(100), V4_A)
    entry_lost = bench.macvlan(a, "t0", "s1", tags(101))
    device_lost = bench.macvlan(a, "t0", "s2", tags(102))
    far = bench.macvlan(b, "t0", "s0", tags(100), V4_B)
    assert bench.plane.found() == {keep, entry_lost, device_lost, far}

    rules = bench.plane._kernel.maps["rules"]
    key = next(k for k, _ in rules.items() if int.from_bytes(k[6:8], "little") == 101)
    rules.delete(key)
    a.ip("link delete s2")
    assert bench.plane.found() == {keep, far}
    b.ip("link delete t0")
    wait_until(lambda: bench.plane.found() == set(), "the trunk's links to be gone")
    for obj in (keep, entry_lost, device_lost, far):
        bench.plane.remove_subinterface(obj)


def test_what_broke_can_be_made_and_added_again(bench: Bench) -> None:
    a, b = bench.net("a"), bench.net("b")
    bench.indexes = iter([100, 101, 102, 103])
    bench.wire(a, b)
    near = bench.macvlan(a, "t0", "s0", tags(100))
    far = bench.macvlan(b, "t0", "s0", tags(100))
    a.ip("link delete s0")
    assert bench.plane.found() == {far}
    bench.indexes = iter([104])
    assert bench.macvlan(a, "t0", "s0", tags(100)) == near
    assert bench.plane.found() == {near, far}

    b.ip("link delete t0")
    wait_until(lambda: bench.plane.found() == set(), "the trunk's links to be gone")
    bench.indexes = iter([100, 101, 102, 103])  # the same numbers as before
    bench.wire(a, b)
    assert bench.macvlan(a, "t0", "s0", tags(100), V4_A) == near
    assert bench.macvlan(b, "t0", "s0", tags(100), V4_B) == far
    assert bench.plane.found() == {near, far}
    assert len(bench.echo(a, b, "192.0.2.2")) == 32


def test_the_calling_thread_stays_in_its_namespace(bench: Bench) -> None:
    a, b = bench.net("a"), bench.net("b")
    with inside(b.fd):
        bench.wire(a, b)
        bench.macvlan(a, "t0", "s0", tags(100))
        assert socket.if_nametoindex("t0") == bench.ifindex(b, "t0")
