"""Checks of marks, and the view of counters: what is decided of what was seen."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from edge.errors import UsageError
from edge.qos.profiles import profile
from lab.checks.dscp import judge, judge_queues, queue_counters
from lab.checks.stimulus import Stimulus, stimulus_of
from lab.checks.talk import PACKETS, Seen, Tally, read_frame
from lab.classes import view_of
from lab.model import LabModel, PathCheck
from lab.report.classes import classes_tables
from lab.topology import load

CONTOSO = Path(__file__).parents[2] / "lab" / "topologies" / "contoso.edge.yml"
TOKEN = b"tokentok"
CHECK = PathCheck("pc1", "teams", "ams", "microsoft", dscp=(("voice", 46),))


@pytest.fixture(scope="module")
def model() -> LabModel:
    return load(CONTOSO)


def frame(way: str, dscp: int, tags: tuple[int, ...] = (3, 200), version: int = 4) -> bytes:
    payload = TOKEN + bytes((0, ("out", "in").index(way)))
    udp = struct.pack("!4H", 50000, 40000, 8 + len(payload), 0) + payload
    if version == 4:
        head = struct.pack(
            "!BBHHHBBH4s4s", 0x45, dscp << 2 | 1, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), bytes(4)
        )
    else:
        head = struct.pack("!IHBB16s16s", 6 << 28 | dscp << 22, len(udp), 17, 64, bytes(16), bytes(16))
    ethertype = {4: 0x0800, 6: 0x86DD}[version]
    stack = b"".join(struct.pack("!HH", 0x8100, tag) for tag in tags)
    return bytes(12) + stack + struct.pack("!H", ethertype) + head + udp


def tally(*frames: bytes, times: int = PACKETS) -> Tally:
    made = Tally(TOKEN, ("voice",))
    for one in frames * times:
        made.take("ams-primary", one)
    return made


@pytest.mark.parametrize("version", [4, 6])
def test_a_frame_tells_class_way_mark_and_tags(version: int) -> None:
    assert read_frame(frame("in", 46, version=version), TOKEN) == Seen(0, 1, 46, (3, 200), (0x8100, 0x8100))
    assert read_frame(frame("in", 46, version=version), b"another!") is None
    for length in range(len(frame("in", 46, version=version))):
        assert read_frame(frame("in", 46, version=version)[:length], TOKEN) is None


@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("version", [4, 6])
def test_a_frame_below_labels_is_read_and_one_cut_within_them_is_not(version: int, labels: int) -> None:
    plain = frame("out", 34, version=version)
    stack = b"".join(struct.pack("!I", 100 << 12 | (n == labels - 1) << 8 | 64) for n in range(labels))
    labelled = plain[:20] + struct.pack("!H", 0x8847) + stack + plain[22:]
    assert (
        read_frame(labelled, TOKEN) == read_frame(plain, TOKEN) == Seen(0, 0, 34, (3, 200), (0x8100, 0x8100))
    )
    for length in range(len(labelled)):
        assert read_frame(labelled[:length], TOKEN) is None


def test_right_marks_both_ways_are_good(model: LabModel) -> None:
    seen = tally(frame("out", 46), frame("in", 46))
    assert seen.complete()
    assert judge(model, CHECK, seen) == ("voice 46, both ways on ams-primary", [])


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ((frame("out", 46),), "no packet of voice seen on ams (in)"),
        ((frame("out", 46), frame("in", 0)), "voice (in): 5 packets with DSCP 0 on ams-primary, not 46"),
        ((frame("out", 46, (3, 100)), frame("in", 46)), "voice (out): 5 packets under 3/100 on ams-primary"),
        ((frame("out", 46, ()), frame("in", 46)), "voice (out): 5 packets under no tag on ams-primary"),
    ],
)
def test_what_is_wrong_is_said(model: LabModel, frames: tuple[bytes, ...], words: str) -> None:
    assert judge(model, CHECK, tally(*frames))[1] == [words]


def status(voice: int, default: int) -> dict[str, Any]:
    rest = {"strict": True, "rate_bps": 1, "ceil_bps": 1, "octets": 0, "drops": 3}
    rest |= {"backlog_packets": 0, "backlog_octets": 0, "borrowed": 0}
    return {
        "queues": [
            {"at": at, "tree": 0, "name": name, "packets": packets, **rest}
            for at in ("ce1:ams1", "msee1-amsterdam:equinix")
            for name, packets in (("voice", voice), ("default", default))
        ]
    }


def test_the_queue_of_the_class_must_have_counted_the_packets(model: LabModel) -> None:
    seen = tally(frame("out", 46), frame("in", 46))
    before, right, wrong = (queue_counters(status(*n)) for n in ((7, 7), (12, 7), (7, 12)))
    assert judge_queues(model, CHECK, seen, before, right) == []
    assert judge_queues(model, CHECK, seen, before, wrong) == [
        "ce1:ams1: 0 packets in the queue of voice, 5 were on the wire",
        "msee1-amsterdam:equinix: 0 packets in the queue of voice, 5 were on the wire",
    ]
    assert judge_queues(model, CHECK, seen, {}, {}) == []


def test_on_private_peering_the_far_end_gives_no_priority(model: LabModel) -> None:
    check = PathCheck("pc1", "vm1", "ams", "private", dscp=(("voice", 46),))
    seen = tally(frame("out", 46, (3, 100)), frame("in", 46, (3, 100)))
    before, after = (queue_counters(status(*n)) for n in ((7, 7), (12, 12)))
    assert judge_queues(model, check, seen, before, after) == []
    after["msee1-amsterdam:equinix", 0, "default"] = 7
    assert judge_queues(model, check, seen, before, after) == [
        "msee1-amsterdam:equinix: 0 packets in the queue of default, 5 were on the wire"
    ]


def test_a_client_of_a_class_speaks_from_the_ports_of_its_rule() -> None:
    assert stimulus_of(profile("teams"), "video") == Stimulus("video", 50020, 20002, 0, 50039)
    assert stimulus_of(profile("teams"), "files").dscp == 10
    with pytest.raises(UsageError, match="has no class voise; it has voice, video"):
        stimulus_of(profile("teams"), "voise")
    with pytest.raises(UsageError, match="no rule for class voice"):
        stimulus_of(profile("none"), "voice")


def test_counters_are_told_by_port_and_circuit(model: LabModel) -> None:
    view = view_of(model, status(5, 6), 100.0)
    row = view.queues[0]
    assert (row.port, row.link, row.towards, row.circuit) == (
        *("ce1:ams1", "ams-primary"),
        *("equinix-amsterdam:ams1", "ams"),
    )
    assert view.to_json()["version"] == 1
    from io import StringIO

    from edge.console import show

    out = StringIO()
    show(classes_tables(view, view_of(model, status(5, 6), 99.0)), stream=out)
    assert "voice (strict)" in out.getvalue()
    assert "bit/s" in out.getvalue()
