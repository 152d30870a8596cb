"""What a virtual network's gateway does to packets, and what goes around it: on the wire of one lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from forkserver import Server
from labs import Labs, contoso, established, own_labs, until

pytestmark = pytest.mark.root

PORT = 5000
LISTEN = """
import select, socket, sys
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
sock.bind(("::", int(sys.argv[1])))
print("ready", flush=True)
while sys.stdin not in (ready := select.select([sock, sys.stdin], [], [])[0]):
    print(len(sock.recv(65535)), flush=True)
"""
"""Prints the length of each datagram that arrives whole, until its input ends."""

SEND = """
import select, socket, struct, sys
for word in sys.argv[1:]:
    target, port, mode, size, patience = word.split(",")
    six = ":" in target
    level, discover, errors = (41, 23, 25) if six else (0, 10, 11)
    sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(level, discover, int(mode))
    sock.setsockopt(level, errors, 1)
    sock.connect((target, int(port)))
    sock.send(bytes(int(size) - (48 if six else 28)))
    watch = select.poll()
    watch.register(sock, 0)
    told = "0 nobody"
    if watch.poll(float(patience) * 1000):
        error = sock.recvmsg(1, 512, socket.MSG_ERRQUEUE)[1][0][2]
        who = error[24:40] if six else error[20:24]
        family = socket.AF_INET6 if six else socket.AF_INET
        told = f"{struct.unpack_from('=I', error, 8)[0]} {socket.inet_ntop(family, who)}"
    print(told)
"""
"""Sends of each word one datagram whose IP packet has so many octets; prints the MTU that it hears, of whom.

