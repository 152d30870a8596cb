"""Scenario 25 on the wire: two circuits in two regions, whose routes the customer prefers by community.

Microsoft's core announces no regional services of its own accord, so it is given two prefixes by hand.
"""

from __future__ import annotations

from typing import Any

import pytest
from labs import Labs, until
from standing import Lab

pytestmark = pytest.mark.root

WEST, EAST = ("13.64.0.0/16", 51006), ("13.68.0.0/16", 51004)
"""West US and East US: a prefix and the community of its routes."""
CIRCUITS = (("west", "Silicon Valley", 1), ("east", "Washington DC", 2))


def document() -> dict[str, Any]:
    circuits = {
        name: {
            "provider": "Equinix",
            "location": location,
            "sku": {"tier": "standard"},
            "bandwidth": "50M",
            "peerings": {
                "microsoft": {
                    "vlan": 200,
                    "peer_asn": 64496,
                    "subnet": f"198.51.100.{8 * number}/29",
                    "advertised_public_prefixes": [f"203.0.113.{16 * number}/28"],
                    "route_filter": [f"12076:{value}" for _, value in (WEST, EAST)],
                }
            },
        }
        for name, location, number in CIRCUITS
    }
    offices = {
        "edges": ["w1", "w2", "e1", "e2"],
        "lan": "10.1.0.0/16",
        "hosts": {"pc": "10.1.0.10"},
        "circuits": ["west", "east"],
        "internet": False,
    }
    return {"name": "regions", "circuits": circuits, "sites": {"offices": offices}}


def prefers(lab: Lab, edge: str, circuit: str, path: str, value: int) -> Any:
    """The owner of an edge prefers routes of a region's community there."""
    filter_of = rf"(filter import_microsoft_{circuit}_microsoft_{path} \{{\n)"
    return lab.by_hand(
        edge, (filter_of, rf"\1  if (12076, {value}) ~ bgp_community then bgp_local_pref = 150;\n")
    )


def received(lab: Lab) -> tuple[int, int]:
    """Frames that have come in at Microsoft's edges by the western and by the eastern circuit."""
    places = (("west", "silicon-valley"), ("east", "washington-dc"))
    a, b, c, d = lab.received(
        *(f"msee{n}-{at}.{one}.microsoft:{one}.200" for one, at in places for n in (1, 2))
    )
    return a + b, c + d


def test_scenario_25_each_office_reaches_a_region_by_the_circuit_near_it(labs: Labs) -> None:
    lab = Lab(labs, document()).again()
    routes = "".join(
        rf"  route {prefix} blackhole {{ bgp_community.add((12076,{value})); }};\n"
        for prefix, value in (WEST, EAST)
    )
    edges = (("w1", "west", "primary"), ("w2", "west", "secondary"))
    edges += (("e1", "east", "primary"), ("e2", "east", "secondary"))
    with lab.by_hand("microsoft-core", (r"(protocol static originated4 \{\n.*\n.*\n)", rf"\1{routes}")):
        for edge, circuit, path in edges:
            for prefix, value in (WEST, EAST):
                found = until(
                    lambda at=(edge, prefix, f"microsoft_{circuit}_microsoft_{path}"): lab.routes(
                        at[0], at[1], protocol=at[2]
                    ),
                    "each circuit announces both regions",
                )
                assert [route.communities for route in found] == [((12076, value),)]
                # Without a preference each edge takes its own circuit, near or far.
                assert all(hop.startswith("198.51.100.") for hop in lab.next_hops(edge, prefix))
        west, east = WEST[1], EAST[1]
        with (
            prefers(lab, "w1", "west", "primary", west),
            prefers(lab, "w2", "west", "secondary", west),
            prefers(lab, "e1", "east", "primary", east),
            prefers(lab, "e2", "east", "secondary", east),
        ):
            for edge, circuit, _ in edges:
                near, far = (WEST, EAST) if circuit == "west" else (EAST, WEST)
                until(
                    lambda at=(edge, far[0]): all(hop.startswith("10.1.0.") for hop in lab.next_hops(*at)),
                    f"{edge} leaves the far region to the other office",
                )
                assert all(hop.startswith("198.51.100.") for hop in lab.next_hops(edge, near[0]))
            before = received(lab)
            lab.inside("microsoft-core", "ip", "address", "add", "13.64.0.1/32", "dev", "lo")
            ping = lab.inside("pc", "ping", "-c", "100", "-i", "0.01", "-W", "1", "13.64.0.1")
            west_now, east_now = received(lab)
    assert " 0% packet loss" in ping
    # BFD is on both, and as much of it.
    assert west_now - before[0] > east_now - before[1] + 50
