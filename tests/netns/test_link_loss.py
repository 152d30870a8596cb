"""Link-loss forwarding: a cut at one end of a provider's line is seen as loss of carrier at the other."""

from __future__ import annotations

from typing import Any

import pytest
from labs import Labs, established, until

LINE: dict[str, Any] = {
    "name": "line",
    "circuits": {
        "ams": {
            "model": "point-to-point",
            "provider": "Colt",
            "location": "Amsterdam",
            "sku": {"tier": "standard"},
            "bandwidth": "200M",
            "link_loss_forwarding": True,
            # No BFD and 180 s of hold time: whoever notices, notices the carrier.
            "peerings": {
                "private": {"vlan": 100, "peer_asn": 65010, "subnet": "192.168.15.0/29", "bfd": False}
            },
        }
    },
    "sites": {
        "hq": {
            "edges": ["ce1", "ce2"],
            "lan": "10.1.0.0/16",
            "hosts": {"pc1": "10.1.0.10"},
            "circuits": ["ams"],
            "internet": False,
        }
    },
    "vnets": {
        "hub": {
            "region": "westeurope",
            "address_space": "10.50.0.0/16",
            "connections": [{"circuit": "ams"}],
            "hosts": {"vm1": "10.50.1.4"},
        }
    },
}
FABRIC, MSEE = "colt-amsterdam", "msee1-amsterdam"
PRIMARY = {"ams-primary", "colt-amsterdam-msee1"}
"""The wires of the primary connection, on both sides of the provider."""
DEADLINE_S = 30.0

pytestmark = [pytest.mark.root, pytest.mark.kernels("here", "stock")]


def look(labs: Labs) -> tuple[set[str], int, int]:
    """Wires without carrier, and how many ends of sessions are up on the primary and the secondary."""
    view = labs.json("inspect", "line")
    dark = {link["name"] for link in view["links"] if not (link["up"] and link["carrier"])}
    up = [len(established(view, connection=connection)) for connection in ("primary", "secondary")]
    return dark, up[0], up[1]


def deploy(labs: Labs, links: str) -> None:
    """The lab, new, with tags made so."""
    labs.ok("deploy", "-t", str(labs.file(LINE)), "--wait", "30", "--links", links)


def assert_a_cut_is_forwarded(labs: Labs, node: str, device: str) -> None:
    """Cut the primary at one end, see it at the other, mend it."""
    labs.inside("line", node, "ip", "link", "set", device, "down")
    until(lambda: look(labs) == (PRIMARY, 0, 2), "both ends see the cut and end the session", DEADLINE_S)
    labs.inside("line", node, "ip", "link", "set", device, "up")
    until(lambda: look(labs) == (set(), 2, 2), "all is as before", DEADLINE_S)


def test_a_cut_at_one_end_takes_the_carrier_off_the_other_and_it_returns(labs: Labs) -> None:
    deploy(labs, "auto")
    assert_a_cut_is_forwarded(labs, "ce1", "ams1")
    assert_a_cut_is_forwarded(labs, MSEE, "colt")
    # By hand at both ports of the fabric: neither has been taken down for the other's sake.
    for port in ("ams1", "msee1"):
        labs.inside("line", FABRIC, "ip", "link", "set", port, "down")
    until(lambda: look(labs)[:2] == (PRIMARY, 0), "the primary is cut", DEADLINE_S)
    labs.ok("deploy", "-t", str(labs.scratch / "test.edge.yml"), "--wait", "30")
    until(lambda: look(labs) == (set(), 2, 2), "a deploy has put it right", DEADLINE_S)


def test_a_cut_is_forwarded_where_tags_are_made_in_user_space(labs: Labs) -> None:
    deploy(labs, "ring")
    assert_a_cut_is_forwarded(labs, "ce1", "ams1")
