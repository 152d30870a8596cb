"""Packed probes are a tuple of them in all but their size."""

from __future__ import annotations

import tracemalloc
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.fastpath.streamplan import Packets
from lab.report.series import outage_series
from lab.traffic.metering import Course, Metering, metering_json, metering_of
from lab.traffic.outage import Gap, outage
from lab.traffic.probes import LATEST_NS, NEVER, Probe, Probes

MS = 1_000_000
times = st.integers(NEVER + 1, LATEST_NS)
some = st.lists(
    st.builds(Probe, times, st.none() | times, st.sampled_from(("", "one", "two", "one+two"))), max_size=30
)
runs = st.text("ab.", max_size=60)
"""A letter is the link that carried a probe, a dot a lost one."""


def probes_of(text: str) -> tuple[Probe, ...]:
    return tuple(
        Probe(n * MS, None if letter == "." else n * MS + 1000, "" if letter == "." else letter)
        for n, letter in enumerate(text)
    )


@given(some, st.integers(-31, 31))
def test_they_are_what_a_tuple_of_them_is(probes: list[Probe], place: int) -> None:
    plain, packed = tuple(probes), Probes(probes)
    assert packed == plain
    assert plain == packed
    assert tuple(packed) == plain
    assert tuple(reversed(packed)) == plain[::-1]
    assert (len(packed), bool(packed)) == (len(plain), bool(plain))
    assert [probe in packed for probe in plain] == [True] * len(plain)
    assert packed != (*plain, Probe(0, 0))
    if -len(plain) <= place < len(plain):
        assert packed[place] == plain[place]
        assert packed.index(plain[place]) == plain.index(plain[place])
        assert packed.count(plain[place]) == plain.count(plain[place])
    else:
        with pytest.raises(IndexError):
            packed[place]


@given(some, st.slices(30), times, times)
def test_parts_of_them_are_what_parts_of_a_tuple_are(
    probes: list[Probe], part: slice, begin: int, end: int
) -> None:
    packed = Probes(probes)
    assert packed[part] == tuple(probes)[part]
    assert packed.between(begin, end) == tuple(one for one in probes if begin <= one.sent_ns < end)
    assert packed[part].links() == tuple(
        dict.fromkeys(one.link for one in probes[part] if one.received_ns is not None)
    )
    assert packed == tuple(probes), "a part is made, nothing is taken"


@given(some)
def test_a_change_of_one_probe_is_seen(probes: list[Probe]) -> None:
    for place, probe in enumerate(probes):
        others = (
            Probe(0 if probe.sent_ns else 1, probe.received_ns, probe.link),
            Probe(probe.sent_ns, 5 if probe.received_ns is None else None, probe.link),
            Probe(probe.sent_ns, probe.received_ns, f"{probe.link}x"),
        )
        for other in others:
            assert Probes(probes) != Probes([*probes[:place], other, *probes[place + 1 :]])


@given(runs)
def test_stretches_of_lost_ones_hold_each_once_and_end_where_one_arrived(text: str) -> None:
    stretches = list(Probes(probes_of(text)).lost())
    assert "".join("." if any(n in one for one in stretches) else "x" for n in range(len(text))) == "".join(
        "." if letter == "." else "x" for letter in text
    )
    assert all(text[one.stop : one.stop + 1] != "." for one in stretches)


@given(runs)
def test_an_outage_is_the_same_of_packed_and_of_plain_probes_and_what_looking_at_each_finds(
    text: str,
) -> None:
    plain = probes_of(text)
    found = outage(Probes(plain), MS)
    assert found == outage(plain, MS)
    assert found.gaps == tuple(_gaps_one_by_one(plain))


def _gaps_one_by_one(probes: tuple[Probe, ...]) -> list[Gap]:
    """The slow way, a probe at a time."""
    gaps, lost, before = [], list[Probe](), ""
    for probe in probes:
        if probe.received_ns is None:
            lost.append(probe)
            continue
        if lost:
            gaps.append(Gap(lost[0].sent_ns, probe.sent_ns, len(lost), before, probe.link))
        lost, before = [], probe.link
    if lost:
        gaps.append(Gap(lost[0].sent_ns, probes[-1].sent_ns + MS, len(lost), before, ""))
    return gaps


@given(runs, st.none() | st.integers(0, 60))
def test_a_course_knows_its_first_and_last_that_arrived(text: str, until: int | None) -> None:
    plain = probes_of(text)
    course = Course("a -> b", Probes(plain))
    end_ns = None if until is None else until * MS
    heard = [one for one in plain if one.received_ns is not None]
    early = [one for one in heard if end_ns is None or one.sent_ns < end_ns]
    assert course.first() == (heard[0] if heard else None)
    assert course.last(end_ns) == (early[-1] if early else None)


@given(runs)
def test_a_run_of_packed_probes_is_the_same_after_json(text: str) -> None:
    found = Metering(MS, (Course("a -> b", Probes(probes_of(text))),))
    assert metering_of(metering_json(found, probes=True)) == found


@pytest.mark.parametrize("time", [1 << 63, NEVER, -(1 << 80)])
def test_what_is_no_time_is_refused_and_never_taken_for_another(time: int) -> None:
    for probe in (Probe(time, 0), Probe(0, time)):
        with pytest.raises(ValueError, match="is no time in nanoseconds since 1970"):
            Probes([probe])
    with pytest.raises(TypeError):
        Probes([Probe("soon", 0)])  # type: ignore[arg-type]


def test_columns_become_probes_and_must_have_one_length() -> None:
    made = Probes.of_columns(array("Q", [1, 2, 3]), array("Q", [5, 0, 7]), ["a", "", "b"])
    assert made == (Probe(1, 5, "a"), Probe(2, None), Probe(3, 7, "b"))
    with pytest.raises(ValueError, match="different lengths"):
        Probes.of_columns([1], [], [""])


def test_an_hour_of_probes_fits_into_little_memory_also_while_it_is_judged_and_drawn() -> None:
    count = 50_000
    sent = array("Q", range(MS, (count + 1) * MS, MS))
    received = array("Q", (0 if 5000 <= n < 5300 else one + 1000 for n, one in enumerate(sent)))
    packets = Packets(0, sent, received, array("I"), b"", array("Q", [1]) * count)
    links = ("ams-primary", "ams-secondary")
    tracemalloc.start()
    try:
        probes = Probes.of_columns(
            packets.sent_ns, packets.received_ns, (links[n < 5000] for n in range(count))
        )
        kept, _ = tracemalloc.get_traced_memory()
        assert kept / count < 25
        found = Metering(MS, (Course("a -> b", probes),))
        assert (found.lost, found.links()) == (300, (("ams-secondary",), ("ams-primary",)))
        assert metering_json(found)["ways"][0]["links"] == ["ams-secondary", "ams-primary"]
        _, most = tracemalloc.get_traced_memory()
        assert most / count < 30
        tracemalloc.reset_peak()
        series = outage_series(found)
        assert len(series.ways[0].lost) == 300
        _, most = tracemalloc.get_traced_memory()
        assert most / count < 70
    finally:
        tracemalloc.stop()
