"""plan.diff: order, in-place changes, what goes with a namespace."""

from __future__ import annotations

from ipaddress import ip_interface

from hypothesis import given
from hypothesis import strategies as st

from edge.model import Tag
from edge.net.objects.base import Endpoint
from edge.net.objects.changes import tier_of
from edge.net.objects.daemons import BirdDaemon
from edge.net.objects.devices import AdminUp, Namespace, Sysctl
from edge.net.objects.frames import VirtualCircuit
from edge.net.objects.routing import DeviceAddress
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
    steps = diff(reversed(POOL), []).steps
    tiers = [tier_of(change.subject) for step in steps for change in step.changes]
    assert tiers == sorted(tiers)


def test_values_of_a_device_come_after_the_devices_and_those_of_a_namespace_before() -> None:
    assert tier_of(FORWARD) < tier_of(UP)
    assert tier_of(FORWARD) + 3 == tier_of(DEVICE_VALUE)
    assert DEVICE_VALUE.device == "eth0"
    assert Sysctl("a", "net/ipv6/conf/all/forwarding", "1").device == ""


def test_deletions_come_first_and_from_the_last_tier() -> None:
    plan = diff([A, B], [A, UP, ADDRESS])
    assert [(step.action, step.changes[0].subject) for step in plan.steps] == [
        ("delete", ADDRESS),
        ("delete", UP),
        ("create", B),
    ]


def test_other_attributes_under_one_key_are_a_change_that_knows_both() -> None:
    slow = VirtualCircuit("a", "vc", "p1", (Tag(3),), "p2", (Tag(3),), 50_000_000)
    fast = VirtualCircuit("a", "vc", "p1", (Tag(3),), "p2", (Tag(3),), 100_000_000)
    (step,) = diff([A, fast], [A, slow]).steps
    (change,) = step.changes
    assert (change.action, change.before, change.after) == ("change", slow, fast)
    assert change.inverse().after == slow


def test_what_lies_in_a_namespace_that_goes_is_not_listed_but_its_bird_is_stopped_first() -> None:
    circuit = VirtualCircuit("a", "vc", "p1", (Tag(3),), "p2", (Tag(3),))
    plan = diff([], [A, UP, ADDRESS, FORWARD, BIRD, circuit])
    assert [step.changes[0].subject for step in plan.steps] == [BIRD, circuit, A]


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


def whole(items: set) -> set:
    """The items with the namespaces they lie in."""
    return items | {Namespace(item.namespace) for item in items}


def test_settings_of_one_namespace_are_one_step() -> None:
    more = Sysctl("a", "net/ipv4/conf/all/rp_filter", "0")
    plan = diff([A, FORWARD, more], [])
    assert [str(step) for step in plan.steps] == ["create namespace a", "create 2 settings of a"]
    assert plan.counts()["create"] == 2


@given(st.sets(st.sampled_from(POOL)).map(whole), st.sets(st.sampled_from(POOL)).map(whole))
def test_applying_a_plan_to_found_gives_wanted(wanted: set, found: set) -> None:
    state = set(found)
    for change in (change for step in diff(wanted, found).steps for change in step.changes):
        if change.before is not None:
            state.remove(change.before)
            if isinstance(change.before, Namespace):
                state = {item for item in state if item.namespace != change.before.name}
        if change.after is not None:
            state.add(change.after)
    assert state == wanted
