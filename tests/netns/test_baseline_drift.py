"""`edgelab baseline` and `check --against`: the same lab has no drift, a broken one tells it in words."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from labs import Labs, contoso

pytestmark = pytest.mark.root

CHECKS = [{"sessions": "ams"}, {"ping": ["pc1", "vm1"]}]


def words_of(lab: Labs, good: Path, *more: str) -> tuple[int, list[str]]:
    done = lab.run("check", "--against", str(good), "--format", "json", *more)
    return done.returncode, [item["words"] for item in json.loads(done.stdout)["drift"]]


def test_a_baseline_is_stable_and_drift_from_it_is_found_and_gone_again(labs: Labs, tmp_path: Path) -> None:
    good, again = tmp_path / "good.json", tmp_path / "again.json"
    topology = str(labs.file(contoso(checks=CHECKS)))
    labs.ok("deploy", "-t", topology)
    labs.ok("baseline", "-o", str(good))
    # Another life of the same topology: nothing in the file may depend on when and how it came up.
    labs.ok("destroy")
    labs.ok("deploy", "-t", topology)
    labs.ok("baseline", "-o", str(again))
    assert again.read_text() == good.read_text()
    assert words_of(labs, good) == (0, [])

    # One link: the other one still carries all that the checks ask for but its sessions.
    labs.inside("contoso", "ce1", "ip", "link", "set", "ams1", "down")
    junit = tmp_path / "junit.xml"
    status, words = words_of(labs, good, "--within", "3s", "--junit", str(junit))
    assert status == 1
    assert "link ams-primary: carrier was yes, is no, up was yes, is no" in words
    private = "session ams/private primary ce1:ams1.100 -> 192.168.15.2: "
    (session,) = (one for one in words if one.startswith(private))
    assert "state was Established, is " in session
    gone = "route ce1 10.50.0.0/16 from 192.168.15.2 is gone (next hop 192.168.15.2, AS path 12076)"
    assert gone in words
    assert "route ce1 10.50.0.0/16 from 10.1.0.2: best was no, is yes" in words
    assert "check sessions ams established does not hold any more" in words
    assert not any("ping" in one for one in words)
    (case,) = ET.parse(junit).getroot().iterfind(".//testcase[@name='no drift from the baseline']")
    assert gone in (case.findtext("failure") or "")
    (folder,) = (tmp_path / "evidence").iterdir()
    assert gone in {item["words"] for item in json.loads((folder / "drift.json").read_text())["drift"]}

    worse = tmp_path / "worse.json"
    refused = labs.run("baseline", "-o", str(worse), "--within", "500ms")
    assert (refused.returncode, worse.exists()) == (1, False)
    assert "1 of 2 checks failed, so nothing was recorded" in refused.stderr
    labs.ok("baseline", "-o", str(worse), "--within", "500ms", "--anyway")

    labs.inside("contoso", "ce1", "ip", "link", "set", "ams1", "up")
    assert words_of(labs, good, "--within", "60s") == (0, [])
    status, words = words_of(labs, worse, "--within", "500ms", "--no-evidence")
    assert status == 1
    assert "check sessions ams established holds" in words

    # A router that hangs has routes, and nobody knows which.
    labs.ok("fault", "hang", "ce2")
    status, words = words_of(labs, good, "--within", "500ms", "--no-evidence")
    assert status == 1
    assert any(one.startswith("routes of ce2: BIRD in ce2 does not answer") for one in words)
    assert not any(one.startswith("route ce2 ") for one in words)
    unknown = tmp_path / "unknown.json"
    refused = labs.run("baseline", "-o", str(unknown), "--within", "500ms", "--anyway")
    assert (refused.returncode, unknown.exists()) == (1, False)
    assert "BIRD in ce2 does not answer" in refused.stderr
    labs.ok("heal")
    assert words_of(labs, good, "--within", "60s") == (0, [])

    # A change that breaks nothing is drift all the same.
    document = contoso(checks=CHECKS)
    document["sites"]["hq"]["prepend"] = {"ams": 2}
    labs.ok("deploy", "-t", str(labs.file(document)))
    status, words = words_of(labs, good, "--within", "1s", "--no-evidence")
    assert status == 1
    assert any("AS path was 65010, is 65010 65010 65010" in one for one in words)
    table = labs.run("check", "--against", str(good), "--within", "1s", "--no-evidence")
    assert "2 of 2 checks passed" in table.stdout
    assert "drift: route msee1-amsterdam.ams.private 10.1.0.0/16 from 192.168.15.1: AS path" in table.stdout
