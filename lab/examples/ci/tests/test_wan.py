"""What the WAN has to do, and to survive. Each test gets the lab of wan.edge.yml; see pytest.ini."""

import pytest

from lab.api import Lab


def test_all_that_the_topology_promises_holds(lab: Lab) -> None:
    assert lab.check().ok


def test_the_gateway_learns_our_site_and_nothing_else(lab: Lab) -> None:
    learned = {str(route.network) for route in lab.routes("hub-gw0") if 65010 in route.as_path}
    assert learned == {"10.1.0.0/16"}


def test_private_traffic_stays_off_the_internet(lab: Lab) -> None:
    with lab.capture("hq-inet") as inet:
        assert lab.check({"ping": ["pc1", "vm1"]}).ok
    assert not [frame for frame in inet.frames if frame.protocol == "icmp"]


@pytest.mark.fault("silent", "ams/primary")
@pytest.mark.budget("pc1", "vm1", outage="5s", during="2s")
def test_a_primary_link_that_goes_silent_is_survived(lab: Lab) -> None:
    assert lab.check({"path": ["pc1", "vm1"], "via": "ams", "peering": "private"}).ok


@pytest.mark.fault("silent", "ams/secondary")
@pytest.mark.budget("vm1", "pc1", outage="5s", during="2s")
def test_a_secondary_link_that_goes_silent_is_survived(lab: Lab) -> None:
    assert lab.check({"path": ["vm1", "pc1"], "via": "ams", "peering": "private"}).ok


@pytest.mark.fault("crash", "ce1")
def test_a_router_whose_routing_crashes_comes_back(lab: Lab) -> None:
    lab.wait(60)
    assert lab.check().ok


@pytest.mark.edgelab(scope="function")
def test_the_circuit_can_grow(lab: Lab) -> None:
    # A lab of its own: what is ordered stays ordered.
    lab.service("circuit", "bandwidth", "ams", "500M")
    assert lab.check({"sessions": "all"}, {"ping": ["pc1", "vm1"]}).ok
