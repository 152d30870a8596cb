"""A call and a load as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from edge.console import BAD, GOOD, Cell, table
from edge.qos.names import dscp_name
from lab.traffic.callresult import CallResult, StreamResult, worst
from lab.traffic.iperf import LoadResult

if TYPE_CHECKING:
    from rich.console import Group

MOS_GOOD, MOS_BAD = 4.0, 3.6
"""By G.107 Annex B: satisfied from 4.03 (R 80), many dissatisfied below 3.60 (R 70)."""

_COLUMNS = (
    "stream",
    "from",
    "to",
    "sent",
    "lost",
    "burst",
    "reordered",
    "delay",
    "jitter",
    "DSCP",
    "R",
    "MOS",
)


def call_table(result: CallResult, each: bool) -> Group:
    """A row for each kind of stream and direction, with the figures of the worst, or for each stream.

    Below: Microsoft's targets that were missed, and what is not the network's fault.
    """
    from rich.console import Group
    from rich.text import Text

    rows: list[Sequence[Cell]] = []
    for (medium, way), streams in worst(result.streams).items():
        ends = (result.source, result.target) if way == "out" else (result.target, result.source)
        if each:
            ordered = sorted(streams, key=lambda item: item.number)
            rows += [_row(f"{medium} {item.number + 1}", ends, [item]) for item in ordered]
        else:
            name = f"{len(streams)} x {medium}" if len(streams) > 1 else medium
            rows.append(_row(name, ends, streams))
    return Group(
        table(_COLUMNS, rows, spare=("R", "reordered", "burst", "jitter", "sent", "delay")),
        *(Text(line) for line in target_lines(result)),
        *(Text(line, style=BAD) for line in result.warnings),
    )


def _row(name: str, ends: tuple[str, str], streams: Sequence[StreamResult]) -> Sequence[Cell]:
    """Counts of all, figures of the worst."""
    found = [item.quality for item in streams]
    sent, lost = sum(item.sent for item in found), sum(item.lost for item in found)
    percent = 100.0 * lost / sent if sent else 0.0
    burst = max(item.longest_burst for item in found)
    reordered = sum(item.reordered for item in found)
    heard = any(item.received for item in found)
    delay = max(item.delay.p95 for item in found)
    jitter = max(item.jitter_max_ms for item in found)
    least = min(found, key=lambda item: item.mos)
    voice = streams[0].medium == "voice"
    return (
        name,
        *ends,
        str(sent),
        (f"{lost} ({percent:.3g} %)", BAD) if lost else "0",
        str(burst),
        str(reordered),
        f"{delay:.2f} ms" if heard else "-",
        f"{jitter:.2f} ms" if heard else "-",
        _dscps(streams),
        f"{least.r:.1f}" if voice else "-",
        _mos(least.mos) if voice else "-",
    )


def _mos(value: float) -> Cell:
    text = f"{value:.2f}"
    if value >= MOS_GOOD:
        return text, GOOD
    return (text, BAD) if value < MOS_BAD else text


def _dscps(streams: Sequence[StreamResult]) -> str:
    """DSCP as received, the most common first."""
    counts: dict[int, int] = {}
    for item in streams:
        for dscp, packets in item.dscp.items():
            counts[dscp] = counts.get(dscp, 0) + packets
    return ", ".join(dscp_name(dscp) for dscp in sorted(counts, key=lambda item: -counts[item])) or "-"


def target_lines(result: CallResult) -> Iterator[str]:
    """What misses Microsoft's targets, a line for each kind of stream; one line when all are met."""
    if not any(item.missed for item in result.streams):
        yield "Microsoft's targets for the network are met"
        return
    for (medium, way), streams in worst(result.streams).items():
        missing = [item for item in streams if item.missed]
        if missing:
            number = f" in {len(missing)} of {len(streams)} streams" if len(streams) > 1 else ""
            direction = "" if way == "out" else f" from {result.target}"
            yield f"{medium}{direction} misses Microsoft's targets{number}: {'; '.join(missing[0].missed)}"


def load_table(result: LoadResult) -> Group:
    """A row a second and a closing line."""
    from rich.console import Group
    from rich.text import Text

    udp = result.wanted.protocol == "udp"
    rows: list[Sequence[Cell]] = [
        (
            f"{item.begin_s:.0f} s",
            f"{item.received_bps / 1e6:.1f} Mbit/s",
            _bad(item.lost if udp else item.retransmits),
        )
        for item in result.each
    ]
    return Group(table(("from", "arrived", "lost" if udp else "sent again"), rows), Text(load_words(result)))


def _bad(count: int | None) -> Cell:
    return (str(count), BAD) if count else "0"


def load_words(result: LoadResult) -> str:
    """The whole load in a line. Pure."""
    wanted = result.wanted
    ends = (wanted.target, wanted.source) if wanted.reverse else (wanted.source, wanted.target)
    words = (
        f"{ends[0]} -> {ends[1]}, {wanted.protocol.upper()}: {result.received_bps / 1e6:.1f} Mbit/s arrived, "
        f"{result.sent_bps / 1e6:.1f} sent, in {result.seconds:.1f} s"
    )
    if result.loss_percent is not None:
        return f"{words}; {result.lost} of {result.packets} packets lost ({result.loss_percent:.3g} %)"
    return f"{words}; {result.retransmits} segments sent again"
