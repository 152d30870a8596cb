"""FRR as a customer's own edge, with the gallery's configuration written by hand, against our MSEEs."""

from __future__ import annotations

import ipaddress
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from frr import needs_frr
from labs import CONTOSO, Labs, established, own_labs, until

from edge.bgp.state import RouteInfo
from lab.client import Client
from lab.state import RunDirectory
from tests.netns.forkserver import Server

pytestmark = [pytest.mark.root, needs_frr]

TOPOLOGY = CONTOSO.with_name("own-router.edge.yml")
CONFIG = CONTOSO.with_name("own-router.ce1.frr.conf")
NAME = "own-router"
MSEE = "msee1-amsterdam.ams.private"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, fork_server: Server) -> Iterator[Labs]:
    """The gallery's lab, deployed once for tests that leave it as they find it; its checks hold.

    A session is up before its routes have passed: FRR collects what it says for a second.
    """
    scratch = tmp_path_factory.mktemp("frr")
    with own_labs(scratch, fork_server) as labs:
        labs.ok("deploy", "-t", str(TOPOLOGY), "--wait", "60")
        labs.ok("check", NAME, "--deadline", "60")
        yield labs


def vtysh(labs: Labs, command: str) -> Any:
    """A `show ... json` of ce1's FRR, asked as a person does."""
    return json.loads(labs.inside(NAME, "ce1", "vtysh", "-c", command))


def best(labs: Labs, namespace: str, prefix: str) -> RouteInfo | None:
    """The best route of a namespace's BIRD, or None."""
    with Client(RunDirectory(labs.directory / NAME)) as client:
        routes = client.bird(namespace).routes(ip_network(prefix))
    return next((route for route in routes if route.best), None)


def kernel_routes(labs: Labs, node: str, prefix: str) -> list[dict[str, Any]]:
    """What the kernel of a node forwards a prefix by."""
    family = "-6" if ":" in prefix else "-4"
    found: list[dict[str, Any]] = json.loads(
        labs.inside(NAME, node, "ip", "-j", family, "route", "show", prefix)
    )
    return found


def longest_gap_s(ping_output: str) -> float:
    """Longest time between two answers in the output of `ping -D`."""
    times = [float(stamp) for stamp in re.findall(r"^\[([\d.]+)\] \d+ bytes from", ping_output, re.MULTILINE)]
    assert len(times) > 10, ping_output
    return max(later - earlier for earlier, later in itertools.pairwise(times))


def test_the_sessions_of_frr_are_established_with_md5_and_bfd(own: Labs) -> None:
    neighbors = vtysh(own, "show bgp neighbors json")
    assert set(neighbors) == {"192.168.15.2", "fd00:15::2", "10.1.0.2", "fd00:1::2"}
    for address in ("192.168.15.2", "fd00:15::2"):
        said = neighbors[address]
        assert (said["bgpState"], said["remoteAs"], said["localAs"]) == ("Established", 12076, 65010)
        assert said["authenticationEnabled"] == 1
        assert (said["bgpTimerHoldTimeMsecs"], said["bgpTimerKeepAliveIntervalMsecs"]) == (180000, 60000)
    view = own.json("inspect", NAME)
    mine = [item for item in view["sessions"] if item["node"] == "ce1"]
    assert len(mine) == 4
    assert [(item["state"], item["bfd"]) for item in mine] == [("Established", "Up")] * 4
    assert all(item["uptime_s"] > 0 for item in mine)
    customer = [item for item in mine if item["side"] == "customer"]
    assert [(item["imported"], item["exported"]) for item in customer] == [(1, 1)] * 2


def test_bfd_has_the_times_that_both_sides_agreed_on(own: Labs) -> None:
    peers = {found["peer"]: found for found in vtysh(own, "show bfd peers json")}
    for address in ("192.168.15.2", "fd00:15::2"):
        found = peers[address]
        assert (found["status"], found["interface"]) == ("up", "ams1.100")
        assert (found["transmit-interval"], found["receive-interval"]) == (300, 300)
        assert (found["remote-transmit-interval"], found["remote-detect-multiplier"]) == (300, 3)
    with Client(RunDirectory(own.directory / NAME)) as client:
        there = {one.address: one for one in client.bird(MSEE).bfd_sessions()}
        here = {one.address: one for one in client.own_router("ce1", "frr").bfd_sessions()}
    assert there[ipaddress.ip_address("192.168.15.1")].timeout_s == pytest.approx(0.9)
    ours = here[ipaddress.ip_address("192.168.15.2")]
    assert (ours.state, ours.interval_s, ours.timeout_s) == ("Up", 0.3, pytest.approx(0.9))


