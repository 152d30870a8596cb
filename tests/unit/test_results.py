"""The table of what works where: made from results, compared with what is committed and with the marks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import scenarios
from tests.outcomes import Outcome, worst
from tests.results import (
    BEGIN,
    DOCUMENTS,
    END,
    UPDATE,
    Document,
    Results,
    cells_of,
    committed,
    differences,
    table,
    with_table,
)

ROOT = Path(__file__).parents[2]
CELLS: dict[tuple[str, str, str], Outcome] = {
    ("QinQ, outer 0x88a8", "kernel", "stock"): "yes",
    ("QinQ, outer 0x88a8", "bpf", "here"): "yes",
    ("a link pulled", "bpf", "here"): "no",
}
TEXT = """\
| what | `kernel`, stock | `bpf`, here |
| --- | --- | --- |
| QinQ, outer 0x88a8 | yes | yes |
| a link pulled | - | no |
"""


def test_a_table_has_a_row_for_each_thing_and_a_column_for_each_place_where_something_was_shown() -> None:
    assert table(CELLS) == TEXT


def test_a_table_is_read_back_as_it_was_written() -> None:
    assert cells_of(table(CELLS)) == CELLS
    assert cells_of("") == {}


def test_a_table_with_a_word_of_ones_own_is_refused() -> None:
    with pytest.raises(ValueError, match="not a table of results"):
        cells_of(TEXT.replace("| no |", "| soon |"))


@pytest.mark.parametrize("stands", ["", "| old |\n"], ids=["the first", "another one's place"])
def test_a_table_is_put_into_the_document(stands: str) -> None:
    around = f"# Head\n{BEGIN}\n%s{END}\nfoot\n"
    assert with_table(around % stands, TEXT) == around % TEXT
    assert committed(around % TEXT) == TEXT


def test_one_test_that_fails_makes_a_no_of_all() -> None:
    assert worst(["yes", "no", "skipped"]) == "no"
    assert worst(["yes", "skipped"]) == "skipped"
    assert worst(["yes"]) == "yes"


def test_results_are_stored_and_read() -> None:
    results = Results("here", "6.1", True, CELLS)
    assert Results.of_json(json.loads(json.dumps(results.to_json()))) == results


def test_a_result_that_the_table_does_not_have_is_a_difference_and_so_is_one_that_is_gone() -> None:
    cell = ("a link pulled", "bpf", "here")
    assert differences(CELLS, [Results("here", "", True, {**CELLS, cell: "yes"})]) == [
        "a link pulled (bpf on here): the table says no, the tests yes"
    ]
    one = {cell: CELLS[cell]}
    assert differences(CELLS, [Results("here", "", True, one)]) == [
        "QinQ, outer 0x88a8 (bpf on here): the table says yes, the tests -"
    ]


def test_kernels_whose_tests_did_not_all_run_are_not_compared() -> None:
    assert differences(CELLS, [Results("here", "", False, {}), Results("stock", "", False, {})]) == []
    assert differences(CELLS, []) == []


def test_two_runs_that_shared_the_tests_count_as_one_and_the_worse_of_both_stands() -> None:
    cell = ("a link pulled", "bpf", "here")
    halves = ({cell: CELLS[cell]}, {**CELLS, cell: "yes"})
    results = [Results("here", "", True, half) for half in halves]
    assert CELLS[cell] == "no"
    assert differences(CELLS, results) == differences(CELLS, results[::-1]) == []


def test_what_a_machine_cannot_do_and_skips_is_no_difference() -> None:
    skipped: dict[tuple[str, str, str], Outcome] = {
        cell: "skipped" for cell, outcome in CELLS.items() if cell[2] == "here"
    }
    assert differences(CELLS, [Results("here", "", True, skipped)]) == []


@pytest.fixture(scope="module")
def claimed(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What all tests of the project say that they show."""
    summary = tmp_path_factory.mktemp("claims") / "summary"
    subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "EDGELAB_TEST_SUMMARY": str(summary)},
        check=True,
        capture_output=True,
    )
    return Results.of_json(json.loads(Path(f"{summary}.claims.json").read_text()))


