"""Metrics under the names of Azure Monitor (facts 10.5), from two readings. Pure but for `sample`.

Rates are those between the two readings, availability that of the later one; Azure averages over a minute.
In is into Azure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from edge.net.objects.base import Endpoint
from lab.access import LabAccess
from lab.azure.gateways import GatewayReading, read_gateways
from lab.azure.paths import PeeringPath, peering_paths
from lab.azure.ports import PortReading, read_ports
from lab.azure.readout import Reading, read_path
from lab.azure.tables import INCOMPLETE
from lab.model import Circuit, ConnectionName, LabModel, PeeringEnd
from lab.sessions import SessionState, read_sessions

Unit = Literal["Percent", "BitsPerSecond", "CountPerSecond", "Count"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One value. resource: circuit, gateway or port pair. dimensions: Azure's names of them -> values."""

    name: str
    resource: str
    unit: Unit
    dimensions: tuple[tuple[str, str], ...]
    value: float

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--format json`."""
        return {
            "name": self.name,
            "resource": self.resource,
            "unit": self.unit,
            "dimensions": dict(self.dimensions),
            "value": self.value,
        }


@dataclass(frozen=True, slots=True)
class Sample:
    """All that metrics are made of, at one moment. time: seconds of a clock that only goes forward.

    dropped: (circuit, path) -> octets that the policer dropped, into Azure and out of it. gateways:
    sessions of the virtual networks' gateways, with what BIRD says of them. ports: of Direct pairs.
    instances: of the virtual networks' gateways, what passed them and what did not.
    """

    time: float
    readings: tuple[Reading, ...]
    dropped: tuple[tuple[tuple[str, ConnectionName], tuple[int, int]], ...]
    gateways: tuple[SessionState, ...]
    ports: tuple[PortReading, ...] = ()
    instances: tuple[GatewayReading, ...] = ()


def sample(access: LabAccess, now: float) -> Sample:
    """Read everything now. Raises EdgeError when the lab does not answer."""
    model = access.model
    counters = access.counters().get("tag_counters") or {}
    paths = [path for circuit in model.circuits for path in peering_paths(model, circuit)]
    spaces = [space for node in model.nodes if node.kind == "gateway" for space in node.namespaces]
    return Sample(
        now,
        tuple(read_path(access, path, counters) for path in paths),
        tuple(_dropped(model, paths, counters)),
        read_sessions(access, model, spaces),
        read_ports(access),
        read_gateways(access),
    )


def _dropped(
    model: LabModel, paths: list[PeeringPath], counters: dict[str, Any]
) -> Iterator[tuple[tuple[str, ConnectionName], tuple[int, int]]]:
    """Octets above the rate, of the provider's virtual circuits that lead to each path's MSEE."""
    counted = {(item["namespace"], item["name"]): item for item in counters.get("virtual_circuits", ())}
    for circuit, connection, keys in _virtual_circuits(model, paths):
        found = [counted[key] for key in keys if key in counted]
        into = sum(item["a_to_b"]["dropped"]["bytes"] for item in found)
        out = sum(item["b_to_a"]["dropped"]["bytes"] for item in found)
        yield (circuit, connection), (into, out)


def _virtual_circuits(
    model: LabModel, paths: list[PeeringPath]
) -> Iterator[tuple[str, ConnectionName, list[tuple[str, str]]]]:
    far_ends = {
        str(one): other for link in model.links for one, other in ((link.a, link.b), (link.b, link.a))
    }
    ports = {
        (vrf.namespace, sub.name): Endpoint(router.namespace, sub.port)
        for router in model.routers
        for vrf in router.vrfs
        for sub in vrf.subinterfaces
    }
    ends: dict[tuple[str, ConnectionName], list[PeeringEnd]] = defaultdict(list)
    for end in model.peering_ends:
        if end.side == "microsoft":
            ends[end.circuit, end.connection].append(end)
    for circuit, connection in dict.fromkeys((path.circuit, path.path) for path in paths):
        keys = [
            (fabric.namespace, item.name)
            for fabric in model.fabrics
            for item in fabric.circuits
            if any(
                end.tags[: len(item.tags_b)] == item.tags_b
                and ports[end.namespace, end.device] == far_ends.get(f"{fabric.namespace}:{item.port_b}")
                for end in ends[circuit, connection]
            )
        ]
        yield circuit, connection, keys


def metrics(model: LabModel, before: Sample, after: Sample) -> tuple[Metric, ...]:
    """What Azure Monitor would show. Pure. Raises ValueError when the second sample is not later."""
    if after.time <= before.time:
        raise ValueError("the second reading must be later than the first")
    circuits = {circuit.name: circuit for circuit in model.circuits}
    return (
        *_availability(after),
        *_traffic(circuits, before, after),
        *_drops(before, after),
        *_gateway_routes(after),
        *_gateway_traffic(before, after),
        *_ports(before, after),
    )


def _dimensions(path: PeeringPath, role: str) -> tuple[tuple[str, str], ...]:
    return (("PeeringType", path.peering.capitalize()), (role, path.path.capitalize()))


def bgp_availability(reading: Reading) -> float:
    """Percent of the customer's sessions on a path that are Established. Pure."""
    ours = [state for session, state in reading.sessions if session.group == "customer"]
    up = sum(1 for state in ours if state is not None and state.established)
    return 100.0 * up / len(ours) if ours else 0.0


def arp_availability(reading: Reading) -> float:
    """100 when the customer's end of the link has answered, else 0. Pure."""
    rows = [row for row in reading.arp if row.interface == "On-Prem"]
    return 100.0 if rows and all(row.mac != INCOMPLETE for row in rows) else 0.0


def _availability(after: Sample) -> Iterator[Metric]:
    for name, value in (("ArpAvailability", arp_availability), ("BgpAvailability", bgp_availability)):
        for reading in after.readings:
            path = reading.path
            yield Metric(name, path.circuit, "Percent", _dimensions(path, "Peer"), value(reading))


def _traffic(circuits: dict[str, Circuit], before: Sample, after: Sample) -> Iterator[Metric]:
    earlier = {reading.path: reading.octets for reading in before.readings}
    for reading in after.readings:
        old = earlier.get(reading.path)
        if old is None:
            continue
        path, seconds = reading.path, after.time - before.time
        into = _rate(old.into, reading.octets.into, seconds)
        out = _rate(old.out, reading.octets.out, seconds)
        dimensions = _dimensions(path, "DeviceRole")
        bandwidth = circuits[path.circuit].bandwidth_bps
        for name, unit, value in (
            ("BitsInPerSecond", "BitsPerSecond", into),
            ("BitsOutPerSecond", "BitsPerSecond", out),
            ("IngressBandwidthUtilization", "Percent", 100 * into / bandwidth),
            ("EgressBandwidthUtilization", "Percent", 100 * out / bandwidth),
        ):
            yield Metric(name, path.circuit, unit, dimensions, round(value, 3))  # type: ignore[arg-type]


def _drops(before: Sample, after: Sample) -> Iterator[Metric]:
    earlier = dict(before.dropped)
    for (circuit, path), now in after.dropped:
        old = earlier.get((circuit, path), now)
        for name, was, is_now in zip(("In", "Out"), old, now, strict=True):
            bits = _rate(was, is_now, after.time - before.time)
            dimensions = (("DeviceRole", path.capitalize()),)
            yield Metric(f"QosDropBits{name}PerSecond", circuit, "BitsPerSecond", dimensions, round(bits, 3))


def _rate(before: int, after: int, seconds: float) -> float:
    """Bits per second. Counters that began anew (a device made again) count from nothing."""
    return 8 * (after - before if after >= before else after) / seconds


def _gateway_routes(after: Sample) -> Iterator[Metric]:
    for state in after.gateways:
        dimensions = (("roleInstance", state.node), ("BgpPeerAddress", str(state.session.neighbor)))
        for name, count in (
            ("ExpressRouteGatewayCountOfRoutesLearnedFromPeer", state.found.imported if state.found else 0),
            ("ExpressRouteGatewayCountOfRoutesAdvertisedToPeer", state.found.exported if state.found else 0),
        ):
            yield Metric(name, state.namespace, "Count", dimensions, float(count))


def _gateway_traffic(before: Sample, after: Sample) -> Iterator[Metric]:
    """What instances received; and what their limits dropped, by names of ours, for Azure has none."""
    earlier = {one.namespace: one for one in before.instances}
    seconds = after.time - before.time
    for now in after.instances:
        old = earlier.get(now.namespace, now)
        role = ("roleInstance", now.namespace)
        bits = round(_rate(old.octets, now.octets, seconds), 3)
        packets = round(_rate(old.packets, now.packets, seconds) / 8, 3)
        yield Metric("ExpressRouteGatewayBitsPerSecond", now.namespace, "BitsPerSecond", (role,), bits)
        yield Metric("ExpressRouteGatewayPacketsPerSecond", now.namespace, "CountPerSecond", (role,), packets)
        before_it = {(one.way, one.limit): one.octets for one in old.dropped}
        for one in now.dropped:
            name = f"LabGatewayDropBits{one.way}PerSecond"
            bits = round(_rate(before_it.get((one.way, one.limit), 0), one.octets, seconds), 3)
            yield Metric(name, now.namespace, "BitsPerSecond", (role, ("Limit", one.limit)), bits)


def _ports(before: Sample, after: Sample) -> Iterator[Metric]:
    earlier = {(one.pair, one.link): one for one in before.ports}
    for now in after.ports:
        dimensions = (("Link", now.link.capitalize()),)
        yield Metric("AdminState", now.pair, "Count", dimensions, float(now.enabled))
        yield Metric("LineProtocol", now.pair, "Count", dimensions, float(now.up))
        old = earlier.get((now.pair, now.link), now)
        for name, was, is_now in (("In", old.into, now.into), ("Out", old.out, now.out)):
            bits = _rate(was, is_now, after.time - before.time)
            yield Metric(f"PortBits{name}PerSecond", now.pair, "BitsPerSecond", dimensions, round(bits, 3))
