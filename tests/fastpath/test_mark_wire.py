"""Marking on the wire, from namespace to namespace: DSCP, ECN, checksums, tags, order of programs."""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from edge.fastpath.attach import HookKind
from edge.fastpath.markplane import MarkPlane
from edge.fastpath.tagplane import TagPlane
from edge.model import ETHERTYPE_DOT1AD, Tag
from edge.net.objects.frames import Marking, SubinterfaceTags
from edge.qos.model import Direction, Policy, Rule
from edge.qos.profiles import profile
from tests import oracle
from tests.fastpath.corpus import Corpus, checksum
from tests.waiting import wait_until

from .conftest import Bench, Net, tags

pytestmark = [pytest.mark.root, pytest.mark.kernels("here", "stock")]

ETHERNET = 14
SO_RCVBUFFORCE = 33
UNTAGGED_BY_RECEIVER = (b"\x81\0", b"\x88\xa8")
"""Ethertypes of tags that the kernel takes off what arrives; it drops those without two octets behind."""
MARK = b"wire-test"
TEAMS = {50000: 46, 50019: 46, 50020: 34, 50039: 34, 50040: 18, 50059: 18, 50060: 0, 53: 0}
"""Client port -> DSCP (facts: expressroute 6.2)."""


@dataclass
class Wire:
    """Two namespaces with a wire between them, a tag plane, and a marking plane on the same kind of hook."""

    bench: Bench
    plane: MarkPlane
    a: Net
    b: Net

    def mark(self, net: Net, device: str, policy: Policy, **more: object) -> Marking:
        obj = Marking(net.at(device), "egress", policy, "out", "mark")
        for name, value in more.items():
            object.__setattr__(obj, name, value)
        self.plane.add(obj, index=self.bench.ifindex(net, device), netns_fd=net.fd)
        return obj


@contextlib.contextmanager
def wired(hook: HookKind) -> Iterator[Wire]:
    for plane in (TagPlane, MarkPlane):
        reason = plane.probe(hook)
        if reason is not None:
            pytest.skip(f"no tcx in this kernel (6.6): {reason}" if hook == "tcx" else reason)
    with contextlib.ExitStack() as stack:
        tag_plane, mark_plane = TagPlane(hook), MarkPlane(hook)
        stack.callback(tag_plane.close)
        stack.callback(mark_plane.close)
        bench = Bench(tag_plane, stack)
        a, b = bench.net("a"), bench.net("b")
        bench.wire(a, b)
        yield Wire(bench, mark_plane, a, b)


@pytest.fixture(
    params=[
        pytest.param("tcx", marks=pytest.mark.shows("marking by programs at tcx", here="any")),
        pytest.param(
            "clsact", marks=pytest.mark.shows("marking by programs at clsact", here="any", stock="any")
        ),
    ]
)
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    with wired(request.param) as made:
        yield made


@dataclass(frozen=True)
class Flow:
    """What arrived of one datagram."""

    ports: tuple[int, int]
    dscp: int
    ecn: int


def read(frame: bytes) -> Flow | None:
    """The test's datagram in an untagged frame, with all its checksums right; None for others' frames."""
    if MARK not in frame:
        return None
    found = oracle.network_layer(frame)
    assert found is not None
    ethertype, at = found
    if ethertype == oracle.IPV4:
        assert oracle_sum(frame[at : at + 20]) == 0xFFFF, "IPv4 header checksum"
        traffic_class, header, addresses = frame[at + 1], 20, frame[at + 12 : at + 20]
    else:
        traffic_class, header, addresses = (
            int.from_bytes(frame[at : at + 2], "big") >> 4 & 0xFF,
            40,
            frame[at + 8 : at + 40],
        )
    udp = frame[at + header :]
    length = int.from_bytes(udp[4:6], "big")
    pseudo = addresses + struct.pack("!HHHH", 0, length, 0, 17)
    assert oracle_sum(pseudo + udp[:length] + bytes(length % 2)) == 0xFFFF, "UDP checksum"
    source, destination = struct.unpack("!HH", udp[:4])
    return Flow((source, destination), traffic_class >> 2, traffic_class & 3)


def oracle_sum(octets: bytes) -> int:
    """The ones' complement sum that a right checksum makes 0xffff (RFC 1071)."""
    return checksum(octets) ^ 0xFFFF


