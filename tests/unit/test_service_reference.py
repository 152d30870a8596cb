"""The page about the service is made from what the program has."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import reference
from lab.service.rulebook import RULES
from lab.verbs import VERBS

PAGE = Path(__file__).parents[2] / "docs" / "service.md"


def test_the_committed_page_is_fresh() -> None:
    """Write it anew with `python -m lab.reference docs/service.md`."""
    page = PAGE.read_text(encoding="utf-8")
    assert reference.refresh(page) == page


def test_every_verb_and_every_refusal_has_a_row() -> None:
    rows = [line for line in reference.render().splitlines() if line.startswith("| `")]
    assert len(rows) == len(VERBS) + len(RULES)


def test_a_page_without_the_marker_is_refused() -> None:
    with pytest.raises(ValueError, match="no line"):
        reference.refresh("# nothing")
