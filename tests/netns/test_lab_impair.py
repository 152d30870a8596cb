"""Links of a lab that carry frames badly: from the topology file, changed while the lab runs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from labs import Labs, contoso, established, until

pytestmark = pytest.mark.root


def link(labs: Labs, name: str) -> dict[str, Any]:
    """A link in `inspect`."""
    return next(item for item in labs.json("inspect")["links"] if item["name"] == name)


def round_trip_ms(labs: Labs, node: str, target: str) -> float:
    """Least of five."""
    shown = labs.inside("contoso", node, "ping", "-c", "5", "-i", "0.1", target)
    return float(re.findall(r"= ([\d.]+)/", shown)[0])


def uptimes(labs: Labs) -> dict[tuple[str, str], float]:
    """Seconds that sessions are up, by (namespace, name)."""
    return {(s["namespace"], s["name"]): s["uptime_s"] for s in established(labs.json("inspect"))}


@pytest.mark.kernels("here", "stock")
def test_a_lab_may_begin_with_a_bad_link(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(labs.file(contoso(links={"ams-primary": {"delay": "40ms"}}))))
    assert 80 <= round_trip_ms(labs, "ce1", "192.168.15.2") < 300
    assert round_trip_ms(labs, "ce2", "192.168.15.6") < 40


def test_a_links_delay_comes_changes_and_goes_while_sessions_stay(labs: Labs) -> None:
    plain = contoso()
    labs.ok("deploy", "-t", str(labs.file(plain)))
    first = uptimes(labs)
    at_once = round_trip_ms(labs, "ce1", "192.168.15.2")

    delayed = {**plain, "links": {"ams-primary": {"delay": "40ms", "jitter": "5ms"}}}
    labs.ok("deploy", "-t", str(labs.file(delayed)))
    assert at_once + 70 <= round_trip_ms(labs, "ce1", "192.168.15.2") < at_once + 300
    shown = link(labs, "ams-primary")["impairments"]
    assert {item["towards"]: item["delay_ms"] for item in shown} == {"equinix-amsterdam": 40, "ce1": 40}
    assert all(item["offered"] >= 5 and item["lost"] == 0 for item in shown)
    assert "nothing to do" in labs.run("deploy", "-t", str(labs.file(delayed)), "--dry-run").stderr

    one_way = {**plain, "links": {"ams-primary": [{"towards": "ce1", "delay": "60ms"}]}}
    labs.ok("deploy", "-t", str(labs.file(one_way)))
    assert at_once + 60 <= round_trip_ms(labs, "ce1", "192.168.15.2") < at_once + 250
    assert [item["towards"] for item in link(labs, "ams-primary")["impairments"]] == ["ce1"]

    labs.ok("deploy", "-t", str(labs.file(plain)))
    assert round_trip_ms(labs, "ce1", "192.168.15.2") < 40
    assert link(labs, "ams-primary")["impairments"] == []
    last = uptimes(labs)
    assert last.keys() == first.keys()
    assert all(last[key] > first[key] for key in first)


def test_silent_loss_ends_sessions_by_bfd_while_the_carrier_stays(labs: Labs) -> None:
    plain = contoso()
    labs.ok("deploy", "-t", str(labs.file(plain)))
    deaf = {**plain, "links": {"ams-primary": [{"towards": "ce1", "loss": "100%"}]}}
    labs.run("deploy", "-t", str(labs.file(deaf)), "--no-wait")
    until(
        lambda: not established(labs.json("inspect"), connection="primary", peering="private"),
        "BFD ends the primary sessions",
    )
    view = link(labs, "ams-primary")
    assert (view["up"], view["carrier"]) == (True, True)
    assert view["impairments"][0]["lost"] == view["impairments"][0]["offered"] > 0
    assert " 0% packet loss" in labs.inside("contoso", "pc1", "ping", "-c", "3", "-i", "0.1", "10.50.1.4")
    labs.ok("deploy", "-t", str(labs.file(plain)))
    until(lambda: len(established(labs.json("inspect"), side="customer")) == 6, "all sessions return")


def test_a_lossy_link_loses_its_part_of_pings(labs: Labs) -> None:
    lossy = contoso(links={"pc1": {"delay": "2ms", "loss": "10%", "seed": 3}})
    labs.ok("deploy", "-t", str(labs.file(lossy)))
    # Packets that wait for an ARP answer which was lost are lost with it, many at a time.
    once = ("exec", "contoso", "pc1", "--", "ping", "-c", "1", "-W", "1", "10.50.1.4")
    until(lambda: labs.run(*once).returncode == 0, "the hosts know their neighbours")
    pings = ("ping", "-c", "300", "-i", "0.01", "-W", "1", "10.50.1.4")
    shown = labs.run("exec", "contoso", "pc1", "--", *pings).stdout
    received = int(re.findall(r"(\d+) received", shown)[0])
    # Both ways: 0.9 * 0.9 of 300, five standard deviations wide.
    assert abs(received - 243) < 5 * (300 * 0.81 * 0.19) ** 0.5


def test_ports_and_lans_are_harmed_without_bpf_as_well(labs: Labs) -> None:
    bad = contoso(links={"ams-primary": {"delay": "40ms"}, "pc1": {"delay": "25ms"}})
    labs.ok("deploy", "-t", str(labs.file(bad)), "--links", "ring")
    assert 80 <= round_trip_ms(labs, "ce1", "192.168.15.2") < 300
    assert 50 <= round_trip_ms(labs, "pc1", "10.1.0.1") < 250
    counted = [item for name in ("ams-primary", "pc1") for item in link(labs, name)["impairments"]]
    assert len(counted) == 4
    assert all(item["offered"] >= 5 for item in counted)
    mended = contoso(links={"pc1": {"delay": "0ms", "loss": "0.0001%"}})
    labs.ok("deploy", "-t", str(labs.file(mended)), "--links", "ring")
    assert round_trip_ms(labs, "pc1", "10.1.0.1") < 50
    assert link(labs, "ams-primary")["impairments"] == []


def test_classes_keep_their_marks_and_queues_over_a_bad_link(labs: Labs) -> None:
    dscp = {"voice": 46, "video": 34, "sharing": 18, "default": 0}
    bad = contoso(
        links={"ams-primary": {"delay": "5ms", "rate": "200M"}, "ams-secondary": {"delay": "5ms"}},
        checks=[{"path": ["pc1", "teams"], "via": "ams", "peering": "microsoft", "dscp": dscp}],
    )
    labs.ok("deploy", "-t", str(labs.file(bad)))
    report = labs.json("check")
    assert (report["passed"], report["failed"]) == (1, 0), report
