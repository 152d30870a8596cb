"""Scenarios of dead links and of maintenance on the wire, measured with packets between pc1 and vm1."""

from __future__ import annotations

import itertools
import select
import socket
import statistics
import time
from collections.abc import Iterator

import pytest
from labs import Labs, contoso, until
from standing import Flows, Lab

pytestmark = pytest.mark.root

MSEE1, VM1 = "msee1-amsterdam.ams.private", ("vm1", "10.50.1.4")
VNET, LAN = "10.50.0.0/16", "10.1.0.0/16"
ETH_P_IP = 0x0800
BFD_PORT = (3784).to_bytes(2, "big")
CUSTOMERS_BFD = "min rx interval 300 ms; min tx interval 300 ms;"


@pytest.fixture(scope="module")
def standing(module_labs: Labs) -> Lab:
    return Lab(module_labs, contoso()).again()


@pytest.fixture
def lab(standing: Lab) -> Iterator[Lab]:
    yield standing
    standing.again()


def test_scenario_27_without_bfd_the_hold_time_finds_a_dead_link(lab: Lab) -> None:
    """10 s where the customer asks for 3/10, Microsoft's 180 s where he does not; a link that loses all."""
    document = contoso()
    peerings = document["circuits"]["ams"]["peerings"]
    peerings["private"] |= {"bfd": False, "timers": {"keepalive": 3, "hold": 10}}
    peerings["microsoft"]["bfd"] = False
    lab.deploy(document)
    public = MSEE1.replace("private", "microsoft")
    assert [(lab.session(at, "customer_customer").hold_s) for at in (MSEE1, public)] == [10, 180]
    lab.deploy({**document, "links": {"ams-primary": {"loss": "100%"}}}, "--no-wait")
    began = time.monotonic()
    until(lambda: not lab.session(MSEE1, "customer_customer").established, "the hold time ends", 30)
    # The last keepalive may be three seconds old when the link dies.
    assert 5.0 < time.monotonic() - began < 20.0
    assert lab.session(public, "customer_customer").established
    assert lab.session(public, "customer_customer").bfd == ""
    until(lambda: not lab.session("ce1", "microsoft_ams_private_primary").established, "at both ends", 10)
    assert lab.answers("pc1", VM1[1])


def bfd_gap_s(lab: Lab, packets: int) -> float:
    """The median time between BFD packets of MSEE 1, as they come in at ce1."""
    times: list[float] = []
    with lab.client() as client:
        raw = client.socket("ce1", socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    with raw:
        raw.bind(("ams1.100", ETH_P_IP))
        end = time.monotonic() + 30
        while len(times) < packets and select.select([raw], [], [], max(0.0, end - time.monotonic()))[0]:
            packet = raw.recv(2048)
            if packet[22:24] == BFD_PORT and packet[12:16] == socket.inet_aton("192.168.15.2"):
                times.append(time.monotonic())
    assert len(times) == packets
    return statistics.median(later - earlier for earlier, later in itertools.pairwise(times))


@pytest.mark.parametrize(("customer_ms", "agreed_s"), [(1000, 1.0), (100, 0.3)])
def test_scenario_28_the_slower_side_sets_the_interval_of_bfd(
    lab: Lab, customer_ms: int, agreed_s: float
) -> None:
    slow = f"min rx interval {customer_ms} ms; min tx interval {customer_ms} ms;"
    with lab.by_hand("ce1", (CUSTOMERS_BFD, slow)):
        for node, device in (("ce1", "ams1.100"), (MSEE1, "ams.100")):
            until(
                lambda at=(node, device): (
                    (one := lab.bfd(*at)).state == "Up"
                    and (one.interval_s, one.timeout_s) == pytest.approx((agreed_s, 3 * agreed_s))
                ),
                f"BFD of {node} runs at {agreed_s} s",
            )
        # RFC 5880 6.8.7: each interval is shortened by up to a quarter, and a change is polled beside.
        assert 0.5 * agreed_s < bfd_gap_s(lab, 6) < 1.5 * agreed_s


def test_scenario_29_when_one_of_two_links_fails_half_of_the_flows_move_and_the_others_lose_nothing(
    lab: Lab,
) -> None:
    with Flows(lab, "pc1", VM1, flows=48, every_s=0.04) as flows:
        flows.wait(10)
        lab.inside("equinix-amsterdam", "ip", "link", "set", "msee1", "down")
        until(lambda: not lab.up(connection="primary", peering="private"), "the primary's sessions end")
        flows.wait(20)
    lab.inside("equinix-amsterdam", "ip", "link", "set", "msee1", "up")
    # Each flow takes either link with equal chance: fewer than 10 of 48 come once in 100,000 runs.
    assert 10 <= len(flows.lost()) <= 38, flows.lost()
    assert flows.silent(10) == []


def stop_forwarding(lab: Lab, stopped: bool) -> None:
    """What maintenance does to an MSEE in the end: BGP stays up, packets do not pass."""
    lab.inside(MSEE1, "sysctl", "-qw", f"net.ipv4.ip_forward={int(not stopped)}")


def test_scenario_30_who_honours_the_as_path_drains_without_loss(lab: Lab) -> None:
    both = lab.next_hops("hub-gw0", LAN)
    assert (len(both), lab.next_hops("ce1", VNET)) == (2, {"192.168.15.2"})
    with Flows(lab, "pc1", VM1) as flows, Flows(lab, "vm1", ("pc1", "10.1.0.10")) as back:
        flows.wait(10)
        lab.say("microsoft maintain ams primary")
        until(lambda: lab.next_hops("ce1", VNET) == {"10.1.0.2"}, "ce1 sends by way of ce2")
        for gateway in ("hub-gw0", "hub-gw1"):
            until(lambda at=gateway: len(lab.next_hops(at, LAN)) == 1, "the gateway uses the other MSEE")
        flows.wait(5)
        stop_forwarding(lab, True)
        flows.wait(50)
        assert lab.session("ce1", "microsoft_ams_private_primary").established
        stop_forwarding(lab, False)
        lab.say("microsoft maintained ams")
        until(lambda: lab.next_hops("ce1", VNET) == {"192.168.15.2"}, "ce1 uses its own link again")
        until(lambda: lab.next_hops("hub-gw0", LAN) == both, "the gateway uses both MSEEs again")
        flows.wait(10)
    assert (flows.lost(), back.lost()) == ({}, {})


def test_scenario_30_who_prefers_the_primary_whatever_its_as_path_is_cut_off(lab: Lab) -> None:
    lab.say("microsoft maintain ams primary")
    ours = (r"(filter import_microsoft_ams_private_primary \{\n)", r"\1  bgp_local_pref = 200;\n")
    with lab.by_hand("ce1", ours):
        until(lambda: lab.next_hops("ce2", VNET) == {"10.1.0.1"}, "both edges prefer the primary")
        assert lab.next_hops("ce1", VNET) == {"192.168.15.2"}
        with Flows(lab, "pc1", VM1) as flows:
            flows.wait(10)
            stop_forwarding(lab, True)
            flows.wait(50)
        stop_forwarding(lab, False)
        assert len(flows.silent(25)) == flows.flows
        assert lab.session("ce1", "microsoft_ams_private_primary").established
