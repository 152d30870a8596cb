"""Impairments on real wires, judged by what arrives at the other end, and by the oracle."""

from __future__ import annotations

import hashlib
import os
import re
import select
import socket
import statistics
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import pytest
from conftest import Sandbox

from edge.errors import CapabilityError, EdgeError
from edge.fastpath.attach import HookKind
from edge.fastpath.impair import ImpairmentPlane
from edge.fastpath.turnout import Way
from edge.net.capabilities import probe
from edge.net.kernel import Kernel
from edge.net.namespaces import inside
from edge.net.objects.base import Endpoint
from edge.net.objects.changes import Change
from edge.net.objects.devices import AdminUp, Namespace, Sysctl, Veth
from edge.net.objects.frames import Impairment
from edge.net.objects.routing import DeviceAddress
from tests import impair_oracle as oracle

pytestmark = pytest.mark.root

MS = 1_000_000
EXPERIMENT = 0x88B5
"""Ethertype for local experiments (IEEE 802): nothing else on the wire bears it."""
MAC_A, MAC_B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
A, B = Endpoint("A", "wa"), Endpoint("B", "wb")
BAD = Impairment(A, seed=7)
DEADLINE_S = 20.0
SILENCE_S = 0.3


@dataclass
class Wire:
    """A wire from A to B whose only frames are those of the test; `plane` impairs what A sends."""

    kernel: Kernel
    plane: ImpairmentPlane
    sandbox: Sandbox

    def apply(self, before: Impairment | None, after: Impairment | None) -> None:
        """One change; raises what the kernel answers."""
        error = self.kernel.apply([Change(before, after)])[0]
        if error is not None:
            raise error

    def open(self, at: Endpoint) -> socket.socket:
        """A raw socket on an end, for frames of the test alone."""
        kind = socket.ntohs(EXPERIMENT)
        with inside(self.kernel.netns_fd(at.namespace)):
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, kind)
        made.bind((at.device, EXPERIMENT))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        return made

    def counters(self) -> dict[str, int]:
        """Those of the one impairment."""
        (counted,) = self.plane.counters()
        return {**counted.to_json(), "at": 0}

    def carrier_changes(self) -> str:
        """How often the carrier of either end came or went."""
        path = "/sys/class/net/*/carrier_changes"
        return "".join(
            self.sandbox.run("ip", "netns", "exec", name, "sh", "-c", f"cat {path}") for name in "AB"
        )


def frame(number: int, octets: int = 100) -> bytes:
    """A frame from A to B that bears its number."""
    macs = bytes.fromhex((MAC_B + MAC_A).replace(":", ""))
    return (macs + struct.pack("!HI", EXPERIMENT, number)).ljust(octets, b"\0")


@pytest.fixture(params=["auto", "clsact", "mirred"])
def wire(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Wire]:
    way: Way = "mirred" if request.param == "mirred" else "bpf"
    hook: HookKind = "auto" if request.param == "mirred" else request.param
    with_plane(hook, way)
    plane = ImpairmentPlane(hook, way)
    kernel = Kernel(
        netns_directory=sandbox.netns_directory, packet_rules=probe().packet_rules, impairments=plane
    )
    quiet = [
        Sysctl(name, f"net/ipv6/conf/{which}/disable_ipv6", "1") for name in "AB" for which in ("default",)
    ]
    for tier in (
        [Namespace("A"), Namespace("B")],
        quiet,
        [Veth(A, B, 1508, MAC_A, MAC_B)],
        [AdminUp(A), AdminUp(B)],
    ):
        assert kernel.apply([Change(None, item) for item in tier]) == [None] * len(tier)
    yield Wire(kernel, plane, sandbox)
    plane.close()
    kernel.close()


def with_plane(hook: HookKind, way: Way) -> None:
    """Skip where devices cannot be impaired this way."""
    reason = ImpairmentPlane.probe(hook, way)
    if reason is not None:
        pytest.skip(f"needs {way} on devices ({hook}): {reason}")


def send(wire: Wire, frames: int, pause_s: float = 0.0) -> None:
    """Frames 0, 1, 2... out of A."""
    with wire.open(A) as out:
        for number in range(frames):
            out.send(frame(number))
            if pause_s:
                select.select([], [], [], pause_s)


