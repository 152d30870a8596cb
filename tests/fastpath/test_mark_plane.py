"""The marking plane's objects: found, changed, shared, replaced, refused, gone with their devices."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from edge.errors import KernelError
from edge.fastpath import bpf
from edge.fastpath.layout import pack_index
from edge.fastpath.marklayout import direct_owner
from edge.fastpath.markplane import MarkPlane
from edge.fastpath.marktables import Ranges
from edge.fastpath.program import shipped
from edge.model import Tag
from edge.net.namespaces import inside, scratch_namespace
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import Marking
from edge.qos.model import Policy, Rule
from edge.qos.profiles import profile

LOOPBACK = 1
AT = Endpoint("here", "lo")
VOICE = Policy(
    "voice", (Rule("calls", "voice", 46, protocols=(17,)), Rule("back", "video", 34, direction="in"))
)
TEAMS = Marking(AT, "egress", profile("teams"), "out", "mark", tree=1)
FRAME = bytes(12) + bytes.fromhex("08004500001c000000004011000001020304050607080001000200080000")

pytestmark = pytest.mark.root


@pytest.fixture
def netns() -> Iterator[int]:
    with scratch_namespace() as fd, inside(fd):
        yield fd


@pytest.fixture
def plane() -> Iterator[MarkPlane]:
    reason = MarkPlane.probe()
    if reason is not None:
        pytest.skip(reason)
    made = MarkPlane()
    yield made
    made.close()


def run(command: str) -> str:
    """A program in the thread's namespace; its output."""
    return subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout


def used(plane: MarkPlane, name: str) -> int:
    """Entries of a map that are not all zero."""
    return sum(any(value) for _, value in plane._kernel.maps[name].items())


def test_a_marking_is_found_as_long_as_everything_of_it_is_there(plane: MarkPlane, netns: int) -> None:
    plane.add(TEAMS, index=LOOPBACK, netns_fd=netns)
    assert plane.found() == {TEAMS}
    record = plane._records[TEAMS.key]

    broken = bytearray(record.table.content)
    broken[200] ^= 1
    for where, key, wrong in (
        (record.table.held, pack_index(0), bytes(broken)),
        (plane._kernel.maps["markings"], pack_index(record.number), bytes(len(record.value))),
        (plane._kernel.maps["direct"], pack_index(direct_owner(LOOPBACK, "egress")), bytes(8)),
    ):
        right = where.get(key)
        assert right is not None
        where.put(key, wrong)
        assert plane.found() == set(), where.name
        where.put(key, right)
        assert plane.found() == {TEAMS}
    plane._kernel.maps["policies"].delete(pack_index(record.table.slot))
    assert plane.found() == set()

    plane.add(TEAMS, index=LOOPBACK, netns_fd=netns)
    assert plane.found() == {TEAMS}
    plane.remove(TEAMS)
    assert plane.found() == set()


def test_a_shared_table_that_somebody_changed_is_put_right(plane: MarkPlane, netns: int) -> None:
    other = replace(TEAMS, outer=Tag(5))
    for obj in (TEAMS, other):
        plane.add(obj, index=LOOPBACK, netns_fd=netns)
    table = plane._records[TEAMS.key].table
    table.held.put(pack_index(0), bytes(len(table.content)))
    assert plane.found() == set()
    plane.add(TEAMS, index=LOOPBACK, netns_fd=netns)
    assert plane.found() == {TEAMS, other}


