"""Which rows stand in the AVX2 lane's list, and the filter that names the packets of all others."""

from __future__ import annotations

import ipaddress
import random
import struct

import pytest

from edge.model import Network
from edge.qos.classes import ADDRESS_BITS, rows_of
from edge.qos.lanefilter import NAMED_MOST, pack_filter
from edge.qos.lanerows import GENERAL_ROWS, LANE_ROWS_MAX, pack_lane
from edge.qos.model import Policy, Rule

OCTETS = 8192
"""Of a side's bits."""


def net(text: str) -> Network:
    return ipaddress.ip_network(text)


def policy_of(*rules: Rule) -> Policy:
    return Policy("p", rules)


def rule(**fields: object) -> Rule:
    return Rule("r", "voice", 46, **fields)  # type: ignore[arg-type]


def names(packed: bytes, version: int, source: int, destination: int) -> bool:
    """Whether the filter names a packet of these addresses."""
    (window,) = struct.unpack_from("=I", packed)
    shift = ADDRESS_BITS[version] - 16 * (window + 1)
    sides = packed[16 : 16 + OCTETS], packed[16 + OCTETS :]
    values = [address >> shift & 0xFFFF for address in (source, destination)]
    return any(bits[value >> 3] >> (value & 7) & 1 for bits, value in zip(sides, values, strict=True))


def random_prefix(draw: random.Random, version: int) -> Network:
    if version == 4:
        return ipaddress.IPv4Network((draw.getrandbits(32) >> 8 << 8, draw.choice((24, 28, 32))))
    return ipaddress.IPv6Network((0x20010DB8 << 96 | draw.getrandbits(16) << 80, 48))


def somewhere(draw: random.Random, prefixes: tuple[Network, ...], version: int) -> int:
    if not prefixes:
        return draw.getrandbits(ADDRESS_BITS[version])
    prefix = draw.choice(prefixes)
    return int(prefix.network_address) + draw.randrange(prefix.num_addresses)


@pytest.mark.parametrize("version", [4, 6])
def test_a_filter_names_every_packet_that_a_row_may_match_and_few_others(version: int) -> None:
    draw = random.Random(version)
    rules = [
        rule(
            source=(random_prefix(draw, version),) if sides & 1 else (),
            destination=(random_prefix(draw, version),) if sides & 2 else (),
        )
        for sides in (draw.randrange(1, 4) for _ in range(300))
    ]
    packed = pack_filter(rows_of(policy_of(*rules), "out"), version)
    assert packed is not None
    assert len(packed) == 16 + 2 * OCTETS
    for each in rules:
        assert names(
            packed, version, somewhere(draw, each.source, version), somewhere(draw, each.destination, version)
        )
    bits = ADDRESS_BITS[version]
    anybody = sum(names(packed, version, draw.getrandbits(bits), draw.getrandbits(bits)) for _ in range(2000))
    assert anybody < 60


def test_a_row_that_asks_for_both_sides_is_named_by_the_one_that_names_fewer() -> None:
    rows = rows_of(policy_of(rule(source=(net("10.0.0.0/8"),), destination=(net("172.16.4.0/24"),))), "out")
    packed = pack_filter(rows, 4)
    assert packed is not None
    assert sum(octet.bit_count() for octet in packed[16 : 16 + OCTETS]) == 0
    assert sum(octet.bit_count() for octet in packed[16 + OCTETS :]) == 1


def test_a_row_of_the_other_version_names_nobody() -> None:
    rows = rows_of(policy_of(rule(source=(net("2001:db8::/48"),))), "out")
    packed = pack_filter(rows, 4)
    assert packed is not None
    assert not any(packed[16:])


def test_there_is_no_filter_where_it_would_name_too_many_or_a_row_asks_for_no_address() -> None:
    wide = rows_of(policy_of(rule(source=(net("0.0.0.0/3"),))), "out")
    assert NAMED_MOST < 1 << 13
    assert pack_filter(wide, 4) is None
    assert pack_filter(rows_of(policy_of(rule(protocols=(17,))), "out"), 4) is None


def test_the_list_beside_a_filter_has_the_rows_without_prefixes_and_the_last() -> None:
    draw = random.Random(1)
    site = [rule(source=(random_prefix(draw, 4),), destination_ports=(n, n)) for n in range(100)]
    listed = pack_lane(rows_of(policy_of(rule(protocols=(6,)), *site), "out"), 4)
    assert listed is not None
    assert listed.filter
    outcomes = [struct.unpack_from("=I", listed.octets, 40 * row + 16)[0] for row in range(listed.count)]
    assert outcomes == [1, *range(101 - GENERAL_ROWS + 2, 102)]


def test_there_is_no_list_when_too_many_rows_have_no_prefix() -> None:
    general = [rule(destination_ports=(n, n)) for n in range(LANE_ROWS_MAX)]
    assert pack_lane(rows_of(policy_of(*general), "out"), 4) is not None
    assert pack_lane(rows_of(policy_of(*general, rule(destination_ports=(99, 99))), "out"), 4) is None
