"""All lanes of the packet core give the verdicts and octets of the oracle, on packets of every kind."""

from __future__ import annotations

import ctypes
import mmap
from array import array
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.fastpath import _classify
from edge.fastpath.classify import FLAG_IP, FLAG_REMARK, Lane, Packets, Table, Verdicts, lanes
from edge.qos.classes import rules_of
from edge.qos.model import Hint, Policy, Rule, Treatment, Verdict
from edge.qos.profiles import PROFILES, profile
from edge.qos.table import shape
from tests import oracle
from tests.bench import traffic
from tests.bench.policies import large
from tests.fastpath.corpus import Corpus, laid_out

LANES = lanes()
lane_cases = pytest.mark.parametrize("lane", LANES, ids=lambda lane: lane.name)


def marked_by(table: Table, frames: list[bytes], lane: Lane) -> list[tuple[Verdict, bytes]]:
    """Verdict and octets of each frame as the lane marks it; classify must agree with mark."""
    buffer, offsets, lengths = laid_out(frames)
    before = bytes(buffer)
    report = table.mark(buffer, offsets, lengths, lane, verdicts=True)
    assert report.verdicts is not None
    judged = table.classify(before, offsets, lengths, lane)
    assert judged.octets == report.verdicts.octets
    outcome = [
        (verdict, bytes(buffer[offset : offset + length]))
        for verdict, offset, length in zip(report.verdicts, offsets, lengths, strict=True)
    ]
    assert report.changed == sum(new != old for (_, new), old in zip(outcome, frames, strict=True))
    assert_counts_add_up(table, report.verdicts, report.counts, lengths)
    return outcome


def assert_counts_add_up(table: Table, verdicts: Verdicts, counts: tuple, lengths: array[int]) -> None:
    assert [count.rule for count in counts] == [None, *rules_of(table.policy, table.direction)]
    expected: dict[int | None, list[int]] = {count.rule: [0, 0, 0] for count in counts}
    for verdict, flags, length in zip(verdicts, verdicts.flags, lengths, strict=True):
        row = expected[verdict.rule]
        row[0] += 1
        row[1] += length
        row[2] += bool(flags & FLAG_REMARK)
    assert {c.rule: [c.packets, c.bytes, c.remarked] for c in counts} == expected


@pytest.mark.parametrize("rules", [0, 1, 4, 12, 40, 150])
@pytest.mark.parametrize("hints", [True, False], ids=["hints", "no-hints"])
@pytest.mark.parametrize("treatment", ["mark", "steer"])
def test_every_lane_agrees_with_the_oracle_on_random_policies(
    rules: int, hints: bool, treatment: Treatment
) -> None:
    corpus = Corpus(rules * 4 + hints * 2 + (treatment == "steer"))
    policy = corpus.policy(rules, hints=hints)
    table = Table(policy, "out", treatment)
    frames = [corpus.frame() for _ in range(1500 if rules < 100 else 500)]
    expected = [oracle.verdict(frame, policy, "out", treatment) for frame in frames]
    for lane in LANES:
        found = marked_by(table, frames, lane)
        wrong = [i for i in range(len(frames)) if found[i] != expected[i]]
        assert not wrong, f"{lane.name}: {found[wrong[0]]} {expected[wrong[0]]} {frames[wrong[0]].hex()}"


@pytest.mark.parametrize("rules", [5, 60, 400])
def test_every_lane_agrees_with_the_oracle_on_policies_of_many_prefixes(rules: int) -> None:
    corpus = Corpus(rules + 400)
    policy = corpus.site_policy(rules)
    table = Table(policy, "out", "mark")
    frames = [corpus.frame() for _ in range(600)]
    expected = [oracle.verdict(frame, policy, "out", "mark") for frame in frames]
    assert rules < 100 or table.shape.structure == "lowest"
    for lane in LANES:
        assert marked_by(table, frames, lane) == expected, lane.name


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("direction", ["out", "in"])
def test_every_lane_agrees_with_the_oracle_on_the_built_in_profiles(name: str, direction: str) -> None:
    policy = profile(name)
    table = Table(policy, direction, "mark")  # type: ignore[arg-type]
    corpus = Corpus(99)
    corpus.interesting += [p for rule in policy.rules for p in (*rule.source, *rule.destination)]
    frames = [corpus.frame() for _ in range(1500)]
    expected = [oracle.verdict(frame, policy, direction, "mark") for frame in frames]  # type: ignore[arg-type]
    assert len({verdict.rule for verdict, _ in expected}) > min(2, len(policy.rules))
    for lane in LANES:
        assert marked_by(table, frames, lane) == expected, lane.name


