"""Route netlink messages as octets: encode requests, decode what dumps and acknowledgements bring. Pure.

Hand-packed, because importing and driving a general library costs more than making a whole lab
(facts: linux.md, "Namespaces, fast"). Layouts are those of <linux/netlink.h>, <linux/rtnetlink.h>,
<linux/if_link.h>; all integers are in host order unless a name says otherwise. A message is

    nlmsghdr: length u32, type u16, flags u16, sequence u32, port u32
    then a header of the type, then attributes (length u16, type u16, value, padding to 4 octets)
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from edge.model import Address, Interface, Network

NLM_F_REQUEST, NLM_F_ACK = 0x01, 0x04
NLM_F_DUMP = 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
NLM_F_DUMP_INTR = 0x10
NLM_F_ACK_TLVS = 0x200
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLMSGERR_ATTR_MSG = 1

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38
RTM_NEWNSID, RTM_GETNSID = 88, 90

IFF_UP = 0x1
IFF_LOWER_UP = 0x10000
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER = 1, 3, 4, 5, 10
IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES = 31, 32
IFLA_LINKINFO, IFLA_NET_NS_FD, IFLA_EXT_MASK, IFLA_LINK_NETNSID = 18, 28, 29, 37
IFLA_STATS64, IFLA_TARGET_NETNSID = 23, 46
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
IFLA_MACSEC_PORT, IFLA_MACSEC_CIPHER_SUITE = 2, 4
IFLA_MACSEC_ENCRYPT, IFLA_MACSEC_PROTECT, IFLA_MACSEC_VALIDATION = 7, 8, 13
MACSEC_VALIDATE_STRICT = 2
GCM_AES_128, GCM_AES_128_TOLD = 0x0080C20001000001, 0x0080020001000001
"""The cipher suite (IEEE 802.1AE), and by what number the kernel tells of it (MACSEC_DEFAULT_CIPHER_ID)."""
IFLA_VLAN_ID, IFLA_VLAN_PROTOCOL = 1, 5
IFLA_MACVLAN_MODE = 1
IFLA_BR_STP_STATE, IFLA_BR_MCAST_SNOOPING = 5, 23
VETH_INFO_PEER = 1
MACVLAN_MODE_SOURCE = 16
RTEXT_FILTER_SKIP_STATS = 1 << 3

IFA_ADDRESS, IFA_LOCAL = 1, 2
IFA_F_NODAD = 0x02
NETNSA_NSID, NETNSA_FD = 1, 3

RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_MULTIPATH, RTA_VIA, RTA_NEWDST = 1, 4, 5, 6, 9, 18, 19
IPV6_METRIC = 1024
"""Metric of an IPv6 route that none was asked for."""
TCA_KIND, TCA_OPTIONS = 1, 2
TCA_TBF_PARMS, TCA_TBF_RATE64, TCA_TBF_BURST = 1, 4, 6
TC_H_ROOT = 0xFFFFFFFF
TC_LINKLAYER_ETHERNET = 1

RTM_F_CLONED = 0x200
RTPROT_STATIC = 4
RT_TABLE_MAIN = 254
RTN_UNICAST = 1
SCOPE_UNIVERSE, SCOPE_LINK, SCOPE_NOWHERE = 0, 253, 255
FAMILY_OF_VERSION = {4: 2, 6: 10}
"""IP version -> AF_INET, AF_INET6."""

LOOPBACK_INDEX = 1
"""Index of `lo` in every namespace (LOOPBACK_IFINDEX)."""

_NLMSGHDR = struct.Struct("=IHHII")
_IFINFOMSG = struct.Struct("=BxHiII")
_IFADDRMSG = struct.Struct("=BBBBI")
RTMSG = struct.Struct("=BBBBBBBBI")
_RTNEXTHOP = struct.Struct("=HBBi")
_RTATTR = struct.Struct("=HH")
TCMSG = struct.Struct("=BxxxiIII")
"""struct tcmsg of <linux/rtnetlink.h>: family, index of the device, handle, parent, info."""
_TC_RATESPEC = struct.Struct("=BBHhHI")
_TC_TBF_QOPT_TAIL = struct.Struct("=III")

NESTED = 0x8000
"""NLA_F_NESTED: the value is attributes itself."""

_TYPE_MASK = 0x3FFF


@dataclass(frozen=True, slots=True)
class Request:
    """One message to be sent: its type, its flags beyond REQUEST and ACK, and all after the header."""

    kind: int
    flags: int
    payload: bytes

    def encode(self, sequence: int, flags: int = NLM_F_REQUEST | NLM_F_ACK) -> bytes:
        """The octets to send, header first, padded to 4."""
        length = _NLMSGHDR.size + len(self.payload)
        header = _NLMSGHDR.pack(length, self.kind, self.flags | flags, sequence, 0)
        return header + self.payload + bytes(-length % 4)


@dataclass(frozen=True, slots=True)
class Message:
    """One message received."""

    kind: int
    flags: int
    sequence: int
    payload: bytes


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to 4 octets."""
    length = _RTATTR.size + len(value)
    return _RTATTR.pack(length, kind) + value + bytes(-length % 4)