Mode 3 (PROBE) forbids fragments and sends what the kernel knows to be too long; mode 5 (OMIT) lets routers
fragment and cuts at the device's own MTU. <linux/errqueue.h> has the form of the error.
"""
PROBE, OMIT = 3, 5
SITE = ("10.1.0.10", "fd00:1::10")
FAST = ("10.52.1.4", "fd00:52:0:1::4")
HUB = ("10.50.1.4", "fd00:50:0:1::4")


def document() -> dict[str, Any]:
    """The reference lab, with a network whose gateway says nothing of what it drops, and one on FastPath.

    Two addresses have room on FastPath: those of vm3.
    """
    circuits = contoso()["circuits"]
    circuits["ams"]["fastpath_addresses"] = 2
    vnets = contoso()["vnets"]
    vnets["quiet"] = {
        "region": "westeurope",
        "address_space": ["10.51.0.0/16"],
        "oversize": "silent",
        "connections": [{"circuit": "ams"}],
        "hosts": {"vm2": "10.51.1.4"},
    }
    vnets["fast"] = {
        "region": "westeurope",
        "address_space": ["10.52.0.0/16", "fd00:52::/48"],
        "gateway": "ErGw3AZ",
        "connections": [{"circuit": "ams", "fastpath": True}],
        "hosts": {"vm3": list(FAST), "vm4": "10.52.1.5"},
    }
    checks = [{"path": ["pc1", name], "via": "ams"} for name in ("vm3", "vm4")]
    checks.append({"path": ["pc1", "vm3"], "via": "ams", "family": 6})
    return {**contoso(circuits=circuits, vnets=vnets), "checks": checks}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, fork_server: Server) -> Iterator[Labs]:
    if os.geteuid() != 0:
        pytest.skip("needs root: makes network namespaces")
    scratch = tmp_path_factory.mktemp("gateway")
    with own_labs(scratch, fork_server) as labs:
        assert labs.json("deploy", "-t", str(labs.file(document())))["pending"] == []
        yield labs


class Listener:
    """Hears datagrams in a node."""

    def __init__(self, labs: Labs, node: str) -> None:
        words = ("exec", "contoso", node, "--", sys.executable, "-c", LISTEN, str(PORT))
        self.process = labs.popen(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.line() == "ready"

    def line(self) -> str:
        assert self.process.stdout is not None
        return str(self.process.stdout.readline()).strip()

    def close(self) -> list[int]:
        """End it; the lengths that nobody has asked for."""
        rest, _ = self.process.communicate(timeout=20)
        return [int(line) for line in rest.split()]


def send(labs: Labs, node: str, *packets: tuple[str, int, int], patience: float = 0) -> list[tuple[int, str]]:
    """Send packets, each (target, mode, octets).

    Of each the MTU that somebody on the path told within `patience` seconds, and who it was; 0 and "nobody".
    """
    words = (f"{target},{PORT},{mode},{size},{patience}" for target, mode, size in packets)
    lines = labs.inside("contoso", node, sys.executable, "-c", SEND, *words).splitlines()
    return [(int(mtu), who) for mtu, who in (line.split() for line in lines)]


def counted(labs: Labs, vnet: str, name: str) -> int:
    """Packets that both instances of a gateway counted by this name."""
    found = 0
    for instance in (0, 1):
        listing = labs.inside("contoso", f"{vnet}-gw{instance}", "nft", "-j", "list", "counters")
        entries = [one["counter"] for one in json.loads(listing)["nftables"] if "counter" in one]
        found += sum(one["packets"] for one in entries if one["name"] == name)
    return found


@pytest.mark.parametrize(("node", "targets"), [("pc1", HUB), ("vm1", SITE)])
def test_scenario_51_the_sender_of_1500_octets_is_told_1400_by_the_gateway_both_ways(
    lab: Labs, node: str, targets: tuple[str, str]
) -> None:
    told = send(lab, node, *((one, PROBE, 1500) for one in targets), patience=10)
    assert [mtu for mtu, _ in told] == [1400, 1400]
    gateways = lab.inside("contoso", "hub-gw0", "ip", "-br", "address")
    gateways += lab.inside("contoso", "hub-gw1", "ip", "-br", "address")
    assert all(f" {who}/" in gateways for _, who in told)


@pytest.mark.parametrize(("node", "targets", "at"), [("pc1", HUB, "vm1"), ("vm1", SITE, "pc1")])
def test_scenario_51_1400_octets_pass_the_gateway_and_1500_and_fragments_do_not(
    lab: Labs, node: str, targets: tuple[str, str], at: str
) -> None:
    fragments, oversize = (counted(lab, "hub", name) for name in ("refused_fragments", "refused_oversize"))
    listener = Listener(lab, at)
    v4, v6 = targets
    lost = ((v4, PROBE, 1500), (v4, OMIT, 1500), (v4, OMIT, 3000), (v6, PROBE, 1500), (v6, OMIT, 3000))
    send(lab, node, *lost, (v4, PROBE, 1400), (v6, PROBE, 1400))
    # What was sent before has had its chance when these are there.
    assert [listener.line() for _ in targets] == ["1372", "1352"]
    assert listener.close() == []
    assert counted(lab, "hub", "refused_oversize") == oversize + 1
    # Three of IPv4 and three of IPv6.
    assert counted(lab, "hub", "refused_fragments") == fragments + 3 + 3


def test_a_gateway_that_keeps_silent_leaves_the_sender_in_the_dark(lab: Labs) -> None:
    listener = Listener(lab, "vm2")
    send(lab, "pc1", ("10.51.1.4", PROBE, 1500))
    until(lambda: counted(lab, "quiet", "untold_oversize") == 1, "the gateway has dropped it")
    assert send(lab, "pc1", ("10.51.1.4", PROBE, 1500), ("10.51.1.4", PROBE, 1400), patience=0.5) == [
        (0, "nobody"),
        (0, "nobody"),
    ]
    assert listener.line() == "1372"
    assert listener.close() == []


def test_scenario_51_with_fastpath_1500_octets_and_fragments_pass(lab: Labs) -> None:
    before = counted(lab, "fast", "refused_fragments")
    listener = Listener(lab, "vm3")
    v4, v6 = FAST
    send(lab, "pc1", (v4, PROBE, 1500), (v4, OMIT, 3000), (v6, PROBE, 1500), (v6, OMIT, 3000))
    assert sorted(int(listener.line()) for _ in range(4)) == [1452, 1472, 2952, 2972]
    assert listener.close() == []
    assert counted(lab, "fast", "refused_fragments") == before


def paths(labs: Labs) -> list[list[str]]:
    """The nodes that the checks' packets pass, MSEEs and gateways by their kind."""
    results = labs.json("check")["checks"]
    return [[_kind(hop["node"]) for hop in one["evidence"]["hops"]] for one in results]


