"""Tables in narrow windows: what gives way, what stays whole, what is left out and told."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from edge.commands.mark import COLUMNS
from edge.commands.show import policy_tables
from edge.console import table
from edge.countrows import QueueLine
from edge.counttables import queues_table
from edge.fittedtable import GAP, fit
from edge.qos.profiles import profile


def lines_of(renderable: object, width: int) -> list[str]:
    """What a window of this width shows."""
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(renderable)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def words_of(lines: list[str]) -> set[str]:
    return {word for line in lines for word in line.split()}


@st.composite
def columns(draw: st.DrawFn) -> tuple[list[int], list[int], set[int], list[int]]:
    """Widths of columns, which of them fold, and which may be left out."""
    leasts = draw(st.lists(st.integers(1, 20), min_size=1, max_size=7))
    naturals = [least + draw(st.integers(0, 30)) for least in leasts]
    places = st.integers(0, len(leasts) - 1)
    return (
        naturals,
        leasts,
        draw(st.sets(places)),
        draw(st.lists(places, unique=True, max_size=len(leasts) - 1)),
    )


@given(columns(), st.integers(30, 120))
def test_columns_fit_the_window_and_break_words_only_when_nothing_else_is_left(
    given_columns, room: int
) -> None:
    naturals, leasts, fold, spare = given_columns
    widths = fit(room, naturals, leasts, fold, spare)
    if widths is None:
        assert sum(naturals) + GAP * (len(naturals) - 1) <= room
        return
    assert sum(widths.values()) + GAP * (len(widths) - 1) <= room
    assert all(1 <= width <= naturals[at] for at, width in widths.items())
    gone = [at for at in range(len(naturals)) if at not in widths]
    assert gone == sorted(spare[: len(gone)])
    if any(width < leasts[at] for at, width in widths.items()):
        assert len(gone) == len(spare)
    if any(widths[at] < naturals[at] for at in widths if at not in fold):
        assert all(widths[at] <= leasts[at] for at in widths if at in fold)


LINES = [
    QueueLine(f"msee1-amsterdam:equinix-{n}", "ams", name, n == 0, 60e6, 12345678, 9876543210, 12, 3, 4567)
    for n, name in enumerate(("voice", "video", "sharing"))
]


@pytest.mark.parametrize("width", [40, 50, 60, 80])
def test_numbers_and_heads_of_queues_stay_whole_in_a_narrow_window(width: int) -> None:
    shown = lines_of(queues_table(LINES, "circuit"), width)
    assert all(len(line) <= width for line in shown)
    assert {"packets", "drops", "12.3M", "12", "video", "sharing"} <= words_of(shown)
    # Only the names of ports, which fold, may be cut in two.
    wide = words_of(lines_of(queues_table(LINES, "circuit"), 200))
    names = "".join(word for word in wide if "amsterdam" in word)
    rows = [
        line for line in "\n".join(shown).partition("in a wider window")[0].splitlines() if "─" not in line
    ]
    assert all(word in wide or word in names for word in words_of(rows))


def test_columns_left_out_are_told_the_least_important_first() -> None:
    made = table(
        ("name", "packets", "octets"), [("a-long-name", "1234567", "89 kB")], spare=("octets", "packets")
    )
    assert lines_of(made, 40)[0].split() == ["name", "packets", "octets"]
    narrow = lines_of(made, 22)
    assert narrow[0].split() == ["name", "packets"]
    assert " ".join(narrow).endswith("in a wider window: octets")
    assert lines_of(made, 12)[0].split() == ["name"]


def test_a_number_with_its_unit_is_not_torn() -> None:
    rows = [("voice", "EF (46)", "      1", "86.5 kB", "          1")]
    shown = lines_of(table(COLUMNS, rows, spare=("amount", "marked anew")), 46)
    assert "86.5 kB" in shown[2]
    assert all(len(line) <= 46 for line in shown)


def test_a_policy_fits_fifty_columns() -> None:
    for one in policy_tables(profile("teams")):
        shown = lines_of(one, 50)
        assert all(len(line) <= 50 for line in shown)
        if "rule" in shown[0]:
            assert {rule.name for rule in profile("teams").rules} <= words_of(shown)
            assert shown[-1] == "in a wider window: class"
