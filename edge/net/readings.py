"""What a namespace shows at this moment, for people: devices and neighbours (ARP, neighbour discovery)."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from ipaddress import ip_address

from edge.model import Address
from edge.net import messages as nl
from edge.net.netlink import RouteSocket
from edge.net.snapshot import Link, parse_link

_RTM_GETNEIGH = 30
_NDMSG = struct.Struct("=BxxxiHBB")
_NDA_DST, _NDA_LLADDR, _NDA_CACHEINFO = 1, 2, 3
_CACHEINFO = struct.Struct("=IIII")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_IFINFOMSG_OCTETS, _IFLA_STATS64 = 16, 23
_STATS64 = struct.Struct("=QQQQ")
"""The beginning of struct rtnl_link_stats64: packets received and sent, octets received and sent."""

STATES = {
    0x01: "incomplete",
    0x02: "reachable",
    0x04: "stale",
    0x08: "delay",
    0x10: "probe",
    0x20: "failed",
    0x40: "noarp",
    0x80: "permanent",
}
"""NUD_* of <linux/neighbour.h> in the words of `ip neigh`."""


@dataclass(frozen=True, slots=True)
class Neighbor:
    """One entry of the neighbour table. mac is empty while nobody has answered (state incomplete).

    age_s: seconds since the neighbour was last known to be there; None where the kernel does not say.
    """

    address: Address
    device: str
    mac: str
    state: str
    age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a device counted since it was made: octets of frames as the device has them, without FCS.

    rx_packets: frames, of which one of GSO is one.
    """

    mac: str
    rx_octets: int
    tx_octets: int
    rx_packets: int = 0


def links(netns_fd: int) -> tuple[Link, ...]:
    """All devices of the namespace but the loopback and our sinks (edge.fastpath.turnout).

    Raises OSError, EdgeError when it cannot be read.
    """
    with RouteSocket(netns_fd) as route:
        return read_links(route)


def read_links(route: RouteSocket) -> tuple[Link, ...]:
    """The same by a socket that is open already."""
    found = [parse_link(message.payload) for message in route.dump(nl.dump_links())]
    return tuple(link for link in found if link.index != nl.LOOPBACK_INDEX and not _is_sink(link))


def _is_sink(link: Link) -> bool:
    return link.kind == "tun" and link.name.startswith("sink")


def neighbors(netns_fd: int) -> tuple[Neighbor, ...]:
    """The neighbour tables of both families. Raises OSError, EdgeError when they cannot be read."""
    with RouteSocket(netns_fd) as route:
        return read_neighbors(route)


def read_neighbors(route: RouteSocket) -> tuple[Neighbor, ...]:
    """The same by a socket that is open already."""
    found = [parse_link(message.payload) for message in route.dump(nl.dump_links())]
    names = {link.index: link.name for link in found if link.index != nl.LOOPBACK_INDEX}
    request = nl.Request(_RTM_GETNEIGH, nl.NLM_F_DUMP, _NDMSG.pack(0, 0, 0, 0, 0))
    entries = [parse_neighbor(message.payload, names) for message in route.dump(request)]
    return tuple(entry for entry in entries if entry is not None)


def read_traffic(route: RouteSocket) -> dict[str, Traffic]:
    """Device -> what it counted. Raises OSError, EdgeError when it cannot be read."""
    found = {}
    for message in route.dump(nl.dump_links(counters=True)):
        link = parse_link(message.payload)
        stats = nl.attributes(message.payload, _IFINFOMSG_OCTETS).get(_IFLA_STATS64, b"")
        if len(stats) >= _STATS64.size:
            rx_packets, _, rx_octets, tx_octets = _STATS64.unpack_from(stats)
            found[link.name] = Traffic(link.mac, rx_octets, tx_octets, rx_packets)
    return found


def parse_neighbor(payload: bytes, names: dict[int, str]) -> Neighbor | None:
    """One RTM_NEWNEIGH; None for entries that are no neighbours (multicast, other devices). Pure."""
    if len(payload) < _NDMSG.size:
        return None
    _, index, state, _, _ = _NDMSG.unpack_from(payload)
    found = nl.attributes(payload, _NDMSG.size)
    destination = found.get(_NDA_DST, b"")
    words = STATES.get(state, "")
    if index not in names or len(destination) not in (4, 16) or words in ("", "noarp", "permanent"):
        return None
    cached = found.get(_NDA_CACHEINFO, b"")
    age_s = _CACHEINFO.unpack_from(cached)[0] / _TICKS_PER_S if len(cached) >= _CACHEINFO.size else None
    return Neighbor(ip_address(destination), names[index], found.get(_NDA_LLADDR, b"").hex(":"), words, age_s)
