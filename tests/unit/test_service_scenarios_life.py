"""Scenarios 40-60 of the fact sheet, at the service's rules: packets, services, tiers, failures, changes."""

from __future__ import annotations

import pytest

from lab.service import announce, diagnosis, packets
from lab.service.announce import Offer
from lab.service.commands import (
    AttachFilter,
    ChangeFamily,
    ChangeSku,
    CreateGateway,
    CreateRouteFilter,
    CreateVnet,
    DisablePeering,
    LinkVnet,
    Provision,
    PutPeering,
    ReportPrefixes,
    ResetPeering,
    SetFastPath,
    SetLinkAdminState,
    SetMacsec,
    SetRateLimit,
    SetVnetCommunity,
    SetWeight,
    Unlink,
)
from lab.service.resources import MacSec, Path
from lab.service.sessions import sessions
from lab.service.state import State, find_peering
from lab.service.views import resiliency
from tests.unit.service_worlds import (
    EMPTY,
    at,
    circuit,
    done,
    events,
    microsoft,
    net,
    on_port,
    ordered,
    peering,
    private,
    refused,
    v6,
    with_circuit,
    with_microsoft,
    with_port,
    with_vnet,
)


def test_scenario_40_a_direct_link_is_clamped_when_it_exceeds_its_rate_by_more_than_a_fifth() -> None:
    state = done(with_port(), on_port("a"), SetRateLimit("a", True))
    assert circuit(state, "a").rate_limit
    tolerance = packets.RATE_TOLERANCE
    assert packets.carried_mbps(1150, 1000, tolerance) == 1150
    assert packets.carried_mbps(1200, 1000, tolerance) == 1200
    assert packets.carried_mbps(1500, 1000, tolerance) == 1000
    assert refused(with_circuit(), SetRateLimit("ams", True)) == "RateLimitNotDirect"


@pytest.mark.parametrize(
    ("dscp", "behind"), [(46, 46), (34, 34), (18, 18), (10, 10), (0, 0), (24, 0), (14, 0), (26, 0)]
)
def test_scenario_45_a_microsoft_peering_sets_unlisted_classes_to_zero(dscp: int, behind: int) -> None:
    assert packets.dscp_at_msee("microsoft", dscp) == behind
    assert packets.dscp_at_msee("microsoft", dscp, "pass") == dscp
    assert packets.dscp_at_msee("microsoft", dscp, "drop") == (dscp if dscp == behind else None)


def test_scenario_46_a_private_peering_carries_every_dscp_unchanged() -> None:
    assert [packets.dscp_at_msee("private", dscp, "drop") for dscp in range(64)] == list(range(64))


def test_scenario_48_teams_goes_by_expressroute_with_its_filter_and_dns_by_the_internet() -> None:
    state = done(with_microsoft(), CreateRouteFilter("f", ("teams",)))
    teams, dns = at("52.112.0.11"), at("192.0.2.53")
    assert announce.way_to(announce.microsoft_routes(state, circuit(state)), teams) == "internet"
    attached = done(state, AttachFilter("ams", "f"))
    routes = list(announce.microsoft_routes(attached, circuit(attached)))
    assert [announce.way_to(routes, one) for one in (teams, dns)] == ["expressroute", "internet"]
    assert {"dns", "crl-ocsp", "cdn"} <= set(packets.NOT_OVER_EXPRESSROUTE)


OFFERS = (
    Offer(net("13.69.0.0/16"), ((12076, 51002),), "westeurope"),
    Offer(net("13.70.0.0/16"), ((12076, 51003),), "northeurope"),
    Offer(net("13.68.0.0/16"), ((12076, 51004),), "eastus"),
    Offer(net("20.190.0.0/16"), ((12076, 5060),)),
)


@pytest.mark.parametrize(
    ("tier", "count"),
    [("local", 1), ("standard", 3), ("premium", 4)],
)
def test_scenario_49_a_local_circuit_receives_routes_of_its_home_region_only(tier: str, count: int) -> None:
    state = done(
        EMPTY,
        ordered(tier=tier),  # type: ignore[arg-type]
        Provision("ams"),
        microsoft(legacy=True),
    )
    found = list(announce.microsoft_routes(state, circuit(state), offers=OFFERS))
    assert len(found) == count
    assert announce.region_of(found[0]) == "westeurope"
    far = with_vnet(with_circuit(tier="local"), "north", 60, (), "northeurope")
    assert refused(far, LinkVnet("north", "north-gw", "ams")) == "RegionNotLocal"


