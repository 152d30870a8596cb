"""A VPN whose keys are negotiated: strongSwan and the kernel's ESP; what is on the wire, what breaks it."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from forkserver import Server
from labs import CONTOSO, Labs, own_labs, until

from lab.client import Client
from lab.state import RunDirectory
from lab.topology import load

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        shutil.which("charon-systemd", path="/usr/sbin") is None, reason="needs strongSwan (charon-systemd)"
    ),
]
stock = pytest.mark.kernels("stock")

TOPOLOGY = CONTOSO.with_name("vpn-ike.edge.yml")
LAB = "vpn-ike"
SITE, AZURE = "10.1.0.10", "10.50.1.4"
GATEWAYS = ("hub-vpn", "hub-vpn2")
ESP, UDP, IKE, ETH_P_ALL = 50, 17, 500, 3


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, fork_server: Server) -> Iterator[Labs]:
    """The lab without its circuit: all traffic between the site and Azure is in the tunnels."""
    if os.geteuid() != 0:
        pytest.skip("needs root: makes network namespaces")
    scratch = tmp_path_factory.mktemp("ike")
    with own_labs(scratch, fork_server) as labs:
        assert labs.json("deploy", "-t", str(TOPOLOGY))["pending"] == []
        yield labs


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(load(TOPOLOGY).document))
    return found


def ping(labs: Labs, source: str = "pc1", target: str = AZURE) -> bool:
    return labs.run("exec", LAB, source, "--", "ping", "-c", "1", "-W", "1", target).returncode == 0


def associations(labs: Labs, node: str) -> dict[str, int]:
    """Of a node SPI -> octets that the kernel has counted."""
    listing = labs.inside(LAB, node, "ip", "-s", "xfrm", "state")
    spis = re.findall(r"proto esp spi (0x[0-9a-f]+)", listing)
    counts = re.findall(r"lifetime current:\s+(\d+)\(bytes\)", listing)
    assert len(spis) == len(counts)
    return {spi: int(count) for spi, count in zip(spis, counts, strict=True) if spi != "0x00000000"}


def negotiated(labs: Labs) -> set[str]:
    """The SPIs that charon says it agreed on, at the site."""
    return set(re.findall(r"^    (?:in|out) +([0-9a-f]{8})", swanctl(labs, "--list-sas"), re.MULTILINE))


def swanctl(labs: Labs, *words: str) -> str:
    """strongSwan's own tool, asking the charon of the site's device."""
    uri = f"unix://{labs.directory / LAB / 'ike' / 'hq-inet.vici'}"
    return labs.inside(LAB, "hq-inet", "swanctl", *words, "--uri", uri)


def has_both_tunnels(labs: Labs) -> bool:
    """Whether BGP has brought Azure's routes by both."""
    return ways(labs, "hq-inet") == 2


def ways(labs: Labs, node: str) -> int:
    """How many next hops a node has to the other side."""
    target = "10.1.0.0/16" if node.startswith("hub") else "10.50.0.0/16"
    return labs.inside(LAB, node, "ip", "route", "show", target, "proto", "bird").count("nexthop")


def events(labs: Labs) -> list[dict[str, Any]]:
    lines = labs.ok("events", LAB, "--no-follow", "--format", "json").splitlines()
    return [json.loads(line) for line in lines]


@stock
def test_keys_are_negotiated_and_the_same_at_both_ends(lab: Labs) -> None:
    until(lambda: has_both_tunnels(lab), "BGP runs in both tunnels")
    site = associations(lab, "hq-inet")
    assert len(site) == 4
    assert {f"0x{spi}" for spi in negotiated(lab)} == set(site)
    assert set(site) == {spi for node in GATEWAYS for spi in associations(lab, node)}
    listing = lab.inside(LAB, "hub-vpn", "ip", "xfrm", "state")
    # AES-256-GCM, the gateway's first offer: 32 octets of key and 4 of salt.
    assert all(len(key) == 72 for key in re.findall(r"rfc4106\(gcm\(aes\)\) 0x([0-9a-f]+) 128", listing))
    view = lab.json("check", LAB)
    assert [one["words"] for one in view["checks"] if not one["ok"]] == []


