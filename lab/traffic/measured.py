"""From the packets of a stream to how it was: its quality as a whole and second by second. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from edge.fastpath.streams import Packets
from lab.traffic.emodel import G711, Codec
from lab.traffic.quality import Arrival, Quality, Target, misses, quality

WINDOW_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """What was sent in a stretch of time, for a plot. begin_s: from the stream's first packet.

    Delays in ms of what arrived, None where nothing did. loss_percent: never arrived, of those sent. mos: as
    if this had been the whole call; None for other media than voice.
    """

    begin_s: float
    sent: int
    lost: int
    late: int
    loss_percent: float
    delay_ms: float | None
    delay_max_ms: float | None
    jitter_ms: float
    mos: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "begin_s": self.begin_s,
            "sent": self.sent,
            "lost": self.lost,
            "late": self.late,
            "loss_percent": round(self.loss_percent, 3),
            "delay_ms": self.delay_ms,
            "delay_max_ms": self.delay_max_ms,
            "jitter_ms": self.jitter_ms,
            "mos": self.mos,
        }


def arrivals(packets: Packets) -> list[Arrival]:
    """What arrived, in the order in which it did."""
    came = sorted((rank, number) for number, rank in enumerate(packets.order) if rank)
    return [Arrival(number, packets.sent_ns[number], packets.received_ns[number]) for _, number in came]


def missing(packets: Packets) -> list[bool]:
    """For each packet, whether it never arrived."""
    return [not received for received in packets.received_ns]


def whole(packets: Packets, duplicates: int, codec: Codec) -> Quality:
    """The stream as its receiver had it; duplicates as the engine counted them."""
    return replace(quality(len(packets), arrivals(packets), codec), duplicates=duplicates)


def missed_targets(found: Quality, packets: Packets, packet_ms: float, target: Target) -> tuple[str, ...]:
    """Which figures of Microsoft's target it misses, in words."""
    return misses(found, missing(packets), packet_ms, target)


def dscps(packets: Packets) -> dict[int, int]:
    """DSCP as received -> how many packets had it, the most first."""
    seen = Counter(
        mark >> 2 for mark, time in zip(packets.traffic_class, packets.received_ns, strict=True) if time
    )
    return dict(seen.most_common())


def windows(packets: Packets, codec: Codec | None, length_ns: int = WINDOW_NS) -> tuple[Window, ...]:
    """Stretch by stretch, those without packets left out. codec: of voice; None where a MOS means nothing."""
    if not len(packets):
        return ()
    begin = packets.sent_ns[0]
    places: dict[int, list[int]] = {}
    for number, sent_ns in enumerate(packets.sent_ns):
        places.setdefault((sent_ns - begin) // length_ns, []).append(number)
    return tuple(
        _window(packets, place * length_ns / 1e9, numbers, codec) for place, numbers in places.items()
    )


def _window(packets: Packets, begin_s: float, numbers: list[int], codec: Codec | None) -> Window:
    ranked = sorted((packets.order[number], place) for place, number in enumerate(numbers))
    heard = [
        Arrival(place, packets.sent_ns[numbers[place]], packets.received_ns[numbers[place]])
        for rank, place in ranked
        if rank
    ]
    found = quality(len(numbers), heard, codec or G711)
    return Window(
        begin_s=begin_s,
        sent=found.sent,
        lost=found.lost,
        late=found.late,
        loss_percent=found.loss_percent,
        delay_ms=found.delay.median if heard else None,
        delay_max_ms=found.delay.most if heard else None,
        jitter_ms=found.jitter_max_ms,
        mos=found.mos if codec is not None else None,
    )
