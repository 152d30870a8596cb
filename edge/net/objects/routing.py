"""Where packets go and which pass: addresses, static routes, labels, packet rules. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

from edge.model import Address, Interface, Network
from edge.net.objects.base import Endpoint, Key


@dataclass(frozen=True, slots=True)
class DeviceAddress:
    """An address with its prefix length on a device (IPv6 without duplicate address detection)."""

    at: Endpoint
    address: Interface

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("address", str(self.at), str(self.address))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.at.namespace

    def __str__(self) -> str:
        return f"address {self.address} on {self.at}"


@dataclass(frozen=True, slots=True)
class KernelRoute:
    """A static route (rtm_protocol static); several next hops make it multipath. metric: as of
    edge.model.StaticRoute. device: without a next hop, the device on whose link the destination is.
    """

    namespace: str
    destination: Network
    via: tuple[Address, ...] = ()
    metric: int = 0
    device: str = ""

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("route", self.namespace, self._where)

    @property
    def _where(self) -> str:
        return f"{self.destination} metric {self.metric}" if self.metric else str(self.destination)

    def __str__(self) -> str:
        where = f"via {', '.join(map(str, self.via))}" if self.via else f"on {self.device}"
        return f"{self.namespace}: route {self._where} {where}"


@dataclass(frozen=True, slots=True)
class MplsRoute:
    """A static route of labels (rtm_protocol static): `label` gives way to `out`, or to nothing (pop)."""

    namespace: str
    label: int
    out: tuple[int, ...]
    via: IPv4Address
    device: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("mpls-route", self.namespace, str(self.label))

    def __str__(self) -> str:
        what = f"as {'/'.join(map(str, self.out))}" if self.out else "popped"
        return f"{self.namespace}: label {self.label} {what} via {self.via} on {self.device}"


@dataclass(frozen=True, slots=True)
class Ruleset:
    """One nftables table, replaced as a whole; `text` is its body for `nft -f`, without the braces.

    xtables: the same rules for iptables-restore and ip6tables-restore, for kernels without nftables;
    empty when they have no such form.
    """

    namespace: str
    family: Literal["ip", "ip6", "inet"]
    table: str
    text: str
    xtables: str = ""

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("ruleset", self.namespace, self.family, self.table)

    def __str__(self) -> str:
        return f"{self.namespace}: nftables {self.family} {self.table}"
