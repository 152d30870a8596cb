"""Pictures of outages, queues and calls, as SVG or PNG by the file's name. Needs matplotlib.

The numbers come from lab.report.series. The same numbers give the same SVG, octet for octet: no date, and
names of things in the file by a constant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import CapabilityError, UsageError
from lab.report.series import ELSEWHERE, ClassSeries, OutageSeries, Point, QualityPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png")

GAP, MARK, LOST = "#d62728", "#444444", "#d62728"
LINKS = ("#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf")
OTHER = "#7f7f7f"
_WIDTH_IN, _ROW_IN = 9.0, 2.4
_DPI = 130

TARGET_MOS = 4.3
"""What a good call keeps (issue), as a line."""


def require(path: Path) -> None:
    """Whether a picture can be made and written there. Raises UsageError, CapabilityError."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path.name}: a picture is called *{' or *'.join(FORMATS)}")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} for {path.name}")
    try:
        import matplotlib  # noqa: F401 - asked for only
    except ImportError as error:
        raise CapabilityError(
            "matplotlib is not installed, which draws plots",
            "pip install 'edgelab[plots]', or: apt-get install python3-matplotlib",
        ) from error


def plot_outage(found: OutageSeries, path: Path, title: str = "") -> None:
    """Delay of probes over time, a row for each way: gaps shaded, links coloured, marks as lines."""
    with _drawing(path, title, max(1, len(found.ways))) as axes:
        colours = _colours(found.links)
        for axis, way in zip(axes, found.ways, strict=False):
            for link, points in way.points.items():
                axis.plot(*_columns(points), ".", markersize=2.5, color=colours[link], label=link)
            for begin, end in way.gaps:
                axis.axvspan(begin, end, color=GAP, alpha=0.15, linewidth=0)
            if way.lost:
                axis.plot(way.lost, [0.0] * len(way.lost), "|", markersize=5, color=LOST, label="lost")
            longest = max((end - begin for begin, end in way.gaps), default=0.0)
            axis.set_title(
                f"{way.way}: longest gap {longest:.3f} s, {_lost_words(way.gaps)}", fontsize=9, loc="left"
            )
            axis.set_ylabel("delay, ms")
            axis.set_ylim(bottom=0)
            axis.legend(loc="upper right", fontsize=7, markerscale=2)
        _marks(axes, found.marks)


def plot_queues(found: Sequence[ClassSeries], path: Path, title: str = "") -> None:
    """Bits and drops per second and packets that wait, a line for each class. Raises UsageError for none."""
    if not any(one.bits_per_s for one in found):
        raise UsageError(
            "two looks at queues at least make a line; see: edgelab classes --watch --format json"
        )
    colours = _colours([one.name for one in found])
    with _drawing(path, title, 3) as axes:
        for axis, label in zip(axes, ("Mbit/s", "drops per s", "packets waiting"), strict=True):
            axis.set_ylabel(label)
        for one in found:
            mbits = [(second, rate / 1e6) for second, rate in one.bits_per_s]
            for axis, points in zip(axes, (mbits, one.drops_per_s, one.backlog), strict=True):
                axis.plot(*_columns(points), "-", linewidth=1.2, color=colours[one.name], label=one.name)
        for axis in axes:
            axis.set_ylim(bottom=0)
        axes[0].legend(loc="upper right", fontsize=7)


def plot_quality(
    found: Mapping[str, Sequence[QualityPoint]],
    path: Path,
    title: str = "",
    marks: Sequence[tuple[float, str]] = (),
) -> None:
    """MOS, loss, jitter and delay over time, a line for each stream of a call."""
    colours = _colours(list(found))
    with _drawing(path, title, 4) as axes:
        for axis, label in zip(axes, ("MOS", "loss, %", "jitter, ms", "delay, ms"), strict=True):
            axis.set_ylabel(label)
        for name, points in found.items():
            values: tuple[list[tuple[float, float | None]], ...] = (
                [(one.second, one.mos) for one in points],
                [(one.second, one.loss_percent) for one in points],
                [(one.second, one.jitter_ms) for one in points],
                [(one.second, one.delay_ms) for one in points],
            )
            for axis, column in zip(axes, values, strict=True):
                there = [(second, value) for second, value in column if value is not None]
                axis.plot(*_columns(there), ".-", markersize=3, linewidth=1, color=colours[name], label=name)
        axes[0].axhline(TARGET_MOS, color=OTHER, linestyle=":", linewidth=1)
        axes[0].set_ylim(1, 5)
        for axis in axes[1:]:
            axis.set_ylim(bottom=0)
        axes[0].legend(loc="lower right", fontsize=7)
        _marks(axes, marks)


def _lost_words(gaps: Sequence[tuple[float, float]]) -> str:
    return "nothing lost" if not gaps else f"{len(gaps)} gap{'s' if len(gaps) > 1 else ''}"


def _marks(axes: Sequence[Axes], marks: Sequence[tuple[float, str]]) -> None:
    """Dashed lines through all rows; the words at the first."""
    for second, words in marks:
        for axis in axes:
            axis.axvline(second, color=MARK, linestyle="--", linewidth=0.8)
        axes[0].annotate(
            words,
            (second, 1),
            xycoords=("data", "axes fraction"),
            xytext=(2, -2),
            textcoords="offset points",
            rotation=90,
            va="top",
            fontsize=6,
            color=MARK,
        )


def _columns(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [point[0] for point in points], [point[1] for point in points]


def _colours(names: Sequence[str]) -> dict[str, str]:
    named = [name for name in names if name != ELSEWHERE]
    return {**{name: LINKS[place % len(LINKS)] for place, name in enumerate(named)}, ELSEWHERE: OTHER}


@contextmanager
def _drawing(path: Path, title: str, rows: int) -> Iterator[list[Axes]]:
    """Axes below each other, with one axis of time; written to the file at the end."""
    require(path)
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "edgelab", "svg.fonttype": "none", "path.simplify": False}):
        figure = _figure(rows)
        axes = list(figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])
        if title:
            figure.suptitle(title, fontsize=11)
        for axis in axes:
            axis.grid(visible=True, linewidth=0.3)
            axis.margins(x=0.01)
        axes[-1].set_xlabel("seconds")
        yield axes
        suffix = path.suffix.lower().lstrip(".")
        # What a file says of its making differs from run to run.
        metadata = {"Date": None} if suffix == "svg" else {"Software": None}
        figure.savefig(path, format=suffix, dpi=_DPI, metadata=metadata)


def _figure(rows: int) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDTH_IN, 0.9 + _ROW_IN * rows), layout="constrained")
