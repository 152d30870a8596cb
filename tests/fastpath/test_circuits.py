"""Virtual circuits on a real kernel: tags translated, priorities kept, rates held."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from edge.errors import KernelError
from edge.fastpath.counters import CircuitCounters, Traffic
from edge.fastpath.layout import Rate
from edge.model import Tag, TagStack
from edge.net.objects.frames import VirtualCircuit
from tests.waiting import wait_until

from .conftest import Bench, Net, hears, tags

pytestmark = [pytest.mark.root, pytest.mark.kernels("here", "stock")]

PROVIDER = (Tag(30, 0x88A8),)
MARK = b"\x88\xb5edge lab"
OFFER_DEADLINE_S, TRANSFER_DEADLINE_S = 30.0, 60.0


def provider(bench: Bench) -> tuple[Net, Net, Net]:
    """Two customers' boxes with a provider between them: a:xa -- p:xa, p:xb -- b:xb."""
    a, p, b = bench.net("a"), bench.net("p"), bench.net("b")
    bench.wire(a, p, "xa")
    bench.wire(p, b, "xb")
    return a, p, b


def frame(*wire_tags: tuple[int, int], size: int = 60) -> bytes:
    """A frame of `size` octets without its tags, under tags (tpid, tci)."""
    stack = b"".join(struct.pack("!HH", *tag) for tag in wire_tags)
    return (bytes.fromhex("020000000002020000000001") + stack + MARK).ljust(size + len(stack), b"\0")


def counted(bench: Bench, circuit: VirtualCircuit) -> CircuitCounters:
    """The circuit's counters."""
    found = bench.plane.counters().circuit(circuit.namespace, circuit.name)
    assert found is not None
    return found


C100, S3 = (0x8100, 100), (0x88A8, 3)
S3_C100 = tags(3, 100, outer=0x88A8)


@pytest.mark.shows("tags pushed, popped and swapped in a fabric", here="bpf", stock="bpf")
@pytest.mark.shows("tag programs at clsact", stock="bpf")
@pytest.mark.parametrize(
    ("tags_a", "tags_b", "sent", "expected"),
    [
        pytest.param(tags(100), tags(200), [(0x8100, 0xB064)], [(0x8100, 0xB0C8)], id="c-for-c-keeps-pcp"),
        pytest.param(tags(100), S3_C100, [(0x8100, 0xA064)], [(0x88A8, 0xA003), (0x8100, 0xA064)],
                     id="s-pushed-takes-pcp"),
        pytest.param(S3_C100, tags(100), [(0x88A8, 0xE003), (0x8100, 0x2064)], [(0x8100, 0x2064)],
                     id="s-popped"),
        pytest.param(S3_C100, tags(4, 200), [(0x88A8, 0xE003), (0x8100, 0x2064)],
                     [(0x8100, 0xE004), (0x8100, 0x20C8)], id="both-swapped-each-keeps-its-pcp"),
        pytest.param((Tag(3, 0x88A8),), PROVIDER, [S3, C100, (0x8100, 9)], [(0x88A8, 30), C100, (0x8100, 9)],
                     id="s-only-does-not-look-deeper"),
        pytest.param((Tag(3, 0x88A8),), (Tag(3, 0x88A8),), [S3, C100], [S3, C100], id="nothing-to-do"),
        pytest.param((), PROVIDER, [C100], [(0x88A8, 30), C100], id="whole-port-tagged"),
        pytest.param((), PROVIDER, [], [(0x88A8, 30)], id="whole-port-untagged-frame"),
        pytest.param((), (), [S3, C100], [S3, C100], id="whole-port-to-whole-port"),
    ],
)  # fmt: skip
def test_a_circuit_translates_the_outermost_tags_and_back(
    bench: Bench,
    tags_a: TagStack,
    tags_b: TagStack,
    sent: list[tuple[int, int]],
    expected: list[tuple[int, int]],
) -> None:
    a, p, b = provider(bench)
    circuit = bench.circuit(p, ("xa", tags_a), ("xb", tags_b))
    assert bench.plane.found() == {circuit}
    tap_a, tap_b = bench.tap(a, "xa"), bench.tap(b, "xb")

    bench.send(a, "xa", frame(*sent))
    assert tap_b.first(lambda f: MARK in f.data).wire == frame(*expected)
    bench.send(b, "xb", frame(*expected))
    back = tap_a.first(lambda f: MARK in f.data).wire
    assert [tci & 0xFFF for _, tci in _stack(back)] == [tci & 0xFFF for _, tci in sent]
    assert counted(bench, circuit).a_to_b.passed == Traffic(1, 60 + 4 * len(sent))
    assert counted(bench, circuit).b_to_a.passed == Traffic(1, 60 + 4 * len(expected))


