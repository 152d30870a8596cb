"""Scenarios of prefix limits: what BIRD at the customer's edges announces, and what the MSEEs do then."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from labs import Labs, contoso, until
from standing import Lab

pytestmark = pytest.mark.root

MSEE1 = "msee1-amsterdam.ams.private"
PUBLIC1 = "msee1-amsterdam.ams.microsoft"
LONG_S = 60
"""A dropped session is tried every five seconds, and thousands of routes take their time."""


def announcing(v4: int = 1, v6: int = 1, public: int = 1, tier: str = "standard") -> dict[str, Any]:
    """The reference lab with so many prefixes on the primary private and Microsoft sessions."""
    document = contoso()
    document["circuits"]["ams"]["sku"]["tier"] = tier
    peering = document["circuits"]["ams"]["peerings"]["microsoft"]
    peering["route_filter"] = []
    # The edge announces its half of the first prefix, too.
    more = list(ip_network("193.0.0.0/16").subnets(new_prefix=24))[: max(0, public - 2)]
    peering["advertised_public_prefixes"] = ["203.0.113.0/28", *map(str, more)]
    site = document["sites"]["hq"]
    site["announce"] = [
        {"prefix": prefix, "count": count - 1, "length": length}
        for prefix, count, length in (("10.64.0.0/10", v4, 24), ("fd00:a::/48", v6, 64))
        if count > 1
    ]
    return document


@pytest.fixture(scope="module")
def standing(module_labs: Labs) -> Lab:
    return Lab(module_labs, announcing()).again()


@pytest.fixture
def lab(standing: Lab) -> Iterator[Lab]:
    yield standing
    standing.again()


def taken(lab: Lab, msee: str, session: str, count: int) -> None:
    """Wait until the session is up with so many prefixes."""
    until(
        lambda: (one := lab.session(msee, session)).established and one.imported == count,
        f"{session} of {msee} is up with {count} prefixes",
        LONG_S,
    )


def dropped(lab: Lab, msee: str, session: str) -> None:
    """Wait until the session is down for its limit, with nothing left of it."""
    until(
        lambda: (
            not (one := lab.session(msee, session)).established
            and one.imported == 0
            and "limit" in one.last_error.lower()
        ),
        f"{session} of {msee} is dropped",
        LONG_S,
    )


def test_scenario_14_4001_prefixes_drop_a_standard_session_until_one_is_withdrawn_and_10001_a_premium_one(
    lab: Lab,
) -> None:
    session = (MSEE1, "customer_customer")
    lab.deploy(announcing(4000), "--no-wait")
    taken(lab, *session, 4000)
    lab.deploy(announcing(4001), "--no-wait")
    dropped(lab, *session)
    # Between two tries there is a moment without a reason.
    until(
        lambda: any(
            "more than 4000 prefixes" in one["why"]
            for one in lab.labs.json("inspect")["sessions"]
            if (one["namespace"], one["neighbor"]) == (MSEE1, "192.168.15.1")
        ),
        "inspect says why",
    )
    lab.deploy(announcing(4000), "--no-wait")
    taken(lab, *session, 4000)
    lab.deploy(announcing(4001, tier="premium"), "--no-wait")
    taken(lab, *session, 4001)
    lab.deploy(announcing(10_001, tier="premium"), "--no-wait")
    dropped(lab, *session)
    lab.deploy(announcing(10_000, tier="premium"), "--no-wait")
    taken(lab, *session, 10_000)


def test_scenario_15_101_ipv6_prefixes_drop_a_private_session_and_201_a_microsoft_one(lab: Lab) -> None:
    private, public = (MSEE1, "customer_customer_v6"), (PUBLIC1, "customer_customer")
    lab.deploy(announcing(v6=100, public=200), "--no-wait")
    taken(lab, *private, 100)
    taken(lab, *public, 200)
    lab.deploy(announcing(v6=101, public=201), "--no-wait")
    dropped(lab, *private)
    dropped(lab, *public)
    assert lab.session(MSEE1, "customer_customer").established, "IPv4 is another session"
    lab.deploy(announcing(v6=100, public=200), "--no-wait")
    taken(lab, *private, 100)
    taken(lab, *public, 200)
