"""The folder that a failed check leaves: which links it shows, what it is called, and a disk without room."""

from __future__ import annotations

import errno
import json
from ipaddress import ip_network
from pathlib import Path

import click
import pytest

from edge.errors import EdgeError
from lab.check_model import BudgetCheck, FlowCheck, NeverCheck, RoutesCheck, ThroughputCheck
from lab.commands.common import TimeSpan
from lab.evidence.folder import Folder
from lab.evidence.gather import Evidence
from lab.evidence.scene import places_of, slug
from lab.model import Check, FrameCheck, PathCheck, PingCheck, RouteCheck, SessionsCheck
from lab.topology import load

CONTOSO = Path(__file__).parents[2] / "lab" / "topologies" / "contoso.edge.yml"
BOTH = ["ams-primary", "ams-secondary"]


@pytest.mark.parametrize(
    ("check", "links"),
    [
        (PingCheck("pc1", "vm1"), ["pc1", "vm1", *BOTH, "hq-inet-internet"]),
        (PingCheck("pc1", "10.50.1.4"), ["pc1", "vm1", *BOTH, "hq-inet-internet"]),
        (PathCheck("pc1", "vm1", "ams"), ["pc1", "vm1", *BOTH]),
        (SessionsCheck("ams"), BOTH),
        (SessionsCheck(), [*BOTH, "hq-inet-internet"]),
        (FrameCheck("ams-primary", (3, 100)), ["ams-primary", "ams-secondary", "hq-inet-internet"]),
        (BudgetCheck("pc1", "teams"), ["pc1", "teams", *BOTH, "hq-inet-internet"]),
        (FlowCheck("pc1", "vm1", "ams-primary-hub"), ["ams-primary-hub", "pc1", "vm1", *BOTH]),
        (NeverCheck("pc1", "vm1", "hq-inet-internet"), ["hq-inet-internet", "pc1", "vm1", *BOTH]),
        (ThroughputCheck("pc1", "vm1", "ams", 80), ["pc1", "vm1", *BOTH]),
        (RouteCheck("ce1", ip_network("10.50.0.0/16")), ["ams-primary", "ce1-lan"]),
        (RoutesCheck("ce2"), ["ams-secondary", "ce2-lan"]),
        (PingCheck("gone", "vm1"), ["vm1", *BOTH, "hq-inet-internet"]),
    ],
)
def test_what_is_captured_is_where_the_check_can_be_seen_to_fail(check: Check, links: list[str]) -> None:
    labels = list(dict.fromkeys(place.label for place in places_of(load(CONTOSO), check)))
    assert labels[: len(links)] == links


def test_a_file_is_called_after_the_check_in_plain_characters() -> None:
    assert slug(3, "ping pc1 -> vm1 IPv6") == "03-ping-pc1-vm1-ipv6"
    assert slug(12, "flow ../../etc/passwd") == "12-flow-..-..-etc-passwd"
    assert len(slug(1, "x" * 300)) == 63


def test_a_folder_says_what_is_in_it_and_what_is_missing(tmp_path: Path) -> None:
    folder = Folder.make(tmp_path / "new", "lab", "Two of three failed")
    folder.write("log", "the log", lambda: b"x")
    folder.write("kernel/ce1.txt", "routes of ce1", lambda: "y")
    folder.write("kernel/ce2.txt", "routes of ce2", lambda: "z")

    def gone() -> str:
        raise EdgeError("the lab has ended")

    folder.write("status.json", "status", gone)
    folder.close()
    assert (folder.path / "README.txt").read_text().splitlines() == [
        "Two of three failed",
        "",
        "index.json  this list, for programs",
        "kernel/     routes of each namespace",
        "log         the log",
        "",
        "missing: status.json could not be had: the lab has ended",
    ]
    index = json.loads((folder.path / "index.json").read_text())
    assert [item["file"] for item in index["files"]] == ["kernel/ce1.txt", "kernel/ce2.txt", "log"]
    assert index["problems"] == ["status.json could not be had: the lab has ended"]
    assert Folder.make(tmp_path / "new", "lab", "").path.name == "lab-2"


def test_nothing_more_is_tried_on_a_full_disk(tmp_path: Path) -> None:
    folder = Folder.make(tmp_path, "lab", "")
    tried: list[str] = []

    def full(path: Path) -> None:
        tried.append(path.name)
        raise OSError(errno.ENOSPC, "No space left on device")

    folder.have("a", "", full)
    folder.have("b", "", full)
    folder.close()
    assert tried == ["a"]
    assert folder.problems == ["a could not be written: No space left on device"]
    words = Evidence(folder.path, tuple(folder.problems)).words
    assert words.endswith("evidence is incomplete: a could not be written: No space left on device")
    assert Evidence(None, ("Permission denied",)).words == (
        "evidence could not be written: Permission denied"
    )


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("500ms", 0.5), ("2min", 120), ("1.5", 1.5), (" 3 s ", 3)]
)
def test_a_time_may_have_a_unit(text: str, seconds: float) -> None:
    assert TimeSpan(0.1).convert(text, None, None) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["10ms", "30h", "..s", "nan", "5 days", "-1s"])
def test_a_time_without_sense_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        TimeSpan(0.1).convert(text, None, None)