def u32(kind: int, value: int) -> bytes:
    """An attribute that holds an unsigned number of 32 bits."""
    return struct.pack("=HHI", 8, kind, value)


def text(kind: int, value: str) -> bytes:
    """An attribute that holds text, ended by a zero octet."""
    return attribute(kind, value.encode() + b"\0")


def mac_octets(mac: str) -> bytes:
    """`02:00:5e:00:00:01` as 6 octets. Raises ValueError when it is not a MAC address."""
    octets = bytes.fromhex(mac.replace(":", ""))
    if len(octets) != 6:
        raise ValueError(f"{mac!r} is not a MAC address")
    return octets


def _ifinfo(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return _IFINFOMSG.pack(0, 0, index, flags, change)


def _shape(name: str, mtu: int, mac: str) -> bytes:
    return text(IFLA_IFNAME, name) + u32(IFLA_MTU, mtu) + attribute(IFLA_ADDRESS, mac_octets(mac))


def _linkinfo(kind: str, data: bytes) -> bytes:
    # The kernel has always taken these two without the nested flag, and old ones insist on it.
    return attribute(
        IFLA_LINKINFO,
        attribute(IFLA_INFO_KIND, kind.encode()) + attribute(IFLA_INFO_DATA, data),
    )


def _new_device(index: int, attributes: bytes) -> Request:
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, _ifinfo(index) + attributes)


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """What a device to be made is called and looks like.

    netns_fd: descriptor of the namespace it is born in; None for that of the socket.
    """

    name: str
    index: int
    mtu: int
    mac: str
    netns_fd: int | None = None

    def attributes(self) -> bytes:
        """Name, MTU, MAC and namespace as attributes."""
        octets = _shape(self.name, self.mtu, self.mac)
        return octets if self.netns_fd is None else octets + u32(IFLA_NET_NS_FD, self.netns_fd)


def new_veth(a: DeviceSpec, b: DeviceSpec) -> Request:
    """A pair of devices, each born in its own namespace with its own index, down.

    One queue a direction: the default of one for each processor only costs time to make, and a single
    queue keeps the order of frames.
    """
    queues = u32(IFLA_NUM_TX_QUEUES, 1) + u32(IFLA_NUM_RX_QUEUES, 1)
    peer = attribute(VETH_INFO_PEER, _ifinfo(b.index) + b.attributes() + queues)
    return _new_device(a.index, a.attributes() + queues + _linkinfo("veth", peer))