def _kind(node: str) -> str:
    return next((kind for kind in ("ce", "msee", "fast-gw") if node.startswith(kind)), node)


BY_GATEWAY, AROUND = ["ce", "msee", "fast-gw"], ["ce", "msee"]


def test_scenario_52_what_is_over_the_fastpath_limit_is_served_by_the_gateway_one_hop_more(lab: Labs) -> None:
    around = [[*AROUND, "vm3"], [*BY_GATEWAY, "vm4"], [*AROUND, "vm3"]]
    assert paths(lab) == around
    lab.ok("connection", "fastpath", "fast-ams", "off")
    assert paths(lab) == [[*BY_GATEWAY, "vm3"], [*BY_GATEWAY, "vm4"], [*BY_GATEWAY, "vm3"]]
    lab.ok("connection", "fastpath", "fast-ams", "on")
    assert paths(lab) == around


def test_fastpath_ends_with_the_gateways_routes(lab: Labs) -> None:
    """The gateway still does the routes: without it customers send nothing to the machines (facts 10.1)."""

    def reaches(target: str) -> bool:
        ping = ("exec", "contoso", "pc1", "--", "ping", "-c", "1", "-W", "1", target)
        return lab.run(*ping).returncode == 0

    assert reaches(FAST[0])
    lab.ok("peering", "disable", "ams", "private")
    until(lambda: not reaches(FAST[0]), "no way without the routes")
    lab.ok("peering", "enable", "ams", "private", "--wait", "30")
    until(lambda: reaches(FAST[0]), "the way is back")
    assert paths(lab)[0] == [*AROUND, "vm3"]


def on_premises(labs: Labs) -> set[tuple[str, str]]:
    """Node and neighbour of the MSEEs' sessions with the customer that are Established."""
    found = established(labs.json("inspect"), circuit="ams")
    return {(one["node"], one["neighbor"]) for one in found if one["node"].startswith("msee")}


def test_scenario_17_1001_prefixes_of_a_gateway_take_the_connection_down_and_a_summary_brings_it_back(
    lab: Labs,
) -> None:
    def routes() -> list[str]:
        """Destinations of ce1's routes."""
        return [line.split()[0] for line in lab.inside("contoso", "ce1", "ip", "route").splitlines()]

    def spokes() -> int:
        return sum(one.startswith("172.") for one in routes())

    def status() -> str:
        rows = lab.json("show", "connections")["connections"]
        return str(next(row["state"] for row in rows if row["connection"] == "hub-ams"))

    customers = on_premises(lab)
    assert len(customers) == 6
    prefixes = [f"172.{16 + n // 256}.{n % 256}.0/24" for n in range(1000)]
    lab.ok("vnet", "create", "spoke", "westeurope", *prefixes[:999])
    lab.ok("vnet", "peer", "spoke", "hub")
    until(lambda: spokes() == 999, "on-premises has 999 networks behind the hub")
    assert status() == "Connected"
    assert "10.50.0.0/16" in routes()
    lab.ok("vnet", "space", "spoke", *prefixes)
    assert status() == "NotConnected"
    until(lambda: "10.50.0.0/16" not in routes() and spokes() == 0, "on-premises loses all of it")
    assert on_premises(lab) == customers
    assert "10.51.0.0/16" in routes()
    lab.ok("gateway", "summarize", "hub-gw", "172.16.0.0/14")
    assert status() == "Connected"
    until(lambda: "10.50.0.0/16" in routes() and "172.16.0.0/14" in routes(), "the summary brings it back")
    assert spokes() == 1
