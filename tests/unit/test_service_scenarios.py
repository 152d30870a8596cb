"""The scenarios of the fact sheet that the service decides, at its rules. 1-21: circuits and
peerings. 22-39 and 40-60 stand in files of their own beside.

Where a scenario has a part that only packets show, that part is proved by a running lab.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.model import MSEE_ASN
from lab.service import announce, as_path
from lab.service.announce import Route
from lab.service.commands import (
    ApprovePrefix,
    AttachFilter,
    ChangeEncapsulation,
    ChangeSku,
    CreateRouteFilter,
    CreateVnet,
    DeleteCircuit,
    Deprovision,
    DetachFilter,
    LinkVnet,
    Provision,
    RegisterPrefix,
    ReportPrefixes,
    SetAddressSpace,
    SetSummaries,
    StartProvisioning,
    Unlink,
    UseRemoteGateway,
    ValidatePrefixes,
)
from lab.service.path_choice import Candidate, azure_choice
from lab.service.peerings import LinkSubnet
from lab.service.refusal import Refusal
from lab.service.resources import PATHS, Path
from lab.service.sessions import MseeSession, frame_owner, has_sla, sessions
from lab.service.state import State
from lab.service.views import connection_status, gateway_prefixes, prefixes_state
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
    strict,
    v4,
    with_circuit,
    with_microsoft,
    with_port,
    with_vnet,
)

EQUINIX = ("", "Equinix", "Amsterdam")
TEAMS = net("52.112.0.0/14")


def _session(state: State, path: Path = "primary", peering: str = "private", version: int = 4) -> MseeSession:
    return next(one for one in sessions(state) if one.key == ("ams", peering, path, version))


def _announced(state: State, path: Path = "primary") -> list[Route]:
    return list(announce.microsoft_routes(state, circuit(state), path))


def _grown(state: State, count: int, vnet: str = "hub") -> State:
    space = state.vnets[vnet].address_space
    more = tuple(v4(f"10.{200 + n // 256}.{n % 256}.0/24") for n in range(len(space) - 1, count - 1))
    return done(state, SetAddressSpace(vnet, (*space, *more)))


def test_scenario_01_two_sessions_for_each_peering_customer_odd_and_microsoft_even() -> None:
    state = done(with_microsoft(), private())
    found = list(sessions(state))
    assert [(one.peering, one.path) for one in found] == [
        (name, path) for name in ("microsoft", "private") for path in PATHS
    ]
    for one in found:
        assert one.local_asn == MSEE_ASN
        assert (int(one.customer.ip) % 2, int(one.microsoft.ip) % 2) == (1, 0)
        assert one.microsoft.ip == one.customer.ip + 1
        assert one.blocked == ""


def test_scenario_02_only_the_right_pair_of_tags_leads_into_a_peering() -> None:
    state = done(with_circuit(s_tag=3), ordered("other", s_tag=4), Provision("other"), private("other", 16))
    assert frame_owner(state, EQUINIX, (3, 100)) == ("ams", "private")
    assert frame_owner(state, EQUINIX, (3, 101)) is None
    assert frame_owner(state, EQUINIX, (4, 100)) == ("other", "private")
    assert frame_owner(state, EQUINIX, (5, 100)) is None
    assert frame_owner(state, EQUINIX, (100,)) is None


def test_scenario_03_a_c_tag_is_unique_on_a_dot1q_pair_and_in_the_circuit_on_a_qinq_pair() -> None:
    dot1q = done(with_port("Dot1Q"), on_port("a"), on_port("b"), private("a"))
    assert refused(dot1q, private("b", 16)) == "VlanTakenOnPort"
    assert [tag.vid for tag in next(sessions(dot1q)).tags] == [100]
    qinq = done(with_port("QinQ"), on_port("a"), on_port("b"), private("a"), private("b", 16))
    assert len({one.tags for one in sessions(qinq)}) == 2
    assert refused(qinq, microsoft("a", vlan=100)) == "VlanTakenInCircuit"


def test_scenario_04_a_direct_circuit_has_a_fixed_s_tag_and_the_pair_its_encapsulation() -> None:
    state = done(with_port(), on_port("a"), on_port("b"), on_port("c"))
    tags = [one.s_tag for one in state.circuits.values()]
    assert len(set(tags)) == 3
    after = done(state, DeleteCircuit("b"), on_port("d"))
    assert {one.name: one.s_tag for one in after.circuits.values()} == {
        "a": tags[0],
        "c": tags[2],
        "d": tags[1],
    }
    assert refused(state, on_port("e", s_tag=tags[0])) == "StagTaken"
    assert refused(state, ChangeEncapsulation("pair", "Dot1Q")) == "EncapsulationFixed"


def test_scenario_05_circuits_of_a_10g_pair_sum_up_to_20g() -> None:
    state = done(with_port(), on_port("a", 10), on_port("b", 10))
    assert refused(state, on_port("c", 1)) == "PortSubscribed"
    assert refused(with_port(), on_port("c", 40)) == "BandwidthNotOffered"


def test_scenario_07_the_customers_write_replaces_the_providers_peering() -> None:
    state = done(EMPTY, ordered(), Provision("ams"), private(shared_key="k1", by="Provider"))
    assert peering(state).written_by == "Provider"
    mine = private(number=99, peer_asn=65020)
    assert events(state, mine) == ["PeeringOverwritten"]
    after = done(state, mine)
    assert (peering(after).written_by, peering(after).shared_key) == ("Customer", None)
    assert _session(after).customer != _session(state).customer
    assert peering(done(after, private(by="Provider"))).written_by == "Provider"


def test_scenario_08_a_circuit_takes_no_peering_until_the_provider_has_provisioned_it() -> None:
    state = done(EMPTY, ordered())
    assert circuit(state).provider_state == "NotProvisioned"
    assert refused(state, private()) == "CircuitNotProvisioned"
    working = done(state, StartProvisioning("ams"))
    assert refused(working, private()) == "CircuitNotProvisioned"
    assert _session(done(working, Provision("ams"), private())).blocked == ""


def test_scenario_09_a_circuit_is_deleted_only_after_the_provider_has_let_go() -> None:
    state = with_circuit()
    assert refused(state, DeleteCircuit("ams")) == "CircuitProvisioned"
    freed = done(state, Deprovision("ams"))
    assert _session(freed).blocked == "NotProvisioned"
    assert done(freed, DeleteCircuit("ams")).circuits == {}


@pytest.mark.parametrize("network", ["192.168.15.0/30", "fd00:15::/126"])
def test_scenario_10_the_first_address_is_the_customers_and_the_second_microsofts(network: str) -> None:
    link = LinkSubnet(net(network))
    assert link.customer.ip == net(network)[1]
    assert link.microsoft.ip == net(network)[2]


def test_scenario_11_a_29_splits_in_order_and_no_vnet_may_overlap_it() -> None:
    state = done(
        with_circuit(),
        CreateVnet("a", "westeurope", (net("192.168.0.0/16"),)),
    )
    assert peering(state).v4 == (v4("192.168.15.0/30"), v4("192.168.15.4/30"))
    joined = with_vnet(with_circuit())
    assert refused(joined, SetAddressSpace("hub", (net("10.50.0.0/16"), net("192.168.0.0/16")))) == (
        "PrefixOverlap"
    )
    assert refused(joined, private(v4=(v4("10.50.9.0/29"),))) == "PrefixOverlap"


def test_scenario_12_a_key_of_26_characters_is_refused_and_one_dead_link_ends_the_sla() -> None:
    state = done(EMPTY, ordered(), Provision("ams"), private(shared_key="a" * 25))
    assert refused(state, private(shared_key="a" * 26)) == "KeyLong"
    assert refused(state, private(shared_key="s3cr&t")) == "KeyCharacters"
    keys = {one.key for one in sessions(state)}
    assert has_sla(state, circuit(state), peering(state), frozenset(keys))
    assert not has_sla(state, circuit(state), peering(state), frozenset(sorted(keys)[:1]))


def test_scenario_13_asn_65515_and_65520_are_refused_and_a_4_byte_asn_is_taken() -> None:
    state = done(EMPTY, ordered(), Provision("ams"))
    assert [refused(state, private(peer_asn=asn)) for asn in (65515, 65520)] == ["AsnReserved"] * 2
    assert refused(state, private(peer_asn=12076)) == "AsnMicrosoft"
    assert _session(done(state, private(peer_asn=4_200_000_001))).peer_asn == 4_200_000_001


def test_scenario_14_4001_prefixes_drop_a_standard_session_until_one_is_withdrawn() -> None:
    def told(state: State, count: int) -> State:
        return done(state, ReportPrefixes("ams", "private", "primary", 4, count))

    standard = with_circuit()
    over = told(standard, 4001)
    assert _session(over).blocked == "PrefixLimit"
    assert _session(over, "secondary").blocked == ""
    assert _session(told(over, 4000)).blocked == ""
    assert events(standard, ReportPrefixes("ams", "private", "primary", 4, 3000)) == ["PrefixesWarning"]
    assert events(over, ReportPrefixes("ams", "private", "primary", 4, 10)) == ["PrefixesAccepted"]
    premium = with_circuit(tier="premium")
    assert [_session(told(premium, count)).blocked for count in (4001, 10_000, 10_001)] == [
        "",
        "",
        "PrefixLimit",
    ]
    assert _session(done(over, ChangeSku("ams", "premium"))).blocked == ""


def test_scenario_15_101_ipv6_prefixes_drop_a_private_and_201_a_microsoft_session() -> None:
    state = done(EMPTY, ordered(), Provision("ams"), private(dual=True))
    for count, blocked in ((100, ""), (101, "PrefixLimit")):
        told = done(state, ReportPrefixes("ams", "private", "secondary", 6, count))
        assert _session(told, "secondary", version=6).blocked == blocked
        assert _session(told, "secondary", version=4).blocked == ""
    public = with_microsoft()
    for count, blocked in ((200, ""), (201, "PrefixLimit")):
        told = done(public, ReportPrefixes("ams", "microsoft", "primary", 4, count))
        assert _session(told, peering="microsoft").blocked == blocked


def test_scenario_16_a_default_route_is_for_private_peerings_and_takes_the_internet_along() -> None:
    state = with_microsoft()
    for prefix in ("0.0.0.0/0", "10.0.0.0/8"):
        found = announce.taken_on_microsoft(peering(state, "microsoft"), Route(net(prefix), (64496,)))
        assert isinstance(found, Refusal)
    assert announce.taken_on_private(Route(net("0.0.0.0/0"), (65010,))).prefix == net("0.0.0.0/0")
    system = Candidate(net("0.0.0.0/0"), "internet", "internet")
    forced = Candidate(net("0.0.0.0/0"), "ams", as_path=(12076, 65010))
    kms = at("20.118.99.224")
    assert [one.via for one in azure_choice([system, forced], kms)] == ["ams"]
    assert [one.via for one in azure_choice([system], kms)] == ["internet"]
    static = Candidate(net("20.118.99.224/32"), "internet", "user")
    assert [one.via for one in azure_choice([system, forced, static], kms)] == ["internet"]


def test_scenario_17_1001_vnet_prefixes_take_the_connection_down_until_they_are_summarised() -> None:
    state = _grown(with_vnet(with_circuit()), 100)
    spokes = [
        CreateVnet(f"spoke{n}", "westeurope", tuple(v4(f"172.{16 + n}.{i}.0/24") for i in range(180)))
        for n in range(5)
    ]
    state = done(state, *spokes, *(UseRemoteGateway(f"spoke{n}", "hub") for n in range(5)))
    link, gateway = state.connections["hub-ams"], state.gateways["hub-gw"]
    assert (len(gateway_prefixes(state, gateway)), connection_status(state, link)) == (1000, "Connected")
    over = _grown(state, 101)
    assert connection_status(over, link) == "NotConnected"
    assert list(announce.private_routes(over, circuit(over))) == []
    assert {one.blocked for one in sessions(over)} == {""}
    short = done(over, SetSummaries("hub-gw", (net("172.16.0.0/14"),)))
    assert len(gateway_prefixes(short, short.gateways["hub-gw"])) == 101 + 1 + 180
    assert connection_status(short, link) == "Connected"
    assert refused(done(over, Unlink("hub-ams")), LinkVnet("new", "hub-gw", "ams")) == "ConnectionPrefixes"


def test_scenario_18_on_premises_sees_the_path_12076_and_the_gateway_12076_and_the_customer() -> None:
    state = with_vnet(with_circuit())
    assert [(str(one.prefix), one.as_path) for one in announce.private_routes(state, circuit(state))] == [
        ("10.50.0.0/16", (12076,))
    ]
    there = {"ams": [Route(net("10.1.0.0/16"), (65010,))]}
    assert [one.as_path for one in announce.gateway_routes(state, "hub-gw", there)] == [(12076, 65010)]
    # A public number behind the gateway keeps the private ones, or not: routers differ.
    mixed = as_path.from_gateway((1234, 65001))
    assert as_path.towards_customer(mixed) == (12076, 65515, 1234, 65001)
    assert as_path.towards_customer(mixed, mixed="strip") == (12076, 1234)


def test_scenario_19_a_microsoft_peering_announces_what_its_filter_names_and_nothing_without() -> None:
    state = done(with_microsoft(), CreateRouteFilter("f", ("12076:5030",)))
    assert _session(state, peering="microsoft").blocked == ""
    assert _announced(state) == []
    attached = done(state, AttachFilter("ams", "f"))
    found = _announced(attached)
    assert TEAMS in [one.prefix for one in found]
    assert all((12076, 5030) in one.communities for one in found)
    assert {one.prefix.version for one in found} == {4}
    assert _announced(done(attached, DetachFilter("ams"))) == []


def test_scenario_20_a_microsoft_365_community_needs_microsofts_authorisation() -> None:
    state = replace(done(with_microsoft(), CreateRouteFilter("f", ("teams",))), authorized_365=())
    assert refused(state, AttachFilter("ams", "f")) == "FilterNotAuthorized"
    regional = done(state, CreateRouteFilter("g", ("12076:51002", "entra-id")), AttachFilter("ams", "g"))
    assert peering(regional, "microsoft").route_filter == "g"


def test_scenario_21_an_unregistered_prefix_needs_validation_before_the_session_comes_up() -> None:
    state = done(strict(), ordered(tier="premium"), Provision("ams"))
    given = microsoft(peer_asn=3320, v4=(v4("80.156.0.0/29"),), advertised_prefixes=(v4("80.157.0.0/24"),))
    state = done(state, given)
    assert prefixes_state(peering(state, "microsoft")) == "Configuring"
    assert _session(state, peering="microsoft").blocked == "ValidationNeeded"
    assert events(state, ValidatePrefixes("ams")) == ["PrefixesValidationNeeded"]
    asked = done(state, ValidatePrefixes("ams"))
    assert _session(asked, peering="microsoft").blocked == "ValidationNeeded"
    approved = done(asked, ApprovePrefix("ams", net("80.157.0.0/24")))
    assert prefixes_state(peering(approved, "microsoft")) == "Configured"
    assert _session(approved, peering="microsoft").blocked == ""
    others = done(state, RegisterPrefix(net("80.157.0.0/16"), 6805, "RIPENCC"), ValidatePrefixes("ams"))
    config = peering(others, "microsoft").microsoft
    assert config is not None
    assert config.prefixes[0].validation == "AsnValidationFailed"
    mine = done(state, RegisterPrefix(net("80.157.0.0/16"), 3320, "RIPENCC"), ValidatePrefixes("ams"))
    assert _session(mine, peering="microsoft").blocked == ""
