"""Faults of routers, circuits and sites: seen in sessions, counters and packets; healed without a trace."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator

import pytest
from faultlab import (
    active,
    assert_nothing_to_do,
    device,
    events,
    lost_of,
    mended,
    state_of,
    status,
    view,
    well_again,
    without_carrier,
)
from labs import CONTOSO, Labs, established, until
from uptimes import assert_undisturbed, uptimes

from lab.state import RunDirectory

pytestmark = pytest.mark.root

PRIVATE1, PUBLIC1 = "msee1-amsterdam.ams.private", "msee1-amsterdam.ams.microsoft"
PRIVATE2 = "msee2-amsterdam.ams.private"

FLOWS = """
import socket, sys, time
passed = 0
socks = []
for number in range(int(sys.argv[2])):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((sys.argv[1], 9))
    sock.send(b"x")
    socks.append(sock)
end = time.monotonic() + float(sys.argv[3])
for sock in socks:
    sock.settimeout(max(0.001, end - time.monotonic()))
    try:
        sock.recv(1)
    except ConnectionRefusedError:
        passed += 1
    except TimeoutError:
        pass
print(passed)
"""
"""How many of so many flows from ports of their own reach a host, heard within a time for all of them.

A host where nobody listens says so by ICMP."""


@pytest.fixture(scope="module")
def lab(module_labs: Labs) -> Labs:
    module_labs.ok("deploy", "-t", str(CONTOSO), "--wait", "60")
    return module_labs


@pytest.fixture
def labs(lab: Labs) -> Iterator[Labs]:
    """The lab of the module. What a test breaks it mends itself; this is for a test that fails before."""
    yield lab
    lab.run("heal")


def refused_segments(labs: Labs, namespace: str) -> int:
    """Segments that the kernel refused for their MD5 signature."""
    return int(status(labs)["md5_failures"][namespace])


def strange_frames(labs: Labs, tags: list[int]) -> int:
    """Frames with tags of nobody that came to the primary MSEE's port."""
    ports = status(labs)["tag_counters"]["ports"]
    return sum(
        int(one["packets"])
        for port in ports
        if port["port"] == "msee1-amsterdam:equinix"
        for one in port["unknown"]
        if [tag["vid"] for tag in one["tags"]] == tags
    )


def passed_flows(labs: Labs, target: str, count: int, patience: str) -> int:
    """How many of so many UDP flows of pc1 reach the target."""
    return int(labs.inside("contoso", "pc1", "python3", "-c", FLOWS, target, str(count), patience))


def address_of(labs: Labs, host: str) -> str:
    """The IPv4 address of a host."""
    shown = json.loads(labs.inside("contoso", host, "ip", "-j", "-4", "address", "show", "eth0"))
    return str(shown[0]["addr_info"][0]["local"])


def test_wrong_tags_and_wrong_keys_harm_their_own_peering_and_are_healed_one_by_one(labs: Labs) -> None:
    microsoft = ("ce1", "198.51.100.2")
    before = uptimes(labs).where(lambda end: end == microsoft)
    assert before
    key = refused_segments(labs, PRIVATE2)
    labs.ok("fault", "wrong-tag", "ams/private/primary", "--c-tag", "101", "--as", "tag")
    labs.ok("fault", "wrong-key", "ams/private/secondary", "--as", "key")
    until(lambda: strange_frames(labs, [3, 101]) > 0, "the MSEE's port counts frames of nobody")
    assert lost_of(labs, 2, "ce1", "192.168.15.2") == 2
    until(
        lambda: not established(view(labs), peering="private", side="microsoft"),
        "both private sessions are down",
    )
    until(lambda: refused_segments(labs, PRIVATE2) > key, "the other MSEE refuses segments")
    assert_undisturbed(before, uptimes(labs))
    assert_nothing_to_do(labs)
    labs.ok("heal", "key")
    until(
        lambda: state_of(labs, "ce2", "192.168.15.6") == "Established",
        "the right key opens the session",
        60.0,
    )
    assert state_of(labs, "ce1", "192.168.15.2") != "Established"
    well_again(labs)