def _stack(wire: bytes) -> list[tuple[int, int]]:
    found, at = [], 12
    while (tag := struct.unpack_from("!HH", wire, at))[0] in (0x8100, 0x88A8):
        found.append(tag)
        at += 4
    return found


def test_the_more_specific_circuit_wins(bench: Bench) -> None:
    a, p, b = provider(bench)
    wide = bench.circuit(p, ("xa", (Tag(3, 0x88A8),)), ("xb", (Tag(30, 0x88A8),)), name="wide")
    narrow = bench.circuit(p, ("xa", tags(3, 100, outer=0x88A8)), ("xb", tags(7)), name="narrow")
    tap = bench.tap(b, "xb")
    bench.send(a, "xa", frame(S3, C100))
    assert _stack(tap.first(lambda f: MARK in f.data).wire) == [(0x8100, 7)]
    bench.send(a, "xa", frame(S3, (0x8100, 101)))
    assert _stack(tap.first(lambda f: MARK in f.data).wire) == [(0x88A8, 30), (0x8100, 101)]
    assert counted(bench, wide).a_to_b.passed.packets == 1
    assert counted(bench, narrow).a_to_b.passed.packets == 1


def test_ends_of_a_peering_talk_through_a_provider(bench: Bench) -> None:
    a, p, b = provider(bench)
    vrf = bench.net("b-vrf")
    bench.macvlan(a, "xa", "s0", tags(100), "192.0.2.1/30", "2001:db8::1/126")
    circuit = bench.circuit(p, ("xa", tags(100)), ("xb", tags(3, 100, outer=0x88A8)))
    bench.vrf(b, vrf, "xb", "s0", tags(3, 100, outer=0x88A8), "192.0.2.2/30", "2001:db8::2/126")
    assert len(bench.echo(a, vrf, "192.0.2.2", size=1472)) == 1472
    assert len(bench.echo(vrf, a, "2001:db8::1", size=1452)) == 1452
    bench.plane.remove_circuit(circuit)
    assert not hears(a, vrf, "192.0.2.2", within_s=0.2)


def offer(net: Net, size: int, enough: Callable[[int, float], bool]) -> tuple[int, float]:
    """Send frames as fast as they go until octets and seconds are enough; how much of both that was."""
    data, sent = frame(C100, size=size), 0
    with net.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind(("xa", 0))
        begin = time.monotonic()
        while not enough(sent, taken := time.monotonic() - begin):
            assert taken < OFFER_DEADLINE_S, f"{sent} octets in {taken} s do not overload the policer"
            sent += sock.send(data)
    return sent, taken


def burst_octets(rate_bps: int) -> int:
    return Rate.of(rate_bps).burst_nanobits // 8_000_000_000


