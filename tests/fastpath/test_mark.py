"""The kernel's programs decide as the oracle and the C lanes do, octet by octet, at a small cost."""

from __future__ import annotations

import errno
import itertools
import os
import platform
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from edge.fastpath import _native, bpf, marklayout
from edge.fastpath.classify import Table
from edge.fastpath.markcounters import MarkingCounters
from edge.fastpath.marklayout import ALL_DSCPS, Marked, marking_key, marking_value, queue_base
from edge.fastpath.markplane import MarkPlane
from edge.fastpath.program import shipped
from edge.model import ETHERTYPE_DOT1AD, Tag
from edge.net.namespaces import inside, scratch_namespace
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import Marking
from edge.qos.model import Direction, Policy, Rule, Treatment
from edge.qos.profiles import PROFILES, profile
from tests import oracle
from tests.fastpath.corpus import Corpus, laid_out

VERIFIER_BUDGET = 20_000
ETHERNET = 14
LOOPBACK = 1
NEXT, DROP = -1, 2
AT = Endpoint("here", "lo")

pytestmark = pytest.mark.kernels("here", "stock")


class TryOut:
    """The programs with one marking on the loopback of a namespace of their own, run frame by frame."""

    def __init__(self, plane: MarkPlane, obj: Marking) -> None:
        self.plane, self.obj = plane, obj
        self.program = plane._kernel.programs[f"mark_{obj.hook}"]

    def run(self, frame: bytes) -> tuple[int, bytes]:
        verdict, after, _ = bpf.try_out(self.program, frame)
        return verdict, after

    def counters(self) -> MarkingCounters:
        found = self.plane.counters().marking(self.obj)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def plane() -> Iterator[MarkPlane]:
    reason = MarkPlane.probe()
    if reason is not None:
        pytest.skip(reason)
    made = MarkPlane()
    yield made
    made.close()


@contextmanager
def marking(
    plane: MarkPlane,
    policy: Policy,
    direction: Direction = "out",
    treatment: Treatment = "mark",
    **more: object,
) -> Iterator[TryOut]:
    """A marking on the loopback of a scratch namespace, where the block runs."""
    obj = Marking(AT, "egress", policy, direction, treatment)
    for name, value in more.items():
        object.__setattr__(obj, name, value)
    with ExitStack() as stack:
        fd = stack.enter_context(scratch_namespace())
        stack.enter_context(inside(fd))
        plane.add(obj, index=LOOPBACK, netns_fd=fd)
        try:
            yield TryOut(plane, obj)
        finally:
            plane.remove(obj)


def by_lanes(policy: Policy, direction: Direction, treatment: Treatment, frames: list[bytes]) -> list[bytes]:
    """The frames as the C code in user space leaves them."""
    buffer, offsets, lengths = laid_out(frames)
    Table(policy, direction, treatment).mark(buffer, offsets, lengths)
    return [bytes(buffer[at : at + size]) for at, size in zip(offsets, lengths, strict=True)]


def compare(
    plane: MarkPlane, policy: Policy, direction: Direction, treatment: Treatment, frames: list[bytes]
) -> None:
    """Kernel = oracle = C, for each frame and in the counters of each rule and class."""
    lanes = by_lanes(policy, direction, treatment, frames)
    rules: dict[int | None, list[int]] = {}
    classes: dict[str, int] = {}
    with marking(plane, policy, direction, treatment) as kernel:
        for frame, by_c in zip(frames, lanes, strict=True):
            verdict, expected = oracle.verdict(frame, policy, direction, treatment)
            assert kernel.run(frame) == (NEXT, expected), f"{verdict} {frame.hex()}"
            assert by_c == expected, f"{verdict} {frame.hex()}"
            row = rules.setdefault(verdict.rule, [0, 0, 0])
            row[0] += 1
            row[1] += len(frame)
            row[2] += frame != expected
            classes[verdict.class_name] = classes.get(verdict.class_name, 0) + 1
        found = kernel.counters()
    counted = {
        item.name: [item.counts.packets, item.counts.bytes, item.counts.remarked] for item in found.rules
    }
    named = {policy.rules[rule].name: row for rule, row in rules.items() if rule is not None}
    assert {name: row for name, row in counted.items() if row[0]} == named
    unmatched = found.unmatched
    assert [unmatched.packets, unmatched.bytes, unmatched.remarked] == rules.get(None, [0, 0, 0])
    assert {item.name: item.counts.packets for item in found.classes if item.counts.packets} == classes
    assert found.total.packets == len(frames)
    assert found.total.dropped == found.total.unknown == 0


