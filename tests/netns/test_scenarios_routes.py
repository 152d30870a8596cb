"""Scenarios of what the customer announces and sends: prefixes, communities, prepends, sources; on the wire.

What his routers do of their own accord is done to them by hand.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Iterator

import pytest
from labs import Labs, contoso, until
from standing import Flows, Lab

pytestmark = pytest.mark.root

MSEE1 = "msee1-amsterdam.ams.private"
PUBLIC1 = "msee1-amsterdam.ams.microsoft"
LAN, POOL, OFFICE = "10.1.0.0/16", "203.0.113.0/28", "203.0.113.64/28"
KMS = ("20.118.99.224", 1688)
ETH_P_IP = 0x0800


@pytest.fixture(scope="module")
def standing(module_labs: Labs) -> Lab:
    document = contoso(internet={"hosts": {"dns": "192.0.2.53", "cdn": "192.0.2.80", "kms": KMS[0]}})
    document["circuits"]["ams"]["peerings"]["microsoft"]["advertised_public_prefixes"] = [POOL, OFFICE]
    return Lab(module_labs, document).again()


@pytest.fixture
def lab(standing: Lab) -> Iterator[Lab]:
    yield standing
    standing.again()


@contextlib.contextmanager
def listening(lab: Lab, node: str, address: tuple[str, int]) -> Iterator[socket.socket]:
    """A TCP server in a node."""
    with lab.client() as client:
        server = client.socket(node, socket.AF_INET, socket.SOCK_STREAM, 0)
    with server:
        server.bind(address)
        server.listen()
        yield server


def activates(lab: Lab, server: socket.socket) -> str:
    """The address from which vm1 reaches the KMS server; empty when it does not within a second."""
    with lab.client() as client:
        machine = client.socket("vm1", socket.AF_INET, socket.SOCK_STREAM, 0)
    with machine:
        machine.settimeout(1.0)
        try:
            machine.connect(KMS)
        except TimeoutError:
            return ""
        accepted, (source, _) = server.accept()
        accepted.close()
        return str(source)


def arrives(lab: Lab, node: str, device: str, source: str, target: str, deadline_s: float = 10) -> bool:
    """Whether an IPv4 packet between these addresses comes in at a device."""
    with lab.client() as client:
        raw = client.socket(node, socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    with raw:
        raw.bind((device, ETH_P_IP))
        wanted = socket.inet_aton(source) + socket.inet_aton(target)
        end = time.monotonic() + deadline_s
        while select.select([raw], [], [], max(0.0, end - time.monotonic()))[0]:
            if raw.recv(2048)[12:20] == wanted:
                return True
    return False


def test_scenario_16_a_default_route_takes_the_networks_internet_along_until_it_is_withdrawn(
    lab: Lab,
) -> None:
    announced = {**lab.document, "sites": {"hq": {**lab.document["sites"]["hq"], "announce": ["0.0.0.0/0"]}}}
    with listening(lab, "kms", KMS) as server:
        azure = activates(lab, server)
        assert azure.startswith("100.")
        lab.deploy(announced)
        until(lambda: not activates(lab, server), "KMS is out of reach")
        # Forced to the site: there it appears as it left the machine, and nobody answers that.
        with Flows(lab, "vm1", ("kms", KMS[0]), flows=4):
            assert arrives(lab, "hq-inet", "lan", "10.50.1.4", KMS[0])
        lab.again()
        until(lambda: activates(lab, server), "Azure's own way to the Internet is back")


def own_addresses(lab: Lab, edge: str, verb: str, *addresses: str) -> None:
    """Give a customer's edge addresses of its own, or take them away."""
    lab.inside(edge, "sh", "-ec", "; ".join(f"ip address {verb} {one}/32 dev lo" for one in addresses))


def refused(lab: Lab) -> int:
    """Packets that Microsoft's edges have refused for their source."""
    counters = lab.labs.json("inspect")["packet_counters"]
    return sum(one["refused_sources"][0] for at, one in counters.items() if at.endswith(".microsoft"))


