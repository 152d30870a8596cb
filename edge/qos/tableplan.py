"""Which structure suits a policy, and its tables: the decisions behind edge.qos.table. Pure.

All structures but the vectors combine ports, protocol, traits and DSCP into a *half* first, by products that
are small for any policy with few kinds of ports. They differ in the addresses: a product of source and
destination classes where that is small; where prefixes are many, three outcomes of which the lowest wins, of
the rows that ask for a source (or no address), for a destination, for both. Layout: csrc/policy.h.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edge.qos.classes import (
    ClassSets,
    Row,
    Sweep,
    classes_of_traits,
    classes_of_values,
    cross,
    sweep_addresses,
    sweep_ports,
)

CELLS_MAX = 50000
"""Most cells of the products: indexes have 16 bits, and 100 kB still suit a second-level cache."""
LOWEST_CELLS_MAX = 100000
"""Most cells of the three tables of EDGE_BY_LOWEST."""
PAIRS_MAX = 16384
"""Most pairs of address classes that rows ask for together."""
NONE = 0xFFFF
"""An outcome of EDGE_BY_LOWEST: no row matches (EDGE_NONE)."""
EMPTY = 0xFFFFFFFF
_HASHES = (0x9E3779B1, 0x85EBCA6B)
"""EDGE_HASH_1 and EDGE_HASH_2."""

BY_PRODUCT, BY_VECTORS, BY_LOWEST = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of all rows: where each value lies, and the sets of rows of each class."""

    source_ports: Sweep
    destination_ports: Sweep
    source4: Sweep
    source6: Sweep
    destination4: Sweep
    destination6: Sweep
    protocols: list[int]
    traits: list[int]
    dscps: list[int]
    source_port_sets: list[int]
    destination_port_sets: list[int]
    source_sets: list[int]
    destination_sets: list[int]
    protocol_sets: list[int]
    trait_sets: list[int]
    dscp_sets: list[int]


def fields_of(rows: Sequence[Row]) -> Fields:
    """Sweep over every field."""
    sets = [ClassSets() for _ in range(7)]
    sources = [row.rule.source for row in rows]
    destinations = [row.rule.destination for row in rows]
    return Fields(
        sweep_ports([row.source_ports for row in rows], sets[0]),
        sweep_ports([row.destination_ports for row in rows], sets[1]),
        sweep_addresses(sources, 4, sets[2]),
        sweep_addresses(sources, 6, sets[2]),
        sweep_addresses(destinations, 4, sets[3]),
        sweep_addresses(destinations, 6, sets[3]),
        classes_of_values([row.rule.protocols for row in rows], 256, sets[4]),
        classes_of_traits(rows, sets[5]),
        classes_of_values([row.rule.existing_dscp for row in rows], 64, sets[6]),
        *(item.sets for item in sets),
    )


