"""What a Queues object means to the kernel, and what the kernel's state means as an object."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.fastpath.layout import LARGEST_GSO_FRAME
from edge.net import htb
from edge.net import messages as nl
from edge.net.disciplines import requests
from edge.net.htb import ROOT, Counts, FoundQueue, HtbClass, Leaf, LeafKind
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import TREES_MAX, Queues, QueueTree
from edge.net.queues import (
    UNSTEERED,
    classes_of,
    counted,
    leaves_of,
    minor_of,
    octets_per_second,
    read_back,
)
from edge.qos.model import CLASSES, QUEUES_MAX, TrafficClass

PORT = Endpoint("ce", "xe0")
BARE = Queues(PORT, ())
KINDS: tuple[LeafKind, ...] = ("bfifo", "fq_codel")


@st.composite
def trees(draw: st.DrawFn, number: int) -> QueueTree:
    count = draw(st.integers(1, 8))
    left, classes = 100, []
    for queue in range(count):
        share = draw(st.integers(1, max(1, left - (count - queue - 1))))
        left -= share
        classes.append(TrafficClass(f"c{queue}", queue, share, strict=draw(st.booleans())))
    rate = draw(st.integers(1_000_000, 100_000_000_000))
    return QueueTree(number, rate, tuple(classes))


@st.composite
def ports(draw: st.DrawFn) -> Queues:
    numbers = draw(st.lists(st.integers(0, TREES_MAX - 1), min_size=1, max_size=4, unique=True))
    return Queues(PORT, tuple(draw(trees(number)) for number in numbers))


def in_kernel(queues: Queues, kind: LeafKind) -> tuple[list[FoundQueue], list[tuple[HtbClass, Counts]]]:
    """The kernel's state after all requests, by way of the octets that it would dump."""
    disciplines = [FoundQueue(7, ROOT, nl.TC_H_ROOT, "htb", default=UNSTEERED)]
    for leaf in leaves_of(queues, kind):
        disciplines.append(FoundQueue(7, 0, ROOT | leaf.minor, leaf.kind, limit=leaf.limit))
    classes = []
    for item in classes_of(queues):
        payload = bytearray(htb.put_class(7, item).payload)
        if item.parent == 0:
            payload[12:16] = nl.TC_H_ROOT.to_bytes(4, "little")
        parsed = htb.parse_class(bytes(payload))
        assert parsed is not None
        classes.append(parsed)
    return disciplines, classes


@given(ports(), st.sampled_from(KINDS))
def test_what_was_sent_is_read_back_as_it_was(queues: Queues, kind: LeafKind) -> None:
    assert read_back(queues, BARE, *in_kernel(queues, kind), kind) == queues


@given(ports(), ports(), st.sampled_from(KINDS))
def test_a_change_sends_what_differs_and_deletes_children_first(
    before: Queues, after: Queues, kind: LeafKind
) -> None:
    sent = requests(7, before, after, kind)
    minors = {item.minor for item in classes_of(after)}
    deleted = [request for request in sent if request.kind == htb.RTM_DELTCLASS]
    gone = [int.from_bytes(request.payload[8:10], "little") for request in deleted]
    assert set(gone) == {item.minor for item in classes_of(before)} - minors
    parents = [minor % 16 == 15 for minor in gone]
    assert parents == sorted(parents)
    assert all(request.kind != nl.RTM_DELQDISC for request in sent)
    assert requests(7, after, after, kind) == []


@given(ports(), st.sampled_from(KINDS))
def test_shares_never_exceed_the_circuit_and_every_queue_holds_a_gso_frame(
    queues: Queues, kind: LeafKind
) -> None:
    classes = {item.minor: item for item in classes_of(queues)}
    for tree in queues.trees:
        own = [classes[minor_of(tree.number, item.queue)] for item in tree.classes]
        circuit = classes[tree.number * 16 + 15]
        assert sum(item.rate_octets for item in own) <= circuit.rate_octets
        assert all(item.ceil_octets <= circuit.ceil_octets for item in own)
        for item, wanted in zip(own, tree.classes, strict=True):
            assert (item.prio == 0) == wanted.strict == (item.ceil_octets == item.rate_octets) or (
                wanted.share == 100
            )
    limits = [leaf.limit for leaf in leaves_of(queues, kind) if leaf.kind == "bfifo"]
    assert min(limits) >= LARGEST_GSO_FRAME


def test_classes_borrow_by_their_shares() -> None:
    tree = QueueTree(0, 10_000_000_000, CLASSES)
    quanta = {item.minor: item.quantum for item in classes_of(Queues(PORT, (tree,)))}
    assert quanta[2] == 2 * quanta[3] == 6 * quanta[4]
    slow = {
        item.minor: item.quantum for item in classes_of(Queues(PORT, (replace(tree, rate_bps=50_000_000),)))
    }
    assert slow[2] > slow[3] > slow[4] >= 1522


def test_an_htb_of_somebody_else_is_none_of_ours_unless_ours_is_wanted() -> None:
    other = [FoundQueue(7, 7 << 16, nl.TC_H_ROOT, "htb", default=1)]
    assert read_back(None, BARE, other, [], "bfifo") is None
    wanted = Queues(PORT, (QueueTree(0, 1_000_000, CLASSES),))
    assert read_back(wanted, BARE, other, [], "bfifo") == BARE
    assert read_back(wanted, BARE, [], [], "bfifo") is None


def test_drops_are_those_of_the_queue_at_the_end_of_a_class() -> None:
    queues = Queues(PORT, (QueueTree(2, 1_000_000_000, CLASSES),))
    disciplines, classes = in_kernel(queues, "fq_codel")
    video = minor_of(2, 1)
    disciplines = [
        replace(item, counts=Counts(drops=9)) if item.parent == ROOT | video else item for item in disciplines
    ]
    found = {(item.tree, item.name): item for item in counted(queues, disciplines, classes)}
    assert found[2, "video"].drops == 9
    assert found[2, "voice"].drops == 0
    assert found[2, "voice"].strict
    assert found[None, "unsteered"].to_json()["at"] == "ce:xe0"
    assert found[2, "voice"].rate_bps == octets_per_second(1_000_000_000, 30) * 8


@pytest.mark.parametrize("kind", KINDS)
def test_leaves_of_different_kinds_have_different_handles(kind: LeafKind) -> None:
    handle = int.from_bytes(htb.put_leaf(7, Leaf(5, kind, 10_000)).payload[8:12], "little")
    assert handle == {"bfifo": 0x1005, "fq_codel": 0x2005}[kind] << 16


def test_the_last_class_of_the_last_tree_has_a_handle_of_its_kind() -> None:
    last = minor_of(TREES_MAX - 1, QUEUES_MAX - 1)
    majors = sorted(htb.LEAF_MAJORS.values())
    assert all(low + last < high for low, high in zip(majors, [*majors[1:], 0x8000], strict=True))
