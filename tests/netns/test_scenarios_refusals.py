"""Scenarios that are refusals, said to a running lab: links by tier, authorizations, changes of a SKU."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from labs import Labs, until
from scenario_lab import ScenarioLab

pytestmark = pytest.mark.root

JOINED = 12
"""Networks of the circuit `big`; the first nine are those of `small`, too."""


def _circuit(number: int, **keys: Any) -> dict[str, Any]:
    peering = {"vlan": 100, "peer_asn": 65010 + number, "subnet": f"192.168.{number}.0/29"}
    return {"provider": "Equinix", "bandwidth": "50M", "peerings": {"private": peering}, **keys}


DOCUMENT = {
    "circuits": {
        "small": _circuit(1, location="Amsterdam", sku={"tier": "standard"}),
        "big": _circuit(2, location="London", sku={"tier": "premium"}),
        "quiet": _circuit(3, location="London", sku={"tier": "premium"}),
    },
    "sites": {
        "hq": {
            "edges": ["ce1"],
            "lan": "10.1.0.0/16",
            "circuits": ["small", "big", "quiet"],
            "internet": False,
        }
    },
    "vnets": {
        **{
            f"n{number}": {
                "region": "westeurope",
                "address_space": f"10.{100 + number}.0.0/16",
                "connections": [{"circuit": name} for name in ("small", "big")[number >= 9 :]],
            }
            for number in range(JOINED)
        },
        "far": {"region": "eastus", "address_space": "10.200.0.0/16"},
        "theirs": {"region": "westeurope", "address_space": "10.201.0.0/16"},
    },
}


@pytest.fixture(scope="module")
def deployed(module_labs: Labs) -> ScenarioLab:
    lab = ScenarioLab(module_labs, "refusals")
    lab.deploy(DOCUMENT, "--wait", "60")
    return lab


@pytest.fixture
def lab(deployed: ScenarioLab) -> Iterator[ScenarioLab]:
    """The lab, whose service is afterwards what the file orders."""
    yield deployed
    deployed.deploy(DOCUMENT, "--wait", "60")


def test_scenario_37_standard_joins_ten_networks_of_its_area_and_premium_more_from_anywhere(
    lab: ScenarioLab,
) -> None:
    """Standard refuses a network of another area and an eleventh one; Premium takes both, and they talk."""
    assert lab.refused("connection create no far-gw small") == "RegionOutsideArea"
    assert lab.say("connection create tenth n9-gw small --wait 20")["pending"] == []
    assert lab.refused("connection create no n10-gw small") == "VnetLinks"
    assert "10.200.0.0/16" not in lab.routes("ce1")
    assert lab.say("connection create far-big far-gw big --wait 20")["pending"] == []
    until(lambda: "10.200.0.0/16" in lab.routes("ce1"), "the far network is known on-premises")
    assert {f"10.{100 + number}.0.0/16" for number in range(JOINED)} <= lab.routes("ce1").keys()


def test_scenario_38_an_authorization_serves_one_connection_and_takes_it_along(lab: ScenarioLab) -> None:
    """A key is InUse once it is redeemed, a second redeem is refused, and revoking it ends the connection."""
    other = "--subscription fabrikam"
    lab.say("authorization create big fabrikam")
    key = lab.state()["circuits"]["big"]["authorizations"]["fabrikam"]["key"]
    assert lab.refused(f"connection redeem bad theirs-gw big wrong {other}") == "AuthorizationUnknown"
    redeemed = lab.say(f"connection redeem theirs-big theirs-gw big {key} {other} --wait 20")
    assert redeemed["pending"] == []
    status = lab.labs.json("show", "authorizations", "refusals")["authorizations"]
    assert "InUse" in [value for row in status for value in row.values()]
    until(lambda: "10.201.0.0/16" in lab.routes("ce1"), "their network is known on-premises")
    assert lab.refused(f"connection redeem again far-gw big {key} {other}") == "AuthorizationInUse"
    revoked = lab.say("authorization revoke big fabrikam")
    assert [event["kind"] for event in revoked["events"]] == ["ConnectionRevoked"]
    assert "theirs-big" not in lab.state()["connections"]
    until(lambda: "10.201.0.0/16" not in lab.routes("ce1"), "and unknown again")
    assert not lab.established(namespace="theirs-gw0")


def test_scenario_60_premium_stays_while_it_is_used_and_unlimited_never_becomes_metered(
    lab: ScenarioLab,
) -> None:
    """Twelve networks or 5,000 routes keep a circuit at Premium; Metered becomes Unlimited, never back."""
    before = lab.uptimes()
    assert lab.refused("circuit tier big standard") == "VnetLinks"
    talkative = copy.deepcopy(DOCUMENT)
    many = {"prefix": "10.64.0.0/10", "count": 5000, "length": 28, "circuits": ["quiet"]}
    talkative["sites"]["hq"]["announce"] = [many]
    lab.deploy(talkative, "--wait", "60")
    until(lambda: imported(lab) > 5000, "the MSEE has 5,000 routes", 60)
    assert lab.refused("circuit tier quiet standard") == "UsageRoutes"
    lab.deploy(DOCUMENT)
    until(lambda: imported(lab) < 4000, "the routes are withdrawn", 60)
    lab.say("circuit tier quiet standard")
    assert lab.refused("circuit tier quiet local") == "SkuToLocal"
    lab.say("circuit family big unlimited")
    assert lab.refused("circuit family big metered") == "FamilyToMetered"
    after = lab.uptimes()
    assert all(after.get(key, -1.0) > uptime for key, uptime in before.items() if "quiet" not in key[0])


def imported(lab: ScenarioLab) -> int:
    """Routes that the customer has announced on the circuit `quiet`."""
    (session,) = lab.established(namespace="msee1-london.quiet.private", name="customer")
    return int(session["imported"])