@dataclass(frozen=True, slots=True)
class Pairs:
    """Address classes in pairs, hashed. places: number, pair, number...; shift: 32 - log2 of the places."""

    places: tuple[int, ...]
    shift: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A structure: by what the numbers of classes are multiplied in the tables, and its areas.

    products: P, A, M, H, O. vectors: sets of rows, in the order of head.vectors. lowest: S, D, B;
    strides: of S, D, B.
    """

    structure: int
    source_port: int
    source: int
    protocol: int
    trait: int
    products: tuple[list[int], ...]
    half_stride: int = 0
    vectors: tuple[list[int], ...] = ()
    lowest: tuple[list[int], ...] = ()
    strides: tuple[int, int, int] = (0, 0, 0)
    pairs: Pairs | None = None


def plan_of(fields: Fields, rows: Sequence[Row]) -> Plan:
    """The structure that suits best."""
    halves = _halves(fields)
    if halves is None:
        return _vectors(fields)
    return _product(fields, rows, halves) or _lowest(fields, rows, halves) or _vectors(fields)


@dataclass(frozen=True, slots=True)
class _Halves:
    """P, M and H, and the sets of rows of each half."""

    pairs: list[int]
    metas: list[int]
    halves: list[int]
    sets: list[int]


def _halves(fields: Fields) -> _Halves | None:
    """Ports, protocol, traits and DSCP combined; None when that takes too many cells."""
    ports, traits, dscps = len(fields.destination_port_sets), len(fields.trait_sets), len(fields.dscp_sets)
    cells = len(fields.source_port_sets) * ports + len(fields.protocol_sets) * traits * dscps
    if cells > CELLS_MAX:
        return None
    pair_sets, meta_sets, half_sets = ClassSets(), ClassSets(), ClassSets()
    pairs = cross(fields.source_port_sets, fields.destination_port_sets, pair_sets)
    kinds = [one & other for one in fields.protocol_sets for other in fields.trait_sets]
    metas = cross(kinds, fields.dscp_sets, meta_sets)
    count = len(meta_sets.sets)
    if cells + len(pair_sets.sets) * count > CELLS_MAX:
        return None
    halves = cross(pair_sets.sets, meta_sets.sets, half_sets)
    return _Halves([number * count for number in pairs], metas, halves, half_sets.sets)


def _product(fields: Fields, rows: Sequence[Row], halves: _Halves) -> Plan | None:
    """A and O; None when they have too many cells."""
    cells = len(fields.source_sets) * len(fields.destination_sets)
    if cells > CELLS_MAX:
        return None
    sets = ClassSets()
    addresses = cross(fields.source_sets, fields.destination_sets, sets)
    if cells + len(halves.sets) * len(sets.sets) > CELLS_MAX:
        return None
    return Plan(
        structure=BY_PRODUCT,
        source_port=len(fields.destination_port_sets),
        source=len(fields.destination_sets),
        protocol=len(fields.trait_sets) * len(fields.dscp_sets),
        trait=len(fields.dscp_sets),
        products=(
            halves.pairs,
            addresses,
            halves.metas,
            halves.halves,
            _outcomes(halves.sets, sets.sets, rows, 0),
        ),
        half_stride=len(sets.sets),
    )


def _outcomes(halves: Sequence[int], others: Sequence[int], rows: Sequence[Row], none: int) -> list[int]:
    """The outcome of the first row in both sets, half by half; `none` where there is none."""
    by_length = [none, *(row.outcome for row in rows)]
    return [
        by_length[(both & -both).bit_length()]
        for both in (half & other for half in halves for other in others)
    ]


def _lowest(fields: Fields, rows: Sequence[Row], halves: _Halves) -> Plan | None:
    """S, D, B and the pairs; None when they have too many cells."""
    to_destination = sum(1 << index for index, row in enumerate(rows) if row.rule.destination)
    from_source = sum(1 << index for index, row in enumerate(rows) if row.rule.source)
    both = to_destination & from_source
    sources = [rows_here & ~to_destination for rows_here in fields.source_sets]
    destinations = [rows_here & to_destination & ~from_source for rows_here in fields.destination_sets]
    by_pair = _pairs(fields, both)
    if by_pair is None:
        return None
    numbers = ClassSets()
    numbers.number(0)
    entries = {place: numbers.number(found) for place, found in by_pair.items()}
    pair_sets = numbers.sets
    if len(halves.sets) * (len(sources) + len(destinations) + len(pair_sets)) > LOWEST_CELLS_MAX:
        return None
    return Plan(
        structure=BY_LOWEST,
        source_port=len(fields.destination_port_sets),
        source=1,
        protocol=len(fields.trait_sets) * len(fields.dscp_sets),
        trait=len(fields.dscp_sets),
        products=(halves.pairs, [], halves.metas, halves.halves, []),
        lowest=tuple(_outcomes(halves.sets, sets, rows, NONE) for sets in (sources, destinations, pair_sets)),
        strides=(len(sources), len(destinations), len(pair_sets)),
        pairs=_hashed(entries) if entries else None,
    )


def _pairs(fields: Fields, both: int) -> Mapping[int, int] | None:
    """The rows of `both` by source class * destination classes + destination class; None when too many."""
    sources = _classes_by_row(fields.source_sets, both)
    destinations = _classes_by_row(fields.destination_sets, both)
    found: dict[int, int] = {}
    for row, source_classes in sources.items():
        for source in source_classes:
            for destination in destinations.get(row, ()):
                place = source * len(fields.destination_sets) + destination
                found[place] = found.get(place, 0) | 1 << row
        if len(found) > PAIRS_MAX:
            return None
    return found


def _classes_by_row(sets: Sequence[int], wanted: int) -> Mapping[int, list[int]]:
    found: dict[int, list[int]] = {}
    for number, rows in enumerate(sets):
        for row in _members(rows & wanted):
            found.setdefault(row, []).append(number)
    return found


def _members(rows: int) -> Iterator[int]:
    while rows:
        lowest = rows & -rows
        yield lowest.bit_length() - 1
        rows ^= lowest


def _hashed(entries: Mapping[int, int]) -> Pairs:
    """Each number in one of its two places (cuckoo hashing), with as many places as that takes."""
    bits = max(1, (2 * len(entries) - 1).bit_length())
    while True:
        places = _placed(entries, bits)
        if places is not None:
            return Pairs(tuple(value for place in places for value in place), 32 - bits)
        bits += 1


def _placed(entries: Mapping[int, int], bits: int) -> list[tuple[int, int]] | None:
    empty = (EMPTY, 0)
    places = [empty] * (1 << bits)

    def where(number: int) -> tuple[int, int]:
        one, other = (((number * hash_by) & 0xFFFFFFFF) >> (32 - bits) for hash_by in _HASHES)
        return one, other

    for entry in entries.items():
        homeless, place = entry, where(entry[0])[0]
        for _ in range(len(places) + 8):
            homeless, places[place] = places[place], homeless
            if homeless == empty:
                break
            one, other = where(homeless[0])
            place = other if place == one else one
        else:
            return None
    return places


def _vectors(fields: Fields) -> Plan:
    """Six vectors for every packet, whatever the policy."""
    kinds = ClassSets()
    cells = cross(fields.protocol_sets, fields.trait_sets, kinds)
    return Plan(
        structure=BY_VECTORS,
        source_port=1,
        source=1,
        protocol=len(fields.trait_sets),
        trait=1,
        products=([], [], cells, [], []),
        vectors=(
            kinds.sets,
            fields.dscp_sets,
            fields.source_port_sets,
            fields.destination_port_sets,
            fields.source_sets,
            fields.destination_sets,
        ),
    )
