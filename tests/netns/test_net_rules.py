"""Packet rules in the kernel: what is translated, what is refused, and what is left alone."""

from __future__ import annotations

import contextlib
import socket
import time
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from pathlib import Path

import pytest
from net_helpers import create_all

from edge.model import RateCap, SourceFilter, SourceNat
from edge.net import flowrules
from edge.net.capabilities import probe
from edge.net.kernel import Kernel
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.changes import Change
from edge.net.objects.devices import AdminUp, Namespace, Sysctl, Veth
from edge.net.objects.routing import DeviceAddress, KernelRoute, Ruleset
from edge.net.rules import (
    NFT_FAMILY,
    NFT_TABLE,
    source_filter,
    source_nat,
    xtables_filter,
    xtables_nat,
)
from tests.waiting import wait_until

BOTH = pytest.mark.kernels("here", "stock")

DEADLINE_S = 3.0
GOLDEN = Path(__file__).parent.parent / "golden" / "rules"
PC, CE_LAN = Endpoint("pc", "eth0"), Endpoint("ce", "lan")
CE, MSEE = Endpoint("ce", "wan"), Endpoint("msee", "ams")
SERVICE = "52.112.0.1"
IP_AND_UDP = 28
SO_RCVBUFFORCE = 33


def chain(*rules: Ruleset) -> list[KernelObject]:
    """pc -- ce -- msee, which has the service's address on its loopback."""
    return [
        *(Namespace(name) for name in ("pc", "ce", "msee")),
        Sysctl("ce", "net/ipv4/ip_forward", "1"),
        Veth(PC, CE_LAN, 1500, "02:00:00:00:00:01", "02:00:00:00:00:02"),
        Veth(CE, MSEE, 1500, "02:00:00:00:00:03", "02:00:00:00:00:04"),
        *(AdminUp(at) for at in (PC, CE_LAN, CE, MSEE)),
        DeviceAddress(PC, ip_interface("10.1.0.10/16")),
        DeviceAddress(CE_LAN, ip_interface("10.1.0.1/16")),
        DeviceAddress(CE, ip_interface("198.51.100.1/30")),
        DeviceAddress(MSEE, ip_interface("198.51.100.2/30")),
        DeviceAddress(CE, ip_interface("2001:db8::1/126")),
        DeviceAddress(MSEE, ip_interface("2001:db8::2/126")),
        DeviceAddress(Endpoint("msee", "lo"), ip_interface(f"{SERVICE}/32")),
        KernelRoute("pc", ip_network("0.0.0.0/0"), (ip_interface("10.1.0.1/16").ip,)),
        KernelRoute("ce", ip_network("0.0.0.0/0"), (ip_interface("198.51.100.2/30").ip,)),
        KernelRoute("msee", ip_network("203.0.113.0/24"), (ip_interface("198.51.100.1/30").ip,)),
        KernelRoute("msee", ip_network("10.1.0.0/16"), (ip_interface("198.51.100.1/30").ip,)),
        *rules,
    ]


def filter_of(*allowed: IPv4Network | IPv6Network) -> Ruleset:
    subnets = {"ams": (IPv4Network("198.51.100.0/30"), IPv6Network("2001:db8::/126"))}
    rules = (SourceFilter("ams", allowed),)
    return Ruleset(
        "msee",
        NFT_FAMILY,
        NFT_TABLE,
        source_filter(rules, subnets),
        xtables_filter(rules, subnets) + xtables_nat(()),
    )


