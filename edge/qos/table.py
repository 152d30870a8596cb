"""A policy compiled to the flat table of csrc/policy.h, the same octets for user space and the kernel. Pure.

The structure is chosen by edge.qos.tableplan: tables of 16-bit numbers through which a verdict is a walk, in
two kinds ("product", and "lowest" for many prefixes), or else one bit vector per class, of one bit per row,
and the first bit that is set in all of them ("vectors"), whose size grows with rules times classes.
The list of rows is in every table, the reference for both. Rows for the AVX2 lane are added where they are
few (edge.qos.lanerows).

The layout and the meaning of every offset: csrc/policy.h. How values become classes:
edge.qos.classes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edge.errors import UsageError
from edge.qos.classes import HINT_TRAITS, TRAIT_PORTS, Row, rows_of, rules_of
from edge.qos.lanerows import pack_lane
from edge.qos.model import QUEUES_MAX, RULES_MAX, Direction, Policy, Treatment
from edge.qos.tableareas import HEAD_SIZE, Areas
from edge.qos.tableplan import BY_LOWEST, BY_PRODUCT, BY_VECTORS, fields_of, plan_of

if TYPE_CHECKING:
    from edge.model import Network

MAGIC = 0x31514445
POLICY_SIZE = 0x80000
"""Octets of a table in memory and of a BPF map's value (EDGE_POLICY_SIZE)."""
NO_RULE, NO_POLICER, DSCP_KEEP = 0xFFFF, 0xFFFF, 0xFF

Structure = Literal["product", "vectors", "lowest"]
STRUCTURES: dict[int, Structure] = {
    BY_PRODUCT: "product",
    BY_VECTORS: "vectors",
    BY_LOWEST: "lowest",
}

_HEAD = struct.Struct("=IIHHBBBx8I32s32s6I6II5I10I")
_VERDICT = struct.Struct("=HBBBxH")
_ROW = struct.Struct("=6H2I2HQ32s16x")
_PREFIX = struct.Struct("=4QI4x")
_U64 = (1 << 64) - 1
_ROW_SOURCE, _ROW_DESTINATION = 8, 16


@dataclass(frozen=True, slots=True)
class Shape:
    """What a table is like, for people and tests.

    octets: used of POLICY_SIZE. rules: of its direction. rows: of the list. lane4, lane6: rows of the AVX2
    lane, None where that lane uses the structure instead; fewer than all rows where a filter tells when they
    do.
    """

    structure: Structure
    octets: int
    rules: int
    rows: int
    lane4: int | None
    lane6: int | None


def shape(table: bytes) -> Shape:
    """Read the head of a table. Raises ValueError when it is none."""
    if len(table) < HEAD_SIZE or not table.startswith(struct.pack("=I", MAGIC)):
        raise ValueError("not a table of edge.qos.table.compile_policy")
    head = _HEAD.unpack_from(table)
    lane4, lane6, flags = head[-14], head[-12], head[-11]
    return Shape(
        STRUCTURES[head[4]],
        head[1],
        head[2],
        head[3],
        lane4 if flags & 1 else None,
        lane6 if flags & 2 else None,
    )


def map_value(table: bytes) -> bytes:
    """The table as the value of a BPF map: POLICY_SIZE octets."""
    return table.ljust(POLICY_SIZE, b"\0")


