"""Results of benchmarks as rows: a table for people, JSON for machines. Pure, but for `this_machine`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the numbers were taken. load: run queue of the last minute before the first row."""

    cpu: str
    cores: int
    kernel: str
    load: float

    def __str__(self) -> str:
        return f"{self.cpu}, {self.cores} cores, Linux {self.kernel}, load {self.load:.2f}"


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison; less is better. ours and rival are medians in `unit`.

    limit: the largest ratio ours/rival that passes, or without a rival the largest `ours`.
    """

    name: str
    unit: str
    ours: float
    rival: float | None
    limit: float

    @property
    def ratio(self) -> float | None:
        """Ours as a part of the rival; None when there is no rival."""
        return None if self.rival is None else self.ours / self.rival

    @property
    def holds(self) -> bool:
        """Whether the row is within its limit."""
        return (self.ours if self.ratio is None else self.ratio) <= self.limit


def this_machine() -> Machine:
    """The machine we run on, as /proc tells it."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith(("model name", "Model", "cpu model"))
    ]
    return Machine(
        cpu=models[0] if models else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        kernel=platform.release(),
        load=round(os.getloadavg()[0], 2),
    )


def to_json(rows: Sequence[Row], machine: Machine) -> list[dict[str, Any]]:
    """Rows as plain data, each complete in itself."""
    return [
        {**asdict(row), "ratio": row.ratio, "holds": row.holds, "machine": asdict(machine)} for row in rows
    ]


def write_json(path: Path, rows: Sequence[Row], machine: Machine) -> None:
    """Write `to_json` to a file. Raises OSError."""
    path.write_text(json.dumps(to_json(rows, machine), indent=2) + "\n", encoding="utf-8")


def table(rows: Sequence[Row], machine: Machine) -> str:
    """Rows as aligned text, the machine above them, a mark at each that misses its limit."""
    head = ("name", "ours", "rival", "ratio", "limit", "")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = []
    for line in cells:
        first, *others = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        lines.append("  ".join([first, *others]).rstrip())
    return "\n".join([str(machine), *lines])


def _cells(row: Row) -> tuple[str, ...]:
    ratio = row.ratio
    return (
        row.name,
        f"{row.ours:.4g} {row.unit}",
        "-" if row.rival is None else f"{row.rival:.4g} {row.unit}",
        "-" if ratio is None else f"{ratio:.3f}",
        f"{row.limit:g} {row.unit}" if ratio is None else f"{row.limit:g}",
        "" if row.holds else "MISSED",
    )
