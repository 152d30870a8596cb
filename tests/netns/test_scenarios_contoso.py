"""Scenarios shown by the reference lab: what Azure shows of a circuit, resets, IPv6, old peerings, Local."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from labs import Labs, contoso, until
from scenario_lab import ScenarioLab

pytestmark = pytest.mark.root

MICROSOFT = ("198.51.100.1", "198.51.100.2", "198.51.100.5", "198.51.100.6")
"""Link addresses of the Microsoft peering."""


def document() -> dict[str, Any]:
    """The reference lab, and a second circuit of tier Local that its site may use."""
    found = contoso()
    found["circuits"]["home"] = {
        "provider": "Equinix",
        "location": "Amsterdam",
        "sku": {"tier": "local", "family": "unlimited"},
        "bandwidth": "1G",
        "peerings": {
            "private": {"vlan": 300, "peer_asn": 65010, "subnet": "192.168.16.0/29"},
            "microsoft": {
                "vlan": 301,
                "peer_asn": 64496,
                "subnet": "198.51.100.8/29",
                "advertised_public_prefixes": ["203.0.113.16/28"],
            },
        },
    }
    found["sites"]["hq"]["circuits"].append("home")
    found["vnets"]["near"] = {
        "region": "westeurope",
        "address_space": "10.60.0.0/16",
        "connections": [{"circuit": "home"}],
    }
    found["vnets"]["north"] = {"region": "northeurope", "address_space": "10.61.0.0/16"}
    return found


@pytest.fixture(scope="module")
def deployed(module_labs: Labs) -> ScenarioLab:
    lab = ScenarioLab(module_labs, "contoso")
    lab.deploy(document())
    return lab


@pytest.fixture
def lab(deployed: ScenarioLab) -> Iterator[ScenarioLab]:
    """The lab, afterwards as it was."""
    yield deployed
    deployed.deploy(document())


def shown(lab: ScenarioLab, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = lab.labs.json("show", *words)
    return found


def metric(lab: ScenarioLab, name: str, **dimensions: str) -> list[float]:
    found = shown(lab, "metrics", "--every", "0.2")["metrics"]
    return [
        item["value"]
        for item in found
        if item["name"] == name and dimensions.items() <= item["dimensions"].items()
    ]


def test_scenario_53_diagnostics_show_prefixes_or_a_state_and_octets_where_traffic_is(
    lab: ScenarioLab,
) -> None:
    """Summaries count prefixes or say the state, octets grow on the link in use, and no peering is a 400."""

    def summary(path: str) -> dict[str, Any]:
        words = ("--circuit", "ams", "--peering", "private", "--path", path)
        (only,) = shown(lab, "summary", *words)["paths"]
        rows = {row["neighbor"]: row for row in only["value"]}
        found: dict[str, Any] = rows["192.168.15.1" if path == "primary" else "192.168.15.5"]
        return found

    def octets() -> dict[str, int]:
        found = shown(lab, "stats", "--circuit", "ams", "--peering", "private")["peerings"]
        (only,) = [item for item in found if item["peering"] == "private"]
        return {path: only[f"{path}bytesIn"] for path in ("primary", "secondary")}

    assert summary("primary")["statePfxRcd"] == summary("secondary")["statePfxRcd"] == "1"
    lab.inside("ce1", "ip", "link", "set", "ams1", "down")
    until(lambda: not summary("primary")["statePfxRcd"].isdigit(), "the summary says the state")
    assert summary("secondary")["statePfxRcd"] == "1"
    until(lambda: lab.reaches("pc1", "10.50.1.4"), "traffic has moved")
    before = octets()
    lab.inside("pc1", "ping", "-c", "20", "-i", "0.02", "-s", "1000", "10.50.1.4")
    grown = {path: more - before[path] for path, more in octets().items()}
    assert grown["secondary"] > 20_000
    assert grown["primary"] == 0
    refused = lab.labs.run("show", "arp", "--circuit", "ams", "--peering", "AzurePublicPeering")
    assert refused.returncode == 2
    assert "peering AzurePublicPeering not found on circuit ams" in refused.stderr


def test_scenario_54_packets_come_in_and_none_goes_out_when_the_way_back_is_broken(lab: ScenarioLab) -> None:
    """The test sees one direction when a route table breaks the return, none on an MSEE without BGP."""

    def counts() -> dict[str, tuple[int, int]]:
        words = ("10.1.0.10", "10.50.1.4", "--circuit", "ams", "--seconds", "0.7")
        return {
            item["path"]: (item["received"], item["sent"]) for item in shown(lab, "packets", *words)["paths"]
        }

    def total(number: int) -> int:
        return sum(pair[number] for pair in counts().values())

    words = ("exec", "contoso", "pc1", "--", "ping", "-i", "0.02", "-W", "1", "10.50.1.4")
    ping = lab.labs.fork(*words, stdout=subprocess.DEVNULL)
    try:
        until(lambda: total(0) > 5 and total(1) > 5, "both directions are seen")
        lab.inside("vm1", "ip", "route", "add", "blackhole", "10.1.0.0/16")
        broken = until(
            lambda: (found := counts()) and sum(pair[1] for pair in found.values()) == 0 and found,
            "nothing comes back",
        )
        assert sum(pair[0] for pair in broken.values()) > 5
        lab.inside("vm1", "ip", "route", "del", "blackhole", "10.1.0.0/16")
        lab.inside("ce1", "ip", "link", "set", "ams1", "down")
        until(lambda: not lab.established(circuit="ams", peering="private", connection="primary"), "it ends")
        silent = until(
            lambda: (found := counts())["secondary"][0] > 5 and found, "the other MSEE carries all"
        )
        assert silent["primary"] == (0, 0)
        assert silent["secondary"][1] > 5
    finally:
        ping.terminate()
        ping.wait(20)


def test_scenario_55_availability_is_0_for_the_peer_whose_session_is_killed_and_100_for_the_other(
    lab: ScenarioLab,
) -> None:
    """One session ends: BgpAvailability and ArpAvailability of that Peer are 0, those of the other 100."""
    mine = {"PeeringType": "Private", "Circuit": "ams"}
    names = {key for item in shown(lab, "metrics", "--every", "0.2")["metrics"] for key in item["dimensions"]}
    mine = {key: value for key, value in mine.items() if key in names}
    assert set(metric(lab, "BgpAvailability", Peer="Primary", **mine)) == {100.0}
    lab.inside("ce1", "ip", "link", "set", "ams1", "down")
    until(lambda: 0.0 in metric(lab, "BgpAvailability", Peer="Primary", **mine), "the primary's session ends")
    assert set(metric(lab, "BgpAvailability", Peer="Secondary", **mine)) == {100.0}
    # What the MSEE knew of the customer ages for half a minute; flushing it is the same, now.
    lab.inside("msee1-amsterdam.ams.private", "ip", "neigh", "flush", "all")
    until(lambda: 0.0 in metric(lab, "ArpAvailability", Peer="Primary", **mine), "ARP finds nobody")
    assert set(metric(lab, "ArpAvailability", Peer="Secondary", **mine)) == {100.0}


def test_scenario_56_a_reset_of_the_private_peering_leaves_the_microsoft_peering_up(lab: ScenarioLab) -> None:
    """Disabled, both private sessions go and the Microsoft ones stay; reset, they begin anew and return."""
    like = {"circuit": "ams", "side": "customer"}
    before = lab.uptimes()
    lab.say("peering disable ams private")
    until(lambda: not lab.established(peering="private", **like), "both links' sessions go")
    assert len(lab.established(peering="microsoft", **like)) == 2
    assert lab.say("peering enable ams private --wait 20")["pending"] == []
    links = {("ce1", "192.168.15.2"), ("ce2", "192.168.15.6")}
    until(
        lambda: all(lab.uptimes().get(link, 0.0) > 2 for link in links), "the sessions have run for a while"
    )
    began = time.monotonic()
    answer = lab.say("peering reset ams private --wait 20")
    assert answer["restarts"]
    assert answer["pending"] == []
    after = lab.uptimes()
    elapsed = time.monotonic() - began
    assert all(after[link] < elapsed + 0.5 for link in links), "both links' sessions began anew"
    microsoft = {key for key in before if key[1] in MICROSOFT}
    assert len(microsoft) == 4
    assert all(after[key] > before[key] for key in microsoft)


def test_scenario_58_ipv6_shares_the_vlan_has_a_limit_of_its_own_and_is_needed_by_a_dual_stack_gateway(
    lab: ScenarioLab,
) -> None:
    """Both families share one VLAN; 101 IPv6 prefixes end the IPv6 session only; IPv4 alone is refused."""
    both = lab.established(circuit="ams", peering="private", side="customer", connection="primary")
    assert {item["family"] for item in both} == {4, 6}
    addresses = json.loads(lab.inside("ce1", "ip", "-j", "address", "show", "ams1.100"))[0]["addr_info"]
    lengths = {item["prefixlen"] for item in addresses if item["scope"] == "global"}
    assert lengths == {30, 126}, "a /30 and a /126 on one subinterface, under one pair of tags"
    assert lab.reaches("pc1", "fd00:50:0:1::4")
    like = {"namespace": "msee1-amsterdam.ams.private", "side": "microsoft"}

    many = document()
    prefixes = {"prefix": "fd00:9000::/32", "count": 100, "length": 64, "circuits": ["ams"]}
    many["sites"]["hq"]["announce"] = [prefixes]
    # The sessions above their limit stay down, so this deploy does not wait for them.
    lab.deploy(many, "--no-wait")
    until(
        lambda: not lab.established(**like, neighbor="fd00:15::1"), "101 IPv6 prefixes end the IPv6 session"
    )
    assert lab.established(**like, neighbor="192.168.15.1"), "the IPv4 session has a limit of its own"
    assert lab.reaches("pc1", "10.50.1.4")
    lab.deploy(document(), "--wait", "60")
    until(lambda: lab.reaches("pc1", "fd00:50:0:1::4"), "the IPv6 session returns with fewer prefixes")
    assert lab.refused("connection create no hub-gw home") == "GatewayDualStack"


def test_scenario_59_an_old_peering_announces_every_service_without_a_filter(lab: ScenarioLab) -> None:
    """Without its filter a peering announces nothing; written as of before 2017 it announces all services."""
    assert {"52.112.0.0/14", "40.96.0.0/13"} <= lab.routes("ce1").keys()
    assert "20.190.128.0/18" not in lab.routes("ce1"), "the filter does not name other services"
    lab.say("filter detach ams")
    until(lambda: "52.112.0.0/14" not in lab.routes("ce1"), "nothing is announced without a filter")
    lab.say(
        "peering set ams microsoft --vlan 200 --peer-asn 64496 --v4 198.51.100.0/29 --shared-key s3cret "
        "--advertise 203.0.113.0/28 --registry radb --legacy"
    )
    lab.say("microsoft validate ams --wait 20")
    everything = {"52.112.0.0/14", "40.96.0.0/13", "52.104.0.0/14", "20.190.128.0/18", "52.120.0.0/15"}
    until(lambda: everything <= lab.routes("ce1").keys(), "every service is announced")


def test_scenario_49_a_local_circuit_exchanges_routes_of_its_home_regions_only(lab: ScenarioLab) -> None:
    """Tier Local brings a network of its region, refuses one of another, and carries no global service."""
    like = {"circuit": "home", "side": "customer"}
    links = ("192.168.16.2", "192.168.16.6")
    until(lambda: "10.60.0.0/16" in lab.routes("ce1"), "the network of the home region is known")
    assert set(lab.routes("ce1")["10.60.0.0/16"]) <= {*links, "10.1.0.2"}
    assert lab.refused("connection create no north-gw home") == "RegionNotLocal"
    assert "10.61.0.0/16" not in lab.routes("ce1")
    lab.say(
        "peering set home microsoft --vlan 301 --peer-asn 64496 --v4 198.51.100.8/29 "
        "--advertise 203.0.113.16/28 --registry radb --legacy"
    )
    lab.say("microsoft validate home --wait 20")
    up = until(lambda: lab.established(**like, peering="microsoft"), "its Microsoft sessions are up")
    assert {item["imported"] for item in up} == {0}, "where a Premium circuit gets every service's routes"
