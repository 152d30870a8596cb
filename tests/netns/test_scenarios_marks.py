"""Scenarios about marks: Skype for Business and its traps, on the reference lab."""

from __future__ import annotations

import json

import pytest
from labs import Labs, contoso
from scenario_lab import ScenarioLab
from test_lab_qos import LISTEN, SPEAK, TEAMS, circuit, sites, unknown_at_msee

pytestmark = pytest.mark.root

SHARING, FILES, AF31 = 24, 14, 26
"""What Skype for Business Server's documents mark application sharing and file transfer; and an alien."""

PACKETS = 5


@pytest.fixture(scope="module")
def lab(module_labs: Labs) -> ScenarioLab:
    lab = ScenarioLab(module_labs, "contoso")
    with_policy(lab, "skype-server-clients")
    return lab


def with_policy(lab: ScenarioLab, policy: str | None) -> None:
    """The site's edges with a policy, or with none."""
    lab.deploy(contoso(circuits=circuit(), sites=sites(policy)))


def arriving(lab: ScenarioLab, *, source: int, target: int = 30000, dscp: int = 0) -> set[int]:
    """DSCP with which UDP of these ports arrives at Teams."""
    with lab.serving("teams", LISTEN, target, PACKETS) as heard:
        lab.script("pc1", SPEAK, TEAMS, target, source, dscp << 2, PACKETS, 0.01, 200)
    found = json.loads(" ".join(heard))
    assert found["received"] == PACKETS
    return {item[0] for item in found["seen"]}


def test_scenario_45_the_edge_marks_24_and_14_anew_and_the_msee_makes_0_of_what_is_left(
    lab: ScenarioLab,
) -> None:
    """Sharing marked 24 and files 14 leave as 18 and 10; without an edge that does so, Microsoft gets 0."""
    with_policy(lab, "skype-server-clients")
    assert arriving(lab, dscp=SHARING, source=20001) == {18}
    assert arriving(lab, dscp=FILES, source=20011) == {10}
    assert arriving(lab, dscp=AF31, source=20021) == {0}
    with_policy(lab, None)
    before = unknown_at_msee(lab.labs)
    for number, dscp in enumerate((SHARING, FILES, AF31)):
        assert arriving(lab, dscp=dscp, source=21001 + number) == {0}
    assert unknown_at_msee(lab.labs) >= before + 3 * PACKETS, "it is the MSEE that has done it"


def test_scenario_47_edge_servers_are_known_by_the_destination_port_and_clients_by_the_source_port(
    lab: ScenarioLab,
) -> None:
    """Clients have their port at the source, Edge servers at the destination; a wrong rule gives 0."""
    edge_server, client = {"source": 23001, "target": 50100}, {"source": 50025, "target": 30000}
    with_policy(lab, "skype-server-edge")
    assert arriving(lab, **edge_server) == {46}
    assert arriving(lab, **client) == {0}
    with_policy(lab, "skype-server-conferencing")
    assert arriving(lab, **{**edge_server, "source": 23002}) == {0}, "the port is looked for at the wrong end"
    with_policy(lab, "skype-server-clients")
    assert arriving(lab, **{**client, "source": 50026}) == {46}
