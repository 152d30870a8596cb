"""Scenarios about a site's public addresses: pools of links, the Internet beside, published hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from labs import Labs, until
from scenario_lab import ECHO, ScenarioLab

pytestmark = pytest.mark.root

POOL = IPv4Network("203.0.113.0/28")
HALVES = tuple(POOL.subnets(prefixlen_diff=1))
TEAMS, EXCHANGE, MAIL = "52.112.0.11", "40.96.0.11", "10.1.0.20"
FLOWS = tuple(range(30000, 30016))

ASK_ALL = """
import json, select, socket, sys
target, port, ports, rounds = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])
asking, answers = {}, {}
for source in ports:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("", source))
    asking[udp] = source
for _ in range(rounds):
    for udp, source in asking.items():
        if source not in answers:
            udp.sendto(b"who am I", (target, port))
    while len(answers) < len(ports) and (ready := select.select(list(asking), [], [], 0.4)[0]):
        for udp in ready:
            answers[asking[udp]] = udp.recv(2048).decode()
print(json.dumps(answers))
"""
"""Asks an ECHO from several source ports, again where no answer came: source port -> address that it saw."""

SMTP = """
import select, socket, sys
server = socket.create_server(("", 25))
print("ready", flush=True)
while True:
    ready = select.select([server, sys.stdin], [], [])[0]
    if sys.stdin in ready:
        break
    caller, address = server.accept()
    caller.sendall(address[0].encode())
    caller.close()
"""
"""Tells each caller on port 25 the address that he seems to have."""

CALL = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], 25), timeout=float(sys.argv[2])) as call:
        print(call.recv(2048).decode())
except OSError as error:
    print(type(error).__name__)
"""
"""Calls port 25: what it says, or how the call failed."""


def document(*, nat: str = "per-link", services: tuple[str, ...] = ("teams",), **site: Any) -> dict[str, Any]:
    return {
        "circuits": {
            "ams": {
                "provider": "Equinix",
                "location": "Amsterdam",
                "sku": {"tier": "premium"},
                "bandwidth": "50M",
                "peerings": {
                    "microsoft": {
                        "vlan": 200,
                        "peer_asn": 64496,
                        "subnet": "198.51.100.0/29",
                        "advertised_public_prefixes": [str(POOL)],
                        "route_filter": list(services),
                        "nat": nat,
                    },
                },
            }
        },
        "sites": {
            "hq": {
                "edges": ["ce1"],
                "lan": "10.1.0.0/16",
                "hosts": {"pc1": "10.1.0.10", "mail": MAIL},
                "circuits": ["ams"],
                **site,
            }
        },
    }


@pytest.fixture(scope="module")
def deployed(module_labs: Labs) -> ScenarioLab:
    lab = ScenarioLab(module_labs, "nat")
    lab.deploy(document())
    return lab


@pytest.fixture
def lab(deployed: ScenarioLab) -> Iterator[ScenarioLab]:
    """The lab, afterwards as it was."""
    yield deployed
    deployed.deploy(document())


def seen(lab: ScenarioLab, target: str, ports: tuple[int, ...], rounds: int = 8) -> dict[int, IPv4Address]:
    """Source port -> the address with which a flow of pc1 comes to a front end; those without answer not."""
    node = {TEAMS: "teams", EXCHANGE: "exchange"}[target]
    with lab.serving(node, ECHO, 40000):
        said = lab.script("pc1", ASK_ALL, target, 40000, json.dumps(ports), rounds)
    return {int(port): IPv4Address(address) for port, address in json.loads(said).items()}


def pull_the_primary(lab: ScenarioLab) -> None:
    lab.inside("ce1", "ip", "link", "set", "ams1", "down")
    until(lambda: not lab.established(connection="primary"), "the primary connection is down")
    until(lambda: "198.51.100.6" in lab.inside("ce1", "ip", "route", "get", TEAMS), "ce1 has the other way")
    core = "microsoft-core"
    until(lambda: str(HALVES[0]) not in lab.routes(core) or str(POOL) in lab.routes(core), "Microsoft knows")


