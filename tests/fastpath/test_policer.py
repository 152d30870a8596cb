"""The policer's arithmetic in C against exact fractions."""

from __future__ import annotations

from dataclasses import astuple
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.fastpath import _native
from edge.fastpath.layout import BURST_BITS_MAX, LARGEST_GSO_FRAME, RATE_MAX_BPS, Rate
from edge.qos.steering import DIRECT_TOLERANCE_PERCENT

rates = st.one_of(st.integers(1, RATE_MAX_BPS), st.sampled_from([1, 8_000, 50_000_000, RATE_MAX_BPS]))
sizes = st.integers(14, LARGEST_GSO_FRAME)
pauses = st.one_of(st.integers(0, 10**6), st.integers(0, 10**19))


class Policer:
    """The C policer with its state."""

    def __init__(self) -> None:
        self.bucket = _native.ffi.new("uint64_t[4]")

    def __call__(self, rate: Rate, now_ns: int, size: int) -> bool:
        settings = list(astuple(rate))
        return bool(_native.lib.edge_native_police(self.bucket, settings, now_ns, size))


@given(
    st.lists(
        st.tuples(rates, st.integers(0, 10**6), sizes, st.sampled_from([0, 0, 1, 20, 100])),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 10**15),
)
def test_verdicts_are_those_of_exact_arithmetic(
    steps: list[tuple[int, int, int, int]], start_ns: int
) -> None:
    """Even when rate and tolerance change between frames."""
    policer, now, last, tokens, spare, clamped = Policer(), start_ns, 0, Fraction(0), Fraction(0), False
    for rate_bps, pause, size, tolerance in steps:
        now += pause
        rate = Rate.of(rate_bps, tolerance)
        burst, elapsed = Fraction(rate.burst_nanobits, 10**9), Fraction(now - last, 10**9)

        def refilled(held: Fraction, bps: int, fill_ns: int) -> Fraction:
            if last == 0 or now - last >= fill_ns:  # noqa: B023 - called in this turn
                return burst  # noqa: B023
            return min(burst, held + elapsed * bps)  # noqa: B023

        tokens = refilled(tokens, rate_bps, rate.fill_ns)
        expected = tokens >= 8 * size
        if tolerance:
            spare = refilled(spare, rate.tolerated_bps, rate.tolerated_fill_ns)
            clamped = spare < 8 * size or (clamped and spare < burst)
            spare -= 8 * size * (spare >= 8 * size)
            expected = expected or not clamped
        tokens -= min(tokens, 8 * size * expected)
        last = now
        assert policer(rate, now, size) == expected
        assert list(policer.bucket) == [tokens * 10**9, now, spare * 10**9, clamped]


@given(rates, st.lists(st.tuples(pauses, sizes), max_size=60))
def test_no_interval_passes_more_than_burst_and_rate(rate_bps: int, steps: list[tuple[int, int]]) -> None:
    policer, rate = Policer(), Rate.of(rate_bps)
    begin = now = 10**9
    passed = 0
    for pause, size in steps:
        now += pause
        if now >= 2**63:
            break
        passed += 8 * size * policer(rate, now, size)
        assert passed * 10**9 <= rate.burst_nanobits + (now - begin) * rate_bps


@given(rates)
def test_the_largest_gso_frame_passes_a_rested_bucket_twice(rate_bps: int) -> None:
    policer, rate = Policer(), Rate.of(rate_bps)
    assert policer(rate, 1 << 62, LARGEST_GSO_FRAME)
    assert policer(rate, 1 << 62, LARGEST_GSO_FRAME)


@given(rates, sizes)
def test_a_clock_that_steps_back_adds_nothing(rate_bps: int, size: int) -> None:
    policer, rate = Policer(), Rate.of(rate_bps)
    policer(rate, 10**18, size)
    before = policer.bucket[0]
    policer(rate, 10**18 - 10**9, size)
    assert policer.bucket[0] <= before
    assert policer.bucket[1] == 10**18


@given(rates)
def test_nothing_overflows_64_bits(rate_bps: int) -> None:
    rate = Rate.of(rate_bps)
    assert rate.burst_nanobits <= BURST_BITS_MAX * 10**9
    assert 2 * rate.burst_nanobits + rate_bps < 2**64
    assert rate.fill_ns * rate_bps >= rate.burst_nanobits


@pytest.mark.parametrize(
    ("percent", "passed"), [(90, 90), (100, 100), (115, 115), (119, 119), (125, 100), (150, 100), (400, 100)]
)
def test_direct_clamps_to_the_bandwidth_only_above_its_tolerance(percent: int, passed: int) -> None:
    """Facts 10.4; in the last ten of twenty seconds, when what the buckets held has long gone."""
    bandwidth, size = 50_000_000, 30_000
    rate = Rate.of(bandwidth, DIRECT_TOLERANCE_PERCENT)
    policer, octets = Policer(), 0
    offered = bandwidth * percent // 100
    for number in range(20 * offered // (8 * size)):
        now = 1 + number * 8 * size * 10**9 // offered
        conforms = policer(rate, now, size)
        octets += size * (conforms and now > 10 * 10**9)
    assert octets * 8 / (10 * bandwidth) == pytest.approx(passed / 100, rel=0.002)


def test_a_clamp_ends_when_less_was_offered_for_a_while() -> None:
    rate, size = Rate.of(50_000_000, DIRECT_TOLERANCE_PERCENT), 15_000
    policer, now, dropped = Policer(), 10**9, []
    for percent, seconds in ((200, 2), (100, 3), (115, 10)):
        verdicts = []
        for _ in range(seconds * 50_000_000 * percent // 100 // (8 * size)):
            now += 8 * size * 10**9 // (50_000_000 * percent // 100)
            verdicts.append(policer(rate, now, size))
        dropped.append(verdicts.count(False))
    assert dropped[0] > 0
    assert dropped[1:] == [0, 0]


@pytest.mark.parametrize("percent", [0, 1, 20, 99, 100])
def test_a_rate_tells_its_tolerance(percent: int) -> None:
    for rate_bps in (101, 50_000_000, 123_456_789, RATE_MAX_BPS):
        assert Rate.of(rate_bps, percent).tolerance_percent == percent
    with pytest.raises(ValueError, match="a tolerance of 101 % cannot be policed"):
        Rate.of(1000, 101)


@pytest.mark.parametrize("rate_bps", [0, -1, RATE_MAX_BPS + 1])
def test_a_rate_that_cannot_be_policed_is_refused(rate_bps: int) -> None:
    with pytest.raises(ValueError, match="cannot be policed"):
        Rate.of(rate_bps)
