"""Calls without packets: STUN's octets, what media look like, ports against policies, windows, targets."""

from __future__ import annotations

import io
from array import array
from collections import Counter
from ipaddress import ip_address

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.console import show
from edge.errors import UsageError
from edge.fastpath.streamplan import RTP_OCTETS, Packets, Pattern, Slot, every
from edge.qos.explain import explain
from edge.qos.packets import octets, parse
from edge.qos.profiles import profile
from lab.commands import call as verb
from lab.commands.quantities import BitRate, Duration
from lab.report.calls import call_table, target_lines
from lab.traffic import stun
from lab.traffic.callplan import Way
from lab.traffic.callresult import Asked, CallResult, StreamResult, failures
from lab.traffic.emodel import CODECS, G711, G711_PLC
from lab.traffic.measured import arrivals, dscps, missing, whole, windows
from lab.traffic.media import MEDIA, VOICES, Medium, frames_pattern, pattern_of, voice_pattern
from lab.traffic.ports import CALL_PORTS, call_ports
from lab.traffic.quality import CLIENT_TO_EDGE, misses

MS = 1_000_000
S = 1000 * MS
TEAMS = "52.112.0.11"


def test_stun_is_that_of_the_test_vectors_of_rfc_5769() -> None:
    """2.2 and 2.3: the answers to this transaction, cut before SOFTWARE and behind the address."""
    transaction = bytes.fromhex("b7e7a701bc34d686fa87dfae")
    for seen, attribute in (
        ((ip_address("192.0.2.1"), 32853), "002000080001a147e112a643"),
        (
            (ip_address("2001:db8:1234:5678:11:2233:4455:6677"), 32853),
            "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9",
        ),
    ):
        said = (
            bytes.fromhex(f"0101{len(attribute) // 2:04x}2112a442") + transaction + bytes.fromhex(attribute)
        )
        assert stun.answer(transaction, seen) == said
        assert stun.mapped(said, transaction) == seen
        software = bytes.fromhex("8022000b7465737420766563746f7220")
        longer = said[:2] + (len(said) - 20 + len(software)).to_bytes(2, "big") + said[4:20] + software
        assert stun.mapped(longer + said[20:], transaction) == seen


def test_a_request_is_told_from_everything_else() -> None:
    transaction = bytes(range(12))
    asked = stun.request(transaction)
    assert asked == bytes.fromhex("000100002112a442") + transaction
    assert stun.transaction_of(asked) == transaction
    assert stun.transaction_of(asked + b"\0") is None
    assert stun.transaction_of(asked[:19]) is None
    assert stun.transaction_of(b"\x80" + asked[1:]) is None
    answer = stun.answer(transaction, (ip_address("10.0.0.1"), 1))
    assert stun.mapped(answer, bytes(12)) is None
    assert stun.mapped(asked, transaction) is None
    assert all(stun.mapped(answer[:length], transaction) is None for length in range(len(answer)))


@given(st.binary(max_size=80))
def test_no_octets_upset_stun(data: bytes) -> None:
    stun.transaction_of(data)
    whole_answer = (
        bytes.fromhex("0101") + len(data).to_bytes(2, "big") + bytes.fromhex("2112a442") + bytes(12)
    )
    stun.mapped(whole_answer + data, bytes(12))


@pytest.mark.parametrize(("name", "kbit"), [("g711", 68.8), ("g729a", 12.8)])
def test_voice_is_a_packet_each_20_ms_of_the_codecs_rate_and_a_header(name: str, kbit: float) -> None:
    pattern = voice_pattern(name, CODECS[name])
    assert (pattern.period_ns, len(pattern.slots), pattern.clock) == (20 * MS, 1, 160)
    assert pattern.bits_per_second == pytest.approx(kbit * 1000)
    assert set(VOICES) == set(CODECS)


@pytest.mark.parametrize(("medium", "frames"), [("video", 60), ("sharing", 30)])
def test_frames_leave_in_bursts_at_their_times_with_one_marker_each(medium: Medium, frames: int) -> None:
    pattern = frames_pattern(medium)
    assert pattern.period_ns == 2 * S
    headers = 8 * RTP_OCTETS * len(pattern.slots) / 2
    assert pattern.bits_per_second - headers == pytest.approx(4e6, rel=0.01)
    sizes = Counter(slot.at_ns for slot in pattern.slots)
    assert len(sizes) == frames == sum(slot.marker for slot in pattern.slots)
    assert [slot.at_ns for slot in pattern.slots] == sorted(slot.at_ns for slot in pattern.slots)
    assert all(RTP_OCTETS < slot.octets <= 1200 for slot in pattern.slots)
    assert sizes[0] > 3 * sizes[max(sizes)]
    # The marker is on the last packet of a frame, and all packets of it have its RTP time.
    for slot, after in zip(pattern.slots, (*pattern.slots[1:], pattern.slots[0]), strict=True):
        assert slot.marker == (slot.at_ns != after.at_ns)
        assert slot.clock == round(slot.at_ns * 90_000 / S)


