"""Plots: the numbers behind them, that a picture holds them, and that the same numbers give the same SVG."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edge.errors import CapabilityError, UsageError
from lab.commands.plot import plot_command
from lab.report import plots
from lab.report.series import outage_series, quality_series, queue_series, thinned
from lab.traffic.metering import Course, Mark, Metering, metering_json
from lab.traffic.outage import Probe

MS = 1_000_000


@pytest.fixture(autouse=True)
def fonts() -> Iterator[None]:
    """matplotlib keeps the files of fonts open for the next picture; here they are closed."""
    pytest.importorskip("matplotlib")
    yield
    from matplotlib import font_manager

    font_manager._get_font.cache_clear()  # type: ignore[attr-defined]
    gc.collect()


def metering() -> Metering:
    """200 probes, 50 lost, the link changes."""
    probes = tuple(
        Probe(n * MS, None if 100 <= n < 150 else n * MS + 40_000, "one" if n < 100 else "two")
        for n in range(200)
    )
    return Metering(MS, (Course("pc1 -> vm1", probes),), (Mark(100 * MS, "fault", "silent ams/primary"),))


def look(time: float, octets: int, drops: int, waiting: int) -> dict[str, Any]:
    """A line of `edgelab classes --watch --format json`, as far as it matters."""
    row = {"port": "ce1:ams1", "circuit": "ams", "name": "voice", "octets": octets, "drops": drops}
    return {"lab": "contoso", "time": time, "queues": [{**row, "backlog_packets": waiting}]}


LOOKS = [look(10.0, 0, 0, 0), look(11.0, 125_000, 0, 5), look(13.0, 375_000, 8, 9), look(14.0, 0, 0, 0)]
CALL = {
    "lab": "contoso",
    "streams": [
        {
            "medium": "voice",
            "number": 0,
            "way": "out",
            "windows": [
                {"begin_s": 0.0, "mos": 4.4, "loss_percent": 0.0, "jitter_ms": 1.0, "delay_ms": 20.0},
                {"begin_s": 1.0, "mos": 2.1, "loss_percent": 40.0, "jitter_ms": 9.0, "delay_ms": None},
            ],
        }
    ],
}


def test_an_outage_in_numbers() -> None:
    found = outage_series(metering())
    (way,) = found.ways
    assert found.links == ("one", "two")
    assert way.gaps == ((0.1, 0.15),)
    assert len(way.points["one"]) == 100
    assert way.points["one"][0] == (0.0, 0.04)
    assert found.marks == ((0.1, "silent ams/primary"),)


def test_thinning_keeps_the_highest_of_each_stretch() -> None:
    points = [(float(n), 1.0) for n in range(10_000)]
    points[4321] = (4321.0, 99.0)
    found = thinned(points, 100)
    assert len(found) == 100
    assert (4321.0, 99.0) in found
    assert thinned(points[:50], 100) == tuple(points[:50])


def test_queues_in_numbers_are_rates_between_looks_and_survive_a_queue_made_anew() -> None:
    (voice,) = queue_series(LOOKS)
    assert voice.bits_per_s == ((1.0, 1e6), (3.0, 1e6), (4.0, 0.0))
    assert voice.drops_per_s == ((1.0, 0.0), (3.0, 4.0), (4.0, 0.0))
    assert voice.backlog == ((0.0, 0.0), (1.0, 5.0), (3.0, 9.0), (4.0, 0.0))
    assert queue_series(LOOKS, port="ce2:ams2") == ()


def test_a_call_in_numbers() -> None:
    found = quality_series(CALL)
    assert [point.mos for point in found["voice 0 out"]] == [4.4, 2.1]


@pytest.mark.parametrize("what", ["outage", "queues", "call"])
def test_a_picture_is_the_same_octets_each_time_and_holds_its_words(tmp_path: Path, what: str) -> None:
    texts = []
    for number in range(2):
        path = tmp_path / f"{number}.svg"
        if what == "outage":
            plots.plot_outage(outage_series(metering()), path, "a title")
        elif what == "queues":
            plots.plot_queues(queue_series(LOOKS), path, "a title")
        else:
            plots.plot_quality(quality_series(CALL), path, "a title")
        texts.append(path.read_text())
    assert texts[0] == texts[1]
    expected = {
        "outage": ("longest gap 0.050 s", "silent ams/primary", "two", "delay, ms"),
        "queues": ("voice", "Mbit/s", "packets waiting"),
        "call": ("voice 0 out", "MOS", "jitter, ms"),
    }[what]
    assert all(word in texts[0] for word in ("a title", "seconds", *expected))
    assert "<dc:date>" not in texts[0]


def test_a_png_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "outage.png"
    plots.plot_outage(outage_series(metering()), path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="svg or"):
        plots.require(tmp_path / "x.gif")
    with pytest.raises(UsageError, match="no folder"):
        plots.require(tmp_path / "none" / "x.svg")
    with pytest.raises(UsageError, match="two looks"):
        plots.plot_queues(queue_series(LOOKS[:1]), tmp_path / "x.svg")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(CapabilityError, match=r"pip install 'edgelab\[plots\]'"):
        plots.require(tmp_path / "x.svg")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (json.dumps({**metering_json(metering(), probes=True), "lab": "x"}), 0),
        ("".join(json.dumps(one) + "\n" for one in LOOKS) + '{"cut', 0),
        (json.dumps(CALL, indent=2), 0),
        (json.dumps({**metering_json(metering()), "lab": "x"}), "an outage needs --probes"),
        ("[1]", "holds no JSON objects"),
        ("{}", "holds no outage, queues or call"),
        ("what\nis this\n", "is not JSON"),
    ],
)
def test_the_verb_draws_what_the_others_print(tmp_path: Path, text: str, status: int | str) -> None:
    data, picture = tmp_path / "data.json", tmp_path / "x.svg"
    data.write_text(text)
    done = CliRunner().invoke(plot_command, [str(data), "-o", str(picture)])
    if status == 0:
        assert done.exception is None, done.exception
        assert picture.read_text().startswith("<?xml")
    else:
        assert isinstance(done.exception, UsageError)
        assert str(status) in str(done.exception)
        assert not picture.exists()
