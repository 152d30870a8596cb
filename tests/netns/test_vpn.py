"""A site-to-site VPN as backup of a circuit, on a kernel with ESP: which way packets take, what is seen."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

import pytest
from forkserver import Server
from labs import CONTOSO, Labs, own_labs, until

from edge.net.ipsec import probe
from lab.client import Client
from lab.state import RunDirectory

pytestmark = pytest.mark.root
stock = pytest.mark.kernels("stock")

TOPOLOGY = CONTOSO.with_name("vpn-backup.edge.yml")
LAB = "vpn-backup"
SITE, AZURE = "10.1.0.10", "10.50.1.4"
ESP, ETH_P_ALL, BGP = 50, 3, 179


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, fork_server: Server) -> Iterator[Labs]:
    if os.geteuid() != 0:
        pytest.skip("needs root: makes network namespaces")
    scratch = tmp_path_factory.mktemp("vpn")
    with own_labs(scratch, fork_server) as labs:
        assert labs.json("deploy", "-t", str(TOPOLOGY))["pending"] == []
        yield labs


def ping(labs: Labs, source: str, target: str) -> bool:
    return labs.run("exec", LAB, source, "--", "ping", "-c", "1", "-W", "1", target).returncode == 0


def next_hop(labs: Labs, node: str, target: str) -> str:
    """The device by which a node sends to an address."""
    words = labs.inside(LAB, node, "ip", "route", "get", target).split()
    return words[words.index("dev") + 1]


class Wire:
    """IPv4 packets at the site's end of its Internet link."""

    def __init__(self, labs: Labs) -> None:
        with Client(RunDirectory(labs.directory / LAB)) as client:
            self.socket = client.socket("hq-inet", socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.bind(("internet", ETH_P_ALL))
        self.socket.setblocking(False)

    def packets(self) -> list[bytes]:
        """What has passed since the last call."""
        found = []
        while True:
            try:
                frame = self.socket.recv(2000)
            except BlockingIOError:
                return [one[14:] for one in found if one[12:14] == b"\x08\x00"]
            found.append(frame)


@pytest.fixture
def wire(lab: Labs) -> Iterator[Wire]:
    made = Wire(lab)
    yield made
    made.socket.close()


def between(packet: bytes, one: str, other: str) -> bool:
    """Whether a packet's addresses are these two."""
    found = {socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])}
    return found == {one, other}


@stock
def test_scenario_33_equal_prefixes_go_by_expressroute_on_both_sides(lab: Labs, wire: Wire) -> None:
    until(lambda: ping(lab, "pc1", AZURE), "the circuit carries")
    # Both know the other way: the VPN gateway learned it, and the edges have it as the worse one.
    until(lambda: "10.1.0.0/16" in lab.inside(LAB, "hub-vpn", "ip", "route"), "the VPN gateway has the way")
    assert next_hop(lab, "hub-gw0", SITE) == "gw"
    gateways = {lab.inside(LAB, "hub-gw0", "ip", "route", "get", SITE).split()[2]}
    vpn = vpn_address(lab)
    assert vpn not in gateways
    assert next_hop(lab, "ce1", AZURE) == "ams1.100"
    wire.packets()
    assert ping(lab, "pc1", AZURE)
    seen = wire.packets()
    assert not any(between(one, SITE, AZURE) for one in seen)
    path = lab.json("check", LAB)
    assert [one["words"] for one in path["checks"] if not one["ok"]] == []


def vpn_address(labs: Labs) -> str:
    """The VPN gateway's address in the GatewaySubnet."""
    words = labs.inside(LAB, "hub-vpn", "ip", "-br", "-4", "address", "show", "gw").split()
    return words[2].partition("/")[0]


@stock
def test_scenario_33_with_both_peerings_disabled_the_vpn_carries_in_seconds_as_esp(
    lab: Labs, wire: Wire
) -> None:
    until(lambda: ping(lab, "pc1", AZURE), "the circuit carries")
    lab.ok("peering", "disable", "ams", "private")
    until(lambda: ping(lab, "pc1", AZURE) and ping(lab, "vm1", SITE), "the VPN carries", 30)
    wire.packets()
    assert ping(lab, "pc1", AZURE)
    seen = wire.packets()
    protocols = {one[9] for one in seen}
    assert protocols == {ESP}
    assert not any(struct.pack("!4s4s", *map(socket.inet_aton, (SITE, AZURE))) in one for one in seen)
    assert next_hop(lab, "hub-gw0", SITE) == "gw"
    assert f"via {vpn_address(lab)}" in lab.inside(LAB, "hub-gw0", "ip", "route", "get", SITE)
    lab.ok("peering", "enable", "ams", "private", "--wait", "60")
    until(lambda: next_hop(lab, "ce1", AZURE) == "ams1.100", "the site goes back to the circuit")
    until(
        lambda: f"via {vpn_address(lab)}" not in lab.inside(LAB, "hub-gw0", "ip", "route", "get", SITE),
        "Azure goes back to the circuit",
    )
    assert ping(lab, "pc1", AZURE)


@stock
def test_scenario_33_a_longer_prefix_in_the_tunnel_wins(lab: Labs) -> None:
    import json

    from lab.topology import load

    document = load(TOPOLOGY).document
    document["vnets"]["hub"]["vpn"][0]["announce"] = ["10.1.0.0/17"]
    lab.ok("deploy", "-t", str(lab.file(json.loads(json.dumps(document)))))
    via = f"via {vpn_address(lab)}"
    until(lambda: via in lab.inside(LAB, "hub-gw0", "ip", "route", "get", SITE), "the longer prefix wins")
    assert via not in lab.inside(LAB, "hub-gw0", "ip", "route", "get", "10.1.200.1")
    assert ping(lab, "vm1", SITE)
    lab.ok("deploy", "-t", str(TOPOLOGY))
    until(lambda: via not in lab.inside(LAB, "hub-gw0", "ip", "route", "get", SITE), "as before")


def test_a_kernel_without_esp_refuses_the_lab_and_leaves_nothing(labs: Labs) -> None:
    if probe().ok:
        pytest.skip("this kernel has ESP and VTI devices")
    done = labs.run("deploy", "-t", str(TOPOLOGY))
    assert done.returncode == 3
    assert "not in this kernel: ESP (esp4) and VTI devices (ip_vti)" in done.stderr
    assert "modprobe esp4 ip_vti" in done.stderr
    assert labs.json("list")["labs"] == []
