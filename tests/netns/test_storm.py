"""A short storm over the reference lab: it happens on the wire, all is as before after it, and what no fault
explains is told.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import Any

import pytest
from faultlab import connect
from labs import CONTOSO, Labs

from lab.faults.explained import touched
from lab.faults.kinds import KINDS
from lab.faults.storm import storm
from lab.model import LabModel
from lab.topology import load

pytestmark = pytest.mark.root

STORM_S = 12
CALM_S = 6
LONGEST_S = 200.0
BYSTANDER = "microsoft-core"
"""A router that no fault of the second storm touches."""


@pytest.fixture(scope="module")
def model() -> LabModel:
    return load(CONTOSO)


@pytest.fixture
def contoso(labs: Labs) -> Labs:
    labs.ok("deploy", "-t", str(CONTOSO), "--wait", "60")
    return labs


def violent(model: LabModel) -> int:
    """The first seed whose storm kills a router, cuts a link and harms one silently."""
    wanted = {"crash", "link-down", "silent"}
    return next(
        seed for seed in range(1000) if wanted <= {one.fault.kind for one in storm(model, seed, STORM_S)}
    )


def mild(model: LabModel) -> int:
    """The first seed whose storm has nothing to do with the bystander."""

    def far(kind: str, target: str) -> bool:
        reach = touched(model, kind, target)
        spaces = set().union(reach.whole, *reach.between)
        return not reach.everything and BYSTANDER not in spaces and KINDS[kind].act is None

    return next(
        seed
        for seed in range(1000)
        if (strikes := storm(model, seed, CALM_S)) and all(far(x.fault.kind, x.fault.target) for x in strikes)
    )


def test_a_lab_outlives_a_storm_that_kills_cuts_and_silences(contoso: Labs, model: LabModel) -> None:
    seed = violent(model)
    words = ("storm", "contoso", "--seed", str(seed), "--for", f"{STORM_S}s")
    planned = json.loads(contoso.ok(*words, "--dry-run", "--format", "json"))
    done = contoso.run(*words, "--format", "json", timeout=LONGEST_S)
    came = json.loads(done.stdout)
    told = {key: came[key] for key in ("refused", "down", "failed", "more", "unexplained")}
    assert done.returncode == 0, json.dumps(told, indent=1)
    assert came["ok"] is True
    assert sum(came["struck"].values()) == len(planned["faults"])
    assert came["falls"] >= 2, "nobody would call this a storm"
    died = [event for event in events(contoso) if (event["kind"], event.get("state")) == ("daemon", "died")]
    assert len(died) >= came["struck"]["crash"]
    assert contoso.json("fault", "list")["active"] == []


def test_a_router_that_dies_by_another_hand_has_no_explanation(contoso: Labs, model: LabModel) -> None:
    words = ("storm", "contoso", "--seed", str(mild(model)), "--for", f"{CALM_S}s", "--format", "json")
    with (contoso.scratch / "came.json").open("w+") as told:
        process = contoso.fork(*words, stdout=told)
        await_event(contoso, kind="fault", state="begins")
        # However slow the machine is, the storm cannot be over before it happens.
        os.kill(process.pid, signal.SIGSTOP)
        try:
            with connect(contoso) as client:
                pid = client.status()["daemons"][BYSTANDER]["pid"]
            contoso.inside("contoso", BYSTANDER, "kill", "-KILL", str(pid))
            await_event(contoso, kind="daemon", state="died", namespace=BYSTANDER)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        assert process.wait(LONGEST_S) == 1
        told.seek(0)
        came = json.load(told)
    died = [event for event in came["unexplained"] if event["kind"] == "daemon"]
    assert [(event["namespace"], event["state"]) for event in died] == [(BYSTANDER, "died")]
    assert not came["down"]
    assert not came["failed"]


def await_event(labs: Labs, **like: str) -> None:
    """Wait until the lab has told an event with these fields. AssertionError after LONGEST_S."""
    with connect(labs) as client:
        guard = threading.Timer(LONGEST_S, client.hang_up)
        guard.start()
        try:
            told = client.events(history=True, follow=True)
            assert any(like.items() <= event.items() for event in told), f"no event {like}"
        finally:
            guard.cancel()
            guard.join()


def events(labs: Labs) -> list[dict[str, Any]]:
    return [json.loads(line) for line in labs.ok("events", "--no-follow", "--format", "json").splitlines()]