@pytest.mark.shows("a circuit's bandwidth", here="bpf", stock="bpf")
def test_a_policer_passes_its_rate_and_takes_a_new_one_while_traffic_flows(bench: Bench) -> None:
    a, p, _b = provider(bench)
    current = bench.circuit(p, ("xa", tags(100)), ("xb", tags(200)), rate_bps=2_000_000)
    passed_before = dropped_before = 0
    for rate_bps in (2_000_000, 8_000_000, 1_000_000):

        def at_most(seconds: float, rate_bps: int = rate_bps) -> float:
            return rate_bps / 8 * seconds + burst_octets(rate_bps)

        circuit = replace(current, rate_bps=rate_bps)
        if circuit != current:
            bench.plane.change_circuit(current, circuit)
        assert bench.plane.found() == {circuit}
        # The least that passes shows only over a while: a bucket that was just drained has to fill first.
        offered, seconds = offer(a, 1400, lambda sent, taken: taken > 0.5 and sent > 2 * at_most(taken))
        counters = counted(bench, circuit).a_to_b
        passed, dropped = counters.passed.bytes - passed_before, counters.dropped.bytes - dropped_before
        passed_before, dropped_before = counters.passed.bytes, counters.dropped.bytes
        assert 0.7 * rate_bps / 8 * seconds <= passed <= 1.1 * at_most(seconds)
        assert passed + dropped == offered
        current = circuit
    assert counted(bench, current).b_to_a.passed.packets == 0


SLOW_BPS, FULL_FRAMES = 8_000, 98
"""A rate that refills one octet a millisecond, and the frames of 1,400 octets that its full bucket holds."""


def peerings(bench: Bench, net: Net, policer: str, *vids: int) -> list[VirtualCircuit]:
    """Circuits of a dot1q hand-off: each C-tag goes in under one S-tag."""
    return [
        bench.circuit(
            net, ("xa", tags(vid)), ("xb", tags(3, vid)), SLOW_BPS, name=f"{policer}{vid}", policer=policer
        )
        for vid in vids
    ]


def ways(bench: Bench, circuit: VirtualCircuit) -> tuple[tuple[int, int], tuple[int, int]]:
    """Frames that a circuit passed and dropped: towards b, and back."""
    one = counted(bench, circuit)
    a_to_b, b_to_a = ((way.passed.packets, way.dropped.packets) for way in (one.a_to_b, one.b_to_a))
    return a_to_b, b_to_a


