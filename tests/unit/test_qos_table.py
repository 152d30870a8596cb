"""A policy becomes a flat table: its sizes, limits, refusals and the time it takes."""

from __future__ import annotations

import ipaddress
import random
import re
import struct
import time
from pathlib import Path

import pytest

from edge.errors import UsageError
from edge.model import Network
from edge.qos import table as qos_table
from edge.qos import tableareas
from edge.qos.classes import ClassSets, rows_of, rules_of, sweep_addresses, sweep_ports
from edge.qos.model import CLASSES, Policy, Rule, TrafficClass
from edge.qos.table import POLICY_SIZE, compile_policy, map_value, shape

LANE4_AT = 164
"""Of head.lane4 and head.lane4_rows in a table."""
HEADER = (Path(__file__).parents[2] / "csrc" / "policy.h").read_text()


def net(text: str) -> Network:
    return ipaddress.ip_network(text)


def policy_of(*rules: Rule, **changes: object) -> Policy:
    return Policy("p", rules, **changes)  # type: ignore[arg-type]


def rule(**fields: object) -> Rule:
    return Rule("r", "voice", 46, **fields)  # type: ignore[arg-type]


def random_prefix(draw: random.Random) -> Network:
    return ipaddress.IPv4Network((draw.getrandbits(32) >> 8 << 8, 24))


def test_constants_are_those_of_the_header() -> None:
    found = dict(re.findall(r"^#define (EDGE_\w+) (0x[0-9a-f]+|\d+)\b", HEADER, re.MULTILINE))
    values = {name: int(text, 0) for name, text in found.items()}
    assert values["EDGE_POLICY_MAGIC"] == qos_table.MAGIC
    assert values["EDGE_POLICY_SIZE"] == POLICY_SIZE
    assert values["EDGE_NO_RULE"] == qos_table.NO_RULE
    assert values["EDGE_NO_POLICER"] == qos_table.NO_POLICER
    assert values["EDGE_DSCP_KEEP"] == qos_table.DSCP_KEEP
    assert values["EDGE_FEW"] == tableareas.FEW
    assert values["EDGE_TREE_KEYS"] == tableareas.TREE_KEYS
    assert values["EDGE_PORT_BITS"] == tableareas.PORT_BITS


def test_a_map_value_is_the_table_and_zeros() -> None:
    table = compile_policy(policy_of(rule()), "out", "mark")
    value = map_value(table)
    assert len(value) == POLICY_SIZE
    assert value[: len(table)] == table
    assert not any(value[len(table) :])
    assert len(table) == shape(table).octets


def test_an_empty_policy_has_the_verdict_of_no_rule() -> None:
    table = compile_policy(policy_of(), "out", "mark")
    (offset,) = struct.unpack_from("=I", table, 16)
    assert struct.unpack_from("=HBBBxH", table, offset) == (0xFFFF, 4, 4, 0, 0xFFFF)


def test_rules_of_the_other_direction_are_left_out_and_keep_their_numbers() -> None:
    policy = policy_of(rule(direction="in"), rule(direction="out"), rule())
    assert rules_of(policy, "out") == (1, 2)
    table = compile_policy(policy, "out", "mark")
    (offset,) = struct.unpack_from("=I", table, 16)
    assert [struct.unpack_from("=H", table, offset + 8 * i)[0] for i in range(3)] == [0xFFFF, 1, 2]


def test_steering_keeps_the_dscp_in_every_verdict() -> None:
    table = compile_policy(policy_of(rule()), "out", "steer")
    (offset,) = struct.unpack_from("=I", table, 16)
    assert [table[offset + 8 * i + 4] for i in range(2)] == [0xFF, 0xFF]


def test_either_ports_are_two_rows_that_keep_within_the_other_ranges() -> None:
    rows = rows_of(policy_of(rule(either_ports=(10, 20), destination_ports=(15, 30))), "out")
    assert [(row.source_ports, row.destination_ports) for row in rows] == [
        ((10, 20), (15, 30)),
        ((0, 65535), (15, 20)),
    ]


def test_a_range_that_no_port_can_satisfy_makes_no_row() -> None:
    rows = rows_of(
        policy_of(rule(either_ports=(10, 20), source_ports=(30, 40), destination_ports=(50, 60))), "out"
    )
    assert rows == ()


def test_sweeps_join_equal_neighbours_and_start_at_zero() -> None:
    numbers = ClassSets()
    sweep = sweep_ports([(0, 65535), (10, 19), (20, 29)], numbers)
    assert sweep.starts == (0, 10, 20, 30)
    assert sweep.classes == (0, 1, 2, 0)
    assert numbers.sets == [0b001, 0b011, 0b101]


