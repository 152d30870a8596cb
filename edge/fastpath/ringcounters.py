"""The counters of the ring engine, in the words of the tag plane."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Collection, Mapping

from edge.fastpath.counters import (
    CircuitCounters,
    DirectionCounters,
    PolicedClass,
    PortCounters,
    SubinterfaceCounters,
    TagCounters,
    Traffic,
    UnknownStack,
)
from edge.fastpath.layout import POLICED_CLASSES, RuleKey, Stats
from edge.fastpath.registry import CircuitRecord, SubinterfaceRecord
from edge.fastpath.ringprocess import RingProcess
from edge.net.objects.base import Endpoint


def read_counters(
    engine: RingProcess,
    subinterfaces: Collection[SubinterfaceRecord],
    circuits: Collection[CircuitRecord],
    ports: Mapping[int, Endpoint],
) -> TagCounters:
    """All counters at this moment. ports: by their numbers in the engine, all that it has."""
    unknown: defaultdict[int, list[UnknownStack]] = defaultdict(list)
    for raw_key, value in engine.unknown():
        key = RuleKey.unpack(raw_key)
        unknown[key.ifindex].append(UnknownStack(key.raw_tags, int.from_bytes(value, sys.byteorder)))
    inner_ends = {sub.hook for sub in subinterfaces}
    return TagCounters(
        tuple(
            SubinterfaceCounters(
                sub.obj.sub,
                sub.obj.port,
                sub.obj.tags,
                rx=_passed(engine.stats(sub.rx_slot)[0]),
                tx=_passed(engine.stats(sub.tx_slot)[0]),
            )
            for sub in subinterfaces
        ),
        tuple(
            CircuitCounters(
                circuit.obj.namespace,
                circuit.obj.name,
                *(_direction(*engine.stats(slot)) for slot in circuit.slots),
            )
            for circuit in circuits
        ),
        tuple(
            PortCounters(
                endpoint,
                _dropped(engine.dropped(number)),
                tuple(sorted(unknown[number], key=lambda stack: (-stack.packets, stack.tags))),
            )
            for number, endpoint in ports.items()
            if number not in inner_ends
        ),
    )


def _direction(stats: Stats, policed: tuple[Stats, ...]) -> DirectionCounters:
    by_class = zip(POLICED_CLASSES, policed, strict=True)
    return DirectionCounters(
        _passed(stats),
        _dropped(stats),
        tuple(PolicedClass(name, _passed(each), _dropped(each)) for name, each in by_class),
    )


def _passed(stats: Stats) -> Traffic:
    return Traffic(stats.packets, stats.octets)


def _dropped(stats: Stats) -> Traffic:
    return Traffic(stats.dropped_packets, stats.dropped_octets)
