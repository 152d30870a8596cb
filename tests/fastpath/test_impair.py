"""A bad wire (csrc/impair.h) against its oracle, and against what its words promise."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.fastpath import _impair
from tests import impair_oracle as oracle
from tests.fastpath.impair_bench import Wire
from tests.impair_oracle import Settings

MS = 1_000_000
PPM = st.sampled_from((0, 1, 100_000, 500_000, 1_000_000))
SETTINGS = st.builds(
    Settings,
    seed=st.integers(0, oracle.MASK),
    delay_ns=st.integers(0, 50 * MS),
    jitter_ns=st.integers(0, 60 * MS),
    rate_bps=st.one_of(st.just(0), st.integers(1, 400_000_000_000)),
    queue_ns=st.integers(0, 100 * MS),
    loss_ppm=PPM,
    duplicate_ppm=PPM,
    reorder_ppm=PPM,
)
STEP = st.one_of(
    st.tuples(st.just("offer"), st.integers(0, 5 * MS), st.integers(60, 70_000)),
    st.tuples(st.just("take"), st.integers(0, 20 * MS), st.just(0)),
    st.tuples(st.just("set"), st.just(0), SETTINGS),
)


def pour(wire: Wire | oracle.Wire, frames: int, spacing_ns: int, octets: int = 1000) -> list[tuple[int, int]]:
    """Offer frames 0, 1, 2... and take all: (departure, frame) in the order in which they leave."""
    left = []

    def drain(until: int) -> None:
        while wire.due() <= until:
            at = wire.due()
            left.append((at, wire.take(at)))

    for frame in range(frames):
        drain(frame * spacing_ns)
        wire.offer(frame * spacing_ns, octets, frame)
    drain(oracle.MASK - 1)
    return left


@given(SETTINGS, st.lists(STEP, max_size=60))
@settings(max_examples=400, deadline=None)
def test_wire_does_what_the_oracle_does_step_by_step(first, steps):
    wire, expected = Wire(first, 16), oracle.Wire(first, 16)
    now = 0
    for number, (what, wait, value) in enumerate(steps):
        now += wait
        if what == "offer":
            assert wire.offer(now, value, number) == expected.offer(now, value, number)
        elif what == "set":
            wire.set(value)
            expected.settings = value
        else:
            assert wire.take(now) == expected.take(now)
        assert wire.due() == expected.due()
        counters = wire.counters()
        assert counters == {
            **{name: getattr(expected, name) for name in counters if name != "waiting"},
            "waiting": len(expected.waiting),
        }
        balance = counters["lost"] + counters["overflowed"] + counters["taken"] + counters["waiting"]
        assert counters["offered"] == balance - counters["duplicated"]


def test_chance_is_the_published_generator():
    """First outputs of splitmix64 for seed 1234567 (Vigna's reference implementation, Rosetta Code)."""
    published = (6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431)
    assert tuple(itertools.islice(oracle.splitmix64(1234567), 4)) == published
    stream = list(itertools.islice(oracle.splitmix64(oracle.mix(99)), 12))
    for frame, which in itertools.product(range(3), range(4)):
        assert oracle.draw(99, frame, which, 1 << 64) == stream[4 * frame + which]


def test_a_perfect_wire_lets_all_pass_at_once_in_order():
    assert pour(Wire(Settings(), 16), 10, MS) == [(frame * MS, frame) for frame in range(10)]


@pytest.mark.parametrize("seed", [1, 2, 7, 99, 2**63, 2**64 - 1])
@pytest.mark.parametrize("ppm", [1000, 15_000, 250_000, 900_000])
def test_parts_of_lost_duplicated_and_reordered_frames_are_within_binomial_bounds(seed, ppm):
    frames = 20_000
    for name in ("loss_ppm", "duplicate_ppm"):
        wire = Wire(replace(Settings(seed), **{name: ppm}), 16)
        pour(wire, frames, 1)
        counters = wire.counters()
        seen = counters["lost"] + counters["duplicated"]
        deviation = math.sqrt(frames * ppm / 1e6 * (1 - ppm / 1e6))
        assert abs(seen - frames * ppm / 1e6) < 5 * deviation
    # A frame can only be seen to be reordered when one waits that it passes.
    wire = Wire(Settings(seed, delay_ns=10, reorder_ppm=ppm), 1 << 15)
    left = pour(wire, frames, 1)
    express = sum(1 for departure, frame in left if departure == frame)
    assert abs(express - frames * ppm / 1e6) < 5 * math.sqrt(frames * ppm / 1e6 * (1 - ppm / 1e6))


@pytest.mark.parametrize("seed", range(1, 8))
def test_jitter_is_spread_evenly_over_its_range(seed):
    frames, delay, jitter = 20_000, 50 * MS, 10 * MS
    left = pour(Wire(Settings(seed, delay, jitter), 16), frames, 100 * MS)
    delays = [departure - frame * 100 * MS for departure, frame in left]
    assert min(delays) >= delay - jitter
    assert max(delays) <= delay + jitter
    cells = [0] * 20
    for value in delays:
        cells[min(19, (value - delay + jitter) * 20 // (2 * jitter))] += 1
    chi_squared = sum((count - frames / 20) ** 2 / (frames / 20) for count in cells)
    assert chi_squared < 52  # 19 degrees of freedom: exceeded once in 10,000 tries
    mean, spread = sum(delays) / frames, 2 * jitter / math.sqrt(12)
    assert abs(mean - delay) < 5 * spread / math.sqrt(frames)


@given(SETTINGS.map(lambda s: replace(s, reorder_ppm=0)), st.integers(0, 3 * MS))
@settings(deadline=None)
def test_frames_keep_their_order_whatever_the_jitter(wanted, spacing):
    order = [frame for _, frame in pour(Wire(wanted, 64), 100, spacing)]
    assert order == sorted(order)


@given(SETTINGS, SETTINGS)
@settings(deadline=None)
def test_same_seed_loses_the_same_frames_whatever_else_is_set_and_whenever_they_come(one, other):
    def lost(wanted: Settings, spacing: int) -> set[int]:
        kept = {frame for _, frame in pour(Wire(wanted, 1 << 10), 200, spacing)}
        return set(range(200)) - kept

    one = replace(one, loss_ppm=300_000, rate_bps=0, duplicate_ppm=0)
    other = replace(other, loss_ppm=300_000, rate_bps=0, duplicate_ppm=0, seed=one.seed)
    assert lost(one, 7) == lost(other, 3 * MS)


def test_other_seeds_lose_other_frames():
    patterns = {
        tuple(frame for _, frame in pour(Wire(Settings(seed, loss_ppm=500_000), 16), 64, 1))
        for seed in range(200)
    }
    assert len(patterns) == 200


def test_a_rate_spaces_frames_as_a_wire_of_that_speed_and_drops_what_would_wait_too_long():
    # 1000 octets at 8 Mbit/s take a millisecond; the queue is 3 ms long.
    wire = Wire(Settings(rate_bps=8_000_000, queue_ns=3 * MS), 64)
    assert [wire.offer(0, 1000, frame) for frame in range(6)] == [1, 1, 1, 1, 0, 0]
    left = []
    while wire.due() != oracle.MASK:
        left.append(wire.due())
        wire.take(wire.due())
    assert left == [MS, 2 * MS, 3 * MS, 4 * MS]
    assert wire.counters()["overflowed"] == 2


def test_no_part_of_the_rate_is_lost_by_rounding():
    # 61 octets at 7 Gbit/s: 69.714... ns each.
    wire = Wire(Settings(rate_bps=7_000_000_000, queue_ns=10**9), 1 << 15)
    left = pour(wire, 20_000, 0, 61)
    assert left[-1][0] == 20_000 * 61 * 8 * 10**9 // 7_000_000_000


def test_lost_frames_use_the_wire_and_a_sent_twice_frame_uses_it_once():
    lossy = Wire(Settings(rate_bps=8_000_000, queue_ns=10**9, loss_ppm=500_000), 64)
    twice = Wire(Settings(rate_bps=8_000_000, queue_ns=10**9, duplicate_ppm=1_000_000), 128)
    assert [at for at, frame in pour(lossy, 40, 0) if at != (frame + 1) * MS] == []
    assert pour(twice, 3, 0) == [(MS, 0), (MS, 0), (2 * MS, 1), (2 * MS, 1), (3 * MS, 2), (3 * MS, 2)]


def test_reordered_frame_passes_those_that_wait_but_not_the_wire():
    wanted = Settings(seed=5, delay_ns=10 * MS, rate_bps=8_000_000, queue_ns=10**9, reorder_ppm=200_000)
    left = pour(Wire(wanted, 64), 40, 0)
    express = {frame for frame in range(40) if oracle.draw(5, frame, oracle.REORDER, 10**6) < 200_000}
    assert express
    for departure, frame in left:
        assert departure == (frame + 1) * MS + (0 if frame in express else 10 * MS)


def test_new_settings_leave_frames_that_wait_alone():
    wire = Wire(Settings(delay_ns=20 * MS), 16)
    wire.offer(0, 100, 1)
    wire.set(Settings(delay_ns=5 * MS, loss_ppm=0))
    wire.offer(MS, 100, 2)
    wire.set(Settings(loss_ppm=1_000_000))
    assert wire.offer(2 * MS, 100, 3) == 0
    assert wire.take(20 * MS - 1) is None
    assert [wire.take(20 * MS), wire.take(20 * MS), wire.take(20 * MS)] == [1, 2, None]


def test_memory_is_bounded_and_what_finds_no_place_is_counted():
    wire = Wire(Settings(delay_ns=10**12), 16)
    assert sum(wire.offer(0, 100, frame) for frame in range(20)) == 16
    assert wire.counters()["overflowed"] == 4


def test_it_costs_far_less_than_sending_a_frame():
    wanted = _impair.ffi.new("struct edge_impairment *", {"seed": 1, "delay_ns": MS, "jitter_ns": MS // 2})
    assert 0 < _impair.lib.edge_impair_cost(wanted, 1000, 200_000) < 1000