def test_scenario_50_macsec_needs_equal_keys_on_a_link_and_never_falls_back_to_clear_text() -> None:
    key, other = MacSec("ckn", "cak"), MacSec("ckn", "another")
    state = done(with_port(), SetMacsec("pair", "primary", key), SetMacsec("pair", "secondary", key))
    primary, secondary = state.ports["pair"].links
    assert packets.link_carries(primary.admin_state, primary.macsec, key)
    assert not packets.link_carries(primary.admin_state, primary.macsec, other)
    assert not packets.link_carries(primary.admin_state, primary.macsec, None)
    assert packets.link_carries(secondary.admin_state, secondary.macsec, key)
    alone = done(with_port(), SetLinkAdminState("pair", "secondary", "Disabled"))
    assert events(alone, SetMacsec("pair", "primary", key)) == ["MacsecWithoutBackup"]


@pytest.mark.parametrize(
    ("octets", "fragment", "fastpath", "verdict"),
    [
        (1400, False, False, "pass"),
        (1500, False, False, "too-big"),
        (600, True, False, "drop"),
        (1500, False, True, "pass"),
        (600, True, True, "pass"),
        (1501, False, True, "too-big"),
    ],
)
def test_scenario_51_a_gateway_passes_1400_octets_and_no_fragment_and_fastpath_goes_around(
    octets: int, fragment: bool, fastpath: bool, verdict: str
) -> None:
    assert packets.at_gateway(octets, fragment, fastpath) == verdict
    assert packets.at_gateway(1500, fragment=False, fastpath=False, may_fragment=True) == "drop"


def test_scenario_52_addresses_over_the_fastpath_limit_are_served_by_the_gateway() -> None:
    state = with_vnet(with_circuit())
    assert packets.fastpath_limit(circuit(state), None) == 25_000
    direct = done(with_port(gbps=100), on_port("a", 5))
    assert packets.fastpath_limit(circuit(direct, "a"), direct.ports["pair"]) == 200_000
    fast, slow = packets.on_fastpath([at("10.0.0.1"), at("10.0.0.2"), at("10.0.0.1"), at("10.0.0.3")], 2)
    assert (fast, slow) == ({at("10.0.0.1"), at("10.0.0.2")}, {at("10.0.0.3")})
    assert done(state, SetFastPath("hub-ams", True)).connections["hub-ams"].fastpath
    small = with_vnet(with_circuit(), sku="ErGw1AZ")
    assert refused(small, SetFastPath("hub-ams", True)) == "FastPathSku"


def test_scenario_53_diagnostics_of_an_unconfigured_peering_answer_400() -> None:
    found = find_peering(circuit(with_circuit()), "microsoft")
    assert (found.code, found.status) == ("PeeringNotFound", 400)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("received", "sent", "verdict"),
    [
        (9, 9, "healthy"),
        (9, 0, "azure-does-not-return"),
        (0, 9, "customer-does-not-return"),
        (0, 0, "nothing-arrives"),
    ],
)
def test_scenario_54_the_private_peering_test_tells_the_side_that_does_not_return(
    received: int, sent: int, verdict: str
) -> None:
    assert diagnosis.private_peering_test(received, sent) == verdict


def test_scenario_55_availability_is_all_or_nothing_and_a_disabled_port_has_no_line_protocol() -> None:
    assert [diagnosis.availability(up) for up in (True, False)] == [100, 0]
    state = done(with_port(), on_port("a"), private("a"), SetLinkAdminState("pair", "primary", "Disabled"))
    assert [diagnosis.line_protocol(link) for link in state.ports["pair"].links] == [0, 1]
    assert {one.path: one.blocked for one in sessions(state)} == {"primary": "LinkDisabled", "secondary": ""}


def test_scenario_56_a_disabled_peering_leaves_the_other_one_up_and_a_reset_brings_bfd() -> None:
    def shut(now: State) -> set[tuple[str, Path]]:
        return {(one.peering, one.path) for one in sessions(now) if one.blocked}

    state = done(with_microsoft(), private(bfd=False))
    assert shut(state) == set()
    down = done(state, DisablePeering("ams", "private"))
    assert shut(down) == {("private", "primary"), ("private", "secondary")}
    back = done(down, ResetPeering("ams", "private"))
    assert shut(back) == set()
    assert peering(back).bfd
    assert events(state, ResetPeering("ams", "private")) == ["PeeringReset"]