@pytest.mark.kernels("here", "stock")
def test_nothing_is_left_of_a_marking(plane: MarkPlane, netns: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    objects = [
        TEAMS,
        replace(TEAMS, hook="ingress", tree=None),
        replace(TEAMS, outer=Tag(5)),
        replace(TEAMS, policy=VOICE, outer=Tag(6)),
    ]
    for _ in range(2):
        for obj in objects:
            plane.add(obj, index=LOOPBACK, netns_fd=netns)
        assert plane.found() == set(objects)
        assert len(plane._hooks) == 2
        for obj in objects:
            plane.remove(obj)
        assert [used(plane, name) for name in ("markings", "direct", "named", "policies")][1:] == [0, 0, 0]
        assert len(os.listdir("/proc/self/fd")) == before
        assert not plane._hooks
    assert plane._ranges._free == {0: shipped("mark").maps["counters"].max_entries}


def test_equal_policies_are_one_table(plane: MarkPlane, netns: int) -> None:
    same = [replace(TEAMS, outer=Tag(vid), tree=vid) for vid in range(1, 6)]
    other = replace(TEAMS, treatment="steer")
    for obj in (*same, other):
        plane.add(obj, index=LOOPBACK, netns_fd=netns)
    assert used(plane, "policies") == 2
    for obj in same:
        plane.remove(obj)
    assert used(plane, "policies") == 1
    assert plane.found() == {other}


def test_counters_go_on_by_class_and_by_the_name_of_a_rule(plane: MarkPlane, netns: int) -> None:
    obj = Marking(AT, "egress", VOICE, "out", "mark")
    plane.add(obj, index=LOOPBACK, netns_fd=netns)
    program = plane._kernel.programs["mark_egress"]
    bpf.try_out(program, FRAME)
    renamed = Policy("later", (Rule("new", "files", 10, protocols=(6,)), Rule("calls", "video", 34)))
    after = replace(obj, policy=renamed)
    plane.change(obj, after)
    bpf.try_out(program, FRAME)
    bpf.try_out(program, FRAME[:12] + b"\x08\x06" + FRAME[14:])
    found = plane.counters().marking(after)
    assert found is not None
    assert {c.name: c.counts.packets for c in found.classes} == {
        "voice": 1, "video": 1, "sharing": 0, "files": 0, "default": 1,
    }  # fmt: skip
    assert [(r.name, r.class_name, r.counts.packets) for r in found.rules] == [
        ("new", "files", 0),
        ("calls", "video", 2),
    ]
    assert found.total.packets == 3
    assert found.total.bytes == 3 * len(FRAME)
    assert found.total.remarked == 2
    document = json.loads(json.dumps(plane.counters().to_json()))["markings"][0]
    assert document["at"] == "here:lo"
    assert document["outer"] is None
    assert document["policy"] == "later"
    assert document["classes"][0] == {
        "name": "voice", "queue": 0,
        "packets": 1, "bytes": len(FRAME), "remarked": 1, "dropped": 0, "unknown": 0,
    }  # fmt: skip
    assert document["unmatched"]["packets"] == 1


def test_rules_of_the_other_direction_are_not_listed(plane: MarkPlane, netns: int) -> None:
    obj = Marking(AT, "egress", VOICE, "in", "mark")
    plane.add(obj, index=LOOPBACK, netns_fd=netns)
    found = plane.counters().marking(obj)
    assert found is not None
    assert [rule.name for rule in found.rules] == ["calls", "back"]
    plane.remove(obj)
    plane.add(replace(obj, towards="out"), index=LOOPBACK, netns_fd=netns)
    found = plane.counters().marking(obj)
    assert found is not None
    assert [rule.name for rule in found.rules] == ["calls"]


def test_a_changed_marking_takes_its_new_knob_tree_and_treatment(plane: MarkPlane, netns: int) -> None:
    plane.add(TEAMS, index=LOOPBACK, netns_fd=netns)
    before = TEAMS
    for after in (
        replace(TEAMS, tree=3),
        replace(TEAMS, tree=None, msee="drop"),
        replace(TEAMS, treatment="steer"),
        replace(TEAMS, towards="in"),
        TEAMS,
    ):
        plane.change(before, after)
        assert plane.found() == {after}
        before = after


@pytest.mark.parametrize("hook", ["tcx", "clsact"])
def test_a_device_made_anew_gets_its_marking_again(netns: int, hook: str) -> None:
    reason = MarkPlane.probe(hook)  # type: ignore[arg-type]
    if reason is not None:
        pytest.skip(f"no tcx in this kernel (6.6): {reason}" if hook == "tcx" else reason)
    plane = MarkPlane(hook)  # type: ignore[arg-type]
    make = "ip link add d0 index 77 type veth peer name d1"
    obj = replace(TEAMS, at=Endpoint("here", "d0"))
    try:
        for _ in range(2):
            run(make)
            assert plane.found() == set()
            plane.add(obj, index=77, netns_fd=netns)
            assert plane.found() == {obj}
            run("ip link delete d0")
        plane.remove(obj)
        run(make)
        with pytest.raises(KernelError, match="it is not there"):
            plane.remove(obj)
    finally:
        plane.close()


@pytest.mark.kernels("here", "stock")
def test_clsact_stays_until_the_last_of_ours_goes(netns: int) -> None:
    reason = MarkPlane.probe("clsact")
    if reason is not None:
        pytest.skip(reason)
    one, two = MarkPlane("clsact"), MarkPlane("clsact")
    other = replace(TEAMS, hook="ingress", tree=None)
    try:
        one.add(TEAMS, index=LOOPBACK, netns_fd=netns)
        two.add(other, index=LOOPBACK, netns_fd=netns)
        one.remove(TEAMS)
        assert two.found() == {other}
        two.remove(other)
        assert "clsact" not in run("tc qdisc show dev lo")
    finally:
        one.close()
        two.close()


def test_refusals_name_the_marking_and_leave_nothing(plane: MarkPlane, netns: int) -> None:
    plane.add(TEAMS, index=LOOPBACK, netns_fd=netns)
    with pytest.raises(KernelError, match="policy teams at here:lo egress: it exists already"):
        plane.add(TEAMS, index=LOOPBACK, netns_fd=netns)
    with pytest.raises(KernelError, match="it is not there"):
        plane.change(replace(TEAMS, outer=Tag(9)), replace(TEAMS, outer=Tag(9), tree=2))
    with pytest.raises(KernelError, match="remove the marking and add the new one"):
        plane.change(TEAMS, replace(TEAMS, outer=Tag(9)))
    with pytest.raises(KernelError, match="trees 0 to 255"):
        plane.change(TEAMS, replace(TEAMS, tree=256))
    with pytest.raises(KernelError, match="in no queue"):
        plane.add(replace(TEAMS, hook="ingress"), index=LOOPBACK, netns_fd=netns)
    with pytest.raises(KernelError, match="one of its devices is not there"):
        plane.add(replace(TEAMS, outer=Tag(9)), index=4711, netns_fd=netns)
    with pytest.raises(KernelError, match="no class gold"):
        plane.add(
            replace(TEAMS, outer=Tag(9), policy=Policy("p", (Rule("r", "gold", 1),))),
            index=LOOPBACK,
            netns_fd=netns,
        )
    assert plane.found() == {TEAMS}
    assert used(plane, "policies") == 1
    assert used(plane, "named") == 0
    plane.remove(TEAMS)
    assert plane._ranges._free == {0: shipped("mark").maps["counters"].max_entries}


def test_when_tables_are_full_the_words_say_what_to_do(plane: MarkPlane, netns: int) -> None:
    limit = shipped("mark").maps["policies"].max_entries
    objects = [
        replace(TEAMS, outer=Tag(1 + dscp), policy=Policy(f"p{dscp}", (Rule("r", "voice", dscp),)))
        for dscp in range(limit)
    ]
    one_more = replace(TEAMS, policy=Policy("more", (Rule("r", "voice", 46), Rule("s", "voice", 46))))
    for obj in objects:
        plane.add(obj, index=LOOPBACK, netns_fd=netns)
    with pytest.raises(KernelError, match="too many policies; let markings share them"):
        plane.add(one_more, index=LOOPBACK, netns_fd=netns)
    assert plane.found() == set(objects)
    plane.remove(objects[0])
    plane.add(one_more, index=LOOPBACK, netns_fd=netns)
    assert one_more in plane.found()


def test_freed_ranges_become_one_again() -> None:
    ranges = Ranges(1, 11)
    taken = [ranges.take(2) for _ in range(5)]
    assert taken == [1, 3, 5, 7, 9]
    with pytest.raises(OSError, match="full"):
        ranges.take(1)
    for start in (3, 7, 5):
        ranges.give_back(start, 2)
    assert ranges.take(6) == 3
    for start, length in ((9, 2), (1, 2), (3, 6)):
        ranges.give_back(start, length)
    assert ranges.take(10) == 1
