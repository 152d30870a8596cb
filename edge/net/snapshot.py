"""What one namespace holds, decoded from dumps: links, addresses, static routes. Pure."""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_interface

from edge.model import Address, Interface, Network
from edge.net import messages as nl
from edge.net import mpls, netem
from edge.net.htb import FoundQueue, parse_queue


@dataclass(frozen=True, slots=True)
class Link:
    """A device as the kernel shows it.

    link: index of its peer or lower device (0 when it has none), in the namespace that `link_netnsid`
    numbers, or in its own when that is None. vid, tpid, macvlan_mode and suite (MACsec) are 0 on other
    kinds.
    """

    index: int
    name: str
    kind: str
    flags: int
    mtu: int
    mac: str
    link: int = 0
    link_netnsid: int | None = None
    master: int = 0
    vid: int = 0
    tpid: int = 0
    macvlan_mode: int = 0
    suite: int = 0

    @property
    def up(self) -> bool:
        """Administratively up."""
        return bool(self.flags & nl.IFF_UP)

    @property
    def carrier(self) -> bool:
        """Up, and the other end of the wire is, too."""
        return bool(self.flags & nl.IFF_LOWER_UP)


StaticRoute = tuple[Network, tuple[Address, ...], int, int]
"""Destination, next hops, metric (0 is none); without next hops the index of the device on its link."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One namespace at one moment. Addresses carry the index of their device.

    routes: destination, next hops, and without any the index of the device on whose link it is, else 0.
    rates: (device index, bits per second, overhead in octets) of token buckets. queues: traffic classes'
    roots and the queues at their ends.
    """

    links: tuple[Link, ...]
    addresses: tuple[tuple[int, Interface], ...]
    routes: tuple[StaticRoute, ...]
    rates: tuple[tuple[int, int, int], ...] = ()
    queues: tuple[FoundQueue, ...] = ()
    netems: tuple[netem.FoundNetem, ...] = ()
    labels: tuple[mpls.FoundLabel, ...] = ()


_I32 = struct.Struct("=i")
_U32 = struct.Struct("=I")


def _u32(attributes: dict[int, bytes], kind: int) -> int:
    value = attributes.get(kind)
    return int(_U32.unpack(value)[0]) if value else 0


def parse_link(payload: bytes) -> Link:
    """A Link from an RTM_NEWLINK or RTM_DELLINK message."""
    _, _, index, flags = struct.unpack_from("=BxHiI", payload)
    found = nl.attributes(payload, 16)
    netnsid = found.get(nl.IFLA_LINK_NETNSID)
    kind = ""
    vid = tpid = mode = suite = 0
    if nl.IFLA_LINKINFO in found:
        info = nl.attributes(found[nl.IFLA_LINKINFO])
        kind = info.get(nl.IFLA_INFO_KIND, b"").rstrip(b"\0").decode()
        if kind == "vlan":
            data = nl.attributes(info.get(nl.IFLA_INFO_DATA, b""))
            vid = int.from_bytes(data.get(nl.IFLA_VLAN_ID, b""), sys.byteorder)
            tpid = int.from_bytes(data.get(nl.IFLA_VLAN_PROTOCOL, b""), "big")
        elif kind == "macvlan":
            mode = _u32(nl.attributes(info.get(nl.IFLA_INFO_DATA, b"")), nl.IFLA_MACVLAN_MODE)
        elif kind == "macsec":
            data = nl.attributes(info.get(nl.IFLA_INFO_DATA, b""))
            suite = int.from_bytes(data.get(nl.IFLA_MACSEC_CIPHER_SUITE, b""), sys.byteorder)
    return Link(
        index=index,
        name=found.get(nl.IFLA_IFNAME, b"").rstrip(b"\0").decode(),
        kind=kind,
        flags=flags,
        mtu=_u32(found, nl.IFLA_MTU),
        mac=found.get(nl.IFLA_ADDRESS, b"").hex(":"),
        link=_u32(found, nl.IFLA_LINK),
        link_netnsid=_I32.unpack(netnsid)[0] if netnsid else None,
        master=_u32(found, nl.IFLA_MASTER),
        vid=vid,
        tpid=tpid,
        macvlan_mode=mode,
        suite=suite,
    )


