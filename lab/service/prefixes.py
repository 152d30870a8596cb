"""Address space: what is public, what is private, what is for documentation."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from edge.model import Network
from lab.service.refusal import Refusal

RFC1918 = (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))
"""Private IPv4 space (RFC 1918); not accepted on a Microsoft peering (facts 3.3)."""

ULA = IPv6Network("fc00::/7")
"""Unique local IPv6 space (RFC 4193)."""

DOCUMENTATION: tuple[Network, ...] = (
    IPv4Network("192.0.2.0/24"),
    IPv4Network("198.51.100.0/24"),
    IPv4Network("203.0.113.0/24"),
    IPv6Network("2001:db8::/32"),
    IPv6Network("3fff::/20"),
)
"""For documentation (RFC 5737, 3849, 9637)."""

SPECIAL: tuple[tuple[Network, str], ...] = (
    (IPv4Network("0.0.0.0/8"), "'this network' (RFC 791)"),
    (IPv4Network("100.64.0.0/10"), "shared between carriers and customers (RFC 6598)"),
    (IPv4Network("127.0.0.0/8"), "loopback (RFC 1122)"),
    (IPv4Network("169.254.0.0/16"), "link-local (RFC 3927)"),
    (IPv4Network("198.18.0.0/15"), "for benchmarks (RFC 2544)"),
    (IPv4Network("224.0.0.0/4"), "multicast (RFC 5771)"),
    (IPv4Network("240.0.0.0/4"), "reserved (RFC 1112)"),
    (IPv6Network("::/8"), "reserved (RFC 4291)"),
    (IPv6Network("fe80::/10"), "link-local (RFC 4291)"),
    (IPv6Network("ff00::/8"), "multicast (RFC 4291)"),
)
"""Space that is neither public nor for ordinary private use, with the words for it."""

UNUSABLE = tuple(
    (network, words)
    for network, words in SPECIAL
    if network not in (ip_network("100.64.0.0/10"), ip_network("198.18.0.0/15"))
)
"""Space in which no host or router interface can live at all."""


def overlap(a: Network, b: Network) -> bool:
    """Whether two networks share an address; False across address families."""
    if isinstance(a, IPv4Network):
        return isinstance(b, IPv4Network) and a.overlaps(b)
    return isinstance(b, IPv6Network) and a.overlaps(b)


def overlapping(networks: Sequence[Network]) -> dict[int, list[int]]:
    """Position of a network -> positions of the earlier ones that it overlaps, where there are any.

    Prefixes are disjoint or one holds the other, so in the order of their addresses those that hold the next
    one are a stack. Of a thousand, half a million pairs would have to be compared.
    """
    found: dict[int, list[int]] = {}
    holding: list[int] = []
    order = range(len(networks))
    keys = [(one.version, int(one.network_address), one.prefixlen) for one in networks]
    for position in sorted(order, key=keys.__getitem__):
        while holding and not overlap(networks[holding[-1]], networks[position]):
            holding.pop()
        for other in holding:
            found.setdefault(max(other, position), []).append(min(other, position))
        holding.append(position)
    return {position: sorted(others) for position, others in found.items()}


def inside(inner: Network, outer: Network) -> bool:
    """Whether every address of `inner` lies in `outer`; False across address families."""
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)


def refuse_interface_network(network: Network) -> Refusal | None:
    """Whether hosts and routers can live in `network` at all (RFC 6890's special space refuses)."""
    for special, words in UNUSABLE:
        if overlap(network, special):
            return Refusal(
                "PrefixUnusable",
                f"{network} is {words}: no interface can have an address there",
                "use private space such as 10.1.0.0/16 or fd00:1::/64",
                network,
            )
    return None


def refuse_public(network: Network, strict: bool) -> Refusal | None:
    """Whether `network` may stand on a Microsoft peering as public space (facts 3.1, 3.3, 3.4).

    Default route and private space never may. Documentation space stands for the customer's own in
    a lab, unless the lab is `strict`.
    """
    if network.prefixlen == 0:
        return Refusal(
            "PrefixDefault",
            "the default route is not accepted on a Microsoft peering",
            "list the public prefixes that you own",
            network,
        )
    private: tuple[Network, ...] = (*RFC1918, ULA)
    if any(overlap(network, block) for block in private):
        return Refusal(
            "PrefixPrivate",
            f"{network} is private space, which a Microsoft peering does not accept",
            "use public space that you own, or documentation space such as 203.0.113.0/28 in a lab",
            network,
        )
    for special, words in SPECIAL:
        if overlap(network, special):
            return Refusal(
                "PrefixSpecial",
                f"{network} is {words}, not public space",
                "use public space that you own, or documentation space such as 203.0.113.0/28 in a lab",
                network,
            )
    if strict and any(overlap(network, block) for block in DOCUMENTATION):
        return Refusal(
            "PrefixDocumentation",
            f"{network} is reserved for documentation",
            "use public space that you own, or take `strict: true` away",
            network,
        )
    return None