@pytest.mark.parametrize(
    ("theirs", "ours", "hop"),
    [("10.50.0.0/16", "10.1.0.0/16", "192.168.15"), ("fd00:50::/48", "fd00:1::/64", "fd00:15:")],
)
def test_the_right_routes_go_both_ways(own: Labs, theirs: str, ours: str, hop: str) -> None:
    family = ip_network(theirs).version
    said = vtysh(own, f"show bgp ipv{family} unicast {theirs} json")
    (chosen,) = (path for path in said["paths"] if path.get("bestpath", {}).get("overall"))
    assert chosen["aspath"]["string"] == "12076"
    assert chosen["peer"]["peerId"].startswith(hop)
    heard = best(own, MSEE, ours)
    assert heard is not None
    assert heard.as_path == (65010,)
    assert str(heard.next_hops[0].address).startswith((hop, "fe80:"))
    (forwarded,) = kernel_routes(own, "ce1", theirs)
    assert (forwarded["protocol"], forwarded["dev"]) == ("bgp", "ams1.100")
    # Nothing but the site's network: what ce1 learned from Microsoft never goes back.
    with Client(RunDirectory(own.directory / NAME)) as client:
        states = [one for one in client.bird(MSEE).protocols() if str(one.neighbor).startswith(hop)]
    assert [one.imported for one in states] == [1]


def test_what_the_gallery_promises_of_it_holds(own: Labs) -> None:
    report = own.json("check", NAME)
    assert report["failed"] == 0
    routes = [one["evidence"]["routes"] for one in report["checks"] if one["kind"] == "route"]
    paths = [[(route["prefix"], route["as_path"]) for route in found] for found in routes]
    assert paths == [
        [("10.50.0.0/16", [12076])],
        [("fd00:50::/48", [12076])],
        [("10.1.0.0/16", [65010])],
        [("10.50.0.0/16", [65515])],
    ]


def test_a_silent_cut_moves_the_traffic_of_frr_to_the_other_edge(own: Labs) -> None:
    ping = own.fork(
        "exec", NAME, "ce1", "--", "ping", "-D", "-i", "0.01", "-c", "500", "-W", "1", "-I", "10.1.0.1",
        "10.50.1.4", stdout=subprocess.PIPE,
    )  # fmt: skip
    assert ping.stdout is not None
    for _ in range(20):
        ping.stdout.readline()
    own.inside(NAME, "equinix-amsterdam", "ip", "link", "set", "msee1", "down")
    try:
        gap = longest_gap_s(ping.communicate(timeout=60)[0])
        print(f"longest gap {gap}")
        assert 0.3 < gap < 1.5, "the facts' tolerance for BFD (scenario 27)"
        (forwarded,) = kernel_routes(own, "ce1", "10.50.0.0/16")
        assert (forwarded["gateway"], forwarded["dev"]) == ("10.1.0.2", "lan")
        view = own.json("inspect", NAME)
        down = [item for item in view["sessions"] if item["node"] == "ce1" and item["side"] == "customer"]
        assert [item["state"] == "Established" for item in down] == [False, False]
        assert all("BFD" in item["why"] or "ARP" in item["why"] or "TCP" in item["why"] for item in down), (
            down
        )
        assert len(established(view, connection="secondary", side="customer")) == 2
    finally:
        own.inside(NAME, "equinix-amsterdam", "ip", "link", "set", "msee1", "up")
    until(
        lambda: kernel_routes(own, "ce1", "10.50.0.0/16")[0].get("dev") == "ams1.100",
        "FRR returns to its own link",
        60,
    )
    until(
        lambda: len(established(own.json("inspect", NAME), side="customer")) == 4, "all sessions return", 60
    )


def test_frr_keeps_its_hands_off_the_machine(own: Labs) -> None:
    # Sockets and crash logs would be there, were they not kept apart.
    assert not list(Path("/run").glob("frr/*"))
    assert not Path("/var/tmp/frr").exists()
    sockets = {path.name for path in (own.directory / NAME / "routers" / "ce1" / "run").glob("*.vty")}
    assert sockets >= {"zebra.vty", "staticd.vty", "bfdd.vty", "bgpd.vty"}
    again = own.json("deploy", "-t", str(TOPOLOGY))
    assert again["changed"] is False


def changed(labs: Labs, *changes: tuple[str, str]) -> Path:
    """The gallery's topology with some things changed in ce1's configuration: (old, new), the first one."""
    text = CONFIG.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (labs.scratch / CONFIG.name).write_text(text)
    return Path(shutil.copy(TOPOLOGY, labs.scratch))


def pids(labs: Labs) -> list[str]:
    """The processes of ce1's FRR."""
    return labs.inside(NAME, "ce1", "sh", "-c", "cat /run/frr/*.pid").split()