def new_bridge(device: DeviceSpec) -> Request:
    """A learning bridge, down, without spanning tree and multicast snooping."""
    data = u32(IFLA_BR_STP_STATE, 0) + attribute(IFLA_BR_MCAST_SNOOPING, b"\0")
    return _new_device(device.index, device.attributes() + _linkinfo("bridge", data))


def new_macvlan(device: DeviceSpec, lower: int) -> Request:
    """A macvlan on device index `lower`, mode source with an empty list: it hears nothing by itself."""
    data = u32(IFLA_MACVLAN_MODE, MACVLAN_MODE_SOURCE)
    return _new_device(device.index, device.attributes() + u32(IFLA_LINK, lower) + _linkinfo("macvlan", data))


def new_vlan(device: DeviceSpec, lower: int, vid: int, tpid: int) -> Request:
    """A VLAN device on index `lower` of the socket's namespace, for tags announced by `tpid`."""
    data = attribute(IFLA_VLAN_ID, struct.pack("=H", vid)) + attribute(
        IFLA_VLAN_PROTOCOL, struct.pack("!H", tpid)
    )
    return _new_device(device.index, device.attributes() + u32(IFLA_LINK, lower) + _linkinfo("vlan", data))


def new_macsec(device: DeviceSpec, lower: int) -> Request:
    """A MACsec device on index `lower`, of SCI MAC address and port 1; nothing passes it in clear text."""
    data = attribute(IFLA_MACSEC_PORT, struct.pack("!H", 1))
    data += attribute(IFLA_MACSEC_CIPHER_SUITE, struct.pack("=Q", GCM_AES_128))
    data += b"".join(attribute(kind, b"\1") for kind in (IFLA_MACSEC_ENCRYPT, IFLA_MACSEC_PROTECT))
    data += attribute(IFLA_MACSEC_VALIDATION, bytes((MACSEC_VALIDATE_STRICT,)))
    return _new_device(device.index, device.attributes() + u32(IFLA_LINK, lower) + _linkinfo("macsec", data))


def delete_device(index: int) -> Request:
    """Take a device away; of a veth both ends go."""
    return Request(RTM_DELLINK, 0, _ifinfo(index))


def set_up(index: int, up: bool) -> Request:
    """Set the administrative state of a device."""
    return Request(RTM_SETLINK, 0, _ifinfo(index, IFF_UP if up else 0, IFF_UP))


def set_up_named(name: str, up: bool) -> Request:
    """The same of the device that has this name when the request arrives."""
    named = attribute(IFLA_IFNAME, name.encode() + b"\0")
    return Request(RTM_SETLINK, 0, _ifinfo(0, IFF_UP if up else 0, IFF_UP) + named)


def set_mtu(index: int, mtu: int) -> Request:
    """Set the MTU of a device, in octets of payload."""
    return Request(RTM_SETLINK, 0, _ifinfo(index) + u32(IFLA_MTU, mtu))


def set_mac(index: int, mac: str) -> Request:
    """Set the MAC address of a device."""
    return Request(RTM_SETLINK, 0, _ifinfo(index) + attribute(IFLA_ADDRESS, mac_octets(mac)))


def set_master(index: int, bridge: int) -> Request:
    """Make a device a port of the bridge with that index; 0 takes it out of its bridge."""
    return Request(RTM_SETLINK, 0, _ifinfo(index) + u32(IFLA_MASTER, bridge))


def _address(index: int, interface: Interface, flags: int) -> bytes:
    packed = interface.ip.packed
    return (
        _IFADDRMSG.pack(
            FAMILY_OF_VERSION[interface.version], interface.network.prefixlen, flags, SCOPE_UNIVERSE, index
        )
        + attribute(IFA_LOCAL, packed)
        + attribute(IFA_ADDRESS, packed)
    )


def add_address(index: int, interface: Interface) -> Request:
    """An address; IPv6 without duplicate address detection, which hides it for about two seconds."""
    flags = IFA_F_NODAD if interface.version == 6 else 0
    return Request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, _address(index, interface, flags))


