"""NAT and filters of a VRF as the body of one nftables table, or as rules for iptables. Pure.

Rule of thumb of this file: what a peering link itself says (BGP, BFD, a ping of its addresses) is never
translated and never refused, or the session would not come up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Network, collapse_addresses
from typing import Literal

from edge.model import Network, NoFragments, PlainInterface, SourceFilter, SourceNat, Subinterface, Vrf
from edge.net import flowrules
from edge.net.ruletext import chain, plain, quoted

NFT_FAMILY: Literal["inet"] = "inet"
NFT_TABLE = "edge"

REFUSED_COUNTER = "refused_sources"
"""Named counter of packets dropped because nobody allowed their source."""

FRAGMENT_COUNTER = "refused_fragments"
"""Named counter of fragments that were not forwarded."""

OVERSIZE_COUNTER = "refused_oversize"
"""Named counter of packets that could have been forwarded in fragments only."""

BEFORE_DEFRAGMENTATION = -450
"""Priority of a chain that sees fragments also where connections are tracked, which joins them at -400."""

UNTOLD_COUNTER = "untold_oversize"
"""Named counter of packets dropped for their length without a word to their sender."""

_ALWAYS_V6 = (IPv6Network("fe80::/10"), IPv6Network("::/128"))
"""Sources of neighbour discovery: link-local, and none at all before there is an address (RFC 4861 4.3)."""


def vrf_rules(vrf: Vrf) -> str:
    """The body of a VRF's table: NAT, filters, rates, what it does to fragments; empty without any.

    A filter lets the networks of its interface's own addresses pass (facts 3.4). Raises ValueError for
    an interface name that cannot stand in a rule.
    """
    parts = (
        source_nat(vrf.nat),
        source_filter(vrf.source_filters, _subnets(vrf)),
        flowrules.published(vrf.published),
        flowrules.stateful(vrf.firewalls),
        flowrules.rate_caps(vrf.rate_caps),
        fragment_filter(vrf.no_fragments),
    )
    return "\n".join(part for part in parts if part)


def vrf_xtables(vrf: Vrf) -> str:
    """The same rules as `vrf_rules` as input of iptables-restore and ip6tables-restore; empty without any.

    For kernels without nftables (edge.net.xtables). Raises ValueError for an interface name that cannot
    stand in a rule.
    """
    if not vrf_rules(vrf):
        return ""
    filters = (
        *xtables_fragments(vrf.no_fragments),
        *flowrules.xtables_rate_caps(vrf.rate_caps),
        *flowrules.xtables_stateful(vrf.firewalls),
    )
    nat = flowrules.xtables_published(vrf.published)
    return xtables_filter(vrf.source_filters, _subnets(vrf), filters) + xtables_nat(vrf.nat, nat)


def _subnets(vrf: Vrf) -> dict[str, tuple[Network, ...]]:
    interfaces: tuple[Subinterface | PlainInterface, ...] = (*vrf.subinterfaces, *vrf.interfaces)
    return {item.name: tuple(address.network for address in item.addresses) for item in interfaces}


def source_nat(rules: tuple[SourceNat, ...]) -> str:
    """Sources inside `inside` that leave by `interface` take an address of the pool (facts 5).

    All addresses of the pool are used, the first and the last of its prefix, too: a pool is no subnet.
    One inside address keeps one outside address for all destinations (RFC 4787, REQ-2). Whatever comes
    from another source, so the router's own packets on the link, leaves as it is.
    """
    if not rules:
        return ""
    lines = []
    for rule in rules:
        if not rule.inside:
            continue
        match = f"oifname {quoted(rule.interface)} ip saddr {_set(rule.inside)}"
        if rule.ports is not None:
            # Only what has ports can be given one of them; the rest is left to the rule below.
            to = f"{_pool(rule.pool)}:{rule.ports[0]}-{rule.ports[1]}"
            lines.append(f"{match} meta l4proto {{ tcp, udp }} snat ip to {to} persistent")
        lines.append(f"{match} snat ip to {_pool(rule.pool)} persistent")
    return chain("source_nat", ["type nat hook postrouting priority srcnat; policy accept;", *lines])


def source_filter(rules: tuple[SourceFilter, ...], subnets: Mapping[str, tuple[Network, ...]]) -> str:
    """Packets that come in by an interface pass with an allowed source only, the others are counted.

    `subnets` names the networks of each interface's own link, which always pass.
    """
    if not rules:
        return ""
    lines = []
    for rule in rules:
        v4, v6 = _allowed(rule, subnets)
        name = quoted(rule.interface)
        if v4:
            lines.append(f"iifname {name} ip saddr {_set(v4)} return")
        lines.append(f"iifname {name} ip6 saddr {_set(v6)} return")
    interfaces = ", ".join(dict.fromkeys(quoted(rule.interface) for rule in rules))
    lines.append(f"iifname {{ {interfaces} }} counter name {REFUSED_COUNTER} drop")
    hooks = [
        chain(
            f"{hook}_sources",
            [f"type filter hook {hook} priority filter; policy accept;", "jump refuse_sources"],
        )
        for hook in ("input", "forward")
    ]
    return "\n".join((f"\tcounter {REFUSED_COUNTER} {{\n\t}}\n", chain("refuse_sources", lines), *hooks))


def _allowed(
    rule: SourceFilter, subnets: Mapping[str, tuple[Network, ...]]
) -> tuple[list[IPv4Network], list[IPv6Network]]:
    """The sources that pass, by family: those of the rule, the link's own, those of neighbour discovery."""
    allowed = (*rule.allowed, *subnets.get(rule.interface, ()))
    v6 = [network for network in allowed if isinstance(network, IPv6Network)]
    return [network for network in allowed if isinstance(network, IPv4Network)], [*v6, *_ALWAYS_V6]