def arrivals(wire: Wire, hears: socket.socket, frames: int) -> list[int]:
    """Numbers of the frames in the order of their arrival, until the wire has no more of them."""
    found: list[int] = []
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        counted = wire.counters()
        done = counted["offered"] == frames and not counted["waiting"]
        while select.select([hears], [], [], 0 if done else 0.01)[0]:
            found.append(struct.unpack_from("!I", hears.recv(2048), 14)[0])
            if not done:
                break
        else:
            if done:
                return found
    raise AssertionError(f"the wire never got rid of {frames} frames: {wire.counters()}")


def settings(impairment: Impairment) -> oracle.Settings:
    """The same for the oracle."""
    names = ("seed", "delay_ns", "jitter_ns", "loss_ppm", "duplicate_ppm", "reorder_ppm")
    return oracle.Settings(**{name: getattr(impairment, name) for name in names})


@pytest.mark.kernels("here", "stock")
@pytest.mark.shows("a bad link: the same frames lost on every run", here="any", stock="any")
def test_lost_frames_are_those_of_the_seed_on_every_run(wire: Wire) -> None:
    lossy = replace(BAD, loss_ppm=300_000)
    expected = oracle.Wire(settings(lossy), 1 << 14)
    kept = [number for number in range(500) if expected.offer(number, 100, number)]
    for _ in range(2):
        with wire.open(B) as hears:
            wire.apply(None, lossy)
            send(wire, 500)
            assert arrivals(wire, hears, 500) == kept
        counted = wire.counters()
        assert (counted["offered"], counted["lost"]) == (500, expected.lost)
        wire.apply(lossy, None)
    with wire.open(B) as hears:
        wire.apply(None, replace(lossy, seed=8))
        send(wire, 500)
        assert arrivals(wire, hears, 500) != kept


@pytest.mark.kernels("here", "stock")
def test_jitter_spreads_arrivals_and_keeps_their_order(wire: Wire) -> None:
    wanted = replace(BAD, delay_ns=30 * MS, jitter_ns=30 * MS)
    wire.apply(None, wanted)
    with wire.open(B) as hears:
        send(wire, 200, pause_s=0.001)
        assert arrivals(wire, hears, 200) == list(range(200))


def test_duplicates_and_reordered_frames_are_those_of_the_oracle(wire: Wire) -> None:
    wanted = replace(BAD, delay_ns=400 * MS, duplicate_ppm=200_000, reorder_ppm=200_000)
    expected = oracle.Wire(settings(wanted), 1 << 14)
    # All are offered before the first one in order departs: express ones come first, then the others.
    for number in range(100):
        expected.offer(number, 100, number)
    order = []
    while expected.waiting:
        order.append(expected.take(expected.due()))
    wire.apply(None, wanted)
    with wire.open(B) as hears:
        send(wire, 100)
        assert wire.counters()["waiting"] > 0
        assert arrivals(wire, hears, 100) == order
    counted = wire.counters()
    assert (counted["duplicated"], counted["reordered"]) == (expected.duplicated, expected.reordered)
    assert expected.duplicated > 5
    assert expected.reordered > 5


def test_values_change_live_frames_that_wait_stay_and_the_link_notices_nothing(wire: Wire) -> None:
    before = wire.carrier_changes()
    slow = replace(BAD, delay_ns=500 * MS)
    wire.apply(None, slow)
    assert wire.kernel.found([slow]) >= {slow}
    with wire.open(B) as hears:
        send(wire, 20)
        lossy = replace(BAD, loss_ppm=1_000_000)
        wire.apply(slow, lossy)
        assert wire.kernel.found([lossy]) >= {lossy}
        send(wire, 20)
        assert arrivals(wire, hears, 40) == list(range(20))
        assert wire.counters()["lost"] == 20
    wire.apply(lossy, None)
    assert not any(isinstance(item, Impairment) for item in wire.kernel.found([]))
    assert wire.carrier_changes() == before


def test_frames_that_wait_are_sent_when_the_impairment_ends(wire: Wire) -> None:
    slow = replace(BAD, delay_ns=60_000 * MS)
    wire.apply(None, slow)
    with wire.open(B) as hears:
        hears.settimeout(DEADLINE_S)
        send(wire, 20)
        wire.apply(slow, None)
        assert [struct.unpack_from("!I", hears.recv(2048), 14)[0] for _ in range(20)] == list(range(20))
    assert "sink" not in wire.sandbox.run("ip", "netns", "exec", "A", "ip", "link")


