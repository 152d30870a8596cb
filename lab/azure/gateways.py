"""Virtual network gateways as Azure Monitor shows them (facts 10.5): one reading of each instance.

What its limits dropped (facts 10.1) Azure does not show; a lab does, under names of its own.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edge.model import Vrf
from edge.net import readings
from edge.net.flowrules import packets_counter
from edge.net.netlink import NETLINK_ROUTE, RouteSocket
from lab.access import LabAccess
from lab.model import LabModel
from lab.topology.throughput import INTO

Way = Literal["In", "Out"]
Limit = Literal["Rate", "Packets"]


@dataclass(frozen=True, slots=True)
class GatewayDrops:
    """Octets that one limit of an instance dropped since its rules were made, into Azure or out of it."""

    way: Way
    limit: Limit
    octets: int


@dataclass(frozen=True, slots=True)
class GatewayReading:
    """One instance at one moment: octets and packets that its interfaces received since they were made."""

    namespace: str
    octets: int
    packets: int
    dropped: tuple[GatewayDrops, ...]


def read_gateways(access: LabAccess) -> tuple[GatewayReading, ...]:
    """Every instance of every gateway. Raises EdgeError when the lab has gone."""
    instances = _instances(access.model)
    if not instances:
        return ()
    counters = access.rule_counters([vrf.namespace for vrf in instances])
    return tuple(_read(access, vrf, counters.get(vrf.namespace, {})) for vrf in instances)


def _instances(model: LabModel) -> list[Vrf]:
    """Those of ExpressRoute: VPN gateways have no limits here."""
    gateways = {space for node in model.nodes if node.kind == "gateway" for space in node.namespaces}
    vrfs = (vrf for router in model.routers for vrf in router.vrfs)
    return [vrf for vrf in vrfs if vrf.namespace in gateways and vrf.rate_caps]


def _read(access: LabAccess, vrf: Vrf, counters: dict[str, tuple[int, int]]) -> GatewayReading:
    sock = access.socket(vrf.namespace, socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
    with RouteSocket.over(sock) as route:
        traffic = readings.read_traffic(route)
    devices = [traffic[cap.interface] for cap in vrf.rate_caps if cap.interface in traffic]
    return GatewayReading(
        vrf.namespace,
        sum(device.rx_octets for device in devices),
        sum(device.rx_packets for device in devices),
        tuple(dropped_by(vrf, counters)),
    )


def dropped_by(vrf: Vrf, counters: dict[str, tuple[int, int]]) -> Iterator[GatewayDrops]:
    """What each limit of an instance dropped, by what its packet rules counted. Pure."""
    for cap in vrf.rate_caps:
        way: Way = "In" if cap.counted == INTO else "Out"
        named: tuple[tuple[Limit, str], ...] = (("Rate", cap.counted), ("Packets", packets_counter(cap)))
        for limit, name in named:
            yield GatewayDrops(way, limit, counters.get(name, (0, 0))[1])
