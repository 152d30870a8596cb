"""What works with which realisation on which kernel: a table for docs/kernels.md, made from test results.

A test says what it shows, and with which realisation on each kernel that it runs on:

    @pytest.mark.shows("QinQ, outer 0x88a8", here="bpf", stock="kernel")

A test whose name is that of a scenario shows that (tests/scenarios.py), which is a row of docs/scenarios.md.

As a pytest plugin this writes what such tests came to beside the file EDGELAB_TEST_SUMMARY, one file for each
kernel. `python -m tests.results compare FILE...` says where the committed tables differ from such files,
`write` puts the tables there. No cell is written by hand.
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests import scenarios
from tests.kernels import NAMES, SUMMARY, kernels_of, this_kernel
from tests.outcomes import Cell, Outcome, markdown, outcome_of, rows_of, worst

DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
UPDATE = "EDGELAB_UPDATE_TABLE=1 make test"
REALISATIONS = ("kernel", "bpf", "ring", "any")
"""`any`: what does not depend on how tags are made."""


@dataclass(frozen=True, slots=True)
class Results:
    """What the marked tests of one run came to. whole: all tests were asked for, not some of them."""

    kernel: str
    release: str
    whole: bool
    cells: Mapping[Cell, Outcome] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        cells = [[*cell, outcome] for cell, outcome in sorted(self.cells.items())]
        return {"kernel": self.kernel, "release": self.release, "whole": self.whole, "cells": cells}

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Results:
        """What `to_json` gave."""
        cells: dict[Cell, Outcome] = {(what, how, where): out for what, how, where, out in data["cells"]}
        return cls(data["kernel"], data["release"], data["whole"], cells)


def table(cells: Mapping[Cell, Outcome]) -> str:
    """The cells as Markdown: a row for each thing, a column for each realisation and kernel. Pure."""
    columns = [(how, where) for how in REALISATIONS for where in NAMES]
    columns = [column for column in columns if any(cell[1:] == column for cell in cells)]
    rows = [["what", *(f"`{how}`, {where}" for how, where in columns)]]
    for what in sorted({cell[0] for cell in cells}):
        rows.append([what, *(cells.get((what, *column), "-") for column in columns)])
    return markdown(rows)


def cells_of(text: str) -> dict[Cell, Outcome]:
    """The cells of a table of `table`, empty ones left out. Pure. Raises ValueError for another text."""
    rows = rows_of(text)
    columns = [re.fullmatch(r"`(\w+)`, (\w+)", word) for word in rows[0][1:]] if rows else []
    found: dict[Cell, Outcome] = {}
    for what, *words in rows[1:]:
        for column, word in zip(columns, words, strict=True):
            outcome = outcome_of(what, word)
            if column is None:
                raise ValueError(f"not a table of results: {what}: {word}")
            if outcome is not None:
                found[what, column[1], column[2]] = outcome
    return found


@dataclass(frozen=True, slots=True)
class Document:
    """A page of docs/ with a table of results. has: whether a cell stands in it."""

    name: str
    has: Callable[[Cell], bool]
    table: Callable[[Mapping[Cell, Outcome]], str]
    cells_of: Callable[[str], dict[Cell, Outcome]]

    @property
    def text(self) -> str:
        """The page as it stands."""
        return (DOCS / self.name).read_text(encoding="utf-8")

    @property
    def stands(self) -> dict[Cell, Outcome]:
        """The cells of the table that stands in the page."""
        return self.cells_of(committed(self.text))

    def of(self, cells: Mapping[Cell, Outcome]) -> dict[Cell, Outcome]:
        """Those cells that are for this page."""
        return {cell: outcome for cell, outcome in cells.items() if self.has(cell)}

    def write(self, cells: Mapping[Cell, Outcome]) -> None:
        """Put the table of these cells into the page."""
        (DOCS / self.name).write_text(with_table(self.text, self.table(self.of(cells))), encoding="utf-8")


DOCUMENTS = (
    Document("kernels.md", lambda cell: not scenarios.is_cell(cell), table, cells_of),
    Document("scenarios.md", scenarios.is_cell, scenarios.table, scenarios.cells_of),
)


def committed(document: str) -> str:
    """The table that stands in the document. Pure. Raises ValueError when it has no place for one."""
    found = re.search(f"{BEGIN}\n(.*?){END}", document, re.DOTALL)
    if found is None:
        raise ValueError(f"no {BEGIN} ... {END} in the document")
    return found[1]


def with_table(document: str, text: str) -> str:
    """The document with this table in the place of its own. Pure. Raises ValueError like `committed`."""
    at = document.index(BEGIN) + len(BEGIN) + 1
    return document[:at] + text + document[at + len(committed(document)) :]


def together(results: Sequence[Results]) -> dict[Cell, Outcome]:
    """The cells of several runs, which may have shared the tests of one kernel. Pure."""
    found: dict[Cell, list[Outcome]] = {}
    for result in results:
        for cell, outcome in result.cells.items():
            found.setdefault(cell, []).append(outcome)
    return {cell: worst(outcomes) for cell, outcomes in found.items()}


def differences(stands: Mapping[Cell, Outcome], results: Sequence[Results]) -> list[str]:
    """Where a table differs from results. Pure.

    Kernels of which not all tests ran are not compared, nor what was skipped: not every machine can all.
    """
    ran = together(results)
    tried = {result.kernel for result in results if result.whole}
    return [
        f"{what} ({how} on {where}): the table says {stands.get(cell, '-')}, the tests {ran.get(cell, '-')}"
        for cell in sorted({*stands, *ran})
        for what, how, where in [cell]
        if where in tried and ran.get(cell) not in ("skipped", stands.get(cell))
    ]


def claims(item: pytest.Item) -> dict[str, tuple[tuple[str, str], ...]]:
    """By kernel, what a test shows: (what, realisation or how). Raises UsageError for a wrong mark."""
    found: dict[str, list[tuple[str, str]]] = {}
    for mark in item.iter_markers("shows"):
        if not mark.args or not mark.kwargs or not set(mark.kwargs) <= set(kernels_of(item)):
            raise pytest.UsageError(f"{item.nodeid}: shows(WHAT..., KERNEL=REALISATION) with its kernels")
        for kernel, named in mark.kwargs.items():
            names = (named,) if isinstance(named, str) else tuple(named)
            if not set(names) <= set(REALISATIONS):
                raise pytest.UsageError(f"{item.nodeid}: shows: {named}: one of {', '.join(REALISATIONS)}")
            found.setdefault(kernel, []).extend((what, how) for what in mark.args for how in names)
    scenario = scenarios.claim(item)
    if scenario is not None:
        for kernel in kernels_of(item):
            found.setdefault(kernel, []).append(scenario)
    return {kernel: tuple(pairs) for kernel, pairs in found.items()}


def realisation_shown(item: pytest.Item) -> str | None:
    """The one realisation that a test is to show on this kernel; None when it shows none or several."""
    named = {how for _, how in claims(item).get(this_kernel(), ())} & set(REALISATIONS) - {"any"}
    return named.pop() if len(named) == 1 else None


class Recorder:
    """Collects what the marked tests come to."""

    def __init__(self) -> None:
        self.shown: dict[str, tuple[tuple[str, str], ...]] = {}
        self.claimed: set[Cell] = set()
        self.outcomes: dict[Cell, list[Outcome]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Read the marks of all tests, those for other kernels included."""
        for item in items:
            for kernel, pairs in claims(item).items():
                self.claimed |= {(what, how, kernel) for what, how in pairs}
                if kernel == this_kernel():
                    self.shown[item.nodeid] = pairs

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a result; setup and teardown count when they fail, a run that was repeated does not."""
        if str(report.outcome) == "rerun":
            return
        if report.when == "call" or not report.passed:
            outcome: Outcome = "yes" if report.passed else "skipped" if report.skipped else "no"
            for what, how in self.shown.get(report.nodeid, ()):
                self.outcomes.setdefault((what, how, this_kernel()), []).append(outcome)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file of this kernel."""
        path = os.environ.get(SUMMARY)
        if not path:
            return
        option = session.config.option
        if option.collectonly:
            cells: dict[Cell, Outcome] = dict.fromkeys(self.claimed, "yes")
            file = Path(f"{path}.claims.json")
        else:
            cells = {cell: worst(outcomes) for cell, outcomes in self.outcomes.items()}
            # Guests that share the tests of a kernel write a file each.
            file = Path(f"{path}.{this_kernel()}.{uuid.uuid4()}.json")
        everything = session.config.args == session.config.getini("testpaths")
        whole = everything and not (option.keyword or option.markexpr)
        whole = whole and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        results = Results(this_kernel(), os.uname().release, whole, cells)
        file.write_text(json.dumps(results.to_json(), indent=1) + "\n", encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Record."""
    config.pluginmanager.register(Recorder(), "results")


def main(verb: str, paths: Sequence[str]) -> int:
    """Compare or write; the exit status."""
    results = [Results.of_json(json.loads(Path(path).read_text(encoding="utf-8"))) for path in paths]
    if verb == "compare":
        found = [
            f"docs/{document.name}: {line}"
            for document in DOCUMENTS
            for line in differences(
                document.stands, [replace(result, cells=document.of(result.cells)) for result in results]
            )
        ]
        for line in found:
            print(line, file=sys.stderr)
        if found:
            print(f"  way out: mend what fails, or {UPDATE}", file=sys.stderr)
        return 1 if found else 0
    tried = {result.kernel for result in results if result.whole}
    for document in DOCUMENTS:
        cells = {cell: outcome for cell, outcome in document.stands.items() if cell[2] not in tried}
        cells |= together([result for result in results if result.whole])
        document.write(cells)
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("compare", "write"):
        sys.exit("usage: python -m tests.results compare|write FILE...")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
