"""MPLS in route netlink: requests encoded, dumps decoded, as `edge.net.messages` does for the rest. Pure.

Layouts are those of <linux/rtnetlink.h>, <linux/lwtunnel.h>, <linux/mpls_iptunnel.h> and RFC 3032.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address

from edge.model import Address, Network
from edge.net import messages as nl

AF_MPLS = 28
LABEL_BITS = 20
RTA_ENCAP_TYPE, RTA_ENCAP = 21, 22
LWTUNNEL_ENCAP_MPLS, MPLS_IPTUNNEL_DST = 1, 1


@dataclass(frozen=True, slots=True)
class FoundLabel:
    """A static route of labels, by the index of its device."""

    label: int
    out: tuple[int, ...]
    via: IPv4Address
    index: int


def label_stack(labels: tuple[int, ...]) -> bytes:
    """Labels as they stand in a frame (RFC 3032 2.1): 20 bits each, and a mark on the last."""
    last = len(labels) - 1
    return b"".join(struct.pack("!I", label << 12 | (n == last) << 8) for n, label in enumerate(labels))


def parse_labels(stack: bytes) -> tuple[int, ...]:
    """The labels of such a stack, outermost first."""
    return tuple(entry >> 12 for (entry,) in struct.iter_unpack("!I", stack[: len(stack) & ~3]))


def _mpls_route(label: int) -> bytes:
    header = nl.RTMSG.pack(
        AF_MPLS, LABEL_BITS, 0, 0, nl.RT_TABLE_MAIN, nl.RTPROT_STATIC, nl.SCOPE_UNIVERSE, nl.RTN_UNICAST, 0
    )
    return header + nl.attribute(nl.RTA_DST, label_stack((label,)))


def add_route(
    label: int, out: tuple[int, ...], via: IPv4Address, index: int, replace: bool = False
) -> nl.Request:
    """Frames with this outermost label go to an IPv4 neighbour, with other labels in its place or none."""
    flags = nl.NLM_F_CREATE | (nl.NLM_F_REPLACE if replace else nl.NLM_F_EXCL)
    octets = _mpls_route(label) + nl.u32(nl.RTA_OIF, index)
    octets += nl.attribute(nl.RTA_VIA, struct.pack("=H", nl.FAMILY_OF_VERSION[4]) + via.packed)
    octets += nl.attribute(nl.RTA_NEWDST, label_stack(out)) if out else b""
    return nl.Request(nl.RTM_NEWROUTE, flags, octets)


def delete_route(label: int) -> nl.Request:
    """Take a route of labels away."""
    return nl.Request(nl.RTM_DELROUTE, 0, _mpls_route(label))


def push_route(destination: Network, labels: tuple[int, ...], via: Address) -> nl.Request:
    """A static route that puts labels before its packets (RTA_ENCAP)."""
    encap = nl.attribute(RTA_ENCAP_TYPE, struct.pack("=H", LWTUNNEL_ENCAP_MPLS))
    encap += nl.attribute(RTA_ENCAP | nl.NESTED, nl.attribute(MPLS_IPTUNNEL_DST, label_stack(labels)))
    return nl.Request(nl.RTM_NEWROUTE, nl.NLM_F_CREATE | nl.NLM_F_EXCL, nl.route(destination, (via,)) + encap)


def dump_routes() -> nl.Request:
    """Ask for all routes of labels."""
    return nl.Request(nl.RTM_GETROUTE, nl.NLM_F_DUMP, nl.RTMSG.pack(AF_MPLS, 0, 0, 0, 0, 0, 0, 0, 0))


def parse_route(payload: bytes) -> FoundLabel | None:
    """A static route of labels to one IPv4 neighbour; None for any other."""
    family, _, _, _, _, protocol, _, _, _ = nl.RTMSG.unpack_from(payload)
    found = nl.attributes(payload, nl.RTMSG.size)
    via, index = found.get(nl.RTA_VIA, b""), found.get(nl.RTA_OIF, b"")
    labels = parse_labels(found.get(nl.RTA_DST, b""))
    if (family, protocol) != (AF_MPLS, nl.RTPROT_STATIC) or len(via) != 6 or len(index) != 4 or not labels:
        return None
    out = parse_labels(found.get(nl.RTA_NEWDST, b""))
    return FoundLabel(labels[0], out, IPv4Address(via[2:]), int.from_bytes(index, sys.byteorder))
