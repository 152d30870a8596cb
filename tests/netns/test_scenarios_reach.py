"""Scenarios about Global Reach and about networks that talk through a circuit: three sites and circuits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labs import Labs, until
from scenario_lab import ScenarioLab

pytestmark = pytest.mark.root

SITES = (("ams", "Amsterdam", "50M"), ("lon", "London", "100M"), ("par", "Paris", "200M"))
A, B, C = "10.1.0.10", "10.2.0.10", "10.3.0.10"

DOCUMENT = {
    "circuits": {
        name: {
            "provider": "Equinix",
            "location": place,
            "sku": {"tier": "premium"},
            "bandwidth": bandwidth,
            "peerings": {"private": {"vlan": 100, "peer_asn": 65010 + n, "subnet": f"192.168.{n}.0/29"}},
        }
        for n, (name, place, bandwidth) in enumerate(SITES, 1)
    },
    "sites": {
        f"site{n}": {
            "edges": [f"ce{n}"],
            "lan": f"10.{n}.0.0/16",
            "hosts": {f"pc{n}": f"10.{n}.0.10"},
            "circuits": [name],
            "internet": False,
        }
        for n, (name, _, _) in enumerate(SITES, 1)
    },
    "vnets": {
        f"net{n}": {
            "region": "westeurope",
            "address_space": f"10.{n}.0.0/16",
            "connections": [{"circuit": "ams"}],
            "hosts": {f"vm{n}": f"10.{n}.1.4"},
        }
        for n in (50, 51)
    },
}


@pytest.fixture(scope="module")
def deployed(module_labs: Labs) -> ScenarioLab:
    lab = ScenarioLab(module_labs, "reach")
    lab.deploy(DOCUMENT)
    return lab


@pytest.fixture
def lab(deployed: ScenarioLab) -> Iterator[ScenarioLab]:
    """The lab, whose service is afterwards what the file orders."""
    yield deployed
    deployed.deploy(DOCUMENT)


def test_scenario_35_without_global_reach_a_site_never_learns_another(lab: ScenarioLab) -> None:
    """Both circuits work, and neither site has a route to the other until Global Reach joins them."""
    assert lab.reaches("pc1", "10.50.1.4")
    assert "10.2.0.0/16" not in lab.routes("ce1")
    assert "10.1.0.0/16" not in lab.routes("ce2")
    for number in (1, 2):
        assert "10.2.0.0/16" not in lab.routes(f"msee{number}-amsterdam.ams.private")
    assert not lab.reaches("pc1", B)
    lab.say("reach enable near ams lon 172.31.0.0/29 --wait 15")
    until(lambda: lab.reaches("pc1", B), "Global Reach joins the sites")
    assert "10.2.0.0/16" in lab.routes("ce1")


def test_scenario_34_global_reach_joins_pairs_at_the_bandwidth_of_the_smaller_circuit(
    lab: ScenarioLab,
) -> None:
    """A-B and B-C join no A-C; a pair carries what its smaller circuit has; some pairs are refused."""
    for words in ("near ams lon 172.31.0.0/29", "far lon par 172.31.0.8/29"):
        assert lab.say(f"reach enable {words} --wait 15")["pending"] == []
    until(lambda: lab.reaches("pc1", B) and lab.reaches("pc2", C), "two pairs are joined")
    assert not lab.reaches("pc1", C)
    assert "10.3.0.0/16" not in lab.routes("ce1")

    def capped() -> int:
        spaces = [f"msee{number}-london.lon.private" for number in (1, 2)]
        return sum(lab.dropped_by(space, "capped") for space in spaces)

    before, sessions = capped(), lab.uptimes()
    to_the_smaller = lab.flood("pc2", A, "pc1", 90e6)
    assert capped() > before, "what is too much for the smaller circuit goes at the MSEE of the larger one"
    assert to_the_smaller.through_bps < 60e6
    after = capped()
    to_the_larger = lab.flood("pc2", C, "pc3", 90e6)
    assert capped() == after
    assert to_the_larger.through_bps > 1.15 * to_the_smaller.through_bps
    now = lab.uptimes()
    assert all(now[key] > uptime for key, uptime in sessions.items()), "the cap takes no session down"

    lab.say("reach enable third ams par 172.31.0.16/29 --wait 15")
    until(lambda: lab.reaches("pc1", C), "joined, the third pair talks as well")

    order = "--provider Equinix --bandwidth 50M"
    for name, rest in (
        ("twin", "--location Amsterdam --tier premium --family metered"),
        ("home", "--location Dublin --tier local --family unlimited"),
        ("odd", "--location Dublin --tier premium --family metered"),
    ):
        lab.say(f"circuit create {name} {order} {rest}")
        lab.say(f"provider provision {name}")
    for number, name in enumerate(("twin", "home", "odd"), 60):
        lab.say(f"peering set {name} private --vlan 100 --peer-asn 65010 --v4 192.168.{number}.0/29")
    assert lab.refused("reach enable no ams twin 172.31.1.0/29") == "ReachSameLocation"
    assert lab.refused("reach enable no lon home 172.31.1.0/29") == "ReachLocal"
    assert lab.refused("reach enable no ams odd 10.50.7.0/29") == "PrefixOverlap"


def test_scenario_36_networks_of_a_circuit_talk_by_its_msee_when_both_gateways_let_them(
    lab: ScenarioLab,
) -> None:
    """Networks of one circuit are apart; with both gateways' flags their packets turn round at the MSEE."""
    msees = [f"msee{number}-amsterdam.ams.private" for number in (1, 2)]
    into = [f"{msee}:net50" for msee in msees]
    assert not lab.reaches("vm50", "10.51.1.4")
    lab.say("gateway traffic net50-gw on")
    assert not lab.reaches("vm50", "10.51.1.4")
    lab.say("gateway traffic net51-gw on")
    until(lambda: lab.reaches("vm50", "10.51.1.4"), "the networks talk")
    customer = ("ce1:ams1", "ce1:ams2")
    seen = lab.arrivals("vm50", "10.51.1.4", *into, *customer, flows=20, each=200)
    assert seen
    assert not seen.keys() & set(customer), "the packets come to the MSEEs and do not go on to the customer"
    lab.say("gateway traffic net51-gw off")
    until(lambda: not lab.reaches("vm50", "10.51.1.4"), "they are apart again")