def test_scenario_41_flows_of_a_links_own_pool_die_with_it_and_those_of_a_common_pool_go_on(
    lab: ScenarioLab,
) -> None:
    """A link fails: flows in its own half of the pool end, those in a common pool keep their address."""
    before = seen(lab, TEAMS, FLOWS)
    own = {port for port, address in before.items() if address in HALVES[0]}
    others = {port for port, address in before.items() if address in HALVES[1]}
    assert own
    assert others
    assert own | others == set(FLOWS)
    pull_the_primary(lab)
    after = seen(lab, TEAMS, FLOWS, rounds=3)
    assert after == {port: before[port] for port in others}, "what was in the half of the dead link is lost"
    fresh = seen(lab, TEAMS, (31000, 31001))
    assert set(fresh) == {31000, 31001}
    assert all(address in HALVES[1] for address in fresh.values()), "new flows take the other half"

    lab.deploy(document(nat="common"))
    later = tuple(port + 2000 for port in FLOWS)
    common = seen(lab, TEAMS, later)
    assert set(common) == set(later)
    assert all(address in POOL for address in common.values())
    assert lab.until_routes("ce1", "52.112.0.0/14", 2) == ["198.51.100.2", "198.51.100.6"]
    pull_the_primary(lab)
    assert seen(lab, TEAMS, later) == common, "every flow goes on, with the address that it had"


def test_scenario_42_a_pool_announced_to_internet_and_circuit_loses_replies_at_the_firewall(
    lab: ScenarioLab,
) -> None:
    """Out by the Internet, back by the circuit: the firewall there knows no such flow, until pools differ."""
    lab.deploy(document(firewall=True, internet_edge={"pool": str(POOL)}))
    assert EXCHANGE not in lab.inside("ce1", "ip", "route"), "Exchange is reached by the Internet"
    assert seen(lab, TEAMS, FLOWS[:4]).keys() == set(FLOWS[:4]), "the firewall lets answers in"
    before = lab.dropped_by("ce1", "refused_flows")
    assert seen(lab, EXCHANGE, FLOWS[:4], rounds=2) == {}
    assert lab.dropped_by("ce1", "refused_flows") >= before + 4
    lab.deploy(document(firewall=True, internet_edge={"pool": "192.0.2.128/29"}))
    mended = seen(lab, EXCHANGE, FLOWS[4:8])
    assert mended.keys() == set(FLOWS[4:8])
    assert all(address in IPv4Network("192.0.2.128/29") for address in mended.values())


def test_scenario_43_a_caller_from_microsoft_is_answered_by_the_way_he_came_only_when_hidden(
    lab: ScenarioLab,
) -> None:
    """Mail from Microsoft by the Internet: answers leave by the circuit and are lost, but not with SNAT."""
    services = ("teams", "exchange")

    def publish(hide: bool) -> dict[str, Any]:
        return {"publish": [{"host": "mail", "port": 25, "hide_source": hide}]}

    lab.deploy(document(services=services, firewall=True, internet_edge=publish(hide=False)))
    until(lambda: "40.96.0.0/13" in lab.routes("ce1"), "Exchange is reached by the circuit")
    (outside,) = json.loads(lab.inside("hq-inet", "ip", "-j", "-4", "address", "show", "internet"))
    address = outside["addr_info"][0]["local"]
    msees = [f"msee{number}-amsterdam.ams.microsoft" for number in (1, 2)]
    with lab.serving("mail", SMTP):
        before = sum(lab.dropped_by(msee, "refused_sources") for msee in msees)
        assert lab.script("exchange", CALL, address, 2).strip() == "TimeoutError"
        assert sum(lab.dropped_by(msee, "refused_sources") for msee in msees) > before, "they left by ams"
        lab.deploy(document(services=services, firewall=True, internet_edge=publish(hide=True)))
        assert lab.script("exchange", CALL, address, 20).strip() == "10.1.0.2", "the Internet edge's address"
