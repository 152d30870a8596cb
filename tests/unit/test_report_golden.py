"""Tables of counters as people see them, in a pipe and on a terminal of 80 columns, against golden files.

EDGELAB_UPDATE_GOLDEN=1 writes the expected files anew; read the difference before committing it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.commands.classes import counters_tables
from edge.console import show
from edge.countrows import by_class, by_rule
from edge.fastpath.markcounters import ClassCounters as MarkedClass
from edge.fastpath.markcounters import MarkingCounters, RuleCounters
from edge.fastpath.marklayout import Marked
from edge.model import Tag
from edge.net.objects.base import Endpoint
from edge.net.queues import ClassCounters
from edge.qos.model import CLASSES
from edge.telemetry import Counters
from lab.classes import ClassesView, PolicerRow, QueueRow
from lab.report.classes import classes_tables
from lab.report.json import dumps, inspect_json
from lab.report.table import inspect_tables
from lab.view import ImpairmentView, LabView, LinkView, NodeView

GOLDEN = Path(__file__).parent.parent / "golden" / "report"
PORT, FAR = "ce1:ams1", "equinix-amsterdam:ams1"
MBIT = 1_000_000


def queue(number: int, *, at: Endpoint, packets: int = 0, drops: int = 0, waiting: int = 0) -> ClassCounters:
    """A class of the service's table on a circuit of 200 Mbit/s."""
    item = CLASSES[number]
    rate = 2 * MBIT * item.share
    ceil = rate if item.strict else 200 * MBIT
    borrowed = 7 if item.name == "default" and packets > 1000 else 0
    octets, backlog = packets * 1200, waiting * 1200
    return ClassCounters(
        at, 0, item.name, item.strict, rate, ceil, packets, octets, drops, waiting, backlog, borrowed
    )


def port(at: Endpoint) -> tuple[ClassCounters, ...]:
    """All classes of a port."""
    fast = 400_000 * MBIT
    return (
        queue(0, at=at, packets=15_000, drops=3),
        queue(1, at=at, packets=120),
        queue(2, at=at),
        queue(3, at=at),
        queue(4, at=at, packets=1_234_567, drops=250, waiting=40),
        ClassCounters(at, None, "unsteered", False, fast, fast, 4, 560, 0, 0, 0, 0),
    )


def marking(at: Endpoint) -> MarkingCounters:
    """A policy of two rules."""
    voice, rest = (
        Marked(15_000, 18_000_000, 14_990),
        Marked(1_234_567, 1_481_480_400, 12, unknown=5, dropped=5),
    )
    return MarkingCounters(
        at,
        "egress",
        Tag(3),
        "teams",
        (MarkedClass("voice", 0, voice), MarkedClass("video", 1, Marked()), MarkedClass("default", 4, rest)),
        (RuleCounters("teams-audio", "voice", voice), RuleCounters("teams-video", "video", Marked())),
        rest,
        Tag(200),
    )


def later(counted: ClassCounters) -> ClassCounters:
    """The same after a second of 12 Mbit/s."""
    return replace(counted, octets=counted.octets + 1_500_000, packets=counted.packets + 1250)


HERE = Endpoint("", "ams1")
COUNTERS = Counters(
    100.0, port(HERE), (marking(HERE),), ("program 7 (edge_mark_x) was made by another version",)
)


def lab_view(time: float, counted: tuple[ClassCounters, ...]) -> ClassesView:
    """What a supervisor tells of one port, one policer and one marking."""
    told = [item.to_json() for item in counted]
    queues = tuple(
        QueueRow(
            item["at"],
            "ams-primary",
            FAR,
            "ams" if item["tree"] is not None else "",
            **{key: value for key, value in item.items() if key not in ("at", "tree")},
        )
        for item in told
    )
    policers = (
        PolicerRow("ams-primary", "Microsoft", "EF", 15_000, 18_000_000, 0, 0),
        PolicerRow("ams-primary", "Microsoft", "other", 1_234_000, 1_480_800_000, 567, 680_400),
    )
    marked = [marking(Endpoint("ce1", "ams1")).to_json()]
    return ClassesView("contoso", time, queues, policers, tuple(by_class(marked)), tuple(by_rule(marked)))


HARM = ImpairmentView("ce1", "ring", "77", 40.0, 5.0, 1.5, 0.0, 0.2, None, 4000, 61, 0, 0, 8, 12)
QUEUED = [
    {**item.to_json(), "link": "ams-primary", "towards": FAR, "circuit": "" if item.tree is None else "ams"}
    for item in port(Endpoint("ce1", "ams1"))
]
LAB = LabView(
    name="contoso",
    realisation="bpf",
    reason="BPF programs load and attach",
    uptime_s=125.0,
    nodes=(NodeView("ce1", "ce", "site", ("ce1",), "up", 0),),
    links=(
        LinkView(
            *("ams-primary", PORT, FAR, "ams", "primary", True, True),
            (("3/100", "ams/private"), ("3/200", "ams/microsoft")),
            (
                HARM,
                replace(HARM, towards="equinix-amsterdam", delay_ms=0.5, jitter_ms=0.0, rate_bps=50 * MBIT),
            ),
        ),
        LinkView(
            *("pc1", "pc1:eth0", "hq-lan:pc1", "", "", True, True, ()),
            (ImpairmentView("pc1", "netem", "9", 0.0, 0.0, 0.0, 2.0, 0.0, None),),
        ),
    ),
    sessions=(),
    tag_counters={
        "virtual_circuits": [
            {
                "name": "ams-primary",
                "a_to_b": {
                    "by_class": [
                        {
                            "name": "other",
                            "passed": {"packets": 9, "bytes": 900},
                            "dropped": {"packets": 567, "bytes": 680_400},
                        }
                    ]
                },
                "b_to_a": {"by_class": []},
            }
        ]
    },
    packet_counters={},
    queues=tuple(QUEUED),
    marking="bpf",
)
SHOWN: dict[str, Callable[[], Any]] = {
    "inspect": lambda: inspect_tables(LAB),
    "edgelab-classes": lambda: classes_tables(lab_view(100.0, port(Endpoint("ce1", "ams1")))),
    "edgelab-classes-rules": lambda: classes_tables(lab_view(1.0, port(Endpoint("ce1", "ams1"))), rules=True),
    "edge-classes": lambda: counters_tables(COUNTERS),
    "edge-classes-watched": lambda: counters_tables(
        replace(COUNTERS, time=101.0, queues=tuple(map(later, COUNTERS.queues))), COUNTERS
    ),
}


class Terminal(io.StringIO):
    """A screen."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("columns", [None, 80])
def test_tables_are_as_in_the_golden_file(
    name: str, columns: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = io.StringIO() if columns is None else Terminal()
    show(SHOWN[name](), stream=stream)
    text = "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())
    if columns is not None:
        assert max(map(len, text.splitlines())) <= columns
    same_as(text, f"{name}{'' if columns is None else f'-{columns}'}.txt")


def test_inspect_as_data_has_what_harms_a_link_and_whose_queues_are_whose() -> None:
    same_as(dumps(inspect_json(LAB)), "inspect.json")


def test_counters_as_data_are_as_in_the_golden_file() -> None:
    same_as(dumps(COUNTERS.to_json()), "edge-classes.json")


def same_as(text: str, file: str) -> None:
    """The text is that of a golden file."""
    golden = GOLDEN / file
    if os.environ.get("EDGELAB_UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
