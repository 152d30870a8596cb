"""Namespaces, the devices in them, and how those are: their ports, values, states. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import ClassVar

from edge.net.objects.base import Endpoint, Key, OnDevice


@dataclass(frozen=True, slots=True)
class Namespace:
    """A named network namespace (`ip netns` sees it); its loopback is up."""

    name: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("namespace", self.name)

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.name

    def __str__(self) -> str:
        return f"namespace {self.name}"


@dataclass(frozen=True, slots=True)
class Veth:
    """A wire: two devices, each created straight in its namespace. MAC addresses are fixed."""

    a: Endpoint
    b: Endpoint
    mtu: int
    mac_a: str
    mac_b: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("veth", str(self.a), str(self.b))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.a.namespace

    def __str__(self) -> str:
        return f"link {self.a} -- {self.b}"


@dataclass(frozen=True, slots=True)
class Bridge(OnDevice):
    """A plain learning switch, no spanning tree, no multicast snooping."""

    kind: ClassVar[str] = "bridge"
    mtu: int
    mac: str

    def __str__(self) -> str:
        return f"bridge {self.at}"


@dataclass(frozen=True, slots=True)
class BridgePort(OnDevice):
    """A device is a port of a bridge in the same namespace."""

    kind: ClassVar[str] = "bridge-port"
    bridge: str

    def __str__(self) -> str:
        return f"port {self.at} in bridge {self.bridge}"


@dataclass(frozen=True, slots=True)
class Macvlan(OnDevice):
    """A subinterface device for the `bpf` realisation: macvlan, mode source, empty source list.

    It hears nothing by itself (no leak of untagged broadcasts) and follows the carrier of `lower`.
    """

    kind: ClassVar[str] = "macvlan"
    lower: str
    mtu: int
    mac: str

    def __str__(self) -> str:
        return f"subinterface {self.at} on {self.lower}"


@dataclass(frozen=True, slots=True)
class VlanDevice:
    """A kernel VLAN device (802.1Q or 802.1ad by tpid); `at` may lie in another namespace than `lower`."""

    at: Endpoint
    lower: Endpoint
    vid: int
    tpid: int
    mtu: int
    mac: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("vlan", str(self.at))

    @property
    def namespace(self) -> str:  # noqa: D102 - see KernelObject
        return self.lower.namespace

    def __str__(self) -> str:
        return f"VLAN device {self.at} (0x{self.tpid:04x} {self.vid} on {self.lower})"


MACSEC_OCTETS = 32
"""What MACsec adds to a frame: SecTAG with SCI, and the check value (IEEE 802.1AE)."""


@dataclass(frozen=True, slots=True)
class Macsec(OnDevice):
    """A MACsec device on a port: it encrypts (GCM-AES-128) what leaves by it and drops what arrives clear.

    It has no keys of its own making: until key agreement (MkaDaemon) has given it some, nothing passes.
    """

    kind: ClassVar[str] = "macsec"
    lower: str
    mtu: int
    mac: str

    def __str__(self) -> str:
        return f"MACsec {self.at} on {self.lower}"


@dataclass(frozen=True, slots=True)
class IpsecTunnel(OnDevice):
    """A route-based IPsec tunnel: what is routed to its device leaves as ESP for the other end (RFC 4303).

    number: of the tunnel in its namespace, from 1; it marks what belongs together. keys: hexadecimal, 16
    octets for AES-128 (or 32 for AES-256) and 4 of salt (RFC 4106 8.1). The other end exchanges in and out.
    Without keys only the device is made: edge.ike agrees on associations for it.
    """

    kind: ClassVar[str] = "ipsec-tunnel"
    local: IPv4Address
    remote: IPv4Address
    number: int
    spi_out: int
    spi_in: int
    key_out: str = field(repr=False)
    key_in: str = field(repr=False)
    mtu: int

    def __str__(self) -> str:
        return f"IPsec tunnel {self.at} to {self.remote}"


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A value under /proc/sys/net of one namespace; `name` with slashes, `net/ipv4/ip_forward`."""

    namespace: str
    name: str
    value: str

    @property
    def key(self) -> Key:  # noqa: D102 - see KernelObject
        return ("sysctl", self.namespace, self.name)

    @property
    def device(self) -> str:
        """The device whose value this is; empty for a value of the whole namespace."""
        parts = self.name.split("/")
        if len(parts) == 5 and parts[2] in ("conf", "neigh") and parts[3] not in ("all", "default"):
            return parts[3]
        return ""

    def __str__(self) -> str:
        return f"{self.namespace}: {self.name} = {self.value}"


@dataclass(frozen=True, slots=True)
class AdminUp(OnDevice):
    """A device is administratively up.

    follows: a device of the same namespace; while that has no carrier, this one is taken down, so that
    whoever is behind it notices, and counts as up (edge.net.monitor.CarrierMirror).
    """

    kind: ClassVar[str] = "up"
    follows: str = ""

    def __str__(self) -> str:
        return f"{self.at} up"