def takes_cut_headers() -> bool:
    """Whether this kernel tries programs on frames that end in their IP header (6.18 does not)."""
    program = bpf.load_classifier("pass", struct.pack("<BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0), "GPL")
    try:
        bpf.try_out(program, bytes(12) + b"\x08\0" + bytes(10))
    except OSError:
        return False
    finally:
        os.close(program)
    return True


def shortest_taken(frame: bytes, cut_headers: bool) -> int:
    """How many octets a frame of that ethertype must have for BPF_PROG_TEST_RUN (net/bpf/test_run.c)."""
    headers = {b"\x08\0": 20, b"\x86\xdd": 40}
    return ETHERNET + (0 if cut_headers else headers.get(frame[12:14], 0))


def frames_of(corpus: Corpus, count: int) -> list[bytes]:
    """Frames that the kernel takes. That it takes no others is a test of its own, below; test_mark_wire.py
    sends such frames over a wire."""
    cut_headers = takes_cut_headers()
    drawn = (corpus.frame() for _ in itertools.count())
    return list(itertools.islice((f for f in drawn if len(f) >= shortest_taken(f, cut_headers)), count))


@pytest.mark.root
@pytest.mark.kernels("here")
@pytest.mark.parametrize("rules", [0, 1, 4, 12, 60, 150])
@pytest.mark.parametrize("treatment", ["mark", "steer"])
def test_kernel_oracle_and_c_agree_on_random_policies(
    plane: MarkPlane, rules: int, treatment: Treatment
) -> None:
    corpus = Corpus(7000 + rules * 2 + (treatment == "steer"))
    policy = corpus.policy(rules)
    compare(plane, policy, "out", treatment, frames_of(corpus, 2000 if rules < 100 else 800))


@pytest.mark.root
@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("direction", ["out", "in"])
def test_kernel_oracle_and_c_agree_on_the_built_in_profiles(
    plane: MarkPlane, name: str, direction: Direction
) -> None:
    policy, corpus = profile(name), Corpus(8000)
    corpus.interesting += [p for rule in policy.rules for p in (*rule.source, *rule.destination)]
    compare(plane, policy, direction, "mark", frames_of(corpus, 1500))


@pytest.mark.root
@pytest.mark.parametrize("ethertype", [0x0800, 0x86DD, 0x8100, 0x88A8, 0x0806, 64])
def test_the_kernel_refuses_frames_that_end_in_ethernet_or_in_an_untagged_ip_header(
    plane: MarkPlane, ethertype: int
) -> None:
    frame = bytes(12) + ethertype.to_bytes(2, "big") + b"\x45" + bytes(100)
    shortest = shortest_taken(frame, takes_cut_headers())
    refused = {}
    with marking(plane, profile("teams")) as kernel:
        for length in range(1, len(frame)):
            try:
                assert kernel.run(frame[:length])[0] == NEXT
            except OSError as error:
                refused[length] = error.errno
        total = kernel.counters().total
    assert refused == dict.fromkeys(range(1, shortest), errno.EINVAL)
    assert total.packets == len(frame) - shortest


@pytest.mark.root
@pytest.mark.parametrize("knob", ["pass", "remark", "drop"])
def test_the_knob_takes_what_the_service_does_not_know(plane: MarkPlane, knob: str) -> None:
    corpus = Corpus(4)
    policy = Policy("known", (Rule("voice", "voice", None, existing_dscp=(46,)),), unmatched_dscp=None)
    frames = frames_of(corpus, 800)
    unknown = dropped = remarked = 0
    with marking(plane, policy, "out", "steer", hook="ingress", msee=knob) as kernel:
        for frame in frames:
            found = oracle.network_layer(frame)
            packet = None if found is None else oracle.read(frame[found[1] :], found[0])
            verdict, after = kernel.run(frame)
            if packet is None or found is None or packet.dscp in (46, 34, 18, 10, 0):
                assert (verdict, after) == (NEXT, frame)
                continue
            unknown += 1
            dropped += knob == "drop"
            remarked += knob == "remark"
            zeroed = frame[: found[1]] + oracle.marked(frame[found[1] :], 0)
            assert verdict == (DROP if knob == "drop" else NEXT)
            assert after == (zeroed if knob == "remark" else frame)
        total = kernel.counters().total
    assert unknown > 100
    assert (total.unknown, total.dropped, total.remarked) == (unknown, dropped, remarked)
    assert total.packets == len(frames)


@pytest.mark.root
def test_markings_of_one_device_are_told_apart_by_the_outermost_tag(plane: MarkPlane) -> None:
    voice = Policy("v", (), unmatched_dscp=46)
    video = Policy("w", (), unmatched_dscp=34)
    rest = Policy("r", (), unmatched_dscp=18)
    packet = bytes.fromhex("4500001c000000004011000001020304050607080001000200080000")

    def dscp(*tags: tuple[int, int]) -> int:
        tagged = b"".join(struct.pack("!HH", tpid, tci) for tpid, tci in tags)
        frame = bytes(12) + tagged + b"\x08\0" + packet
        _, after, _ = bpf.try_out(plane._kernel.programs["mark_egress"], frame)
        return after[len(frame) - len(packet) + 1] >> 2

    by_tag = {Tag(3, ETHERTYPE_DOT1AD): voice, Tag(3): video, None: rest}
    with scratch_namespace() as fd, inside(fd):
        objects = [Marking(AT, "egress", policy, "out", "mark", outer=tag) for tag, policy in by_tag.items()]
        for obj in objects:
            plane.add(obj, index=LOOPBACK, netns_fd=fd)
        assert plane.found() == set(objects)
        assert dscp((0x88A8, 3), (0x8100, 9)) == 46
        assert dscp((0x88A8, 0xE003), (0x8100, 9)) == 46
        assert dscp((0x8100, 3)) == 34
        assert dscp((0x8100, 9), (0x8100, 3)) == 18
        assert dscp((0x9100, 3)) == 18
        assert dscp() == 18
        plane.remove(objects[2])
        assert dscp((0x8100, 3)) == 34
        assert dscp() == 0
        for obj in objects[:2]:
            plane.remove(obj)
        assert dscp((0x88A8, 3)) == 0


@pytest.mark.root
def test_the_verifier_looks_at_few_instructions(plane: MarkPlane) -> None:
    assert set(plane._kernel.programs) == {"mark_egress", "mark_ingress"}
    major, minor = map(int, platform.release().split(".")[:2])
    for name, fd in plane._kernel.programs.items():
        verified = bpf.verified_instructions(fd)
        if (major, minor) >= (5, 16):  # older ones do not tell
            assert verified > 0, name
        assert verified < VERIFIER_BUDGET, name


@pytest.mark.root
def test_loading_takes_well_under_a_second(plane: MarkPlane) -> None:
    begin = time.monotonic()
    MarkPlane().close()
    assert time.monotonic() - begin < 1
    assert plane.found() == set()


def test_packed_sizes_and_fields_are_those_of_the_compiler_and_the_maps() -> None:
    for name, size in marklayout.SIZES.items():
        assert _native.lib.edge_native_sizeof(name.encode()) == size, name
    maps = shipped("mark").maps
    assert (maps["named"].key_size, maps["named"].value_size) == (marklayout.SIZES["edge_marking_key"], 4)
    assert marklayout.SIZES["edge_name"] == 4
    assert maps["markings"].value_size == marklayout.SIZES["edge_marking"]
    assert maps["direct"].value_size == marklayout.SIZES["edge_direct"]
    assert maps["counters"].value_size == marklayout.SIZES["edge_marked_block"]

    def at(of: str, field: str) -> int:
        offset = int(_native.lib.edge_native_offsetof(of.encode(), field.encode()))
        assert offset >= 0, f"{of}.{field} is not in mark.h"
        return offset

    obj = Marking(AT, "egress", Policy("p", ()), "out", "mark", outer=Tag(7, 0x88A8), tree=3, inner=Tag(9))
    key = marking_key(obj, 0x01020304)
    assert struct.unpack_from("=II", key, at("edge_marking_key", "ifindex")) == (0x01020304, 1)
    assert at("edge_marking_key", "hook") == 4
    assert struct.unpack_from("=HH", key, at("edge_marking_key", "tpid")) == (0x88A8, 7)
    assert at("edge_marking_key", "vid") == 10
    assert struct.unpack_from("=HH", key, at("edge_marking_key", "inner_tpid")) == (0x8100, 9)
    assert at("edge_marking_key", "inner_vid") == 14
    with pytest.raises(ValueError, match="stands below an outer one"):
        marking_key(Marking(AT, "egress", Policy("p", ()), "out", "mark", inner=Tag(9)), 1)
    value = marking_value(obj, 8)
    expected = {"counters": 8, "queue_base": 0x10031, "knob": 0}
    for field, number in expected.items():
        assert struct.unpack_from("=I", value, at("edge_marking", field)) == (number,), field
    assert struct.unpack_from("=Q", value, at("edge_marking", "known")) == (ALL_DSCPS,)
    owner, name = marklayout.direct_owner(9, "egress"), marklayout.Name(0x0102, 63, tags=True)
    direct = marklayout.direct_value(owner, name)
    assert struct.unpack_from("=I", direct, at("edge_direct", "owner")) == (19,)
    packed = direct[at("edge_direct", "name") :]
    assert packed == name.packed()
    assert struct.unpack_from("=H", packed, at("edge_name", "number")) == (0x0102,)
    assert (packed[at("edge_name", "policy")], packed[at("edge_name", "tags")]) == (63, 1)
    assert marklayout.read_direct(direct) == (owner, name)
    per_cpu = struct.pack("=5Q", 1, 2, 3, 4, 5) + struct.pack("=5Q", 10, 20, 30, 40, 50)
    assert marklayout.sum_marked(per_cpu) == Marked(11, 22, 33, 44, 55)
    blocks = [struct.pack("=40Q", *range(40)), None]
    assert marklayout.sum_blocks(blocks)[:5] == [
        Marked(*(2 * first + 20 + 2 * n for n in range(5))) for first in (0, 5, 10, 15)
    ] + [Marked()]
    fields = ("packets", "bytes", "remarked", "dropped", "unknown")
    assert [at("edge_marked", field) for field in fields] == [0, 8, 16, 24, 32]


def test_queues_of_a_tree_are_named_as_htb_does() -> None:
    assert queue_base(None) == 0
    assert queue_base(0) == 0x10001
    assert queue_base(15) == 0x100F1
    assert queue_base(255) == 0x10FF1
    with pytest.raises(ValueError, match="trees 0 to 255"):
        queue_base(256)
