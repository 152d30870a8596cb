"""The ring engine: what is its own, and that its frames are those of the BPF programs."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from edge.errors import KernelError
from edge.fastpath import _ring
from edge.fastpath.build import CSRC
from edge.fastpath.counters import DirectionCounters
from edge.fastpath.layout import Rate
from edge.fastpath.ring import RingPlane
from edge.fastpath.ringprocess import COUNTERS, PLACES, PORTS, SLOTS, Op
from edge.fastpath.tagplane import TagPlane
from edge.model import Tag
from edge.net.objects.changes import Change
from edge.net.objects.frames import Impairment, Marking, Queues, QueueTree, VirtualCircuit
from edge.qos.model import CLASSES, Policy, Rule
from tests.waiting import wait_until

from .conftest import Bench, Net, Seen, Tap, tags
from .ring_bench import RingBench, ring_bench

pytestmark = pytest.mark.root

S3_C100 = tags(3, 100, outer=0x88A8)
PATTERN = b"\x88\xb5edge ring"
UDP_SEGMENT, SO_RCVBUFFORCE = 103, 33
EF, CS6 = 46, 48


@pytest.fixture
def bench() -> Iterator[RingBench]:
    with ring_bench() as made:
        yield made


def frame(number: int, *wire_tags: tuple[int, int], size: int = 60) -> bytes:
    """A frame of our own ethertype with a number in it, under tags (tpid, tci)."""
    stack = b"".join(struct.pack("!HH", *tag) for tag in wire_tags)
    body = bytes.fromhex("020000000002020000000001") + stack + PATTERN + struct.pack("!I", number)
    return body.ljust(size + len(stack), b"\0")


def number_of(seen: Seen) -> int | None:
    at = seen.data.find(PATTERN)
    return None if at < 0 else struct.unpack_from("!I", seen.data, at + len(PATTERN))[0]


def packet(dscp: int, size: int, *wire_tags: tuple[int, int], port: int = 5000) -> bytes:
    """An IPv4/UDP packet of `size` octets to nobody, in a frame under tags."""
    udp = struct.pack("!HHHH", port, port, size - 20, 0)
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, dscp << 2, size, 0, 0, 64, 17, 0, b"\xc0\0\2\1", b"\xc0\0\2\2"
    )
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + struct.pack("!H", ~total & 0xFFFF) + header[12:]
    stack = b"".join(struct.pack("!HH", *tag) for tag in wire_tags)
    ethernet = bytes.fromhex("020000000002020000000001") + stack + b"\x08\x00"
    return (ethernet + header + udp).ljust(len(ethernet) + size, b"\0")


def provider(bench: Bench) -> tuple[Net, Net, Net]:
    """a:xa -- p:xa, p:xb -- b:xb."""
    a, p, b = bench.net("a"), bench.net("p"), bench.net("b")
    bench.wire(a, p, "xa")
    bench.wire(p, b, "xb")
    return a, p, b


def burst(net: Net, device: str, frames: list[bytes]) -> None:
    with net.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((device, 0))
        for data in frames:
            sock.send(data)


def test_numbers_and_sizes_are_those_of_the_header() -> None:
    enum = _ring.ffi.typeof("enum edge_ring_op")
    assert {f"EDGE_RING_{op.name}": op.value for op in Op} == enum.relements
    header = "".join((CSRC / name).read_text() for name in ("ring.h", "mark.h"))
    for name, value in (
        ("EDGE_RING_PORTS", PORTS),
        ("EDGE_RING_SLOTS", SLOTS),
        ("EDGE_RING_PLACES", PLACES),
        ("EDGE_MARK_COUNTERS_MAX", COUNTERS),
    ):
        assert re.search(rf"#define {name} {value}\b", header), name


# What passes each kind of rule, with priorities, sizes and depths that matter.
STORY = [
    frame(1),
    frame(2, (0x8100, 100)),
    frame(3, (0x8100, 0xB064)),
    frame(4, (0x88A8, 0xE003), (0x8100, 0x3064)),
    frame(5, (0x88A8, 3), (0x8100, 101)),
    frame(6, (0x88A8, 3), (0x8100, 100), (0x8100, 9)),
    frame(7, (0x88A8, 30), (0x8100, 7), (0x8100, 8)),
    frame(8, (0x8100, 0)),
    frame(9, (0x8100, 100), size=1514),
    frame(10, (0x88A8, 3), (0x8100, 100), size=1500),
    frame(11, (0x9100, 5)),
    packet(EF, 1500, (0x88A8, 3), (0x8100, 100)),
    packet(EF, 28, (0x8100, 100)),
]
LAST = 999
END = frame(LAST, (0x8100, 4000))


def up_to_last(tap: Tap) -> list[bytes]:
    """The octets of the frames of a story that the tap hears, in order, to the one with number LAST."""
    found: list[bytes] = []
    for seen in tap.frames():
        if seen.data[6:12] == STORY[0][6:12]:
            found.append(seen.wire)
        if number_of(seen) == LAST:
            return found
    pytest.fail(f"frame {LAST} did not come; before it {len(found)}")


def heard(bench: Bench, far: list[tuple[Net, str]], near: tuple[Net, str]) -> list[list[bytes]]:
    """What each far device gets when the near one sends STORY: the wire's octets in order.

    Each way has its own last frame: ports send on their own, so one being done says nothing of another.
    """
    taps = [bench.tap(*place) for place in far]
    net, device = near
    burst(net, device, [*STORY, frame(LAST, (0x8100, 100)), END])
    return [up_to_last(tap) for tap in taps]


def story_of(bench: Bench) -> tuple[object, ...]:
    a, p, b = provider(bench)
    c = bench.net("c")
    bench.wire(p, c, "xc")
    vrf, end = bench.net("vrf"), bench.net("end")
    bench.circuit(p, ("xa", tags(100)), ("xb", S3_C100), name="push")
    bench.circuit(p, ("xa", S3_C100), ("xb", tags(7)), name="pop")
    bench.circuit(p, ("xa", (Tag(30, 0x88A8),)), ("xb", (Tag(31, 0x88A8),)), name="swap")
    bench.circuit(p, ("xa", tags(4000)), ("xc", ()), name="end")
    through = heard(bench, [(b, "xb"), (c, "xc")], (a, "xa"))
    # The same frames from a VRF by its subinterface, and back into one.
    bench.wire(end, b, "t0")
    bench.vrf(end, vrf, "t0", "s0", S3_C100, "192.0.2.1/30")
    bench.circuit(b, ("t0", S3_C100), ("xb", S3_C100), name="over")
    unknown = bench.plane.counters().port(p.at("xa"))
    assert unknown is not None
    tap = bench.tap(b, "t0")
    burst(vrf, "s0", [*STORY[:4], END])
    sent = up_to_last(tap)
    return through, sent, unknown.dropped, sorted(unknown.unknown, key=str)


@pytest.mark.kernels("here", "stock")
def test_frames_and_counters_are_those_of_bpf() -> None:
    reason = TagPlane.probe()
    if reason is not None:
        pytest.skip(reason)
    with ring_bench() as by_ring:
        ring = story_of(by_ring)
    with contextlib.ExitStack() as stack:
        plane = TagPlane()
        stack.callback(plane.close)
        bpf = story_of(Bench(plane, stack))
    assert ring == bpf
    assert sum(map(len, ring[0])) >= 7  # type: ignore[arg-type]


@pytest.mark.shows("a circuit's bandwidth", "policed frames counted by class", here="ring")
def test_a_policer_passes_its_rate_and_counts_what_it_drops_by_class(bench: RingBench) -> None:
    a, p, _b = provider(bench)
    rate_bps = 5_000_000
    circuit = bench.circuit(p, ("xa", tags(100)), ("xb", tags(200)), rate_bps=rate_bps)
    voice, bulk = packet(EF, 1000, (0x8100, 100)), packet(0, 1000, (0x8100, 100))
    offered = [voice, bulk, bulk] * 400

    def way() -> DirectionCounters:
        counted = bench.plane.counters().circuit("p", "vc")
        assert counted is not None
        return counted.a_to_b

    def all_judged(count: int) -> bool:
        lost = bench.plane.traffic()[p.at("xa")][1]
        return way().passed.packets + way().dropped.packets + lost == count

    begin = time.monotonic()
    burst(a, "xa", offered)
    wait_until(lambda: all_judged(len(offered)), "every frame to be judged")
    at_most = Rate.of(rate_bps).burst_nanobits // 8_000_000_000 + rate_bps / 8 * (time.monotonic() - begin)
    policed = way()
    assert 0.9 * Rate.of(rate_bps).burst_nanobits // 8_000_000_000 <= policed.passed.bytes <= at_most
    by_class = {item.name: item for item in policed.by_class}
    assert by_class["EF"].dropped.packets > 0
    assert by_class["other"].dropped.packets > by_class["EF"].dropped.packets
    assert sum(item.passed.packets for item in policed.by_class) == policed.passed.packets
    assert sum(item.dropped.packets for item in policed.by_class) == policed.dropped.packets

    free = replace(circuit, rate_bps=None)
    bench.plane.change_circuit(circuit, free)
    assert bench.plane.found() == {free}
    burst(a, "xa", offered)
    wait_until(lambda: all_judged(2 * len(offered)), "every frame to be judged")
    assert way().dropped == policed.dropped


@pytest.mark.kernels("here", "stock")
def test_udp_segments_of_one_send_arrive_whole_under_two_tags(bench: RingBench) -> None:
    a, b = bench.net("a"), bench.net("b")
    bench.wire(a, b)
    va, vb = bench.net("va"), bench.net("vb")
    bench.vrf(a, va, "t0", "s0", S3_C100, "192.0.2.1/30")
    bench.vrf(b, vb, "t0", "s0", S3_C100, "192.0.2.2/30")
    data = os.urandom(24_000)
    with (
        vb.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        va.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("", 4000))
        try:
            sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1200)
        except OSError as error:
            pytest.skip(f"this kernel segments no UDP: {error}")
        sender.sendto(data, ("192.0.2.2", 4000))
        assert b"".join(receiver.recv(2000) for _ in range(20)) == data


def test_frames_of_a_subinterface_beside_its_port_do_not_leak_into_the_router(bench: RingBench) -> None:
    a, b = bench.net("a"), bench.net("b")
    bench.wire(a, b)
    bench.macvlan(a, "t0", "s0", tags(100), "192.0.2.1/30")
    bench.macvlan(b, "t0", "s0", tags(100), "192.0.2.2/30")
    with b.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("", 4000))
        mac = b.run("cat", "/proc/net/arp")
        assert "t0" not in mac
        # To the port's own address and to all, untagged: for nobody here.
        burst(a, "t0", [b"\xff" * 6 + packet(0, 40, port=4000)[6:]])
        wait_until(lambda: _unknown(bench, b)["untagged"] == 1, "the engine to drop it")
        assert len(bench.echo(a, b, "192.0.2.2", port=4001)) == 32
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.recv(100)


def _unknown(bench: RingBench, net: Net) -> Counter[str]:
    port = bench.plane.counters().port(net.at("t0"))
    return Counter({str(stack): stack.packets for stack in port.unknown})


def test_what_broke_is_not_found_and_can_be_added_again(bench: RingBench) -> None:
    a, b = bench.net("a"), bench.net("b")
    bench.wire(a, b)
    near = bench.macvlan(a, "t0", "s0", tags(100), "192.0.2.1/30")
    far = bench.macvlan(b, "t0", "s0", tags(100), "192.0.2.2/30")
    assert bench.plane.found() == {near, far}
    with pytest.raises(KernelError, match="it exists already"):
        bench.plane.add_subinterface(
            near,
            sub=bench.ifindex(a, "s0"),
            port=bench.ifindex(a, "t0"),
            inner=bench.ifindex(a, "s0-in"),
            netns_fd=a.fd,
        )
    with pytest.raises(KernelError, match="other traffic has these tags at that port"):
        bench.macvlan(a, "t0", "s1", tags(100))
    a.ip("link delete s0")
    assert bench.plane.found() == {far}
    a.ip("link delete s1")
    assert bench.macvlan(a, "t0", "s0", tags(100), "192.0.2.1/30") == near
    b.ip("link delete t0")
    wait_until(lambda: bench.plane.found() == set(), "the trunk to be gone")
    a.ip("link delete s0")
    b.ip("link delete s0")
    bench.wire(a, b)
    assert bench.macvlan(a, "t0", "s0", tags(100), "192.0.2.1/30") == near
    assert bench.macvlan(b, "t0", "s0", tags(100), "192.0.2.2/30") == far
    assert len(bench.echo(a, b, "192.0.2.2")) == 32
    for obj in (near, far):
        bench.plane.remove_subinterface(obj)
        with pytest.raises(KernelError, match="it is not there"):
            bench.plane.remove_subinterface(obj)
    assert bench.plane.counters().ports == ()


def marking(net: Net, device: str, **more: object) -> Marking:
    policy = Policy("ring-test", (Rule("calls", "voice", EF, (17,), either_ports=(5000, 5000)),))
    obj = Marking(net.at(device), "egress", policy, "out", "mark")
    return replace(obj, **more)  # type: ignore[arg-type]


def test_an_engine_that_was_killed_comes_back_with_all_it_did(bench: RingBench) -> None:
    a, p, b = provider(bench)
    circuit = bench.circuit(p, ("xa", tags(100)), ("xb", tags(200)))
    mark = marking(p, "xb")
    bench.plane.marks.add(mark, index=0, netns_fd=p.fd)
    queues = Queues(p.at("xb"), (QueueTree(0, 10_000_000, CLASSES),))
    assert bench.plane.queues.create([Change(None, queues)]) == [None]
    harm = Impairment(p.at("xb"), seed=7, delay_ns=1000)
    bench.plane.impairments.add(harm, device=0, sink=0, netns_fd=p.fd)

    def in_force() -> tuple[object, ...]:
        plane = bench.plane
        return plane.found(), plane.marks.found(), list(plane.queues.found({}, {})), plane.impairments.found()

    whole = ({circuit}, {mark}, [queues], {harm})
    assert in_force() == whole
    before = bench.plane.pid
    os.kill(before, signal.SIGKILL)
    assert select.select([bench.plane.pidfd], [], [], 5)[0]
    assert in_force() == (set(), set(), [], set())
    assert bench.plane.ending() == "killed by signal 9"
    with pytest.raises(KernelError, match="has ended"):
        bench.circuit(p, ("xa", tags(101)), ("xb", tags(201)), name="late")
    bench.plane.restart()
    assert bench.plane.pid != before
    assert in_force() == whole
    tap = bench.tap(b, "xb")
    bench.send(a, "xa", packet(0, 100, (0x8100, 100)))
    seen = tap.first(lambda seen: seen.data[12:14] == b"\x08\x00")
    assert seen.data[15] >> 2 == EF


def test_the_engine_ends_with_the_process_that_started_it() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        plane = RingPlane({}.__getitem__)
        os.write(writer, struct.pack("=i", plane.pid))
        signal.pause()
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        (engine,) = struct.unpack("=i", pipe.read(4))
        pidfd = os.pidfd_open(engine)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        ended = select.select([pidfd], [], [], 5)[0]
        os.close(pidfd)
    assert ended


def test_a_removal_succeeds_when_the_engine_has_died(bench: RingBench) -> None:
    _a, p, _b = provider(bench)
    circuit = bench.circuit(p, ("xa", tags(100)), ("xb", tags(200)))
    os.kill(bench.plane.pid, signal.SIGKILL)
    assert select.select([bench.plane.pidfd], [], [], 5)[0]
    bench.plane.remove_circuit(circuit)
    bench.plane.restart()
    assert bench.plane.found() == set()
    assert isinstance(bench.circuit(p, ("xa", tags(100)), ("xb", tags(200))), VirtualCircuit)


def test_policies_mark_by_tag_and_count(bench: RingBench) -> None:
    a, p, b = provider(bench)
    for vid in (100, 101):
        bench.circuit(p, ("xa", tags(vid)), ("xb", tags(vid)), name=f"vc{vid}")
    tagged = marking(p, "xb", outer=Tag(100))
    bench.plane.marks.add(tagged, index=0, netns_fd=p.fd)
    tap = bench.tap(b, "xb")
    burst(
        a, "xa", [packet(CS6, 100, (0x8100, vid), port=port) for vid in (100, 101) for port in (5000, 6000)]
    )
    got = [
        (seen.tci, seen.data[15] >> 2)
        for seen in (tap.first(lambda seen: seen.data[12:14] == b"\x08\x00") for _ in range(4))
    ]
    assert got == [(100, EF), (100, 0), (101, CS6), (101, CS6)]
    counted = bench.plane.marks.counters().marking(tagged)
    assert counted is not None
    assert (counted.rules[0].counts.packets, counted.rules[0].counts.remarked) == (1, 1)
    assert (counted.unmatched.packets, counted.total.bytes) == (1, 2 * 118)
    changed = replace(tagged, policy=replace(tagged.policy, unmatched_dscp=None))
    bench.plane.marks.change(tagged, changed)
    assert bench.plane.marks.found() == {changed}
    bench.send(a, "xa", packet(CS6, 100, (0x8100, 100), port=6000))
    assert tap.first(lambda seen: seen.data[12:14] == b"\x08\x00").data[15] >> 2 == CS6
    counted = bench.plane.marks.counters().marking(changed)
    assert counted is not None
    assert counted.unmatched.packets == 2
    bench.plane.marks.remove(changed)
    bench.send(a, "xa", packet(CS6, 100, (0x8100, 100)))
    assert tap.first(lambda seen: seen.data[12:14] == b"\x08\x00").data[15] >> 2 == CS6


@pytest.mark.parametrize(("knob", "expected"), [("pass", CS6), ("remark", 0), ("drop", None)])
def test_the_knob_at_a_subinterfaces_ingress(bench: RingBench, knob: str, expected: int | None) -> None:
    a, b, vrf = bench.net("a"), bench.net("b"), bench.net("vrf")
    bench.wire(a, b)
    bench.vrf(b, vrf, "t0", "s0", tags(100), "192.0.2.2/30")
    policy = Policy("knob", (Rule("known", "voice", EF, existing_dscp=(EF,)),), unmatched_dscp=None)
    obj = Marking(vrf.at("s0"), "ingress", policy, "out", "mark", msee=knob)  # type: ignore[arg-type]
    bench.plane.marks.add(obj, index=0, netns_fd=vrf.fd)
    tap = bench.tap(vrf, "s0")
    burst(a, "t0", [packet(CS6, 100, (0x8100, 100)), packet(EF, 100, (0x8100, 100))])
    got = []
    while not got or got[-1] != EF:
        got.append(tap.first(lambda seen: seen.data[26:30] == b"\xc0\0\2\1").data[15] >> 2)
    assert got == ([] if expected is None else [expected]) + [EF]
    counted = bench.plane.marks.counters().marking(obj)
    assert counted is not None
    assert counted.total.unknown == 1
    assert counted.total.dropped == (knob == "drop")


@pytest.mark.shows("voice loses nothing in an overload behind queues", here="ring")
@pytest.mark.parametrize("with_queues", [True, False])
def test_voice_loses_nothing_among_bulk_only_where_there_are_queues(
    bench: RingBench, with_queues: bool
) -> None:
    rate, size = 8_000_000, 1000
    a, p, b = provider(bench)
    bench.circuit(p, ("xa", tags(100)), ("xb", tags(100)))
    queues = Queues(p.at("xb"), (QueueTree(0, rate, CLASSES),))
    if with_queues:
        assert bench.plane.queues.create([Change(None, queues)]) == [None]
        bench.plane.marks.add(marking(p, "xb", tree=0), index=0, netns_fd=p.fd)
    else:
        harm = Impairment(p.at("xb"), seed=1, rate_bps=rate)
        bench.plane.impairments.add(harm, device=0, sink=0, netns_fd=p.fd)
    voice = packet(EF, 100, (0x8100, 100), port=5000)
    bulk = packet(0, size, (0x8100, 100), port=6000)
    tap = bench.tap(b, "xb")
    tap.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    # Three seconds' worth of the wire in much less: voice is a hundredth of it.
    rounds = 3 * rate // 8 // (size * 10)
    burst(a, "xa", ([bulk] * 10 + [voice]) * rounds)
    counts: Counter[int] = Counter()

    def settled() -> bool:
        tap.sock.settimeout(0)
        for seen in tap.frames():
            if seen.data[12:14] == b"\x08\x00":
                counts[struct.unpack_from("!H", seen.data, 34)[0]] += 1
        traffic = bench.plane.traffic()
        read, missed = traffic[p.at("xa")]
        assert missed == 0, "the machine is too slow for this test's burst"
        waiting = sum(row.backlog_packets for row in bench.plane.queues.counters([queues]))
        waiting += sum(row.waiting for row in bench.plane.impairments.counters())
        arrived = sum(counts.values()) == traffic[p.at("xb")][0].sent
        return read.received >= 11 * rounds and waiting == 0 and arrived

    wait_until(settled, "the queues to run empty", deadline_s=20)
    assert counts[6000] < 10 * rounds
    if with_queues:
        assert counts[5000] == rounds
    else:
        assert counts[5000] < rounds


@pytest.mark.shows("a bad link: the same frames lost on every run", here="ring")
def test_the_same_seed_loses_the_same_frames(bench: RingBench) -> None:
    a, p, b = provider(bench)
    bench.circuit(p, ("xa", tags(100)), ("xb", tags(100)))
    runs = []
    for seed in (5, 5, 6):
        harm = Impairment(p.at("xb"), seed=seed, loss_ppm=300_000)
        bench.plane.impairments.add(harm, device=0, sink=0, netns_fd=p.fd)
        assert bench.plane.impairments.found() == {harm}
        tap = bench.tap(b, "xb")
        burst(a, "xa", [frame(number, (0x8100, 100)) for number in range(100)])
        wait_until(lambda: bench.plane.impairments.counters()[0].offered == 100, "all frames to be offered")
        (counted,) = bench.plane.impairments.counters()
        tap.sock.settimeout(1)
        seen = [number_of(tap.first(lambda seen: number_of(seen) is not None)) for _ in range(counted.taken)]
        assert len(seen) + counted.lost == 100
        runs.append(seen)
        bench.plane.impairments.remove(harm)
    assert runs[0] == runs[1] != runs[2]
    assert 50 <= len(runs[0]) <= 90


def test_the_more_specific_of_three_markings_takes_a_frame(bench: RingBench) -> None:
    a, p, _b = provider(bench)
    bench.circuit(p, ("xa", ()), ("xb", ()))
    wanted = {
        name: marking(p, "xb", outer=outer, inner=inner)
        for name, outer, inner in (
            ("both", Tag(3), Tag(100)),
            ("outer", Tag(3), None),
            ("any", None, None),
        )
    }
    for obj in wanted.values():
        bench.plane.marks.add(obj, index=0, netns_fd=p.fd)
    stacks = [(3, 100), (3, 101), (3,), (4, 100), (100,), ()]
    burst(a, "xa", [packet(0, 100, *((0x8100, vid) for vid in stack)) for stack in stacks])

    def counts() -> dict[str, int]:
        counters = bench.plane.marks.counters()
        return {name: counters.marking(obj).total.packets for name, obj in wanted.items()}

    wait_until(lambda: sum(counts().values()) == len(stacks), "every frame to be counted")
    assert counts() == {"both": 1, "outer": 2, "any": 3}
    bench.plane.marks.remove(wanted["both"])
    burst(a, "xa", [packet(0, 100, (0x8100, 3), (0x8100, 100))])
    del wanted["both"]
    wait_until(lambda: sum(counts().values()) == len(stacks), "the frame to be counted")
    assert counts() == {"outer": 3, "any": 3}


def test_many_markings_of_one_port_are_each_found(bench: RingBench) -> None:
    a, p, _b = provider(bench)
    bench.circuit(p, ("xa", ()), ("xb", ()))
    pairs = [(vid, 100 * peering) for vid in range(1, 41) for peering in (1, 2)]
    objects = {
        pair: marking(p, "xb", outer=Tag(pair[0]), inner=Tag(pair[1]), tree=pair[0] - 1) for pair in pairs
    }
    for obj in objects.values():
        bench.plane.marks.add(obj, index=0, netns_fd=p.fd)
    trees = tuple(QueueTree(number, 1_000_000_000, CLASSES) for number in range(40))
    queues = Queues(p.at("xb"), trees)
    assert bench.plane.queues.create([Change(None, queues)]) == [None]
    # Half of them go again: those that stay are found where the others were in the way.
    for pair in pairs[::4]:
        bench.plane.marks.remove(objects.pop(pair))
    burst(a, "xa", [packet(EF, 100, (0x8100, s), (0x8100, c), port=5000) for s, c in pairs])

    def counts() -> list[int]:
        counters = bench.plane.marks.counters()
        return [counters.marking(obj).total.packets for obj in objects.values()]

    wait_until(lambda: sum(counts()) == len(objects), "every frame to be counted")
    assert set(counts()) == {1}
    expected = Counter(s - 1 for s, _ in objects)

    def sent() -> dict[int | None, int]:
        rows = bench.plane.queues.counters([queues])
        return {row.tree: row.packets for row in rows if row.name == "voice" and row.packets}

    wait_until(lambda: sent() == expected, "each tree's queue to have sent its frames")
    assert set(sent()) == set(range(40))
