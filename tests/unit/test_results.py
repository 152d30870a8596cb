"""The table of what works where: made from results, compared with what is committed and with the marks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.results import (
    BEGIN,
    DOCUMENT,
    END,
    UPDATE,
    Outcome,
    Results,
    cells_of,
    committed,
    differences,
    table,
    with_table,
    worst,
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


def test_what_a_machine_cannot_do_and_skips_is_no_difference() -> None:
    skipped: dict[tuple[str, str, str], Outcome] = {
        cell: "skipped" for cell, outcome in CELLS.items() if cell[2] == "here"
    }
    assert differences(CELLS, [Results("here", "", True, skipped)]) == []


@pytest.mark.skipif("EDGELAB_UPDATE_TABLE" in os.environ, reason="the table is about to be written anew")
def test_the_committed_table_has_what_the_marked_tests_show_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "EDGELAB_TEST_SUMMARY": str(tmp_path / "summary")},
        check=True,
        capture_output=True,
    )
    claimed = Results.of_json(json.loads((tmp_path / "summary.claims.json").read_text()))
    stands = cells_of(committed(DOCUMENT.read_text(encoding="utf-8")))
    assert stands == claimed.cells, UPDATE


MARKED = """
import pytest
@pytest.mark.kernels("here", "stock")
@pytest.mark.shows("one", "two", here="bpf", stock=("kernel", "bpf"))
def test_both(): pass
@pytest.mark.shows("two", here="bpf")
def test_fails(): assert False
@pytest.mark.shows("three", here="any")
def test_skips(): pytest.skip("not today")
"""
INI = "[pytest]\nmarkers =\n kernels(*names): where\n shows(*what, **where): what\n"


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
    results = Results.of_json(json.loads((pytester.path / "summary.here.json").read_text()))
    assert results.cells == {
        ("one", "bpf", "here"): "yes",
        ("two", "bpf", "here"): "no",
        ("three", "any", "here"): "skipped",
    }


@pytest.mark.parametrize(
    "mark", ["shows()", "shows('x')", "shows('x', stock='bpf')", "shows('x', here='no')"]
)
def test_a_mark_that_says_nothing_or_something_unknown_is_refused(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, mark: str
) -> None:
    monkeypatch.delenv("EDGELAB_TEST_SUMMARY", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(f"import pytest\n@pytest.mark.{mark}\ndef test_x(): pass")
    pytester.makeini(INI)
    done = pytester.runpytest_inprocess(
        "-p", "tests.kernels", "-p", "tests.results", "-p", "no:cacheprovider"
    )
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*test_x: shows*"])
