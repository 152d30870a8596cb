"""The policer's arithmetic in C against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.fastpath import _native
from edge.fastpath.layout import BURST_BITS_MAX, LARGEST_GSO_FRAME, RATE_MAX_BPS, Rate

rates = st.one_of(st.integers(1, RATE_MAX_BPS), st.sampled_from([1, 8_000, 50_000_000, RATE_MAX_BPS]))
sizes = st.integers(14, LARGEST_GSO_FRAME)
pauses = st.one_of(st.integers(0, 10**6), st.integers(0, 10**19))


class Policer:
    """The C policer with its state."""

    def __init__(self) -> None:
        self.bucket = _native.ffi.new("uint64_t[2]")

    def __call__(self, rate: Rate, now_ns: int, size: int) -> bool:
        settings = [rate.rate_bps, rate.burst_nanobits, rate.fill_ns]
        return bool(_native.lib.edge_native_police(self.bucket, settings, now_ns, size))


@given(
    st.lists(st.tuples(rates, st.integers(0, 10**6), sizes), min_size=1, max_size=40), st.integers(1, 10**15)
)
def test_verdicts_are_those_of_exact_arithmetic(steps: list[tuple[int, int, int]], start_ns: int) -> None:
    """Even when the rate changes between frames."""
    policer, now, last, tokens = Policer(), start_ns, 0, Fraction(0)
    for rate_bps, pause, size in steps:
        now += pause
        rate = Rate.of(rate_bps)
        burst = Fraction(rate.burst_nanobits, 10**9)
        full = now - last >= rate.fill_ns
        tokens = burst if full else min(burst, tokens + Fraction(now - last, 10**9) * rate_bps)
        last = now
        expected = tokens >= 8 * size
        tokens -= 8 * size * expected
        assert policer(rate, now, size) == expected
        assert policer.bucket[0] == tokens * 10**9


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


@pytest.mark.parametrize("rate_bps", [0, -1, RATE_MAX_BPS + 1])
def test_a_rate_that_cannot_be_policed_is_refused(rate_bps: int) -> None:
    with pytest.raises(ValueError, match="cannot be policed"):
        Rate.of(rate_bps)
