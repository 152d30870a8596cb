"""ExpressRoute Direct and Metro on the wire: tags, ports, books, rate limit, and whole sites that go dark."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from labs import CONTOSO, Labs, established, until

from edge.fastpath.frames import parse_tags
from edge.net.macsec import probe_macsec
from lab.capture import FrameSource
from lab.checks import CheckResult, run_checks
from lab.client import Client
from lab.places import resolve_where
from lab.state import RunDirectory
from lab.topology import derive

pytestmark = pytest.mark.root

NAME = "direct"
METRO = CONTOSO.with_name("metro.edge.yml")
OFFER = Path(__file__).with_name("offer.py")
SINK = """import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 9000))
print("there", flush=True)
input()"""
"""Whoever is offered something and does not answer."""

Stacks = set[tuple[int, ...]]


def circuit(number: int, bandwidth: str = "1G", **more: Any) -> dict[str, Any]:
    """A circuit on pair1 with a private peering of its own number."""
    private = {"vlan": 100, "peer_asn": 65010, "subnet": f"192.168.{number}.0/29", **more.pop("private", {})}
    return {
        "model": "direct",
        "port": "pair1",
        "sku": {"tier": "standard"},
        "bandwidth": bandwidth,
        "peerings": {"private": private},
        **more,
    }


def direct(encapsulation: str, circuits: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A 10G port pair with circuits at one site, each with a virtual network behind it."""
    return {
        "name": NAME,
        "ports": {"pair1": {"location": "Amsterdam", "bandwidth": "10G", "encapsulation": encapsulation}},
        "circuits": circuits,
        "sites": {
            "hq": {
                "edges": ["ce1", "ce2"],
                "lan": "10.1.0.0/24",
                "hosts": {"pc1": "10.1.0.10"},
                "circuits": list(circuits),
                "internet": False,
            }
        },
        "vnets": {
            f"vnet{number}": {
                "region": "westeurope",
                "address_space": f"10.{50 + number}.0.0/16",
                "connections": [{"circuit": name}],
                "hosts": {f"vm{number}": f"10.{50 + number}.1.4"},
            }
            for number, name in enumerate(circuits, 1)
        },
    }


@contextlib.contextmanager
def client(labs: Labs, name: str = NAME) -> Iterator[Client]:
    """A client of the lab in this process."""
    with Client(RunDirectory(labs.directory / name)) as opened:
        yield opened


def stacks(labs: Labs, link: str, wanted: Stacks) -> Stacks:
    """VLAN ids, outermost first, of the frames that pass a link, until all wanted ones were seen."""
    seen: Stacks = set()
    end = time.monotonic() + 20.0
    with client(labs) as opened, FrameSource(opened, resolve_where(opened.model, link), 128) as source:
        poller = select.poll()
        for fd in source.fds():
            poller.register(fd, select.POLLIN)
        while not wanted <= seen and time.monotonic() < end:
            for frame in source.read([fd for fd, _ in poller.poll(500)]):
                seen.add(tuple(tag.vid for tag in parse_tags(frame.data).tags))
    return seen


def say(labs: Labs, line: str) -> None:
    """An accepted command."""
    labs.ok(*line.split())


def refused(labs: Labs, line: str) -> str:
    """The code of a command that the service refuses."""
    done = labs.run(*line.split(), "--format", "json")
    assert done.returncode == 1, done.stdout + done.stderr
    code: str = json.loads(done.stdout)["refusal"]["code"]
    return code


def tags(labs: Labs) -> dict[str, int]:
    return {row["circuit"]: row["s_tag"] for row in labs.json("show", "circuits")["circuits"]}


def metric(labs: Labs, name: str, every: float = 0.2, **dimensions: str) -> list[float]:
    return [
        item["value"]
        for item in labs.json("show", "metrics", "--every", str(every))["metrics"]
        if item["name"] == name and dimensions.items() <= item["dimensions"].items()
    ]


