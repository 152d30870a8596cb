"""Storms of faults come from their seed; and what happens in a lab is explained by faults, or it is not."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edge.errors import UsageError
from edge.model import Network
from lab.faults.explained import GRACE_S, touched, unexplained
from lab.faults.faulted import faulted, read
from lab.faults.kinds import KINDS
from lab.faults.model import Active, Kind
from lab.faults.ranges import SPARE_PREFIXES
from lab.faults.schedule import Scripted
from lab.faults.storm import can_end_alone, drawn_options, storm
from lab.faults.units import NODE, fields_of
from lab.model import LabModel
from lab.topology import load

TOPOLOGIES = Path(__file__).parents[2] / "lab" / "topologies"
CONTOSO = TOPOLOGIES / "contoso.edge.yml"
GOLDEN = Path(__file__).parents[1] / "golden" / "storm" / "contoso-7.txt"
"""A minute of storm; EDGELAB_UPDATE_GOLDEN=1 writes it anew. Read the difference before committing it."""
LONG_S = 900.0


@pytest.fixture(scope="module")
def contoso() -> LabModel:
    return load(CONTOSO)


@pytest.fixture(scope="module")
def long(contoso: LabModel) -> tuple[Scripted, ...]:
    return storm(contoso, 7, LONG_S)


def ends(one: Scripted) -> float:
    return one.at_s + (one.for_s or 0.0)


def test_a_seed_gives_one_storm_and_another_seed_another(
    contoso: LabModel, long: tuple[Scripted, ...]
) -> None:
    assert storm(contoso, 7, LONG_S) == long
    assert storm(contoso, 8, LONG_S) != long


def test_in_a_long_storm_every_kind_strikes(long: tuple[Scripted, ...]) -> None:
    assert {one.fault.kind for one in long} == set(KINDS)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_faults_are_active_than_asked_for_and_all_are_over_in_time(
    contoso: LabModel, most: int
) -> None:
    strikes = storm(contoso, 11, 300.0, most)
    assert len(strikes) > 20
    for one in strikes:
        together = [other for other in strikes if other.at_s <= one.at_s < ends(other)]
        assert len(together) <= most
        assert len({other.fault.target for other in together}) == len(together)
    assert max(ends(one) for one in strikes) <= 300.0
    assert [one.at_s for one in strikes] == sorted(one.at_s for one in strikes)


def test_every_fault_harms_the_lab_on_top_of_those_that_are_active(
    contoso: LabModel, long: tuple[Scripted, ...]
) -> None:
    for one in long:
        busy = [other for other in long if other.at_s <= one.at_s < ends(other)]
        model = replace(contoso, faults=tuple(Active(other.fault, other.at_s) for other in busy))
        harmed = faulted(model)
        assert harmed.faults == ()


def test_a_seed_gives_the_same_storm_in_every_session_and_with_every_python(contoso: LabModel) -> None:
    told = [f"{one.at_s:.3f} {one.for_s} {one.fault}" for one in storm(contoso, 7, 60.0)]
    text = "\n".join(told) + "\n"
    if os.environ.get("EDGELAB_UPDATE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_option_has_words_an_end_of_a_link_or_a_range_whose_values_are_good_ones(kind: Kind) -> None:
    chance = Random(1)
    for name, (_, known) in fields_of(kind.options).items():
        assert bool(known.unit.choices) + (known.unit is NODE) + (known.drawn is not None) == 1, name
        if known.drawn is None:
            continue
        values = [*known.drawn.corners(), *(known.drawn.draw(chance) for _ in range(50))]
        for value in values:
            read_back = known.unit.read(known.unit.show(value))
            assert read_back == (pytest.approx(value) if isinstance(value, float) else value)
        corners = known.drawn.corners()
        assert all(value in corners or min(corners) < value < max(corners) for value in values)  # type: ignore[type-var, operator]


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_storms_use_many_values_of_every_option(contoso: LabModel, kind: Kind) -> None:
    chance = Random(1)
    drawn = [drawn_options(contoso, kind, kind.example.split()[0], chance) for _ in range(100)]
    for name, (field, known) in fields_of(kind.options).items():
        values = {words[name] for words in drawn if name in words}
        assert len(values) >= (2 if known.unit.choices or known.unit is NODE else 3), name
        # Each that has a default is left away as well.
        needed = field.default is dataclasses.MISSING
        assert needed or any(name not in words for words in drawn)


def test_spare_prefixes_are_nobodys_in_any_lab_of_the_gallery() -> None:
    spare = [ip_network(str(text)) for text in SPARE_PREFIXES.values]
    for path in sorted(TOPOLOGIES.glob("*.edge.yml")):
        own = {one.network for router in load(path).routers for vrf in router.vrfs for one in vrf.originates}
        taken = {one for one in own if one.prefixlen for base in spare if _overlap(base, one)}
        assert not taken, path.name


def _overlap(one: Network, other: Network) -> bool:
    # Networks of two versions cannot be compared.
    return one.version == other.version and one.overlaps(other)  # type: ignore[arg-type]


@pytest.mark.parametrize(("seed", "most"), [(1, 2), (2, 4), (3, 8)])
def test_whenever_a_fault_of_a_storm_ends_the_others_fit_without_it(
    contoso: LabModel, seed: int, most: int
) -> None:
    strikes = storm(contoso, seed, 200.0, most)
    for ending in strikes:
        left = [one for one in strikes if one.at_s < ends(ending) < ends(one)]
        model = replace(contoso, faults=tuple(Active(one.fault, one.at_s) for one in left))
        assert faulted(model).faults == ()


def test_a_fault_that_would_keep_another_past_its_end_does_not_strike(contoso: LabModel) -> None:
    def tag(peering: str, vid: int, for_s: float) -> Scripted:
        target, options = f"ams/{peering}/primary", {"c-tag": str(vid)}
        return Scripted(0.0, for_s, read(None, {"kind": "wrong-tag", "target": target, "options": options}))

    assert not can_end_alone(contoso, [tag("private", 101, 1.0), tag("microsoft", 100, 2.0)])
    assert can_end_alone(contoso, [tag("private", 101, 2.0), tag("microsoft", 100, 1.0)])


@pytest.mark.parametrize(("seconds", "most"), [(0.1, 2), (10, 0)])
def test_what_makes_no_storm_is_refused(contoso: LabModel, seconds: float, most: int) -> None:
    with pytest.raises(UsageError, match="a storm lasts"):
        storm(contoso, 1, seconds, most)


def fault(at: float, state: str, kind: str = "silent", target: str = "ams/primary") -> dict[str, Any]:
    return {"time": at, "kind": "fault", "name": "one", "state": state, "fault": kind, "target": target}


def falls(at: float, namespace: str, protocol: str) -> dict[str, Any]:
    fields = {"event": "state", "state": "stop", "namespace": namespace, "protocol": protocol}
    return {"time": at, "kind": "session", **fields}


DEPLOYED = {"time": 1.0, "kind": "lab", "state": "deployed"}
CE1_MSEE1 = falls(100.5, "ce1", "microsoft_ams_private_primary")
MSEE1_CE1 = falls(100.5, "msee1-amsterdam.ams.private", "customer_customer")
MSEE1_GW0 = falls(100.5, "msee1-amsterdam.ams.private", "gateway_hub_gw0")
CE2_MSEE2 = falls(100.5, "ce2", "microsoft_ams_private_secondary")
CE2_CE1 = falls(100.5, "ce2", "mesh_mesh_ce1")
ALL = [CE1_MSEE1, MSEE1_CE1, MSEE1_GW0, CE2_MSEE2, CE2_CE1]


@pytest.mark.parametrize(
    ("kind", "target", "explained"),
    [
        ("silent", "ams/primary", [CE1_MSEE1, MSEE1_CE1]),
        ("silent", "ams-primary", [CE1_MSEE1, MSEE1_CE1]),
        ("silent", "ams", [CE1_MSEE1, MSEE1_CE1, CE2_MSEE2]),
        ("link-down", "ams/secondary", [CE2_MSEE2]),
        ("crash", "ce1", [CE1_MSEE1, MSEE1_CE1, CE2_CE1]),
        ("hang", "hub-gw0", [MSEE1_GW0]),
    ],
)
def test_a_fault_explains_what_it_touches_and_no_more(
    contoso: LabModel, kind: str, target: str, explained: list[dict[str, Any]]
) -> None:
    found = unexplained(contoso, [DEPLOYED, fault(100.0, "begins", kind, target), *ALL])
    assert [event for event in ALL if event not in found] == explained


def test_a_fault_explains_from_its_beginning_until_some_time_after_its_end(contoso: LabModel) -> None:
    told = [DEPLOYED, fault(100.0, "begins"), fault(110.0, "ends")]
    times = (50.0, 100.0, 109.0, 111.0, 110.0 + GRACE_S, 111.0 + GRACE_S)
    fallen = [{**CE1_MSEE1, "time": at} for at in times]
    events = sorted([*told, *fallen], key=lambda event: event["time"])
    assert [event["time"] for event in unexplained(contoso, events)] == [50.0, 111.0 + GRACE_S]


def test_what_a_fault_does_before_it_is_told_is_explained(contoso: LabModel) -> None:
    told = {**fault(105.0, "begins"), "since": 100.0}
    early, before = {**CE1_MSEE1, "time": 101.0}, {**CE1_MSEE1, "time": 98.0}
    assert unexplained(contoso, [DEPLOYED, before, early, told]) == [before]


def test_what_comes_up_needs_no_explanation_and_a_command_explains_what_follows(contoso: LabModel) -> None:
    comes = {**CE1_MSEE1, "state": "up"}
    assert unexplained(contoso, [DEPLOYED, comes]) == []
    assert unexplained(contoso, [DEPLOYED, CE1_MSEE1]) == [CE1_MSEE1]
    service = {"time": 100.0, "kind": "service", "command": "ResetPeering"}
    assert unexplained(contoso, [DEPLOYED, service, CE1_MSEE1]) == []


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "link", "namespace": "ce1", "device": "ams1", "up": True, "carrier": False, "present": True},
        {"kind": "daemon", "namespace": "ce1", "state": "died", "deaths": 1},
    ],
)
def test_links_that_go_and_daemons_that_die_want_an_explanation(
    contoso: LabModel, event: dict[str, Any]
) -> None:
    event |= {"time": 100.5}
    assert unexplained(contoso, [DEPLOYED, event]) == [event]
    crash = fault(100.0, "happens", "crash", "ce1")
    assert unexplained(contoso, [DEPLOYED, crash, event]) == []
    assert unexplained(contoso, [DEPLOYED, {**crash, "target": "ce2"}, event]) == [event]


def test_who_has_no_power_takes_the_carrier_from_the_other_ends(contoso: LabModel) -> None:
    fields = {"device": "hq-inet", "up": True, "carrier": False, "present": True}
    event = {"time": 100.5, "kind": "link", "namespace": "internet", **fields}
    for kind, target, known in (
        ("site-down", "hq", True),
        ("node-down", "hq-inet", True),
        ("crash", "ce1", False),
    ):
        found = unexplained(contoso, [DEPLOYED, fault(100.0, "begins", kind, target), event])
        assert (found == []) is known, (kind, target)


def test_a_silent_link_kills_no_daemon(contoso: LabModel) -> None:
    died = {"time": 100.5, "kind": "daemon", "namespace": "ce1", "state": "died"}
    assert unexplained(contoso, [DEPLOYED, fault(100.0, "begins"), died]) == [died]
    assert touched(contoso, "silent", "ams/primary").whole == frozenset()
