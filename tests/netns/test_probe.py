from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from lab.hops import describe, explain_path, vias
from lab.probe import ping
from lab.trace import trace
from tests.netns.labworld import MSEE, World

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("probe"))
    try:
        world.build()
        yield world
    finally:
        world.close()


@pytest.mark.parametrize("target", ["10.50.0.4", "fd00:50::4"])
def test_every_echo_request_gets_its_reply(world: World, target: str) -> None:
    result = ping(world, "pc1", ip_address(target), count=5)
    assert (result.sent, result.received, result.errors) == (5, 5, ())
    assert len(result.rtt_ms) == 5
    assert all(0 < rtt < 2000 for rtt in result.rtt_ms)
    assert result.words.startswith("5 of 5 echo replies, ")


def test_concurrent_pings_of_one_node_do_not_take_each_others_replies(world: World) -> None:
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(ping(world, "pc1", ip_address("10.50.0.4"), 20)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.received for result in results] == [20, 20, 20, 20]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("10.77.0.1", "network unreachable from 192.168.15.2"),
        ("fd00:77::1", "network unreachable from fd00:1::1"),
    ],
)
def test_a_router_without_route_is_named(world: World, target: str, expected: str) -> None:
    if target.startswith("10."):
        world.add_route("ce1", "10.77.0.0/24 via 192.168.15.2")
    started = time.monotonic()
    result = ping(world, "pc1", ip_address(target), count=2, deadline_s=5)
    assert (result.sent, result.received) == (2, 0)
    assert result.errors == (expected,)
    assert time.monotonic() - started < 2, "an error ends the wait"


def test_a_silent_target_costs_the_deadline_and_no_more(world: World) -> None:
    started = time.monotonic()
    result = ping(world, "vm1", ip_address("10.50.0.99"), count=2, deadline_s=0.2)
    assert 0.2 <= time.monotonic() - started < 1
    assert (result.sent, result.received, result.words) == (2, 0, "0 of 2 echo replies")


def test_a_node_without_route_says_so_at_once(world: World) -> None:
    result = ping(world, "cdn", ip_address("fd00:50::4"), count=3, deadline_s=5)
    assert result.words == "no echo request could be sent; no route to fd00:50::4"


@pytest.mark.parametrize("protocol", ["udp", "icmp"])
@pytest.mark.parametrize(
    ("target", "hops"),
    [
        ("10.50.0.4", ["10.1.0.1", "192.168.15.2", "10.50.0.4"]),
        ("fd00:50::4", ["fd00:1::1", "fd00:15::2", "fd00:50::4"]),
    ],
)
def test_a_trace_lists_each_router_once_and_reaches_the_target(
    world: World, protocol: str, target: str, hops: list[str]
) -> None:
    path = trace(world, "pc1", ip_address(target), protocol=protocol)
    assert [str(hop.address) for hop in path.hops] == hops
    assert path.reached
    assert path.problem == ""
    names = explain_path(world.model, path)
    assert describe(names) == "ce1, msee1 (ams/private primary), vm1"
    assert vias(names) == ("ams",)


def test_a_trace_from_the_cloud_proves_the_circuit_too(world: World) -> None:
    path = trace(world, "vm1", ip_address("10.1.0.10"))
    assert [name.node for name in explain_path(world.model, path)] == ["msee1", "ce1", "pc1"]
    assert vias(explain_path(world.model, path)) == ("ams",)


@pytest.mark.parametrize("protocol", ["udp", "icmp"])
def test_a_trace_recognises_its_probes_behind_a_source_nat(world: World, protocol: str) -> None:
    path = trace(world, "pc1", ip_address("192.0.2.80"), protocol=protocol, port=53)
    names = explain_path(world.model, path)
    assert describe(names) == "ce1, internet, cdn"
    assert vias(names) == ("internet",)
    assert path.reached


def test_a_service_that_answers_the_probe_itself_is_the_target(world: World) -> None:
    with world.socket("cdn", socket.AF_INET, socket.SOCK_DGRAM, 0) as service:
        service.bind(("192.0.2.80", 5353))
        service.settimeout(0.2)
        ended = threading.Event()

        def answer() -> None:
            while not ended.is_set():
                try:
                    service.sendto(b"answer", service.recvfrom(2048)[1])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            path = trace(world, "pc1", ip_address("192.0.2.80"), port=5353)
        finally:
            ended.set()
            thread.join()
    assert path.reached
    assert [str(hop.address) for hop in path.hops] == ["10.1.0.1", "100.64.0.2", "192.0.2.80"]


def test_a_silent_router_is_a_star_between_two_that_answer(world: World) -> None:
    world.run(MSEE, "nft", "add table ip quiet")
    world.run(MSEE, "nft", "add chain ip quiet out { type filter hook output priority 0; }")
    world.run(MSEE, "nft", "add rule ip quiet out icmp type time-exceeded drop")
    try:
        path = trace(world, "pc1", ip_address("10.50.0.4"), deadline_s=5)
    finally:
        world.run(MSEE, "nft", "delete table ip quiet")
    assert [hop.address and str(hop.address) for hop in path.hops] == ["10.1.0.1", None, "10.50.0.4"]
    assert path.reached


def test_a_path_that_ends_early_says_where(world: World) -> None:
    world.add_route("ce1", "10.78.0.0/24 via 192.168.15.2")
    path = trace(world, "pc1", ip_address("10.78.0.1"))
    assert not path.reached
    assert path.problem == "network unreachable from 192.168.15.2"
    assert [str(hop.address) for hop in path.hops] == ["10.1.0.1", "192.168.15.2"]


def test_a_path_into_nothing_ends_at_its_deadline(world: World) -> None:
    world.run(MSEE, "ip", "route", "add", "blackhole", "10.79.0.0/24")
    world.add_route("ce1", "10.79.0.0/24 via 192.168.15.2")
    world.run(MSEE, "nft", "add table ip quiet")
    world.run(MSEE, "nft", "add chain ip quiet out { type filter hook output priority 0; }")
    world.run(MSEE, "nft", "add rule ip quiet out icmp type destination-unreachable drop")
    started = time.monotonic()
    try:
        path = trace(world, "pc1", ip_address("10.79.0.1"), deadline_s=0.5)
    finally:
        world.run(MSEE, "nft", "delete table ip quiet")
    assert 0.5 <= time.monotonic() - started < 1.5
    assert not path.reached
    assert path.problem == "no answer beyond the last hop"
