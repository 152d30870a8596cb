"""The E-model against published values; streams and gaps against what is counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.traffic.emodel import G711, G711_PLC, Connection, delay_alone, mos, over_a_network, rating
from lab.traffic.outage import Probe, outage
from lab.traffic.quality import (
    CLIENT_TO_EDGE,
    EDGE_TO_EDGE,
    Arrival,
    burst_lengths,
    burst_ratio,
    jitter,
    misses,
    quality,
    reordered,
    worst_window,
)

MS = 1_000_000


def test_a_connection_of_defaults_has_the_rating_that_g107_gives() -> None:
    # G.107 7.7: "the calculation results in a very high quality with a rating factor of R = 93.2".
    assert rating(Connection()) == pytest.approx(93.2, abs=0.05)
    assert mos(rating(Connection())) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(
    ("r", "published"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58), (0, 1.0), (100, 4.5)]
)
def test_mos_is_that_of_table_b1_of_g107(r: float, published: float) -> None:
    assert mos(r) == pytest.approx(published, abs=0.01)


@pytest.mark.parametrize(("loss", "ie_eff"), [(0, 0), (1, 3.64), (2, 7.01), (5, 15.78)])
def test_lost_packets_cost_what_the_codecs_robustness_says(loss: float, ie_eff: float) -> None:
    whole = rating(Connection(robustness=25.1))
    assert whole - rating(Connection(robustness=25.1, loss_percent=loss)) == pytest.approx(ie_eff, abs=0.01)


def test_delay_costs_nothing_up_to_100_ms_and_half_a_class_at_300() -> None:
    assert delay_alone(100) == 0
    assert delay_alone(200) == pytest.approx(3.0, abs=0.1)
    assert delay_alone(400) == pytest.approx(24.1, abs=0.1)
    assert rating(over_a_network(G711_PLC, 20, 40, 0)) > 90


@given(st.floats(0, 1000), st.floats(0, 100), st.floats(1, 10), st.floats(0.5, 50))
def test_more_delay_or_loss_never_sounds_better(
    delay: float, loss: float, burst: float, robustness: float
) -> None:
    base = replace(over_a_network(G711, delay, 0, loss, burst), robustness=robustness)
    worse = replace(base, loss_percent=min(100.0, loss + 1))
    assert rating(worse) <= rating(base) + 1e-9
    later = replace(base, delay_ms=base.delay_ms + 10)
    assert rating(later) <= rating(base) + 1e-9
    assert 1 <= mos(rating(base)) <= 4.5


def arrivals(delays: dict[int, float]) -> list[Arrival]:
    found = [
        Arrival(number, number * 20 * MS, int(number * 20 * MS + delay * MS))
        for number, delay in delays.items()
    ]
    return sorted(found, key=lambda item: item.received_ns)


def test_a_whole_stream_is_a_good_call() -> None:
    found = quality(500, arrivals(dict.fromkeys(range(500), 1.0)), G711_PLC)
    assert (found.lost, found.late, found.duplicates, found.reordered, found.bursts) == (0, 0, 0, 0, 0)
    assert (found.jitter_ms, found.delay.median, found.delay.most) == (0.0, 1.0, 1.0)
    assert found.mos > 4.3


def test_losses_are_told_from_lateness_and_from_duplicates() -> None:
    delays = {n: 1.0 for n in range(100) if n not in (10, 50, 51, 52)}
    delays[70] = 60.0
    heard = arrivals(delays)
    found = quality(100, [*heard, heard[3]], G711)
    assert (found.received, found.lost, found.late, found.duplicates) == (96, 4, 1, 1)
    assert (found.longest_burst, found.bursts) == (3, 2)
    assert found.reordered == 1
    assert found.burst_ratio == pytest.approx(4 / 2 * 0.96, abs=0.001)
    with pytest.raises(ValueError, match="packet 100 arrived"):
        quality(100, [Arrival(100, 0, 0)], G711)


def test_a_delay_that_grows_and_stays_costs_a_jitter_buffer_some_packets_only() -> None:
    grown = quality(300, arrivals({n: 1.0 if n < 100 else 61.0 for n in range(300)}), G711_PLC)
    # 60 ms are 20 more than the buffer has; each packet moves it by a sixteenth of what is left.
    assert 1 <= grown.late <= 8
    swinging = quality(300, arrivals({n: 61.0 if n % 20 == 10 else 1.0 for n in range(300)}), G711_PLC)
    assert swinging.late == 15
    assert swinging.mos < grown.mos


def test_nothing_that_arrives_is_the_worst_call() -> None:
    found = quality(50, [], G711)
    assert (found.lost, found.longest_burst, found.mos) == (50, 50, 1.0)
    assert quality(0, [], G711).loss_percent == 0


def test_jitter_is_that_of_rfc_3550() -> None:
    # Each transit differs from the one before by 16 ms: 16/16, then 1 + (16 - 1)/16, ...
    steps = list(jitter(arrivals({0: 1, 1: 17, 2: 1, 3: 17})))
    assert steps == pytest.approx([1.0, 1.9375, 2.81640625])


def test_reordering_counts_who_comes_behind_a_later_one() -> None:
    # RFC 4737 has this example: 1 2 3 7 4 5 6 8: three reordered.
    assert reordered([1, 2, 3, 7, 4, 5, 6, 8]) == 3
    assert reordered([]) == 0


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 20))
def test_windows_and_bursts_are_what_looking_at_each_finds(missing: list[bool], size: int) -> None:
    assert sum(burst_lengths(missing)) == sum(missing)
    assert burst_ratio(missing) >= 1
    size = min(size, len(missing) or 1)
    slow = max(
        (100.0 * sum(missing[n : n + size]) / size for n in range(len(missing) - size + 1)), default=0.0
    )
    assert worst_window(missing, size) == pytest.approx(slow)


def test_targets_name_each_figure_that_is_missed() -> None:
    delays = {n: 1.0 + 35 * (n % 2) for n in range(1000) if n not in range(500, 506)}
    missing = [n not in delays for n in range(1000)]
    found = quality(1000, arrivals(delays), G711)
    assert misses(found, missing, 20, EDGE_TO_EDGE) == (
        "one-way delay 36 ms, at most 30 ms allowed",
        "loss in 15 s 0.8 %, at most 0.1 % allowed",
        "loss in 200 ms 60 %, at most 1 % allowed",
        "jitter 35 ms, at most 15 ms allowed",
        "reordered 49.8 %, at most 0.01 % allowed",
    )
    good = quality(1000, arrivals(dict.fromkeys(range(1000), 2.0)), G711)
    assert misses(good, [False] * 1000, 20, CLIENT_TO_EDGE) == ()


def probes(text: str) -> list[Probe]:
    """A letter is the link that carried a probe, a dot a lost one; one each millisecond."""
    return [
        Probe(n * MS, None if letter == "." else n * MS + 1000, "" if letter == "." else letter)
        for n, letter in enumerate(text)
    ]


def test_an_outage_is_its_longest_gap_with_the_links_around_it() -> None:
    found = outage(probes("aaaa..aaa.....bbbb"), MS)
    assert (found.sent, found.lost) == (18, 7)
    assert found.longest is not None
    assert (found.longest.seconds, found.longest.lost) == (0.005, 5)
    assert (found.longest.before, found.longest.after) == ("a", "b")
    assert found.availability == pytest.approx(100 * (1 - 7 / 18))


def test_nothing_lost_is_no_outage_and_nothing_back_lasts_to_the_end() -> None:
    whole = outage(probes("aaaa"), MS)
    assert (whole.longest, whole.availability) == (None, 100.0)
    assert outage([], MS).availability == 100.0
    gone = outage(probes("aa..."), MS).longest
    assert gone is not None
    assert (gone.seconds, gone.before, gone.after) == (0.003, "a", "")


@given(st.text("ab.", max_size=50))
def test_gaps_hold_every_lost_probe_once(text: str) -> None:
    found = outage(probes(text), MS)
    assert found.lost == text.count(".") == sum(gap.lost for gap in found.gaps)
    assert 0 <= found.availability <= 100