def answers(labs: Labs, lab: str, source: str, target: str, count: int = 3) -> int:
    """Echo replies of `count`."""
    done = labs.run("exec", lab, source, "--", "ping", "-c", str(count), "-i", "0.2", "-W", "1", target)
    return done.stdout.count("bytes from")


def up(labs: Labs, **like: Any) -> int:
    """How many of the MSEEs' sessions to the customer are Established."""
    return len(established(labs.json("inspect"), side="microsoft", group="customer", **like))


def throughput(labs: Labs, name: str) -> CheckResult:
    """What a check says of TCP between the hosts of circuit `one`, where circuit `name` should carry it."""
    wanted = {"throughput": ["pc1", "vm1"], "circuit": name, "at_least": "1M", "seconds": 0.5}
    with client(labs) as opened:
        model = opened.model
        (result,) = run_checks(opened, derive({**model.document, "checks": [wanted]}, model.state).checks, 1)
    return result


@pytest.mark.kernels("here", "stock")
@pytest.mark.shows("ExpressRoute Direct", here="bpf", stock="kernel")
def test_scenario_03_on_dot1q_a_c_tag_is_used_once_and_on_qinq_by_every_circuit(labs: Labs) -> None:
    both = {"one": circuit(1), "two": circuit(2, private={"vlan": 101})}
    labs.ok("deploy", "-t", str(labs.file(direct("dot1q", both))), "--wait", "60")
    assert stacks(labs, "pair1-primary", {(100,), (101,)}) == {(100,), (101,)}, "one tag, no S-tag"
    again = "peering set two private --vlan 100 --peer-asn 65010 --v4 192.168.2.0/29"
    assert refused(labs, again) == "VlanTakenOnPort"
    assert up(labs) == 4
    labs.ok("destroy", NAME)

    labs.ok("deploy", "-t", str(labs.file(direct("qinq", both))), "--wait", "60")
    given = tags(labs)
    say(labs, f"{again} --wait 60")
    wanted = {(given["one"], 100), (given["two"], 100)}
    until(lambda: up(labs) == 4, "both circuits use C-tag 100", 60)
    assert stacks(labs, "pair1-primary", wanted) == wanted
    assert [answers(labs, NAME, "pc1", f"10.{n}.1.4") for n in (51, 52)] == [3, 3]
    mine, other = (throughput(labs, name) for name in ("one", "two"))
    assert mine.ok, mine.words
    assert not other.ok, "the same wires, and another circuit's frames"
    assert "less than 1 % of it crossed circuit two; it went by one/private " in other.words


def test_scenario_04_a_circuit_has_a_unique_s_tag_for_good_and_the_pair_its_encapsulation(labs: Labs) -> None:
    document = direct("qinq", {"one": circuit(1), "two": circuit(2)})
    labs.ok("deploy", "-t", str(labs.file(document)), "--wait", "60")
    before = tags(labs)
    order = "circuit create three --port pair1 --tier standard --family metered --bandwidth 5G --site hq"
    say(labs, order)
    say(labs, "peering set three private --vlan 100 --peer-asn 65010 --v4 192.168.3.0/29 --wait 60")
    given = tags(labs)
    assert {name: given[name] for name in before} == before
    assert len(set(given.values())) == 3
    wanted = {(tag, 100) for tag in given.values()}
    assert stacks(labs, "pair1-secondary", wanted) == wanted
    assert refused(labs, "port encapsulation pair1 Dot1Q") == "EncapsulationFixed"
    say(labs, "circuit bandwidth three 10G")
    assert tags(labs) == given
    assert stacks(labs, "pair1-primary", wanted) == wanted