def talk(
    wire: Wire, source: Net, target: Net, addresses: dict[int, str], ports: list[tuple[int, int]]
) -> None:
    """A datagram from each source to each destination port, with ECN 1 and DSCP 20, over IPv4 and IPv6."""
    for family, address in ((socket.AF_INET, addresses[4]), (socket.AF_INET6, addresses[6])):
        for source_port, destination_port in ports:
            with source.socket(family, socket.SOCK_DGRAM) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setsockopt(socket.SOL_SOCKET, 11, 0)  # SO_NO_CHECK off: the checksum is wanted
                if family == socket.AF_INET:
                    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 20 << 2 | 1)
                else:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 20 << 2 | 1)
                sock.bind(("", source_port))
                sock.sendto(MARK + bytes(30), (address, destination_port))


def arrived(tap, count: int) -> list[Flow]:
    """The next `count` datagrams of the test."""
    flows = (flow for frame in tap.frames() if (flow := read(frame.wire)) is not None)
    found = list(itertools.islice(flows, count))
    assert len(found) == count, found
    return found


def offloads_off(net: Net, device: str) -> None:
    """Let the sender finish checksums, so that they can be judged where they arrive."""
    net.run("ethtool", "-K", device, "tx", "off")


def address_both(wire: Wire) -> None:
    for net in (wire.a, wire.b):
        net.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/t0/disable_ipv6")
        wire.bench.addresses(net, "t0", f"{ADDRESSES[net.name][4]}/24", f"{ADDRESSES[net.name][6]}/64")
        offloads_off(net, "t0")


ADDRESSES = {"a": {4: "192.0.2.1", 6: "2001:db8::1"}, "b": {4: "192.0.2.2", 6: "2001:db8::2"}}


@pytest.mark.parametrize("direction", ["out", "in"])
def test_teams_is_marked_both_ways_with_ecn_and_checksums_right(wire: Wire, direction: Direction) -> None:
    address_both(wire)
    source, target = (wire.a, wire.b) if direction == "out" else (wire.b, wire.a)
    obj = wire.mark(source, "t0", profile("teams"), towards=direction)
    assert wire.plane.found() == {obj}
    tap = wire.bench.tap(target, "t0")
    clients = [(port, 40000) if direction == "out" else (40000, port) for port in TEAMS]
    talk(wire, source, target, ADDRESSES[target.name], clients)
    flows = arrived(tap, 2 * len(TEAMS))
    for flow in flows:
        port = flow.ports[0 if direction == "out" else 1]
        assert (port, flow.dscp, flow.ecn) == (port, TEAMS[port], 1)
    counters = wire.plane.counters().marking(obj)
    assert counters is not None
    expected = Counter({"voice": 4, "video": 4, "sharing": 4})
    assert (
        Counter(
            {c.name: c.counts.packets for c in counters.classes if c.counts.packets and c.name != "default"}
        )
        == expected
    )
    wire.plane.remove(obj)
    talk(wire, source, target, ADDRESSES[target.name], clients[:1])
    assert {flow.dscp for flow in arrived(tap, 2)} == {20}


@pytest.mark.parametrize("first", ["tags", "marking"])
def test_marking_comes_before_the_tag_is_put_on_in_whatever_order_they_came(wire: Wire, first: str) -> None:
    a, b = wire.a, wire.b
    index = 500
    offloads_off(a, "t0")
    a.ip(f"link add link t0 name s0 index {index} mtu 1500 type macvlan mode source", "link set s0 up")
    qinq = tags(3, 100, outer=ETHERTYPE_DOT1AD)

    def tag() -> None:
        obj = SubinterfaceTags(a.at("s0"), a.at("t0"), qinq)
        wire.bench.plane.add_subinterface(
            obj, sub=index, port=wire.bench.ifindex(a, "t0"), inner=None, netns_fd=a.fd
        )

    steps = [tag, lambda: wire.mark(a, "s0", profile("teams"))]
    for step in steps if first == "tags" else reversed(steps):
        step()
    wire.bench.addresses(a, "s0", "192.0.2.1/24")
    a.run("ip", "neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:09", "dev", "s0")
    tap = wire.bench.tap(b, "t0")
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("192.0.2.1", 50005))
        sock.sendto(MARK, ("192.0.2.2", 40000))
    seen = tap.first(lambda frame: MARK in frame.data)
    assert seen.wire[12:22] == bytes.fromhex("88a8 0003 8100 0064 0800")
    found = read(seen.wire)
    assert found is not None
    assert found.dscp == 46


