"""Metrics for Prometheus: every scrape reads the routers anew.

Counters are handed over as counters, not as rates: Prometheus makes rates itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.errors import EdgeError
from lab.access import LabAccess
from lab.azure.metrics import Sample, arp_availability, bgp_availability, sample

PATH_LABELS = ("circuit", "peering", "path")


def families(now: Sample) -> Iterator[Metric]:
    """The families of one sample. Pure."""
    arp = GaugeMetricFamily(
        "expressroute_arp_availability_ratio",
        "1 when the customer's end of the peering answers ARP (ArpAvailability)",
        labels=PATH_LABELS,
    )
    bgp = GaugeMetricFamily(
        "expressroute_bgp_availability_ratio",
        "Share of the peering's BGP sessions that are Established (BgpAvailability)",
        labels=PATH_LABELS,
    )
    traffic = CounterMetricFamily(
        "expressroute_circuit_bytes",
        "Octets of the peering; in is into Azure (BitsInPerSecond, BitsOutPerSecond)",
        labels=(*PATH_LABELS, "direction"),
    )
    for reading in now.readings:
        labels = (reading.path.circuit, reading.path.peering, reading.path.path)
        arp.add_metric(labels, arp_availability(reading) / 100)
        bgp.add_metric(labels, bgp_availability(reading) / 100)
        traffic.add_metric((*labels, "in"), reading.octets.into)
        traffic.add_metric((*labels, "out"), reading.octets.out)
    drops = CounterMetricFamily(
        "expressroute_qos_dropped_bytes",
        "Octets above the circuit's bandwidth (QosDropBitsInPerSecond, QosDropBitsOutPerSecond)",
        labels=("circuit", "path", "direction"),
    )
    for (circuit, path), (into, out) in now.dropped:
        drops.add_metric((circuit, path, "in"), into)
        drops.add_metric((circuit, path, "out"), out)
    learned = GaugeMetricFamily(
        "expressroute_gateway_routes_learned",
        "Prefixes from a BGP peer (ExpressRouteGatewayCountOfRoutesLearnedFromPeer)",
        labels=("instance", "peer"),
    )
    advertised = GaugeMetricFamily(
        "expressroute_gateway_routes_advertised",
        "Prefixes to a BGP peer (ExpressRouteGatewayCountOfRoutesAdvertisedToPeer)",
        labels=("instance", "peer"),
    )
    for state in now.gateways:
        peer = (state.node, str(state.session.neighbor))
        learned.add_metric(peer, state.found.imported if state.found else 0)
        advertised.add_metric(peer, state.found.exported if state.found else 0)
    yield from (arp, bgp, traffic, drops, learned, advertised)
    yield from _gateways(now)
    yield from _ports(now)


def _gateways(now: Sample) -> Iterator[Metric]:
    if not now.instances:
        return
    octets = CounterMetricFamily(
        "expressroute_gateway_received_bytes",
        "Octets that an instance of a gateway received (ExpressRouteGatewayBitsPerSecond)",
        labels=("instance",),
    )
    packets = CounterMetricFamily(
        "expressroute_gateway_received_packets",
        "Packets that an instance of a gateway received (ExpressRouteGatewayPacketsPerSecond)",
        labels=("instance",),
    )
    drops = CounterMetricFamily(
        "expressroute_gateway_dropped_bytes",
        "Octets above what the gateway's SKU passes, by the limit that took them; Azure has no such metric",
        labels=("instance", "direction", "limit"),
    )
    for one in now.instances:
        octets.add_metric((one.namespace,), one.octets)
        packets.add_metric((one.namespace,), one.packets)
        for item in one.dropped:
            drops.add_metric((one.namespace, item.way.lower(), item.limit.lower()), item.octets)
    yield from (octets, packets, drops)


def _ports(now: Sample) -> Iterator[Metric]:
    if not now.ports:
        return
    labels = ("port", "link")
    admin = GaugeMetricFamily(
        "expressroute_port_admin_state",
        "1 while the link of a Direct port pair is Enabled (AdminState)",
        labels=labels,
    )
    line = GaugeMetricFamily(
        "expressroute_port_line_protocol", "1 while the port has a carrier (LineProtocol)", labels=labels
    )
    traffic = CounterMetricFamily(
        "expressroute_port_bytes",
        "Octets of the port; in is into Azure (PortBitsInPerSecond, PortBitsOutPerSecond)",
        labels=(*labels, "direction"),
    )
    for one in now.ports:
        at = (one.pair, one.link)
        admin.add_metric(at, float(one.enabled))
        line.add_metric(at, float(one.up))
        traffic.add_metric((*at, "in"), one.into)
        traffic.add_metric((*at, "out"), one.out)
    yield from (admin, line, traffic)


class LabCollector(Collector):
    """A collector over one lab, which each scrape finds anew: labs come and go, the exporter stays."""

    def __init__(self, name: str, connect: Callable[[], AbstractContextManager[LabAccess]]) -> None:
        """connect: gives the lab of that name, or raises EdgeError when it does not run."""
        self._name = name
        self._connect = connect

    def collect(self) -> Iterator[Metric]:
        """One scrape: `expressroute_up`, and all the rest when that is 1."""
        up = GaugeMetricFamily("expressroute_up", "1 when the lab could be read", labels=("lab",))
        try:
            with self._connect() as access:
                found = list(families(sample(access, time.monotonic())))
        except EdgeError:
            found = []
        up.add_metric((self._name,), float(bool(found)))
        return iter([up, *found])


def serve(collector: LabCollector, address: str, port: int) -> int:
    """Answer scrapes at http://ADDRESS:PORT/metrics from a thread; the port that it got (0 asks for any).

    Raises OSError when the address cannot be taken.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    server, _ = start_http_server(port, address, registry)
    taken: int = server.server_port
    return taken
