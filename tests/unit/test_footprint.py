"""What a lab has more of than before, in words; and what there is, of a process that is known."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.errors import EdgeError
from lab.footprint import GROWTH_KIB, Footprint, footprint

BEFORE = Footprint({"bird": 9, "lab:one": 1}, 366, 57_000)


def test_a_lab_that_is_as_before_has_no_more() -> None:
    assert BEFORE.more_than(BEFORE) == []
    assert Footprint(BEFORE.processes, 360, 40_000).more_than(BEFORE) == []


def test_each_thing_more_is_told_and_so_is_a_process_that_is_gone() -> None:
    now = Footprint({"bird": 8, "lab:one": 1, "dnsmasq": 2}, 387, 57_000 + 10 * GROWTH_KIB + 1)
    assert now.more_than(BEFORE) == [
        "2 more dnsmasq",
        "1 fewer bird",
        "21 more descriptors",
        f"{10 * GROWTH_KIB + 1} KiB more memory",
    ]


def test_each_process_may_have_two_descriptors_more() -> None:
    assert Footprint(BEFORE.processes, 386, 57_000).more_than(BEFORE) == []
    assert Footprint(BEFORE.processes, 387, 57_000).more_than(BEFORE) == ["21 more descriptors"]


def test_each_process_may_have_some_memory_more() -> None:
    assert Footprint(BEFORE.processes, 366, 57_000 + 10 * GROWTH_KIB).more_than(BEFORE) == []
    more = Footprint(BEFORE.processes, 366, 57_001 + 10 * GROWTH_KIB).more_than(BEFORE)
    assert more == [f"{10 * GROWTH_KIB + 1} KiB more memory"]


def test_processes_of_the_same_pid_namespace_are_found_by_name(tmp_path: Path) -> None:
    # A name that no other process of the machine has.
    program = shutil.copy(shutil.which("sleep") or "", tmp_path / "footprint-test")
    child = subprocess.Popen((program, "1000"), stdin=subprocess.DEVNULL)
    try:
        now = footprint(os.getpid())
    finally:
        child.kill()
        child.wait()
    assert now.processes["footprint-test"] == 1
    assert now.memory_kib > 0
    assert now.descriptors >= 3
    assert "footprint-test" not in footprint(os.getpid()).processes


def test_a_lab_that_has_ended_is_told() -> None:
    child = subprocess.Popen(("true",))
    child.wait()
    with pytest.raises(EdgeError, match=f"the lab of process {child.pid} cannot be looked at"):
        footprint(child.pid)