def test_a_tag_in_metadata_is_seen_as_one_in_the_frame(wire: Wire) -> None:
    """The kernel moves the outermost tag of what arrives into metadata; two more are one too many."""
    a, b = wire.a, wire.b
    inner = Policy("inner", (), unmatched_dscp=34)
    outer = Policy("outer", (), unmatched_dscp=46)
    objects = [
        wire.mark(b, "t0", outer, hook="ingress", outer=Tag(3, ETHERTYPE_DOT1AD)),
        wire.mark(b, "t0", inner, hook="ingress"),
    ]
    packet = bytes.fromhex("4500002500000000401100000102030405060708000100020011000077697265") + b"-test"
    head = b"\xff" * 6 + bytes(6)
    tap = wire.bench.tap(b, "t0")
    counted = []
    for stack in ("", "88a80003", "88a800038100 0064", "81000003", "88a8000381000064 9100 0001"):
        wire.bench.send(a, "t0", head + bytes.fromhex(stack) + b"\x08\0" + packet)
        tap.first(lambda frame: b"re-test" in frame.data)  # it came by: both programs have run
        counted.append(tuple(c.total.remarked for c in wire.plane.counters().markings))
    assert wire.plane.found() == set(objects)
    assert counted == [(0, 1), (1, 1), (2, 1), (2, 2), (2, 2)]
    assert [c.total.packets for c in wire.plane.counters().markings] == [3, 2]


@pytest.mark.parametrize("hook", ["egress", "ingress"])
def test_the_more_specific_of_three_markings_takes_a_frame(wire: Wire, hook: str) -> None:
    """At the sender both tags are in the frame, at the receiver the outer one is in metadata."""
    net = wire.a if hook == "egress" else wire.b
    policy = Policy("all", (), unmatched_dscp=46)
    for outer, inner in ((Tag(3), Tag(100)), (Tag(3), None), (None, None)):
        wire.mark(net, "t0", policy, hook=hook, outer=outer, inner=inner)
    packet = bytes.fromhex("4500002500000000401100000102030405060708000100020011000077697265") + b"-test"
    head = b"\xff" * 6 + bytes(6)
    tap = wire.bench.tap(wire.b, "t0")
    for stack in (
        "81000003 81000064",
        "81000003 88a80064",
        "81000003",
        "81000064 81000003",
        "",
        "81000003 8100",
    ):
        wire.bench.send(wire.a, "t0", head + bytes.fromhex(stack) + b"\x08\0" + packet)
        tap.first(lambda frame: b"re-test" in frame.data)
    assert [c.total.packets for c in wire.plane.counters().markings] == [1, 3, 2]
    assert [str(c.inner) for c in wire.plane.counters().markings] == ["100", "None", "None"]


def test_frames_that_end_anywhere_are_judged_as_the_oracle_says(wire: Wire) -> None:
    """Those that BPF_PROG_TEST_RUN refuses among them; the kernel's stack lets a raw socket send them."""
    corpus = Corpus(77)
    policy = corpus.policy(20)
    obj = wire.mark(wire.a, "t0", policy)
    tap = wire.bench.tap(wire.b, "t0")
    tap.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
    sent = []
    with wire.a.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind(("t0", 0))
        for number in range(600):
            frame = b"\xff" * 6 + number.to_bytes(6, "big") + corpus.frame()[12:]
            frame = frame[: 15 + number % 40] if number % 2 else frame[:1500]
            if len(frame) > ETHERNET and not (frame[12:14] in UNTAGGED_BY_RECEIVER and len(frame) < 20):
                sock.send(frame)
                sent.append(frame)
    expected = {frame[6:12]: oracle.verdict(frame, policy, "out", "mark")[1] for frame in sent}
    assert len(expected) > 300
    seen = {}
    for frame in tap.frames():
        if frame.data[:6] == b"\xff" * 6 and frame.wire[6:12] in expected:
            seen[frame.wire[6:12]] = frame.wire
            if len(seen) == len(expected):
                break
    different = [key for key in expected if seen.get(key) != expected[key]]
    assert not different, (seen.get(different[0]), expected[different[0]])
    counters = wire.plane.counters().marking(obj)
    assert counters is not None
    assert counters.total.packets >= len(sent)