@stock
def test_without_the_circuit_both_tunnels_carry_and_the_wire_shows_esp_alone(lab: Labs) -> None:
    before = associations(lab, "hq-inet")
    lab.ok("peering", "disable", "ams", "private")
    until(lambda: ping(lab) and ping(lab, "vm1", SITE), "the tunnels carry", 30)
    for node in ("hub-gw0", "hq-inet"):
        until(lambda node=node: ways(lab, node) == 2, f"{node} has both ways")
    with Client(RunDirectory(lab.directory / LAB)) as client:
        wire = client.socket("hq-inet", socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    with wire:
        wire.bind(("internet", ETH_P_ALL))
        assert ping(lab)
        wire.setblocking(False)
        seen = list(frames(wire))
    packets = [one[14:] for one in seen if one[12:14] == b"\x08\x00"]
    others = [one for one in packets if one[9] != ESP]
    assert ESP in {one[9] for one in packets}
    assert all(one[9] == UDP and struct.unpack_from("!H", one, 22) == (IKE,) for one in others)
    pair = struct.pack("!4s4s", *map(socket.inet_aton, (SITE, AZURE)))
    assert not any(pair in one for one in seen)
    after = associations(lab, "hq-inet")
    assert all(after[spi] > before[spi] for spi in before if spi in after)


def frames(wire: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield wire.recv(2000)
        except BlockingIOError:
            return


@stock
def test_new_keys_are_agreed_on_while_traffic_passes(lab: Labs) -> None:
    until(lambda: ping(lab), "the tunnels carry")
    before = negotiated(lab)
    said: list[str] = []

    def send() -> None:
        said.append(lab.ok("exec", LAB, "pc1", "--", "ping", "-c", "40", "-i", "0.1", "-W", "2", AZURE))

    thread = threading.Thread(target=send)
    thread.start()
    for child in ("hub_vpn", "hub_vpn2"):
        assert "completed" in swanctl(lab, "--rekey", "--child", child)
    until(lambda: not negotiated(lab) & before and len(negotiated(lab)) == 4, "all keys are new")
    thread.join()
    assert " 0% packet loss" in said[0]


def status(labs: Labs) -> dict[str, Any]:
    with Client(RunDirectory(labs.directory / LAB)) as client:
        return client.status()


@stock
def test_of_two_instances_one_is_enough(lab: Labs) -> None:
    lab.inside(LAB, "hub-vpn", "ip", "link", "set", "internet", "down")
    until(lambda: "nexthop" not in lab.inside(LAB, "hub-gw0", "ip", "route"), "Azure has one way", 40)
    until(lambda: all(ping(lab) for _ in range(5)), "the other tunnel carries", 40)
    # Anything that somebody changed by hand, the next deploy puts right.
    lab.ok("deploy", "-t", str(TOPOLOGY))
    lab.ok("peering", "disable", "ams", "private")
    until(lambda: has_both_tunnels(lab), "both tunnels are back", 60)


@stock
def test_with_another_key_at_the_site_nothing_passes_and_the_reason_is_told(lab: Labs) -> None:
    wrong = document()
    wrong["vnets"]["hub"]["vpn"][0]["ike"]["site_shared_key"] = "wr0ng"
    lab.ok("deploy", "-t", str(lab.file(wrong)), "--no-wait")
    lab.ok("peering", "disable", "ams", "private")
    until(lambda: associations(lab, "hq-inet") == associations(lab, "hub-vpn") == {}, "no keys are there", 40)
    until(lambda: not ping(lab), "nothing passes")
    until(
        lambda: (
            {one.get("text") for one in events(lab) if one.get("namespace") == "hub-vpn:ike"}
            & {"the shared keys of the two ends differ: it proves another"}
        ),
        "the gateway's end tells",
    )

    def told() -> bool:
        view = lab.json("inspect", LAB)
        found = [one["why"] for one in view["sessions"] if one["interface"] in ("hub.vpn", "hub.vpn2")]
        return len(found) == 2 and all("write the same shared key at both ends" in why for why in found)

    until(told, "inspect tells", 30)
    lab.ok("deploy", "-t", str(TOPOLOGY), "--no-wait")
    until(lambda: has_both_tunnels(lab), "with the right key again it is as before", 60)


def two_sites() -> dict[str, Any]:
    """The gateway with one instance and tunnels to two sites: one negotiates its keys, the other has them."""
    two = document()
    two["circuits"]["lon"] = copy.deepcopy(two["circuits"]["ams"])
    two["circuits"]["lon"]["location"] = "London"
    two["circuits"]["lon"]["peerings"]["private"].update(peer_asn=65020, subnet=["192.168.25.0/29"])
    two["sites"]["shop"] = {
        **copy.deepcopy(two["sites"]["hq"]),
        "edges": ["ce5"],
        "lan": ["10.2.0.0/16"],
        "hosts": {"pc2": ["10.2.0.10"]},
        "circuits": ["lon"],
    }
    two["vnets"]["hub"]["vpn"].append({"site": "shop", "key": "s3cretOfAnotherTunnel"})
    two["vnets"]["hub"]["vpn_active_active"] = False
    two["vnets"]["hub"]["connections"] = []
    two.pop("checks")
    return two


@stock
def test_two_sites_have_tunnels_of_their_own_and_a_killed_charon_comes_back_with_new_keys(labs: Labs) -> None:
    # No test may leave processes in another one's lab, and a charon that comes back is one.
    labs.ok("deploy", "-t", str(labs.file(two_sites())), "--no-wait")
    until(lambda: ping(labs, "pc2") and ping(labs, "pc1"), "both sites reach Azure", 60)
    before = associations(labs, "hub-vpn")
    assert len(before) == 4
    until(lambda: ping(labs, "pc2", SITE), "the gateway is a way between the sites", 30)
    daemons = status(labs)["daemons"]
    assert daemons["hub-vpn:ike"]["software"] == "strongSwan"
    labs.inside(LAB, "hub-vpn", "kill", "-9", str(daemons["hub-vpn:ike"]["pid"]))
    until(lambda: status(labs)["daemons"].get("hub-vpn:ike", {}).get("restarts") == 1, "it is started again")

    def renewed() -> set[str]:
        now = set(associations(labs, "hub-vpn")) - set(before)
        return now if len(now) == 2 and now == set(associations(labs, "hq-inet")) else set()

    until(renewed, "both ends have new keys", 60)
    until(lambda: ping(labs), "traffic passes", 40)
    # The other tunnel's keys are those of the file, and are there still.
    assert set(associations(labs, "shop-inet")) < set(before)
    assert set(associations(labs, "shop-inet")) < set(associations(labs, "hub-vpn"))
    again = labs.json("deploy", "-t", str(labs.file(two_sites())), "--dry-run")
    assert again["counts"] == {"create": 0, "change": 0, "delete": 0}


def test_a_machine_without_strongswan_refuses_the_lab_with_the_apt_line(labs: Labs) -> None:
    labs.constants["edge.ike.support.PACKAGES"] = {"no-such-charon": "charon-systemd"}
    done = labs.run("deploy", "-t", str(TOPOLOGY))
    assert done.returncode == 3
    assert "no-such-charon is not installed" in done.stderr
    assert "apt-get install --no-install-recommends charon-systemd" in done.stderr
    assert labs.json("list")["labs"] == []
