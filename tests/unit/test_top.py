from __future__ import annotations

import dataclasses
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.classes import QueueRow
from lab.eventwords import event_words
from lab.report.top import Drawing, lines
from lab.top import LEAST_LINES, Octets, Picture, Reading, picture, share
from lab.view import ImpairmentView, LabView, LinkView, SessionView

LINK = LinkView("ams-primary", "ce1:ams1", "sw:ams1", "ams", "primary", True, True, ())
OTHER = dataclasses.replace(LINK, name="pc1", a="pc1:eth0", b="lan:pc1")
SESSION = SessionView(
    "ams", "private", "primary", "customer", "ce1", "ce1", "s", "microsoft", "ams1.100", "192.168.15.2", 4,
    "Established", 65.0, 1, 2, "Up", "",
)  # fmt: skip
VOICE = QueueRow("ce1:ams1", "ams-primary", "sw:ams1", "ams", "voice", True, 60, 200, 100, 9000, 0, 0, 0, 0)


def view(*sessions: SessionView, links: tuple[LinkView, ...] = (LINK, OTHER)) -> LabView:
    return LabView("contoso", "bpf", "", 3600.0, (), links, sessions or (SESSION,), {}, {})


def reading(at: float, seen: LabView | None = None, **changes: Any) -> Reading:
    fields = {"queues": (VOICE,), "traffic": {"ce1:ams1": Octets(1000, 2000)}, "events": ()}
    return Reading(at, 1_700_000_000.0 + at, seen or view(), **{**fields, **changes})


def test_rates_are_those_between_two_readings() -> None:
    later = reading(
        12.0,
        queues=(dataclasses.replace(VOICE, packets=300, octets=19000, drops=50, backlog_packets=3),),
        traffic={"ce1:ams1": Octets(3000, 7000)},
    )
    shown = picture(later, reading(10.0))
    link = next(item for item in shown.links if item.name == "ams-primary")
    assert (link.from_a_bps, link.from_b_bps) == (5000 * 8 / 2, 2000 * 8 / 2)
    (voice,) = shown.classes
    assert (voice.packets_s, voice.bits_s, voice.drops_s) == (100.0, 40000.0, 25.0)
    assert (voice.drops, voice.waiting) == (50, 3)


def test_the_far_end_tells_where_the_near_one_does_not() -> None:
    before, after = ({"sw:ams1": Octets(sent, sent * 3)} for sent in (0, 1000))
    shown = picture(reading(1.0, traffic=after), reading(0.0, traffic=before))
    link = next(item for item in shown.links if item.name == "ams-primary")
    assert (link.from_a_bps, link.from_b_bps) == (8000.0, 24000.0)


def test_without_an_earlier_reading_there_are_no_rates() -> None:
    shown = picture(reading(0.0), None)
    assert {(item.from_a_bps, item.from_b_bps) for item in shown.links} == {(None, None)}
    assert [(item.packets_s, item.drops_s) for item in shown.classes] == [(None, None)]


def test_what_was_made_anew_has_no_rate_rather_than_a_wrong_one() -> None:
    fresh = reading(
        1.0, traffic={"ce1:ams1": Octets(0, 0)}, queues=(dataclasses.replace(VOICE, packets=1, octets=9),)
    )
    shown = picture(fresh, reading(0.0))
    assert {item.from_a_bps for item in shown.links} == {None}
    assert [item.packets_s for item in shown.classes] == [None]


def test_what_needs_a_look_comes_first() -> None:
    cut = dataclasses.replace(LINK, name="zz-cut", a="x:y", carrier=False)
    slow = ImpairmentView("ce1", "ring", "1", 40.0, 0.0, 0.0, 0.0, 0.0, None)
    harmed = dataclasses.replace(LINK, name="yy-harmed", a="v:w", impairments=(slow,))
    busy = {"pc1:eth0": Octets(0, 0)}, {"pc1:eth0": Octets(0, 10**6)}
    down = dataclasses.replace(
        SESSION, state="Active", uptime_s=None, neighbor="192.168.15.9", why="no answer"
    )
    seen = view(SESSION, down, links=(LINK, OTHER, harmed, cut))
    dropping = dataclasses.replace(VOICE, name="default", packets=100, drops=7)
    idle = dataclasses.replace(VOICE, name="video")
    shown = picture(
        reading(1.0, seen, traffic=busy[1], queues=(idle, dropping)),
        reading(0.0, seen, traffic=busy[0], queues=(idle, dataclasses.replace(dropping, drops=0))),
    )
    assert [item.name for item in shown.links] == ["zz-cut", "yy-harmed", "pc1", "ams-primary"]
    assert [item.state for item in shown.links][:2] == ["no carrier", "up"]
    assert shown.links[1].impaired == "to ce1: delay 40ms"
    assert [item.good for item in shown.sessions] == [False, True]
    assert [item.name for item in shown.classes] == ["default", "video"]
    assert (shown.established, shown.sessions_all) == (1, 2)


def test_only_the_customers_end_of_a_peering_is_shown_while_it_is_up() -> None:
    far = dataclasses.replace(SESSION, side="microsoft", node="msee1")
    inner = dataclasses.replace(SESSION, circuit="", side="", group="mesh")
    lost = dataclasses.replace(inner, state="Active")
    shut = dataclasses.replace(lost, shut=True)
    shown = picture(reading(0.0, view(SESSION, far, inner, lost, shut)), None)
    assert [(item.label, item.good) for item in shown.sessions] == [
        ("mesh", False),
        ("ams/private primary", True),
    ]
    assert (shown.established, shown.sessions_all) == (3, 4)


