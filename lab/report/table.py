"""Results for people, as tables of edge.console."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edge.console import BAD, GOOD, QUIET, Cell, show, table
from lab.classes import policers
from lab.report.traffic import impairments_table, policed_lines, queues_table
from lab.report.words import CORES, duration, visible
from lab.view import LabView, LinkView, SessionView

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

__all__ = ["inspect_tables", "labs_table", "rows_table", "show"]


def inspect_tables(view: LabView) -> Group:
    """Head line, nodes, links, what harms and queues their traffic, sessions, reasons for what is down, and
    frames dropped for their tags or by a policer."""
    from rich.console import Group
    from rich.text import Text

    gap = Text("")
    parts: list[RenderableType] = [Text(_headline(view), style="bold"), gap, _nodes(view), gap, _links(view)]
    for item in (impairments_table(view.links), queues_table(view.queues)):
        parts += [gap, item] if item is not None else []
    shown = _worth_showing(view.sessions)
    if shown:
        parts += [gap, _sessions(shown)]
    internal = [item for item in view.sessions if not item.circuit]
    if internal:
        parts.append(gap)
        up = sum(item.established for item in internal)
        shut = sum(item.shut and not item.established for item in internal)
        rest = f", {shut} shut by the service" if shut else ""
        words = f"sessions inside sites and Microsoft: {up} of {len(internal)} established{rest}"
        parts.append(Text(words))
    parts += [
        Text(f"{item.label} IPv{item.family} {item.node} -> {item.neighbor}: {visible(item.why)}", style=BAD)
        for item in shown
        if item.why
    ]
    parts += [Text(line) for line in (*_stray_frames(view), *policed_lines(policers(view.tag_counters)))]
    parts += [
        Text(f"{peering}: no SLA, for that the sessions of both connections must be up", style=BAD)
        for peering, applies in view.sla.items()
        if not applies
    ]
    parts += [Text(line, style=BAD) for line in view.lacks]
    return Group(*parts)


def rows_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Rows of one kind, all with the same keys; a column in which nothing stands is left out."""
    columns = [key for key in rows[0] if any(row[key] not in (None, "", []) for row in rows)]
    heads = tuple(column.replace("_", " ") for column in columns)
    return table(heads, [tuple(_cell(row[column]) for column in columns) for row in rows], fold=heads[1:])


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str("" if value is None else value)


def labs_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Running labs: mappings with name, nodes, circuits, realisation, uptime_s and topology."""
    return table(
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


def _headline(view: LabView) -> str:
    reason = f" ({view.reason})" if view.reason else ""
    up = f"up {duration(view.uptime_s)}"
    core = f", provider's core by {CORES[view.core]} ({view.core_reason})" if view.core else ""
    return f"lab {view.name}: {len(view.nodes)} nodes, {up}, tags by {view.realisation}{reason}{core}"


def _nodes(view: LabView) -> Table:
    return table(
        ("node", "kind", "tier", "state", "restarts"),
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
    return table(
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
        or (not item.established and item.side == "" and not item.shut)
        or (not item.established and item.side != "" and (item.label, item.family) not in told)
    ]


def _sessions(sessions: Sequence[SessionView]) -> Table:
    return table(
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
