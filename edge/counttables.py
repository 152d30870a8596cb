"""Tables of queues and markings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from edge.console import BAD, QUIET, Cell, table
from edge.countrows import QueueLine, RuleRow

if TYPE_CHECKING:
    from rich.table import Table

_EXACT_BELOW = 100_000
_PREFIXES = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))


def short(number: float) -> str:
    """A number in three digits, as people say rates and octets: `200M`, `1.98M`, `0`. Pure."""
    for size, prefix in _PREFIXES:
        if number >= size:
            return f"{number / size:.3g}{prefix}" if number < 999.5 * size else f"{number / size:.0f}{prefix}"
    return f"{number:.0f}"


def count(number: int) -> str:
    """A number of packets: to the last one as long as people read it so. Pure."""
    return str(number) if number < _EXACT_BELOW else short(number)


def losses(number: int) -> Cell:
    """Packets that were lost: hard to overlook unless there are none. Pure."""
    return (count(number), BAD) if number else ("0", QUIET)


def rates(
    lines: Iterable[QueueLine], before: Iterable[QueueLine], seconds: float
) -> dict[tuple[str, str, str], float]:
    """Bits per second that passed each class since `before`, by QueueLine.key. Pure."""
    earlier = {item.key: item.octets for item in before}
    if seconds <= 0:
        return {}
    return {
        item.key: (item.octets - earlier[item.key]) * 8 / seconds for item in lines if item.key in earlier
    }


def queues_table(
    lines: Sequence[QueueLine], group: str, passing: Mapping[tuple[str, str, str], float] | None = None
) -> Table:
    """One row a class. group: the head of that column. passing: bits per second, None leaves the column out.

    Groups are shown where there are several, what was borrowed where any class did.
    """
    grouped = len({item.group for item in lines if item.group}) > 1
    borrowed = any(item.borrowed for item in lines)
    columns = [
        "port",
        *([group] if grouped else []),
        "class",
        "sure of",
        "packets",
        "octets",
        "drops",
        "waiting",
    ]
    columns += [*(["borrowed"] if borrowed else []), *(["bit/s"] if passing is not None else [])]
    rows: list[Sequence[Cell]] = []
    last = ""
    for item in lines:
        row: list[Cell] = [
            item.port if item.port != last else "",
            *([item.group] if grouped else []),
            f"{item.name} (strict)" if item.strict else item.name,
            ("" if item.rate_bps is None else short(item.rate_bps), QUIET),
            count(item.packets),
            short(item.octets),
            losses(item.drops),
            count(item.waiting) if item.waiting else ("0", QUIET),
        ]
        if borrowed:
            row.append(count(item.borrowed))
        if passing is not None:
            row.append(short(passing[item.key]) if item.key in passing else "")
        rows.append(row)
        last = item.port
    return table(columns, rows, fold=("port",), spare=("borrowed", "octets", "sure of", "waiting"))


def markings_table(rows: Sequence[RuleRow], rules: bool) -> Table:
    """One row a class of a marking, or a rule. What only an MSEE counts is shown where it did."""
    knob = any(item.unknown or item.dropped for item in rows)
    columns = ("marked at", "policy", "class", *(("rule",) if rules else ()))
    return table(
        (*columns, "packets", "octets", "remarked", *(("unknown",) if knob else ())),
        [
            (
                item.where,
                item.policy or ("not known", QUIET),
                item.class_name,
                *((item.rule,) if rules else ()),
                count(item.packets),
                short(item.octets),
                count(item.remarked),
                *((_unknown(item),) if knob else ()),
            )
            for item in rows
        ],
        fold=("marked at",),
        spare=("octets", "policy", "remarked"),
    )


def _unknown(item: RuleRow) -> Cell:
    """Packets whose DSCP the service does not know, and what became of them."""
    if not item.dropped:
        return count(item.unknown)
    kept = "" if item.dropped == item.unknown else f"{count(item.unknown)}, "
    return f"{kept}{count(item.dropped)} dropped", BAD
