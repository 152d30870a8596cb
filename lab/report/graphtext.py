"""A picture as text for other programs: Mermaid (in Markdown) and Graphviz. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from lab.report.graph import TIERS, Box, Peer, Picture, State, Wire

_MERMAID_LINE: dict[State, str] = {"": "---", "up": "---", "partly": "-.-", "down": "-.-"}
_DOT_STYLE: dict[State, str] = {
    "": "solid",
    "up": "solid",
    "partly": "dashed",
    "down": "dashed",
}
_COLOUR: dict[State, str] = {"": "", "up": "#2e7d32", "partly": "#b26a00", "down": "#c62828"}


def wire_label(wire: Wire, most: int | None = None) -> list[str]:
    """Lines beside a wire: what it is called when it is a trunk, and the tags on it.

    most: so many tags at most, then how many more there are; None for all.
    """
    if not wire.trunk:
        return []
    tags = [f"{tags} {peering}" for tags, peering in wire.tags]
    more = [] if most is None or len(tags) <= most else [f"and {len(tags) - most} more"]
    return [", ".join(wire.links), *tags[:most], *more]


def peer_label(peer: Peer) -> list[str]:
    """Lines beside the sessions of two nodes."""
    more = [f"{peer.sessions} sessions"] if peer.sessions > 1 else []
    return [*peer.labels, *more, *([peer.state] if peer.state in ("down", "partly") else [])]


def mermaid(picture: Picture) -> str:
    """A flow chart in the words of Mermaid; BGP as dotted lines."""
    lines = ["flowchart LR"]
    ids = {box.name: f"n{number}" for number, box in enumerate(picture.boxes)}
    for tier, title in TIERS.items():
        boxes = [box for box in picture.boxes if box.tier == tier]
        if boxes:
            lines.append(f'  subgraph {tier}["{title}"]')
            lines += [f'    {ids[box.name]}["{_box_text(box)}"]' for box in boxes]
            lines.append("  end")
    drawn: list[State] = []
    for wire in picture.wires:
        label = "<br/>".join(wire_label(wire))
        shown = f'|"{label}"|' if label else ""
        lines.append(f"  {ids[wire.a]} {_MERMAID_LINE[wire.state]}{shown} {ids[wire.b]}")
        drawn.append(wire.state)
    for peer in picture.peers:
        label = "<br/>".join(["BGP", *peer_label(peer)])
        lines.append(f'  {ids[peer.a]} <-.->|"{label}"| {ids[peer.b]}')
        drawn.append(peer.state)
    for number, state in enumerate(drawn):
        if _COLOUR[state]:
            lines.append(f"  linkStyle {number} stroke:{_COLOUR[state]}")
    return "\n".join(lines) + "\n"


def _box_text(box: Box) -> str:
    return f"{box.name}<br/>{box.kind}"


def dot(picture: Picture) -> str:
    """A graph in the language of Graphviz, tiers as clusters; BGP as dotted lines that shape nothing."""
    return "\n".join(_dot_lines(picture)) + "\n"


def _dot_lines(picture: Picture) -> Iterator[str]:
    yield f"graph {_quoted(picture.name)} {{"
    yield '  rankdir=LR; node [shape=box, style=rounded, fontname="sans-serif"];'
    yield '  edge [fontname="sans-serif", fontsize=9];'
    for tier, title in TIERS.items():
        boxes = [box for box in picture.boxes if box.tier == tier]
        if boxes:
            yield f"  subgraph cluster_{tier} {{ label={_quoted(title)};"
            yield from (f"    {_quoted(box.name)} [label={_quoted(box.name, box.kind)}];" for box in boxes)
            yield "  }"
    for wire in picture.wires:
        yield _dot_edge(wire.a, wire.b, wire_label(wire), wire.state, _DOT_STYLE[wire.state])
    for peer in picture.peers:
        yield _dot_edge(peer.a, peer.b, ["BGP", *peer_label(peer)], peer.state, "dotted", "constraint=false")
    yield "}"


def _dot_edge(a: str, b: str, label: list[str], state: State, style: str, *more: str) -> str:
    said = [f"style={style}", *more]
    if label:
        said.append(f"label={_quoted(*label)}")
    if _COLOUR[state]:
        said.append(f'color="{_COLOUR[state]}"')
    return f"  {_quoted(a)} -- {_quoted(b)} [{', '.join(said)}];"


def _quoted(*lines: str) -> str:
    escaped = [line.replace("\\", "\\\\").replace('"', '\\"') for line in lines]
    return '"' + "\\n".join(escaped) + '"'
