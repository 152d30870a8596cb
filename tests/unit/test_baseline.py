"""Baselines: what is recorded of a lab, and how drift from it is told."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from edge.bgp.policy import protocol_name
from edge.bgp.state import NextHop, RouteInfo
from edge.errors import UsageError
from edge.model import Vrf
from lab.baseline.drift import drift
from lab.baseline.picture import Picture, dumps, load, picture
from lab.checks.result import CheckResult
from lab.model import PingCheck
from lab.topology import load as load_topology
from lab.view import ImpairmentView, LabView, LinkView, NodeView, SessionView

CONTOSO = Path(__file__).parents[2] / "lab" / "topologies" / "contoso.edge.yml"
HARM = ImpairmentView("ce1", "ring", "0", 20.0, 0.0, 0.5, 0.0, 0.0, None, offered=7)
SESSION = SessionView(
    *("ams", "private", "primary", "customer", "ce1", "ce1", "x", "microsoft", "ams1.100", "192.168.15.2"),
    *(4, "Established", 61.0, 1, 2, "Up", ""),
)
QUEUE = {"at": "ce1:ams1", "circuit": "ams", "name": "voice", "strict": True, "rate_bps": 1, "ceil_bps": 2}
VIEW = LabView(
    name="contoso",
    realisation="bpf",
    reason="",
    uptime_s=5.0,
    nodes=(NodeView("ce1", "ce", "site", ("ce1",), "up", 0),),
    links=(
        LinkView(
            *("ams-primary", "ce1:ams1", "p:ams1", "ams", "primary", True, True),
            (("3/100", "ams/private"),),
            (HARM,),
        ),
    ),
    sessions=(SESSION,),
    tag_counters={},
    packet_counters={},
    queues=({**QUEUE, "packets": 9}, {**QUEUE, "circuit": "", "name": "unsteered"}),
)
RESULTS = (CheckResult(PingCheck("pc1", "vm1"), True, "3 of 3", {}, 0.1),)


def domain() -> Vrf:
    model = load_topology(CONTOSO)
    return next(vrf for router in model.routers for vrf in router.vrfs if vrf.namespace == "ce1")


def route(since: datetime | None = None, **changes: Any) -> RouteInfo:
    session = next(one for one in domain().sessions if str(one.neighbor) == "192.168.15.2")
    values: dict[str, Any] = {
        "network": ip_network("10.50.0.0/16"),
        "protocol": protocol_name(session),
        "best": True,
        "kind": "unicast",
        "preference": 100,
        "since": since,
        "next_hops": (NextHop(ip_address("192.168.15.2"), "ams1.100"),),
        "as_path": (12076,),
        "communities": ((12076, 5030), (12076, 50)),
        "local_pref": 100,
    }
    return RouteInfo(**{**values, **changes})


def recorded(view: LabView = VIEW, *routes: RouteInfo, ok: bool = True) -> Picture:
    found = picture(view, {"ce1": (domain(), routes or (route(),))}, [replace(RESULTS[0], ok=ok)])
    again: Picture = json.loads(dumps(found))
    assert again == found, "it is plain data"
    return found


def test_a_picture_has_what_a_good_lab_looks_like() -> None:
    found = recorded()
    assert found["links"]["ams-primary"] == {
        "ends": "ce1:ams1 p:ams1",
        "up": True,
        "carrier": True,
        "tags": "3/100 ams/private",
        "harm": "towards ce1: delay 20 ms loss 0.5 %",
    }
    assert found["sessions"] == {
        "ams/private primary ce1:ams1.100 -> 192.168.15.2": {
            "state": "Established",
            "bfd": "Up",
            "in": 1,
            "out": 2,
        }
    }
    assert found["routes"] == {
        "ce1 10.50.0.0/16 from 192.168.15.2": {
            "best": True,
            "next_hop": "192.168.15.2",
            "as_path": "12076",
            "communities": "12076:50 12076:5030",
            "local_pref": 100,
            "med": None,
        }
    }
    assert list(found["classes"]) == ["ce1:ams1 ams voice"]
    assert found["checks"] == {"ping pc1 -> vm1": {"ok": True}}


def test_what_changes_by_itself_is_not_recorded() -> None:
    later = replace(
        VIEW,
        uptime_s=99.0,
        realisation="kernel",
        sessions=(replace(SESSION, uptime_s=9999.0),),
        queues=({**QUEUE, "packets": 1000},),
        links=(replace(VIEW.links[0], impairments=(replace(HARM, offered=99),)),),
    )
    assert dumps(recorded(later, route(datetime(2026, 1, 1)))) == dumps(recorded())  # noqa: DTZ001


def test_routes_that_did_not_come_by_bgp_are_left_out() -> None:
    assert recorded(VIEW, route(protocol="static1"))["routes"] == {}


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (recorded(), []),
        (
            recorded(replace(VIEW, links=(replace(VIEW.links[0], carrier=False),))),
            ["link ams-primary: carrier was yes, is no"],
        ),
        (
            recorded(replace(VIEW, sessions=(replace(SESSION, state="Idle", bfd="", imported=0),))),
            [
                "session ams/private primary ce1:ams1.100 -> 192.168.15.2: BFD was Up, is nothing, "
                "prefixes in was 1, is 0, state was Established, is Idle"
            ],
        ),
        (
            recorded(VIEW, route(as_path=(12076, 12076), communities=())),
            [
                "route ce1 10.50.0.0/16 from 192.168.15.2: AS path was 12076, is 12076 12076, "
                "communities was 12076:50 12076:5030, is nothing"
            ],
        ),
        (
            recorded(VIEW, route(), route(network=ip_network("0.0.0.0/0"), communities=())),
            [
                "route ce1 0.0.0.0/0 from 192.168.15.2 is new (next hop 192.168.15.2, AS path 12076)",
            ],
        ),
        (
            recorded(replace(VIEW, nodes=(), queues=())),
            ["node ce1 is gone", "queue ce1:ams1 ams voice is gone"],
        ),
        (recorded(ok=False), ["check ping pc1 -> vm1 does not hold any more"]),
    ],
)
def test_drift_is_told_in_words(now: Picture, words: list[str]) -> None:
    assert [item.words for item in drift(recorded(), now)] == words


def test_the_routes_of_a_silent_router_are_unknown_and_not_gone() -> None:
    words = "BIRD in ce1 does not answer (no socket)"
    now = {**recorded(), "routes": {}}
    assert [item.words for item in drift(recorded(), now, {"ce1": words})] == [f"routes of ce1: {words}"]


def test_a_recorded_file_is_read_again_and_anything_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "good.json"
    path.write_text(dumps(recorded()))
    assert drift(load(path), recorded()) == ()
    with pytest.raises(UsageError, match="No such file"):
        load(tmp_path / "none.json")
    found = recorded()
    worse: list[tuple[str, str]] = [
        ("{", "is no baseline"),
        ("[]", "is no baseline; record one with: edgelab baseline -o"),
        (json.dumps({**found, "version": 2}), "version 2, not 1"),
        (json.dumps({**found, "links": {"ams-primary": 1}}), "has no links as a baseline has them"),
    ]
    without = copy.deepcopy(found)
    del without["routes"]
    for text, words in (*worse, (json.dumps(without), "has no routes")):
        path.write_text(text)
        with pytest.raises(UsageError, match=words):
            load(path)
