"""A picture drawn: SVG, and HTML that carries it with switches for its layers; both work offline. Pure.

Columns are given by what a node is; within a column nodes stand near those that they are joined to
(the barycentre heuristic of layered drawing: Sugiyama, Tagawa, Toda 1981).
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

from lab.model import Tier
from lab.report.graph import TIERS, Box, Peer, Picture, State, Wire
from lab.report.graphtext import peer_label, wire_label

BOX = (130, 40)
LANE, NAMED_LANE, ROW = 176, 330, 72
"""From column to column, the wider where wires bear names and tags, and from row to row."""
MARGIN, HEAD = 24, 34
SWEEPS = 4
TAGS = 2
"""Of a wire, in its label; all of them are in its title."""

STYLE = """
svg { font: 12px system-ui, sans-serif; background: #ffffff; }
text { fill: #1b1b1b; text-anchor: middle; }
.tier rect { fill: #f4f6f8; } .tier text { fill: #5a6470; font-weight: 600; }
.box rect { fill: #ffffff; stroke: #3b4a5a; } .box .kind { fill: #5a6470; font-size: 10px; }
.box.msee rect, .box.gateway rect, .box.core rect { fill: #e8f1fb; }
.box.ce rect, .box.pe rect, .box.internet-edge rect { fill: #fdf3e1; }
path { fill: none; stroke: #77818c; stroke-width: 1.5; }
.wire.trunk path { stroke-width: 3; } .peer path { stroke: #7b5ea7; stroke-dasharray: 2 4; }
.label { font-size: 10px; paint-order: stroke; stroke: #ffffff; stroke-width: 3px; stroke-linejoin: round; }
.peer .label { fill: #5b3f87; }
.up path { stroke: #2e7d32; } .partly path { stroke: #b26a00; stroke-dasharray: 8 4; }
.down path { stroke: #c62828; stroke-dasharray: 8 4; } .box.down rect { stroke: #c62828; stroke-width: 3; }
@media (prefers-color-scheme: dark) {
  svg { background: #16191d; } text { fill: #e6e6e6; } .tier rect { fill: #20252b; }
  .tier text, .box .kind { fill: #a7b0ba; } .box rect { fill: #2a3037; stroke: #8a96a3; }
  .box.msee rect, .box.gateway rect, .box.core rect { fill: #1e3550; }
  .box.ce rect, .box.pe rect, .box.internet-edge rect { fill: #4a3a1c; }
  .label { stroke: #16191d; } .peer .label { fill: #c3aee6; } .up path { stroke: #66bb6a; }
  .down path { stroke: #ef5350; } .partly path { stroke: #ffb74d; }
}
"""

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{name}</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ margin: 1rem; font: 14px system-ui, sans-serif; color-scheme: light dark; }}
.drawing {{ overflow-x: auto; }}
#wires:not(:checked) ~ .drawing .wire, #peers:not(:checked) ~ .drawing .peer,
#labels:not(:checked) ~ .drawing .label {{ display: none; }}
</style></head><body>
<h1>{name}</h1>
<input type="checkbox" id="wires" checked><label for="wires">links</label>
<input type="checkbox" id="peers" checked><label for="peers">BGP sessions</label>
<input type="checkbox" id="labels" checked><label for="labels">names and tags</label>
<div class="drawing">
{drawing}</div>
</body></html>
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the middle of each box is, in pixels, and how large the drawing is.

    centre: the height about which the boxes above the Internet are spread.
    """

    middles: Mapping[str, tuple[float, float]]
    width: float
    height: float
    centre: float


def layout(picture: Picture) -> Layout:
    """Places for all boxes; those of the Internet stand below the others."""
    near: defaultdict[str, list[str]] = defaultdict(list)
    for wire in picture.wires:
        near[wire.a].append(wire.b)
        near[wire.b].append(wire.a)
    middles: dict[str, tuple[float, float]] = {}
    top = float(MARGIN + HEAD)
    lanes = _lanes(picture)
    for below in (False, True):
        boxes = [box for box in picture.boxes if (box.tier == "internet") == below]
        rows = _rows(boxes, near)
        tallest = max((len(names) for names in rows.values()), default=0)
        for column, names in rows.items():
            first = top + (tallest - len(names)) * ROW / 2
            for number, name in enumerate(names):
                middles[name] = (MARGIN + lanes[column] + BOX[0] / 2 + 8, first + (number + 0.5) * ROW)
        top += tallest * ROW + (HEAD if tallest else 0)
    widest = max((x for x, _ in middles.values()), default=0.0)
    above = [y for box in picture.boxes if box.tier != "internet" for y in [middles[box.name][1]]]
    centre = (min(above) + max(above)) / 2 if above else 0.0
    return Layout(middles, widest + BOX[0] / 2 + MARGIN + 8, top + MARGIN - HEAD, centre)


def _lanes(picture: Picture) -> dict[int, int]:
    """Where each column that has boxes begins."""
    column = {box.name: box.column for box in picture.boxes}
    used = sorted(set(column.values()))
    lanes = dict.fromkeys(used[:1], 0)
    for left, right in itertools.pairwise(used):
        named = any(
            wire.trunk and sorted((column[wire.a], column[wire.b])) == [left, right] for wire in picture.wires
        )
        lanes[right] = lanes[left] + (NAMED_LANE if named else LANE)
    return lanes


def _rows(boxes: list[Box], near: Mapping[str, list[str]]) -> dict[int, list[str]]:
    """The names of each column from top to bottom."""
    rows: defaultdict[int, list[str]] = defaultdict(list)
    for box in boxes:
        rows[box.column].append(box.name)
    for sweep in range(SWEEPS):
        place = {name: n / len(names) for names in rows.values() for n, name in enumerate(names)}
        for column in sorted(rows, reverse=bool(sweep % 2)):
            middle = {
                name: sum(found) / len(found)
                if (found := [place[o] for o in near[name] if o in place])
                else 0.5
                for name in rows[column]
            }
            rows[column].sort(key=lambda name: middle[name])
            place |= {name: n / len(rows[column]) for n, name in enumerate(rows[column])}
    return dict(rows)


def svg(picture: Picture) -> str:
    """One SVG document with all layers."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + _drawing(picture)


def html(picture: Picture) -> str:
    """One page that needs nothing else: no network, no script."""
    return _PAGE.format(name=escape(picture.name), drawing=_drawing(picture))


def _drawing(picture: Picture) -> str:
    placed = layout(picture)
    ends = Counter(end for wire in picture.wires if wire.trunk for end in (wire.a, wire.b))
    size = f'width="{placed.width:.0f}" height="{placed.height:.0f}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(picture.name)}">',
            f"<style>{STYLE}</style>",
            *_tiers(picture, placed),
            *(_wire(wire, placed, ends) for wire in picture.wires),
            *(_peer(peer, placed) for peer in picture.peers),
            *(_box(box, placed) for box in picture.boxes),
            "</svg>\n",
        ]
    )


def _tiers(picture: Picture, placed: Layout) -> Iterator[str]:
    at: defaultdict[Tier, list[tuple[float, float]]] = defaultdict(list)
    for box in picture.boxes:
        at[box.tier].append(placed.middles[box.name])
    upper = [y for tier, middles in at.items() if tier != "internet" for _, y in middles]
    for tier, middles in at.items():
        heights = [y for _, y in middles] if tier == "internet" else upper
        left = min(x for x, _ in middles) - BOX[0] / 2 - 10
        right = max(x for x, _ in middles) + BOX[0] / 2 + 10
        top, bottom = min(heights) - ROW / 2 - HEAD + 8, max(heights) + ROW / 2 - 4
        yield (
            f'<g class="tier"><rect x="{left:.0f}" y="{top:.0f}" width="{right - left:.0f}" '
            f'height="{bottom - top:.0f}" rx="8"/>'
            f'<text x="{(left + right) / 2:.0f}" y="{top + 17:.0f}">{escape(TIERS[tier])}</text></g>'
        )


@dataclass(frozen=True, slots=True)
class _Curve:
    """A cubic Bezier curve: its four points."""

    points: tuple[tuple[float, float], ...]

    @classmethod
    def between(cls, a: tuple[float, float], b: tuple[float, float], bow: float = 0.0) -> _Curve:
        """From middle to middle, leaning down by about `bow` pixels (up when negative)."""
        (ax, ay), (bx, by) = a, b
        # Two boxes of one column: lean out to the right, or the curve would run through those between.
        aside = BOX[0] if ax == bx else 0.0
        half = (bx - ax) / 2
        return cls((a, (ax + half + aside, ay + bow), (bx - half + aside, by + bow), b))

    def path(self) -> str:
        """As SVG has it."""
        (ax, ay), *rest = self.points
        return f"M{ax:.0f},{ay:.0f} C" + " ".join(f"{x:.0f},{y:.0f}" for x, y in rest)

    def at(self, part: float) -> tuple[float, float]:
        """The point after so much of the curve, 0 to 1."""
        weights = [(1 - part) ** 3, 3 * part * (1 - part) ** 2, 3 * part**2 * (1 - part), part**3]
        pairs = list(zip(weights, self.points, strict=True))
        return sum(w * x for w, (x, _) in pairs), sum(w * y for w, (_, y) in pairs)


def _line(
    kind: str, state: State, title: list[str], label: list[str], curve: _Curve, part: float = 0.5
) -> str:
    x, y = curve.at(part)
    first = y - 6 * (len(label) - 1)
    words = "".join(
        f'<tspan x="{x:.0f}" y="{first + 12 * number:.0f}">{escape(line)}</tspan>'
        for number, line in enumerate(label)
    )
    text = f'<text class="label">{words}</text>' if label else ""
    told = escape("\n".join([*title, *([f"state: {state}"] if state else [])]))
    return f'<g class="{kind} {state}"><title>{told}</title><path d="{curve.path()}"/>{text}</g>'


def _wire(wire: Wire, placed: Layout, ends: Counter[str]) -> str:
    """A wire; its label stands near the end where fewer wires meet."""
    title = [f"{wire.a} - {wire.b}: {', '.join(wire.links)}", *(f"{tags} {name}" for tags, name in wire.tags)]
    kind = "wire trunk" if wire.trunk else "wire"
    curve = _Curve.between(placed.middles[wire.a], placed.middles[wire.b])
    few, many = ends[wire.a], ends[wire.b]
    part = 0.5 if few == many else 0.4 if few < many else 0.6
    return _line(kind, wire.state, title, wire_label(wire, TAGS), curve, part)


def _peer(peer: Peer, placed: Layout) -> str:
    """The sessions of two nodes, bowed out of the wires' way; those of peerings are named."""
    title = [f"BGP {peer.a} - {peer.b}, {peer.sessions} sessions", *peer.labels, *peer.why]
    a, b = placed.middles[peer.a], placed.middles[peer.b]
    upper = (a[1] + b[1]) / 2 < placed.centre
    label = peer_label(peer) if any("/" in name for name in peer.labels) or peer.why else []
    return _line("peer", peer.state, title, label, _Curve.between(a, b, -84 if upper else 84))


def _box(box: Box, placed: Layout) -> str:
    x, y = placed.middles[box.name]
    title = escape("\n".join([f"{box.name} ({box.kind})", *box.domains]))
    # A name that is longer than its box is squeezed, not cut.
    squeeze = f' textLength="{BOX[0] - 10}" lengthAdjust="spacingAndGlyphs"' if len(box.name) > 18 else ""
    return (
        f'<g class="box {box.kind} {box.state if box.state == "down" else ""}"><title>{title}</title>'
        f'<rect x="{x - BOX[0] / 2:.0f}" y="{y - BOX[1] / 2:.0f}" width="{BOX[0]}" height="{BOX[1]}" rx="6"/>'
        f'<text x="{x:.0f}" y="{y - 2:.0f}"{squeeze}>{escape(box.name)}</text>'
        f'<text class="kind" x="{x:.0f}" y="{y + 12:.0f}">{escape(box.kind)}</text></g>'
    )
