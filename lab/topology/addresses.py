"""Addresses that nobody writes: links inside Microsoft and the Internet, router ids, routers on LANs.

Links and router ids take theirs from a digest of their name, the next free one on a collision, so adding
a site or a circuit behind the others changes nothing that exists.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Interface,
    IPv6Network,
)

from edge.model import Address, Interface, Network
from lab.topology.names import digest

INTERNAL_V4 = IPv4Network("100.64.0.0/10")
"""The lab's own IPv4 links: shared space (RFC 6598), which neither a LAN nor a public pool may use."""

INTERNAL_V6 = IPv6Network("fd64:100::/64")
"""The lab's own IPv6 links (RFC 4193)."""

DEFAULT_V4 = IPv4Network("0.0.0.0/0")
DEFAULT_V6 = IPv6Network("::/0")

AZURE_RESERVED = 4
"""Addresses at the start of a range that Azure keeps (network, router, two of its own); it also keeps
the last one. The gateways stand for the router on the first two."""

GATEWAY_OFFSETS = (12, 13)
"""The two gateway instances in the GatewaySubnet."""

MSEE_OFFSETS = tuple(n for n in range(4, 62) if n not in GATEWAY_OFFSETS)
"""MSEEs in the GatewaySubnet: a pair for each connected circuit, in the order of the connections."""


def default_route(version: int) -> Network:
    """The default route of an IP version."""
    return DEFAULT_V4 if version == 4 else DEFAULT_V6


def at(network: Network, offset: int) -> Interface:
    """The address at an offset, with the network's prefix length. Raises ValueError outside the network."""
    if offset >= network.num_addresses:
        raise ValueError(f"{network} has no address {offset}")
    if isinstance(network, IPv4Network):
        return IPv4Interface((network.network_address + offset, network.prefixlen))
    return IPv6Interface((network.network_address + offset, network.prefixlen))


def within(address: Address, network: Network) -> Interface:
    """An address with the prefix length of its network."""
    if isinstance(address, IPv4Address):
        return IPv4Interface((address, network.prefixlen))
    return IPv6Interface((address, network.prefixlen))


def network_of(address: Address, networks: Iterable[Network]) -> Network | None:
    """The first network that holds the address."""
    return next((n for n in networks if n.version == address.version and address in n), None)


def of_version(networks: Iterable[Network], version: int) -> tuple[Network, ...]:
    """The networks of one IP version."""
    return tuple(network for network in networks if network.version == version)


@dataclass(frozen=True, slots=True)
class LinkEnds:
    """Addresses of a point-to-point link: /31 (RFC 3021) and /127 (RFC 6164)."""

    a: tuple[IPv4Interface, IPv6Interface]
    b: tuple[IPv4Interface, IPv6Interface]

    @property
    def pairs(self) -> tuple[tuple[Interface, Interface], ...]:
        """(a, b) of each IP version."""
        return (self.a[0], self.b[0]), (self.a[1], self.b[1])


class Numbering:
    """Gives out link addresses and router ids during one derivation."""

    def __init__(self) -> None:
        self._links: set[int] = set()
        self._ends: dict[str, LinkEnds] = {}
        self._router_ids: set[int] = set()

    def link(self, name: str) -> LinkEnds:
        """Addresses of the link of that name."""
        number = _free(digest(name, 21), 1 << 21, self._links)
        v4, v6 = INTERNAL_V4.network_address + 2 * number, INTERNAL_V6.network_address + 2 * number
        ends = LinkEnds(
            (IPv4Interface((v4, 31)), IPv6Interface((v6, 127))),
            (IPv4Interface((v4 + 1, 31)), IPv6Interface((v6 + 1, 127))),
        )
        self._ends[name] = ends
        return ends

    def ends_of(self, name: str) -> LinkEnds:
        """Addresses that `link` gave to that name before. Raises KeyError when it gave none."""
        return self._ends[name]

    def router_id(self, namespace: str) -> IPv4Address:
        """A router id for the VRF in that namespace: unique in the lab, no address of anything."""
        return IPv4Address(
            (10 << 24) + _free(digest(f"router-id {namespace}", 24), 1 << 24, self._router_ids)
        )


def _free(start: int, size: int, taken: set[int]) -> int:
    number = start or 1
    while number in taken:
        number = (number + 1) % size or 1
    taken.add(number)
    return number


def internet_pair(address: Address) -> tuple[IPv4Interface, IPv4Interface]:
    """(host, router) of an Internet host: its /31, whose other address is the router's (RFC 3021)."""
    return IPv4Interface((int(address), 31)), IPv4Interface((int(address) ^ 1, 31))


def lan_routers(lan: Network, edges: int, internet: bool) -> tuple[Interface, ...]:
    """A LAN's routers: the edges in their order on .1, .2, ..., then the Internet edge."""
    return tuple(at(lan, 1 + n) for n in range(edges + (1 if internet else 0)))


def default_gateway_subnets(address_space: Iterable[Network]) -> tuple[Network, ...]:
    """Last /27 of the first IPv4 prefix and last /64 of the first IPv6 prefix (facts 10.1: /27 or larger).

    A prefix that is no longer than that is taken whole; `rules` refuses it.
    """
    found: list[Network] = []
    for version, length in ((4, 27), (6, 64)):
        for network in of_version(address_space, version)[:1]:
            size = 1 << (network.max_prefixlen - max(length, network.prefixlen))
            last = network.broadcast_address - (size - 1)
            found.append(
                IPv4Network((last, max(length, network.prefixlen)))
                if isinstance(last, IPv4Address)
                else IPv6Network((last, max(length, network.prefixlen)))
            )
    return tuple(found)


def is_azure_reserved(address: Address, network: Network) -> bool:
    """Whether Azure keeps this address of a range for itself: the first four and the last."""
    offset = int(address) - int(network.network_address)
    return offset < AZURE_RESERVED or address == network.broadcast_address


def is_lan_edge(address: Address, network: Network) -> bool:
    """Whether this is the LAN's own or its broadcast address, which no host can have."""
    if address.version == 4:
        return address in (network.network_address, network.broadcast_address)
    return address == network.network_address