def test_peerings_that_name_one_policer_share_its_bucket_and_count_apart(bench: Bench) -> None:
    a, p, b = provider(bench)
    private, microsoft = peerings(bench, p, "ams", 100, 200)
    (other,) = peerings(bench, p, "fra", 300)
    assert bench.plane.found() == {private, microsoft, other}

    def offer_here(net: Net, device: str, count: int, *stack: tuple[int, int]) -> None:
        bench.send(net, device, frame(*stack, size=1400 - 4 * len(stack)), count)

    offer_here(a, "xa", FULL_FRAMES // 2, C100)
    offer_here(a, "xa", FULL_FRAMES, (0x8100, 200))
    wait_until(lambda: sum(ways(bench, microsoft)[0]) == FULL_FRAMES, "every frame to be judged")
    # A frame of tokens comes every 1.4 s.
    passed, dropped = ways(bench, microsoft)[0]
    assert ways(bench, private)[0] == (FULL_FRAMES // 2, 0)
    assert FULL_FRAMES // 2 - 2 <= passed <= FULL_FRAMES // 2 + 4
    assert dropped == FULL_FRAMES - passed

    # The way back has a bucket of its own, and so has the other circuit.
    offer_here(b, "xb", 20, (0x8100, 3), C100)
    offer_here(a, "xa", 20, (0x8100, 300))
    wait_until(lambda: sum(ways(bench, other)[0]) == 20, "every frame to be judged")
    assert ways(bench, private)[1] == ways(bench, other)[0] == (20, 0)

    faster = [replace(one, rate_bps=800_000_000) for one in (private, microsoft)]
    for before, after in zip((private, microsoft), faster, strict=True):
        bench.plane.change_circuit(before, after)
    assert bench.plane.found() == {*faster, other}
    by_class = counted(bench, faster[1]).a_to_b.by_class[-1]
    assert (by_class.passed.packets, by_class.dropped.packets) == (passed, dropped)
    with pytest.raises(KernelError, match="policer are fixed"):
        bench.plane.change_circuit(faster[0], replace(faster[0], policer=""))


@pytest.mark.kernels("here")
def test_a_tolerance_lets_pass_what_is_little_more_than_the_rate_and_clamps_what_is_much_more(
    bench: Bench,
) -> None:
    a, p, _b = provider(bench)
    rate_bps, size = 8_000_000, 1400
    circuit = bench.circuit(p, ("xa", tags(100)), ("xb", tags(200)), rate_bps=rate_bps)
    tolerant = replace(circuit, tolerance_percent=100)
    bench.plane.change_circuit(circuit, tolerant)
    assert bench.plane.found() == {tolerant}
    # 14 Mbit/s at most, and no faster after a pause: a second of it is more than bucket and rate hold.
    interval_s, frames = size * 8 / 14e6, 1250
    with a.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind(("xa", 0))
        due = time.monotonic()
        for _ in range(frames):
            while time.monotonic() < due:
                pass
            sock.send(frame(C100, size=size - 4))
            due = time.monotonic() + interval_s
    wait_until(lambda: sum(ways(bench, tolerant)[0]) == frames, "every frame to be judged")
    assert ways(bench, tolerant)[0] == (frames, 0)

    _, seconds = offer(a, size, lambda sent, taken: taken > 0.4 and sent > 4 * burst_octets(rate_bps))
    passed, dropped = ways(bench, tolerant)[0]
    # What the two buckets held, and the rate itself.
    most = 2 * burst_octets(rate_bps) + 2 * rate_bps / 8 * 0.2 + rate_bps / 8 * seconds
    assert (passed - frames) * size < 1.1 * most
    assert dropped > 0


def test_a_circuit_that_gives_its_policer_up_leaves_it_to_the_others(bench: Bench) -> None:
    a, p, _b = provider(bench)
    first, second = peerings(bench, p, "ams", 100, 200)
    bench.send(a, "xa", frame(C100, size=1396), FULL_FRAMES)
    wait_until(lambda: sum(ways(bench, first)[0]) == FULL_FRAMES, "every frame to be judged")
    bench.plane.remove_circuit(first)
    assert bench.plane.found() == {second}
    bench.send(a, "xa", frame((0x8100, 200), size=1396), 20)
    wait_until(lambda: sum(ways(bench, second)[0]) == 20, "every frame to be judged")
    assert ways(bench, second)[0][0] <= 3, "the bucket is as empty as the other left it"
    bench.plane.remove_circuit(second)
    # The last one took it along: who names it next finds a full one.
    (third,) = peerings(bench, p, "ams", 200)
    bench.send(a, "xa", frame((0x8100, 200), size=1396), 20)
    wait_until(lambda: sum(ways(bench, third)[0]) == 20, "every frame to be judged")
    assert ways(bench, third)[0] == (20, 0)


def test_without_a_rate_nothing_is_dropped(bench: Bench) -> None:
    a, p, _b = provider(bench)
    circuit = bench.circuit(p, ("xa", tags(100)), ("xb", tags(200)), rate_bps=1_000_000)
    offer(a, 1400, lambda sent, taken: sent > 2 * (taken * 1_000_000 / 8 + burst_octets(1_000_000)))
    before = counted(bench, circuit).a_to_b
    assert before.dropped.packets > 0
    bench.plane.change_circuit(circuit, replace(circuit, rate_bps=None))
    offered, _ = offer(a, 1400, lambda sent, _: sent > 2 * burst_octets(1_000_000))
    after = counted(bench, circuit).a_to_b
    assert after.dropped == before.dropped
    assert after.passed.bytes - before.passed.bytes == offered


def test_tcp_with_gso_gets_through_a_policer_no_faster_than_its_rate(bench: Bench) -> None:
    a, p, b = provider(bench)
    bench.macvlan(a, "xa", "s0", tags(100), "192.0.2.1/30")
    bench.macvlan(b, "xb", "s0", tags(200), "192.0.2.2/30")
    circuit = bench.circuit(p, ("xa", tags(100)), ("xb", tags(200)), rate_bps=80_000_000)
    size = 20_000_000
    with b.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind(("", 4000))
        server.listen()
        done: list[int] = []

        def receive() -> None:
            connection, _ = server.accept()
            with connection:
                done.append(sum(len(data) for data in iter(lambda: connection.recv(1 << 20), b"")))

        receiver = threading.Thread(target=receive)
        receiver.start()
        begin = time.monotonic()
        with a.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(TRANSFER_DEADLINE_S)
            client.connect(("192.0.2.2", 4000))
            client.sendall(bytes(size))
        receiver.join(TRANSFER_DEADLINE_S)
        seconds = time.monotonic() - begin
    assert done == [size]
    assert seconds >= (size - burst_octets(80_000_000)) * 8 / 80_000_000
    passed = counted(bench, circuit).a_to_b.passed
    assert passed.packets >= size // 1460
    assert passed.bytes >= size + passed.packets * (18 + 40)


def test_tags_change_in_place_and_ports_do_not(bench: Bench) -> None:
    a, p, b = provider(bench)
    before = bench.circuit(p, ("xa", tags(100)), ("xb", tags(200)))
    other = bench.circuit(p, ("xa", tags(101)), ("xb", tags(201)), name="other")
    bench.send(a, "xa", frame(C100))
    after = replace(before, tags_b=tags(202))
    bench.plane.change_circuit(before, after)
    assert bench.plane.found() == {after, other}
    tap = bench.tap(b, "xb")
    bench.send(a, "xa", frame(C100))
    assert _stack(tap.first(lambda f: MARK in f.data).wire) == [(0x8100, 202)]
    assert counted(bench, after).a_to_b.passed.packets == 2

    with pytest.raises(KernelError, match="other traffic has these tags"):
        bench.plane.change_circuit(after, replace(after, tags_a=tags(7), tags_b=tags(201)))
    with pytest.raises(KernelError, match="remove the circuit and add the new one"):
        bench.plane.change_circuit(after, replace(after, port_b="xa"))
    with pytest.raises(KernelError, match="it is not there"):
        bench.plane.change_circuit(replace(after, name="no"), replace(after, name="no"))
    with pytest.raises(KernelError, match="cannot be policed"):
        bench.plane.change_circuit(after, replace(after, rate_bps=0))
    assert bench.plane.found() == {after, other}
    bench.send(a, "xa", frame(C100))
    assert _stack(tap.first(lambda f: MARK in f.data).wire) == [(0x8100, 202)]


def test_a_circuit_that_cannot_be_leaves_nothing(bench: Bench) -> None:
    _a, p, _b = provider(bench)
    with pytest.raises(KernelError, match="same port and tags"):
        bench.circuit(p, ("xa", tags(100)), ("xa", tags(100)))
    with pytest.raises(KernelError, match=r"virtual circuit vc p:xa 1/2/3 -- xb 4: 3 tags on one frame"):
        bench.circuit(p, ("xa", tags(1, 2, 3)), ("xb", tags(4)))
    bench.circuit(p, ("xa", tags(1)), ("xb", tags(4)), name="first")
    with pytest.raises(KernelError, match="other traffic has these tags"):
        bench.circuit(p, ("xa", tags(5)), ("xb", tags(4)), name="second")
    assert {c.name for c in bench.plane.found() if isinstance(c, VirtualCircuit)} == {"first"}
    assert len(list(bench.plane._kernel.maps["rules"].items())) == 2


def test_found_misses_a_circuit_with_one_way_gone(bench: Bench) -> None:
    _a, p, _b = provider(bench)
    circuit = bench.circuit(p, ("xa", tags(1)), ("xb", tags(2)), rate_bps=1_000_000)
    assert bench.plane.found() == {circuit}
    rules = bench.plane._kernel.maps["rules"]
    rules.delete(next(key for key, _ in rules.items()))
    assert bench.plane.found() == set()
    bench.plane.remove_circuit(circuit)
    circuit = bench.circuit(p, ("xa", tags(1)), ("xb", tags(2)))
    p.ip("link delete xb")
    wait_until(lambda: bench.plane.found() == set(), "the port's link to be gone")
    bench.plane.remove_circuit(circuit)


def packet(dscp: int, version: int, stack: list[tuple[int, int]], size: int = 1200) -> bytes:
    if version == 4:
        head = struct.pack("!BBHHHBBH8x", 0x45, dscp << 2 | 1, size, 0, 0, 64, 17, 0)
    else:
        head = struct.pack("!IHBB32x", 6 << 28 | dscp << 22 | 1 << 20, size - 40, 17, 64)
    in_tags = b"".join(struct.pack("!HH", tpid, tci) for tpid, tci in stack)
    ethertype = b"\x08\0" if version == 4 else b"\x86\xdd"
    return b"\x02" * 12 + in_tags + ethertype + head.ljust(size, b"\0")


@pytest.mark.shows("policed frames counted by class", here="bpf", stock="bpf")
@pytest.mark.parametrize("stack", [[], [(0x8100, 100)], [(0x88A8, 3), (0x8100, 100)]], ids=["0", "1", "2"])
def test_the_policer_counts_what_it_passes_and_drops_by_class(
    bench: Bench, stack: list[tuple[int, int]]
) -> None:
    a, p, _b = provider(bench)
    outer = tuple(Tag(vid, tpid) for tpid, vid in stack[:1])
    circuit = bench.circuit(p, ("xa", outer), ("xb", tags(7)), rate_bps=1_000_000)
    sent: dict[str, int] = {}
    for dscp, version, count in (
        (46, 4, 3), (46, 6, 5), (34, 4, 1), (34, 6, 2), (18, 6, 4), (10, 4, 6), (26, 4, 2), (0, 6, 1),
    ):  # fmt: skip
        name = {46: "EF", 34: "AF41", 18: "AF21", 10: "AF11"}.get(dscp, "other")
        frame_ = packet(dscp, version, stack)
        bench.send(a, "xa", frame_, count)
        sent[name] = sent.get(name, 0) + count
    bench.send(a, "xa", frame(*stack), 2)
    sent["other"] += 2
    bench.send(a, "xa", packet(46, 4, [*stack, (0x8100, 1)] if len(stack) == 2 else stack))
    sent["other" if len(stack) == 2 else "EF"] += 1

    def judged(frames: int) -> None:
        wait_until(lambda: sum(ways(bench, circuit)[0]) == frames, "every frame to be judged")

    few = sum(sent.values())
    judged(few)
    passed = counted(bench, circuit).a_to_b
    assert {c.name: c.passed.packets for c in passed.by_class} == sent
    assert sum(c.passed.bytes for c in passed.by_class) == passed.passed.bytes
    assert all(c.dropped.packets == 0 for c in passed.by_class)

    many = 2 * burst_octets(1_000_000) // 1400
    bench.send(a, "xa", packet(46, 4, stack, 1400), many)
    judged(few + many)
    before = {c.name: c.dropped.packets for c in counted(bench, circuit).a_to_b.by_class}
    bench.plane.change_circuit(circuit, replace(circuit, rate_bps=8_000))
    bench.send(a, "xa", packet(34, 6, stack, 1400), 50)
    judged(few + many + 50)
    found = counted(bench, circuit).a_to_b
    after = {c.name: c.dropped.packets for c in found.by_class}
    assert before["EF"] > 0
    assert [name for name in after if after[name] != before[name]] == ["AF41"]
    assert after["AF41"] > 40
    assert sum(c.passed.packets for c in found.by_class) == found.passed.packets
    assert sum(c.dropped.packets for c in found.by_class) == found.dropped.packets
    assert sum(c.dropped.bytes for c in found.by_class) == found.dropped.bytes
    document = bench.plane.counters().to_json()["virtual_circuits"][0]["a_to_b"]
    assert [item["name"] for item in document["by_class"]] == ["EF", "AF41", "AF21", "AF11", "other"]
    assert document["by_class"][1]["dropped"]["packets"] == after["AF41"]