def compile_policy(policy: Policy, direction: Direction, treatment: Treatment) -> bytes:
    """The flat table: as many octets as it uses, see `map_value`.

    direction: rules of the other direction are left out. treatment: with `steer` every verdict keeps the
    DSCP. Raises UsageError when the policy does not fit a table, or names a class that it does not have.
    """
    _check(policy)
    rows = rows_of(policy, direction)
    fields = fields_of(rows)
    plan = plan_of(fields, rows)
    areas = Areas(policy.name, POLICY_SIZE)
    # What every packet asks for lies together: in the kernel little of it is in the nearest cache.
    source = areas.add_side(fields.source4, fields.source6, plan.source)
    destination = areas.add_side(fields.destination4, fields.destination6, 1)
    traits = areas.add_numbers([number * plan.trait for number in fields.traits])
    products = [areas.add_numbers(cells) for cells in plan.products]
    verdicts = areas.add(_verdicts(policy, direction, treatment))
    dscps = areas.add_numbers(fields.dscps)
    values = (
        areas.add_pages(fields.source_ports, plan.source_port),
        areas.add_pages(fields.destination_ports, 1),
        areas.add_numbers([number * plan.protocol for number in fields.protocols]),
        dscps,
        traits,
    )
    row_outcomes = areas.add_numbers([row.outcome for row in rows])
    words = (len(rows) + 63) // 64
    vectors = [areas.add_vectors(sets, words) for sets in plan.vectors]
    lowest = [areas.add_numbers(cells) for cells in plan.lowest] or [0] * 3
    pairs = (0, 0) if plan.pairs is None else (areas.add_words(plan.pairs.places), plan.pairs.shift)
    lanes: list[int] = []
    filters: list[int] = []
    lane_flags = 0
    for flag, packed in ((1, pack_lane(rows, 4)), (2, pack_lane(rows, 6))):
        lanes += (0, 0) if packed is None else (areas.add(packed.octets), packed.count)
        filters.append(areas.add(packed.filter) if packed is not None and packed.filter else 0)
        lane_flags |= 0 if packed is None else flag
    # The list is last: of all areas only the reference reads it.
    listed = areas.add(bytes(len(rows) * _ROW.size))
    areas.put(listed, b"".join(_listed(row, areas) for row in rows))
    return areas.finish(
        _HEAD.pack(
            *(MAGIC, areas.size, len(rules_of(policy, direction)), len(rows), plan.structure),
            *(any(row.rule.hint for row in rows), len(policy.classes)),
            *(verdicts, row_outcomes, listed, *values, source, destination),
            *(*products, plan.half_stride, *(vectors or [0] * 6), 8 * (1 + words), *lanes, lane_flags),
            *(*lowest, *plan.strides, *pairs, *filters),
        )
    )


def _check(policy: Policy) -> None:
    names = {item.name for item in policy.classes}
    if len(policy.rules) > RULES_MAX:
        raise UsageError(
            f"policy {policy.name}: {len(policy.rules)} rules, a policy has at most {RULES_MAX}; "
            "way out: one rule with several prefixes instead of several rules"
        )
    if len(policy.classes) > QUEUES_MAX:
        raise UsageError(
            f"policy {policy.name}: {len(policy.classes)} classes, at most {QUEUES_MAX} are possible"
        )
    for name in ("default", *(rule.class_name for rule in policy.rules)):
        if name not in names:
            raise UsageError(
                f"policy {policy.name}: no class {name}; it has {', '.join(sorted(names)) or 'none'}"
            )


def _verdicts(policy: Policy, direction: Direction, treatment: Treatment) -> bytes:
    """By outcome: that of no rule, then that of each rule of the direction."""
    numbers = {item.name: number for number, item in enumerate(policy.classes)}

    def packed(rule: int, class_name: str, dscp: int | None) -> bytes:
        item = policy.class_of(class_name)
        number = numbers[class_name]
        kept = DSCP_KEEP if dscp is None or treatment == "steer" else dscp
        return _VERDICT.pack(rule, number, item.queue, kept, number if item.strict else NO_POLICER)

    found = [packed(NO_RULE, "default", policy.unmatched_dscp)]
    for index in rules_of(policy, direction):
        rule = policy.rules[index]
        found.append(packed(index, rule.class_name, rule.dscp))
    return b"".join(found)


def _listed(row: Row, areas: Areas) -> bytes:
    """A row of the list; its prefixes go into an area of their own."""
    rule = row.rule
    tests = (TRAIT_PORTS if row.ports else 0) | HINT_TRAITS[rule.hint]
    tests |= (_ROW_SOURCE if rule.source else 0) | (_ROW_DESTINATION if rule.destination else 0)
    dscps = sum(1 << value for value in set(rule.existing_dscp)) or _U64
    protocols = sum(1 << value for value in set(rule.protocols)) or (1 << 256) - 1
    return _ROW.pack(
        *(row.outcome, tests, *row.source_ports, *row.destination_ports),
        *(areas.add(_prefixes(rule.source)), areas.add(_prefixes(rule.destination))),
        *(len(rule.source), len(rule.destination), dscps),
        struct.pack("=4Q", *(protocols >> shift & _U64 for shift in (0, 64, 128, 192))),
    )


def _prefixes(prefixes: Sequence[Network]) -> bytes:
    return b"".join(
        _PREFIX.pack(
            *_halves(p.version, int(p.network_address)), *_halves(p.version, int(p.netmask)), p.version
        )
        for p in prefixes
    )


def _halves(version: int, address: int) -> tuple[int, int]:
    return (address, 0) if version == 4 else (address >> 64, address & _U64)