@given(st.integers(0, 5 * S))
def test_packets_of_a_time_are_those_that_are_due_in_it(duration: int) -> None:
    pattern = Pattern(40 * MS, (Slot(0, 20), Slot(1 * MS, 20), Slot(25 * MS, 20)))
    due = (period * 40 * MS + slot.at_ns for period in range(130) for slot in pattern.slots)
    assert pattern.packets_in(duration) == sum(time < duration for time in due)


@pytest.mark.parametrize("name", CALL_PORTS)
def test_a_policy_knows_every_packet_of_a_call_by_its_ports_both_ways(name: str) -> None:
    ports, policy = call_ports(name), profile(name)
    for medium in MEDIA:
        near, far = ports.near[medium], ports.far_of(ip_address(TEAMS))[medium]
        for n in (*near, near[0] + 1):
            there = f"udp 10.1.0.10:{n} > {TEAMS}:{far[0]}"
            back = f"udp {TEAMS}:{far[0]} > 10.1.0.10:{n}"
            for words, way in ((there, "out"), (back, "in")):
                found = explain(octets(parse(words)), policy, "out" if way == "out" else "in", "microsoft")
                assert found.verdict.class_name == medium, (name, words)


def test_names_that_help_shows_are_those_that_there_are() -> None:
    assert tuple(CALL_PORTS) == verb._PROFILES
    assert tuple(CODECS) == verb._CODECS
    with pytest.raises(UsageError, match="did you mean teams"):
        call_ports("teems")


def packets(text: str, gap_ns: int = 20 * MS, marks: bytes = b"") -> Packets:
    """A letter is a packet: its delay in ms as a digit, a dot when it never arrives."""
    sent = [1000 + n * gap_ns for n in range(len(text))]
    received = [
        0 if letter == "." else time + int(letter, 36) * MS for letter, time in zip(text, sent, strict=True)
    ]
    ranks = {
        n: rank
        for rank, (_, n) in enumerate(sorted((time, n) for n, time in enumerate(received) if time), start=1)
    }
    order = array("I", [ranks.get(n, 0) for n in range(len(text))])
    columns = array("Q", sent), array("Q", received)
    return Packets(0, *columns, order, marks or bytes(len(text)), array("Q", [0] * len(text)))


def test_what_arrived_is_judged_in_the_order_in_which_it_did() -> None:
    stream = packets("1z11.1", gap_ns=10 * MS)
    assert [item.number for item in arrivals(stream)] == [0, 2, 3, 1, 5]
    assert missing(stream) == [False, False, False, False, True, False]
    found = whole(stream, 2, G711)
    assert (found.sent, found.received, found.lost, found.reordered, found.duplicates) == (6, 5, 1, 1, 2)


def test_dscp_is_counted_of_what_arrived() -> None:
    marks = bytes([46 << 2, 46 << 2 | 1, 0, 34 << 2])
    assert dscps(packets("11.1", marks=marks)) == {46: 2, 34: 1}
    assert list(dscps(packets("11.1", marks=bytes([0, 46 << 2, 0, 46 << 2])))) == [46, 0]


def test_windows_tell_when_it_was_bad() -> None:
    seconds = "1" * 50 + "1" * 20 + "." * 20 + "9" * 10 + "." * 50 + "1" * 10
    found = windows(packets(seconds), G711_PLC)
    assert [(item.begin_s, item.sent, item.lost) for item in found] == [
        (0, 50, 0),
        (1, 50, 20),
        (2, 50, 50),
        (3, 10, 0),
    ]
    scores = [item.mos for item in found]
    assert scores[0] == scores[3] is not None
    assert scores[0] > 4.3 > 2.5 > (scores[1] or 5) >= (scores[2] or 5) == 1.0
    assert (found[1].delay_ms, found[1].delay_max_ms, found[2].delay_ms) == (1.0, 9.0, None)
    assert {item.mos for item in windows(packets(seconds), None)} == {None}
    assert windows(packets(""), G711) == ()


def stream(text: str, medium: Medium = "voice", number: int = 0, way: Way = "out") -> StreamResult:
    sent = packets(text, marks=bytes([46 << 2]) * len(text))
    found = whole(sent, 0, G711_PLC)
    return StreamResult(
        medium, number, way, ("10.1.0.10", 50000), (TEAMS, 3479), ("203.0.113.1", 50000), 1.5, found,
        dscps(sent), misses(found, missing(sent), 20, CLIENT_TO_EDGE), windows(sent, G711_PLC), 0, "", 0.2
    )  # fmt: skip


