"""Scenarios of orders and peerings on the wire, by commands to the reference lab, handed off by dot1q."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from labs import Labs, contoso, until
from standing import Lab

pytestmark = pytest.mark.root

VNET, LAN, TEAMS, EXCHANGE = "10.50.0.0/16", "10.1.0.0/16", "52.112.0.0/14", "40.96.0.0/13"
PRIVATE = "peering set ams private --vlan 100 --v4 192.168.15.0/29 --v6 fd00:15::/125"
MSEES = {"primary": "msee1-amsterdam", "secondary": "msee2-amsterdam"}


def reference() -> dict[str, Any]:
    document = contoso()
    document["circuits"]["ams"]["handoff"] = {"encapsulation": "dot1q", "s_tag": 3}
    return document


@pytest.fixture(scope="module")
def standing(module_labs: Labs) -> Lab:
    return Lab(module_labs, reference()).again()


@pytest.fixture
def lab(standing: Lab) -> Iterator[Lab]:
    yield standing
    standing.again()


def order_london(lab: Lab) -> None:
    lab.say(
        "circuit create lon --provider Equinix --location London --tier premium --family metered "
        "--bandwidth 200M --site hq"
    )


LONDON = "peering set lon private --vlan 100 --peer-asn 65010 --v4 192.168.16.0/29"


def test_scenario_01_two_sessions_for_each_peering_and_odd_and_even_addresses_in_the_arp_tables(
    lab: Lab,
) -> None:
    tables = until(
        lambda: found if sum(map(len, (found := lab.arp()).values())) == 8 else None,
        "both rows of all ARP tables",
    )
    assert len(tables) == 4
    for path, edge in (("primary", "ce1"), ("secondary", "ce2")):
        customers = lab.macs(edge)
        for peering, c_tag in (("private", 100), ("microsoft", 200)):
            session = lab.session(edge, f"microsoft_ams_{peering}_{path}")
            assert (session.established, session.peer_asn) == (True, 12076)
            rows = tables[peering, path]
            assert [row["interface"] for row in rows] == ["On-Prem", "Microsoft"]
            assert [int(row["ipAddress"].rpartition(".")[2]) % 2 for row in rows] == [1, 0]
            microsofts = lab.macs(f"{MSEES[path]}.ams.{peering}")
            assert [row["macAddress"] for row in rows] == [
                customers[f"ams{edge[-1]}.{c_tag}"],
                microsofts[f"ams.{c_tag}"],
            ]


def test_scenario_08_a_circuit_takes_no_peering_until_the_provider_has_provisioned_it(lab: Lab) -> None:
    order_london(lab)
    assert lab.no(LONDON) == "CircuitNotProvisioned"
    lab.say("provider begin lon")
    assert lab.no(LONDON) == "CircuitNotProvisioned"
    assert not lab.up(circuit="lon")
    lab.say("provider provision lon")
    lab.say(f"{LONDON} --wait 30")
    assert len(lab.up(circuit="lon", peering="private", side="customer")) == 2


def test_scenario_09_a_circuit_is_deleted_only_after_the_provider_has_let_go(lab: Lab) -> None:
    order_london(lab)
    lab.say("provider provision lon")
    lab.say(f"{LONDON} --wait 30")
    assert lab.no("circuit delete lon") == "CircuitProvisioned"
    assert len(lab.up(circuit="lon", side="customer")) == 2
    lab.say("provider end lon")
    assert lab.no("circuit delete lon") == "CircuitProvisioned"
    lab.say("provider deprovision lon")
    until(lambda: not lab.up(circuit="lon"), "no session without the provider's wires")
    lab.say("peering delete lon private")
    lab.say("circuit delete lon")
    assert "msee1-london" not in {node["name"] for node in lab.labs.json("inspect")["nodes"]}


def test_scenario_10_with_the_second_address_of_a_link_the_customer_has_no_adjacency(lab: Lab) -> None:
    """Once the customer has Microsoft's address, /30 and /126 alike; the other link goes on."""
    links = (("192.168.15.1", "192.168.15.2", 30), ("fd00:15::1", "fd00:15::2", 126))
    swapped = [
        (f"local {own} as 65010;\n  neighbor {other}", f"local {other} as 65010;\n  neighbor {own}")
        for own, other, _ in links
    ]
    with lab.by_hand("ce1", *swapped):
        move = "; ".join(
            f"ip address delete {{}}/{length} dev ams1.100; ip address add {{}}/{length} dev ams1.100 nodad"
            for _, _, length in links
        )
        lab.inside("ce1", "sh", "-ec", move.format(*(a for own, other, _ in links for a in (own, other))))
        until(
            lambda: not lab.up(peering="private", connection="primary"),
            "the sessions of the wrong addresses end",
        )
        msee = "msee1-amsterdam.ams.private"
        lab.inside(msee, "ip", "neigh", "flush", "all")
        assert not lab.answers(msee, "192.168.15.1")
        assert not lab.answers(msee, "fd00:15::1")
        assert [row["macAddress"] for row in lab.arp()["private", "primary"]][:-1] in ([], ["Incomplete"])
        assert lab.labs.run("exec", lab.name, "ce1", "--", "ping", "-c1", "-W1", "192.168.15.1").returncode
        assert not lab.up(peering="private", connection="primary")
        assert len(lab.up(peering="private", connection="secondary", side="customer")) == 2
        lab.inside("ce1", "sh", "-ec", move.format(*(a for own, other, _ in links for a in (other, own))))
    until(
        lambda: len(lab.up(peering="private", connection="primary", side="customer")) == 2,
        "the sessions of the right addresses return",
        40,
    )


