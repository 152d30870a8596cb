"""What the pytest plugin decides: markers to wishes, probes against budgets, conditions compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.errors import UsageError
from lab.service.state import State
from lab.testing import wishes
from lab.testing.condition import Condition, in_words, worse
from lab.testing.evidence import folder_for
from lab.testing.house import LONGEST_NAME, Habits, House
from lab.testing.meter import broken, measured
from lab.testing.wishes import Budget, FaultWish, Wish
from lab.traffic.outage import Probe

MS = 1_000_000
ONE_EDGE = Path(__file__).parents[2] / "lab" / "topologies" / "one-edge.edge.yml"


def test_markers_become_wishes() -> None:
    assert wishes.wish((), {}) == Wish()
    document = {"name": "x"}
    assert wishes.wish((document,), {"scope": "session", "links": "ring", "settled": False}) == Wish(
        document, "session", "ring", False
    )
    assert wishes.fault(("loss", "ams/primary"), {"part": "2%", "by_hand": 3}) == FaultWish(
        "loss", "ams/primary", (("part", "2%"), ("by-hand", "3"))
    )
    assert str(wishes.fault(("loss", "ams/primary"), {"part": "2%"})) == "loss ams/primary --part 2%"
    found = wishes.budget(("pc1", "vm1"), {"outage": "1.5s", "loss": "0%", "round_trip": "20 ms"})
    assert found == Budget("pc1", "vm1", 1.5, 0.0, 0.02, during_s=2.5)
    longer = wishes.budget(("pc1", "vm1"), {"loss": "1%", "during": "3s", "pace": "1ms", "family": 6})
    assert (longer.during_s, longer.pace_s, str(longer)) == (3.0, 0.001, "pc1 -> vm1 IPv6")


@pytest.mark.parametrize(
    ("take", "arguments", "options", "said"),
    [
        (wishes.wish, ("a.yml", "b.yml"), {}, "too many positional arguments; it is edgelab(topology"),
        (wishes.wish, (3,), {}, "a topology file, its text or a dict, not 3"),
        (wishes.wish, ("a.yml",), {"scope": "package"}, "one of: function, class, module, session"),
        (wishes.wish, ("a.yml",), {"links": "wires"}, "one of: auto, kernel, bpf, ring"),
        (wishes.fault, ("loss",), {}, "takes a kind and a target"),
        (wishes.fault, ("loss", 3), {}, "takes a kind and a target"),
        (wishes.budget, ("pc1",), {"loss": "1%"}, "missing a required argument: 'target'"),
        (wishes.budget, ("pc1", "vm1"), {}, "has no figure; add outage, loss or round_trip"),
        (wishes.budget, ("pc1", "vm1"), {"outage": 1}, "'500ms' or '1s'"),
        (wishes.budget, ("pc1", "vm1"), {"outage": "0s"}, "'500ms' or '1s'"),
        (wishes.budget, ("pc1", "vm1"), {"loss": "1"}, "'0%' or '1.5%'"),
        (wishes.budget, ("pc1", "vm1"), {"loss": "101%"}, "'0%' or '1.5%'"),
        (wishes.budget, ("pc1", "vm1"), {"loss": "1%", "family": 5}, "4 or 6"),
        (wishes.budget, ("pc1", "vm1"), {"mos": 4}, "unexpected keyword argument 'mos'"),
    ],
)
def test_what_a_marker_cannot_mean_is_refused_with_a_way_out(
    take: Any, arguments: tuple[Any, ...], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        take(arguments, options)
    assert said in str(refusal.value)


def probes(*answered: bool, trip_ms: float = 1.0) -> list[Probe]:
    """Every 10 ms one, answered or not."""
    return [
        Probe(number * 10 * MS, number * 10 * MS + int(trip_ms * MS) if came else None)
        for number, came in enumerate(answered)
    ]


def test_an_outage_is_as_long_as_no_probe_comes_through() -> None:
    found = measured(probes(True, False, False, False, True, False, True, True), 0.01)
    assert found.outage.lost == 4
    assert found.outage.longest is not None
    assert found.outage.longest.seconds == pytest.approx(0.03)
    assert str(found) == "4 of 8 probes lost, longest outage 0.030 s, round trip 1.00 ms"
    assert broken(Budget("pc1", "vm1", outage_s=0.03, loss_percent=50, round_trip_s=0.001), found) == ()
    assert broken(Budget("pc1", "vm1", outage_s=0.02), found) == (
        "pc1 -> vm1: no answer for 0.030 s (3 probes lost); the budget is 0.02 s",
    )
    assert broken(Budget("pc1", "vm1", loss_percent=49), found) == (
        "pc1 -> vm1: 4 of 8 probes lost, 50 %; the budget is 49 %",
    )


def test_the_round_trip_is_that_of_ninety_five_percent() -> None:
    quick = probes(*[True] * 95)
    slow = [replace(one, received_ns=one.sent_ns + 90 * MS) for one in probes(*[True] * 5)]
    assert measured([*quick, *slow], 0.01).round_trip_s == pytest.approx(0.001)
    found = measured([*quick[1:], *slow, slow[0]], 0.01)
    assert found.round_trip_s == pytest.approx(0.09)
    assert broken(Budget("pc1", "vm1", round_trip_s=0.05), found) == (
        "pc1 -> vm1: 95 % of the answers took up to 90.00 ms; the budget is 50 ms",
    )


def test_a_round_trip_alone_is_not_kept_by_the_few_that_answered() -> None:
    few, half = measured(probes(*[False] * 97, *[True] * 3), 0.01), measured(probes(*[False, True] * 8), 0.01)
    assert broken(Budget("pc1", "vm1", round_trip_s=0.05), few) == (
        "pc1 -> vm1: the round trip cannot be judged: 97 of 100 probes lost; "
        "give the budget loss= to say how many may be",
    )
    assert broken(Budget("pc1", "vm1", round_trip_s=0.05), half) == ()
    assert broken(Budget("pc1", "vm1", round_trip_s=0.05, loss_percent=98), few) == ()
    assert broken(Budget("pc1", "vm1", round_trip_s=0.05, outage_s=1), few) == ()


def test_no_answer_at_all_keeps_no_budget() -> None:
    for found in (measured([], 0.01), measured(probes(False, False), 0.01)):
        assert broken(Budget("pc1", "vm1", round_trip_s=1.0), found)
        assert broken(Budget("pc1", "vm1", loss_percent=1.0), found)


def test_only_what_is_worse_than_before_is_told() -> None:
    before = Condition(frozenset({"session a of ce1 to 1"}), frozenset(), State(), frozenset({"delete x"}))
    assert worse(before, before) == ()
    assert worse(before, replace(before, sessions=before.sessions | {"session b"}, odd=frozenset())) == ()
    after = Condition(
        frozenset(), frozenset({"silent ams (s)"}), State(), frozenset({"create y", "delete x"})
    )
    assert worse(before, after) == (
        "fault silent ams (s) is active",
        "session a of ce1 to 1 is down",
        "a deploy would create y",
    )
    assert in_words(tuple("abcdefghij")).splitlines()[-1] == "  and 2 more"


def test_evidence_of_each_test_has_a_folder_that_any_file_system_takes(tmp_path: Path) -> None:
    names = [
        "tests/a/test_x.py::test_one",
        "tests/b/test_x.py::test_one",
        "tests/a/test_x.py::Class::test_one[10.0.0.0/8-ä]",
        "tests/a/test_x.py::test_" + 300 * "x",
    ]
    folders = [folder_for(tmp_path, name) for name in names]
    assert len(set(folders)) == len(names)
    for folder in folders:
        assert folder.parent == tmp_path
        folder.mkdir()
    assert folders[0].name == "tests-a-test_x.py.test_one"


def test_names_of_labs_fit_and_differ_by_worker() -> None:
    def names(worker: str) -> list[str]:
        house = House(Habits(worker, None, "auto", 1.0, Path("x"), ""))
        return [house.name("a-lab-whose-name-is-quite-long"), house.name("contoso")]

    found = [*names("gw0"), *names("gw11")]
    assert len(set(found)) == 4
    assert all(len(name) <= LONGEST_NAME for name in found)
    assert found[1].startswith("contoso-gw0-")


def test_a_topology_is_looked_for_beside_the_test(tmp_path: Path) -> None:
    text = ONE_EDGE.read_text()
    (tmp_path / "lab.edge.yml").write_text(text.replace("name: one-edge", "name: beside"))
    house = House(Habits("main", tmp_path / "lab.edge.yml", "auto", 1.0, tmp_path, ""))
    assert house.model(Wish("lab.edge.yml"), tmp_path).name == "beside"
    assert house.model(Wish(), Path("/nowhere")).name == "beside"
    assert house.model(Wish(text), tmp_path).name == "one-edge"
    document = {**house.model(Wish(text), tmp_path).document, "name": "data"}
    assert house.model(Wish(document), tmp_path).name == "data"
    with pytest.raises(UsageError, match="edgelab_topology in the ini file"):
        House(replace(house.habits, topology=None)).model(Wish(), tmp_path)
