"""Results for people. Colours and box lines on a terminal; plain, unwrapped rows in a pipe or with NO_COLOR.

`rich` is imported where it is used: it costs 60 ms that a command which prints no table need not pay.
Text from the lab goes in as text, never as markup: an IPv6 address may look like an emoji's name.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from lab.checks.result import CheckResult, title
from lab.report.words import duration, visible
from lab.view import LabView, LinkView, SessionView

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

Cell = str | tuple[str, str]
"""Text, or text and the name of a style."""

GOOD, BAD, QUIET = "green", "bold red", "dim"

_PIPE_WIDTH = 10_000
"""Columns where nobody's window limits them: rows then stay whole for grep and awk."""


def show(*renderables: RenderableType, stream: TextIO | None = None) -> None:
    """Print to `stream` (standard output when not given)."""
    from rich.console import Console

    target = stream if stream is not None else sys.stdout
    terminal = target.isatty()
    written = target if terminal else io.StringIO()
    console = Console(
        file=written,
        width=None if terminal else _PIPE_WIDTH,
        # NO_COLOR (no-color.org): rich alone would still write bold and dim.
        color_system="auto" if terminal and not os.environ.get("NO_COLOR") else None,
        markup=False,
        emoji=False,
        highlight=False,
    )
    for renderable in renderables:
        console.print(renderable)
    if isinstance(written, io.StringIO) and written is not target:
        # Rules under the heads are as wide as the longest cell, and every cell is filled up to it.
        lines = (line.rstrip() for line in written.getvalue().splitlines())
        target.writelines(f"{line}\n" for line in lines if not line or line.strip("─"))


def inspect_tables(view: LabView) -> Group:
    """Head line, nodes, links, sessions, reasons for what is down, and frames dropped for their tags."""
    from rich.console import Group
    from rich.text import Text

    gap = Text("")
    parts: list[RenderableType] = [Text(_headline(view), style="bold"), gap, _nodes(view), gap, _links(view)]
    shown = _worth_showing(view.sessions)
    if shown:
        parts += [gap, _sessions(shown)]
    internal = [item for item in view.sessions if not item.circuit]
    if internal:
        parts.append(gap)
        up = sum(item.established for item in internal)
        parts.append(Text(f"sessions inside sites and Microsoft: {up} of {len(internal)} established"))
    parts += [
        Text(f"{item.label} IPv{item.family} {item.node} -> {item.neighbor}: {visible(item.why)}", style=BAD)
        for item in shown
        if item.why
    ]
    parts += [Text(line) for line in _stray_frames(view)]
    return Group(*parts)


def checks_table(results: Sequence[CheckResult]) -> Group:
    """One row per check and a closing line with the count."""
    from rich.console import Group
    from rich.text import Text

    rows: list[Sequence[Cell]] = [
        (
            ("ok", GOOD) if result.ok else ("FAILED", BAD),
            title(result.check),
            (duration(result.duration_s), QUIET),
            result.words,
        )
        for result in results
    ]
    failed = sum(not result.ok for result in results)
    closing = f"{len(results) - failed} of {len(results)} checks passed"
    table = _table(("", "check", "time", "seen"), rows, fold=("seen",))
    return Group(table, Text(closing, style=BAD if failed else GOOD))


def labs_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Running labs: mappings with name, nodes, circuits, realisation, uptime_s and topology."""
    return _table(
        ("lab", "nodes", "circuits", "tags", "up", "topology"),
        [
            (
                str(row.get("name", "")),
                str(row.get("nodes", "")),
                ", ".join(map(str, row.get("circuits") or ())),
                str(row.get("realisation", "")),
                duration(row.get("uptime_s")),
                str(row.get("topology", "")),
            )
            for row in rows
        ],
        fold=("topology",),
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], fold: Sequence[str] = ()) -> Table:
    """Columns never cut a word away; the columns of `fold` give way first in a narrow window."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=False, ratio=1 if column in fold else None)
    for row in rows:
        table.add_row(*(_cell(cell, Text) for cell in row))
    return table


def _cell(cell: Cell, text: Any) -> Any:
    words, style = (cell, "") if isinstance(cell, str) else cell
    return text(visible(words), style=style)


def _headline(view: LabView) -> str:
    reason = f" ({view.reason})" if view.reason else ""
    up = f"up {duration(view.uptime_s)}"
    return f"lab {view.name}: {len(view.nodes)} nodes, {up}, tags by {view.realisation}{reason}"


def _nodes(view: LabView) -> Table:
    return _table(
        ("node", "kind", "tier", "state", "BIRD restarts"),
        [
            (
                node.name,
                node.kind,
                node.tier,
                (node.state, GOOD if node.state == "up" else BAD),
                str(node.restarts or ""),
            )
            for node in view.nodes
        ],
    )


def _links(view: LabView) -> Table:
    return _table(
        ("link", "from", "to", "state", "tags"),
        [
            (
                link.name,
                link.a,
                link.b,
                _link_state(link),
                ", ".join(f"{tags} {peering}" for tags, peering in link.tags),
            )
            for link in view.links
        ],
        fold=("tags",),
    )


def _link_state(link: LinkView) -> Cell:
    if link.up is None:
        return "unknown", QUIET
    if not link.up:
        return "shut down", BAD
    return ("up", GOOD) if link.carrier else ("no carrier", BAD)


def _worth_showing(sessions: Sequence[SessionView]) -> list[SessionView]:
    """The customer's ends, and others that are not up where the customer's end does not say so already."""
    told = {
        (item.label, item.family) for item in sessions if item.side == "customer" and not item.established
    }
    return [
        item
        for item in sessions
        if item.side == "customer"
        or (not item.established and (item.side == "" or (item.label, item.family) not in told))
    ]


def _sessions(sessions: Sequence[SessionView]) -> Table:
    return _table(
        ("session", "router", "neighbour", "state", "since", "in", "out", "BFD"),
        [
            (
                item.label,
                item.node,
                item.neighbor,
                (item.state, GOOD if item.established else BAD),
                duration(item.uptime_s),
                str(item.imported),
                str(item.exported),
                (item.bfd, GOOD if item.bfd in ("Up", "") else BAD),
            )
            for item in sessions
        ],
    )


def _stray_frames(view: LabView) -> list[str]:
    """What arrived under tags that no peering uses."""
    return [
        f"{port.get('port')} dropped {unknown.get('packets')} frames tagged "
        f"{'/'.join(str(tag.get('vid')) for tag in unknown.get('tags', ())) or 'not at all'}"
        for port in view.tag_counters.get("ports", ())
        for unknown in port.get("unknown", ())
    ]
