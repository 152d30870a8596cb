"""What a customer's edge has configured otherwise than ordered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from edge.errors import InputError
from lab.topology import derive

TOPOLOGIES = Path(__file__).parents[2] / "lab" / "topologies"


def document(name: str, site: str, *overrides: dict[str, Any]) -> dict[str, Any]:
    """A gallery file with overrides at one of its sites."""
    data: dict[str, Any] = json.loads(
        json.dumps(YAML(typ="safe").load((TOPOLOGIES / f"{name}.edge.yml").read_text()))
    )
    data["sites"][site]["overrides"] = list(overrides)
    return data


def preferences(data: dict[str, Any], edge: str, neighbour: str = "microsoft") -> dict[str, int | None]:
    """Session -> local preference of what it brings, at one edge."""
    model = derive(data)
    return {
        session.name: session.imports.local_pref
        for router in model.routers
        for vrf in router.vrfs
        if vrf.namespace == edge
        for session in vrf.sessions
        if session.group == neighbour
    }


def test_a_local_preference_holds_for_its_peering_alone_and_for_both_families() -> None:
    own = {"edge": "ce1", "circuit": "ams", "peering": "private", "local_preference": 200}
    found = preferences(document("contoso", "hq", own), "ce1")
    assert found == {
        "ams_private_primary": 200,
        "ams_private_primary_v6": 200,
        "ams_microsoft_primary": None,
    }
    assert set(preferences(document("contoso", "hq", own), "ce2").values()) == {None}


def test_a_local_preference_of_the_site_s_own_is_kept_beside_a_vpn() -> None:
    own = {"edge": "ce1", "circuit": "ams", "peering": "private", "local_preference": 50}
    assert preferences(document("vpn-backup", "hq", own), "ce1") == {"ams_private_primary": 50}
    assert preferences(document("vpn-backup", "hq", own), "ce2") != {"ams_private_secondary": None}


def test_an_override_that_says_nothing_names_what_it_could_say() -> None:
    with pytest.raises((InputError, ValueError)) as refused:
        derive(document("contoso", "hq", {"edge": "ce1", "circuit": "ams", "peering": "private"}))
    assert "local_preference" in str(refused.value)