def test_prefixes_of_a_row_that_overlap_or_touch_are_one_interval() -> None:
    row = [net("10.0.0.0/9"), net("10.128.0.0/9"), net("10.1.0.0/16"), net("2001:db8::/32")]
    sweep = sweep_addresses([row], 4, ClassSets())
    assert sweep.starts == (0, 10 << 24, 11 << 24)


def test_the_last_address_is_in_its_prefix() -> None:
    assert sweep_addresses([[net("255.255.255.255/32")]], 4, ClassSets()).starts == (0, 2**32 - 1)


def test_few_port_classes_make_a_product_and_many_combinations_make_vectors() -> None:
    assert shape(compile_policy(policy_of(rule(source_ports=(1, 2))), "out", "mark")).structure == "product"
    draw = random.Random(1)
    many = [
        rule(
            source=(random_prefix(draw),),
            destination=(random_prefix(draw),),
            source_ports=(p := draw.randrange(60000), p + draw.randrange(5000)),
            destination_ports=(p := draw.randrange(60000), p + draw.randrange(5000)),
        )
        for _ in range(500)
    ]
    assert shape(compile_policy(policy_of(*many), "out", "mark")).structure == "vectors"


def test_many_prefixes_with_few_kinds_of_ports_make_the_lowest_of_three() -> None:
    draw = random.Random(4)
    many = [
        rule(source=(random_prefix(draw),), destination=(random_prefix(draw),), protocols=(17,))
        for _ in range(500)
    ]
    found = shape(compile_policy(policy_of(*many), "out", "mark"))
    assert (found.structure, found.octets < 160 * 1024) == ("lowest", True)


def test_rules_that_ask_about_the_payload_are_rows_that_ask_the_scalar_lane() -> None:
    policy = policy_of(rule(hint="rtp"), rule(destination_ports=(53, 53)))
    table = compile_policy(policy, "out", "mark")
    assert (shape(table).lane4, shape(table).lane6) == (2, 2)
    place, count = struct.unpack_from("=2I", table, LANE4_AT)
    outcomes = [struct.unpack_from("=I", table, place + 40 * row + 16)[0] for row in range(count)]
    assert outcomes == [0xFFFF, 2]


def test_a_rule_with_prefixes_of_one_version_has_no_lane_rows_for_the_other() -> None:
    found = shape(compile_policy(policy_of(rule(source=(net("10.0.0.0/8"),))), "out", "mark"))
    assert (found.lane4, found.lane6) == (1, 0)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (policy_of(*[rule()] * 1025), "1025 rules, a policy has at most 1024"),
        (policy_of(rule(), classes=CLASSES[:1]), "no class default; it has voice"),
        (policy_of(Rule("r", "gold", 46)), "no class gold"),
        (policy_of(classes=tuple(TrafficClass(f"c{i}", i, 1) for i in range(9))), "9 classes, at most 8"),
    ],
    ids=["rules", "default", "class", "classes"],
)
def test_what_does_not_fit_is_refused_with_words(policy: Policy, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        compile_policy(policy, "out", "mark")


def test_a_table_that_would_be_too_big_is_refused_with_a_way_out() -> None:
    draw = random.Random(2)
    rules = [
        rule(
            source=tuple(random_prefix(draw) for _ in range(4)),
            destination=tuple(random_prefix(draw) for _ in range(4)),
            source_ports=(p := draw.randrange(60000), p + 5000),
            destination_ports=(p := draw.randrange(60000), p + 5000),
        )
        for _ in range(1024)
    ]
    with pytest.raises(UsageError, match="more than 512 KiB; way out: fewer rules"):
        compile_policy(policy_of(*rules), "out", "mark")


def test_reading_the_shape_of_something_else_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a table"):
        shape(bytes(1000))


def cpu_ms(policy: Policy) -> float:
    """The least CPU time of a few compilations: the machine may be busy."""

    def once() -> float:
        start = time.thread_time()
        compile_policy(policy, "out", "mark")
        return (time.thread_time() - start) * 1000

    return min(once() for _ in range(5))


def test_twelve_rules_take_less_than_20_ms_and_500_less_than_300() -> None:
    draw = random.Random(3)
    rules = [
        rule(
            source=(random_prefix(draw),),
            destination=(random_prefix(draw),),
            protocols=(17,),
            destination_ports=(p := draw.randrange(60000), p + 99),
        )
        for _ in range(500)
    ]
    assert cpu_ms(policy_of(*rules[:12])) < 20
    assert cpu_ms(policy_of(*rules)) < 300
