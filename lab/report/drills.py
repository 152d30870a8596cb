"""What drills and the outage meter found, as tables, JSON and JUnit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from edge.console import BAD, GOOD, QUIET, Cell, table
from lab.drills.model import Drill, Row, link_words, row_json
from lab.report.cases import Case, cases_xml
from lab.traffic.metering import Metering, allowed_a_month
from lab.traffic.outage import AVAILABILITY_PROMISED

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

VERDICTS = {"met": GOOD, "missed": BAD, "skipped": QUIET}


def gap_words(seconds: float) -> str:
    """A gap for people: `3.2 ms`, `0.86 s`, `none`."""
    if seconds <= 0:
        return "none"
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds:.2f} s"


def drills_table(rows: Sequence[Row]) -> Group:
    """A row for each drill, why some did not go as they should, and a closing line."""
    from rich.console import Group
    from rich.text import Text

    lines = [_cells(row) for row in rows]
    heads = ("drill", "longest gap", "aim", "", "lost", "a month", "link before", "after", "back after")
    parts: list[Any] = [table(heads, lines, fold=("link before", "after"))]
    parts += [Text(f"{row.drill.name}: {row.problem}", style=BAD) for row in rows if row.problem]
    parts += [Text(f"{row.drill.name}: not run: {row.skipped}", style=QUIET) for row in rows if row.skipped]
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in VERDICTS}
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    parts.append(Text(f"aims: {words}; a month: such gaps for which {AVAILABILITY_PROMISED} % leave room"))
    return Group(*parts)


def _cells(row: Row) -> list[Cell]:
    verdict: Cell = (row.verdict, VERDICTS[row.verdict])
    aim = row.drill.aim.words
    if row.metering is None:
        return [row.drill.name, "", aim, verdict, "", "", "", "", ""]
    room = allowed_a_month(row.gap_s)
    before, after = row.metering.links()
    lasts = row.drill.aim.gap_s is None and not row.problem
    return [
        row.drill.name,
        gap_words(row.gap_s),
        aim,
        verdict,
        f"{row.metering.lost} of {row.metering.sent}",
        "-" if lasts else "any" if room is None else f"{room:,}",
        link_words(before),
        "none" if lasts else link_words(after),
        f"{row.converged_s:.1f} s" if row.converged_s is not None else "not back",
    ]


def list_table(drills: Iterable[Drill]) -> Table:
    """What drills there are."""
    lines = [
        (
            drill.name,
            drill.fault,
            drill.topology,
            drill.aim.words,
            drill.words + (" (--long)" if drill.long else ""),
        )
        for drill in drills
    ]
    return table(("drill", "fault", "lab", "aim", "what happens"), lines, fold=("fault", "what happens"))


def drills_json(rows: Sequence[Row]) -> dict[str, Any]:
    """All rows as plain data."""
    return {
        "version": 1,
        "met": sum(row.verdict == "met" for row in rows),
        "missed": sum(row.verdict == "missed" for row in rows),
        "skipped": sum(row.verdict == "skipped" for row in rows),
        "promised_percent": AVAILABILITY_PROMISED,
        "drills": [row_json(row) for row in rows],
    }


def list_json(drills: Iterable[Drill]) -> dict[str, Any]:
    """What drills there are, as plain data."""
    rows = [row_json(Row(drill)) for drill in drills]
    keys = ("name", "words", "topology", "fault", "from", "to", "aim")
    return {"version": 1, "drills": [{key: row[key] for key in keys} for row in rows]}


def drills_junit(rows: Sequence[Row], started: datetime) -> str:
    """All rows as JUnit XML."""
    cases = [
        Case(
            f"edgelab.drill.{row.drill.topology}",
            row.drill.name,
            _length_s(row),
            failure=row.problem,
            skipped=row.skipped,
            words="" if row.metering is None else f"longest gap {gap_words(row.gap_s)}",
        )
        for row in rows
    ]
    return cases_xml("drills", cases, started)


def _length_s(row: Row) -> float:
    if row.metering is None:
        return 0.0
    return max((found.seconds for found in row.metering.outages()), default=0.0)


def metering_table(found: Metering) -> Group:
    """The ways of one run of the meter, and what the longest gap means against what is promised."""
    from rich.console import Group
    from rich.text import Text

    lines: list[list[Cell]] = []
    for course, one, before, after in zip(found.courses, found.outages(), *found.links(), strict=True):
        longest = one.longest
        lines.append(
            [
                course.way,
                f"{one.sent}",
                (f"{one.lost}", BAD) if one.lost else ("0", GOOD),
                (gap_words(longest.seconds), BAD) if longest else ("none", GOOD),
                f"{one.availability:.3f} %",
                before or "elsewhere",
                after or "elsewhere",
            ]
        )
    heads = ("way", "sent", "lost", "longest gap", "available", "link before", "after")
    parts: list[Any] = [table(heads, lines)]
    room = allowed_a_month(found.worst().seconds)
    if room is not None:
        parts.append(Text(f"{AVAILABILITY_PROMISED} % leave room for {room} such gaps in a month of 30 days"))
    if found.unheard:
        parts.append(
            Text(f"{found.unheard} of the lost arrived: this machine was too busy to take them", style=BAD)
        )
    return Group(*parts)
