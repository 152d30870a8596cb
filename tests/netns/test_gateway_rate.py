"""How much a virtual network's gateway passes: its SKU's limits in the kernel, and on the wire of one lab.

No machine of today fills a gateway of 10 Gbit/s, but most fill one of 1 Gbit/s with frames that segmentation
offload makes large. What a cap does to single packets is in test_net_rules.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from forkserver import Server
from labs import Labs, contoso, own_labs, until
from uptimes import assert_undisturbed, uptimes

pytestmark = pytest.mark.root

LARGE_FRAME = 47 * 1372
FLOOD = """
import itertools, socket, sys
target, count = sys.argv[1], int(sys.argv[2])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IP, 10, 2)
sock.setsockopt(socket.IPPROTO_UDP, 103, 1372)
for _ in range(count) if count else itertools.count():
    sock.sendto(bytes(47 * 1372), (target, 9))
"""
"""Sends datagrams that fill packets of 1,400 octets, 47 at once (UDP_SEGMENT), unfragmented; 0: for ever."""

HUB, FAST, SITE = "10.50.1.4", "10.52.1.4", "10.1.0.10"
IN, OUT = "LabGatewayDropBitsInPerSecond", "LabGatewayDropBitsOutPerSecond"


def document() -> dict[str, Any]:
    """The reference lab with a circuit that is no limit, and a second network, on FastPath."""
    given = contoso()
    given["circuits"]["ams"]["bandwidth"] = "10G"
    given["sites"]["hq"].pop("qos")
    given["vnets"]["fast"] = {
        "region": "westeurope",
        "address_space": ["10.52.0.0/16"],
        "gateway": "ErGw3AZ",
        "connections": [{"circuit": "ams", "fastpath": True}],
        "hosts": {"vm3": FAST},
    }
    return given


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, fork_server: Server) -> Iterator[Labs]:
    if os.geteuid() != 0:
        pytest.skip("needs root: makes network namespaces")
    scratch = tmp_path_factory.mktemp("rate")
    with own_labs(scratch, fork_server) as labs:
        assert labs.json("deploy", "-t", str(labs.file(document())))["pending"] == []
        yield labs


def installed(labs: Labs, vnet: str) -> list[tuple[str, str, int]]:
    """The caps that the kernel has in both instances: where to, of what, how much in a second."""
    found = []
    for instance in (0, 1):
        listing = labs.inside(
            "contoso", f"{vnet}-gw{instance}", "nft", "-j", "list", "chain", "inet", "edge", "rates"
        )
        for rule in (one["rule"]["expr"] for one in json.loads(listing)["nftables"] if "rule" in one):
            match, limit = rule[0]["match"], rule[1]["limit"]
            assert limit["inv"]
            assert limit["per"] == "second"
            found.append((match["right"], limit.get("rate_unit", "packets"), limit["rate"]))
    return found


def caps(octets: int, packets: int) -> list[tuple[str, str, int]]:
    """Those of two instances that have so much each, both ways."""
    return [
        (to, unit, rate)
        for _ in (0, 1)
        for to in ("vnet", "gw")
        for unit, rate in (("bytes", octets), ("packets", packets))
    ]


def dropped(labs: Labs, vnet: str) -> dict[str, int]:
    """Octets that both instances dropped, by counter."""
    found: dict[str, int] = {}
    for instance in (0, 1):
        listing = labs.inside("contoso", f"{vnet}-gw{instance}", "nft", "-j", "list", "counters")
        for one in (one["counter"] for one in json.loads(listing)["nftables"] if "counter" in one):
            if one["name"].startswith("capped"):
                found[one["name"]] = found.get(one["name"], 0) + one["bytes"]
    return found


def heard(labs: Labs, node: str, device: str) -> int:
    """Octets that a device received."""
    (link,) = json.loads(labs.inside("contoso", node, "ip", "-s", "-j", "link", "show", device))
    return int(link["stats64"]["rx"]["bytes"])


def heard_by_gateway(labs: Labs, vnet: str) -> int:
    return sum(heard(labs, f"{vnet}-gw{n}", device) for n in (0, 1) for device in ("gw", "vnet"))


def send(labs: Labs, node: str, target: str, frames: int) -> int:
    """Send large frames as fast as it goes; the octets in them."""
    labs.inside("contoso", node, sys.executable, "-c", FLOOD, target, str(frames))
    return frames * LARGE_FRAME


@contextmanager
def flood(labs: Labs, node: str, target: str) -> Iterator[None]:
    """The same for as long as the block runs."""
    command = ("exec", "contoso", node, "--", sys.executable, "-c", FLOOD, target, "0")
    process = labs.popen(*command, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def shown(labs: Labs, vnet: str) -> dict[str, float]:
    """The metrics of a gateway, summed over instances; of what was dropped those of the rate."""
    found: dict[str, float] = {}
    for item in labs.json("show", "metrics", "--every", "0.3")["metrics"]:
        if item["resource"].startswith(f"{vnet}-gw") and item["dimensions"].get("Limit", "Rate") == "Rate":
            found[item["name"]] = found.get(item["name"], 0) + item["value"]
    return found


def test_each_instance_has_half_of_what_the_sku_passes(lab: Labs) -> None:
    assert installed(lab, "hub") == caps(62_500_000, 50_000)
    assert installed(lab, "fast") == caps(625_000_000, 500_000)


@pytest.mark.parametrize(
    ("node", "target", "counter", "metric"),
    [("pc1", HUB, "capped_in", IN), ("vm1", SITE, "capped_out", OUT)],
)
def test_what_is_above_the_skus_rate_is_dropped_and_shown(
    lab: Labs, node: str, target: str, counter: str, metric: str
) -> None:
    found: dict[str, float] = {}
    before = dropped(lab, "hub")
    with flood(lab, node, target):
        until(lambda: dropped(lab, "hub")[counter] > before[counter], "the gateway drops what is too much")
        until(lambda: (found.update(shown(lab, "hub")) or found[metric]) > 0, "the metric tells of it")
    assert found["ExpressRouteGatewayBitsPerSecond"] > 1_000_000
    assert found["ExpressRouteGatewayPacketsPerSecond"] > 0
    others = {name for name in before if name != counter}
    after = dropped(lab, "hub")
    assert {name: after[name] for name in others} == {name: before[name] for name in others}


def test_resizing_a_gateway_changes_what_passes_and_no_session(lab: Labs) -> None:
    before = uptimes(lab)
    assert len(before) > 10
    lab.ok("gateway", "resize", "hub-gw", "ErGw3AZ")
    assert installed(lab, "hub") == caps(625_000_000, 500_000)
    assert_undisturbed(before, uptimes(lab))
    heard_before = heard(lab, "vm1", "eth0")
    # More than an instance of the smaller SKU has room for in a second, less than one of the larger.
    sent = send(lab, "pc1", HUB, 4000)
    until(lambda: heard(lab, "vm1", "eth0") - heard_before >= sent * 3 / 4, "it arrives")
    assert set(dropped(lab, "hub").values()) == {0}
    lab.ok("gateway", "resize", "hub-gw", "ErGwScale", "--units", "12")
    assert installed(lab, "hub") == caps(750_000_000, 700_000)
    lab.ok("gateway", "resize", "hub-gw", "ErGw1AZ")
    assert installed(lab, "hub") == caps(62_500_000, 50_000)
    assert_undisturbed(before, uptimes(lab))


def test_what_goes_by_fastpath_asks_no_gateway(lab: Labs) -> None:
    gateway, machine = heard_by_gateway(lab, "fast"), heard(lab, "vm3", "eth0")
    sent = send(lab, "pc1", FAST, 500)
    until(lambda: heard(lab, "vm3", "eth0") - machine >= sent * 3 / 4, "the machine has it")
    assert heard_by_gateway(lab, "fast") - gateway < sent / 10
    lab.ok("connection", "fastpath", "fast-ams", "off")
    sent = send(lab, "pc1", FAST, 500)
    until(lambda: heard_by_gateway(lab, "fast") - gateway >= sent * 3 / 4, "without it the gateway has it")
