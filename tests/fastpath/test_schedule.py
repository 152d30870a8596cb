"""Queues in front of a wire (csrc/schedule.h) against their oracle, and against what their words promise."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.fastpath import _impair
from tests import schedule_oracle as oracle
from tests.fastpath.impair_bench import Schedule
from tests.schedule_oracle import Settings

MS = 1_000_000
RATE = 80_000_000
"""10 octets a microsecond."""
SHARES = [Settings(30, strict=True, burst_octets=20_000), *map(Settings, (30, 15, 5, 20))]
ROUND = 400
"""The smallest quantum is 5 * 400 octets, longer than any frame used here."""

QUEUE = st.builds(
    Settings,
    share=st.integers(1, 100),
    strict=st.booleans(),
    limit_octets=st.sampled_from((0, 1000, 5000, 1 << 30)),
    burst_octets=st.sampled_from((100, 2000, 20_000)),
)
STEP = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 200_000), st.integers(60, 1600), st.integers(0, 3)),
    st.tuples(st.just("take"), st.integers(0, 400_000), st.just(0), st.just(0)),
    st.tuples(st.just("set"), st.just(0), st.lists(QUEUE, min_size=4, max_size=4), st.integers(1, 10**9)),
)


@given(st.lists(QUEUE, min_size=4, max_size=4), st.integers(1, 10**9), st.integers(0, 50), st.lists(STEP))
@settings(max_examples=400, deadline=None)
def test_queues_do_what_the_oracle_does_step_by_step(first, rate, round_octets, steps):
    queues, expected = Schedule(8), oracle.Schedule(8)
    for each in (queues, expected):
        each.set(rate, round_octets, first)
    now = 0
    for number, (what, wait, value, which) in enumerate(steps):
        now += wait
        if what == "put":
            assert queues.put(which, value, number, 3) == expected.put(which, value, number, 3)
        elif what == "set":
            queues.set(which, round_octets, value)
            expected.set(which, round_octets, value)
        else:
            assert queues.take(now) == expected.take(now)
        assert queues.due() == expected.due()
    for number, queue in enumerate(expected.queues):
        counters = queues.counters(number)
        names = ("put", "taken", "dropped")
        assert [counters[f"{n}_packets"] for n in names] == [getattr(queue, n) for n in names]
        for unit in ("packets", "octets"):
            parts = ("taken", "dropped", "queued")
            assert counters[f"put_{unit}"] == sum(counters[f"{part}_{unit}"] for part in parts)


def run(queues: Schedule, until: int, now: int = 0) -> list[tuple[int, int, int]]:
    """Take all that leaves until then: (time, queue, frame)."""
    left = []
    while queues.due() <= until:
        now = max(now, queues.due())
        taken = queues.take(now)
        assert taken is not None
        left.append((now, *taken))
    return left


def filled(sets: list[Settings], queues: tuple[int, ...], frames: int = 2000, octets: int = 1000) -> Schedule:
    schedule = Schedule(4096)
    schedule.set(RATE, ROUND, sets)
    for frame in range(frames):
        for queue in queues:
            schedule.put(queue, octets, frame)
    return schedule


def test_strict_queue_goes_first_and_never_above_its_share():
    schedule = filled([replace(SHARES[0], limit_octets=9000), *SHARES[1:]], (1, 4))
    now, left = 0, Counter()
    for order in range(2000):
        # Voice comes at twice its share: 6 octets a microsecond.
        now += 50_000
        schedule.put(0, 300, order)
        taken = schedule.take(now)
        assert taken is not None or schedule.due() > now, "the wire is free and something waits"
        left[taken[0] if taken else None] += 1
    counters = schedule.counters(0)
    assert counters["dropped_packets"] > 0
    # 3 octets a microsecond for 100 ms, and the bucket once.
    assert 300_000 <= left[0] * 300 <= 300_000 + 20_000 + 300
    assert left[1] > 0 < left[4]


def test_a_strict_burst_waits_for_its_tokens_while_others_go():
    voice = Settings(30, strict=True, burst_octets=64_000, limit_octets=64_000)
    schedule = Schedule(64)
    schedule.set(RATE, ROUND, [voice, Settings(70)])
    # Two bursts of one large frame each: the second waits until the bucket has it all again.
    assert [schedule.put(0, 64_000, frame, 43) for frame in (0, 1)] == [1, 0]
    assert schedule.take(0) == (0, 0)
    assert schedule.put(0, 64_000, 1, 43) == 1
    assert schedule.due() == 64_000 * 1000 // 3 + 1
    schedule.put(1, 1000, 2)
    assert schedule.due() == 6_400_000
    assert schedule.take(6_400_000) == (1, 2)
    assert schedule.take(schedule.due() - 1) is None
    assert schedule.take(schedule.due()) == (0, 1)
    counters = schedule.counters(0)
    assert (counters["taken_packets"], counters["dropped_packets"]) == (2 * 43, 43)


def test_a_strict_frame_longer_than_its_bucket_goes_and_is_paid_for_later():
    schedule = Schedule(64)
    schedule.set(RATE, ROUND, [Settings(30, strict=True, burst_octets=100)])
    for frame in range(4):
        schedule.put(0, 1500, frame)
    times = [at for at, _, _ in run(schedule, 10 * MS)]
    assert times == [0, 500_000, 1_000_000, 1_500_000]


def test_what_waits_can_be_let_go_whatever_the_rates_say():
    schedule = filled(SHARES, (4, 0, 1), frames=100)
    schedule.take(0)
    left = [schedule.drain() for _ in range(299)]
    assert left[:99] == list(range(1, 100))
    assert schedule.drain() is None
    assert schedule.due() == oracle.NEVER


def test_shares_are_kept_within_one_quantum_and_borrowed_when_others_are_idle():
    for busy in ((1, 2, 3, 4), (1, 4), (2, 3), (3,)):
        schedule = filled(SHARES, busy)
        left = run(schedule, 80 * MS)  # 800,000 octets: less than one of the queues has, so all stay busy
        total = sum(SHARES[queue].share for queue in busy)
        for queue in busy:
            octets = 1000 * sum(1 for _, which, _ in left if which == queue)
            fair = 1000 * len(left) * SHARES[queue].share / total
            assert abs(octets - fair) <= SHARES[queue].share * ROUND + 1000
        assert len(left) == 801  # nothing of the wire is wasted, however few are busy


def test_a_queue_that_was_idle_saves_nothing_up():
    schedule = filled(SHARES, (4,), frames=500)
    now = run(schedule, 20 * MS)[-1][0]
    for frame in range(500):
        schedule.put(3, 1000, frame)
    left = run(schedule, now + 10 * MS)
    share = sum(1 for _, queue, _ in left if queue == 3) / len(left)
    assert abs(share - 5 / 25) < 0.1


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(60, 1514), st.integers(0, 200_000)), max_size=200))
@settings(deadline=None)
def test_frames_of_one_class_keep_their_order(arrivals):
    schedule = Schedule(256)
    schedule.set(RATE, ROUND, SHARES)
    now, left = 0, []
    for frame, (queue, octets, wait) in enumerate(arrivals):
        now += wait
        schedule.put(queue, octets, frame)
        taken = schedule.take(now)
        left += [taken] if taken else []
    left += [(queue, frame) for _, queue, frame in run(schedule, oracle.NEVER - 1, now)]
    for number in range(5):
        order = [frame for queue, frame in left if queue == number]
        assert order == sorted(order)


def test_queue_is_bounded_in_octets_and_frames_but_takes_any_one_frame():
    schedule = Schedule(8)
    schedule.set(RATE, ROUND, [Settings(50, limit_octets=3000), Settings(50, limit_octets=100)])
    assert [schedule.put(0, 1000, frame) for frame in range(4)] == [1, 1, 1, 0]
    assert [schedule.put(1, 1514, 0), schedule.put(1, 60, 1)] == [1, 0]
    schedule.set(RATE, ROUND, [Settings(50)] * 2)
    assert [schedule.put(0, 60, frame) for frame in range(6)] == [1, 1, 1, 1, 1, 0]


def test_new_rate_keeps_frames_that_wait_and_holds_from_the_next_frame_on():
    schedule = filled(SHARES, (1,), frames=10)
    assert [at for at, _, _ in run(schedule, 200_000)] == [0, 100_000, 200_000]
    schedule.set(RATE // 2, ROUND, SHARES)
    assert [at for at, _, _ in run(schedule, MS, 200_000)] == [300_000, 500_000, 700_000, 900_000]
    assert schedule.counters(1)["queued_packets"] == 3


def test_a_queue_that_becomes_strict_or_shares_again_loses_no_frame():
    schedule = filled([Settings(50), Settings(50)], (0, 1), frames=4)
    schedule.set(0, ROUND, [Settings(50), Settings(50, strict=True)])
    assert [schedule.take(0) for _ in range(2)] == [(1, 0), (1, 1)]
    schedule.set(0, ROUND, [Settings(50), Settings(50)])
    assert sorted(schedule.take(0) for _ in range(6)) == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 2), (1, 3)]
    assert schedule.take(0) is None


def test_it_costs_far_less_than_sending_a_frame():
    assert 0 < _impair.lib.edge_schedule_cost(5, 100, 200_000) < 1000