def test_an_impairment_that_somebody_broke_is_missed_and_can_be_brought_back(wire: Wire) -> None:
    wire.apply(None, BAD)
    sink = f"sink{wire.kernel.ifindex(A)}"
    assert sink in wire.sandbox.run("ip", "netns", "exec", "A", "ip", "-br", "link")
    wire.sandbox.run("ip", "netns", "exec", "A", "ip", "link", "del", sink)
    assert BAD not in wire.kernel.found([BAD])
    wire.apply(None, BAD)
    assert BAD in wire.kernel.found([BAD])
    with wire.open(B) as hears:
        send(wire, 5)
        assert arrivals(wire, hears, 5) == list(range(5))


def test_frames_that_the_engine_was_too_late_to_read_are_counted(wire: Wire) -> None:
    wire.apply(None, BAD)
    sink = f"sink{wire.kernel.ifindex(A)}"
    wire.sandbox.run("ip", "netns", "exec", "A", "ip", "link", "set", sink, "txqueuelen", "1")
    with wire.open(B) as hears:
        send(wire, 2000)
        arrived = arrivals(wire, hears, 2000)
    counted = wire.counters()
    assert counted["overflowed"] > 0
    assert len(arrived) == counted["taken"] == 2000 - counted["overflowed"]


def test_tags_cross_a_bad_wire_as_they_stand(wire: Wire) -> None:
    wire.apply(None, replace(BAD, delay_ns=MS))
    tagged = frame(1)[:12] + struct.pack("!HHHH", 0x88A8, 3, 0x8100, 100) + frame(1, 1500)[12:]
    with inside(wire.kernel.netns_fd("B")):
        hears = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
    with hears, wire.open(A) as out:
        hears.settimeout(DEADLINE_S)
        hears.bind((B.device, 3))
        hears.setsockopt(263, 8, 1)  # PACKET_AUXDATA: where the kernel puts the outermost tag
        out.send(tagged)
        data, control, _, _ = hears.recvmsg(2048, 256)
    auxiliary = struct.unpack("=IIIHHHH", control[0][2][:20])
    assert (auxiliary[6], auxiliary[5]) == (0x88A8, 3)
    assert data == tagged[:12] + tagged[16:]


def test_frames_come_back_into_the_queue_that_they_had_left_for(
    wire: Wire, request: pytest.FixtureRequest
) -> None:
    run = wire.sandbox.run
    tc = ("ip", "netns", "exec", "A", "tc")
    run(*tc, "qdisc", "add", "dev", A.device, "root", "handle", "1:", "htb", "default", "1", "r2q", "10000")
    for minor in (1, 0x25):
        run(
            *tc,
            "class",
            "add",
            "dev",
            A.device,
            "parent",
            "1:",
            "classid",
            f"1:{minor:x}",
            "htb",
            "rate",
            "1gbit",
        )
    if "mirred" in request.node.name:
        with pytest.raises(CapabilityError, match="has queues"):
            wire.apply(None, BAD)
        return
    wire.apply(None, replace(BAD, delay_ns=MS))
    with wire.open(A) as out, wire.open(B) as hears:
        for number, priority in enumerate((0x10025, 0x10001, 0x10025, 0)):
            out.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, priority)
            out.send(frame(number))
        assert arrivals(wire, hears, 4) == [0, 1, 2, 3]
    shown = run(*tc, "-s", "class", "show", "dev", A.device)
    sent = dict(re.findall(r"class htb (1:\w+) .*?Sent \d+ bytes (\d+) pkt", shown, re.DOTALL))
    assert sent == {"1:1": "2", "1:25": "2"}


