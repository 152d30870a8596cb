"""TCP through the ring engine: what a strict queue carries, and what a bad wire has as frames."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from edge.net.objects.changes import Change
from edge.net.objects.frames import Impairment, Marking, Queues, QueueTree
from edge.qos.model import CLASSES, Policy, Rule

from .conftest import Net, tags
from .ring_bench import RingBench, ring_bench

pytestmark = pytest.mark.root

EF, TCP = 46, 6
PORT = 5005
MSS = 1448
"""Of TCP with timestamps, by IPv4 over 1500 octets; by IPv6 20 less."""
STACK = tags(3, 100, outer=0x88A8)
DEADLINE_S = 20.0


@pytest.fixture
def bench() -> Iterator[RingBench]:
    with ring_bench() as made:
        yield made


def pair(bench: RingBench) -> tuple[Net, Net, Net]:
    """The router a with its VRF va, and a VRF at the other end of its trunk t0."""
    a, b, va, vb = (bench.net(name) for name in ("a", "b", "va", "vb"))
    bench.wire(a, b)
    bench.vrf(a, va, "t0", "s0", STACK, "192.0.2.1/30", "fd00::1/64")
    bench.vrf(b, vb, "t0", "s0", STACK, "192.0.2.2/30", "fd00::2/64")
    return a, va, vb


def transfer(source: Net, target: Net, address: str, data: bytes) -> float:
    """Seconds until all of it has arrived; it is what was sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        target.socket(family, socket.SOCK_STREAM) as listener,
        source.socket(family, socket.SOCK_STREAM) as out,
    ):
        listener.bind((address, PORT))
        listener.listen()
        listener.settimeout(DEADLINE_S)
        out.settimeout(DEADLINE_S)
        out.connect((address, PORT))
        taken, _ = listener.accept()
        began = time.monotonic()

        def send() -> None:
            out.sendall(data)
            out.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        got = bytearray()
        with taken:
            taken.settimeout(DEADLINE_S)
            while part := taken.recv(1 << 20):
                got += part
        seconds = time.monotonic() - began
        sender.join()
    assert bytes(got) == data
    return seconds


def test_tcp_in_a_strict_queue_gets_the_rate_that_its_class_is_promised(bench: RingBench) -> None:
    a, va, vb = pair(bench)
    rate_bps = 50_000_000
    queues = Queues(a.at("t0"), (QueueTree(0, rate_bps, CLASSES),))
    assert bench.plane.queues.create([Change(None, queues)]) == [None]
    policy = Policy("media", (Rule("calls", "voice", EF, (TCP,), either_ports=(PORT, PORT)),))
    mark = Marking(a.at("t0"), "egress", policy, "out", "mark", tree=0)
    bench.plane.marks.add(mark, index=0, netns_fd=a.fd)
    voice = next(item for item in CLASSES if item.name == "voice")
    octets = 2_000_000
    promised = rate_bps * voice.share / 100 / 8
    seconds = transfer(va, vb, "192.0.2.2", bytes(octets))
    assert octets / seconds > 0.6 * promised
    # All but one bucket, which holds a large frame here.
    assert octets / seconds < 1.1 * promised
    (counted,) = (row for row in bench.plane.queues.counters([queues]) if row.name == "voice")
    assert counted.packets > octets / MSS
    assert counted.octets > octets


@pytest.mark.kernels("here", "stock")
@pytest.mark.parametrize(("address", "mss"), [("192.0.2.2", MSS), ("fd00::2", MSS - 20)])
def test_a_bad_wire_has_tcp_in_frames_as_a_wire_carries_them(
    bench: RingBench, address: str, mss: int
) -> None:
    a, va, vb = pair(bench)
    harm = Impairment(a.at("t0"), seed=3, delay_ns=1_000_000, loss_ppm=2_000, duplicate_ppm=10_000)
    bench.plane.impairments.add(harm, device=0, sink=0, netns_fd=a.fd)
    octets = 1_500_000
    transfer(va, vb, address, os.urandom(octets))
    (counted,) = bench.plane.impairments.counters()
    assert octets / mss <= counted.offered <= 1.2 * octets / mss + 50
    assert counted.lost >= 1
