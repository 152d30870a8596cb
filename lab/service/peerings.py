"""Peerings: link subnets and how they split, keys, BGP timers, the order of addresses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import Literal, cast

from edge.model import Interface, Network
from lab.service.refusal import Refusal

KEY_MAX_LENGTH = 25
"""Longest MD5 key that the service takes (facts 3.2)."""

KEEPALIVE_MIN_S, HOLD_MIN_S = 3, 10
"""Shortest BGP timers a customer may use; below, Microsoft's side does not follow (facts 4)."""

BGP_TIMER_MAX_S = 65535
"""Largest hold time the OPEN message can carry (RFC 4271 4.2)."""

LINK_LENGTH: dict[int, int] = {4: 30, 6: 126}
"""Prefix length of one link's subnet by IP version (facts 3.1)."""


@dataclass(frozen=True, slots=True)
class LinkSubnet:
    """One link of a peering: the first usable address is the customer's, the second the MSEE's."""

    network: Network

    @property
    def customer(self) -> Interface:
        """Address of the CE (or of the provider's router)."""
        return _at(self.network, 1)

    @property
    def microsoft(self) -> Interface:
        """Address of the MSEE."""
        return _at(self.network, 2)


def _at(network: Network, offset: int) -> Interface:
    if isinstance(network, IPv4Network):
        return IPv4Interface((network.network_address + offset, network.prefixlen))
    return IPv6Interface((network.network_address + offset, network.prefixlen))


def refuse_link_subnets(networks: list[Network], version: Literal[4, 6]) -> Refusal | None:
    """Whether these can number the two links: one /29 (/125) or two /30 (/126) (facts 3.1)."""
    link = LINK_LENGTH[version]
    example = (
        "192.168.15.0/29 or [192.168.15.0/30, 192.168.15.4/30]"
        if version == 4
        else '"fd00:15::/125" or ["fd00:15::/126", "fd00:15::4/126"]'
    )
    way_out = f"write one /{link - 1} or two /{link}, for example {example}"
    wrong = [n for n in networks if n.version != version]
    if wrong:
        return Refusal("LinkSubnetFamily", f"{wrong[0]} is not IPv{version}", way_out)
    lengths = [n.prefixlen for n in networks]
    if lengths not in ([link - 1], [link, link]):
        given = ", ".join(map(str, networks)) if networks else "nothing"
        return Refusal("LinkSubnetLength", f"{given} cannot number two links", way_out)
    if len(networks) == 2 and networks[0] == networks[1]:
        return Refusal("LinkSubnetEqual", f"both links have the subnet {networks[0]}", way_out)
    return None


def split_link_subnets(networks: list[Network]) -> tuple[LinkSubnet, LinkSubnet]:
    """(primary, secondary): a /29 or /125 splits in order, two subnets are taken as given (facts 3.1).

    Raises ValueError when `refuse_link_subnets` would have refused.
    """
    if len(networks) == 1:
        low, high = networks[0].subnets(prefixlen_diff=1)
        return LinkSubnet(low), LinkSubnet(high)
    if len(networks) == 2:
        return LinkSubnet(networks[0]), LinkSubnet(networks[1])
    raise ValueError("a peering has one subnet to split or two")


def split_v4(networks: Sequence[IPv4Network]) -> tuple[IPv4Network, IPv4Network] | None:
    """The IPv4 subnets of both links, None of nothing. Raises ValueError as `split_link_subnets`."""
    if not networks:
        return None
    first, second = split_link_subnets(list(networks))
    return cast("IPv4Network", first.network), cast("IPv4Network", second.network)


def split_v6(networks: Sequence[IPv6Network]) -> tuple[IPv6Network, IPv6Network] | None:
    """The same of IPv6."""
    if not networks:
        return None
    first, second = split_link_subnets(list(networks))
    return cast("IPv6Network", first.network), cast("IPv6Network", second.network)


def refuse_shared_key(key: str) -> Refusal | None:
    """Whether the service takes this MD5 key: letters and digits, 1 to 25 of them (facts 3.2)."""
    if len(key) > KEY_MAX_LENGTH:
        return Refusal(
            "KeyLong",
            f"the key has {len(key)} characters and the service takes at most {KEY_MAX_LENGTH}",
            "shorten it",
        )
    if not re.fullmatch(r"[A-Za-z0-9]+", key, re.ASCII):
        return Refusal(
            "KeyCharacters",
            "the key may hold letters and digits only" if key else "the key is empty",
            "write a key such as s3cret" + ("" if key else ", or leave shared_key out for none"),
        )
    return None


def refuse_timers(keepalive_s: int, hold_s: int) -> Refusal | None:
    """Whether a customer may run these BGP timers, in seconds (facts 4; RFC 4271 4.2)."""
    if keepalive_s < KEEPALIVE_MIN_S or hold_s < HOLD_MIN_S:
        return Refusal(
            "TimersShort",
            f"keepalive {keepalive_s} s and hold {hold_s} s are below the shortest that the service supports "
            f"({KEEPALIVE_MIN_S}/{HOLD_MIN_S})",
            "use {keepalive: 3, hold: 10} or longer, and BFD for fast detection",
        )
    if hold_s > BGP_TIMER_MAX_S:
        return Refusal(
            "TimersLong",
            f"hold {hold_s} s does not fit into BGP's OPEN message",
            f"use at most {BGP_TIMER_MAX_S}",
        )
    if keepalive_s >= hold_s:
        return Refusal(
            "TimersOrder",
            f"keepalive {keepalive_s} s is not below hold {hold_s} s, so the session would time out",
            "use a third of the hold time, for example {keepalive: 60, hold: 180}",
        )
    return None
