"""What tests come to, and the Markdown tables that say so: shared by the tables of tests/results.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

Outcome = Literal["yes", "skipped", "no"]
WORSE: tuple[Outcome, ...] = ("yes", "skipped", "no")

Cell = tuple[str, str, str]
"""What is shown, by which realisation or how, on which kernel."""


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """What several tests that show one thing come to together. Pure."""
    return max(outcomes, key=WORSE.index)


def outcome_of(what: str, word: str) -> Outcome | None:
    """The outcome that a table's field says; None for `-`. Pure. Raises ValueError for another word."""
    for outcome in WORSE:
        if word == outcome:
            return outcome
    if word == "-":
        return None
    raise ValueError(f"not a table of results: {what}: {word}")


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a table, the first one as its head. Pure."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def rows_of(text: str) -> list[list[str]]:
    """The rows of such a table, its head first; none in a text without one. Pure."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[word.strip() for word in line.strip("| \n").split(" | ")] for line in lines]
    return [rows[0], *rows[2:]] if len(rows) > 1 else []
