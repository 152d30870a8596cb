"""Sets of packets as boxes: what a rule matches is a union of boxes, one interval for each dimension. Pure.

Dimensions: source port, destination port, source, destination, DSCP, protocol, shape, IP version (0 is 4,
1 is 6), direction (0 out, 1 in); what differs most often comes first and ends a comparison. *shape* says what
a packet shows behind its IP header: 0 no ports (as in later fragments), 1 ports, 2 a STUN header behind UDP,
3 an RTP header. A payload cannot be both: their first two bits differ. Protocols are renumbered, so that
those with ports stand together. A packet without ports has every port: no rule that asks for one takes it,
since the shape differs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from edge.model import Network
from edge.qos.model import PortRange, Rule
from edge.qos.names import PROTOCOL_BY_NAME, PROTOCOLS_WITH_PORTS

Interval = tuple[int, int]
"""First and last, both included."""

Box = tuple[Interval, ...]

Packet = tuple[int, ...]
"""One value for each dimension."""

DIMENSIONS = ("sport", "dport", "source", "destination", "dscp", "protocol", "shape", "version", "direction")

NO_PORTS, PORTS, STUN, RTP = range(4)

_UDP = PROTOCOL_BY_NAME["udp"]
_PROTOCOLS = sorted(
    range(256), key=lambda number: (number != _UDP, number not in PROTOCOLS_WITH_PORTS, number)
)
_PLACE = {protocol: place for place, protocol in enumerate(_PROTOCOLS)}
_ALL_PORTS: Interval = (0, 65535)
_ALL_ADDRESSES: Interval = (0, (1 << 128) - 1)
_DIRECTIONS: dict[str, Interval] = {"out": (0, 0), "in": (1, 1), "both": (0, 1)}
_SHAPES: dict[str, tuple[Interval, ...]] = {
    "": ((PORTS, PORTS), (STUN, RTP)),
    "stun": ((STUN, STUN),),
    "rtp": ((RTP, RTP),),
}
_SHOWN_BY: dict[Interval, Interval] = {
    (NO_PORTS, NO_PORTS): (0, 255),
    (PORTS, PORTS): (0, len(PROTOCOLS_WITH_PORTS) - 1),
    (STUN, RTP): (0, 0),
    (PORTS, RTP): (0, 0),
    (STUN, STUN): (0, 0),
    (RTP, RTP): (0, 0),
}
"""Which protocols (renumbered) can show a shape."""


def boxes_of(rule: Rule) -> tuple[Box, ...]:
    """What a rule matches. The boxes may overlap."""
    direction = _DIRECTIONS[rule.direction]
    dscps = tuple(_runs(rule.existing_dscp)) or ((0, 63),)
    return tuple(
        (sport, dport, source, destination, dscp, protocol, shape, version, direction)
        for version, source, destination in _addresses(rule)
        for protocol, shape, sport, dport in _transports(rule)
        for dscp in dscps
    )


def protocol_at(place: int) -> int:
    """The protocol that stands at this place of the renumbered ones."""
    return _PROTOCOLS[place]


def meet(one: Box, other: Box) -> bool:
    """Whether some packet lies in both."""
    # A loop: all() with a generator takes three times as long, and this decides how long a policy takes.
    for (first, last), (other_first, other_last) in zip(one, other, strict=True):
        if first > other_last or other_first > last:
            return False
    return True


def hold(boxes: Iterable[Box], packet: Packet) -> bool:
    """Whether the packet lies in one of the boxes."""
    for box in boxes:
        for (first, last), value in zip(box, packet, strict=True):
            if value < first or value > last:
                break
        else:
            return True
    return False


def subtract(box: Box, taken: Box) -> Iterator[Box]:
    """Disjoint boxes that together are `box` without `taken`."""
    if not meet(box, taken):
        yield box
        return
    rest = list(box)
    for at, (here, there) in enumerate(zip(box, taken, strict=True)):
        if here[0] < there[0]:
            yield (*rest[:at], (here[0], there[0] - 1), *rest[at + 1 :])
        if here[1] > there[1]:
            yield (*rest[:at], (there[1] + 1, here[1]), *rest[at + 1 :])
        rest[at] = (max(here[0], there[0]), min(here[1], there[1]))


def hull(boxes: Iterable[Box]) -> Box:
    """The smallest box that holds them all, of at least one."""
    return tuple(
        (min(first for first, _ in intervals), max(last for _, last in intervals))
        for intervals in (tuple(dimension) for dimension in zip(*boxes, strict=True))
    )


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """The same values as disjoint intervals, in their order."""
    found: list[Interval] = []
    for first, last in sorted(set(intervals)):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return found


def contain(intervals: Sequence[Interval], value: int) -> bool:
    """Whether the value lies in one of disjoint intervals, which are in their order."""
    at = bisect_right(intervals, (value, _ALL_ADDRESSES[1]))
    return at > 0 and value <= intervals[at - 1][1]


def touch(some: Sequence[Interval], others: Sequence[Interval]) -> bool:
    """Whether two lists of disjoint intervals, both in their order, share a value."""
    at = 0
    for first, last in some:
        while at < len(others) and others[at][1] < first:
            at += 1
        if at == len(others):
            return False
        if others[at][0] <= last:
            return True
    return False


def _addresses(rule: Rule) -> Iterator[tuple[Interval, Interval, Interval]]:
    if not rule.source and not rule.destination:
        yield (0, 1), _ALL_ADDRESSES, _ALL_ADDRESSES
        return
    for place, version in ((0, 4), (1, 6)):
        sources, destinations = _prefixes(rule.source, version), _prefixes(rule.destination, version)
        for source, destination in product(sources, destinations):
            yield (place, place), source, destination


def _prefixes(prefixes: tuple[Network, ...], version: int) -> list[Interval]:
    """IPv4 addresses stand for their first 32 bits, whatever follows: so both versions have one range."""
    if not prefixes:
        return [_ALL_ADDRESSES]
    shift = 96 if version == 4 else 0
    return [
        (int(prefix.network_address) << shift, (int(prefix.broadcast_address) + 1 << shift) - 1)
        for prefix in prefixes
        if prefix.version == version
    ]


def _transports(rule: Rule) -> Iterator[tuple[Interval, Interval, Interval, Interval]]:
    places = tuple(_runs(_PLACE[protocol] for protocol in rule.protocols)) or ((0, 255),)
    asks_ports = any((rule.source_ports, rule.destination_ports, rule.either_ports))
    shapes = _SHAPES[rule.hint]
    if not asks_ports and not rule.hint:
        shapes = ((NO_PORTS, NO_PORTS), *shapes)
    elif not rule.hint and places == ((0, 0),):
        # Only UDP: one box does.
        shapes = ((PORTS, RTP),)
    for shape, (first, last) in product(shapes, places):
        can = _SHOWN_BY[shape]
        protocol = max(first, can[0]), min(last, can[1])
        if protocol[0] <= protocol[1]:
            for sport, dport in _port_pairs(rule):
                yield protocol, shape, sport, dport


def _port_pairs(rule: Rule) -> Iterator[tuple[Interval, Interval]]:
    sport, dport = rule.source_ports or _ALL_PORTS, rule.destination_ports or _ALL_PORTS
    if rule.either_ports is None:
        yield sport, dport
        return
    narrowed = _common(sport, rule.either_ports), _common(dport, rule.either_ports)
    if narrowed[0]:
        yield narrowed[0], dport
    if narrowed[1]:
        yield sport, narrowed[1]


def _common(one: PortRange, other: PortRange) -> PortRange | None:
    first, last = max(one[0], other[0]), min(one[1], other[1])
    return (first, last) if first <= last else None


def _runs(numbers: Iterable[int]) -> Iterator[Interval]:
    """Intervals of consecutive numbers."""
    ordered = sorted(set(numbers))
    start = 0
    for at, number in enumerate(ordered):
        if at + 1 == len(ordered) or ordered[at + 1] != number + 1:
            yield ordered[start], number
            start = at + 1