def test_a_fault_whose_tag_another_took_is_healed_with_that_one_or_after_it_and_never_lost(
    labs: Labs,
) -> None:
    labs.ok("fault", "wrong-tag", "ams/private/primary", "--c-tag", "101", "--as", "gives")
    labs.ok("fault", "wrong-tag", "ams/microsoft/primary", "--c-tag", "100", "--as", "takes")
    until(lambda: strange_frames(labs, [3, 101]) > 0, "the MSEE's port counts frames of nobody")
    done = labs.run("heal", "gives")
    assert (done.returncode, "takes (wrong-tag ams/microsoft/primary" in done.stderr) == (2, True), (
        done.stderr
    )
    assert "edgelab heal contoso gives takes" in done.stderr
    assert active(labs) == ["gives", "takes"]
    assert_nothing_to_do(labs)
    labs.ok("heal", "gives", "takes")
    well_again(labs)

    command = labs.fork(
        "fault", "wrong-tag", "ams/private/primary", "--c-tag", "101", "--as", "gives", "--for", "1h",
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert command.stdout is not None
    with command.stdout as told:
        assert "wrong-tag ams/private/primary" in told.readline()
        labs.ok("fault", "wrong-tag", "ams/microsoft/primary", "--c-tag", "100", "--as", "takes")
        os.kill(command.pid, signal.SIGINT)
        command.wait(30.0)
    log = RunDirectory(labs.directory / "contoso").log
    until(lambda: "else it is healed after that" in log.read_text(), "the log says what keeps it")
    assert active(labs) == ["gives", "takes"]
    labs.ok("heal", "takes")
    until(lambda: active(labs) == [], "the first one goes after the second")
    well_again(labs)


def test_a_flood_of_prefixes_drops_the_session_that_carries_it(labs: Labs) -> None:
    labs.ok("fault", "prefix-flood", "ams/private/primary", "--family", "6")
    until(
        lambda: any(
            "more than 100 prefixes" in (one["why"] or "")
            for one in view(labs)["sessions"]
            if (one["namespace"], one["neighbor"]) == (PRIVATE1, "fd00:15::1")
        ),
        "the MSEE drops the session for its limit",
        60.0,
    )
    assert state_of(labs, PRIVATE1, "192.168.15.1") == "Established", "IPv4 is another session"
    assert_nothing_to_do(labs)
    well_again(labs)
    routes = labs.inside("contoso", PRIVATE1, "ip", "-6", "route")
    assert "fd77" not in routes


def test_announced_maintenance_loses_no_packet_and_bgp_stays_up(labs: Labs) -> None:
    before = uptimes(labs)
    # It says who it is, and goes on until it is told to end: however slow the machine, it sees all of it.
    ping = labs.fork(
        *("exec", "contoso", "pc1", "--", "sh", "-c", "echo $$; exec ping -i 0.02 10.50.1.4"),
        stdout=subprocess.PIPE,
    )
    assert ping.stdout is not None
    number = ping.stdout.readline().strip()
    assert "PING" in ping.stdout.readline()
    assert "icmp_seq=1 " in ping.stdout.readline()
    labs.ok("fault", "maintenance", "ams/primary", "--drain", "2s")
    prepended = "12076 " * 8 + "12076"
    until(lambda: prepended in routes_of(labs, "ce1", "10.50.0.0/16"), "the customer sees longer paths")
    until(lambda: forwards(labs, PRIVATE1) == "0", "the MSEE stops forwarding", 30.0)
    assert forwards(labs, PUBLIC1) == "0"
    # Half a second of it without the primary.
    labs.inside("contoso", "pc1", "ping", "-c", "25", "-i", "0.02", "10.50.1.4")
    labs.inside("contoso", "pc1", "kill", "-INT", number)
    shown, _ = ping.communicate(timeout=60)
    (sent,) = map(int, re.findall(r"(\d+) packets transmitted", shown))
    answered = [int(one) for one in re.findall(r"icmp_seq=(\d+)", shown)]
    # The last may be on its way when ping ends.
    assert answered[-1] >= sent - 1 > 100, shown[-300:]
    assert sorted(answered) == list(range(2, answered[-1] + 1)), "not one of those before is missing"
    assert_nothing_to_do(labs)
    mended(labs)
    assert forwards(labs, PRIVATE1) == "1"
    until(lambda: prepended not in routes_of(labs, "ce1", "10.50.0.0/16"), "paths are short again")
    assert_undisturbed(before, uptimes(labs))


def routes_of(labs: Labs, namespace: str, prefix: str) -> str:
    """What BIRD has for a prefix, with all attributes."""
    control = next((labs.directory / "contoso" / "bird").glob(f"{namespace}*.ctl"))
    return labs.inside("contoso", namespace, "birdc", "-s", str(control), "show", "route", prefix, "all")


def forwards(labs: Labs, namespace: str) -> str:
    """Whether a namespace forwards IPv4, by its kernel's setting."""
    return labs.inside("contoso", namespace, "sysctl", "-n", "net.ipv4.ip_forward").strip()


def test_an_msee_that_stops_forwarding_unannounced_loses_everything_while_bgp_stays_up(labs: Labs) -> None:
    labs.ok("fault", "link-down", "ams/secondary", "--as", "other")
    until(lambda: lost_of(labs, 3) == 0, "the primary link carries all")
    labs.ok("fault", "maintenance", "ams/primary", "--drain", "0s", "--prepends", "0")
    until(lambda: forwards(labs, PRIVATE1) == "0", "the MSEE stops forwarding")
    assert lost_of(labs, 5) == 5
    assert state_of(labs, "ce1", "192.168.15.2") == "Established"
    labs.ok("heal", "maintenance-ams-primary")
    until(lambda: lost_of(labs, 3) == 0, "it forwards again")
    well_again(labs)


def test_a_throttle_left_low_drops_what_the_circuit_is_paid_for(labs: Labs) -> None:
    def lost() -> int:
        ping = ("ping", "-c", "200", "-i", "0.005", "-s", "1300", "-W", "1", "10.50.1.4")
        shown = labs.run("exec", "contoso", "pc1", "--", *ping).stdout
        return 200 - int(re.findall(r"(\d+) received", shown)[0])

    assert lost() < 5
    # 2.1 Mbit/s are offered, and a policer lets a burst pass at first.
    labs.ok("fault", "throttle", "ams", "--rate", "64k")
    assert_nothing_to_do(labs)
    assert lost() > 30
    mended(labs)
    assert lost() < 5


def test_a_translation_without_ports_lets_few_flows_out(labs: Labs) -> None:
    teams = address_of(labs, "teams")
    for edge in ("ce1", "ce2"):
        labs.ok("fault", "nat-exhausted", edge, "--ports", "2")
    # Two ports of one address at each edge: pc1 keeps its address (RFC 4787, REQ-2).
    assert 1 <= passed_flows(labs, teams, 16, "1") <= 4
    assert_nothing_to_do(labs)
    mended(labs)
    assert passed_flows(labs, teams, 16, "3") == 16


def test_a_site_without_power_has_no_carrier_to_give_and_comes_back_whole(labs: Labs) -> None:
    labs.ok("fault", "site-down", "hq")
    for node, name in (("ce1", "ams1"), ("ce2", "ams2"), ("pc1", "eth0"), ("hq-inet", "internet")):
        assert "UP" not in device(labs, node, name)["flags"]
    until(lambda: without_carrier(labs, "equinix-amsterdam", "ams1"), "the carrier goes")
    until(
        lambda: not established(view(labs), side="microsoft"),
        "both MSEEs have lost the customer",
    )
    assert labs.inside("contoso", "pc1", "ip", "route").strip() == ""
    assert_nothing_to_do(labs)
    well_again(labs)
    assert "via 10.1.0.1" in labs.inside("contoso", "pc1", "ip", "route")


@pytest.mark.kernels("here", "stock")
def test_a_node_without_power_is_dark_on_all_its_ports(labs: Labs) -> None:
    labs.ok("fault", "node-down", "msee1-amsterdam", "--for", "1s")
    links = [one for one in events(labs) if one["kind"] == "link" and not one["up"]]
    fallen = {f"{one['namespace']}:{one['device']}" for one in links}
    assert {"msee1-amsterdam:equinix", f"{PRIVATE1}:hub", f"{PUBLIC1}:core"} <= fallen
    well_again(labs)
