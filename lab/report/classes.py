"""Tables of queues, policers and markings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge.console import table
from edge.counttables import count, losses, markings_table, queues_table, rates, short
from lab.classes import ClassesView, PolicerRow

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table


def classes_tables(view: ClassesView, before: ClassesView | None = None, rules: bool = False) -> Group:
    """Queues, policers, markings by class or by rule. before: for the column of what passes now."""
    from rich.console import Group
    from rich.text import Text

    gap = Text("")
    parts: list[RenderableType] = []
    if view.queues:
        lines = [item.line for item in view.queues]
        passing = None
        if before is not None:
            passing = rates(lines, (item.line for item in before.queues), view.time - before.time)
        parts += [queues_table(lines, "circuit", passing), gap]
    policers = [item for item in view.policers if item.packets or item.dropped_packets]
    if policers:
        parts += [_policers(policers), gap]
    rows = [item for item in (view.rules if rules else view.markings) if item.packets or item.unknown]
    if rows:
        parts += [markings_table(rows, rules), gap]
    if not parts:
        parts.append(Text("no port of this lab has queues, and nothing was marked yet"))
    return Group(*parts[:-1] if len(parts) > 1 else parts)


def _policers(rows: Sequence[PolicerRow]) -> Table:
    return table(
        ("policer", "towards", "marked", "packets", "octets", "policed"),
        [
            (
                item.circuit,
                item.towards,
                item.name,
                count(item.packets),
                short(item.octets),
                losses(item.dropped_packets),
            )
            for item in rows
        ],
        fold=("policer",),
        spare=("octets",),
    )
