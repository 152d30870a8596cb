"""Scenario 39: what a circuit carries, on one link and on both, before and after it is raised."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from labs import Labs
from scenario_lab import OFFER, SINK, Flood, ScenarioLab
from uptimes import assert_undisturbed

pytestmark = pytest.mark.root

VM = "10.50.1.4"
BOUGHT = 50e6

DOCUMENT: dict[str, Any] = {
    "circuits": {
        "ams": {
            "provider": "Equinix",
            "location": "Amsterdam",
            "sku": {"tier": "standard"},
            "bandwidth": "50M",
            "peerings": {"private": {"vlan": 100, "peer_asn": 65010, "subnet": "192.168.15.0/29"}},
        }
    },
    "sites": {"hq": {"edges": ["ce1", "ce2"], "lan": "10.1.0.0/16", "circuits": ["ams"], "internet": False}},
    "vnets": {
        "hub": {
            "region": "westeurope",
            "address_space": "10.50.0.0/16",
            "connections": [{"circuit": "ams"}],
            "hosts": {"vm1": VM},
        }
    },
}


@pytest.fixture(scope="module")
def lab(module_labs: Labs) -> ScenarioLab:
    lab = ScenarioLab(module_labs, "bandwidth")
    lab.deploy(DOCUMENT)
    return lab


def policed(lab: ScenarioLab) -> int:
    """Packets that the provider's policers have dropped on the way to Microsoft."""
    circuits = lab.labs.json("inspect", lab.name)["tag_counters"]["virtual_circuits"]
    return sum(item["a_to_b"]["dropped"]["packets"] for item in circuits)


def both_at_once(lab: ScenarioLab, rate_bps: float, seconds: float = 1.5) -> Flood:
    """What comes through when each edge offers a rate by its own link; again if the machine is too busy."""
    end = time.monotonic() + 40
    while True:
        with lab.serving("vm1", SINK, 20002) as heard, ThreadPoolExecutor(2) as pool:
            offers = [
                pool.submit(lab.script, edge, OFFER, VM, 20002, rate_bps, seconds, 20001)
                for edge in ("ce1", "ce2")
            ]
            said = [tuple(map(float, offer.result().split())) for offer in offers]
        offered = sum(sent * 8 / took for sent, took in said)
        if offered > 1.8 * rate_bps:
            return Flood(offered, int(heard[0]) * 8 / seconds)
        assert time.monotonic() < end, f"this machine cannot offer twice {rate_bps:.0f} bit/s"


def test_scenario_39_each_link_carries_the_bandwidth_and_a_raise_waits_for_the_provider_not_for_a_session(
    lab: ScenarioLab,
) -> None:
    """One link is held to the bandwidth, both carry twice; raised, the provider still has the old rate."""
    sessions = lab.uptimes()
    before = policed(lab)
    alone = lab.flood("ce1", VM, "vm1", 1.5 * BOUGHT)
    assert policed(lab) > before, "what is too much is dropped and counted"
    assert 0.7 * BOUGHT < alone.through_bps < 1.25 * BOUGHT
    together = both_at_once(lab, BOUGHT)
    assert together.through_bps > 1.4 * alone.through_bps

    assert lab.refused("circuit bandwidth ams 40M") in ("BandwidthLowered", "BandwidthNotOffered")
    raised = lab.say("circuit bandwidth ams 100M")
    assert [event["kind"] for event in raised["events"]] == ["BandwidthRaised", "ThrottleBehind"]
    assert lab.refused("circuit bandwidth ams 50M") == "BandwidthLowered"
    behind = lab.flood("ce1", VM, "vm1", 1.5 * BOUGHT)
    assert behind.through_bps < 1.25 * BOUGHT, "the provider still polices to the old rate"
    lab.say("provider throttle ams 100M")
    free = lab.flood("ce1", VM, "vm1", 1.5 * BOUGHT)
    assert free.through_bps > 1.2 * behind.through_bps
    assert sessions
    assert_undisturbed(sessions, lab.uptimes())
