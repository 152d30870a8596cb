"""Direct port pairs as Azure Monitor shows them (expressRoutePorts, facts 10.5): one reading of each port.

AdminState is what the customer ordered. LineProtocol is read from the device: 1 while the port is up and has
a carrier, so a pulled cable shows here, too. There is no light in a lab, so no light levels.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

from edge.net import readings
from edge.net.netlink import NETLINK_ROUTE, RouteSocket
from lab.access import LabAccess
from lab.model import ConnectionName
from lab.topology.direct import port_of


@dataclass(frozen=True, slots=True)
class PortReading:
    """One port of a pair at one moment. into, out: octets since it was made, into Azure and out of it."""

    pair: str
    link: ConnectionName
    enabled: bool
    up: bool
    into: int
    out: int


def read_ports(access: LabAccess) -> tuple[PortReading, ...]:
    """Both ports of every pair. Raises EdgeError when the lab has gone."""
    return tuple(_read(access))


def _read(access: LabAccess) -> Iterator[PortReading]:
    model = access.model
    spaces = {space for node in model.nodes for space in node.namespaces}
    for pair in model.state.ports.values():
        for link in pair.links:
            at = port_of(pair, link.path)
            enabled = link.admin_state == "Enabled"
            traffic: readings.Traffic | None = None
            up = False
            if at.namespace in spaces:
                sock = access.socket(at.namespace, socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
                with RouteSocket.over(sock) as route:
                    traffic = readings.read_traffic(route).get(at.device)
                    up = any(one.name == at.device and one.carrier for one in readings.read_links(route))
            into, out = (traffic.rx_octets, traffic.tx_octets) if traffic is not None else (0, 0)
            yield PortReading(pair.name, link.path, enabled, up, into, out)
