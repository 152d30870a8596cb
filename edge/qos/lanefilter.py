"""Which packets may match a row that is not in the AVX2 lane's list (edge_filter of csrc/policy.h). Pure.

A policy of hundreds of rules is mostly about single sites and services, and most packets are of none. So only
rows that are general stand in the lane's list; 16 bits of the addresses tell whether another row can match a
packet at all, and only if so the tables are asked.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.qos.classes import ADDRESS_BITS, Row

if TYPE_CHECKING:
    from edge.model import Network

WINDOW_BITS = 16
NAMED_MOST = 1 << 12
"""Most values, of source and destination together, that are worth a filter: one in 32."""

_VALUES = 1 << WINDOW_BITS
_HEAD = struct.Struct("=I12x")


def pack_filter(rows: Sequence[Row], version: int) -> bytes | None:
    """The filter that names all packets of an IP version that one of `rows` may match.

    None when it would name too many, or a row asks for no address.
    """
    asked = [_asked(row, version) for row in rows]
    if not all(asked):
        return None
    filters = [_named(asked, window, version) for window in range(ADDRESS_BITS[version] // WINDOW_BITS)]
    # Where the prefixes are alike, so are other addresses of the same company; where they differ, others do.
    found = max(filters, key=lambda one: (one.count <= NAMED_MOST, one.different, -one.count))
    if found.count > NAMED_MOST:
        return None
    octets = [bits.to_bytes(_VALUES // 8, "little") for bits in (found.source, found.destination)]
    return _HEAD.pack(found.window) + b"".join(octets)


@dataclass(frozen=True, slots=True)
class _Named:
    """One bit per value of the window, for source and destination.

    different: how many different sets of values rows ask for.
    """

    window: int
    source: int
    destination: int
    different: int

    @property
    def count(self) -> int:
        return self.source.bit_count() + self.destination.bit_count()


def _asked(row: Row, version: int) -> dict[int, list[Network]]:
    """Side (0 source, 1 destination) -> its prefixes, where there are any."""
    sides = enumerate((row.rule.source, row.rule.destination))
    return {side: [p for p in prefixes if p.version == version] for side, prefixes in sides if prefixes}


def _named(asked: Sequence[dict[int, list[Network]]], window: int, version: int) -> _Named:
    """A row that asks for both sides is named by the one that names fewer."""
    named = [0, 0]
    different = set()
    for sides in asked:
        found = {side: _values(prefixes, window, version) for side, prefixes in sides.items()}
        side = min(found, key=lambda side: found[side].bit_count())
        named[side] |= found[side]
        different.add(found[side])
    return _Named(window, named[0], named[1], len(different))


def _values(prefixes: Sequence[Network], window: int, version: int) -> int:
    """One bit per value that the window has in these prefixes."""
    below = ADDRESS_BITS[version] - WINDOW_BITS * (window + 1)
    values = 0
    for prefix in prefixes:
        first = int(prefix.network_address) >> below & (_VALUES - 1)
        free = min(max(WINDOW_BITS * (window + 1) - prefix.prefixlen, 0), WINDOW_BITS)
        values |= ((1 << (1 << free)) - 1) << first
    return values
