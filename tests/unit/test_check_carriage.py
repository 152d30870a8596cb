"""Which links carried what a throughput check received, and what the check makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.net.objects.base import Endpoint
from lab.check_model import ThroughputCheck
from lab.checks.carriage import Carriage, Carrier, carried, circuit_carriers, other_carriers
from lab.checks.throughput import judge_throughput
from lab.topology import load

TOPOLOGIES = Path(__file__).parents[2] / "lab" / "topologies"
A, B, C = Endpoint("ce1", "ams1"), Endpoint("provider", "ams1"), Endpoint("ce2", "ams2")
CHECK = ThroughputCheck("pc1", "vm1", "ams", 50)
RECEIVED = 50_000_000


def judged(
    circuit: dict[str, int], others: dict[str, int], check: ThroughputCheck = CHECK
) -> tuple[bool, str]:
    verdict = judge_throughput(check, 200_000_000, RECEIVED, 2.0, Carriage(RECEIVED, circuit, others))
    assert verdict.evidence["circuit_octets"] == sum(circuit.values())
    return verdict.ok, verdict.words


def test_a_wire_of_one_circuit_counts_by_its_own_ends() -> None:
    contoso = load(TOPOLOGIES / "contoso.edge.yml")
    assert [item.name for item in circuit_carriers(contoso, "ams")] == ["ams-primary", "ams-secondary"]
    others = [item.name for item in other_carriers(contoso, "ams", ("pc1", "vm1"))]
    assert {"hq-inet-internet", "ce1-lan", "hub-gw0-gw"} <= set(others)
    assert not {"ams-primary", "ams-secondary", "pc1", "vm1"} & set(others)
    # One line with both connections is one wire.
    line = load(TOPOLOGIES / "point-to-point.edge.yml")
    assert [item.name for item in circuit_carriers(line, "london")] == ["london-line"]


def test_on_a_wire_that_circuits_share_each_counts_by_its_own_peerings() -> None:
    direct = load(TOPOLOGIES / "direct.edge.yml")
    prod, bulk = (circuit_carriers(direct, name) for name in ("prod", "bulk"))
    assert [item.name for item in bulk] == ["bulk/private primary", "bulk/private secondary"]
    assert set(bulk[0].devices) == {
        Endpoint("ce1", "bulk1.100"),
        Endpoint("msee1-amsterdam.bulk.private", "bulk.100"),
    }
    assert len(prod) == 4
    assert not {at for item in prod for at in item.devices} & {at for item in bulk for at in item.devices}
    others = [item.name for item in other_carriers(direct, "prod", ())]
    assert others[:3] == ["bulk/private primary", "bulk/private secondary", "ce1-lan"]
    assert "pair1-primary" not in others


@pytest.mark.parametrize("path", sorted(TOPOLOGIES.glob("*.edge.yml")), ids=lambda path: path.name)
def test_every_circuit_of_the_gallery_has_what_counts_it_and_no_two_the_same(path: Path) -> None:
    model = load(path)
    seen: set[Endpoint] = set()
    for circuit in model.circuits:
        devices = {at for item in circuit_carriers(model, circuit.name) for at in item.devices}
        assert devices
        assert not devices & seen
        seen |= devices


@given(
    st.lists(st.integers(0, 10**12), min_size=4, max_size=4), st.integers(0, 10**10), st.integers(0, 10**10)
)
def test_a_carrier_carried_the_most_that_a_device_of_it_counted_one_way(
    early: list[int], sent: int, received: int
) -> None:
    before = {A: (early[0], early[1]), B: (early[2], early[3])}
    after = {A: (early[0] + received, early[1] + sent), B: (early[2], early[3])}
    wires = (Carrier("wire", (A, B)), Carrier("other", (C,)))
    assert carried(wires, before, after) == {"wire": max(sent, received), "other": 0}


def test_a_device_that_was_made_anew_or_came_or_went_proves_nothing() -> None:
    wire = (Carrier("wire", (A, B)),)
    assert carried(wire, {A: (500, 500)}, {A: (70, 90)}) == {"wire": 0}
    assert carried(wire, {A: (5, 5)}, {B: (900, 900)}) == {"wire": 0}
    assert carried(wire, {A: (500, 500), B: (10, 10)}, {A: (0, 0), B: (30, 15)}) == {"wire": 20}


def test_what_crossed_the_circuit_is_told_with_its_links() -> None:
    ok, words = judged({"ams-primary": 52_000_000, "ams-secondary": 90}, {"ce1-lan": 52_000_000})
    assert (ok, words) == (
        True,
        "pc1 -> vm1: 200 Mbit/s, 100 % of circuit ams's 200 Mbit/s, by ams-primary (100 %)",
    )


@pytest.mark.parametrize(
    ("circuit", "others", "words"),
    [
        (
            {"ams-primary": 700, "ams-secondary": 0},
            {"wan": 51_000_000, "tunnel": 52_000_000, "quiet": 40_000},
            "less than 1 % of it crossed circuit ams; it went by wan, tunnel",
        ),
        # Two of four connections: as much of it is not by the circuit.
        (
            {"ams-primary": 26_000_000},
            {"wan": 25_500_000},
            "only 52 % of it crossed circuit ams; it went by wan",
        ),
        ({"ams-primary": RECEIVED - 1}, {}, "only 99 % of it crossed circuit ams"),
    ],
)
def test_what_went_another_way_fails_however_fast_it_was(
    circuit: dict[str, int], others: dict[str, int], words: str
) -> None:
    assert judged(circuit, others) == (
        False,
        f"pc1 -> vm1: 200 Mbit/s, 100 % of circuit ams's 200 Mbit/s; {words}",
    )


def test_both_what_is_too_fast_and_where_it_went_are_told() -> None:
    check = ThroughputCheck("pc1", "vm1", "ams", most_percent=80)
    ok, words = judged({"ams-primary": 0}, {"wan": RECEIVED}, check)
    assert not ok
    assert words.endswith(
        "; at most 160 Mbit/s expected; less than 1 % of it crossed circuit ams; it went by wan"
    )