def test_scenario_22_only_sources_in_the_advertised_prefixes_enter_and_others_are_counted(lab: Lab) -> None:
    own_addresses(lab, "ce1", "add", "8.8.4.4", "10.99.0.1", "203.0.113.6")
    assert lab.answers("pc1", "52.112.0.11"), "translated to the pool"
    assert lab.answers("ce1", "52.112.0.11", "-I", "203.0.113.6"), "a listed source of its own"
    before = refused(lab)
    for count, source in enumerate(("8.8.4.4", "10.99.0.1"), 1):
        assert not lab.answers("ce1", "52.112.0.11", "-I", source)
        assert refused(lab) == before + count
    own_addresses(lab, "ce1", "delete", "8.8.4.4", "10.99.0.1", "203.0.113.6")


def export(peering: str, *words: str) -> tuple[str, str]:
    """A change of ce1's configuration: what it does to routes before it announces them on a peering."""
    return (
        rf"(filter export_microsoft_ams_{peering}_primary \{{[^}}]*?)  accept;",
        rf"\1  {' '.join(words)} accept;",
    )


def test_scenario_23_communities_of_the_customer_have_no_effect(lab: Lab) -> None:
    no_export, teams = (65535, 65281), (12076, 5030)
    words = [f"bgp_community.add(({a},{b}));" for a, b in (no_export, teams)]
    with lab.by_hand("ce1", export("private", *words), export("microsoft", *words)):
        for peering, prefix, msee in (("private", LAN, MSEE1), ("microsoft", POOL, PUBLIC1)):
            session = f"microsoft_ams_{peering}_primary"
            told = until(
                lambda at=(prefix, session): [
                    route
                    for route in lab.routes("ce1", at[0], exported_to=at[1])
                    if set(route.communities) == {no_export, teams}
                ],
                "ce1 announces its communities",
            )
            assert len(told) == 1
            # MSEE 1 hears the prefix anew when it hears something else behind it.
            (taken,) = lab.routes(msee, prefix, protocol="customer_customer")
            assert (taken.as_path[-1:], taken.communities) == (
                (65010,) if peering == "private" else (64496,),
                (),
            )
        assert len(lab.next_hops("hub-gw0", LAN)) == 2
        assert len(lab.next_hops("microsoft-core", POOL)) == 2


def shares(lab: Lab) -> tuple[int, int]:
    """What each link gets of 240 packets of 24 flows from Microsoft to an address of the office's prefix."""
    links = ("ce1:ams1.200", "ce2:ams2.200")
    before = lab.received(*links)
    with Flows(lab, "teams", ("ce2", "203.0.113.65")) as flows:
        flows.wait(10)
    first, second = (now - was for now, was in zip(lab.received(*links), before, strict=True))
    return first, second


def test_scenario_24_a_private_prepend_has_no_effect_on_a_microsoft_peering_and_a_public_one_has(
    lab: Lab,
) -> None:
    for edge in ("ce1", "ce2"):
        own_addresses(lab, edge, "add", "203.0.113.65")
    both = until(
        lambda: found if len(found := lab.next_hops("microsoft-core", OFFICE)) == 2 else None,
        "Microsoft uses both links",
    )
    with lab.by_hand("ce1", export("microsoft", "bgp_path.prepend(65001);" * 3)):
        until(
            lambda: (
                [
                    route.as_path
                    for route in lab.routes("ce1", OFFICE, exported_to="microsoft_ams_microsoft_primary")
                ]
                == [(65001,) * 3]
            ),
            "ce1 prepends",
        )
        assert lab.next_hops("microsoft-core", OFFICE) == both
        assert min(shares(lab)) > 20
    with lab.by_hand("ce1", export("microsoft", "bgp_path.prepend(64496);" * 3)):
        until(lambda: len(lab.next_hops("microsoft-core", OFFICE)) == 1, "the prepended path is left")
        first, second = shares(lab)
        assert first < 30 < 200 < second, "BFD and BGP are all that comes by the first link"
    for edge in ("ce1", "ce2"):
        own_addresses(lab, edge, "delete", "203.0.113.65")