def test_scenario_11_a_29_is_split_in_order_and_no_network_may_overlap_it(lab: Lab) -> None:
    for number, (own, other) in enumerate((("1", "2"), ("5", "6")), 1):
        v4, v6 = "192.168.15.{}/30", "fd00:15::{}/126"
        assert lab.addresses(f"ce{number}", f"ams{number}.100") == {v4.format(own), v6.format(own)}
        msee = f"msee{number}-amsterdam.ams.private"
        assert lab.addresses(msee, "ams.100") == {v4.format(other), v6.format(other)}
    assert lab.no("vnet space hub 10.50.0.0/16 fd00:50::/48 192.168.0.0/16") == "PrefixOverlap"
    wide = PRIVATE.replace("192.168.15.0/29", "10.50.200.0/29")
    assert lab.no(f"{wide} --peer-asn 65010 --shared-key s3cret") == "PrefixOverlap"


def test_scenario_13_as_numbers_of_microsoft_are_refused_and_one_of_4_bytes_comes_up(lab: Lab) -> None:
    for asn in (65515, 65520):
        assert lab.no(f"{PRIVATE} --shared-key s3cret --peer-asn {asn}") == "AsnReserved"
    assert lab.no(f"{PRIVATE} --shared-key s3cret --peer-asn 12076") == "AsnMicrosoft"
    lab.say(f"{PRIVATE} --shared-key s3cret --peer-asn 4200000001 --wait 30")
    until(
        lambda: [route.as_path for route in lab.routes("hub-gw0", LAN)] == [(12076, 4_200_000_001)] * 2,
        "the gateway hears the customer's number of 4 bytes",
    )
    assert lab.answers("pc1", "10.50.1.4")


def test_scenario_18_on_premises_sees_12076_and_the_gateway_12076_and_the_customer(lab: Lab) -> None:
    for edge, path in (("ce1", "primary"), ("ce2", "secondary")):
        found = lab.routes(edge, VNET, protocol=f"microsoft_ams_private_{path}")
        assert [(route.as_path, route.origin) for route in found] == [((12076,), "IGP")]
    for gateway in ("hub-gw0", "hub-gw1"):
        assert [route.as_path for route in lab.routes(gateway, LAN)] == [(12076, 65010)] * 2


