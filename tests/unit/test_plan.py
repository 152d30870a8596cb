"""plan.diff: order, in-place changes, what goes with a namespace."""

from __future__ import annotations

from ipaddress import ip_interface

from hypothesis import given
from hypothesis import strategies as st

from edge.net.objects import (
    AdminUp,
    BirdDaemon,
    DeviceAddress,
    Endpoint,
    Namespace,
    Sysctl,
    VirtualCircuit,
    tier_of,
)
from edge.model import Tag
from lab.plan import diff

A, B = Namespace("a"), Namespace("b")
A_ETH = Endpoint("a", "eth0")
UP = AdminUp(A_ETH)
ADDRESS = DeviceAddress(A_ETH, ip_interface("10.0.0.1/24"))
FORWARD = Sysctl("a", "net/ipv4/ip_forward", "1")
DEVICE_VALUE = Sysctl("a", "net/ipv6/conf/eth0/disable_ipv6", "1")
BIRD = BirdDaemon("a", "router id 1.1.1.1;")
POOL = [A, B, UP, ADDRESS, FORWARD, DEVICE_VALUE, BIRD, AdminUp(Endpoint("b", "eth1"))]


def test_nothing_to_do_when_found_is_wanted() -> None:
    plan = diff(POOL, POOL)
    assert not plan
    assert plan.counts() == {"create": 0, "change": 0, "delete": 0}


def test_creations_run_from_the_first_tier_to_the_last() -> None:
    tiers = [tier_of(change.subject) for change in diff(reversed(POOL), []).changes]
    assert tiers == sorted(tiers)


def test_values_of_a_device_come_after_the_devices_and_those_of_a_namespace_before() -> None:
    assert tier_of(FORWARD) < tier_of(UP)
    assert tier_of(FORWARD) + 3 == tier_of(DEVICE_VALUE)
    assert DEVICE_VALUE.device == "eth0"
    assert Sysctl("a", "net/ipv6/conf/all/forwarding", "1").device == ""


def test_deletions_come_first_and_from_the_last_tier() -> None:
    plan = diff([A, B], [A, UP, ADDRESS])
    assert [(change.action, change.subject) for change in plan.changes] == [
        ("delete", ADDRESS),
        ("delete", UP),
        ("create", B),
    ]


def test_other_attributes_under_one_key_are_a_change_that_knows_both() -> None:
    slow = VirtualCircuit("a", "vc", "p1", (Tag(3),), "p2", (Tag(3),), 50_000_000)
    fast = VirtualCircuit("a", "vc", "p1", (Tag(3),), "p2", (Tag(3),), 100_000_000)
    (change,) = diff([A, fast], [A, slow]).changes
    assert (change.action, change.before, change.after) == ("change", slow, fast)
    assert change.inverse().after == slow


def test_what_lies_in_a_namespace_that_goes_is_not_listed_but_its_bird_is_stopped_first() -> None:
    circuit = VirtualCircuit("a", "vc", "p1", (Tag(3),), "p2", (Tag(3),))
    plan = diff([], [A, UP, ADDRESS, FORWARD, BIRD, circuit])
    assert [change.subject for change in plan.changes] == [BIRD, circuit, A]


def test_plan_as_data_names_kind_namespace_and_action() -> None:
    data = diff([A], []).to_json()
    assert data["version"] == 1
    assert data["steps"] == [
        {
            "stage": "namespaces",
            "action": "create",
            "kind": "namespace",
            "namespace": "a",
            "object": "namespace a",
        }
    ]


@given(st.sets(st.sampled_from(POOL)), st.sets(st.sampled_from(POOL)))
def test_applying_a_plan_to_found_gives_wanted(wanted: set, found: set) -> None:
    state = set(found)
    for change in diff(wanted, found).changes:
        if change.before is not None:
            state.remove(change.before)
            if isinstance(change.before, Namespace):
                state = {item for item in state if item.namespace != change.before.name}
        if change.after is not None:
            state.add(change.after)
    gone = {item.name for item in found - wanted if isinstance(item, Namespace)}
    assert state == {item for item in wanted if item.namespace not in gone}
