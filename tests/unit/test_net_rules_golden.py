"""Packet rules of a VRF: rendered text against golden files (EDGELAB_UPDATE_GOLDEN=1 writes them anew)."""

from __future__ import annotations

import os
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_interface
from pathlib import Path

import pytest

from edge.model import (
    NoFragments,
    PlainInterface,
    PublishedPort,
    RateCap,
    SourceFilter,
    SourceNat,
    StatefulFilter,
    Subinterface,
    Tag,
    Vrf,
)
from edge.net.rules import source_filter, source_nat, vrf_rules, vrf_xtables

GOLDEN = Path(__file__).parent.parent / "golden" / "rules"
LAN = IPv4Network("10.1.0.0/16")

CE = Vrf(
    "main",
    "ce1",
    IPv4Address("10.255.0.1"),
    interfaces=(PlainInterface("lan", (ip_interface("10.1.0.1/16"),)),),
    nat=(
        SourceNat("ams1.200", (LAN, IPv4Network("10.2.0.0/16")), IPv4Network("203.0.113.0/29")),
        SourceNat("internet", (LAN,), IPv4Address("192.0.2.7")),
    ),
)
MSEE = Vrf(
    "ams.microsoft",
    "msee1.ams.microsoft",
    IPv4Address("10.255.0.2"),
    subinterfaces=(
        Subinterface(
            "ams.200",
            "equinix",
            (Tag(3), Tag(200)),
            (ip_interface("198.51.100.2/30"), ip_interface("2001:db8::2/126")),
        ),
    ),
    source_filters=(
        SourceFilter(
            "ams.200",
            (
                IPv4Network("203.0.113.0/28"),
                IPv4Network("203.0.113.0/29"),
                IPv6Network("2001:db8:1::/48"),
            ),
        ),
    ),
)
GATEWAY = Vrf("hub-gw0", "hub-gw0", IPv4Address("10.255.0.4"), no_fragments=NoFragments(1400))
SILENT = Vrf("hub-gw1", "hub-gw1", IPv4Address("10.255.0.5"), no_fragments=NoFragments(1400, tell=False))
BOTH = Vrf(
    "both",
    "both",
    IPv4Address("10.255.0.3"),
    interfaces=(PlainInterface("wan", (ip_interface("192.0.2.1/31"),)),),
    nat=(SourceNat("wan", (LAN,), IPv4Network("203.0.113.9/32")),),
    source_filters=(SourceFilter("wan", ()), SourceFilter("other", (LAN,))),
)
FLOWS = Vrf(
    "flows",
    "flows",
    IPv4Address("10.255.0.4"),
    nat=(SourceNat("wan", (LAN,), IPv4Address("192.0.2.7")),),
    published=(
        PublishedPort("wan", IPv4Address("192.0.2.7"), "tcp", 25, IPv4Address("10.1.0.20")),
        PublishedPort(
            "wan", IPv4Address("192.0.2.7"), "udp", 443, IPv4Address("10.1.0.21"), IPv4Address("10.1.0.3")
        ),
    ),
    firewalls=(StatefulFilter("wan"), StatefulFilter("ams1.200")),
    rate_caps=(
        RateCap("far.gr", 50_000_000),
        RateCap("near.gr", 1_000_000),
        RateCap("gw", 500_000_000, 50_000, "capped_out"),
    ),
)

RULED = {"ce": CE, "msee": MSEE, "both": BOTH, "flows": FLOWS, "gateway": GATEWAY, "silent": SILENT}


@pytest.mark.parametrize("name", RULED)
@pytest.mark.parametrize(("render", "form"), [(vrf_rules, "nft"), (vrf_xtables, "rules")])
def test_rules_are_as_in_the_golden_file(name: str, render: Callable[[Vrf], str], form: str) -> None:
    text = render(RULED[name])
    golden = GOLDEN / f"{name}.{form}"
    if os.environ.get("EDGELAB_UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_no_rules_are_no_text() -> None:
    assert source_nat(()) == ""
    assert source_filter((), {}) == ""
    assert vrf_rules(Vrf("x", "x", IPv4Address("10.0.0.1"))) == ""
    assert vrf_xtables(Vrf("x", "x", IPv4Address("10.0.0.1"))) == ""


@pytest.mark.parametrize("name", ["", 'a"b', "a b", "eth*", "a\\b", "a\nb"])
def test_a_name_that_would_break_a_rule_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be an interface"):
        source_filter((SourceFilter(name, (LAN,)),), {})
    with pytest.raises(ValueError, match="cannot be an interface"):
        source_nat((SourceNat(name, (LAN,), LAN),))
    with pytest.raises(ValueError, match="cannot be an interface"):
        vrf_xtables(Vrf("x", "x", IPv4Address("10.0.0.1"), nat=(SourceNat(name, (LAN,), LAN),)))


@pytest.mark.parametrize("name", ["eth+", "-j", "!lo"])
def test_a_name_that_iptables_would_read_as_more_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be an interface"):
        vrf_xtables(Vrf("x", "x", IPv4Address("10.0.0.1"), nat=(SourceNat(name, (LAN,), LAN),)))


def test_few_ports_are_for_what_has_ports_and_the_rest_is_translated_as_before() -> None:
    rules = (SourceNat("wan", (LAN,), IPv4Address("192.0.2.7"), ports=(50_000, 50_003)),)
    lines = [line.strip() for line in source_nat(rules).splitlines() if "snat" in line]
    assert [line.partition("snat")[2] for line in lines if "policy" not in line] == [
        " ip to 192.0.2.7:50000-50003 persistent",
        " ip to 192.0.2.7 persistent",
    ]
    text = vrf_xtables(Vrf("x", "x", IPv4Address("10.0.0.1"), nat=rules))
    sources = [line.partition("-j ")[2] for line in text.splitlines() if "SNAT" in line]
    few = "SNAT --to-source 192.0.2.7:50000-50003 --persistent"
    assert sources == [few, few, "SNAT --to-source 192.0.2.7 --persistent"]
    assert ["-p tcp" in line for line in text.splitlines() if "SNAT" in line] == [True, False, False]