def xtables_nat(rules: tuple[SourceNat, ...], more: Sequence[str] = ()) -> str:
    """Table `nat` for iptables-restore, the meaning of `source_nat`; `more` are further lines of it."""
    lines = []
    for rule in rules:
        if not rule.inside:
            continue
        match = f"-o {plain(rule.interface)} -s {_list(rule.inside)}"
        if rule.ports is not None:
            to = f"{_pool(rule.pool)}:{rule.ports[0]}-{rule.ports[1]}"
            for protocol in ("tcp", "udp"):
                lines.append(f"-4 -A POSTROUTING {match} -p {protocol} -j SNAT --to-source {to} --persistent")
        lines.append(f"-4 -A POSTROUTING {match} -j SNAT --to-source {_pool(rule.pool)} --persistent")
    return "\n".join(("*nat", *lines, *more, "COMMIT", ""))


def fragment_filter(rule: NoFragments | None) -> str:
    """Fragments do not enter, and none is made: both are counted (facts 10.1).

    Fragments are dropped before anything puts them together, as translation of addresses does. What is too
    long and must not be fragmented the kernel refuses by itself, by the MTU of its interfaces; its words
    about that are what `tell` lets out. A packet that a sender left to its device to cut (GSO) and to routers
    to fragment counts by its whole length; Linux senders forbid fragments wherever they do so.
    """
    if rule is None:
        return ""
    named = [FRAGMENT_COUNTER, OVERSIZE_COUNTER]
    fragments = [
        f"type filter hook prerouting priority {BEFORE_DEFRAGMENTATION}; policy accept;",
        f"ip frag-off & 0x3fff != 0 counter name {FRAGMENT_COUNTER} drop",
        f"exthdr frag exists counter name {FRAGMENT_COUNTER} drop",
    ]
    oversize = [
        "type filter hook forward priority filter; policy accept;",
        f"ip frag-off & 0x4000 == 0 ip length > {rule.longest} counter name {OVERSIZE_COUNTER} drop",
    ]
    chains = [chain("refuse_fragments", fragments), chain("refuse_oversize", oversize)]
    if not rule.tell:
        named.append(UNTOLD_COUNTER)
        untold = [
            f"icmp type 3 icmp code 4 counter name {UNTOLD_COUNTER} drop",
            f"icmpv6 type 2 counter name {UNTOLD_COUNTER} drop",
        ]
        chains.append(
            chain("keep_silent", ["type filter hook output priority filter; policy accept;", *untold])
        )
    return "\n".join((*(f"\tcounter {name} {{\n\t}}\n" for name in named), *chains))


