"""A lab that needs more neighbours than the machine keeps is refused, with the setting that gives room."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.errors import CapabilityError
from edge.net.neighbours import NeighbourTable, require_room
from lab.neighbours import neighbours
from lab.topology import load
from tests.bench.circuits import topology

CONTOSO = Path(__file__).parents[2] / "lab" / "topologies" / "contoso.edge.yml"


def test_a_table_with_room_and_one_that_nobody_sees_are_fine() -> None:
    require_room({4: 1000, 6: 5}, {4: NeighbourTable(1024, 24)})


def test_both_tables_that_are_too_small_are_told_with_twice_the_room() -> None:
    with pytest.raises(CapabilityError) as refused:
        require_room({4: 1001, 6: 3}, {4: NeighbourTable(1024, 24), 6: NeighbourTable(4, 2)})
    said = str(refused.value)
    assert "1001 more IPv4 neighbours: the kernel keeps 1024 for the whole machine and has 24" in said
    assert "net.ipv4.neigh.default.gc_thresh3=2050" in said
    assert "net.ipv6.neigh.default.gc_thresh3=10" in said


def test_neighbours_grow_with_the_circuits(tmp_path: Path) -> None:
    counts = []
    for number in (1, 2, 3):
        file = tmp_path / f"{number}.edge.yml"
        file.write_text(json.dumps(topology(number)))
        counts.append(neighbours(load(file))[4])
    assert counts[2] - counts[1] == counts[1] - counts[0] >= 8  # four sessions, two ends each
    assert neighbours(load(CONTOSO)).keys() == {4, 6}
