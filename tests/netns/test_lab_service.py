"""Commands to the service of a running lab: what they change on the wire, and what they leave alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from labs import CONTOSO, Labs, established, until
from uptimes import assert_undisturbed, uptimes

pytestmark = pytest.mark.root

PUBLIC = ("198.51.100.1", "198.51.100.2", "198.51.100.5", "198.51.100.6")
"""Link addresses of the Microsoft peering, whose sessions the commands shut and open."""


def say(labs: Labs, line: str) -> dict[str, Any]:
    """An accepted command's answer."""
    answer: dict[str, Any] = labs.json(*line.split())
    assert answer["ok"]
    return answer


def no(labs: Labs, line: str) -> str:
    """The code of a refused command, which has changed nothing."""
    before = service(labs)
    done = labs.run(*line.split(), "--format", "json")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "refused" in done.stderr
    assert service(labs) == before
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    assert answer["refusal"]["words"]
    code: str = answer["refusal"]["code"]
    return code


def service(labs: Labs) -> dict[str, Any]:
    """The State as the supervisor keeps it."""
    state: dict[str, Any] = json.loads((labs.directory / "contoso" / "service.json").read_text())
    assert state["version"] == 1
    return state["state"]


def routes(labs: Labs, node: str) -> str:
    return labs.inside("contoso", node, "ip", "route")


def path(labs: Labs, namespace: str, protocol: str, prefix: str) -> tuple[int, ...]:
    """AS path of a prefix as one session brought it."""
    from ipaddress import ip_network

    from lab.client import Client
    from lab.state import RunDirectory

    with Client(RunDirectory(labs.directory / "contoso")) as client:
        found = client.bird(namespace).routes(ip_network(prefix), protocol=protocol)
    return found[0].as_path


def test_twenty_commands_change_the_lab_and_leave_the_other_sessions_alone(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(CONTOSO))
    before = uptimes(labs)
    assert len(before) >= 20

    assert no(labs, "circuit bandwidth ams 100M") == "BandwidthLowered"
    raised = say(labs, "circuit bandwidth ams 500M")
    assert [event["kind"] for event in raised["events"]] == ["BandwidthRaised", "ThrottleBehind"]
    assert not any("virtual circuit" in step["object"] for step in raised["steps"])
    throttled = say(labs, "provider throttle ams 500M")
    assert [step["object"].split()[:2] for step in throttled["steps"]] == [["virtual", "circuit"]] * 2
    say(labs, "connection weight hub-ams 100")
    assert "40.96.0.0/13" in routes(labs, "ce1")
    say(labs, "filter set ams-filter teams")
    until(lambda: "40.96.0.0/13" not in routes(labs, "ce1"), "Exchange's routes leave")
    assert "52.112.0.0/14" in routes(labs, "ce1")
    say(labs, "filter detach ams")
    until(lambda: "52.112.0.0/14" not in routes(labs, "ce1"), "no route without a filter")
    say(labs, "filter attach ams ams-filter")
    until(lambda: "52.112.0.0/14" in routes(labs, "ce1"), "Teams' routes come back")
    say(labs, "microsoft maintain ams primary")
    customer = ("ce1", "microsoft_ams_private_primary", "10.50.0.0/16")
    gateway = ("hub-gw0", "microsoft_ams_primary", "10.1.0.0/16")
    until(lambda: path(labs, *customer) == (12076,) * 9, "the prepends towards the customer")
    until(lambda: path(labs, *gateway) == (*(12076,) * 9, 65010), "the prepends towards the gateway")
    assert no(labs, "microsoft maintain ams secondary") == "MaintenanceRuns"
    say(labs, "microsoft maintained ams")
    until(lambda: path(labs, *customer) == (12076,), "the path without prepends")
    say(labs, "peering disable ams microsoft")
    until(
        lambda: not established(labs.json("inspect"), circuit="ams", peering="microsoft"),
        "both sessions shut",
    )
    assert say(labs, "peering enable ams microsoft --wait 15")["pending"] == []
    say(
        labs,
        "circuit create lon --provider Equinix --location London --tier premium --family metered "
        "--bandwidth 200M --site hq",
    )
    assert no(labs, "peering set lon private --vlan 100 --peer-asn 65010 --v4 192.168.16.0/29") == (
        "CircuitNotProvisioned"
    )
    say(labs, "provider provision lon")
    say(
        labs,
        "peering set lon private --vlan 100 --peer-asn 65010 --v4 192.168.16.0/29 --v6 fd00:16::/125 "
        "--wait 15",
    )
    assert say(labs, "connection create hub-lon hub-gw lon --wait 15")["pending"] == []
    until(lambda: "192.168.16.2" in routes(labs, "ce1"), "the second circuit carries routes")
    assert no(labs, "circuit delete lon") == "CircuitProvisioned"
    assert no(labs, "peering delete lon private") == "PeeringInUse"
    say(labs, "connection delete hub-lon")
    say(labs, "peering delete lon private")
    say(labs, "provider deprovision lon")
    say(labs, "circuit delete lon")
    assert say(labs, "peering reset ams microsoft --wait 15")["restarts"]

    assert_undisturbed(before, uptimes(labs), apart=PUBLIC)
    labs.ok("deploy", "-t", str(CONTOSO))
    assert service(labs)["circuits"]["ams"]["bandwidth_mbps"] == 200
    assert labs.json("check")["failed"] == 0
    assert labs.json("deploy", "-t", str(CONTOSO))["changed"] is False


