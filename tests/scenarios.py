"""The sixty scenarios: which tests show each, and the table of docs/scenarios.md.

A test shows a scenario by its name, `test_scenario_07_...`; several may show one, which then holds when all
pass. Where it lies says how it shows it: `tests/netns` on the wire, anything else at the rules. A test for
which that is wrong says so: `@pytest.mark.scenario(shown="wire")`. What the scenarios are, and which public
documents say so, stands in `scenarios.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernels import NAMES
from tests.outcomes import Cell, Outcome, markdown, outcome_of, rows_of, worst

FILE = Path(__file__).with_suffix(".txt")
SHOWN = ("rules", "wire")
KIND = "scenario "
COLUMNS = tuple((how, where) for how in SHOWN for where in NAMES if (how, where) != ("rules", "stock"))
"""How and where scenarios are shown; rules are the same on every kernel."""


@dataclass(frozen=True, slots=True)
class Source:
    """A public document. where: its address, or the collection and file that it is."""

    title: str
    where: str

    def __str__(self) -> str:
        """As an entry of a list."""
        if self.where.startswith("https:"):
            return f"[{self.title}]({self.where})"
        return f"{self.title}: {self.where}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens, and the documents that say so."""

    number: int
    words: str
    sources: tuple[Source, ...]


def read(text: str) -> dict[int, Scenario]:
    """The scenarios of a text like scenarios.txt, by number. Pure. Raises ValueError or KeyError else."""
    sources: dict[str, Source] = {}
    found: dict[int, Scenario] = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if " = " in line.partition(" | ")[0]:
            key, _, rest = line.partition(" = ")
            title, where = rest.split(" | ")
            sources[key] = Source(title, where)
            continue
        number, words, keys = line.split(" | ")
        found[int(number)] = Scenario(int(number), words, tuple(sources[key] for key in keys.split()))
    return found


ALL = read(FILE.read_text(encoding="utf-8"))


def number_of(name: str) -> int | None:
    """The number of the scenario that a test of this name shows. Pure."""
    found = re.match(r"test_scenario_(\d\d)_\w", name)
    return int(found[1]) if found else None


def claim(item: pytest.Item) -> tuple[str, str] | None:
    """What a test shows and how, when it shows a scenario. Raises UsageError for a wrong name or mark."""
    number = number_of(item.name)
    marks = list(item.iter_markers("scenario"))
    wrong = [mark for mark in marks if mark.args or set(mark.kwargs) != {"shown"}]
    if wrong or (number is None and marks) or (number is None and item.name.startswith("test_scenario_")):
        raise pytest.UsageError(
            f"{item.nodeid}: a scenario is shown by test_scenario_NN_WORDS, scenario(shown=...) may say how"
        )
    if number is None:
        return None
    if number not in ALL:
        raise pytest.UsageError(f"{item.nodeid}: scenario: there are 1 to {max(ALL)}")
    shown = marks[0].kwargs["shown"] if marks else "wire" if item.path.parent.name == "netns" else "rules"
    if shown not in SHOWN:
        raise pytest.UsageError(f"{item.nodeid}: scenario(shown={shown!r}): one of {', '.join(SHOWN)}")
    return f"{KIND}{number:02}", shown


def is_cell(cell: Cell) -> bool:
    """Whether it is the cell of a scenario. Pure."""
    return cell[0].startswith(KIND)


def missing(cells: Iterable[Cell]) -> list[int]:
    """The numbers of scenarios that no test shows. Pure."""
    shown = {cell[0] for cell in cells}
    return [number for number in ALL if f"{KIND}{number:02}" not in shown]


def table(cells: Mapping[Cell, Outcome]) -> str:
    """A row for each scenario, then the documents. Pure."""
    places = [f"{how}, {where}" if how == "wire" else how for how, where in COLUMNS]
    rows = [["no.", "scenario", "holds", *places, "source"]]
    for number, scenario in ALL.items():
        found = [cells.get((f"{KIND}{number:02}", *column)) for column in COLUMNS]
        shown = [outcome for outcome in found if outcome is not None]
        holds = worst(shown) if shown else "missing"
        titles = "; ".join(source.title for source in scenario.sources)
        rows.append([str(number), scenario.words, holds, *(outcome or "-" for outcome in found), titles])
    used = {source for scenario in ALL.values() for source in scenario.sources}
    named = sorted(used, key=lambda source: source.title.lower())
    return f"{markdown(rows)}\n" + "".join(f"- {source}\n" for source in named)


def cells_of(text: str) -> dict[Cell, Outcome]:
    """The cells of a text of `table`, empty ones left out. Pure. Raises ValueError for another text."""
    found: dict[Cell, Outcome] = {}
    for number, _, _, *words, _ in rows_of(text)[1:]:
        for column, word in zip(COLUMNS, words, strict=True):
            outcome = outcome_of(number, word)
            if outcome is not None:
                found[(f"{KIND}{int(number):02}", *column)] = outcome
    return found
