"""The stream engine in namespaces of its own: what it says of packets against what other eyes saw of them."""

from __future__ import annotations

import errno
import itertools
import os
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from edge.errors import KernelError
from edge.fastpath.portfilter import udp_filter
from edge.fastpath.streams import Pattern, Rtp, Slot, Stream, StreamEngine, every, tap_socket
from tests.fastpath.conftest import Bench, Net
from tests.waiting import wait_until

pytestmark = pytest.mark.root

MS = 1_000_000
DEADLINE_S = 20.0
SO_RCVBUFFORCE = 33
"""asm-generic/socket.h: past net.core.rmem_max, for root. Python does not name it."""


@pytest.fixture
def net(bench: Bench) -> Net:
    return bench.net("loop")


@pytest.fixture
def engine() -> Iterator[StreamEngine]:
    with StreamEngine() as made:
        yield made


def udp(net: Net, address: str = "127.0.0.1", port: int = 0) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = net.socket(family, socket.SOCK_DGRAM, 0)
    sock.bind((address, port))
    return sock


def at(sock: socket.socket) -> tuple[str, int]:
    name = sock.getsockname()
    return str(name[0]), int(name[1])


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_every_packet_is_sent_at_its_time_and_counted_once_on_arrival(
    net: Net, engine: StreamEngine, address: str
) -> None:
    with udp(net, address) as here, udp(net, address) as there:
        out, back = engine.add_socket(here), engine.add_socket(there)
        pattern = Pattern(40 * MS, (Slot(0, 1000), Slot(1 * MS, 300), Slot(25 * MS, 20)))
        streams = [
            engine.add(Stream(out, at(there), every(2 * MS, 64), packets=200)),
            engine.add(Stream(back, at(here), pattern, packets=25, begin_ns=7 * MS)),
        ]
        begin_ns = time.monotonic_ns() + 20 * MS
        # Whoever is kept waiting between the two readings takes the difference for less than it is.
        to_1970_ns = max(time.time_ns() - time.monotonic_ns() for _ in range(10))
        engine.start(begin_ns=begin_ns)
        assert engine.wait(DEADLINE_S)
        for stream, offset, period, times in (
            (streams[0], 0, 2 * MS, [0]),
            (streams[1], 7 * MS, 40 * MS, [0, 1 * MS, 25 * MS]),
        ):
            counts, packets = engine.counts(stream), engine.packets(stream)
            assert counts.sent == counts.received == len(packets)
            assert (counts.duplicates, counts.refused) == (0, 0)
            late = [
                sent - (begin_ns + to_1970_ns + offset + n // len(times) * period + times[n % len(times)])
                for n, sent in enumerate(packets.sent_ns)
            ]
            # Never early, and no delay adds up: where a machine lets it wait, some at the end are on time.
            assert min(late) > -MS
            assert min(late[-len(late) // 4 :]) < 10 * MS
            assert 0 < counts.late_max_ns <= max(late) + MS
            assert list(packets.order) == list(range(1, len(packets) + 1))
            assert all(
                sent <= received for sent, received in zip(packets.sent_ns, packets.received_ns, strict=True)
            )
        assert engine.total().strange == 0


def test_the_bytes_on_the_wire_are_rtp_with_our_mark_behind_it(net: Net, engine: StreamEngine) -> None:
    with udp(net) as here, udp(net) as reader:
        pattern = Pattern(20 * MS, (Slot(0, 172, 0, True), Slot(5 * MS, 40, 90)), clock=160)
        rtp = Rtp(payload_type=8, ssrc=0xDEADBEEF, sequence=0xFFFF, clock=0xFFFFFFFF)
        engine.add(Stream(engine.add_socket(here), at(reader), every(MS, 20), packets=1))
        number = engine.add(Stream(0, at(reader), pattern, packets=3, begin_ns=5 * MS, rtp=rtp))
        engine.start(linger_s=0)
        assert engine.wait(DEADLINE_S)
        sent = engine.packets(number).sent_ns
        mark = struct.pack("!III", engine.token, 0, 0)
        assert reader.recv(2000) == mark + struct.pack("!Q", engine.packets(0).sent_ns[0])
        expected = [(172, 0x88, 0xFFFF, 0xFFFFFFFF), (40, 0x08, 0, 89), (172, 0x88, 1, 159)]
        for n, (octets, second, sequence, clock) in enumerate(expected):
            data = reader.recv(2000)
            assert len(data) == octets
            assert data[:12] == struct.pack("!BBHII", 0x80, second, sequence, clock, 0xDEADBEEF)
            assert data[12:32] == struct.pack("!IIIQ", engine.token, number, n, sent[n])
            assert set(data[32:]) <= {0}


def test_losses_copies_reordering_and_marks_are_those_that_a_forger_made(
    net: Net, engine: StreamEngine
) -> None:
    """Between the sockets stands a Python that loses, doubles and holds back packets, and keeps a list."""
    chosen = random.Random(6)
    count = 400
    with udp(net) as here, udp(net) as middle, udp(net) as there:
        engine.add_socket(there)
        number = engine.add(Stream(engine.add_socket(here), at(middle), every(MS // 2, 80), packets=count))
        middle.settimeout(DEADLINE_S)
        # All of it fits, should the forger be kept waiting: what is lost is what the forger loses.
        middle.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        passed: list[int] = []
        marks: dict[int, int] = {}
        copies = 0
        engine.start(linger_s=DEADLINE_S)
        held: bytes | None = None
        for n in range(count):
            data = middle.recv(100)
            what = chosen.random()
            mark = n % 64 << 2 | n % 3
            middle.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, mark)
            if what < 0.1:
                continue
            if what < 0.2 and held is None:
                held, kept = data, n
                continue
            middle.sendto(data, at(there))
            passed.append(n)
            marks[n] = mark
            if what > 0.95:
                middle.sendto(data, at(there))
                copies += 1
            if what > 0.6 and held is not None:
                middle.sendto(held, at(there))
                passed.append(kept)
                marks[kept] = mark
                held = None
        middle.sendto(b"no packet of ours, though as long as one", at(there))
        middle.sendto(data[:19], at(there))
        middle.sendto(data[:12] + struct.pack("!Q", 1) + data[20:], at(there))
        wait_until(lambda: engine.total().strange == 3, "the last of it arrives", DEADLINE_S)
        engine.stop(now=True)
        assert engine.wait(DEADLINE_S)
        packets, counts = engine.packets(number), engine.counts(number)
        order = {n: rank for n, rank in enumerate(packets.order) if rank}
        assert sorted(order, key=lambda n: order[n]) == passed
        assert (counts.sent, counts.received, counts.duplicates) == (count, len(passed), copies)
        assert [n for n in range(count) if packets.received_ns[n]] == sorted(passed)
        assert any(a > b for a, b in itertools.pairwise(passed))
        assert {n: packets.traffic_class[n] for n in passed} == marks
        assert engine.total().strange == 3


def test_taps_tell_which_link_carried_a_packet_whatever_tags_it_had(
    bench: Bench, engine: StreamEngine
) -> None:
    a, b = bench.net("a"), bench.net("b")
    for number, device in enumerate(("t0", "t1")):
        bench.wire(a, b, device)
        a.ip(f"address add 10.9.{number}.1/24 dev {device}")
        b.ip(f"address add 10.9.{number}.2/24 dev {device}")
    with udp(a, "0.0.0.0", 40000) as here, udp(b, "0.0.0.0", 40001) as there:
        out = engine.add_socket(here)
        engine.add_socket(there)
        taps = []
        for device in ("t0", "t1"):
            sock = tap_socket(a.socket(socket.AF_PACKET, socket.SOCK_RAW, 0), device, [(40001, 40001)])
            taps.append(bench.stack.enter_context(sock))
        assert [engine.add_tap(tap) for tap in taps] == [0, 1]
        first = engine.add(Stream(out, ("10.9.0.2", 40001), every(MS, 60), packets=50))
        second = engine.add(Stream(out, ("10.9.1.2", 40001), every(MS, 60), packets=50))
        engine.start()
        assert engine.wait(DEADLINE_S)
        assert set(engine.packets(first).taps) == {0b01}
        assert set(engine.packets(second).taps) == {0b10}
        assert (engine.counts(first).received, engine.counts(second).received) == (50, 50)


def test_the_filter_passes_udp_of_its_ports_behind_tags_and_nothing_else(bench: Bench) -> None:
    a, b = bench.net("a"), bench.net("b")
    bench.wire(a, b)
    tap = tap_socket(
        bench.stack.enter_context(b.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)),
        "t0",
        [(3478, 3481), (50000, 50000)],
    )
    tap.settimeout(DEADLINE_S)
    macs = bytes(6) + b"\2\0\0\0\0\1"

    def ipv4(proto: int, source: int, destination: int, options: int = 0) -> bytes:
        header = struct.pack("!BBHHHBBHII", 0x45 + options, 0, 28, 0, 0, 64, proto, 0, 1, 2)
        return b"\x08\x00" + header + bytes(4 * options) + struct.pack("!HHHH", source, destination, 8, 0)

    def ipv6(source: int, destination: int, proto: int = 17) -> bytes:
        header = struct.pack("!IHBB", 6 << 28, 8, proto, 64) + bytes(32)
        return b"\x86\xdd" + header + struct.pack("!HHHH", source, destination, 8, 0)

    tags = [b"", b"\x81\x00\0\1", b"\x88\xa8\0\2\x81\x00\0\1"]
    passes = [
        ipv4(17, 3478, 9),
        ipv4(17, 9, 3481, options=3),
        ipv4(17, 50000, 9),
        ipv6(9, 3479),
        ipv6(50000, 9),
    ]
    drops = [
        ipv4(17, 3477, 3482),
        ipv4(6, 3478, 3478),
        ipv6(49999, 50001),
        ipv6(3478, 3478, 6),
        b"\x08\x06" + bytes(40),
    ]
    for tag in tags:
        for body in (*drops, *passes):
            bench.send(a, "t0", macs + tag + body)
        for body in passes:
            # The receiving end has the outer tag beside the frame.
            seen = tap.recv(200)
            assert seen[12:].endswith(body[2:]), (tag, body)
    tap.setblocking(False)
    with pytest.raises(BlockingIOError):
        tap.recv(200)
    with pytest.raises(ValueError, match="1 to 32 ranges"):
        udp_filter([])


def test_an_engine_is_stopped_and_read_while_it_runs(net: Net, engine: StreamEngine) -> None:
    with udp(net) as here, udp(net) as there:
        engine.add_socket(there)
        number = engine.add(Stream(engine.add_socket(here), at(there), every(MS, 100)))
        engine.start()
        # Past a chunk of records, and Python is free meanwhile.
        wait_until(lambda: engine.counts(number).received > 300, "packets come")
        part = engine.packets(number, first=100, count=50)
        assert (part.first, len(part)) == (100, 50)
        assert all(part.received_ns)
        assert not engine.wait(0.01)
        engine.stop()
        assert engine.wait(DEADLINE_S)
        counts = engine.counts(number)
        assert counts.sent == counts.received == len(engine.packets(number))
        assert counts.last_received_ns >= counts.last_sent_ns > 0
        with pytest.raises(ValueError, match="runs once"):
            engine.start()
        with pytest.raises(IndexError):
            engine.counts(7)


def test_a_stop_before_the_begin_sends_nothing_and_closing_ends_a_thread(net: Net) -> None:
    with udp(net) as here:
        for now in (False, True):
            with StreamEngine() as engine:
                number = engine.add(Stream(engine.add_socket(here), at(here), every(MS, 100)))
                engine.stop(now)
                engine.start()
                assert engine.wait(DEADLINE_S)
                assert engine.counts(number).sent == 0
        with StreamEngine() as engine:
            engine.add(Stream(engine.add_socket(here), at(here), every(MS, 100)))
            engine.start()
        assert "streams" not in {thread.name for thread in threading.enumerate()}


def test_records_go_on_past_a_chunk(net: Net, engine: StreamEngine) -> None:
    with udp(net) as here:
        number = engine.add(
            Stream(engine.add_socket(here), at(here), Pattern(MS, (Slot(0, 20),) * 20), packets=10_000)
        )
        engine.start()
        assert engine.wait(DEADLINE_S)
        packets = engine.packets(number)
        assert len(packets) == 10_000
        assert engine.counts(number).received + engine.total().missed == 10_000
        assert all(a <= b for a, b in itertools.pairwise(packets.sent_ns))


def test_what_the_kernel_refuses_is_sent_and_lost_with_the_reason(net: Net, engine: StreamEngine) -> None:
    with udp(net) as here:
        number = engine.add(Stream(engine.add_socket(here), ("192.0.2.1", 9), every(MS, 100), packets=5))
        engine.start()
        assert engine.wait(DEADLINE_S)
        counts = engine.counts(number)
        assert (counts.sent, counts.received, counts.refused) == (5, 0, 5)
        # A socket that is bound to the loopback address has no way to another.
        assert counts.refusal in (errno.ENETUNREACH, errno.EINVAL)


def test_streams_that_cannot_be_are_refused_before_anything_runs(net: Net, engine: StreamEngine) -> None:
    with udp(net) as here:
        place = engine.add_socket(here)
        good = Stream(place, at(here), every(MS, 20))
        assert engine.add(good) == 0
        rtp = Rtp(0, 1)
        wrong = [
            Stream(place, at(here), every(MS, 19)),
            Stream(place, at(here), every(MS, 31), rtp=rtp),
            Stream(place, at(here), every(MS, 9001)),
            Stream(place, at(here), every(0, 20)),
            Stream(place, at(here), Pattern(MS, ())),
            Stream(place, at(here), Pattern(MS, (Slot(MS, 20),))),
            Stream(place, at(here), Pattern(MS, (Slot(5, 20), Slot(4, 20)))),
            Stream(place + 1, at(here), every(MS, 20)),
        ]
        for stream in wrong:
            with pytest.raises(ValueError, match="no stream can be like that"):
                engine.add(stream)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other,
        pytest.raises(KernelError, match="supported"),
    ):
        engine.add_socket(other)


def test_the_engine_sleeps_between_packets(net: Net, engine: StreamEngine) -> None:
    with udp(net) as here:
        engine.add(Stream(engine.add_socket(here), at(here), every(100 * MS, 100), packets=10))
        before, began = time.process_time(), time.monotonic()
        engine.start()
        assert engine.wait(DEADLINE_S)
        assert time.monotonic() - began > 0.85
        assert time.process_time() - before < 0.3


def test_nothing_stays_open(net: Net) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with udp(net) as here:
        for _ in range(3):
            with StreamEngine() as engine:
                engine.add(Stream(engine.add_socket(here), at(here), every(MS, 100), packets=3))
                engine.start()
                assert engine.wait(DEADLINE_S)
    assert set(os.listdir("/proc/self/fd")) == before