@pytest.mark.parametrize("rules", [10, 60, 300, 700])
@pytest.mark.parametrize("kind", ["hints", "no-hints", "site"])
def test_lanes_agree_on_many_mutated_packets(rules: int, kind: str) -> None:
    corpus = Corpus(1000 + rules)
    policy = corpus.site_policy(rules) if kind == "site" else corpus.policy(rules, hints=kind == "hints")
    table = Table(policy, "out", "mark")
    buffer, offsets, lengths = laid_out(corpus.frame() for _ in range(8000))
    reference = bytearray(buffer)
    expected = table.mark(reference, offsets, lengths, Lane.LINEAR, verdicts=True)
    assert expected.changed > 20
    assert expected.verdicts is not None
    for lane in LANES:
        octets = bytearray(buffer)
        report = table.mark(octets, offsets, lengths, lane, verdicts=True)
        assert report.verdicts is not None
        assert report.verdicts.octets == expected.verdicts.octets, lane.name
        assert octets == reference, lane.name
        assert report.counts == expected.counts, lane.name


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), rules=st.integers(0, 30), hints=st.booleans(), raw=st.binary(max_size=120))
def test_lanes_agree_with_the_oracle_on_anything(seed: int, rules: int, hints: bool, raw: bytes) -> None:
    corpus = Corpus(seed)
    policy = corpus.policy(rules, hints=hints)
    frames = [raw, raw[:12] + b"\x08\x00\x45" + raw[15:], *(corpus.frame() for _ in range(20))]
    expected = [oracle.verdict(frame, policy, "in", "mark") for frame in frames]
    table = Table(policy, "in", "mark")
    for lane in LANES:
        assert marked_by(table, frames, lane) == expected, lane.name


