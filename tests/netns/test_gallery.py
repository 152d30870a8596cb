"""Every topology of the gallery comes up and proves what its checks promise, and tshark reads its frames.

contoso is in test_lab_life and test_capture_lab.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from frr import needs_frr
from galleryframes import assert_reads_well, restart_a_session, wait_for
from labs import CONTOSO, Labs
from recorded import TSHARK, capturing

from lab.model import SessionsCheck
from lab.topology import load

pytestmark = pytest.mark.root

ELSEWHERE = ("contoso.edge.yml", "vpn-ike.edge.yml")
"""Topologies that tests of their own deploy and check."""

GALLERY = sorted(path for path in CONTOSO.parent.glob("*.edge.yml") if path.name not in ELSEWHERE)


def expects_a_session_down(path: Path) -> bool:
    return any(isinstance(check, SessionsCheck) and check.state == "down" for check in load(path).checks)


MARKS = {
    "one-edge.edge.yml": [
        pytest.mark.kernels("here", "stock"),
        pytest.mark.shows("dot1q hand-off", here="bpf", stock="kernel"),
    ],
    "own-router.edge.yml": [needs_frr],
    "vpn-backup.edge.yml": [pytest.mark.kernels("stock")],
}
"""What single topologies show, and need."""


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.name.removesuffix(".edge.yml"), marks=MARKS.get(path.name, ()))
        for path in GALLERY
    ],
)
def test_a_topology_of_the_gallery_deploys_and_its_checks_hold(labs: Labs, path: Path) -> None:
    # A deploy that waits exits 1 where a session is meant to stay down; there the checks do the waiting.
    wait = ["--no-wait"] if expects_a_session_down(path) else []
    done = labs.json("deploy", "-t", str(path), *wait)
    assert (done["created"], done["pending"]) == (True, [])
    model = load(path)
    if not TSHARK:
        report = labs.json("check", model.name)
    else:
        with capturing(labs, model.name, "all", "--verdict") as capture:
            restarted = restart_a_session(labs, model)
            report = labs.json("check", model.name)
            wait_for(labs, model, restarted, capture.path)
        assert_reads_well(model, capture.path, restarted)
    assert len(report["checks"]) == len(model.checks) > 0
    assert [one for one in report["checks"] if not one["ok"]] == []


def test_the_gallery_is_there() -> None:
    assert len(GALLERY) >= 3


def test_the_lesson_of_the_wrong_key_is_over_when_the_override_is_taken_away(labs: Labs) -> None:
    lesson = CONTOSO.with_name("wrong-key.edge.yml")
    waited = labs.run("deploy", "-t", str(lesson), "--wait", "2")
    assert (waited.returncode, "ams_private_primary of ce1" in waited.stderr) == (1, True)
    document = {**load(lesson).document, "checks": [{"sessions": "ams"}]}
    document["sites"]["hq"]["overrides"] = []
    mended = labs.file(document)
    labs.ok("deploy", "-t", str(mended))
    assert labs.json("check", "wrong-key")["failed"] == 0
