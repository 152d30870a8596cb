"""The peerings of a dot1q hand-off share their circuit's bandwidth, however tags are made."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from net_helpers import create_all, reconcile

from edge.fastpath.layout import BURST_OCTETS_MIN
from edge.fastpath.tagplane import TagPlane
from edge.model import Tag
from edge.net.capabilities import RealisationName
from edge.net.kernel import Kernel
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.frames import RateLimit, VirtualCircuit
from lab.compile import compile_lab
from lab.model import Fabric, Host, HostInterface, LabModel, Link
from lab.service.state import State
from tests.waiting import wait_until

VIDS = (100, 200)
SENT = 150
"""Frames of each peering: one of them alone is more than the bucket holds."""
OCTETS = 1400
RATE_BPS = 8_000
"""A frame of tokens in 1.4 s."""
PASS = BURST_OCTETS_MIN // OCTETS
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33


def circuits(rate_bps: int = RATE_BPS, *vids: int) -> tuple[VirtualCircuit, ...]:
    """What lab.topology.provider makes of a circuit with a dot1q hand-off."""
    return tuple(
        VirtualCircuit("p", f"ams{vid}", "xa", (Tag(vid),), "xb", (Tag(7), Tag(vid)), rate_bps, "ams")
        for vid in vids or VIDS
    )


def objects(realisation: RealisationName, carried: tuple[VirtualCircuit, ...]) -> tuple[KernelObject, ...]:
    """a:xa -- p:xa, p:xb -- b:xb."""
    ends = tuple(Host(name, name, (HostInterface(f"x{name}", ()),)) for name in ("a", "b"))
    links = tuple(
        Link(name, Endpoint(name, f"x{name}"), Endpoint("p", f"x{name}"), trunk=True) for name in ("a", "b")
    )
    fabric = Fabric("p", "p", ("xa", "xb"), carried)
    model = LabModel("x", (), (), ends, (), (fabric,), links, (), (), (), {}, State())
    return compile_lab(model, realisation)


def test_sharers_send_by_the_last_device_that_they_have_in_common() -> None:
    limits = {item for item in objects("kernel", circuits()) if isinstance(item, RateLimit)}
    assert limits == {
        RateLimit(Endpoint("p", "xa"), RATE_BPS, 4),
        RateLimit(Endpoint("p", "xbs7"), RATE_BPS, 8),
    }
    apart = tuple(replace(one, policer="") for one in circuits())
    limits = {item for item in objects("kernel", apart) if isinstance(item, RateLimit)}
    assert {item.at.device for item in limits} == {"xas100", "xas200", "xbs7s100", "xbs7s200"}


BANDWIDTH = "a circuit's bandwidth"


@pytest.fixture(
    params=[
        pytest.param(
            "bpf",
            marks=[
                pytest.mark.kernels("here", "stock"),
                pytest.mark.shows(BANDWIDTH, here="bpf", stock="bpf"),
            ],
        ),
        pytest.param(
            "kernel", marks=[pytest.mark.kernels("stock"), pytest.mark.shows(BANDWIDTH, stock="kernel")]
        ),
    ]
)
def made(sandbox, request) -> Iterator[tuple[RealisationName, Kernel, TagPlane | None]]:
    plane = TagPlane() if request.param == "bpf" else None
    kernel = Kernel(netns_directory=sandbox.netns_directory, tag_plane=plane)
    yield request.param, kernel, plane
    kernel.close()
    if plane is not None:
        plane.close()


def judged(sandbox, plane: TagPlane | None, way: int, device: str) -> tuple[int, int]:
    """Frames that a policer passed, and those that it holds or has dropped."""
    if plane is not None:
        ways = [(item.a_to_b, item.b_to_a)[way] for item in plane.counters().circuits]
        return sum(item.passed.packets for item in ways), sum(item.dropped.packets for item in ways)
    (queue,) = json.loads(sandbox.run("tc", "-n", "p", "-s", "-j", "qdisc", "show", "dev", device))
    return queue["packets"], queue["drops"] + queue["qlen"]


def frames(*stack: int) -> bytes:
    tags = b"".join(b"\x81\x00" + vid.to_bytes(2, "big") for vid in stack)
    return (bytes.fromhex("020000000002020000000001") + tags + b"\x88\xb5").ljust(OCTETS, b"\0")


@pytest.mark.parametrize(
    ("way", "source", "target", "device"), [(0, "a", "b", "xbs7"), (1, "b", "a", "xa")], ids=["out", "in"]
)
def test_peerings_of_a_dot1q_hand_off_share_one_bandwidth(
    made, sandbox, way: int, source: str, target: str, device: str
) -> None:
    realisation, kernel, plane = made
    wanted = objects(realisation, circuits())
    create_all(kernel, wanted)
    assert kernel.found(wanted) == set(wanted)
    with (
        kernel.socket(target, socket.AF_PACKET, socket.SOCK_RAW) as tap,
        kernel.socket(source, socket.AF_PACKET, socket.SOCK_RAW) as sender,
    ):
        tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        # Frames that wait in a queue are in the sender's buffer, too.
        sender.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20)
        tap.bind((f"x{target}", 0x0003))
        sender.bind((f"x{source}", 0))
        for _ in range(SENT):
            for vid in VIDS:
                sender.send(frames(vid) if source == "a" else frames(7, vid))
        wait_until(lambda: sum(judged(sandbox, plane, way, device)) == 2 * SENT, "every frame to be judged")
        tap.setblocking(False)
        passed_at_least, _ = judged(sandbox, plane, way, device)
        heard: Counter[bool] = Counter()
        while True:
            try:
                heard[tap.recv(2000)[12:].endswith(bytes(OCTETS - 40))] += 1
            except BlockingIOError:
                break
    passed, held = judged(sandbox, plane, way, device)
    # Tokens come all the time, so a frame may pass while this looks.
    assert passed_at_least <= heard[True] <= passed
    assert PASS - 1 <= passed <= PASS + 8, "one bucket for both"
    assert passed + held == 2 * SENT

    # A new bandwidth reaches every one of them, and a peering that goes leaves the other where it is.
    faster = objects(realisation, circuits(800_000_000))
    assert set(reconcile(kernel, faster)) <= {None}
    assert kernel.found(faster) == set(faster)
    alone = objects(realisation, circuits(800_000_000, VIDS[0]))
    assert set(reconcile(kernel, alone)) <= {None}
    assert kernel.found(alone) == set(alone)