@pytest.mark.kernels("here", "stock")
def test_tcp_arrives_whole_over_a_wire_that_delays_loses_doubles_and_reorders(wire: Wire) -> None:
    from ipaddress import ip_interface

    for at, address in ((A, "10.0.0.1/24"), (B, "10.0.0.2/24")):
        assert wire.kernel.apply([Change(None, DeviceAddress(at, ip_interface(address)))]) == [None]
    wire.apply(
        None,
        replace(BAD, delay_ns=2 * MS, jitter_ns=MS, loss_ppm=5000, duplicate_ppm=10_000, reorder_ppm=10_000),
    )
    payload = os.urandom(1 << 20) * 3
    with inside(wire.kernel.netns_fd("B")):
        listener = socket.create_server(("10.0.0.2", 5001))
    with inside(wire.kernel.netns_fd("A")):
        client = socket.socket()
    with listener, client:
        listener.settimeout(DEADLINE_S)
        client.settimeout(DEADLINE_S)
        client.connect(("10.0.0.2", 5001))
        sender = threading.Thread(target=lambda: (client.sendall(payload), client.shutdown(socket.SHUT_WR)))
        sender.start()
        served, _ = listener.accept()
        with served:
            served.settimeout(DEADLINE_S)
            digest, received = hashlib.sha256(), 0
            while data := served.recv(1 << 16):
                digest.update(data)
                received += len(data)
        sender.join()
    assert (received, digest.digest()) == (len(payload), hashlib.sha256(payload).digest())
    counted = wire.counters()
    # Never a GSO frame: each frame of the wire is lost by itself.
    assert counted["offered"] > len(payload) / 1500
    assert min(counted["lost"], counted["duplicated"], counted["reordered"]) > 0


def test_rtt_rises_by_the_delay_of_both_directions(wire: Wire) -> None:
    from ipaddress import ip_interface

    for at, address in ((A, "10.0.0.1/24"), (B, "10.0.0.2/24")):
        assert wire.kernel.apply([Change(None, DeviceAddress(at, ip_interface(address)))]) == [None]
    wire.apply(None, replace(BAD, delay_ns=30 * MS))
    wire.apply(None, replace(BAD, at=B, delay_ns=15 * MS))
    shown = wire.sandbox.run("ip", "netns", "exec", "A", "ping", "-c", "5", "-i", "0.1", "10.0.0.2")
    least, mean = map(float, re.findall(r"= ([\d.]+)/([\d.]+)", shown)[0])
    assert 45 <= least < 45 + 30
    assert mean < 45 + 200


def test_a_lab_without_an_engine_says_what_is_missing(sandbox: Sandbox) -> None:
    kernel = Kernel(netns_directory=sandbox.netns_directory)
    try:
        assert kernel.apply([Change(None, Namespace("A"))]) == [None]
        error = kernel.apply([Change(None, BAD)])[0]
        assert isinstance(error, CapabilityError)
        assert "root" in str(error)
    finally:
        kernel.close()


def has_netem(wire: Wire) -> bool:
    """Whether `tc` can make one."""
    tc = ("ip", "netns", "exec", "A", "tc", "qdisc")
    made = subprocess.run((*tc, "add", "dev", A.device, "root", "netem"), capture_output=True).returncode == 0
    if made:
        wire.sandbox.run(*tc, "del", "dev", A.device, "root")
    return made


@pytest.mark.kernels("here", "stock")
@pytest.mark.parametrize("wire", ["auto"], indirect=True)
def test_netem_does_not_push_queues_aside(wire: Wire) -> None:
    if not has_netem(wire):
        pytest.skip("needs netem")
    wire.sandbox.run(
        "ip", "netns", "exec", "A", "tc", "qdisc", "add", "dev", "wa", "root", "handle", "1:", "htb"
    )
    with pytest.raises(EdgeError, match="has queues"):
        wire.apply(None, replace(BAD, by="netem"))


@dataclass(frozen=True)
class Passage:
    """What of a number of frames came through: the delay of each in the order of arrival, and how many came
    a second time."""

    delays_ns: dict[int, int]
    duplicates: int


def passage(wire: Wire, by: Literal["ring", "netem"], frames: int, pause_s: float, **harm: int) -> Passage:
    """Send frames over a wire that is harmed so."""
    wanted = Impairment(A, 11, by=by, **harm)
    wire.apply(None, wanted)
    sent: dict[int, int] = {}
    delays: dict[int, int] = {}
    duplicates = 0
    with wire.open(A) as out, wire.open(B) as hears:
        begin = time.monotonic()
        while True:
            number = len(sent)
            if number < frames and time.monotonic() >= begin + number * pause_s:
                sent[number] = time.monotonic_ns()
                out.send(frame(number))
                left_s = 0.0
            else:
                left_s = begin + number * pause_s - time.monotonic() if number < frames else SILENCE_S
            if select.select([hears], [], [], max(0.0, left_s))[0]:
                got = struct.unpack_from("!I", hears.recv(2048), 14)[0]
                duplicates += got in delays
                delays.setdefault(got, time.monotonic_ns() - sent[got])
            elif number == frames:
                break
    wire.apply(wanted, None)
    return Passage(delays, duplicates)