def test_scenario_57_a_metro_circuit_survives_one_site_and_a_standard_circuit_does_not() -> None:
    metro = with_circuit(metro=True)
    assert list(diagnosis.links_left(metro, "Amsterdam")) == [("ams", "secondary")]
    assert list(diagnosis.links_left(metro, "Amsterdam2")) == [("ams", "primary")]
    assert list(diagnosis.links_left(with_circuit(), "Amsterdam")) == []
    two = with_vnet(
        with_circuit(with_circuit(), "dub", location="Dublin", number=16), circuits=("ams", "dub")
    )
    assert [name for name, _ in diagnosis.links_left(two, "Amsterdam")] == ["dub", "dub"]
    assert [resiliency(now, circuit(now)) for now in (metro, with_circuit(), two)] == [
        "High",
        "Standard",
        "Maximum",
    ]
    assert refused(EMPTY, ordered("x", location="Dublin", metro=True)) == "MetroNotOffered"


def test_scenario_58_ipv6_shares_the_vlan_and_a_dual_stack_gateway_needs_it() -> None:
    state = done(EMPTY, ordered(), Provision("ams"), private(v4=(), v6=(v6("fd00:15::/125"),)))
    assert [(one.version, len(one.tags), str(one.customer)) for one in sessions(state)] == [
        (6, 2, "fd00:15::1/126"),
        (6, 2, "fd00:15::5/126"),
    ]
    both = done(state, private(dual=True))
    assert {one.tags for one in sessions(both)} == {one.tags for one in sessions(state)}
    assert {one.version: one.limit for one in sessions(both)} == {4: 4000, 6: 100}
    dual = (
        CreateVnet("hub", "westeurope", (net("10.50.0.0/16"), net("fd00:50::/48"))),
        CreateGateway("gw", "hub", "ErGw1AZ", (net("10.50.255.0/27"), net("fd00:50::/64"))),
    )
    assert refused(done(with_circuit(), *dual), LinkVnet("l", "gw", "ams")) == "GatewayDualStack"
    linked = done(both, *dual, LinkVnet("l", "gw", "ams"))
    assert refused(linked, private()) == "GatewayDualStack"


def test_scenario_59_a_legacy_peering_announces_every_service_without_a_filter() -> None:
    state = with_microsoft(legacy=True)
    announced = {one.prefix for one in announce.microsoft_routes(state, circuit(state))}
    offered = {one.prefix for one in announce.service_offers() if one.prefix.version == 4}
    assert announced == offered
    filtered = done(state, CreateRouteFilter("f", ("pstn",)), AttachFilter("ams", "f"))
    assert len(list(announce.microsoft_routes(filtered, circuit(filtered)))) == 1


def test_scenario_60_premium_stays_while_it_is_used_and_unlimited_never_becomes_metered() -> None:
    state = with_circuit(tier="premium", family="metered")
    busy = state
    for number in range(12):
        busy = with_vnet(busy, f"v{number}", number)
    assert refused(busy, ChangeSku("ams", "standard")) == "VnetLinks"
    talkative = done(state, ReportPrefixes("ams", "private", "primary", 4, 5000))
    assert refused(talkative, ChangeSku("ams", "standard")) == "UsageRoutes"
    assert circuit(done(state, ChangeSku("ams", "standard"))).tier == "standard"
    assert refused(state, ChangeSku("ams", "local")) == "SkuToLocal"
    unlimited = done(state, ChangeFamily("ams", "unlimited"))
    assert refused(unlimited, ChangeFamily("ams", "metered")) == "FamilyToMetered"
    teams = done(with_microsoft(), CreateRouteFilter("f", ("teams",)), AttachFilter("ams", "f"))
    assert refused(teams, ChangeSku("ams", "standard")) == "FilterNeedsPremium"


def test_a_link_keeps_what_it_was_made_with() -> None:
    state = done(with_vnet(with_circuit()), SetVnetCommunity("hub", (12076, 20001)), SetWeight("hub-ams", 7))
    assert (state.connections["hub-ams"].community, state.connections["hub-ams"].weight) == (None, 7)
    assert "hub-ams" not in done(state, Unlink("hub-ams")).connections
    assert refused(state, SetWeight("hub-ams", 32_001)) == "WeightRange"
    assert refused(state, PutPeering("ams", "private", 100, 65010)) == "LinkSubnetMissing"
