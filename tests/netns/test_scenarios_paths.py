"""Scenarios of the fact sheet about the choice among circuits: five of them join a site and a network."""

from __future__ import annotations

from typing import Any

import pytest
from labs import Labs, until
from scenario_lab import ScenarioLab

pytestmark = pytest.mark.root

CIRCUITS = ("c1", "c2", "c3", "c4", "c5")
LAN, PC, VM = "10.1.0.0/24", "10.1.0.10", "10.50.1.4"
PORTS = {circuit: (f"ce1:{circuit}1", f"ce2:{circuit}2") for circuit in CIRCUITS}
"""Where packets of Azure come in, primary and secondary."""


def document(**site: Any) -> dict[str, Any]:
    return {
        "circuits": {
            name: {
                "provider": "Equinix",
                "location": "Amsterdam" if number < 4 else "London",
                "sku": {"tier": "standard"},
                "bandwidth": "50M",
                "peerings": {"private": {"vlan": 100, "peer_asn": 65010, "subnet": f"192.168.{number}.0/29"}},
            }
            for number, name in enumerate(CIRCUITS)
        },
        "sites": {
            "hq": {
                "edges": ["ce1", "ce2"],
                "lan": LAN,
                "hosts": {"pc1": PC},
                "circuits": list(CIRCUITS),
                "internet": False,
                **site,
            }
        },
        "vnets": {
            "hub": {
                "region": "westeurope",
                "address_space": "10.50.0.0/16",
                "gateway": "ErGw2AZ",
                "connections": [{"circuit": name} for name in CIRCUITS],
                "hosts": {"vm1": VM},
            }
        },
    }


@pytest.fixture(scope="module")
def lab(module_labs: Labs) -> ScenarioLab:
    lab = ScenarioLab(module_labs, "paths")
    lab.deploy(document())
    return lab


def carrying(lab: ScenarioLab) -> dict[str, int]:
    """Circuit -> packets that came by it, of flows that a machine sent to the site."""
    places = [port for ports in PORTS.values() for port in ports]
    found: dict[str, int] = {}
    for place, packets in lab.arrivals("vm1", PC, *places, flows=200, each=20).items():
        circuit = next(name for name, ports in PORTS.items() if place in ports)
        found[circuit] = found.get(circuit, 0) + packets
    return found


def test_scenario_32_of_five_equal_circuits_four_at_most_are_used_and_a_flow_stays_on_one(
    lab: ScenarioLab,
) -> None:
    """A network with five equal circuits balances over four at most, and a 5-tuple never changes its path."""
    lab.deploy(document())
    for gateway in ("hub-gw0", "hub-gw1"):
        until(lambda gateway=gateway: len(lab.routes(gateway).get(LAN, [])) == 4, f"{gateway} balances")
        assert len(lab.established(namespace=gateway)) == 10, "all ten paths are there"
    spread = carrying(lab)
    assert 2 <= len(spread) <= 4
    places = [port for ports in PORTS.values() for port in ports]
    assert len(lab.arrivals("vm1", PC, *places, flows=1, each=4000)) == 1
    chosen = spread.keys()
    assert carrying(lab).keys() == chosen, "a second round takes the same circuits"


def test_scenario_31_longest_prefix_beats_weight_and_weight_beats_the_as_path(lab: ScenarioLab) -> None:
    """Weight draws all traffic to a circuit, longer prefixes draw it away, without both the path counts."""
    lab.deploy(document())
    for circuit in CIRCUITS[2:]:
        lab.say(f"connection delete hub-{circuit}")
    until(lambda: len(lab.routes("hub-gw0").get(LAN, [])) == 4, "two circuits with two paths each")
    lab.say("connection weight hub-c1 100")
    until(lambda: weighed(lab, LAN, "c1"), "the weight has its effect")
    assert carrying(lab).keys() == {"c1"}

    halves = [{"prefix": half, "circuits": ["c2"]} for half in ("10.1.0.0/25", "10.1.0.128/25")]
    only_two = document()
    only_two["vnets"]["hub"]["connections"] = [{"circuit": "c1", "weight": 100}, {"circuit": "c2"}]
    only_two["sites"]["hq"]["announce"] = halves
    lab.deploy(only_two)
    until(lambda: weighed(lab, "10.1.0.0/25", "c2"), "the halves arrive")
    assert carrying(lab).keys() == {"c2"}

    del only_two["sites"]["hq"]["announce"]
    only_two["vnets"]["hub"]["connections"] = [{"circuit": "c1"}, {"circuit": "c2"}]
    only_two["sites"]["hq"]["prepend"] = {"c2": 2}
    lab.deploy(only_two)
    until(lambda: weighed(lab, LAN, "c1"), "the longer path has its effect")
    assert carrying(lab).keys() == {"c1"}
    lab.say("connection weight hub-c2 1")
    until(lambda: weighed(lab, LAN, "c2"), "weight comes before the path's length")
    assert carrying(lab).keys() == {"c2"}


def weighed(lab: ScenarioLab, prefix: str, circuit: str) -> bool:
    """Whether both gateways have a prefix by both paths of one circuit, and by no other."""
    sessions = lab.established(namespace="hub-gw0")
    wanted = {item["neighbor"] for item in sessions if item["name"].startswith(f"{circuit}_")}
    gateways = [lab.routes(gateway).get(prefix, []) for gateway in ("hub-gw0", "hub-gw1")]
    return len(wanted) == 2 and all(set(hops) == wanted for hops in gateways)