def test_scenario_05_a_10g_pair_takes_20g_of_circuits_and_no_more(labs: Labs) -> None:
    labs.ok(
        "deploy", "-t", str(labs.file(direct("qinq", {"one": circuit(1, "10G"), "two": circuit(2, "10G")}))),
        "--wait", "60",
    )  # fmt: skip
    third = "circuit create three --port pair1 --tier standard --family metered --bandwidth 1G --site hq"
    assert refused(labs, third) == "PortSubscribed"
    (pair,) = labs.json("show", "ports")["ports"]
    assert (pair["sold_mbps"], pair["circuits"]) == (20_000, ["one", "two"])
    assert up(labs) == 4


def test_a_link_that_is_disabled_has_no_carrier_and_its_traffic_takes_the_other(labs: Labs) -> None:
    quiet = circuit(1, private={"bfd": False})
    labs.ok("deploy", "-t", str(labs.file(direct("qinq", {"one": quiet}))), "--wait", "60")
    assert metric(labs, "LineProtocol") == metric(labs, "AdminState") == [1.0, 1.0]
    labs.ok("port", "disable", "pair1", "primary")
    assert "NO-CARRIER" in labs.inside(NAME, "ce1", "ip", "link", "show", "pair11")
    assert metric(labs, "LineProtocol", Link="Primary") == metric(labs, "AdminState", Link="Primary") == [0.0]
    assert metric(labs, "LineProtocol", Link="Secondary") == [1.0]
    until(lambda: not established(labs.json("inspect"), node="ce1", circuit="one"), "the edge's session ends")
    assert up(labs) == up(labs, connection="secondary") == 1
    until(lambda: answers(labs, NAME, "pc1", "10.51.1.4") == 3, "the secondary link carries all")
    labs.ok("port", "enable", "pair1", "primary", "--wait", "60")
    until(lambda: up(labs) == 2, "both sessions are back", 60)

    # A pulled cable: Microsoft sees it at once, without BFD, although the port is Enabled.
    labs.inside(NAME, "ce1", "ip", "link", "set", "pair11", "down")
    until(lambda: up(labs, connection="primary") == 0, "the MSEE ends the session by the carrier alone", 10)
    assert metric(labs, "LineProtocol", Link="Primary") == [0.0]
    assert metric(labs, "AdminState", Link="Primary") == [1.0]
    labs.inside(NAME, "ce1", "ip", "link", "set", "pair11", "up")
    until(lambda: up(labs) == 2, "both sessions are back", 60)


@dataclass(frozen=True)
class Policed:
    """Octets of circuit `one` into Azure that both ports have passed and dropped, and when that was read."""

    time: float
    passed: int
    dropped: int

    def since(self, earlier: Policed) -> tuple[float, float, int]:
        """Bits per second that were offered and that passed in between, and octets dropped."""
        seconds = self.time - earlier.time
        passed, dropped = self.passed - earlier.passed, self.dropped - earlier.dropped
        return 8 * (passed + dropped) / seconds, 8 * passed / seconds, dropped


def policed(opened: Client) -> Policed:
    """Read the counters of both ports."""
    found = opened.counters()["tag_counters"]["virtual_circuits"]
    now = time.monotonic()
    ways = [item["a_to_b"] for item in found if item["name"].startswith("one-")]
    assert len(ways) == 2
    return Policed(now, *(sum(way[word]["bytes"] for way in ways) for word in ("passed", "dropped")))