@pytest.mark.kernels("stock")
@pytest.mark.shows("netem and our impairment show the same statistics", stock="any")
@pytest.mark.parametrize("wire", ["auto"], indirect=True)
def test_netem_and_our_engine_show_the_same_statistics(wire: Wire) -> None:
    """Each within five standard deviations of what is asked for, and so of the other; times to a few ms."""
    if not has_netem(wire):
        pytest.skip("needs netem")
    ways: tuple[Literal["ring", "netem"], ...] = ("ring", "netem")

    def within(counted: list[int], of: int, part: float) -> None:
        deviation = (of * part * (1 - part)) ** 0.5
        assert all(abs(number - of * part) < 5 * deviation for number in counted), (counted, of * part)

    lossy = [passage(wire, by, 1500, 0, loss_ppm=100_000) for by in ways]
    within([1500 - len(seen.delays_ns) for seen in lossy], 1500, 0.1)
    assert [seen.duplicates for seen in lossy] == [0, 0]

    twice = [passage(wire, by, 1500, 0, duplicate_ppm=50_000) for by in ways]
    within([seen.duplicates for seen in twice], 1500, 0.05)
    assert [len(seen.delays_ns) for seen in twice] == [1500, 1500]

    early = [passage(wire, by, 300, 0.002, delay_ns=60 * MS, reorder_ppm=200_000) for by in ways]
    within([overtakers(list(seen.delays_ns)) for seen in early], 300, 0.2)

    # A busy machine hands frames over late, whoever delayed them: the best of three.
    found = [spreads_otherwise(wire, ways)]
    while found[-1] and len(found) < 3:
        found.append(spreads_otherwise(wire, ways))
    assert not found[-1], found


def spreads_otherwise(wire: Wire, ways: tuple[Literal["ring", "netem"], ...]) -> str:
    """Delays of 20 to 40 ms: nothing when they are spread evenly by each way, and by all alike; else figures.

    Frames are so far apart that neither has an order to keep, so half of them are within 10 ms around the
    middle.
    """
    late = [passage(wire, by, 80, 0.02, delay_ns=30 * MS, jitter_ns=10 * MS) for by in ways]
    times = [list(seen.delays_ns.values()) for seen in late]
    assert [len(one) for one in times] == [80 for _ in ways]
    assert all(min(one) >= 20 * MS for one in times)
    first, middle, third = zip(*(statistics.quantiles(one, n=4) for one in times), strict=True)
    spread = [upper - lower for upper, lower in zip(third, first, strict=True)]
    alike = max(middle) - min(middle) < 6 * MS and max(spread) - min(spread) < 5 * MS
    even = all(27 * MS < one < 38 * MS for one in middle) and all(6 * MS < one < 15 * MS for one in spread)
    return "" if alike and even else f"middles {middle}, spreads {spread} ns"


def overtakers(arrived: list[int]) -> int:
    """Frames after which an earlier one arrived."""
    found, least = 0, len(arrived)
    for number in reversed(arrived):
        found += number > least
        least = min(least, number)
    return found


@pytest.mark.kernels("here", "stock")
def test_netem_is_taken_where_it_is_asked_for_or_refused_with_words(wire: Wire) -> None:
    wanted = Impairment(
        A, 5, 20 * MS, 2 * MS, loss_ppm=15_000, duplicate_ppm=1, reorder_ppm=333_333, rate_bps=50_000_000,
        by="netem",
    )  # fmt: skip
    if not has_netem(wire):
        with pytest.raises(CapabilityError, match=r"no netem(?s:.*)modprobe sch_netem"):
            wire.apply(None, wanted)
        return
    wire.apply(None, wanted)
    assert wanted in wire.kernel.found([wanted])
    changed = replace(wanted, delay_ns=100 * MS, jitter_ns=0, reorder_ppm=0, rate_bps=None)
    wire.apply(wanted, changed)
    assert changed in wire.kernel.found([changed])
    ours = replace(changed, by="ring")
    wire.apply(changed, ours)
    assert {item for item in wire.kernel.found([ours]) if isinstance(item, Impairment)} == {ours}
    wire.apply(ours, changed)
    wire.apply(changed, None)
    assert not any(isinstance(item, Impairment) for item in wire.kernel.found([]))
