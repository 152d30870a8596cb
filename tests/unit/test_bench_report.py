"""Rows of benchmarks: ratios, limits, the table and the JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.__main__ import main
from tests.bench.report import Machine, Row, table, this_machine, to_json, write_json

MACHINE = Machine("Fast CPU", 2, "6.1.0", 0.5)
AGAINST = Row("ring", "ms", 80.0, 240.0, 0.45)
ALONE = Row("lab", "s", 6.5, None, 5.0)


def test_a_row_with_a_rival_is_judged_by_its_ratio() -> None:
    assert AGAINST.ratio == pytest.approx(1 / 3)
    assert AGAINST.holds
    assert not Row("ring", "ms", 120.0, 240.0, 0.45).holds


def test_a_row_without_a_rival_is_judged_by_its_value() -> None:
    assert ALONE.ratio is None
    assert not ALONE.holds
    assert Row("lab", "s", 5.0, None, 5.0).holds


def test_the_table_names_the_machine_and_marks_what_misses_its_limit() -> None:
    assert table([AGAINST, ALONE], MACHINE) == (
        "Fast CPU, 2 cores, Linux 6.1.0, load 0.50\n"
        "name   ours   rival  ratio  limit\n"
        "ring  80 ms  240 ms  0.333   0.45\n"
        "lab   6.5 s       -      -    5 s  MISSED"
    )


def test_moonshots_and_notes_stand_in_the_table() -> None:
    rows = [
        Row("tcx", "ns", 70.0, 500.0, 0.2, 1 / 6),
        Row("touch", "ns", 6.0, 5.0, 1.3, 1.15),
        Row("acl", "ns", 5.0, None, note="no rte_acl: apt-get install libdpdk-dev"),
        Row("speed", "GB/s", 2.0, None),
    ]
    assert table(rows, Machine("Fast CPU", 2, "6.1.0", 0.5, "performance")) == (
        "Fast CPU, 2 cores, Linux 6.1.0, governor performance, load 0.50\n"
        "name     ours   rival  ratio  limit  moonshot\n"
        "tcx     70 ns  500 ns  0.140    0.2    0.1667  moonshot reached\n"
        "touch    6 ns    5 ns  1.200    1.3      1.15  moonshot missed\n"
        "acl      5 ns       -      -      -         -  no rte_acl: apt-get install libdpdk-dev\n"
        "speed  2 GB/s       -      -      -         -"
    )
    assert all(row.holds for row in rows), "what cannot be judged is no failure"


def test_the_json_carries_every_row_with_its_machine(tmp_path: Path) -> None:
    write_json(tmp_path / "rows.json", [AGAINST, ALONE], MACHINE)
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert rows == to_json([AGAINST, ALONE], MACHINE)
    assert rows[0]["ratio"] == pytest.approx(1 / 3)
    assert rows[1] == {
        "name": "lab",
        "unit": "s",
        "ours": 6.5,
        "rival": None,
        "ratio": None,
        "limit": 5.0,
        "moonshot": None,
        "note": "",
        "holds": False,
        "reached": False,
        "machine": {"cpu": "Fast CPU", "cores": 2, "kernel": "6.1.0", "load": 0.5, "governor": ""},
    }


def test_this_machine_is_described_completely() -> None:
    machine = this_machine()
    assert machine.cpu
    assert machine.cores >= 1
    assert machine.kernel
    assert machine.load >= 0


def test_the_list_shows_each_benchmark_with_what_it_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.startswith("deploy: How soon a lab stands")


def test_every_benchmark_of_the_issue_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    names = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["deploy", "circuits", "classify", "forward", "pcap"]


def test_an_unknown_benchmark_is_refused_with_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["depoly"])
    assert stop.value.code == 2
    assert "no benchmark depoly; there are: deploy" in capsys.readouterr().err