def delete_address(index: int, interface: Interface) -> Request:
    """Take an address away."""
    return Request(RTM_DELADDR, 0, _address(index, interface, 0))


def _gateway(destination: Network, via: Address) -> bytes:
    if destination.version == via.version:
        return attribute(RTA_GATEWAY, via.packed)
    return attribute(RTA_VIA, struct.pack("=H", FAMILY_OF_VERSION[via.version]) + via.packed)


def route(
    destination: Network,
    via: tuple[Address, ...],
    metric: int = 0,
    on_link: int = 0,
    scope: int = SCOPE_UNIVERSE,
) -> bytes:
    """Header and attributes of a static route of the main table. metric: 0 is none.

    on_link: index of the device on whose link the destination is, instead of next hops.
    """
    octets = RTMSG.pack(
        FAMILY_OF_VERSION[destination.version],
        destination.prefixlen,
        0,
        0,
        RT_TABLE_MAIN,
        RTPROT_STATIC,
        SCOPE_LINK if on_link else scope,
        RTN_UNICAST,
        0,
    )
    if destination.prefixlen:
        octets += attribute(RTA_DST, destination.network_address.packed)
    if metric:
        octets += u32(RTA_PRIORITY, metric)
    if on_link:
        return octets + u32(RTA_OIF, on_link)
    if len(via) == 1:
        return octets + _gateway(destination, via[0])
    hops = b""
    for address in via:
        gateway = _gateway(destination, address)
        hops += _RTNEXTHOP.pack(_RTNEXTHOP.size + len(gateway), 0, 0, 0) + gateway
    return octets + attribute(RTA_MULTIPATH, hops) if hops else octets


def add_route(
    destination: Network,
    via: tuple[Address, ...],
    metric: int = 0,
    replace: bool = False,
    on_link: int = 0,
) -> Request:
    """A static route of the main table; several next hops share the flows evenly. metric: 0 is none.

    on_link: index of the device on whose link the destination is, instead of next hops.
    """
    flags = NLM_F_CREATE | (NLM_F_REPLACE if replace else NLM_F_EXCL)
    return Request(RTM_NEWROUTE, flags, route(destination, via, metric, on_link))


def delete_route(destination: Network, metric: int = 0) -> Request:
    """Take a static route away with all its next hops, whatever its scope."""
    return Request(RTM_DELROUTE, 0, route(destination, (), metric, scope=SCOPE_NOWHERE))


def get_link(name: str) -> Request:
    """Ask for one device by its name."""
    mask = u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    return Request(RTM_GETLINK, 0, _ifinfo() + mask + text(IFLA_IFNAME, name))


def get_link_at(index: int, netnsid: int | None = None) -> Request:
    """Ask for one device by its index, in the namespace that the socket's own calls `netnsid` if given."""
    where = b"" if netnsid is None else attribute(IFLA_TARGET_NETNSID, struct.pack("=i", netnsid))
    return Request(RTM_GETLINK, 0, _ifinfo(index) + u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS) + where)


def get_link_counted(index: int) -> Request:
    """Ask for one device by its index, with its counters."""
    return Request(RTM_GETLINK, 0, _ifinfo(index))


def dump_links(counters: bool = False) -> Request:
    """Ask for all devices; with their counters, which are most of the answer, only when asked."""
    wanted = b"" if counters else u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    return Request(RTM_GETLINK, NLM_F_DUMP, _ifinfo() + wanted)


def dump_addresses() -> Request:
    """Ask for all addresses of both families."""
    return Request(RTM_GETADDR, NLM_F_DUMP, _IFADDRMSG.pack(0, 0, 0, 0, 0))


def dump_static_routes(version: int) -> Request:
    """Ask for the static routes of the main table (the kernel filters: NETLINK_GET_STRICT_CHK)."""
    header = RTMSG.pack(FAMILY_OF_VERSION[version], 0, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, 0, 0, 0)
    return Request(RTM_GETROUTE, NLM_F_DUMP, header)


