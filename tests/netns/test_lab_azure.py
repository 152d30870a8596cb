"""`edgelab show` against the reference lab: what it says is what the routers have."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from typing import Any

import pytest
from labs import CONTOSO, Labs, until

pytestmark = pytest.mark.root


def paths(labs: Labs, *words: str) -> dict[tuple[str, str], list[dict[str, Any]]]:
    return {(item["peering"], item["path"]): item["value"] for item in labs.json("show", *words)["paths"]}


def values(labs: Labs, name: str, **dimensions: str) -> list[float]:
    document = labs.json("show", "metrics", "--every", "0.2")
    return [
        item["value"]
        for item in document["metrics"]
        if item["name"] == name and dimensions.items() <= item["dimensions"].items()
    ]


def test_tables_follow_what_happens_to_a_circuit(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(CONTOSO))
    mac = json.loads(labs.inside("contoso", "ce1", "ip", "-j", "link", "show", "ams1.100"))[0]["address"]
    arp = paths(labs, "arp")
    assert [row["interface"] for row in arp["private", "primary"]] == ["On-Prem", "Microsoft"]
    assert arp["private", "primary"][0] == {
        "age": 0, "interface": "On-Prem", "ipAddress": "192.168.15.1", "macAddress": mac,
    }  # fmt: skip
    assert all(len(rows) == 2 for rows in arp.values())

    routes = paths(labs, "routes", "--peering", "private", "--path", "primary")
    assert set(routes) == {("private", "primary")}
    vnet = [row for row in routes["private", "primary"] if row["network"] == "10.50.0.0/16"]
    # Facts 3.2: a virtual network's prefix comes from both instances of its gateway.
    assert [(row["path"], row["weight"], row["locPrf"]) for row in vnet] == [("65515 i", 0, "")] * 2
    assert len({row["nextHop"] for row in vnet}) == 2
    customer = [row for row in routes["private", "primary"] if row["network"] == "10.1.0.0/16"]
    assert [(row["nextHop"], row["path"]) for row in customer] == [("192.168.15.1", "65010 i")]

    before = {item["peering"]: item for item in labs.json("show", "stats")["peerings"]}
    labs.inside("contoso", "pc1", "ping", "-c", "20", "-i", "0.02", "-s", "1000", "10.50.1.4")
    after = {item["peering"]: item for item in labs.json("show", "stats")["peerings"]}
    grown = [after["private"][key] - before["private"][key] for key in ("primarybytesIn", "secondarybytesIn")]
    assert sum(grown) > 20_000
    assert after["microsoft"]["primarybytesIn"] - before["microsoft"]["primarybytesIn"] < 20_000

    assert values(labs, "BgpAvailability", Peer="Primary") == [100.0, 100.0]
    assert values(labs, "ArpAvailability") == [100.0] * 4
    # Scenario 55: one session killed gives 0 for that peer, 100 for the other.
    labs.inside("contoso", "ce1", "ip", "link", "set", "ams1", "down")
    until(lambda: values(labs, "BgpAvailability", Peer="Primary") == [0.0, 0.0], "the primary's sessions end")
    assert values(labs, "BgpAvailability", Peer="Secondary") == [100.0, 100.0]
    down = paths(labs, "summary", "--peering", "private")
    assert not down["private", "primary"][0]["statePfxRcd"].isdigit()
    assert down["private", "secondary"][0]["statePfxRcd"] == "1"
    # What the MSEE knew of the customer ages for half a minute; flushing it is the same, now.
    space = next(
        item["namespace"] for item in labs.json("inspect")["sessions"] if item["side"] == "microsoft"
    )
    labs.inside("contoso", space, "ip", "neigh", "flush", "all")
    until(
        lambda: (
            [row["macAddress"] for row in paths(labs, "arp")["private", "primary"]][:-1]
            in ([], ["Incomplete"])
        ),
        "the MSEE no longer knows the customer's MAC address",
    )
    assert values(labs, "ArpAvailability", Peer="Primary", PeeringType="Private") == [0.0]
    refused = labs.run("show", "arp", "--peering", "AzurePublicPeering")
    assert refused.returncode == 2
    assert "peering AzurePublicPeering not found on circuit ams" in refused.stderr


def test_the_packet_test_counts_on_both_msees(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(CONTOSO))
    ping = labs.fork(
        "exec",
        "contoso",
        "pc1",
        "--",
        "ping",
        "-i",
        "0.02",
        "-c",
        "1000",
        "10.50.1.4",
        stdout=subprocess.PIPE,
    )
    try:
        assert ping.stdout is not None
        ping.stdout.readline()
        document = labs.json("show", "packets", "10.1.0.10", "10.50.1.4", "--seconds", "0.5")
    finally:
        ping.terminate()
        ping.communicate(timeout=10)
    received = sum(item["received"] for item in document["paths"])
    sent = sum(item["sent"] for item in document["paths"])
    assert received >= 5
    assert sent >= 5
    silent = labs.json("show", "packets", "10.1.0.10", "10.50.1.4", "--port", "3389", "--seconds", "0.1")
    assert [(item["received"], item["sent"]) for item in silent["paths"]] == [(0, 0), (0, 0)]


def test_prometheus_scrapes_the_routers(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(CONTOSO))
    server = labs.popen("show", "metrics", "--listen", "127.0.0.1:0", stderr=subprocess.PIPE)
    try:
        assert server.stderr is not None
        address = server.stderr.readline().split()[0]
        with urllib.request.urlopen(address, timeout=10) as answer:
            text = answer.read().decode()
        assert 'expressroute_up{lab="contoso"} 1.0' in text
        assert text.count("expressroute_bgp_availability_ratio{") == 4
        labs.ok("destroy")
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert 'expressroute_up{lab="contoso"} 0.0' in answer.read().decode()
    finally:
        server.kill()
        server.communicate(timeout=10)
