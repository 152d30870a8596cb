"""Which marking a frame comes to: its device, hook and tags decide, however the kernel's maps lead there."""

from __future__ import annotations

import random
import struct
import subprocess
from collections.abc import Iterator

import pytest

from edge.fastpath import bpf
from edge.fastpath.markplane import MarkPlane
from edge.fastpath.program import shipped
from edge.model import ETHERTYPE_DOT1AD, Tag
from edge.net.namespaces import inside, scratch_namespace
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import Marking
from edge.qos.model import Policy

LOOPBACK, ROUNDS = 1, 60
PACKET = bytes.fromhex("4500001c000000004011000001020304050607080001000200080000")
OUTER = (None, Tag(3), Tag(3, ETHERTYPE_DOT1AD), Tag(9))
INNER = (None, Tag(3), Tag(100))
WHERE = [(outer, inner) for outer in OUTER for inner in INNER if outer is not None or inner is None]
DSCPS = (46, 34, 18)

pytestmark = [pytest.mark.root, pytest.mark.kernels("here", "stock")]


@pytest.fixture(params=["free", "taken"])
def plane(request: pytest.FixtureRequest) -> Iterator[MarkPlane]:
    """taken: another device has what would be the loopback's place in `direct`."""
    reason = MarkPlane.probe()
    if reason is not None:
        pytest.skip(reason)
    plane = MarkPlane()
    with scratch_namespace() as fd, inside(fd):
        try:
            if request.param == "taken":
                index = LOOPBACK + shipped("mark").maps["direct"].max_entries // 2
                words = f"ip link add other index {index} type veth peer name far"
                subprocess.run(words.split(), check=True)
                for hook in ("egress", "ingress"):
                    obj = Marking(
                        Endpoint("here", "other"), hook, Policy("o", (), unmatched_dscp=10), "out", "mark"
                    )
                    plane.add(obj, index=index, netns_fd=fd)
            yield plane
        finally:
            plane.close()


def marking(outer: Tag | None, inner: Tag | None, dscp: int, hook: str) -> Marking:
    policy = Policy(f"to {dscp}", (), unmatched_dscp=dscp)
    return Marking(Endpoint("here", "lo"), hook, policy, "out", "mark", outer=outer, inner=inner)  # type: ignore[arg-type]


def dscp_of(program: int, tags: tuple[Tag, ...]) -> int:
    """The DSCP with which a packet below those tags leaves."""
    tagged = b"".join(struct.pack("!HH", tag.tpid, 0xE000 | tag.vid) for tag in tags)
    _, after, _ = bpf.try_out(program, bytes(12) + tagged + b"\x08\0" + PACKET)
    return after[-len(PACKET) + 1] >> 2


def expected(there: dict[tuple[Tag | None, Tag | None], int], tags: tuple[Tag, ...]) -> int:
    """Two tags are more special than one, one more than none; 0 where nothing is marked."""
    outer, inner = (*tags, None, None)[:2]
    for where in ((outer, inner), (outer, None), (None, None)):
        if where in there:
            return there[where]
    return 0


@pytest.mark.parametrize("hook", ["egress", "ingress"])
def test_the_most_special_marking_of_a_device_takes_a_frame(plane: MarkPlane, hook: str) -> None:
    program = plane._kernel.programs[f"mark_{hook}"]
    chance = random.Random(11)
    objects: dict[tuple[Tag | None, Tag | None], Marking] = {}
    others = plane.found()
    frames = [
        (),
        *((outer,) for outer in OUTER if outer),
        *(
            (outer, inner)
            for outer in OUTER
            if outer
            for inner in (Tag(3), Tag(100), Tag(7, ETHERTYPE_DOT1AD))
        ),
    ]
    with scratch_namespace() as fd, inside(fd):
        for _ in range(ROUNDS):
            where = chance.choice(WHERE)
            obj = marking(*where, chance.choice(DSCPS), hook)
            before = objects.pop(where, None)
            if before is None:
                plane.add(obj, index=LOOPBACK, netns_fd=fd)
                objects[where] = obj
            elif chance.random() < 0.3:
                plane.change(before, obj)
                objects[where] = obj
            else:
                plane.remove(before)
            there = {key: item.policy.unmatched_dscp or 0 for key, item in objects.items()}
            for tags in frames:
                assert dscp_of(program, tags) == expected(there, tags), (there, tags)
            assert plane.found() == others | set(objects.values())
        for obj in objects.values():
            plane.remove(obj)
    assert plane.found() == others


def test_a_device_without_tagged_markings_is_led_by_its_place_alone(plane: MarkPlane) -> None:
    """It costs no hashing then; `taken` has a place that is another device's, and needs `named`."""
    direct, named = plane._kernel.maps["direct"], plane._kernel.maps["named"]
    places = sum(any(value) for _, value in direct.items())
    with scratch_namespace() as fd, inside(fd):
        plain, tagged = marking(None, None, 46, "egress"), marking(Tag(3), None, 34, "egress")
        plane.add(plain, index=LOOPBACK, netns_fd=fd)
        taken = places != 0
        assert len(list(named.items())) == taken
        assert sum(any(value) for _, value in direct.items()) == (places or 1)
        plane.add(tagged, index=LOOPBACK, netns_fd=fd)
        assert len(list(named.items())) == taken + 1
        plane.remove(plain)
        assert len(list(named.items())) == 1
        plane.remove(tagged)
        assert not list(named.items())
        assert sum(any(value) for _, value in direct.items()) == places
