"""Results of benchmarks as rows: a table for people, JSON for machines. Pure, but for `this_machine`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the numbers were taken.

    load: run queue of the last minute before the first row. governor: how the clock of the first processor is
    chosen, empty where the machine does not tell.
    """

    cpu: str
    cores: int
    kernel: str
    load: float
    governor: str = ""

    def __str__(self) -> str:
        clock = f", governor {self.governor}" if self.governor else ""
        return f"{self.cpu}, {self.cores} cores, Linux {self.kernel}{clock}, load {self.load:.2f}"


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison; less is better. ours and rival are medians in `unit`.

    ours: None when it could not be taken; `note` says why. limit: the largest ratio ours/rival that passes,
    or without a rival the largest `ours`; None for a row that only informs, or whose rival is missing.
    moonshot: the same for what would be nice. note: what a reader must know, such as the package that would
    bring the rival.
    """

    name: str
    unit: str
    ours: float | None
    rival: float | None
    limit: float | None = None
    moonshot: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours as a part of the rival; None when one of them is missing."""
        return None if self.ours is None or self.rival is None else self.ours / self.rival

    @property
    def judged(self) -> float | None:
        """The number that limits are for; None when it could not be taken."""
        return self.ours if self.rival is None else self.ratio

    @property
    def holds(self) -> bool:
        """Whether the row is within its limit; a row that cannot be judged holds."""
        return self.limit is None or self.judged is None or self.judged <= self.limit

    @property
    def reached(self) -> bool:
        """Whether the row is within its moonshot."""
        return self.moonshot is not None and self.judged is not None and self.judged <= self.moonshot


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
        governor=GOVERNOR.read_text().strip() if GOVERNOR.exists() else "",
    )


def to_json(rows: Sequence[Row], machine: Machine) -> list[dict[str, Any]]:
    """Rows as plain data, each complete in itself."""
    return [
        {
            **asdict(row),
            "ratio": row.ratio,
            "holds": row.holds,
            "reached": row.reached,
            "machine": asdict(machine),
        }
        for row in rows
    ]


def write_json(path: Path, rows: Sequence[Row], machine: Machine) -> None:
    """Write `to_json` to a file. Raises OSError."""
    path.write_text(json.dumps(to_json(rows, machine), indent=2) + "\n", encoding="utf-8")


def table(rows: Sequence[Row], machine: Machine) -> str:
    """Rows as aligned text, the machine above them, a mark at each that misses its limit.

    The column of moonshots is there when a row has one.
    """
    moonshots = any(row.moonshot is not None for row in rows)
    head = ("name", "ours", "rival", "ratio", "limit", *(["moonshot"] if moonshots else []), "")
    cells = [head, *(_cells(row, moonshots) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = []
    for line in cells:
        padded = [
            cell.rjust(width) if 0 < column < len(head) - 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join([str(machine), *lines])


def _cells(row: Row, moonshots: bool) -> tuple[str, ...]:
    ratio, alone = row.ratio, row.rival is None
    words = [] if row.holds else ["MISSED"]
    if row.moonshot is not None and row.judged is not None:
        words.append("moonshot reached" if row.reached else "moonshot missed")
    if row.note:
        words.append(row.note)
    return (
        row.name,
        _number(row.ours, row.unit),
        _number(row.rival, row.unit),
        "-" if ratio is None else f"{ratio:.3f}",
        _bound(row.limit, row.unit if alone else ""),
        *([_bound(row.moonshot, row.unit if alone else "")] if moonshots else []),
        "; ".join(words),
    )


def _number(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.4g} {unit}"


def _bound(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.4g} {unit}".rstrip()