def test_classes_that_nothing_ever_used_are_left_out() -> None:
    unused = dataclasses.replace(VOICE, name="files", packets=0, octets=0)
    assert [item.name for item in picture(reading(0.0, queues=(VOICE, unused)), None).classes] == ["voice"]


def test_events_are_in_words_without_birds_own_states() -> None:
    events = (
        {"time": 1.5, "kind": "session", "namespace": "ce1", "protocol": "p", "text": "State changed to up"},
        {"time": 2.5, "kind": "session", "namespace": "ce1", "protocol": "p", "text": "BGP session closed"},
        {"time": 3.0, "kind": "daemon", "namespace": "ce1", "state": "died", "deaths": 1},
    )
    shown = picture(reading(4.0, events=events), None)
    assert [(item.kind, item.words) for item in shown.events] == [
        ("session", "ce1 p: BGP session closed"),
        ("daemon", "ce1 state=died deaths=1"),
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "link", "namespace": "ce1", "device": "a", "present": True, "up": True, "carrier": False},
         "ce1:a no carrier"),
        ({"kind": "link", "namespace": "ce1", "device": "a", "present": False, "up": False, "carrier": False},
         "ce1:a gone"),
        ({"kind": "service", "command": "SetPeering", "changes": ["a: 1 -> 2"]}, "SetPeering a: 1 -> 2"),
        ({"kind": "lab", "state": "stopping"}, "state=stopping"),
    ],
)  # fmt: skip
def test_an_event_is_a_line(fields: dict[str, Any], words: str) -> None:
    assert event_words(fields) == words


def test_json_has_everything_and_a_version() -> None:
    data = json.loads(json.dumps(picture(reading(1.0), reading(0.0)).to_json()))
    assert data["version"] == 1
    assert data["links"][0]["from_a_bps"] == 0.0
    assert {"sessions", "links", "classes", "events"} <= set(data)


@given(st.integers(0, 60), st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_lines_are_shared_to_the_last_one_and_never_given_twice(room: int, wants: list[int]) -> None:
    given_lines = share(room, wants)
    assert sum(given_lines) <= room
    assert all(got <= want for got, want in zip(given_lines, wants, strict=True))
    assert all(
        got == 0 or got >= min(want, LEAST_LINES) for got, want in zip(given_lines, wants, strict=True)
    )
    unmet = any(got and got < want for got, want in zip(given_lines, wants, strict=True))
    assert sum(given_lines) == room or not unmet


def large() -> Picture:
    sessions = [dataclasses.replace(SESSION, neighbor=f"192.168.15.{n}") for n in range(30)]
    links = tuple(dataclasses.replace(LINK, name=f"link-{n}", a=f"ce{n}:ams1") for n in range(40))
    queues = tuple(dataclasses.replace(VOICE, port=f"ce{n}:ams1") for n in range(30))
    events = tuple(
        {"time": float(n), "kind": "daemon", "namespace": f"n{n}", "state": "died"} for n in range(50)
    )
    return picture(reading(1.0, view(*sessions, links=links), queues=queues, events=events), None)


@given(st.integers(1, 200), st.integers(1, 80))
def test_a_picture_fits_any_window(width: int, height: int) -> None:
    drawn = lines(large(), width, height)
    assert len(drawn) <= height
    assert all(line.cell_len <= width for line in drawn)


def test_a_low_window_keeps_what_needs_a_look_and_the_latest_events() -> None:
    text = [line.plain.rstrip() for line in lines(large(), 120, 24)]
    assert text[0].startswith("lab contoso  30 of 30 sessions")
    assert sum(line.endswith(" more") for line in text) == 3
    assert any(line.endswith(" earlier") for line in text)
    assert "n49" in text[-1]


def test_without_a_limit_all_rows_are_there_and_only_the_latest_events() -> None:
    text = [line.plain for line in lines(large(), 200, None)]
    assert sum("192.168.15." in line for line in text) == 30
    assert sum("link-" in line for line in text) == 40
    assert not any(line.endswith(" more") for line in text)
    assert sum("state=died" in line for line in text) == 19


def test_a_narrow_window_gives_up_columns_not_the_name_or_the_state() -> None:
    text = [line.plain for line in lines(large(), 60, 40)]
    head = next(line for line in text if line.startswith("session"))
    assert "state" in head
    assert "neighbour" not in head
    assert any(line.startswith("ams/private primary  ") for line in text)


def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge.console import console

    for wanted, value in ((True, ""), (False, "1")):
        monkeypatch.setenv("NO_COLOR", value)
        monkeypatch.setenv("TERM", "xterm-256color")
        written = io.StringIO()
        written.isatty = lambda: True  # type: ignore[method-assign]
        console(written, True).print(Drawing(large(), limited=True))
        assert ("\x1b[" in written.getvalue()) == wanted


def test_a_note_stands_in_the_first_line() -> None:
    from edge.console import console

    written = io.StringIO()
    console(written, False).print(Drawing(large(), limited=False, note="the lab changed\ntry again"))
    assert written.getvalue().splitlines()[0].rstrip() == "the lab changed"
