"""Tag rules through the kernel's front door, with the real tag plane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from net_helpers import create_all, delete_all

from edge.errors import KernelError
from edge.fastpath.tagplane import TagPlane
from edge.model import Tag
from edge.net.kernel import Kernel
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.devices import AdminUp, Macvlan, Namespace, Veth
from edge.net.objects.frames import SubinterfaceTags, VirtualCircuit

CE, TO_CE = Endpoint("ce", "ams1"), Endpoint("exchange", "ams1")
TO_MSEE, MSEE = Endpoint("exchange", "msee1"), Endpoint("msee", "equinix")
INNER, SUB = Endpoint("msee", "ams.100"), Endpoint("msee.private", "ams.100")
TAGS = (Tag(3), Tag(100))
CIRCUIT = VirtualCircuit("exchange", "ams", "ams1", (Tag(3),), "msee1", (Tag(7),), rate_bps=10_000_000)
CE_RULE = SubinterfaceTags(Endpoint("ce", "ams1.100"), CE, TAGS)
MSEE_RULE = SubinterfaceTags(SUB, MSEE, (Tag(7), Tag(100)), INNER)


def wire(a: Endpoint, b: Endpoint, number: int, mtu: int = 1508) -> Veth:
    return Veth(a, b, mtu, f"02:00:00:00:{number:02x}:0a", f"02:00:00:00:{number:02x}:0b")


LAB: list[KernelObject] = [
    *(Namespace(name) for name in ("ce", "exchange", "msee", "msee.private")),
    wire(CE, TO_CE, 1),
    wire(TO_MSEE, MSEE, 2),
    wire(SUB, INNER, 3, 1500),
    Macvlan(CE_RULE.sub, "ams1", 1500, "02:00:00:00:04:0a"),
    *(AdminUp(at) for at in (CE, TO_CE, TO_MSEE, MSEE, SUB, INNER, CE_RULE.sub)),
    CE_RULE,
    MSEE_RULE,
    CIRCUIT,
]


@pytest.fixture
def tagged(sandbox) -> Iterator[Kernel]:
    reason = TagPlane.probe()
    if reason is not None:
        pytest.skip(reason)
    plane = TagPlane()
    kernel = Kernel(netns_directory=sandbox.netns_directory, tag_plane=plane)
    yield kernel
    kernel.close()
    plane.close()


def test_rules_are_found_as_wanted_and_go_away(tagged: Kernel) -> None:
    create_all(tagged, LAB)
    assert tagged.found(LAB) == set(LAB)
    delete_all(tagged, LAB)
    assert tagged.found(LAB) == set()


def test_rates_and_tags_change(tagged: Kernel) -> None:
    create_all(tagged, LAB)
    faster = replace(CIRCUIT, rate_bps=50_000_000, tolerance_percent=20)
    retagged = replace(CE_RULE, tags=(Tag(3), Tag(101)))
    moved = replace(faster, tags_b=(Tag(8),))

    assert tagged.apply([Change(CIRCUIT, faster), Change(CE_RULE, retagged)]) == [None, None]
    assert {faster, retagged} <= tagged.found(LAB)
    assert tagged.apply([Change(faster, moved)]) == [None]
    assert {moved, retagged} <= tagged.found(LAB)


def test_two_circuits_swap_their_tags(tagged: Kernel) -> None:
    other = VirtualCircuit("exchange", "fra", "ams1", (Tag(4),), "msee1", (Tag(9),))
    create_all(tagged, [*LAB, other])
    swapped = (replace(CIRCUIT, tags_a=other.tags_a), replace(other, tags_a=CIRCUIT.tags_a))

    assert tagged.apply([Change(CIRCUIT, swapped[0]), Change(other, swapped[1])]) == [None, None]

    assert set(swapped) <= tagged.found(LAB)


def test_a_rule_whose_device_is_missing_is_refused_alone(tagged: Kernel) -> None:
    create_all(tagged, LAB)
    missing = VirtualCircuit("exchange", "x", "nowhere", (Tag(5),), "msee1", (Tag(5),))
    good = VirtualCircuit("exchange", "y", "ams1", (Tag(6),), "msee1", (Tag(6),))
    errors = tagged.apply([Change(None, missing), Change(None, good)])
    assert isinstance(errors[0], KernelError)
    assert "nowhere" in str(errors[0])
    assert errors[1] is None


def test_rules_whose_devices_have_gone_can_be_taken_away(tagged: Kernel, sandbox) -> None:
    create_all(tagged, LAB)
    sandbox.ip("netns", "del", "msee")
    sandbox.ip("-n", "ce", "link", "del", "ams1")
    rules = (CE_RULE, MSEE_RULE, CIRCUIT)
    assert tagged.apply([Change(rule, None) for rule in rules]) == [None] * 3
    assert not {CE_RULE, MSEE_RULE, CIRCUIT} & tagged.found(LAB)


def test_a_trunk_without_carrier_leaves_the_lab_as_wanted(tagged: Kernel) -> None:
    create_all(tagged, LAB)
    tagged.set_up(TO_MSEE, False)
    tagged.set_up(INNER, False)
    assert tagged.found(LAB) == set(LAB) - {AdminUp(TO_MSEE)}
