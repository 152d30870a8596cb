from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.net.objects.base import Endpoint
from lab.hops import HopName, describe, explain_path, vias
from lab.lookup import other_end, sessions_of, source_namespace, target_address
from lab.places import resolve_where
from lab.trace import Hop, Path
from tests.netns.labworld import MSEE, model

MODEL = model()


def path(*addresses: str | None) -> Path:
    hops = tuple(Hop(ip_address(item) if item else None, 0.1) for item in addresses)
    return Path(ip_address("10.50.0.4"), hops, reached=True)


@pytest.mark.parametrize(
    ("name", "namespace"), [("pc1", "pc1"), ("ce1", "ce1"), ("msee1", MSEE), (MSEE, MSEE)]
)
def test_a_node_speaks_from_its_routing_domain(name: str, namespace: str) -> None:
    assert source_namespace(MODEL, name) == namespace


def test_a_node_with_several_routing_domains_must_be_named_more_closely() -> None:
    msee = MODEL.routers[1]
    second = replace(msee.vrfs[0], name="ams.microsoft", namespace="msee1.ams.microsoft")
    nodes = tuple(
        replace(node, namespaces=(*node.namespaces, second.namespace)) if node.name == "msee1" else node
        for node in MODEL.nodes
    )
    routers = (MODEL.routers[0], replace(msee, vrfs=(*msee.vrfs, second)))
    with pytest.raises(UsageError, match=f"name one of them: {MSEE}, msee1.ams.microsoft"):
        source_namespace(replace(MODEL, nodes=nodes, routers=routers), "msee1")


def test_targets_are_names_or_addresses_of_the_family() -> None:
    assert target_address(MODEL, "vm1", 6) == ip_address("fd00:50::4")
    assert target_address(MODEL, "ce1", 4) == ip_address("192.168.15.1")
    assert target_address(MODEL, "192.0.2.1", 4) == ip_address("192.0.2.1")
    with pytest.raises(UsageError, match="is not an IPv6 address"):
        target_address(MODEL, "192.0.2.1", 6)


@pytest.mark.parametrize(
    ("where", "places"),
    [
        ("ams-primary", ["ce1:ams1.100 ams-primary"]),
        ("ce1:lan", ["ce1:lan pc1"]),
        ("msee1:hub", [f"{MSEE}:hub vm1"]),
        (f"{MSEE}:ams.100", [f"{MSEE}:ams.100 ams-primary"]),
        ("ce1", ["ce1:lan pc1", "ce1:ams1.100 ams-primary", "ce1:internet internet"]),
        ("ams", ["ce1:ams1.100 ams-primary"]),
        ("cdn", ["cdn:eth0 eth0"]),
    ],
)
def test_where_to_capture_is_a_link_a_device_a_node_or_a_circuit(where: str, places: list[str]) -> None:
    assert [f"{place.at} {place.label}" for place in resolve_where(MODEL, where)] == places


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("ams-primry", "no link, node or device 'ams-primry'; did you mean ams-primary?"),
        ("ce1:lam", "ce1 has no device lam; did you mean lan?"),
        ("ce9:lan", "no node ce9; did you mean ce1?"),
        ("", "no link, node or device ''; known: "),
    ],
)
def test_an_unknown_place_names_the_nearest_known_one(where: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        resolve_where(MODEL, where)
    assert str(error.value).startswith(words)


@given(st.text())
def test_any_words_are_a_place_or_a_usage_error(where: str) -> None:
    try:
        found = ", ".join(str(place.at) for place in resolve_where(MODEL, where))
    except UsageError as error:
        found = str(error)
    assert found


def test_a_switch_is_never_the_end_that_directions_are_told_from() -> None:
    nodes = (*MODEL.nodes, replace(MODEL.nodes[0], name="x", kind="provider", namespaces=("fabric",)))
    link = replace(MODEL.links[0], name="turned", a=Endpoint("fabric", "p1"), b=Endpoint("ce1", "lan"))
    turned = replace(MODEL, nodes=nodes, links=(link,))
    assert [str(place.at) for place in resolve_where(turned, "turned")] == ["ce1:lan"]


def test_hops_are_named_by_node_and_peering() -> None:
    names = explain_path(MODEL, path("10.1.0.1", "192.168.15.2", None, "203.0.113.9", "10.50.0.4"))
    assert describe(names) == "ce1, msee1 (ams/private primary), *, unknown 203.0.113.9, vm1"
    assert vias(names) == ("ams",)


def test_an_msee_is_proof_of_its_circuit_by_any_of_its_addresses_but_a_ce_is_not() -> None:
    names = explain_path(MODEL, path("10.50.0.1", "10.1.0.1", "10.1.0.10"))
    assert [name.circuit for name in names] == ["ams", "", ""]
    assert vias(explain_path(MODEL, path("10.1.0.1", "100.64.0.2", "192.0.2.80"))) == ("internet",)


def test_an_address_in_two_routing_domains_belongs_to_the_one_beside_the_hop_before() -> None:
    msee = MODEL.routers[1]
    shadow = replace(
        msee.vrfs[0],
        namespace="msee2.ber.private",
        interfaces=(),
        subinterfaces=(replace(msee.vrfs[0].subinterfaces[0], name="ber.100"),),
    )
    other = replace(msee, name="msee2", vrfs=(shadow,))
    doubled = replace(MODEL, routers=(other, *MODEL.routers))
    assert [name.node for name in explain_path(doubled, path("192.168.15.2"))] == ["msee2"]
    hub = replace(shadow.subinterfaces[0], addresses=())
    far = replace(other, vrfs=(replace(shadow, subinterfaces=(hub,)),))
    nearby = replace(MODEL, routers=(far, *MODEL.routers))
    assert [name.node for name in explain_path(nearby, path("10.1.0.1", "192.168.15.2"))] == ["ce1", "msee1"]


def test_the_other_end_and_the_sessions_of_a_peering_are_found() -> None:
    customer, microsoft = MODEL.peering_ends
    assert other_end(MODEL, customer) == microsoft
    assert other_end(MODEL, microsoft) == customer
    assert [str(item.session.neighbor) for item in sessions_of(MODEL, customer)] == [
        "192.168.15.2",
        "fd00:15::2",
    ]


def test_a_hop_without_answer_is_a_star() -> None:
    assert str(HopName(None)) == "*"