def test_a_mark_changes_at_most_three_octets_and_only_the_dscp_and_the_checksum() -> None:
    corpus = Corpus(5)
    table = Table(corpus.policy(20), "out", "mark")
    frames = [corpus.frame() for _ in range(4000)]
    changed_frames = 0
    for lane in LANES:
        for before, (_, after) in zip(frames, marked_by(table, frames, lane), strict=True):
            places = [i for i, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
            if not places:
                continue
            changed_frames += 1
            found = oracle.network_layer(before)
            assert found is not None
            ethertype, l3 = found
            allowed = {l3 + 1, l3 + 10, l3 + 11} if ethertype == 0x0800 else {l3, l3 + 1}
            assert set(places) <= allowed
            assert before[l3 + 1] & 0x03 == after[l3 + 1] & 0x03 or ethertype != 0x0800
            assert before[l3 + 1] & 0x3F == after[l3 + 1] & 0x3F or ethertype != 0x86DD
    assert changed_frames > 100


@lane_cases
def test_nothing_beyond_the_last_octet_is_read(lane: Lane) -> None:
    """Each frame ends where a page begins that must not be touched: reading it would end the process."""
    libc = ctypes.CDLL(None, use_errno=True)
    page = mmap.PAGESIZE
    corpus = Corpus(77)
    table = Table(corpus.policy(12, hints=False), "out", "mark")
    with mmap.mmap(-1, 2 * page) as area:
        hold = ctypes.c_char.from_buffer(area)
        guard = ctypes.c_void_p(ctypes.addressof(hold) + page)
        assert libc.mprotect(guard, page, 0) == 0
        for _ in range(300):
            frame = corpus.frame()[-page:]
            start = page - len(frame)
            area[start:page] = frame
            offsets = array("Q", [start] * 9)
            lengths = array("I", [len(frame)] * 9)
            judged = table.classify(area, offsets, lengths, lane)
            assert judged[8] == oracle.verdict(frame, table.policy, "out", "mark")[0]
        assert libc.mprotect(guard, page, mmap.PROT_READ | mmap.PROT_WRITE) == 0
        del hold


def test_both_structures_and_both_lists_of_the_vector_lane_are_tried_by_these_tests() -> None:
    shapes = [shape(Table(Corpus(n).policy(n, hints=False), "out", "mark").octets) for n in (1, 12, 150)]
    assert {s.structure for s in shapes} == {"product", "vectors"}
    assert any(s.lane4 for s in shapes)
    assert any(s.lane6 for s in shapes)
    assert any(s.lane4 is None for s in shapes)
    assert any(s.lane6 is None for s in shapes)


def test_what_is_not_ip_is_not_touched_by_a_rule_that_matches_everything() -> None:
    policy = Policy("all", (Rule("all", "voice", 46),))
    arp = bytes(12) + b"\x08\x06" + bytes(46)
    table = Table(policy, "out", "mark")
    assert table.classify_one(arp) == Verdict("default", None, 0, 4)
    assert table.classify(arp, [0], [len(arp)]).flags[0] & FLAG_IP == 0


def test_one_table_serves_slices_of_a_batch_of_every_size() -> None:
    corpus = Corpus(8)
    table = Table(corpus.policy(12, hints=False), "out", "mark")
    buffer, offsets, lengths = laid_out(corpus.frame() for _ in range(600))
    whole = bytes(table.classify(buffer, offsets, lengths, Lane.LINEAR).octets)
    for count in (0, 1, 7, 8, 9, 255, 256, 257, 511, 600):
        part = table.classify(buffer, offsets[:count], lengths[:count])
        assert len(part) == count
        assert part.octets == whole[: 8 * count]


def test_packets_outside_of_the_buffer_are_refused_before_anything_is_read() -> None:
    table = Table(profile("teams"), "out", "mark")
    for offset, length in ((0, 11), (10, 1), (11, 0), (2**64 - 1, 2), (0, 2**32 - 1)):
        with pytest.raises(ValueError, match="packet 1"):
            table.classify(bytes(10), [0, offset], [10, length])
    with pytest.raises(ValueError, match="2 offsets, but 1 lengths"):
        table.classify(bytes(10), [0, 0], [10])
    with pytest.raises(ValueError, match="64 bits"):
        table.classify(bytes(10), array("I", [0]), array("I", [10]))


def test_a_buffer_that_cannot_be_written_is_refused_by_mark() -> None:
    with pytest.raises(TypeError, match="read-only"):
        Table(profile("teams"), "out", "mark").mark(bytes(60), [0], [60])  # type: ignore[arg-type]


def test_buffers_are_free_again_after_each_call_and_after_an_error() -> None:
    table = Table(profile("teams"), "out", "mark")
    buffer = bytearray(60)
    table.mark(buffer, [0], [60])
    with pytest.raises(ValueError, match="packet 0"):
        table.mark(buffer, [1], [60])
    buffer += b"grown"
    with Packets(buffer, [0], [60]) as packets:
        assert len(packets) == 1
        with pytest.raises(BufferError):
            buffer += b"more"
    buffer += b"more"


def test_a_lane_that_the_machine_lacks_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge.errors import CapabilityError

    class Library:
        def edge_lane_available(self, _lane: int) -> int:
            return 0

    class Extension:
        lib = Library()
        ffi = _classify.ffi

    monkeypatch.setattr("edge.fastpath.classify._extension", lambda: Extension)
    with pytest.raises(CapabilityError, match=r"Lane\.BEST"):
        Table(profile("teams"), "out", "mark", Lane.AVX2)


def test_a_header_behind_a_tag_in_metadata_gets_the_verdict_of_the_whole_frame() -> None:
    ffi, lib = _classify.ffi, _classify.lib
    corpus = Corpus(31)
    table = Table(corpus.policy(15), "out", "mark")
    key, found = ffi.new("struct edge_key *"), ffi.new("struct edge_verdict *")
    for frame in (corpus.frame() for _ in range(2000)):
        if oracle.network_layer(frame) is None or int.from_bytes(frame[12:14], "big") not in oracle.TAGS:
            continue
        whole = table.classify(frame, [0], [len(frame)])
        stripped = frame[:12] + frame[16:]
        ethertype = int.from_bytes(stripped[12:14], "big")
        lib.edge_classify_from(table.pointer, stripped, len(stripped), 14, ethertype, 1, key, found)
        assert bytes(ffi.buffer(found)) == whole.octets


def test_steering_leaves_every_octet_alone() -> None:
    corpus = Corpus(6)
    table = Table(replace(corpus.policy(20), unmatched_dscp=0), "out", "steer")
    buffer, offsets, lengths = laid_out(corpus.frame() for _ in range(2000))
    before = bytes(buffer)
    assert table.mark(buffer, offsets, lengths).changed == 0
    assert buffer == before


@pytest.mark.parametrize("hint", ["", "rtp"], ids=["no-hint", "hint"])
def test_lanes_agree_where_a_filter_tells_which_packets_have_more_rows(hint: Hint) -> None:
    policy = large(100)
    if hint:
        media = Rule("media", "voice", 46, (17,), destination_ports=(50000, 59999), hint=hint)
        policy = replace(policy, rules=(*policy.rules[:50], media, *policy.rules[50:]))
    table = Table(policy, "out", "mark")
    assert table.shape.lane4 is not None
    assert table.shape.lane4 < len(policy.rules)
    at_sites, elsewhere = traffic.listed(policy, 400), traffic.v4(600)
    one_in_nine = [packet for at in range(40) for packet in (*elsewhere[at * 8 : at * 8 + 8], at_sites[at])]
    for frames in (at_sites, elsewhere, one_in_nine, traffic.mixed(600)):
        packets = laid_out(frames)
        expected = table.classify(*packets, Lane.LINEAR)
        for lane in LANES:
            assert table.classify(*packets, lane).octets == expected.octets, lane.name
    rules = {verdict.rule for verdict in table.classify(*laid_out(at_sites))}
    assert len(rules) > 50