@contextlib.contextmanager
def offering(labs: Labs, rate_bps: float, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """A flow of UDP from pc1 to vm1, all on one link; its account on standard output when it ends."""
    flow = labs.popen(
        "exec", NAME, "pc1", "--", sys.executable, str(OFFER), "9001", "10.51.1.4", "9000", str(rate_bps),
        str(seconds), stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield flow
    finally:
        flow.communicate(timeout=60)


@contextlib.contextmanager
def listening(labs: Labs) -> Iterator[None]:
    """Somebody on vm1 whom the flow is for."""
    words = ("exec", NAME, "vm1", "--", sys.executable, "-c", SINK)
    sink = labs.popen(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert sink.stdout is not None
        assert sink.stdout.readline() == "there\n"
        yield
    finally:
        sink.communicate("\n", timeout=30)


TRIES = 8
"""How often a busy machine may fail to offer what it should."""


def dropped_of(labs: Labs, opened: Client, rate_bps: float, least_bps: float) -> int:
    """Octets dropped of a flow of that rate that really had at least the other one for some seconds."""
    for _ in range(TRIES):
        before = policed(opened)
        with offering(labs, rate_bps, 3.0) as flow:
            out, _ = flow.communicate(timeout=60)
        told = json.loads(out)
        if 8 * told["octets"] / told["seconds"] > least_bps:
            after = policed(opened)
            assert after.passed + after.dropped - before.passed - before.dropped >= told["octets"]
            return after.dropped - before.dropped
    raise AssertionError(f"this machine cannot offer {rate_bps:g} bit/s: {told}")


def clamped(
    labs: Labs, opened: Client, rate_bps: float, least_bps: float
) -> tuple[float, float, list[float]]:
    """A flow that is clamped, over seconds in which it was fast enough: (offered, passed, QosDropBits)."""
    told = (0.0, 0.0)
    for _ in range(TRIES):
        with offering(labs, rate_bps, 12.0) as flow:
            before = policed(opened)
            while flow.poll() is None and not policed(opened).since(before)[2]:
                select.select([flow.stdout], [], [], 0.2)
            first = policed(opened)
            drops = metric(labs, "QosDropBitsInPerSecond", every=3.0)
            offered, passed, _ = policed(opened).since(first)
            told = (offered, passed)
            if flow.poll() is None and offered > least_bps:
                return offered, passed, drops
    raise AssertionError(f"this machine cannot offer {rate_bps:g} bit/s for some seconds: {told}")


def test_scenario_40_direct_rate_limit_passes_1_15_and_clamps_1_5(labs: Labs) -> None:
    document = direct("qinq", {"one": circuit(1, rate_limit=True)})
    labs.ok("deploy", "-t", str(labs.file(document)), "--wait", "60")
    with listening(labs), client(labs) as opened:
        assert dropped_of(labs, opened, 1.15e9, 1.08e9) == 0, "nothing is dropped within the tolerance"
        assert metric(labs, "QosDropBitsInPerSecond") == [0.0, 0.0]
        # What the bucket holds lets 1.5 pass at first; then, while it goes on, the bandwidth itself.
        offered, passed, drops = clamped(labs, opened, 1.5e9, 1.35e9)
        assert passed == pytest.approx(1e9, rel=0.12), offered
        assert max(drops) > 0.1e9, "counted as Azure Monitor counts"
        assert min(drops) == 0.0, "the other link has none of it"
        labs.ok("circuit", "unlimit", "one")
        assert dropped_of(labs, opened, 1.5e9, 1.3e9) == 0, "without the limit a circuit has the port's speed"


@pytest.mark.kernels("here", "stock")
@pytest.mark.shows("a whole peering site down", here="bpf", stock="kernel")
def test_scenario_57_a_site_goes_dark_and_metro_and_a_second_circuit_go_on(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(METRO), "--wait", "60")
    flows = {"pc-high": "10.51.1.4", "pc-standard": "10.52.1.4", "pc-maximum": "10.53.1.4"}
    assert [answers(labs, "metro", *flow) for flow in flows.items()] == [3, 3, 3]
    levels = {row["circuit"]: row["resiliency"] for row in labs.json("show", "circuits")["circuits"]}
    assert levels == {"high": "High", "standard": "Standard", "ams": "Maximum", "dub": "Maximum"}
    view = labs.json("inspect")
    dark = [node["name"] for node in view["nodes"] if node["name"].endswith("-amsterdam")]
    assert len(dark) == 3
    devices = "for d in $(ls /sys/class/net); do ip link set $d {}; done"
    for node in dark:
        labs.inside("metro", node, "sh", "-c", devices.format("down"))
    until(lambda: answers(labs, "metro", "pc-high", "10.51.1.4") == 3, "Metro goes on by the second site")
    until(lambda: answers(labs, "metro", "pc-maximum", "10.53.1.4") == 3, "the second circuit takes over")
    assert answers(labs, "metro", "pc-standard", "10.52.1.4") == 0, "total loss"
    # Both sessions of the standard circuit are down, the Metro's secondary is up.
    until(
        lambda: not established(labs.json("inspect"), circuit="standard", side="customer"),
        "the standard circuit has no session left",
    )
    view = labs.json("inspect")
    customer = [s["connection"] for s in established(view, circuit="high", side="customer")]
    assert customer == ["secondary"]
    for node in dark:
        labs.inside("metro", node, "sh", "-c", devices.format("up"))
    until(lambda: answers(labs, "metro", "pc-standard", "10.52.1.4") == 3, "the site is back", 90)


KEYS = {"ckn": "1000", "good": "00112233445566778899aabbccddeeff", "other": "ff" * 16}
MACSEC, EAPOL = 0x88E5, 0x888E


def secured(edge: str) -> dict[str, Any]:
    """One circuit on a pair with MACsec on both links; `edge` names the key of the edge on the first."""
    document = direct("qinq", {"one": circuit(1)})
    document["secrets"] = KEYS
    right = {"macsec": {"ckn": "ckn", "cak": "good"}}
    wrong = {"edge_macsec": {"ckn": "ckn", "cak": edge}}
    document["ports"]["pair1"]["links"] = {"primary": {**right, **wrong}, "secondary": right}
    return document


def ethertypes(labs: Labs, link: str, seconds: float) -> set[int]:
    """Ethertypes of all frames that pass a wire in this time."""
    seen: set[int] = set()
    end = time.monotonic() + seconds
    with client(labs) as opened, FrameSource(opened, resolve_where(opened.model, link), 128) as source:
        poller = select.poll()
        for fd in source.fds():
            poller.register(fd, select.POLLIN)
        while time.monotonic() < end:
            for frame in source.read([fd for fd, _ in poller.poll(200)]):
                seen.add(int.from_bytes(frame.data[12:14], "big"))
    return seen


@pytest.mark.kernels("stock")
@pytest.mark.shows("MACsec on Direct", stock="kernel")
def test_scenario_50_macsec_keys_that_differ_on_one_link_silence_that_link_alone(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(labs.file(secured("other"))), "--no-wait", timeout=300)
    until(lambda: up(labs, connection="secondary") == 1, "the link with matching keys comes up", 90)
    assert answers(labs, NAME, "pc1", "10.51.1.4") == 3
    labs.run("exec", NAME, "ce1", "--", "ping", "-c", "2", "-W", "1", "192.168.1.2")
    assert ethertypes(labs, "pair1-primary", 6.0) <= {EAPOL}, "no clear text, nothing but key agreement"
    assert MACSEC in ethertypes(labs, "pair1-secondary", 3.0) <= {EAPOL, MACSEC}
    assert "lladdr" not in labs.inside(NAME, "ce1", "ip", "neigh", "show", "192.168.1.2")
    assert up(labs, connection="primary") == 0

    labs.ok("deploy", "-t", str(labs.file(secured("good"))), "--wait", "90", timeout=300)
    assert up(labs) == 2
    assert MACSEC in ethertypes(labs, "pair1-primary", 3.0) <= {EAPOL, MACSEC}


@pytest.mark.skipif(probe_macsec().ok, reason="this kernel has MACsec: its refusal cannot be seen")
def test_macsec_is_refused_before_anything_is_made_where_the_kernel_has_none(labs: Labs) -> None:
    done = labs.run("deploy", "-t", str(labs.file(secured("good"))))
    assert done.returncode == 3
    assert "MACsec" in done.stderr
    assert "modprobe macsec" in done.stderr or "wpasupplicant" in done.stderr
    assert labs.json("list")["labs"] == []