def parse_link_dropped(payload: bytes) -> int:
    """Frames to be sent that a device dropped, of an RTM_NEWLINK message with counters (tx_dropped)."""
    counters = nl.attributes(payload, 16).get(nl.IFLA_STATS64, b"")
    # struct rtnl_link_stats64: packets, bytes, errors, dropped, each received and then sent.
    return int(struct.unpack_from("=8Q", counters)[7]) if len(counters) >= 64 else 0


def parse_address(payload: bytes) -> tuple[int, Interface] | None:
    """(device index, address) of an RTM_NEWADDR message; None unless its scope is global."""
    family, prefix, _, scope, index = struct.unpack_from("=BBBBI", payload)
    found = nl.attributes(payload, 8)
    packed = found.get(nl.IFA_LOCAL) or found.get(nl.IFA_ADDRESS)
    if scope != nl.SCOPE_UNIVERSE or packed is None or family not in nl.FAMILY_OF_VERSION.values():
        return None
    return index, ip_interface((_address(packed), prefix))


def _address(packed: bytes) -> Address:
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def _gateway(attributes: dict[int, bytes]) -> Address | None:
    if nl.RTA_GATEWAY in attributes:
        return _address(attributes[nl.RTA_GATEWAY])
    if nl.RTA_VIA in attributes:
        return _address(attributes[nl.RTA_VIA][2:])
    return None


def parse_route(payload: bytes) -> StaticRoute | None:
    """A static unicast route of the main table; None for any other."""
    family, prefix, _, _, table, protocol, _, kind, flags = struct.unpack_from("=BBBBBBBBI", payload)
    if (table, protocol, kind) != (nl.RT_TABLE_MAIN, nl.RTPROT_STATIC, nl.RTN_UNICAST):
        return None
    if flags & nl.RTM_F_CLONED or family not in nl.FAMILY_OF_VERSION.values():
        return None
    found = nl.attributes(payload, 12)
    gateways = [_gateway(found)]
    if nl.RTA_MULTIPATH in found:
        gateways = _multipath(found[nl.RTA_MULTIPATH])
    via = tuple(gateway for gateway in gateways if gateway is not None)
    on_link = 0 if via else _u32(found, nl.RTA_OIF)
    if not via and not on_link:
        return None
    metric = _u32(found, nl.RTA_PRIORITY)
    if family == nl.FAMILY_OF_VERSION[4]:
        return IPv4Network((found.get(nl.RTA_DST, bytes(4)), prefix)), via, metric, on_link
    # What is asked for without a metric gets this one in IPv6 (IP6_RT_PRIO_USER).
    metric = 0 if metric == nl.IPV6_METRIC else metric
    return IPv6Network((found.get(nl.RTA_DST, bytes(16)), prefix)), via, metric, on_link


def _multipath(data: bytes) -> list[Address | None]:
    gateways: list[Address | None] = []
    offset = 0
    while offset + 8 <= len(data):
        length = struct.unpack_from("=H", data, offset)[0]
        if length < 8:
            break
        gateways.append(_gateway(nl.attributes(data[offset : offset + length], 8)))
        offset += (length + 3) & ~3
    return gateways


def take(
    links: list[nl.Message],
    addresses: list[nl.Message],
    routes: list[nl.Message],
    queues: Sequence[nl.Message] = (),
    labels: Sequence[nl.Message] = (),
) -> Snapshot:
    """A Snapshot from the messages of its dumps."""
    at = (parse_address(message.payload) for message in addresses)
    rates = (nl.parse_token_bucket(message.payload) for message in queues)
    disciplines = (parse_queue(message.payload) for message in queues)
    netems = (netem.parse(message.payload) for message in queues)
    static = (parse_route(message.payload) for message in routes)
    switched = (mpls.parse_route(message.payload) for message in labels)
    return Snapshot(
        links=tuple(parse_link(message.payload) for message in links),
        addresses=tuple(item for item in at if item is not None),
        routes=tuple(item for item in static if item is not None),
        rates=tuple(item for item in rates if item is not None),
        queues=tuple(item for item in disciplines if item is not None),
        netems=tuple(item for item in netems if item is not None),
        labels=tuple(item for item in switched if item is not None),
    )
