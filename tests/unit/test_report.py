from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.checks import CheckResult, title
from lab.model import Check, FrameCheck, PathCheck, PingCheck, RouteCheck, SessionsCheck
from lab.report.checklines import CheckLines
from lab.report.json import checks_json, dumps, inspect_json
from lab.report.junit import junit_xml
from lab.report.table import inspect_tables, labs_table, show
from lab.report.words import duration
from lab.view import LabView, LinkView, NodeView, SessionView

RESULTS = (
    CheckResult(PingCheck("pc1", "vm1"), True, "pc1 -> vm1: 3 of 3 echo replies, 0.21 ms", {"sent": 3}, 0.06),
    CheckResult(SessionsCheck("ams"), False, '[red]3 of 4\x1b[31m <sessions> & "more"\nfd00::1', {}, 10.0),
)


def session(**changes: object) -> SessionView:
    values: dict[str, object] = {
        "circuit": "ams",
        "peering": "private",
        "connection": "primary",
        "side": "customer",
        "node": "ce1",
        "namespace": "ce1",
        "name": "x",
        "group": "microsoft",
        "interface": "ams1.100",
        "neighbor": "fd00:15::2",
        "family": 6,
        "state": "Established",
        "uptime_s": 61.0,
        "imported": 4,
        "exported": 2,
        "bfd": "Up",
        "why": "",
    }
    return SessionView(**{**values, **changes})


VIEW = LabView(
    name="contoso",
    realisation="bpf",
    reason="no 802.1Q in this kernel",
    uptime_s=125,
    nodes=(
        NodeView("ce1", "ce", "site", ("ce1",), "up", 0),
        NodeView("msee1", "msee", "edge", ("msee1",), "BIRD does not answer in msee1", 2),
    ),
    links=(
        LinkView(
            "ams-primary", "ce1:ams1", "p:ams1", "ams", "primary", True, False, (("3/100", "ams/private"),)
        ),
        LinkView("pc1", "pc1:eth0", "hq-lan:pc1", "", "", None, None, ()),
    ),
    sessions=(
        session(),
        session(state="Active", uptime_s=None, bfd="Down", why="no carrier"),
        session(circuit="", peering="", connection="", side="", group="mesh"),
    ),
    tag_counters={
        "ports": [{"port": "msee1:p", "unknown": [{"tags": [{"tpid": "0x8100", "vid": 3}], "packets": 12}]}]
    },
    packet_counters={},
)


