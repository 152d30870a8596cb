"""Scenarios 22-39 of the fact sheet, at the service's rules: routes, path choice, links between circuits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.service import announce, packets, timing
from lab.service.announce import Offer, Route
from lab.service.apply import apply
from lab.service.commands import (
    AttachFilter,
    BeginMaintenance,
    ChangeBandwidth,
    ChangeSku,
    CreateAuthorization,
    CreateRouteFilter,
    DisablePeering,
    EnableGlobalReach,
    EndMaintenance,
    LinkVnet,
    Redeem,
    RevokeAuthorization,
    SetGatewayTraffic,
    SetThrottle,
    SetVnetCommunity,
    SetWeight,
    Unlink,
)
from lab.service.path_choice import Candidate, azure_choice, on_premises_choice, pick
from lab.service.refusal import Refusal
from lab.service.resources import PATHS, Scope
from lab.service.sessions import sessions
from lab.service.state import State
from lab.service.views import effective_mbps, reach_mbps
from tests.unit.service_worlds import (
    EMPTY,
    at,
    circuit,
    done,
    events,
    net,
    ordered,
    peering,
    refused,
    v4,
    with_circuit,
    with_microsoft,
    with_vnet,
)


def _prepend(state: State, path: str) -> int:
    return next(one.prepend for one in sessions(state) if one.path == path)


@pytest.mark.parametrize(
    ("source", "enters"),
    [("203.0.113.5", True), ("203.0.113.16", False), ("10.1.0.10", False), ("2001:db8::1", False)],
)
def test_scenario_22_only_sources_in_the_advertised_prefixes_enter(source: str, enters: bool) -> None:
    state = with_microsoft()
    assert packets.may_enter(peering(state, "microsoft"), at(source)) is enters


def test_scenario_23_communities_of_the_customer_are_ignored() -> None:
    told = Route(net("203.0.113.0/29"), (64496,), ((65000, 1), (12076, 5030)))
    taken = announce.taken_on_microsoft(peering(with_microsoft(), "microsoft"), told)
    assert isinstance(taken, Route)
    assert taken.communities == announce.taken_on_private(told).communities == ()


def test_scenario_24_a_private_prepend_has_no_effect_on_a_microsoft_peering_and_a_public_one_has() -> None:
    public = peering(with_microsoft(), "microsoft")

    def heard(via: str, path: tuple[int, ...]) -> Candidate:
        taken = announce.taken_on_microsoft(public, Route(net("203.0.113.0/29"), path))
        assert isinstance(taken, Route)
        return Candidate(taken.prefix, via, as_path=taken.as_path)

    plain = heard("west", (3320,))
    user = at("203.0.113.1")
    assert {one.via for one in azure_choice([plain, heard("east", (3320, 65001, 65001))], user)} == {
        "west",
        "east",
    }
    assert [one.via for one in azure_choice([plain, heard("east", (3320, 3320))], user)] == ["west"]


def test_scenario_25_each_office_prefers_its_near_circuit_by_the_regions_community() -> None:
    offers = (
        Offer(net("13.64.0.0/16"), ((12076, 51006),), "westus"),
        Offer(net("13.68.0.0/16"), ((12076, 51004),), "eastus"),
    )
    state = done(
        with_microsoft(), CreateRouteFilter("f", ("12076:51004", "12076:51006")), AttachFilter("ams", "f")
    )
    heard = list(announce.microsoft_routes(state, circuit(state), offers=offers))
    assert [announce.region_of(one) for one in heard] == ["westus", "eastus"]
    near = {"west": "westus", "east": "eastus"}
    candidates = [
        Candidate(
            one.prefix,
            via,
            as_path=one.as_path,
            local_pref=150 if announce.region_of(one) == region else 100,
        )
        for via, region in near.items()
        for one in heard
    ]
    assert [one.via for one in on_premises_choice(candidates, at("13.64.1.1"))] == ["west"]
    assert [one.via for one in on_premises_choice(candidates, at("13.68.1.1"))] == ["east"]


def test_scenario_26_a_custom_community_takes_effect_when_the_connection_is_made_anew() -> None:
    state = with_vnet(with_circuit())

    def seen(now: State) -> list[tuple[tuple[int, int], ...]]:
        return [one.communities for one in announce.private_routes(now, circuit(now))]

    assert seen(state) == [()]
    assert events(state, SetVnetCommunity("hub", (12076, 20001))) == ["CommunityWaits"]
    waiting = done(state, SetVnetCommunity("hub", (12076, 20001)))
    assert seen(waiting) == [()]
    anew = done(waiting, Unlink("hub-ams"), LinkVnet("hub-ams", "hub-gw", "ams"))
    assert seen(anew) == [((12076, 20001), (12076, 50002))]
    assert refused(state, SetVnetCommunity("hub", (65010, 20001))) == "CommunityForm"


def test_scenario_27_bfd_finds_a_dead_link_in_less_than_a_second_and_a_half_and_timers_in_180() -> None:
    assert timing.detection_s(180, 300) == pytest.approx(0.9)
    assert timing.detection_s(180, None) == 180
    assert timing.detection_s(10, None) == 10
    assert timing.detection_s(180, 300, msee_bfd=False) == 180


def test_scenario_28_the_slower_side_sets_the_bfd_interval() -> None:
    assert [timing.agreed_bfd_ms(ms) for ms in (1000, 300, 100)] == [1000, 300, 300]


def test_scenario_30_maintenance_prepends_both_ways_and_only_who_honours_the_path_drains() -> None:
    state = with_vnet(done(with_circuit(), BeginMaintenance("ams", "primary")))
    assert [_prepend(state, path) for path in PATHS] == [8, 0]
    assert refused(state, BeginMaintenance("ams", "secondary")) == "MaintenanceRuns"
    there = {"ams": [Route(net("10.1.0.0/16"), (65010,))]}
    heard = {path: next(announce.private_routes(state, circuit(state), path)) for path in PATHS}
    assert [len(one.as_path) for one in heard.values()] == [9, 1]
    back = {path: next(announce.gateway_routes(state, "hub-gw", there, path)) for path in PATHS}
    assert [len(one.as_path) for one in back.values()] == [10, 2]
    here = [Candidate(one.prefix, "ams", as_path=one.as_path, path=path) for path, one in heard.items()]
    assert [one.path for one in on_premises_choice(here, at("10.50.0.4"))] == ["secondary"]
    pinned = [replace(here[0], local_pref=200), here[1]]
    assert [one.path for one in on_premises_choice(pinned, at("10.50.0.4"))] == ["primary"]
    assert _prepend(done(state, EndMaintenance("ams")), "primary") == 0


def _two_circuits(**weights: int) -> State:
    state = with_circuit(with_circuit(), "dub", location="Dublin", number=16)
    state = with_vnet(state, circuits=("ams", "dub"))
    return done(state, *(SetWeight(f"hub-{name}", weight) for name, weight in weights.items()))


def _at_gateway(state: State, there: dict[str, list[Route]]) -> list[Candidate]:
    return [
        Candidate(
            one.prefix,
            state.connections[one.via].circuit,
            as_path=one.as_path,
            weight=state.connections[one.via].weight,
        )
        for one in announce.gateway_routes(state, "hub-gw", there)
    ]


def test_scenario_31_azure_goes_by_longest_prefix_then_weight_then_as_path() -> None:
    lan, halves = net("10.1.0.0/24"), [net("10.1.0.0/25"), net("10.1.0.128/25")]
    both = {name: [Route(lan, (65010,))] for name in ("ams", "dub")}
    heavy = _two_circuits(ams=100)
    host = at("10.1.0.10")
    assert [one.via for one in azure_choice(_at_gateway(heavy, both), host)] == ["ams"]
    split = {**both, "dub": [*both["dub"], *(Route(half, (65010,)) for half in halves)]}
    assert [one.via for one in azure_choice(_at_gateway(heavy, split), host)] == ["dub"]
    plain = _two_circuits()
    assert len(azure_choice(_at_gateway(plain, both), host)) == 2
    prepended = {**both, "dub": [Route(lan, (65010, 65010))]}
    assert [one.via for one in azure_choice(_at_gateway(plain, prepended), host)] == ["ams"]
    weighty = done(plain, SetWeight("hub-dub", 1))
    assert [one.via for one in azure_choice(_at_gateway(weighty, prepended), host)] == ["dub"]


def test_scenario_32_equal_paths_over_five_circuits_use_four_and_a_flow_stays_on_one() -> None:
    routes = [
        Candidate(net("10.1.0.0/16"), f"c{n}", as_path=(12076, 65010), path=path)
        for n in range(5)
        for path in PATHS
    ]
    used = azure_choice(routes, at("10.1.0.10"))
    assert len({one.via for one in used}) == 4
    assert len(used) == 8
    flows = [("10.50.0.4", "10.1.0.10", 6, 40000 + n, 443) for n in range(200)]
    first = {flow: pick(used, flow) for flow in flows}
    assert len({one.via for one in first.values()}) == 4
    left = [one for one in used if one != used[0]]
    for flow, before in first.items():
        assert pick(used, flow) == before
        assert before == used[0] or pick(left, flow) == before


def test_scenario_33_expressroute_is_preferred_over_vpn_unless_vpn_has_the_longer_prefix() -> None:
    host = at("10.1.0.10")
    circuit_route = Candidate(net("10.1.0.0/16"), "ams", as_path=(12076, 65010, 65010))
    tunnel = Candidate(net("10.1.0.0/16"), "vpn", "vpn", (65010,))
    assert [one.via for one in azure_choice([circuit_route, tunnel], host)] == ["ams"]
    longer = replace(tunnel, prefix=net("10.1.0.0/17"))
    assert [one.via for one in azure_choice([circuit_route, longer], host)] == ["vpn"]
    state = with_vnet(with_circuit())
    down = done(state, DisablePeering("ams", "private"))
    assert list(announce.gateway_routes(down, "hub-gw", {"ams": [Route(net("10.1.0.0/16"))]})) == []
    assert [one.via for one in azure_choice([tunnel], host)] == ["vpn"]
    home = [
        Candidate(net("10.50.0.0/16"), "vpn", "vpn", (65515,)),
        Candidate(net("10.50.0.0/16"), "ams", as_path=(12076,), local_pref=150),
    ]
    assert [one.via for one in on_premises_choice(home, at("10.50.0.4"))] == ["ams"]


def _three() -> State:
    state = EMPTY
    for number, (name, place) in enumerate((("a", "Amsterdam"), ("b", "Dublin"), ("c", "London")), 15):
        state = with_circuit(state, name, location=place, number=number, mbps=[200, 500, 1000][number - 15])
    return state


def _joined(a: str, b: str, prefix: str) -> EnableGlobalReach:
    return EnableGlobalReach(f"{a}-{b}", a, b, v4(prefix))


def test_scenario_34_global_reach_joins_pairs_not_triangles_and_not_everything() -> None:
    state = _three()
    there = {name: [Route(net(f"10.{n}.0.0/16"), (65010,))] for n, name in enumerate("abc", 1)}
    joined = done(state, _joined("a", "b", "172.31.0.0/29"), _joined("b", "c", "172.31.0.8/29"))

    def sees(now: State, name: str) -> list[str]:
        routes = announce.private_routes(now, circuit(now, name), on_premises=there)
        return [str(one.prefix) for one in routes]

    assert sees(joined, "a") == ["10.2.0.0/16"]
    assert sees(joined, "b") == ["10.1.0.0/16", "10.3.0.0/16"]
    closed = done(joined, _joined("a", "c", "172.31.0.16/29"))
    assert sees(closed, "a") == ["10.2.0.0/16", "10.3.0.0/16"]
    assert reach_mbps(joined, joined.reaches["a-b"]) == 200
    assert refused(joined, EnableGlobalReach("again", "b", "a", v4("172.31.0.32/29"))) == "ReachTwice"
    twin = with_circuit(state, "a2", location="Amsterdam", number=40)
    assert refused(twin, _joined("a", "a2", "172.31.0.0/29")) == "ReachSameLocation"
    local = with_circuit(state, "l", "local", location="Frankfurt", number=41)
    assert refused(local, _joined("a", "l", "172.31.0.0/29")) == "ReachLocal"
    far = with_circuit(state, "f", "premium", location="Tokyo", number=42)
    assert refused(far, _joined("a", "f", "172.31.0.0/29")) == "ReachNeedsPremium"
    homed = with_vnet(state, circuits=("a",))
    assert refused(homed, _joined("a", "b", "10.50.9.0/29")) == "PrefixOverlap"
    assert refused(homed, _joined("a", "b", "172.31.0.0/28")) == "ReachPrefixLength"


def test_scenario_35_without_global_reach_no_circuit_learns_anothers_on_premises() -> None:
    state = with_vnet(_three(), circuits=("a", "b"))
    there = {"b": [Route(net("10.2.0.0/16"), (65010,))]}
    routes = announce.private_routes(state, circuit(state, "a"), on_premises=there)
    assert [str(one.prefix) for one in routes] == ["10.50.0.0/16"]


def test_scenario_36_vnets_of_one_circuit_talk_only_when_both_gateways_let_them() -> None:
    state = with_vnet(with_vnet(with_circuit()), "spoke", 60)

    def learned(now: State) -> list[tuple[str, tuple[int, ...]]]:
        return [(str(one.prefix), one.as_path) for one in announce.gateway_routes(now, "hub-gw", {})]

    assert learned(state) == []
    half = done(state, SetGatewayTraffic("hub-gw", True))
    assert learned(half) == []
    # By way of the MSEE: its AS number stands between the two gateways'.
    assert learned(done(half, SetGatewayTraffic("spoke-gw", True))) == [("10.60.0.0/16", (12076, 65515))]
    always = replace(state, settings=replace(state.settings, vnet_to_vnet="always"))
    assert len(learned(always)) == 1


def test_scenario_37_standard_links_ten_vnets_of_its_area_and_premium_more_anywhere() -> None:
    standard = with_vnet(with_circuit(), "far", 99, (), "eastus")
    assert refused(standard, LinkVnet("far-ams", "far-gw", "ams")) == "RegionOutsideArea"
    premium = done(standard, ChangeSku("ams", "premium"))
    assert "far-ams" in done(premium, LinkVnet("far-ams", "far-gw", "ams")).connections
    for number in range(10):
        standard = with_vnet(standard, f"v{number}", number)
    standard = with_vnet(standard, "v10", 10, ())
    assert refused(standard, LinkVnet("v10-ams", "v10-gw", "ams")) == "VnetLinks"
    more = done(standard, ChangeSku("ams", "premium"), LinkVnet("v10-ams", "v10-gw", "ams"))
    assert len(more.links_of("ams")) == 11


def test_scenario_38_an_authorization_is_for_one_connection_and_takes_it_along_when_revoked() -> None:
    other = Scope("fabrikam")
    state = with_vnet(with_circuit(), "theirs", 60, (), subscription="fabrikam")
    state = with_vnet(state, "more", 61, (), subscription="fabrikam")
    link = LinkVnet("theirs-ams", "theirs-gw", "ams", scope=other)
    assert refused(state, link) == "AuthorizationNeeded"
    state = done(state, CreateAuthorization("ams", "for-fabrikam"))
    key = circuit(state).authorizations["for-fabrikam"].key
    assert refused(state, Redeem("theirs-ams", "theirs-gw", "ams", "wrong")) == "AuthorizationUnknown"
    used = done(state, Redeem("theirs-ams", "theirs-gw", "ams", key, scope=other))
    assert circuit(used).authorizations["for-fabrikam"].use_status == "InUse"
    assert refused(used, Redeem("more-ams", "more-gw", "ams", key)) == "AuthorizationInUse"
    assert events(used, RevokeAuthorization("ams", "for-fabrikam")) == ["ConnectionRevoked"]
    revoked = done(used, RevokeAuthorization("ams", "for-fabrikam"))
    assert (dict(revoked.connections), dict(circuit(revoked).authorizations)) == ({}, {})
    freed = done(used, Unlink("theirs-ams"))
    assert circuit(freed).authorizations["for-fabrikam"].use_status == "Available"


def test_scenario_39_bandwidth_is_raised_without_a_session_and_never_lowered() -> None:
    state = with_circuit(mbps=100)
    assert packets.carried_mbps(150, effective_mbps(circuit(state))) == 100
    assert 2 * packets.carried_mbps(100, effective_mbps(circuit(state))) == 200
    assert refused(state, ChangeBandwidth("ams", 50)) == "BandwidthLowered"
    assert refused(state, ChangeBandwidth("ams", 150)) == "BandwidthNotOffered"
    assert events(state, ChangeBandwidth("ams", 200)) == ["BandwidthRaised", "ThrottleBehind"]
    raised = done(state, ChangeBandwidth("ams", 200))
    assert list(sessions(raised)) == list(sessions(state))
    assert effective_mbps(circuit(raised)) == 100
    assert effective_mbps(circuit(done(raised, SetThrottle("ams", 200)))) == 200


def test_joining_a_circuit_again_or_without_a_peering_is_refused() -> None:
    state = done(with_vnet(with_circuit()), ordered("bare", location="Dublin"))
    assert refused(state, LinkVnet("again", "hub-gw", "ams")) == "ConnectionTwice"
    assert refused(state, LinkVnet("bare", "hub-gw", "bare")) == "CircuitNotProvisioned"
    assert isinstance(apply(state, LinkVnet("bare", "hub-gw", "nowhere")), Refusal)