def source_seen(kernel: Kernel, client: str, target: str) -> str:
    """The source address that the service sees of a packet from `client`."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with (
        kernel.socket("msee", family, socket.SOCK_DGRAM) as server,
        kernel.socket(client, family, socket.SOCK_DGRAM) as sender,
    ):
        server.bind((target, 3478))
        server.settimeout(DEADLINE_S)
        sender.sendto(b"x", (target, 3478))
        return str(server.recvfrom(10)[1][0])


def refused(kernel: Kernel) -> int:
    return kernel.counters("msee")["refused_sources"][0]


POOL = (SourceNat("wan", (IPv4Network("10.1.0.0/16"),), IPv4Network("203.0.113.0/29")),)
NAT = Ruleset("ce", NFT_FAMILY, NFT_TABLE, source_nat(POOL), xtables_filter((), {}) + xtables_nat(POOL))


@BOTH
@pytest.mark.shows("address translation", here="any", stock="any")
def test_inside_sources_leave_with_an_address_of_the_pool(kernel: Kernel) -> None:
    create_all(kernel, chain(NAT))
    assert ip_interface(source_seen(kernel, "pc", SERVICE)).ip in IPv4Network("203.0.113.0/29")


@BOTH
def test_one_inside_address_keeps_one_outside_address(kernel: Kernel) -> None:
    others = [f"52.112.0.{n}" for n in range(2, 10)]
    extra = [DeviceAddress(Endpoint("msee", "lo"), ip_interface(f"{other}/32")) for other in others]
    create_all(kernel, [*chain(NAT), *extra])
    assert len({source_seen(kernel, "pc", target) for target in (SERVICE, *others)}) == 1


@BOTH
def test_the_routers_own_packets_on_the_link_are_not_translated(kernel: Kernel) -> None:
    create_all(kernel, chain(NAT))
    assert source_seen(kernel, "ce", "198.51.100.2") == "198.51.100.1"


@BOTH
def test_allowed_sources_and_the_link_itself_pass_the_filter(kernel: Kernel) -> None:
    create_all(kernel, chain(NAT, filter_of(IPv4Network("203.0.113.0/28"))))
    source_seen(kernel, "pc", SERVICE)
    assert source_seen(kernel, "ce", "198.51.100.2") == "198.51.100.1"
    assert source_seen(kernel, "ce", "2001:db8::2") == "2001:db8::1"
    assert refused(kernel) == 0


@BOTH
@pytest.mark.shows("sources that are not advertised are dropped and counted", here="any", stock="any")
def test_a_source_that_nobody_allowed_is_dropped_and_counted(kernel: Kernel) -> None:
    create_all(kernel, chain(filter_of(IPv4Network("203.0.113.0/28"))))
    with (
        kernel.socket("msee", socket.AF_INET, socket.SOCK_DGRAM) as server,
        kernel.socket("pc", socket.AF_INET, socket.SOCK_DGRAM) as sender,
        kernel.socket("ce", socket.AF_INET, socket.SOCK_DGRAM) as neighbour,
    ):
        server.bind(("0.0.0.0", 3478))
        server.settimeout(DEADLINE_S)
        sender.sendto(b"private", (SERVICE, 3478))
        wait_until(lambda: refused(kernel) > 0, "the refusal to be counted", DEADLINE_S)
        neighbour.sendto(b"link", ("198.51.100.2", 3478))
        # What was refused would have come first.
        assert server.recvfrom(10)[0] == b"link"
    assert refused(kernel) == 1


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("*.nft")), ids=lambda path: path.stem)
def test_nft_takes_the_golden_rules(kernel: Kernel, golden: Path) -> None:
    rules = Ruleset("a", NFT_FAMILY, NFT_TABLE, golden.read_text(encoding="utf-8"))
    create_all(kernel, [Namespace("a"), rules])
    assert rules in kernel.found([rules])


@BOTH
def test_rules_that_were_touched_are_found_as_others_and_put_back(kernel: Kernel, sandbox) -> None:
    rules = filter_of(IPv4Network("203.0.113.0/28"))
    create_all(kernel, [*chain(), rules])
    assert rules in kernel.found([rules])
    nft = probe().packet_rules == "nft"
    touch = "nft flush chain inet edge refuse_sources" if nft else "iptables-legacy -F"
    sandbox.ip("netns", "exec", "msee", *touch.split())
    (found,) = (item for item in kernel.found([rules]) if isinstance(item, Ruleset))
    assert found != rules
    assert kernel.apply([Change(found, rules)]) == [None]
    assert rules in kernel.found([rules])
    assert kernel.apply([Change(rules, None)]) == [None]
    assert not [item for item in kernel.found([rules]) if isinstance(item, Ruleset)]


@pytest.mark.kernels("stock")
@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("*.rules")), ids=lambda path: path.stem)
def test_iptables_takes_the_golden_rules(kernel: Kernel, golden: Path) -> None:
    rules = Ruleset("a", NFT_FAMILY, NFT_TABLE, "", golden.read_text(encoding="utf-8"))
    create_all(kernel, [Namespace("a"), rules])
    assert rules in kernel.found([rules])


@pytest.mark.kernels("stock")
def test_rules_without_another_form_are_refused_where_there_are_no_nftables(kernel: Kernel) -> None:
    create_all(kernel, [Namespace("a")])
    (error,) = kernel.apply([Change(None, Ruleset("a", NFT_FAMILY, NFT_TABLE, "\tchain x {\n\t}\n"))])
    assert "these rules have no other form" in str(error)


def capped(kernel: Kernel, cap: RateCap) -> None:
    """The chain of routers, with a cap on what ce passes on."""
    filters = flowrules.xtables_rate_caps((cap,))
    rules = xtables_filter((), {}, filters) + xtables_nat(())
    create_all(kernel, chain(Ruleset("ce", NFT_FAMILY, NFT_TABLE, flowrules.rate_caps((cap,)), rules)))


def flood(kernel: Kernel, client: str, count: int, octets: int) -> tuple[dict[str, int], float]:
    """Send so many packets at once: how many of them arrived, how many each counter of ce has; seconds."""
    found = {"arrived": 0}

    def all_are_found(server: socket.socket) -> bool:
        with contextlib.suppress(BlockingIOError):
            while server.recv(octets):
                found["arrived"] += 1
        found.update({name: packets for name, (packets, _) in kernel.counters("ce").items()})
        return sum(found.values()) == count

    began = time.monotonic()
    with (
        kernel.socket("msee", socket.AF_INET, socket.SOCK_DGRAM) as server,
        kernel.socket(client, socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        server.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        server.bind((SERVICE, 3478))
        server.setblocking(False)
        for _ in range(count):
            sender.sendto(bytes(octets - IP_AND_UDP), (SERVICE, 3478))
        wait_until(lambda: all_are_found(server), f"{count} packets have arrived or were counted")
    return found, time.monotonic() - began


@BOTH
def test_what_is_above_a_rate_is_dropped_and_counted(kernel: Kernel) -> None:
    capped(kernel, RateCap("wan", 80_000, 10_000, "slow"))
    found, seconds = flood(kernel, "pc", 300, 1000)
    assert found["slow"] > 0
    assert found.get("slow_packets", 0) == 0
    # At once passes a second of the rate (the first time two by iptables), and by nftables 15,000 octets.
    assert 10 <= found["arrived"] <= 2 * 10 + 15 + 10 * seconds
    assert kernel.counters("ce")["slow"][1] == 1000 * found["slow"]


@BOTH
def test_packets_above_a_number_in_a_second_are_dropped_and_counted(kernel: Kernel) -> None:
    capped(kernel, RateCap("wan", 1_000_000_000, 100, "slow"))
    found, seconds = flood(kernel, "pc", 300, 100)
    assert found["slow_packets"] > 0
    assert found.get("slow", 0) == 0
    assert 10 <= found["arrived"] <= 10 + 1 + 100 * seconds


@BOTH
def test_a_cap_leaves_the_routers_own_packets_alone(kernel: Kernel) -> None:
    capped(kernel, RateCap("wan", 80_000, 100, "slow"))
    found, _ = flood(kernel, "ce", 300, 1000)
    assert found["arrived"] == 300