def checked(results: Sequence[CheckResult], stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    lines = CheckLines([title(result.check) for result in results], stream)
    for result in results:
        lines.row(title(result.check), result)
    lines.closing(results)
    return stream.getvalue()


def text(*renderables: object) -> str:
    stream = io.StringIO()
    show(*renderables, stream=stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("check", "name"),
    [
        (PingCheck("pc1", "vm1", 6), "ping pc1 -> vm1 IPv6"),
        (
            PathCheck("pc1", "teams", "ams", "microsoft", "msee1"),
            "path pc1 -> teams via ams/microsoft through msee1",
        ),
        (SessionsCheck(), "sessions all established"),
        (SessionsCheck("ams", "private", "primary", "down"), "sessions ams/private primary down"),
        (RouteCheck("ce1", ip_network("0.0.0.0/0"), present=False), "route ce1 0.0.0.0/0 absent"),
        (
            RouteCheck("ce1", ip_network("10.50.0.0/16"), True, (12076,), ((12076, 5030),)),
            "route ce1 10.50.0.0/16 path 12076 communities 12076:5030",
        ),
        (FrameCheck("ams-primary", (3, 100), "bfd"), "frame ams-primary 3/100 bfd"),
    ],
)
def test_a_check_is_named_as_in_the_topology_file(check: Check, name: str) -> None:
    assert title(check) == name


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.06, "0.1 s"),
        (42.4, "42 s"),
        (59.9, "1 min 0 s"),
        (185, "3 min 5 s"),
        (7260, "2 h 1 min"),
        (4 * 86400 + 7200, "4 d 2 h"),
    ],
)
def test_a_duration_is_said_as_people_say_it(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_a_table_in_a_pipe_has_whole_rows_and_no_control_characters() -> None:
    output = checked(RESULTS)
    assert "ok" in output
    assert "pc1 -> vm1: 3 of 3 echo replies, 0.21 ms" in output
    assert "[red]3 of 4\\x1b[31m <sessions>" in output
    assert "\x1b" not in output
    assert output.rstrip().endswith("1 of 2 checks passed")


def test_the_inspect_tables_show_what_matters_and_hide_what_is_well_inside() -> None:
    output = text(inspect_tables(VIEW))
    assert "lab contoso: 2 nodes, up 2 min 5 s, tags by bpf (no 802.1Q in this kernel)" in output
    rows = {line.split()[0]: line for line in output.splitlines() if line.strip()}
    assert "no carrier" in rows["ams-primary"]
    assert "3/100 ams/private" in rows["ams-primary"]
    assert "unknown" in rows["pc1"]
    assert "BIRD does not answer in msee1" in rows["msee1"]
    assert "1 min 1 s" in output
    assert "sessions inside sites and Microsoft: 1 of 1 established" in output
    assert "ams/private primary IPv6 ce1 -> fd00:15::2: no carrier" in output
    assert "msee1:p dropped 12 frames tagged 3" in output
    assert "mesh" not in output


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_narrow_terminal_gets_narrow_lines(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    checked(RESULTS, stream)
    show(inspect_tables(VIEW), stream=stream)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "\x1b" not in stream.getvalue(), "NO_COLOR"


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    checked(RESULTS, stream)
    assert "\x1b[" in stream.getvalue()


def test_microsofts_end_is_shown_when_only_it_knows_that_a_session_is_down() -> None:
    def shown(customer: str, microsoft: str) -> int:
        ends = (session(state=customer), session(state=microsoft, side="microsoft", node="msee1"))
        rows = text(inspect_tables(replace(VIEW, sessions=ends))).splitlines()
        return sum(row.startswith("ams/private primary") and "Active" in row for row in rows)

    assert shown("Established", "Established") == 0
    assert shown("Active", "Active") == 1
    assert shown("Established", "Active") == 1


def test_running_labs_are_listed() -> None:
    row = {"name": "contoso", "nodes": 21, "circuits": ["ams", "fra"], "realisation": "bpf", "uptime_s": 12.0}
    output = text(labs_table([{**row, "topology": "/x/contoso.edge.yml"}]))
    last = output.splitlines()[-1].split()
    assert last == ["contoso", "21", "ams,", "fra", "bpf", "12", "s", "/x/contoso.edge.yml"]
    assert "lab" in text(labs_table([]))


def test_json_carries_version_and_evidence() -> None:
    data = json.loads(dumps(checks_json("contoso", RESULTS)))
    assert (data["version"], data["passed"], data["failed"]) == (1, 1, 1)
    assert [(check["kind"], check["ok"]) for check in data["checks"]] == [("ping", True), ("sessions", False)]
    assert data["checks"][0]["evidence"] == {"sent": 3}
    view = json.loads(dumps(inspect_json(VIEW)))
    assert view["version"] == 1
    assert view["links"][0]["tags"] == [["3/100", "ams/private"]]


def test_junit_has_one_suite_with_a_case_per_check() -> None:
    started = datetime(2026, 11, 22, 16, 0, tzinfo=timezone.utc)
    root = ET.fromstring(junit_xml("contoso", RESULTS, properties={"realisation": "bpf"}, started=started))
    suite = root.find("testsuite")
    assert suite is not None
    assert {key: suite.get(key) for key in ("name", "tests", "failures", "errors", "time")} == {
        "name": "contoso",
        "tests": "2",
        "failures": "1",
        "errors": "0",
        "time": "10.060",
    }
    assert suite.get("timestamp") == "2026-11-22T16:00:00+00:00"
    assert [(p.get("name"), p.get("value")) for p in suite.iter("property")] == [("realisation", "bpf")]
    good, bad = suite.findall("testcase")
    assert (good.get("classname"), good.get("name")) == ("contoso.ping", "ping pc1 -> vm1")
    assert good.find("failure") is None
    failure = bad.find("failure")
    assert failure is not None
    assert failure.get("message") == '[red]3 of 4\\x1b[31m <sessions> & "more"\nfd00::1'


@given(
    st.text(st.characters(codec=None, exclude_categories=())), st.text(st.characters(exclude_categories=()))
)
def test_any_words_make_well_formed_junit(words: str, name: str) -> None:
    results = [CheckResult(PingCheck(name, "x"), ok, words, {}, 1.0) for ok in (True, False)]
    document = junit_xml(name, results).encode()
    assert len(ET.fromstring(document).findall("testsuite/testcase")) == 2
    assert checked(results).endswith("1 of 2 checks passed\n")