def test_headers_outside_the_linear_part_are_pulled_in(wire: Wire) -> None:
    """A raw socket with a ring sends frames whose octets lie in pages; only the Ethernet header is linear."""
    address_both(wire)
    obj = wire.mark(wire.a, "t0", profile("teams"))
    tap = wire.bench.tap(wire.b, "t0")
    frames = []
    for port in TEAMS:
        udp = struct.pack("!HHHH", port, 40000, 8 + len(MARK), 0) + MARK
        head = bytearray(
            struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), bytes(4))
        )
        head[10:12] = checksum(head).to_bytes(2, "big")
        frames.append(b"\xff" * 6 + bytes(6) + b"\x08\0" + bytes(head) + udp)
    send_in_pages(wire.a, "t0", frames)
    seen: dict[int, int] = {}
    for frame in tap.frames():
        if MARK in frame.data:
            seen[int.from_bytes(frame.data[34:36], "big")] = frame.data[15] >> 2
            assert checksum(frame.data[14:34]) in (0, 0xFFFF)
            if len(seen) == len(TEAMS):
                break
    assert seen == TEAMS
    assert wire.plane.found() == {obj}


def send_in_pages(net: Net, device: str, frames: list[bytes]) -> None:
    """PACKET_TX_RING: tpacket_fill_skb copies the link header and takes the rest as page fragments."""
    import mmap

    packet_tx_ring, tpacket_version, size, slots = 13, 10, 2048, 16
    with net.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.setsockopt(263, tpacket_version, 1)  # TPACKET_V2
        sock.setsockopt(263, packet_tx_ring, struct.pack("=4I", 4096, size * slots // 4096, size, slots))
        sock.bind((device, 0))
        with mmap.mmap(
            sock.fileno(), size * slots, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE
        ) as ring:
            for number, frame in enumerate(frames):
                base = number * size
                ring[base + 32 : base + 32 + len(frame)] = frame  # TPACKET2_HDRLEN - sizeof(sockaddr_ll)
                struct.pack_into("=III", ring, base, 1, len(frame), len(frame))  # TP_STATUS_SEND_REQUEST
            sock.send(b"")


def test_a_policy_changes_while_traffic_flows_and_no_packet_goes_unmarked(wire: Wire) -> None:
    voice = Policy("voice", (Rule("all", "voice", 46, destination_ports=(40000, 40000)),))
    video = Policy("video", (Rule("all", "video", 34, destination_ports=(40000, 40000)),))
    address_both(wire)
    obj = wire.mark(wire.a, "t0", voice, tree=0)
    tap = wire.bench.tap(wire.b, "t0")
    tap.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
    stop, sent = threading.Event(), []

    def flood() -> None:
        with wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while not stop.is_set():
                sent.append(sock.sendto(MARK, ("192.0.2.2", 40000)))

    flooder = threading.Thread(target=flood)
    flooder.start()
    try:
        before = obj
        for policy in (video, voice, video, voice, video):
            passed = len(sent)
            # One processor has both threads: each policy gets packets to mark.
            wait_until(lambda passed=passed: len(sent) > passed + 20, "packets pass")
            after = replace(before, policy=policy)
            wire.plane.change(before, after)
            assert wire.plane.found() == {after}
            before = after
    finally:
        stop.set()
        flooder.join()
    tap.sock.settimeout(0.2)
    dscps = Counter(frame.data[15] >> 2 for frame in tap.frames() if MARK in frame.data)
    assert set(dscps) <= {46, 34}
    assert len(dscps) == 2
    counters = wire.plane.counters().marking(before)
    assert counters is not None
    by_class = {item.name: item.counts.packets for item in counters.classes}
    assert by_class["voice"] + by_class["video"] == len(sent), "a frame was not counted, or twice"
    assert counters.policy == "video"
    assert [item.name for item in counters.rules] == ["all"]
    assert counters.rules[0].counts.packets == len(sent)


def htb(net: Net, device: str, tree: int) -> None:
    """Classes 1:1 to 1:5 of a tree, and 1:ff for what names none."""
    first = tree * 16 + 1
    classes = [f"1:{number:x}" for number in (*range(first, first + 5), 0xFF)]
    net.run(*f"tc qdisc add dev {device} root handle 1: htb default ff".split())
    for name in classes:
        net.run(*f"tc class add dev {device} parent 1: classid {name} htb rate 100mbit".split())


def queued(net: Net, device: str) -> dict[str, int]:
    """Packets by HTB class. In words: iproute2 6.1 does not speak JSON here."""
    listing = net.run("tc", "-s", "class", "show", "dev", device)
    found = re.findall(r"^class htb (\S+) .*\n Sent \d+ bytes (\d+) pkt", listing, re.MULTILINE)
    return {name: int(packets) for name, packets in found}


@pytest.mark.parametrize("tree", [0, 255])
@pytest.mark.parametrize("hook_at", ["subinterface", "port"])
def test_packets_are_queued_by_class_below_their_tags(wire: Wire, tree: int, hook_at: str) -> None:
    """Marked at the subinterface beside the port, or at the port by the tag that they have there."""
    a, index = wire.a, 500
    a.ip(f"link add link t0 name s0 index {index} mtu 1500 type macvlan mode source", "link set s0 up")
    qinq = tags(3, 100, outer=ETHERTYPE_DOT1AD)
    obj = SubinterfaceTags(a.at("s0"), a.at("t0"), qinq)
    port = wire.bench.ifindex(a, "t0")
    wire.bench.plane.add_subinterface(obj, sub=index, port=port, inner=None, netns_fd=a.fd)
    htb(a, "t0", tree)
    if hook_at == "subinterface":
        wire.mark(a, "s0", profile("teams"), tree=tree)
    else:
        wire.mark(a, "t0", profile("teams"), tree=tree, outer=qinq[0])
        wire.mark(a, "t0", profile("teams"), tree=15, outer=Tag(4, ETHERTYPE_DOT1AD))
    wire.bench.addresses(a, "s0", "192.0.2.1/24")
    a.run("ip", "neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:09", "dev", "s0")
    before = queued(a, "t0")
    for port_number, count in ((50000, 3), (50020, 5), (50040, 7)):
        with a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("192.0.2.1", port_number))
            for _ in range(count):
                sock.sendto(MARK, ("192.0.2.2", 40000))
    after = queued(a, "t0")
    names = [f"1:{tree * 16 + queue + 1:x}" for queue in range(3)]
    assert [after.get(name, 0) - before.get(name, 0) for name in names] == [3, 5, 7]


def test_a_gso_frame_counts_as_its_segments(wire: Wire) -> None:
    for net in (wire.a, wire.b):
        wire.bench.addresses(net, "t0", f"{ADDRESSES[net.name][4]}/24")
    policy = Policy("bulk", (Rule("bulk", "files", 10, protocols=(6,), destination_ports=(4000, 4000)),))
    sent, received = wire.mark(wire.a, "t0", policy), wire.mark(wire.b, "t0", policy, hook="ingress")
    size = 4_000_000
    with wire.b.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind(("", 4000))
        server.listen()
        got: list[int] = []

        def receive() -> None:
            connection, _ = server.accept()
            with connection:
                got.append(sum(len(data) for data in iter(lambda: connection.recv(1 << 20), b"")))

        receiver = threading.Thread(target=receive)
        receiver.start()
        with wire.a.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(20)
            client.connect(("192.0.2.2", 4000))
            client.sendall(bytes(size))
        receiver.join(20)
    assert got == [size]
    segment = 1508 - 52  # the wire's MTU without IPv4 and TCP with time stamps
    for obj in (sent, received):
        counters = wire.plane.counters().marking(obj)
        assert counters is not None
        counts = counters.rules[0].counts
        assert counts.packets >= size // segment
        assert size + (counts.packets - 20) * 66 <= counts.bytes <= 1.2 * size
    at_b = wire.plane.counters().marking(received)
    assert at_b is not None
    assert at_b.rules[0].counts.remarked == 0, "it came marked"