def test_what_the_provider_takes_down_carries_nothing_until_it_is_provisioned_again(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(CONTOSO))
    ping = ("exec", "pc1", "--", "ping", "-c", "1", "-W", "1", "10.50.1.4")
    until(lambda: labs.run(*ping).returncode == 0, "the ping through the circuit")
    say(labs, "provider deprovision ams")
    until(
        lambda: not established(labs.json("inspect"), circuit="ams"),
        "BFD finds that nothing passes any more",
    )
    assert labs.run(*ping).returncode != 0
    why = labs.ok("inspect")
    assert "circuit ams is NotProvisioned: edgelab provider provision ams" in why
    assert "16 shut by the service" in why
    assert no(labs, "peering disable lon private") == "ResourceNotFound"
    assert say(labs, "provider provision ams --wait 15")["pending"] == []
    until(lambda: labs.run(*ping).returncode == 0, "the ping through the circuit again")

    say(labs, "vnet create far westeurope 10.1.0.0/16")
    say(labs, "gateway create far-gw far --sku ErGw1AZ --subnet 10.1.255.0/27")
    refused = labs.run("connection", "create", "far-ams", "far-gw", "ams")
    assert (refused.returncode, "the LAN of site hq" in refused.stderr) == (1, True)
    assert no(labs, "vnet create teams westeurope 10.77.0.0/16") == "LabLimit"
    wrong = labs.run("circuit", "bandwidth", "ams", "fast")
    assert (wrong.returncode, "200M or 10G" in wrong.stderr) == (2, True)
    planned = labs.json("peering", "disable", "ams", "private", "--dry-run")
    assert planned["plan"]["counts"]["change"] == 2
    assert service(labs)["circuits"]["ams"]["peerings"]["private"]["state"] == "Enabled"
    rows = labs.json("show", "connections")["connections"]
    assert [(row["connection"], row["state"]) for row in rows] == [("hub-ams", "Connected")]


def test_scenario_07_the_customers_write_breaks_what_the_provider_manages_until_he_writes_again(
    labs: Labs,
) -> None:
    """A known trap (facts 1.1)."""
    managed = CONTOSO.with_name("managed.edge.yml")
    assert labs.json("deploy", "-t", str(managed))["pending"] == []
    write = "peering set ams private --peer-asn 64496 --v4 192.168.15.0/29 --lab managed"
    answer = say(labs, f"{write} --vlan 101")
    assert [event["kind"] for event in answer["events"]] == ["PeeringOverwritten"]
    written = {one["path"]: one["after"] for one in answer["changes"]}
    assert written["circuits.ams.peerings.private.written_by"] == "Customer"
    until(
        lambda: not established(labs.json("inspect", "managed"), circuit="ams", peering="private"),
        "the sessions break, the provider's routers have the old tag",
    )
    assert len(established(labs.json("inspect", "managed"), circuit="ams", peering="microsoft")) == 4
    assert say(labs, f"{write} --vlan 100 --by provider --wait 15")["pending"] == []


def test_global_reach_joins_two_sites_and_a_flag_two_networks(labs: Labs) -> None:
    """Scenarios 35 and 36 of the fact sheet, and the beginning of 34."""
    circuit = {"provider": "Equinix", "sku": {"tier": "premium"}, "bandwidth": "200M"}
    document = {
        "name": "two",
        "circuits": {
            name: {
                **circuit,
                "location": place,
                "peerings": {"private": {"vlan": 100, "peer_asn": asn, "subnet": f"192.168.{n}.0/29"}},
            }
            for n, (name, place, asn) in enumerate((("ams", "Amsterdam", 65010), ("lon", "London", 65020)), 1)
        },
        "sites": {
            f"site{n}": {
                "edges": [f"ce{n}"],
                "lan": f"10.{n}.0.0/16",
                "hosts": {f"pc{n}": f"10.{n}.0.10"},
                "circuits": [name],
                "internet": False,
            }
            for n, name in ((1, "ams"), (2, "lon"))
        },
        "vnets": {
            f"net{n}": {
                "region": "westeurope",
                "address_space": f"10.{n}.0.0/16",
                "connections": [{"circuit": "ams"}],
                "hosts": {f"vm{n}": f"10.{n}.1.4"},
            }
            for n in (50, 51)
        },
    }
    labs.ok("deploy", "-t", str(labs.file(document)))

    def reaches(source: str, target: str) -> bool:
        return labs.run("exec", source, "--", "ping", "-c", "1", "-W", "1", target).returncode == 0

    assert not reaches("pc1", "10.2.0.10")
    assert not reaches("vm50", "10.51.1.4")
    before = uptimes(labs, "two")
    assert say(labs, "reach enable far ams lon 172.31.0.0/29 --wait 10")["pending"] == []
    for gateway in ("net50-gw", "net51-gw"):
        say(labs, f"gateway traffic {gateway} on")
    until(lambda: reaches("pc1", "10.2.0.10"), "site 1 reaches site 2 by Global Reach")
    until(lambda: reaches("vm50", "10.51.1.4"), "the networks reach each other through the circuit")
    say(labs, "reach disable far")
    say(labs, "gateway traffic net50-gw off")
    until(lambda: not reaches("pc1", "10.2.0.10"), "the sites are apart again")
    until(lambda: not reaches("vm50", "10.51.1.4"), "the networks are apart again")
    assert_undisturbed(before, uptimes(labs, "two"))
