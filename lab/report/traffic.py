"""What harms, queues and polices the traffic of a lab, in short: for `inspect`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from edge.console import BAD, QUIET, Cell, table
from edge.counttables import count, short
from lab.classes import PolicerRow
from lab.view import ImpairmentView, LinkView

if TYPE_CHECKING:
    from rich.table import Table


def harm_words(item: ImpairmentView) -> str:
    """What is done to frames, as the topology file says it: `delay 40ms +-5ms, loss 1%`. Pure."""
    jitter = f" +-{item.jitter_ms:g}ms" if item.jitter_ms else ""
    words = [f"delay {item.delay_ms:g}ms{jitter}"] if item.delay_ms else []
    parts = (("loss", item.loss_percent), ("duplicate", item.duplicate_percent))
    words += [
        f"{name} {percent:g}%" for name, percent in (*parts, ("reorder", item.reorder_percent)) if percent
    ]
    if item.rate_bps is not None:
        words.append(f"rate {short(item.rate_bps)}")
    if item.by != "ring":
        words.append(f"by {item.by}")
    return ", ".join(words)


def harmed_words(item: ImpairmentView) -> str:
    """What was harmed so far; nothing for netem, which counts where only `tc -s qdisc` looks. Pure."""
    if item.offered is None:
        return ""
    counts = {
        "lost": item.lost,
        "dropped": item.dropped,
        "doubled": item.duplicated,
        "overtook": item.reordered,
        "on their way": item.waiting,
    }
    words = [f"{count(number)} {name}" for name, number in counts.items() if number]
    return f"{count(item.offered)}: {', '.join(words)}" if words else count(item.offered)


def impairments_table(links: Iterable[LinkView]) -> Table | None:
    """One row a direction of a link that is harmed; None when none is."""
    rows = [
        (link.name, item.towards, harm_words(item), harmed_words(item))
        for link in links
        for item in link.impairments
    ]
    return table(("impaired", "towards", "how", "frames"), rows, fold=("how", "frames")) if rows else None


def queues_table(queues: Iterable[Mapping[str, Any]]) -> Table | None:
    """One row a circuit on a port, with the packets of each class that has any; None without queues.

    queues: those of a LabView.
    """
    steered = [item for item in queues if item.get("circuit")]
    if not steered:
        return None
    lines: list[Sequence[Cell]] = []
    for (port, circuit), group in groupby(steered, key=lambda item: (item["at"], item["circuit"])):
        items = list(group)
        packets = [f"{item['name']} {count(item['packets'])}" for item in items if item["packets"]]
        dropping = [f"{count(item['drops'])} {item['name']}" for item in items if item["drops"]]
        waiting = sum(item["backlog_packets"] for item in items)
        lines.append(
            (
                port,
                circuit,
                ", ".join(packets) or ("no packets yet", QUIET),
                (", ".join(dropping), BAD) if dropping else ("0", QUIET),
                count(waiting) if waiting else ("0", QUIET),
            )
        )
    return table(("queues of", "circuit", "packets", "drops", "waiting"), lines, fold=("packets",))


def policed_lines(rows: Iterable[PolicerRow]) -> Iterator[str]:
    """A sentence for each direction of a connection whose policer dropped something. Pure."""
    dropping = [item for item in rows if item.dropped_packets]
    for (circuit, towards), group in groupby(dropping, key=lambda item: (item.circuit, item.towards)):
        words = ", ".join(f"{count(item.dropped_packets)} of {item.name}" for item in group)
        yield f"{circuit} towards {towards}: the bandwidth was exceeded, policed {words}"