@pytest.mark.skipif("EDGELAB_UPDATE_TABLE" in os.environ, reason="the table is about to be written anew")
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_a_committed_table_has_what_the_tests_show_and_nothing_else(
    claimed: Results, document: Document
) -> None:
    assert document.stands == document.of(claimed.cells), UPDATE


def test_each_of_the_sixty_scenarios_is_shown_by_a_test(claimed: Results) -> None:
    assert list(scenarios.ALL) == list(range(1, 61))
    assert scenarios.missing(claimed.cells) == []


MARKED = """
import pytest
@pytest.mark.kernels("here", "stock")
@pytest.mark.shows("one", "two", here="bpf", stock=("kernel", "bpf"))
def test_both(): pass
@pytest.mark.shows("two", here="bpf")
def test_fails(): assert False
@pytest.mark.shows("three", here="any")
def test_skips(): pytest.skip("not today")
def test_scenario_07_the_customers_write(): pass
@pytest.mark.scenario(shown="wire")
@pytest.mark.parametrize("which", [1, 2])
def test_scenario_07_breaks_sessions(which): assert which == 1
"""
INI = "[pytest]\nmarkers =\n kernels(*names): where\n shows(*what, **where): what\n scenario(shown): how\n"


def test_marked_tests_leave_a_file_of_what_they_came_to(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGELAB_TEST_SUMMARY", str(pytester.path / "summary"))
    monkeypatch.setenv("EDGELAB_TEST_KERNEL", "here")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(MARKED)
    pytester.makeini(INI)
    options = ("-p", "tests.kernels", "-p", "tests.results", "-p", "no:cacheprovider")
    pytester.runpytest_inprocess(*options)
    (file,) = pytester.path.glob("summary.here.*.json")
    results = Results.of_json(json.loads(file.read_text()))
    assert results.cells == {
        ("one", "bpf", "here"): "yes",
        ("two", "bpf", "here"): "no",
        ("three", "any", "here"): "skipped",
        ("scenario 07", "rules", "here"): "yes",
        ("scenario 07", "wire", "here"): "no",
    }


@pytest.mark.parametrize(
    ("mark", "name"),
    [
        ("shows()", "x"),
        ("shows('x')", "x"),
        ("shows('x', stock='bpf')", "x"),
        ("shows('x', here='no')", "x"),
        ("kernels('here')", "scenario_7_words"),
        ("kernels('here')", "scenario_61_words"),
        ("scenario(shown='wire')", "x"),
        ("scenario(shown='dream')", "scenario_07_words"),
        ("scenario(source='?')", "scenario_07_words"),
    ],
)
def test_a_mark_or_a_name_that_says_nothing_or_something_unknown_is_refused(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, mark: str, name: str
) -> None:
    monkeypatch.delenv("EDGELAB_TEST_SUMMARY", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(f"import pytest\n@pytest.mark.{mark}\ndef test_{name}(): pass")
    pytester.makeini(INI)
    done = pytester.runpytest_inprocess(
        "-p", "tests.kernels", "-p", "tests.results", "-p", "no:cacheprovider"
    )
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([f"*test_{name}: *s*"])


SCENARIOS: dict[tuple[str, str, str], Outcome] = {
    ("scenario 01", "rules", "here"): "yes",
    ("scenario 01", "wire", "here"): "no",
    ("scenario 02", "wire", "stock"): "skipped",
}


def test_a_scenario_holds_when_all_its_tests_passed_and_one_without_a_test_is_missing() -> None:
    rows = [line.split(" | ") for line in scenarios.table(SCENARIOS).splitlines()[2:5]]
    assert [row[2:6] for row in rows] == [
        ["no", "yes", "no", "-"],
        ["skipped", "-", "-", "skipped"],
        ["missing", "-", "-", "-"],
    ]
    assert rows[0][0] == "| 1"
    assert rows[0][6].startswith("Routing requirements; ")
    assert scenarios.missing(SCENARIOS)[0] == 3


def test_the_table_of_scenarios_is_read_back_as_it_was_written() -> None:
    assert scenarios.cells_of(scenarios.table(SCENARIOS)) == SCENARIOS
    assert scenarios.cells_of("") == {}
