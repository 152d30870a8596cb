"""Scenario 2 on the wire: two customers of one provider, told apart by their S-tags."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from labs import CONTOSO, Labs, until
from standing import Lab
from uptimes import assert_undisturbed, uptimes

from lab.topology import load

pytestmark = pytest.mark.root

MSEE1 = "msee1-amsterdam.{}.private"


@pytest.fixture(scope="module")
def standing(module_labs: Labs) -> Lab:
    document = dict(load(CONTOSO.with_name("two-customers.edge.yml")).document)
    return Lab(module_labs, {**document, "checks": []}).again()


@pytest.fixture
def lab(standing: Lab) -> Iterator[Lab]:
    yield standing
    standing.again()


def mistaken(lab: Lab, **tags: int) -> dict[str, Any]:
    """The lab with contoso's edge configured otherwise on its primary link."""
    document = copy.deepcopy(dict(lab.document))
    wrong = {"edge": "ce-contoso", "circuit": "contoso", "peering": "private", "connection": "primary"}
    document["sites"]["contoso-hq"]["overrides"] = [{**wrong, **tags}]
    return document


@pytest.mark.parametrize("tags", [{"vlan": 101}, {"s_tag": 12}], ids=str)
def test_scenario_02_wrong_tags_give_no_adjacency_and_disturb_no_other_circuit(
    lab: Lab, tags: dict[str, int]
) -> None:
    """A wrong C-tag, and the other customer's S-tag: with the C-tag of both it is his peering's pair."""
    others = uptimes(lab.labs, lab.name).where(lambda key: key[0].endswith("fabrikam.private"))
    assert len(others) >= 4
    lab.deploy(mistaken(lab, **tags), "--no-wait")
    until(lambda: not lab.up(circuit="contoso", connection="primary"), "the primary's session ends")
    for node in ("ce-contoso", MSEE1.format("contoso")):
        lab.inside(node, "ip", "neigh", "flush", "all")
    assert not lab.answers("ce-contoso", "192.168.11.2")
    assert not lab.answers(MSEE1.format("contoso"), "192.168.11.1")
    assert "lladdr" not in lab.inside("ce-contoso", "ip", "neigh", "show", "192.168.11.2")
    state = lab.session("ce-contoso", "microsoft_contoso_private_primary")
    assert state.bgp_state in ("Idle", "Active", "Connect", "Down"), state
    assert lab.up(circuit="contoso", connection="secondary")
    stranger = lab.macs("ce-contoso")[f"contoso1.{tags.get('vlan', 100)}"]
    for node in (MSEE1.format("fabrikam"), "ce-fabrikam"):
        assert stranger not in lab.inside(node, "ip", "neigh")
    assert_undisturbed(others, uptimes(lab.labs, lab.name))
    assert lab.answers("pc-fabrikam", "10.50.1.4")


def test_scenario_02_the_right_pair_of_tags_is_an_adjacency(lab: Lab) -> None:
    device = lab.macs("ce-contoso")["contoso1.100"]
    assert device in lab.inside(MSEE1.format("contoso"), "ip", "neigh", "show", "192.168.11.1")
    assert len(lab.up(circuit="contoso", side="customer")) == 2
