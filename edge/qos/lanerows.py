"""Rows of the AVX2 lane (struct edge_lane4 and edge_lane6 of csrc/policy.h): a prefix per side at most. Pure.

A row of the list with several protocols, DSCP values or prefixes is one row here for each combination, in
the same order, so that the first that matches still decides. A row that asks about the payload, too, stands
here without that question: what would match it is for the scalar lane to judge (EDGE_LANE_ASK).
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.qos.classes import Row
from edge.qos.lanefilter import pack_filter

if TYPE_CHECKING:
    from edge.model import Network

LANE_ROWS_MAX = 32
"""Most rows of an IP version; with more the structure of the table is faster."""
GENERAL_ROWS = 16
"""Rows that a list with a filter may have, besides those without prefixes."""

_SOURCE, _DESTINATION, _SAME_META = 1, 2, 4
_ASK = 0xFFFF
_META_PROTOCOL, _META_DSCP, _META_PORTS = 0xFF, 0x3F00, 0x10000
_START = struct.Struct("<6I")
_ADDRESS_OCTETS = {4: 4, 6: 16}


@dataclass(frozen=True, slots=True)
class LaneRows:
    """Packed rows and how many they are. filter: names the packets that other rows may match, or is empty."""

    octets: bytes
    count: int
    filter: bytes = b""


@dataclass(frozen=True, slots=True)
class _LaneRow:
    """A row of the list with one value per field; None stands for any."""

    row: Row
    protocol: int | None
    dscp: int | None
    source: Network | None
    destination: Network | None

    @property
    def meta(self) -> tuple[int, int]:
        """What it asks of protocol, DSCP and ports being there: value and mask."""
        value = mask = 0
        if self.protocol is not None:
            value, mask = value | self.protocol, mask | _META_PROTOCOL
        if self.dscp is not None:
            value, mask = value | self.dscp << 8, mask | _META_DSCP
        if self.row.ports:
            value, mask = value | _META_PORTS, mask | _META_PORTS
        return value, mask


def pack_lane(rows: Sequence[Row], version: int) -> LaneRows | None:
    """The rows for an IP version, a filter beside them when they are not all; None when neither will do."""
    sizes = [_combinations(row, version) for row in rows]
    if sum(sizes) <= LANE_ROWS_MAX:
        return LaneRows(*_packed(rows, version))
    general = _general(rows, sizes)
    others = [row for row, taken in zip(rows, general, strict=True) if not taken]
    listed = [row for row, taken in zip(rows, general, strict=True) if taken]
    if sum(size for size, taken in zip(sizes, general, strict=True) if taken) > LANE_ROWS_MAX:
        return None
    packed = pack_filter(others, version)
    return None if packed is None else LaneRows(*_packed(listed, version), packed)


def _general(rows: Sequence[Row], sizes: Sequence[int]) -> list[bool]:
    """Which rows are for the list: those without prefixes, and the last ones, where general rules stand."""
    taken = [not (row.rule.source or row.rule.destination) for row in rows]
    used = sum(size for size, here in zip(sizes, taken, strict=True) if here)
    for index in reversed(range(len(rows))):
        if not taken[index]:
            used += sizes[index]
            if used > GENERAL_ROWS:
                break
            taken[index] = True
    return taken


def _combinations(row: Row, version: int) -> int:
    """How many rows it is here."""
    rule = row.rule
    found = len(rule.protocols or (None,)) * len(rule.existing_dscp or (None,))
    return found * len(_of_version(rule.source, version)) * len(_of_version(rule.destination, version))


def _packed(rows: Sequence[Row], version: int) -> tuple[bytes, int]:
    found = [
        _LaneRow(row, *combination)
        for row in rows
        for combination in itertools.product(
            row.rule.protocols or (None,),
            row.rule.existing_dscp or (None,),
            _of_version(row.rule.source, version),
            _of_version(row.rule.destination, version),
        )
    ]
    behind = [*(item.meta for item in found[1:]), None]
    packed = [
        _pack(item, version, item.meta == other)
        for item, other in zip(found, behind[: len(found)], strict=True)
    ]
    return b"".join(packed), len(packed)


def _of_version(prefixes: Sequence[Network], version: int) -> tuple[Network | None, ...]:
    """None stands for any address."""
    if not prefixes:
        return (None,)
    return tuple(prefix for prefix in prefixes if prefix.version == version)


def _pack(item: _LaneRow, version: int, same_meta: bool) -> bytes:
    row = item.row
    tests = _SAME_META if same_meta else 0
    addresses = b""
    for flag, prefix in ((_SOURCE, item.source), (_DESTINATION, item.destination)):
        if prefix is not None:
            tests |= flag
            addresses += prefix.network_address.packed + prefix.netmask.packed
        else:
            addresses += bytes(2 * _ADDRESS_OCTETS[version])
    spans = [last - first for first, last in (row.source_ports, row.destination_ports)]
    outcome = _ASK if row.rule.hint else row.outcome
    ports = row.source_ports[0] | row.destination_ports[0] << 16
    return _START.pack(ports, spans[0] | spans[1] << 16, *item.meta, outcome, tests) + addresses
