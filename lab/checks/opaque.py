"""What of a frame nobody on its way can read: encrypted, or behind what is not understood here. Pure.

A rule that something is never on a link is not proven by frames that nobody could look into.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from edge.fastpath.frames import Verdict, parse_tags
from edge.net.objects.base import Endpoint

if TYPE_CHECKING:
    from lab.model import LabModel

MACSEC = "MACsec"
ESP = "ESP"

_IPV4, _IPV6, _MACSEC, _MPLS = 0x0800, 0x86DD, 0x88E5, 0x8847
_UDP, _ESP, _ICMP, _ICMP6 = 17, 50, 1, 58
_ESP_PORT = 4500
"""UDP port of ESP behind a translation; four octets of zero there mean IKE instead (RFC 3948 2)."""

_IPV6_EXTENSIONS = {0, 43, 60}


def unreadable(frame: bytes) -> str:
    """What hides the payload of an Ethernet frame, in the field's words; empty when it can be read."""
    parsed = parse_tags(frame)
    packet = frame[parsed.payload_offset :]
    if parsed.verdict is Verdict.TOO_DEEP:
        return "more tags than can be read"
    if parsed.ethertype == _MACSEC:
        return MACSEC
    if parsed.ethertype == _MPLS:
        return _behind_labels(packet)
    if parsed.ethertype in (_IPV4, _IPV6):
        return _in_packet(packet)
    return ""


def _behind_labels(packet: bytes) -> str:
    """Labels end with a bit (RFC 3032 2.1); what follows is IP or a wire that is carried (RFC 4928)."""
    for at in range(0, len(packet) - 3, 4):
        if packet[at + 2] & 1:
            below = packet[at + 4 :]
            return _in_packet(below) if below and below[0] >> 4 in (4, 6) else "MPLS without IP"
    return "MPLS without IP"


def _in_packet(packet: bytes) -> str:
    protocol, payload = _transport(packet)
    if protocol == _ESP:
        return ESP
    ports = payload[:2], payload[2:4]
    if protocol == _UDP and _ESP_PORT.to_bytes(2, "big") in ports and len(payload) > 12:
        return f"{ESP} in UDP" if payload[8:12] != bytes(4) else ""
    return ""


def _transport(packet: bytes) -> tuple[int, bytes]:
    """(protocol, what it carries) of an IP packet; a negative protocol where there is none."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        later = int.from_bytes(packet[6:8], "big") & 0x1FFF
        # A later fragment of UDP has no ports; of ESP it is as hidden as the first.
        return packet[9], b"" if later else packet[(packet[0] & 0x0F) * 4 :]
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        following, at = packet[6], 40
        while following in _IPV6_EXTENSIONS and len(packet) >= at + 2:
            following, at = packet[at], at + 8 + packet[at + 1] * 8
        return following, packet[at:]
    return -1, b""


def carries(frame: bytes, token: bytes) -> int:
    """Where a token lies in a frame, whatever it is wrapped in; -1 where it does not, or ICMP quotes it.

    Also of a device without Ethernet (a tunnel's), whose packets begin with the IP header.
    """
    at = frame.find(token)
    if at < 0:
        return -1
    parsed = parse_tags(frame)
    packet = frame[parsed.payload_offset :] if parsed.ethertype in (_IPV4, _IPV6) else frame
    return -1 if _transport(packet)[0] in (_ICMP, _ICMP6) else at


def readable_places(model: LabModel, at: Iterable[Endpoint], kinds: Iterable[str]) -> tuple[str, ...]:
    """Devices, as a check's `link` takes them, at which frames hidden on these devices are in clear."""
    found: dict[str, None] = {}
    hidden, spaces = set(kinds), {(one.namespace, one.device) for one in at}
    for router in model.routers:
        wires = {port.macsec.wire: port.name for port in router.ports if port.macsec is not None}
        for vrf in router.vrfs:
            if MACSEC in hidden:
                for sub in vrf.subinterfaces:
                    here = {(router.namespace, wire) for wire, name in wires.items() if name == sub.port}
                    if here & spaces:
                        found[f"{vrf.namespace}:{sub.name}"] = None
            if any(kind.startswith(ESP) for kind in hidden):
                found.update(dict.fromkeys(f"{vrf.namespace}:{tunnel.name}" for tunnel in vrf.tunnels))
    return tuple(found)