def result(*streams: StreamResult) -> CallResult:
    return CallResult("contoso", "pc1", "teams", "teams", "g711-plc", 1.0, streams)


def test_targets_of_a_call_are_judged_by_its_worst_stream() -> None:
    good, bad = stream("1" * 100), stream("1" * 90 + "." * 10, number=1)
    whole_call = result(good, bad)
    assert failures(whole_call, Asked()) == ()
    assert failures(result(good), Asked(4.3, 1, 50, 30, True)) == ()
    said = failures(whole_call, Asked(mos=4.3, loss_percent=9.9, delay_ms=0.5, jitter_ms=1, microsoft=True))
    assert [words.split()[0] for words in said] == ["MOS", "loss", "one-way", "voice", "voice"]
    assert said[1] == "loss 10 %, at most 9.9 % wanted"
    assert said[3].startswith("voice 1 (out): loss in 15 s 10 %")
    assert failures(result(stream("11", "video")), Asked(mos=4)) == ("no voice, no MOS",)


def test_a_stream_of_which_nothing_arrived_keeps_no_target_of_delay_or_jitter() -> None:
    silent = result(stream("1" * 50), stream("." * 50, "video"))
    words = "video 0 (out): nothing arrived, so it has no delay and no jitter"
    assert failures(silent, Asked(delay_ms=50)) == failures(silent, Asked(jitter_ms=30)) == (words,)
    assert failures(silent, Asked()) == ()


def printed(of: CallResult, each: bool = False) -> str:
    written = io.StringIO()
    show(call_table(of, each), stream=written)
    return written.getvalue()


def test_the_table_has_a_row_for_each_kind_with_the_worst_of_it() -> None:
    call = result(
        stream("1" * 50),
        stream("1" * 45 + "." * 5, number=1),
        stream("1" * 50, way="in"),
        stream("11", "video"),
    )
    lines = printed(call).splitlines()
    assert lines[1].split("  ")[0] == "2 x voice"
    assert "5 (5 %)" in lines[1]
    assert "EF" in lines[1]
    assert lines[2].split()[:3] == ["voice", "teams", "pc1"]
    assert lines[3].split()[-2:] == ["-", "-"]
    assert lines[4].startswith("voice misses Microsoft's targets in 1 of 2 streams: loss in 15 s 10 %")
    assert "voice 2" in printed(call, each=True)
    assert list(target_lines(result(stream("1" * 50)))) == ["Microsoft's targets for the network are met"]
    assert "-" in printed(result(stream(".....")))


def test_what_the_machine_did_is_not_blamed_on_the_network() -> None:
    from dataclasses import replace

    late = replace(stream("11"), late_max_ms=80.4, refused=3, refusal="no route to 52.112.0.11")
    call = replace(result(late, late), overrun=7)
    said = call.warnings
    assert [words.split()[0] for words in said] == ["this", "7", "6"]
    assert "80 ms late" in said[0]
    assert said[2] == "6 packets were not sent: no route to 52.112.0.11"
    assert "80 ms late" in printed(call)
    assert call.to_json()["warnings"] == list(said)


def test_json_has_seconds_for_a_plot_and_no_mos_for_video() -> None:
    data = result(stream("1" * 60), stream("11", "video")).to_json()
    assert (data["version"], data["mos"]) == (1, data["streams"][0]["mos"])
    voice, video = data["streams"]
    assert [item["begin_s"] for item in voice["windows"]] == [0, 1]
    assert voice["windows"][0]["mos"] == voice["mos"]
    assert voice["dscp"] == {"46": 60}
    assert (voice["seen"], video["mos"], video["r"]) == (
        {"address": "203.0.113.1", "port": 50000},
        None,
        None,
    )


def test_every_medium_has_a_pattern_and_one_packet_an_interval_is_one() -> None:
    assert {
        medium: pattern_of(medium, "g711", G711).slots[0].octets > 0 for medium in MEDIA
    } == dict.fromkeys(MEDIA, True)
    assert every(MS, 64) == Pattern(MS, (Slot(0, 64),))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("500ms", 0.5), ("2m", 120), ("2min", 120), ("1h", 3600), ("1.5", 1.5), ("4.1m", 246)],
)
def test_times_have_units(text: str, seconds: float) -> None:
    assert Duration(0.1).convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "s", "ten", "10 weeks", "-1s", "0", "2000h", "nan"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration(0.1).convert(text, None, None)


def test_rates_have_units() -> None:
    assert [BitRate().convert(text, None, None) for text in ("600M", "1.5g", "64K", "1000")] == [
        600_000_000,
        1_500_000_000,
        64_000,
        1000,
    ]
    for text in ("", "fast", "10", "9999G"):
        with pytest.raises(click.BadParameter):
            BitRate().convert(text, None, None)
