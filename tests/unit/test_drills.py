"""Drills without a lab: what comes of a run of probes, aims, the table, choices, generic drills, reports."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edge.errors import UsageError
from lab.drills import choice, generic, words
from lab.drills.model import Aim, Drill, Row, row_json
from lab.drills.table import BFD, CARRIER, DRILLS, NO_LOSS
from lab.drills.topologies import GALLERY, SETTINGS, gallery, line, read
from lab.faults.faulted import read as read_fault
from lab.report.drills import drills_json, drills_junit, drills_table, gap_words, list_json
from lab.topology import derive, load
from lab.traffic.metering import (
    Course,
    Mark,
    Metering,
    allowed_a_month,
    carried,
    metering_json,
    metering_of,
)
from lab.traffic.outage import Probe

MS = 1_000_000
PC, VM = "pc1 -> vm1", "vm1 -> pc1"


def course(way: str, lost: range, count: int = 1000, after: str = "two", begin_ns: int = 0) -> Course:
    """Probes each millisecond; before the lost ones by link one, behind them by another."""
    return Course(
        way,
        tuple(
            Probe(
                begin_ns + n * MS,
                None if n in lost else begin_ns + n * MS + 50_000,
                "one" if n < lost.start else after,
            )
            for n in range(count)
        ),
    )


def run(
    lost: range = range(200, 240), healed: int | None = 700, count: int = 1000, other: range = range(0)
) -> Metering:
    """A run of both ways with a fault at 200 ms."""
    marks = [Mark(200 * MS, "fault", "silent ams/primary")]
    marks += [Mark(healed * MS, "healed")] if healed is not None else []
    return Metering(MS, (course(PC, lost, count), course(VM, other, count, "one")), tuple(marks))


def row(metering: Metering | None = None, aim: Aim = CARRIER, **fields: object) -> Row:
    """A row of a drill with that aim, which has settled and converged."""
    drill = replace(DRILLS["carrier-loss"], aim=aim)
    given = {"metering": metering or run(), "settled": True, "converged_s": 1.5, **fields}
    return Row(drill, **given)  # type: ignore[arg-type]


def test_the_longest_gap_of_all_ways_counts_with_the_links_before_and_after() -> None:
    found = run(other=range(210, 215))
    assert found.worst().way == PC
    assert found.worst().seconds == pytest.approx(0.040)
    assert found.lost == 45
    assert found.links() == (("one", "one"), ("two", "one"))
    assert found.availability == pytest.approx(96.0)


def test_what_is_lost_after_healing_is_told_apart() -> None:
    found = run(lost=range(750, 760))
    assert found.until_healed().lost == 0
    assert found.since_healed().lost == 10
    # At the end of the fault all still went by the first link.
    assert found.links()[1] == ("one", "one")
    assert run(healed=None).since_healed().sent == 0


def test_a_run_survives_json_with_its_probes() -> None:
    found = run()
    told = json.loads(json.dumps(metering_json(found, probes=True)))
    assert metering_of(told) == found
    assert "probes" not in metering_json(found)["ways"][0]
    assert (told["longest_gap_s"], told["lost"], told["promised_percent"]) == (0.04, 40, 99.95)


def test_a_month_has_room_for_so_many_gaps_as_99_95_percent_leave() -> None:
    # 0.05 % of 30 days are 1296 s.
    assert allowed_a_month(1.296) == 1000
    assert allowed_a_month(0.0) is None


def test_taps_are_links_by_their_bits() -> None:
    assert [carried(bits, ("one", "two")) for bits in (0, 1, 2, 3)] == ["", "one", "two", "one+two"]


@pytest.mark.parametrize(
    ("made", "verdict", "problem"),
    [
        (row(), "met", ""),
        (row(run(range(200, 260))), "missed", "the longest gap was 0.060 s, and may be 50 ms"),
        (row(settled=False), "missed", "packets were still lost 15 s after the fault"),
        (row(converged_s=None, pending=("s of ce1 (Active)",)), "missed", "not all sessions came back"),
        (row(run(range(0)), NO_LOSS), "met", ""),
        (row(run(range(200, 201)), NO_LOSS), "missed", "1 packets were lost, and none may be"),
        # Not one packet, also when it is healed.
        (row(run(range(800, 801)), NO_LOSS), "missed", "1 packets were lost, and none may be"),
        (row(run(range(205, 700)), Aim(None, "")), "met", ""),
        (row(run(range(205, 300)), Aim(None, "")), "missed", "traffic went on"),
        (row(run(range(0)), Aim(None, "")), "missed", "traffic went on"),
        (Row(DRILLS["vpn-backup"], skipped="no ESP"), "skipped", ""),
    ],
)
def test_a_row_says_whether_the_aim_was_met_and_why_not(made: Row, verdict: str, problem: str) -> None:
    assert made.verdict == verdict
    assert made.problem.startswith(problem)
    assert bool(made.problem) == bool(problem)


@pytest.mark.parametrize("drill", DRILLS.values(), ids=lambda drill: drill.name)
def test_every_drill_of_the_table_fits_its_topology(drill: Drill) -> None:
    model = derive({**SETTINGS[drill.topology].document(), "name": "drill"})
    for target in drill.targets:
        read_fault(model, {"kind": drill.kind, "target": target, "options": dict(drill.options)})
    assert set(drill.crossing) <= {link.name for link in model.links}
    assert {drill.source, drill.target_host} <= {host.name for host in model.hosts}
    assert drill.aim.source
    assert drill.at_least_s < drill.deadline_s


def test_drills_of_one_lab_stand_together_and_a_setting_is_deployed_once() -> None:
    labs = [SETTINGS[drill.topology].lab for drill in DRILLS.values()]
    settings = [drill.topology for drill in DRILLS.values()]
    for names in (labs, settings):
        changes = sum(one != other for one, other in itertools.pairwise(names))
        assert changes == len(set(names)) - 1


def test_the_drills_of_the_issue_are_all_there() -> None:
    kinds = {(drill.kind, drill.topology) for drill in DRILLS.values()}
    assert {
        ("link-down", "forwarding"),
        ("silent", "exchange"),
        ("silent", "exchange-3-10"),
        ("silent", "exchange-60-180"),
        ("crash", "exchange"),
        ("maintenance", "exchange"),
        ("maintenance", "exchange-preferred"),
        ("node-down", "metro"),
        ("link-down", "vpn-backup"),
        ("link-down", "direct"),
    } <= kinds


def test_the_aims_are_those_of_the_issue() -> None:
    assert DRILLS["carrier-loss"].aim.gap_s == 0.05
    assert DRILLS["silent-bfd"].aim.gap_s == 1.0
    assert DRILLS["maintenance"].aim.gap_s == 0.0


def test_all_is_without_the_long_ones_unless_asked_for() -> None:
    usual = {drill.name for drill in choice.choose((), True, False).drills}
    assert usual == {name for name, drill in DRILLS.items() if not drill.long}
    assert {drill.name for drill in choice.choose((), True, True).drills} == set(DRILLS)


def test_named_drills_run_in_the_order_of_the_table_long_ones_as_well() -> None:
    found = choice.choose(("silent-60-180", "carrier-loss"), False, False).drills
    assert [drill.name for drill in found] == ["carrier-loss", "silent-60-180"]


def test_a_word_that_is_nothing_is_refused_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGELAB_DIR", str(tmp_path))
    with pytest.raises(UsageError, match="carrier-loss"):
        choice.choose(("carrier-los",), False, False)
    with pytest.raises(UsageError, match=r"no drill nonsense.*\nno drill rubbish"):
        choice.choose(("contoso", "nonsense", "rubbish"), False, False)


def test_a_topology_of_the_gallery_brings_drills_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGELAB_DIR", str(tmp_path))
    found = choice.choose(("contoso", "silent-loss"), False, False)
    (drill,) = found.drills
    assert (drill.targets, drill.source, drill.target_host) == (("ams/primary",), "pc1", "vm1")
    assert found.lab is None
    assert derive(found.settings["contoso"].document()).name == "contoso"


@pytest.mark.parametrize(
    "name", [name for name in gallery() if name not in ("names", "one-edge", "point-to-point")]
)
def test_generic_drills_fit_the_gallery(name: str) -> None:
    model = load(GALLERY / f"{name}.edge.yml")
    for drill in generic.drills_for(model, name):
        for target in drill.targets:
            read_fault(model, {"kind": drill.kind, "target": target, "options": dict(drill.options)})
        assert set(drill.crossing) <= {link.name for link in model.links}
        assert {drill.source, drill.target_host} <= {host.name for host in model.hosts}


def test_a_generic_drill_aims_at_what_the_circuit_has() -> None:
    def aims(**changes: object) -> dict[str, float | None]:
        model = derive(line(**changes))  # type: ignore[arg-type]
        return {drill.name: drill.aim.gap_s for drill in generic.drills_for(model, "x")}

    assert (aims()["carrier-loss"], aims()["silent-loss"]) == (BFD.gap_s, BFD.gap_s)
    assert aims(forwarding=True)["carrier-loss"] == CARRIER.gap_s
    assert aims(bfd=False, timers=(3, 10))["silent-loss"] == 15.0
    assert aims(bfd=False)["silent-loss"] == 185.0
    slow = {drill.name for drill in generic.drills_for(derive(line(bfd=False)), "x") if drill.long}
    assert slow == {"carrier-loss", "silent-loss"}


def test_a_lab_with_nothing_to_drill_says_so() -> None:
    with pytest.raises(UsageError, match="nothing to drill"):
        generic.drills_for(load(GALLERY / "names.edge.yml"), "names")


def test_a_fault_in_words_tells_what_it_crosses_and_when_all_that_it_does_has_begun() -> None:
    model = load(GALLERY / "contoso.edge.yml")
    cut = words.fault_of(model, "link-down ams/primary")
    assert (cut.crossing, cut.unfolds_s) == (("ams-primary",), 0.0)
    work = words.fault_of(model, "maintenance ams/primary --drain 7s")
    assert (work.crossing, work.unfolds_s) == (("ams-primary",), 7.0)
    assert words.fault_of(model, "flap ams/primary").unfolds_s == 0.0
    assert words.fault_of(model, "crash ce1").crossing == ()


def test_a_fault_in_words_is_split_as_a_shell_would() -> None:
    found = words.split("loss 'ams/primary' --part 2% --seed=7")
    assert found.call == ("loss", "ams/primary", {"part": "2%", "seed": "7"})
    for bad in ("silent", "silent a b", "loss a --part", "silent 'a"):
        with pytest.raises(UsageError, match="--fault"):
            words.split(bad)


def test_a_fault_knows_the_links_that_it_harms() -> None:
    model = derive(read(GALLERY / "contoso.edge.yml"))
    assert words.fault_of(model, "silent ams/primary").crossing == ("ams-primary",)
    assert words.fault_of(model, "crash ce1").crossing == ()
    with pytest.raises(UsageError, match="no kind of fault silence"):
        words.fault_of(model, "silence ams/primary")


def test_reports_tell_figures_verdicts_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    from edge.console import show

    rows = [row(), row(run(range(200, 260))), Row(DRILLS["vpn-backup"], skipped="no ESP here")]
    show(drills_table(rows))
    text = capsys.readouterr().out
    assert "40.0 ms" in text
    assert "the longest gap was 0.060 s" in text
    assert "vpn-backup: not run: no ESP here" in text
    assert "1 met, 1 missed, 1 skipped" in text
    told = json.loads(json.dumps(drills_json(rows)))
    assert [one["verdict"] for one in told["drills"]] == ["met", "missed", "skipped"]
    first = told["drills"][0]
    assert (first["link_before"], first["link_after"]) == ("one", "two / one")
    assert told["drills"][0]["such_gaps_a_month"] == 32400
    assert {one["name"] for one in list_json(DRILLS.values())["drills"]} == set(DRILLS)


def test_junit_has_a_case_each_that_a_ci_server_reads() -> None:
    rows = [row(), row(run(range(200, 260))), Row(DRILLS["vpn-backup"], skipped='no "ESP" & more')]
    text = drills_junit(rows, datetime(2026, 1, 2, tzinfo=timezone.utc))
    suite = ElementTree.fromstring(text).find("testsuite")
    assert suite is not None
    assert {key: suite.get(key) for key in ("tests", "failures", "skipped")} == {
        "tests": "3",
        "failures": "1",
        "skipped": "1",
    }
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "0.060 s" in str(failure.get("message"))
    skipped = suite.find("testcase/skipped")
    assert skipped is not None
    assert skipped.get("message") == 'no "ESP" & more'


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "none"), (0.0032, "3.2 ms"), (0.0999, "99.9 ms"), (0.86, "0.86 s")]
)
def test_a_gap_in_words(seconds: float, text: str) -> None:
    assert gap_words(seconds) == text


def test_a_row_that_did_not_run_has_no_figures() -> None:
    told = row_json(Row(DRILLS["vpn-backup"], skipped="no ESP"))
    assert told["skipped"] == "no ESP"
    assert "longest_gap_s" not in told
