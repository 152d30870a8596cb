"""ExpressRoute's rules against the fact sheet's numbers (sections named in the tests)."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model import Network
from lab.service import asn, bandwidth, limits, locations, peerings, prefixes, regions, services
from lab.service.refusal import Refusal


def _code(refusal: object) -> str:
    return refusal.code if isinstance(refusal, Refusal) else ""


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (0, "reserved"),
        (1, "public"),
        (12076, "microsoft"),
        (23456, "reserved"),
        (64495, "public"),
        (64496, "documentation"),
        (64511, "documentation"),
        (64512, "private"),
        (65514, "private"),
        (65515, "microsoft"),
        (65520, "microsoft"),
        (65521, "private"),
        (65534, "private"),
        (65535, "reserved"),
        (65536, "documentation"),
        (65551, "documentation"),
        (65552, "public"),
        (4_199_999_999, "public"),
        (4_200_000_000, "private"),
        (4_294_967_294, "private"),
        (4_294_967_295, "reserved"),
        (4_294_967_296, "reserved"),
        (-1, "reserved"),
    ],
)
def test_an_as_number_is_of_one_kind(number: int, kind: str) -> None:
    assert asn.kind(number) == kind


@pytest.mark.parametrize(
    ("number", "peering", "strict", "code"),
    [
        (65010, "private", True, ""),
        (4_200_000_001, "private", True, ""),
        (64496, "private", True, ""),
        (65515, "private", False, "AsnReserved"),
        (65520, "private", False, "AsnReserved"),
        (65521, "private", False, ""),
        (12076, "private", False, "AsnMicrosoft"),
        (0, "private", False, "AsnInvalid"),
        (65010, "microsoft", False, ""),
        (65010, "microsoft", True, "AsnPrivate"),
        (64496, "microsoft", False, ""),
        (64496, "microsoft", True, "AsnDocumentation"),
        (3320, "microsoft", True, ""),
        (65516, "microsoft", False, "AsnReserved"),
    ],
)
def test_a_peering_takes_or_refuses_an_as_number(number: int, peering: str, strict: bool, code: str) -> None:
    assert peering in ("private", "microsoft")
    name = "private" if peering == "private" else "microsoft"
    assert _code(asn.refuse_peer_asn(number, name, strict)) == code


def _networks(*texts: str) -> list[Network]:
    return [ip_network(text) for text in texts]


@pytest.mark.parametrize(
    ("given", "version", "code"),
    [
        (["192.168.15.0/29"], 4, ""),
        (["192.168.15.0/30", "192.168.99.4/30"], 4, ""),
        (["192.168.15.0/30"], 4, "LinkSubnetLength"),
        (["192.168.15.0/28"], 4, "LinkSubnetLength"),
        (["192.168.15.0/29", "192.168.15.8/29"], 4, "LinkSubnetLength"),
        (["192.168.15.0/30", "192.168.15.0/30"], 4, "LinkSubnetEqual"),
        ([], 4, "LinkSubnetLength"),
        (["fd00::/125"], 4, "LinkSubnetFamily"),
        (["fd00::/125"], 6, ""),
        (["fd00::/126", "fd00::4/126"], 6, ""),
        (["fd00::/127"], 6, "LinkSubnetLength"),
        (["10.0.0.0/29"], 6, "LinkSubnetFamily"),
    ],
)
def test_link_subnets_number_two_links_or_are_refused(given: list[str], version: int, code: str) -> None:
    assert _code(peerings.refuse_link_subnets(_networks(*given), 4 if version == 4 else 6)) == code


def test_a_29_splits_low_first_with_the_customer_on_odd_addresses() -> None:
    """Facts 3.1: x.x.x.128/29 -> .129/.130 and .133/.134."""
    primary, secondary = peerings.split_link_subnets(_networks("198.51.100.128/29"))
    assert [str(a) for a in (primary.customer, primary.microsoft)] == [
        "198.51.100.129/30",
        "198.51.100.130/30",
    ]
    assert [str(a) for a in (secondary.customer, secondary.microsoft)] == [
        "198.51.100.133/30",
        "198.51.100.134/30",
    ]


def test_a_125_splits_the_same_way_and_two_subnets_stay_in_their_order() -> None:
    primary, secondary = peerings.split_link_subnets(_networks("fd00:15::/125"))
    assert [str(a) for a in (primary.customer, secondary.microsoft)] == ["fd00:15::1/126", "fd00:15::6/126"]
    first, second = peerings.split_link_subnets(_networks("10.0.0.4/30", "10.0.0.0/30"))
    assert [str(first.network), str(second.network)] == ["10.0.0.4/30", "10.0.0.0/30"]
    with pytest.raises(ValueError, match="one subnet to split or two"):
        peerings.split_link_subnets([])


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("a" * 25, ""),
        ("a" * 26, "KeyLong"),
        ("s3cr&t", "KeyCharacters"),
        ("", "KeyCharacters"),
        ("ä", "KeyCharacters"),
    ],
)
def test_a_shared_key_is_alphanumeric_and_at_most_25_long(key: str, code: str) -> None:
    assert _code(peerings.refuse_shared_key(key)) == code


@pytest.mark.parametrize(
    ("keepalive", "hold", "code"),
    [
        (3, 10, ""),
        (60, 180, ""),
        (2, 10, "TimersShort"),
        (3, 9, "TimersShort"),
        (10, 10, "TimersOrder"),
        (60, 65536, "TimersLong"),
    ],
)
def test_bgp_timers_are_bounded_by_3_and_10_seconds(keepalive: int, hold: int, code: str) -> None:
    assert _code(peerings.refuse_timers(keepalive, hold)) == code


def test_bandwidths_are_those_on_offer() -> None:
    assert list(bandwidth.BANDWIDTHS) == ["50M", "100M", "200M", "500M", "1G", "2G", "5G", "10G"]
    assert bandwidth.BANDWIDTHS["200M"] == 200_000_000
    direct = {f"{size}G" for sizes in bandwidth.DIRECT_GBPS.values() for size in sizes}
    assert set(limits.VNET_LINKS) == set(bandwidth.BANDWIDTHS) | direct


@pytest.mark.parametrize(
    ("peering", "tier", "version", "count"),
    [
        ("private", "local", 4, 4_000),
        ("private", "standard", 4, 4_000),
        ("private", "premium", 4, 10_000),
        ("private", "premium", 6, 100),
        ("microsoft", "premium", 4, 200),
        ("microsoft", "standard", 6, 200),
    ],
)
def test_prefix_limits_of_the_customer(peering: str, tier: str, version: int, count: int) -> None:
    assert limits.customer_prefix_limit(peering, tier, version).count == count


def test_prefix_limits_of_the_gateway() -> None:
    assert [limits.gateway_prefix_limit(version).count for version in (4, 6)] == [1_000, 100]


@pytest.mark.parametrize(
    ("links", "band", "tier", "code"),
    [
        (10, "50M", "standard", ""),
        (11, "10G", "standard", "VnetLinks"),
        (20, "50M", "premium", ""),
        (21, "50M", "premium", "VnetLinks"),
        (100, "10G", "premium", ""),
        (101, "10G", "premium", "VnetLinks"),
    ],
)
def test_vnet_links_are_limited_by_bandwidth_and_tier(links: int, band: str, tier: str, code: str) -> None:
    assert _code(limits.refuse_vnet_links(links, band, tier)) == code


def test_the_way_out_of_too_many_links_is_premium_only_where_premium_is_enough() -> None:
    hints = [limits.refuse_vnet_links(n, "50M", "standard") for n in (11, 21)]
    assert [one.way_out for one in hints if one] == ["take tier premium (20)", "take a second circuit"]


@pytest.mark.parametrize(
    ("sku", "places", "code"),
    [
        ("ErGw1AZ", ["a", "a", "a", "a"], ""),
        ("ErGw1AZ", ["a", "b", "c", "d", "e"], "GatewayCircuits"),
        ("ErGw3AZ", ["a"] * 5, "GatewaySameLocation"),
        ("ErGw3AZ", [str(n % 4) for n in range(16)], ""),
        ("UltraPerformance", [str(n) for n in range(17)], "GatewayCircuits"),
    ],
)
def test_a_gateway_joins_so_many_circuits(sku: str, places: list[str], code: str) -> None:
    assert _code(limits.refuse_gateway_circuits(sku, places)) == code


def test_gateways_have_the_numbers_of_the_facts() -> None:
    """Facts 10.1."""
    assert {
        name: (g.rate_bps // 10**6, g.learned_routes, g.circuits) for name, g in limits.GATEWAYS.items()
    } == {
        "Standard": (1_000, 4_000, 4),
        "HighPerformance": (2_000, 9_500, 8),
        "UltraPerformance": (10_000, 9_500, 16),
        "ErGw1AZ": (1_000, 4_000, 4),
        "ErGw2AZ": (2_000, 9_500, 8),
        "ErGw3AZ": (10_000, 9_500, 16),
    }
    assert [name for name, g in limits.GATEWAYS.items() if g.fastpath] == ["UltraPerformance", "ErGw3AZ"]


def test_the_local_tier_has_no_metered_billing() -> None:
    assert _code(limits.refuse_sku("local", "metered")) == "SkuLocalMetered"
    assert limits.refuse_sku("local", "unlimited") is None
    assert limits.refuse_sku("standard", "metered") is None


@pytest.mark.parametrize(
    ("tier", "place", "region", "code"),
    [
        ("premium", "Amsterdam", "eastus", ""),
        ("standard", "Amsterdam", "northeurope", ""),
        ("standard", "Amsterdam", "eastus", "RegionOutsideArea"),
        ("local", "Amsterdam", "westeurope", ""),
        ("local", "Amsterdam", "northeurope", "RegionNotLocal"),
        ("local", "Washington DC", "eastus2", ""),
    ],
)
def test_a_tier_reaches_a_region_or_not(tier: str, place: str, region: str, code: str) -> None:
    assert _code(locations.refuse_region(tier, locations.LOCATIONS[place], region)) == code


def test_the_local_tier_is_sold_near_a_region_only() -> None:
    assert _code(locations.refuse_local_tier(locations.LOCATIONS["New York"])) == "LocalNotOffered"
    assert locations.refuse_local_tier(locations.LOCATIONS["Seattle"]) is None


def test_locations_are_found_whatever_case_and_spaces() -> None:
    assert [
        getattr(locations.find(n), "name", None) for n in ("washington dc", "LosAngeles2", "Atlantis")
    ] == [
        "Washington DC",
        "Los Angeles2",
        None,
    ]


def test_local_regions_lie_in_the_area_of_their_location() -> None:
    for place in locations.LOCATIONS.values():
        assert {regions.REGIONS[code].area for code in place.local_regions} <= {place.area}


def test_region_numbers_are_unique_and_make_communities() -> None:
    """Facts 3.7: West Europe storage is 12076:52002."""
    numbers = [region.number for region in regions.REGIONS.values()]
    assert len(set(numbers)) == len(numbers) == 42
    europe = regions.REGIONS["westeurope"]
    assert [europe.community(family) for family in (50, 51, 52)] == [
        (12076, n) for n in (50002, 51002, 52002)
    ]
    assert regions.regional_community((12076, 51004)) == (regions.REGIONS["eastus"], "Microsoft peering")
    assert regions.regional_community((12076, 5030)) is None
    assert regions.regional_community((65000, 51004)) is None
    assert regions.regional_community((12076, 51099)) is None


def test_services_have_the_communities_of_the_facts() -> None:
    values = {name: service.value for name, service in services.SERVICES.items()}
    assert {k: values[k] for k in ("exchange", "sharepoint", "teams", "other-office-365", "pstn")} == {
        "exchange": 5010,
        "sharepoint": 5020,
        "teams": 5030,
        "other-office-365": 5100,
        "pstn": 5250,
    }


def test_a_front_end_is_the_upper_half_of_a_pair_inside_its_prefixes() -> None:
    for service in services.FRONT_ENDS:
        for address in service.front_end:
            assert address.network.num_addresses == 2
            assert address.ip == address.network[1]
            assert any(prefixes.inside(address.network, prefix) for prefix in service.prefixes)


def test_no_prefix_belongs_to_two_services_of_equal_length() -> None:
    every = [prefix for service in services.SERVICES.values() for prefix in service.prefixes]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize(
    ("entry", "result"),
    [
        ("teams", (12076, 5030)),
        ("12076:5030", (12076, 5030)),
        ("12076:51002", (12076, 51002)),
        ("12076:52002", (12076, 52002)),
        ("12076:50002", "FilterPrivate"),
        ("12076:5031", "FilterUnknown"),
        ("65000:5030", "FilterUnknown"),
        ("Teams", "FilterUnknown"),
        ("12076:99999", "FilterUnknown"),
    ],
)
def test_a_route_filters_entry_is_a_service_or_an_offered_community(entry: str, result: object) -> None:
    found = services.resolve_filter_entry(entry)
    assert (found.code if isinstance(found, Refusal) else found) == result


@pytest.mark.parametrize(
    ("value", "tier", "code"),
    [
        (5030, "premium", ""),
        (5030, "standard", "FilterNeedsPremium"),
        (5060, "standard", ""),
        (51003, "standard", ""),
        (51004, "standard", "RegionOutsideArea"),
        (51003, "local", "RegionNotLocal"),
        (51002, "local", ""),
    ],
)
def test_a_filters_community_needs_the_right_tier(value: int, tier: str, code: str) -> None:
    place = locations.LOCATIONS["Amsterdam"]
    assert _code(services.refuse_filter_on_tier((12076, value), tier, place)) == code


@pytest.mark.parametrize(
    ("network", "strict", "code"),
    [
        ("203.0.113.0/28", False, ""),
        ("203.0.113.0/28", True, "PrefixDocumentation"),
        ("129.250.0.0/24", True, ""),
        ("2001:db8::/48", False, ""),
        ("2001:db8::/48", True, "PrefixDocumentation"),
        ("0.0.0.0/0", False, "PrefixDefault"),
        ("::/0", False, "PrefixDefault"),
        ("10.0.0.0/8", False, "PrefixPrivate"),
        ("8.0.0.0/5", False, "PrefixPrivate"),
        ("172.31.255.0/24", False, "PrefixPrivate"),
        ("fd00::/48", False, "PrefixPrivate"),
        ("100.64.0.0/24", False, "PrefixSpecial"),
        ("224.0.0.0/24", False, "PrefixSpecial"),
        ("fe80::/64", False, "PrefixSpecial"),
    ],
)
def test_public_space_is_public(network: str, strict: bool, code: str) -> None:
    assert _code(prefixes.refuse_public(ip_network(network), strict)) == code


@pytest.mark.parametrize(
    ("network", "code"),
    [
        ("10.0.0.0/8", ""),
        ("100.64.0.0/10", ""),
        ("127.0.0.0/8", "PrefixUnusable"),
        ("::1/128", "PrefixUnusable"),
    ],
)
def test_an_interface_cannot_live_in_special_space(network: str, code: str) -> None:
    assert _code(prefixes.refuse_interface_network(ip_network(network))) == code


def test_networks_of_two_families_never_meet() -> None:
    four, six = ip_network("0.0.0.0/0"), ip_network("::/0")
    assert not prefixes.overlap(four, six)
    assert not prefixes.inside(six, four)


def test_a_refusal_reads_as_words_and_way_out() -> None:
    assert str(Refusal("X", "it is wrong", "mend it")) == "it is wrong; mend it"
    assert str(Refusal("X", "it is wrong")) == "it is wrong"


@given(
    st.lists(
        st.tuples(st.integers(0, 15), st.integers(24, 32), st.booleans()).map(
            lambda drawn: ip_network(
                (f"fd00::{drawn[0]:x}", 96 + drawn[1]) if drawn[2] else (f"10.0.0.{drawn[0] * 16}", drawn[1]),
                strict=False,
            )
        ),
        max_size=12,
    )
)
def test_overlapping_finds_what_comparing_every_pair_finds(networks: list[Network]) -> None:
    pairs = {
        (later, earlier)
        for later, one in enumerate(networks)
        for earlier in range(later)
        if prefixes.overlap(one, networks[earlier])
    }
    found = prefixes.overlapping(networks)
    assert {(later, earlier) for later, others in found.items() for earlier in others} == pairs
    assert all(others == sorted(others) for others in found.values())
