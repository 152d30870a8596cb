"""NAT and source filters of a VRF as the body of one nftables table, or as rules for iptables. Pure.

Rule of thumb of this file: what a peering link itself says (BGP, BFD, a ping of its addresses) is never
translated and never refused, or the session would not come up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Network, collapse_addresses
from typing import Literal

from edge.model import Network, PlainInterface, SourceFilter, SourceNat, Subinterface, Vrf

NFT_FAMILY: Literal["inet"] = "inet"
NFT_TABLE = "edge"

REFUSED_COUNTER = "refused_sources"
"""Named counter of packets dropped because nobody allowed their source."""

_ALWAYS_V6 = (IPv6Network("fe80::/10"), IPv6Network("::/128"))
"""Sources of neighbour discovery: link-local, and none at all before there is an address (RFC 4861 4.3)."""


def vrf_rules(vrf: Vrf) -> str:
    """The body of a VRF's table: its NAT and its source filters; empty when it has neither.

    A filter lets the networks of its interface's own addresses pass (facts 3.4). Raises ValueError for
    an interface name that cannot stand in a rule.
    """
    parts = (source_nat(vrf.nat), source_filter(vrf.source_filters, _subnets(vrf)))
    return "\n".join(part for part in parts if part)


def vrf_xtables(vrf: Vrf) -> str:
    """The same rules as `vrf_rules` as input of iptables-restore and ip6tables-restore; empty without any.

    For kernels without nftables (edge.net.xtables). Raises ValueError for an interface name that cannot
    stand in a rule.
    """
    if not vrf.nat and not vrf.source_filters:
        return ""
    return xtables_filter(vrf.source_filters, _subnets(vrf)) + xtables_nat(vrf.nat)


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
    lines = [
        f"oifname {_quoted(rule.interface)} ip saddr {_set(rule.inside)}"
        f" snat ip to {_pool(rule.pool)} persistent"
        for rule in rules
        if rule.inside
    ]
    return _chain("source_nat", ["type nat hook postrouting priority srcnat; policy accept;", *lines])


def source_filter(rules: tuple[SourceFilter, ...], subnets: Mapping[str, tuple[Network, ...]]) -> str:
    """Packets that come in by an interface pass with an allowed source only, the others are counted.

    `subnets` names the networks of each interface's own link, which always pass.
    """
    if not rules:
        return ""
    lines = []
    for rule in rules:
        v4, v6 = _allowed(rule, subnets)
        name = _quoted(rule.interface)
        if v4:
            lines.append(f"iifname {name} ip saddr {_set(v4)} return")
        lines.append(f"iifname {name} ip6 saddr {_set(v6)} return")
    interfaces = ", ".join(dict.fromkeys(_quoted(rule.interface) for rule in rules))
    lines.append(f"iifname {{ {interfaces} }} counter name {REFUSED_COUNTER} drop")
    hooks = [
        _chain(
            f"{hook}_sources",
            [f"type filter hook {hook} priority filter; policy accept;", "jump refuse_sources"],
        )
        for hook in ("input", "forward")
    ]
    return "\n".join((f"\tcounter {REFUSED_COUNTER} {{\n\t}}\n", _chain("refuse_sources", lines), *hooks))


def _allowed(
    rule: SourceFilter, subnets: Mapping[str, tuple[Network, ...]]
) -> tuple[list[IPv4Network], list[IPv6Network]]:
    """The sources that pass, by family: those of the rule, the link's own, those of neighbour discovery."""
    allowed = (*rule.allowed, *subnets.get(rule.interface, ()))
    v6 = [network for network in allowed if isinstance(network, IPv6Network)]
    return [network for network in allowed if isinstance(network, IPv4Network)], [*v6, *_ALWAYS_V6]


def xtables_nat(rules: tuple[SourceNat, ...]) -> str:
    """Table `nat` for iptables-restore, the meaning of `source_nat`."""
    lines = [
        f"-4 -A POSTROUTING -o {_plain(rule.interface)} -s {_list(rule.inside)}"
        f" -j SNAT --to-source {_pool(rule.pool)} --persistent"
        for rule in rules
        if rule.inside
    ]
    return "\n".join(("*nat", *lines, "COMMIT", ""))


def xtables_filter(rules: tuple[SourceFilter, ...], subnets: Mapping[str, tuple[Network, ...]]) -> str:
    """Table `filter` for iptables-restore, the meaning of `source_filter`."""
    head = ["*filter", *(f":{chain} ACCEPT" for chain in ("INPUT", "FORWARD", "OUTPUT"))]
    if not rules:
        return "\n".join((*head, "COMMIT", ""))
    lines = [":refuse_sources -", *(f"-A {chain} -j refuse_sources" for chain in ("INPUT", "FORWARD"))]
    for rule in rules:
        v4, v6 = _allowed(rule, subnets)
        opening = f"-A refuse_sources -i {_plain(rule.interface)}"
        if v4:
            lines.append(f"-4 {opening} -s {_list(v4)} -j RETURN")
        lines.append(f"-6 {opening} -s {_list(v6)} -j RETURN")
    for name in dict.fromkeys(_plain(rule.interface) for rule in rules):
        lines.append(f"-A refuse_sources -i {name} -m comment --comment {REFUSED_COUNTER} -j DROP")
    return "\n".join((*head, *lines, "COMMIT", ""))


def _chain(name: str, lines: Iterable[str]) -> str:
    body = "".join(f"\t\t{line}\n" for line in lines)
    return f"\tchain {name} {{\n{body}\t}}\n"


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


def _quoted(interface: str) -> str:
    if not interface or any(character in '"\\*' or character.isspace() for character in interface):
        raise ValueError(f"{interface!r} cannot be an interface in a packet rule")
    return f'"{interface}"'


def _plain(interface: str) -> str:
    """A name for iptables, to which a plus sign at its end means "whatever follows"."""
    quoted = _quoted(interface)
    if interface.endswith("+") or interface.startswith(("-", "!")):
        raise ValueError(f"{interface!r} cannot be an interface in a packet rule")
    return quoted