def _tcmsg(index: int) -> bytes:
    return TCMSG.pack(0, index, 0, TC_H_ROOT, 0)


def set_token_bucket(
    index: int, rate_bps: int, overhead_octets: int, burst_octets: int, queue_octets: int
) -> Request:
    """A token bucket filter as a device's queue, in the old one's place; octets count with the overhead.

    The rate is kept in octets per second. Above 2^32 of them it stands in an attribute of its own.
    """
    rate = rate_bps // 8
    spec = _TC_RATESPEC.pack(0, TC_LINKLAYER_ETHERNET, overhead_octets, 0, 0, min(rate, 0xFFFFFFFF))
    parameters = spec + bytes(_TC_RATESPEC.size) + _TC_TBF_QOPT_TAIL.pack(queue_octets, 0, 0)
    options = attribute(TCA_TBF_PARMS, parameters) + u32(TCA_TBF_BURST, burst_octets)
    if rate > 0xFFFFFFFF:
        options += attribute(TCA_TBF_RATE64, struct.pack("=Q", rate))
    octets = _tcmsg(index) + text(TCA_KIND, "tbf") + attribute(TCA_OPTIONS | NESTED, options)
    return Request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, octets)


def delete_queue(index: int) -> Request:
    """Take a device's own queue away; the kernel's default comes back."""
    return Request(RTM_DELQDISC, 0, _tcmsg(index))


def dump_queues() -> Request:
    """Ask for the queues of all devices."""
    return Request(RTM_GETQDISC, NLM_F_DUMP, TCMSG.pack(0, 0, 0, 0, 0))


def parse_token_bucket(payload: bytes) -> tuple[int, int, int] | None:
    """(device index, bits per second, overhead in octets) of a RTM_NEWQDISC; None for another queue."""
    _, index, _, parent, _ = TCMSG.unpack_from(payload)
    found = attributes(payload, TCMSG.size)
    if found.get(TCA_KIND, b"").rstrip(b"\0") != b"tbf" or parent != TC_H_ROOT:
        return None
    options = attributes(found.get(TCA_OPTIONS, b""))
    _, _, overhead, _, _, rate = _TC_RATESPEC.unpack_from(options.get(TCA_TBF_PARMS, b"").ljust(12, b"\0"))
    if TCA_TBF_RATE64 in options:
        rate = struct.unpack("=Q", options[TCA_TBF_RATE64])[0]
    return index, rate * 8, overhead


def get_netnsid(netns_fd: int) -> Request:
    """Ask by which number the socket's namespace knows the namespace of that descriptor."""
    return Request(RTM_GETNSID, 0, struct.pack("=Bxxx", 0) + u32(NETNSA_FD, netns_fd))


def parse_netnsid(payload: bytes) -> int:
    """The number of an answer to `get_netnsid`; -1 when the namespaces do not know each other."""
    value = attributes(payload, 4).get(NETNSA_NSID)
    return int.from_bytes(value, sys.byteorder, signed=True) if value else -1


def messages(data: bytes) -> Iterator[Message]:
    """Split what one read brought. Ends at the first header that does not fit."""
    offset = 0
    while offset + _NLMSGHDR.size <= len(data):
        length, kind, flags, sequence, _ = _NLMSGHDR.unpack_from(data, offset)
        if not _NLMSGHDR.size <= length <= len(data) - offset:
            return
        yield Message(kind, flags, sequence, data[offset + _NLMSGHDR.size : offset + length])
        offset += (length + 3) & ~3


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Attributes by type, flags of the type taken off. Ends at the first that does not fit."""
    found: dict[int, bytes] = {}
    end = len(data)
    while offset + 4 <= end:
        length, kind = _RTATTR.unpack_from(data, offset)
        if not 4 <= length <= end - offset:
            break
        found[kind & _TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found