def test_scenario_19_a_microsoft_peering_announces_what_its_filter_names(lab: Lab) -> None:
    def heard() -> dict[str, set[tuple[int, int]]]:
        found = lab.routes("ce1", protocol="microsoft_ams_microsoft_primary")
        return {str(route.network): set(route.communities) for route in found}

    assert {TEAMS, EXCHANGE} <= set(heard())
    lab.say("filter detach ams")
    until(lambda: heard() == {}, "no route without a filter")
    assert len(lab.up(peering="microsoft", side="customer")) == 2
    assert lab.session("ce1", "microsoft_ams_microsoft_primary").imported == 0
    lab.say("filter create calls 12076:5030")
    lab.say("filter attach ams calls")
    found = until(heard, "the filter's routes")
    assert TEAMS in found
    assert EXCHANGE not in found
    assert all((12076, 5030) in communities for communities in found.values())
    lab.say("filter detach ams")
    until(lambda: heard() == {}, "all is withdrawn")


def test_scenario_20_a_microsoft_365_community_needs_microsofts_authorisation(lab: Lab) -> None:
    lab.say("filter detach ams")
    until(lambda: TEAMS not in lab.inside("ce1", "ip", "route"), "no route without a filter")
    lab.say("microsoft unauthorize contoso")
    assert lab.no("filter attach ams ams-filter") == "FilterNotAuthorized"
    assert TEAMS not in lab.inside("ce1", "ip", "route")
    lab.say("microsoft authorize contoso")
    lab.say("filter attach ams ams-filter")
    until(lambda: TEAMS in lab.inside("ce1", "ip", "route"), "the routes come when Microsoft allows it")


def test_scenario_21_an_unregistered_prefix_keeps_the_sessions_shut_until_it_is_approved(
    lab: Lab,
) -> None:
    document = reference()
    document["strict"] = True
    document["circuits"]["ams"]["peerings"]["microsoft"] |= {
        "peer_asn": 3320,
        "subnet": "80.156.0.0/29",
        "advertised_public_prefixes": ["80.157.0.0/24"],
    }
    lab.deploy(document)
    written = "peering set ams microsoft --vlan 200 --peer-asn 3320 --v4 80.156.0.0/29 --shared-key s3cret"
    lab.say(f"{written} --advertise 80.157.0.0/24 --advertise 80.158.0.0/24")
    lab.say("microsoft validate ams")
    until(lambda: not lab.up(peering="microsoft", side="customer"), "both sessions are shut")
    rows = lab.labs.json("show", "peerings")["peerings"]
    assert [row["prefixes"] for row in rows if row["peering"] == "microsoft"] == ["ValidationNeeded"]
    lab.say("microsoft approve ams 80.158.0.0/24 --wait 30")
    assert len(lab.up(peering="microsoft", side="customer")) == 2
    until(lambda: lab.next_hops("microsoft-core", "80.158.0.0/24"), "Microsoft has the customer's prefix")


def test_scenario_26_a_custom_community_comes_with_its_regions_when_the_connection_is_made_anew(
    labs: Labs,
) -> None:
    lab = Lab(labs, reference()).again()

    def seen() -> set[tuple[tuple[int, int], ...]]:
        found = lab.routes("ce1", VNET, protocol="microsoft_ams_private_primary")
        return {route.communities for route in found}

    assert seen() == {()}
    answer = lab.say("vnet community hub 12076:20001")
    assert [event["kind"] for event in answer["events"]] == ["CommunityWaits"]
    assert seen() == {()}
    lab.say("connection delete hub-ams")
    until(lambda: seen() == set(), "the route leaves with the connection")
    lab.say("connection create hub-ams hub-gw ams --wait 30")
    until(lambda: seen() == {((12076, 20001), (12076, 50002))}, "both communities")