def test_the_life_of_an_own_router_in_a_lab(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(TOPOLOGY), "--wait", "60")
    before, since = pids(labs), secondary_uptime_s(labs)

    refused = labs.run("deploy", "-t", str(changed(labs, ("remote-as 12076", "remote-os 12076"))))
    assert refused.returncode == 2
    line = 1 + CONFIG.read_text()[: CONFIG.read_text().index("remote-as 12076")].count("\n")
    assert f"{CONFIG.name}:{line}:1: Unknown command: neighbor 192.168.15.2 remote-os 12076" in refused.stderr
    assert pids(labs) == before

    # Each line is one that FRR knows, but they do not go together: only bgpd finds out.
    network = "  network 10.1.0.0/16\n"
    odd = changed(labs, (network, f"{network}  neighbor 192.0.2.9 activate\n"))
    failed = labs.run("deploy", "-t", str(odd))
    assert failed.returncode == 4
    assert "Specify remote-as or peer-group commands first: neighbor 192.0.2.9 activate" in failed.stderr
    until(lambda: customers(labs) == 4, "it is what it was", 60)

    # Another path for IPv6, and a wrong key for IPv4.
    policy, key = "route-map TO-MICROSOFT6 permit 10\n", "neighbor 192.168.15.2 password "
    half = changed(
        labs, (policy, f"{policy} set as-path prepend 65010 65010\n"), (f"{key}s3cret", f"{key}wr0ng")
    )
    done = labs.run("deploy", "-t", str(half), "--wait", "3")
    assert (done.returncode, "ams_private_primary of ce1" in done.stderr) == (1, True)
    until(lambda: path_of(labs, "fd00:1::/64") == (65010, 65010, 65010), "the MSEE hears the longer path", 60)
    until(lambda: "shared keys (TCP MD5)" in why(labs, "192.168.15.2"), "the wrong key is told", 60)
    assert customers(labs) == 3
    assert path_of(labs, "10.1.0.0/16") != (65010,), "nothing comes without the right key"
    assert secondary_uptime_s(labs) > since, "the other edge's session was not touched"

    # zebra takes no route back when it is killed: what it left in the kernel must not stay beside the new.
    labs.inside(NAME, "ce1", "sh", "-c", "kill -9 $(cat /run/frr/zebra.pid)")
    until(lambda: restarts(labs) == 1, "its death is noticed", 60)
    until(lambda: customers(labs) == 3, "the sessions return", 60)
    for prefix, device in (("fd00:50::/48", "ams1.100"), ("10.50.0.0/16", "lan")):
        until(lambda p=prefix, d=device: devices(labs, p) == [d], f"one route to {prefix}", 60)  # type: ignore[misc]
    events = labs.run("events", NAME, "--no-follow", "--format", "json").stdout
    states = [one["state"] for one in map(json.loads, events.splitlines()) if one["kind"] == "daemon"]
    assert states == ["died", "restarted"]


def customers(labs: Labs) -> int:
    """How many of the four sessions with Microsoft are up, as the customer's edges say."""
    return len(established(labs.json("inspect", NAME), side="customer"))


def path_of(labs: Labs, prefix: str) -> tuple[int, ...]:
    """The AS path of the MSEE's best route, empty without one."""
    found = best(labs, MSEE, prefix)
    return found.as_path if found is not None else ()


def devices(labs: Labs, prefix: str) -> list[str]:
    """Where ce1's kernel sends a prefix."""
    return [str(route["dev"]) for route in kernel_routes(labs, "ce1", prefix)]


def secondary_uptime_s(labs: Labs) -> float:
    """Since when the session that ce1 has nothing to do with is up."""
    found = established(labs.json("inspect", NAME), connection="secondary", side="customer", family=4)
    return float(found[0]["uptime_s"])


def why(labs: Labs, neighbor: str) -> str:
    """Why a session of ce1 is down."""
    sessions = labs.json("inspect", NAME)["sessions"]
    return next(str(one["why"]) for one in sessions if (one["node"], one["neighbor"]) == ("ce1", neighbor))


def restarts(labs: Labs) -> int:
    """How often ce1's routing was started again."""
    nodes = labs.json("inspect", NAME)["nodes"]
    return next(int(node["restarts"]) for node in nodes if node["name"] == "ce1")


def test_a_machine_without_frr_is_told_the_package_and_nothing_is_made(labs: Labs) -> None:
    labs.constants["edge.frr.programs.DIRECTORIES"] = ()
    done = labs.run("deploy", "-t", str(TOPOLOGY))
    assert done.returncode == 3
    assert "apt-get install frr" in done.stderr
    assert labs.json("list")["labs"] == []