def xtables_fragments(rule: NoFragments | None) -> list[str]:
    """Lines of table `filter` for iptables-restore, the meaning of `fragment_filter`.

    No table of iptables sees packets before they are put together: where the VRF translates addresses, what
    came in fragments counts as too long.
    """
    if rule is None:
        return []

    def drop(match: str, counter: str, chain: str = "FORWARD") -> str:
        family, _, words = match.partition(" ")
        return f"{family} -A {chain} {words} -m comment --comment {counter} -j DROP"

    too_long = f'-4 -m length --length {rule.longest + 1}:65535 -m u32 --u32 "4&0x4000=0"'
    lines = [
        drop('-4 -m u32 --u32 "4&0x3FFF=1:0x3FFF"', FRAGMENT_COUNTER),
        drop("-6 -m ipv6header --header frag --soft", FRAGMENT_COUNTER),
        drop(too_long, OVERSIZE_COUNTER),
    ]
    if not rule.tell:
        lines.append(drop("-4 -p icmp -m icmp --icmp-type 3/4", UNTOLD_COUNTER, "OUTPUT"))
        lines.append(drop("-6 -p icmpv6 -m icmp6 --icmpv6-type 2", UNTOLD_COUNTER, "OUTPUT"))
    return lines


def xtables_filter(
    rules: tuple[SourceFilter, ...], subnets: Mapping[str, tuple[Network, ...]], more: Sequence[str] = ()
) -> str:
    """Table `filter` for iptables-restore, the meaning of `source_filter`; `more` are further lines of it."""
    head = ["*filter", *(f":{chain} ACCEPT" for chain in ("INPUT", "FORWARD", "OUTPUT"))]
    if not rules:
        return "\n".join((*head, *more, "COMMIT", ""))
    lines = [":refuse_sources -", *(f"-A {chain} -j refuse_sources" for chain in ("INPUT", "FORWARD"))]
    for rule in rules:
        v4, v6 = _allowed(rule, subnets)
        opening = f"-A refuse_sources -i {plain(rule.interface)}"
        if v4:
            lines.append(f"-4 {opening} -s {_list(v4)} -j RETURN")
        lines.append(f"-6 {opening} -s {_list(v6)} -j RETURN")
    for name in dict.fromkeys(plain(rule.interface) for rule in rules):
        lines.append(f"-A refuse_sources -i {name} -m comment --comment {REFUSED_COUNTER} -j DROP")
    return "\n".join((*head, *lines, *more, "COMMIT", ""))


def _set(networks: Sequence[Network]) -> str:
    """An anonymous set; nft refuses one whose members overlap, so neighbours and parts are joined."""
    return f"{{ {', '.join(map(str, _joined(networks)))} }}"


def _list(networks: Sequence[Network]) -> str:
    return ",".join(map(str, _joined(networks)))


def _joined(networks: Sequence[Network]) -> list[Network]:
    v4 = [network for network in networks if isinstance(network, IPv4Network)]
    v6 = [network for network in networks if isinstance(network, IPv6Network)]
    return [*collapse_addresses(v4), *collapse_addresses(v6)]


def _pool(pool: IPv4Network | IPv4Address) -> str:
    if isinstance(pool, IPv4Address) or pool.num_addresses == 1:
        return str(pool if isinstance(pool, IPv4Address) else pool.network_address)
    return f"{pool.network_address}-{pool.broadcast_address}"
