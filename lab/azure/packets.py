"""The test of private peering: how many packets of a conversation each MSEE has seen, each way (facts 10.6).

Azure counts by an access list on both MSEEs; here a packet socket in each MSEE's routing domain counts the
same packets while the test runs.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from dataclasses import dataclass
from ipaddress import ip_address

from edge.model import Address
from lab.access import LabAccess
from lab.azure.paths import PeeringPath

ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 0x0003, 0x0800, 0x86DD
SNAP_OCTETS = 128
"""Enough of a packet for addresses and ports behind the longest IPv4 header."""

TCP, UDP = 6, 17


@dataclass(frozen=True, slots=True)
class Conversation:
    """Packets between two addresses, either way; port: a TCP or UDP port of one of them, None for all."""

    on_premises: Address
    azure: Address
    port: int | None = None

    def holds(self, packet: bytes) -> bool:
        """Whether an IP packet is one of them. Pure. A later fragment has no ports and holds none."""
        ends = {self.on_premises, self.azure}
        if len(packet) >= 20 and packet[0] >> 4 == 4:
            source, destination = ip_address(packet[12:16]), ip_address(packet[16:20])
            protocol, header = packet[9], (packet[0] & 15) * 4
            later = bool(int.from_bytes(packet[6:8], "big") & 0x1FFF)
        elif len(packet) >= 40 and packet[0] >> 4 == 6:
            source, destination = ip_address(packet[8:24]), ip_address(packet[24:40])
            protocol, header, later = packet[6], 40, False
        else:
            return False
        if {source, destination} != ends:
            return False
        if self.port is None:
            return True
        if later or protocol not in (TCP, UDP) or len(packet) < header + 4:
            return False
        return self.port in struct.unpack_from("!HH", packet, header)


@dataclass(frozen=True, slots=True)
class PacketCount:
    """What one MSEE saw. received: from on-premises; sent: to on-premises."""

    path: PeeringPath
    received: int
    sent: int

    @property
    def meaning(self) -> str:
        """What Microsoft's documents say of such counts (facts 10.6)."""
        if self.received and self.sent:
            return "healthy: packets pass both ways"
        if self.received:
            return (
                "nothing comes back from Azure: look at its routes, what is advertised, user-defined routes"
            )
        if self.sent:
            return "on-premises or the provider does not answer by this path"
        return "no packet by this path: its BGP or ARP is down, or the other path is used"


def count_packets(
    access: LabAccess, paths: tuple[PeeringPath, ...], conversation: Conversation, seconds: float
) -> tuple[PacketCount, ...]:
    """Count for that many seconds, at all paths at once. Raises EdgeError when the lab has gone."""
    protocol = ETH_P_IP if conversation.azure.version == 4 else ETH_P_IPV6
    counts = [[0, 0] for _ in paths]
    with contextlib.ExitStack() as stack:
        poll = select.poll()
        places: dict[int, tuple[int, socket.socket]] = {}
        for place, path in enumerate(paths):
            opened = stack.enter_context(_listener(access, path))
            poll.register(opened, select.POLLIN)
            places[opened.fileno()] = place, opened
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left * 1000):
                place, opened = places[descriptor]
                packet, (_, found, kind, _, _) = opened.recvfrom(SNAP_OCTETS)
                if found == protocol and conversation.holds(packet):
                    counts[place][kind == socket.PACKET_OUTGOING] += 1
    return tuple(
        PacketCount(path, received, sent) for path, (received, sent) in zip(paths, counts, strict=True)
    )


def _listener(access: LabAccess, path: PeeringPath) -> socket.socket:
    """A packet socket on the path's device, which hears nothing before it is bound to it.

    Bound to all protocols: to one of them the kernel hands over only what comes in.
    """
    opened = access.socket(path.namespace, socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    try:
        opened.bind((path.device, ETH_P_ALL))
    except BaseException:
        opened.close()
        raise
    return opened
