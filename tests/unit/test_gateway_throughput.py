"""What a gateway's SKU passes, as caps of its instances, and as metrics."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_network
from pathlib import Path

import pytest

from edge.model import RateCap, Vrf
from edge.net.rules import vrf_rules
from lab.azure.exposition import families
from lab.azure.gateways import GatewayDrops, GatewayReading, dropped_by
from lab.azure.metrics import Sample, metrics
from lab.model import LabModel
from lab.service.resources import DEFAULT_SCOPE, Gateway, GatewayType
from lab.topology import load
from lab.topology.throughput import gateway_caps

CONTOSO = Path(__file__).parents[2] / "lab" / "topologies" / "contoso.edge.yml"


def gateway(sku: GatewayType, units: int = 1) -> Gateway:
    return Gateway("hub-gw", DEFAULT_SCOPE, "hub", sku, (ip_network("10.50.255.0/27"),), units)


@pytest.fixture(scope="module")
def contoso() -> LabModel:
    return load(CONTOSO)


@pytest.mark.parametrize(
    ("sku", "units", "mbps", "packets_per_s"),
    [
        ("Standard", 1, 1_000, 100_000),
        ("ErGw1AZ", 1, 1_000, 100_000),
        ("HighPerformance", 1, 2_000, 200_000),
        ("ErGw2AZ", 1, 2_000, 200_000),
        ("UltraPerformance", 1, 10_000, 1_000_000),
        ("ErGw3AZ", 1, 10_000, 1_000_000),
        ("ErGwScale", 1, 1_000, 100_000),
        ("ErGwScale", 10, 10_000, 1_000_000),
        ("ErGwScale", 12, 12_000, 1_400_000),
        ("ErGwScale", 40, 40_000, 7_000_000),
    ],
)
def test_both_instances_together_pass_what_the_sku_does_each_way(
    sku: GatewayType, units: int, mbps: int, packets_per_s: int
) -> None:
    caps = gateway_caps(gateway(sku, units))
    assert [cap.interface for cap in caps] == ["vnet", "gw"]
    assert {2 * cap.rate_bps for cap in caps} == {mbps * 1_000_000}
    assert {2 * (cap.packets_per_s or 0) for cap in caps} == {packets_per_s}
    assert len({cap.counted for cap in caps}) == 2


def test_every_instance_of_a_derived_gateway_has_caps(contoso: LabModel) -> None:
    vrfs = {vrf.namespace: vrf for router in contoso.routers for vrf in router.vrfs}
    assert vrfs["hub-gw0"].rate_caps == vrfs["hub-gw1"].rate_caps == gateway_caps(gateway("ErGw1AZ"))
    rules = vrf_rules(vrfs["hub-gw0"])
    assert 'oifname "vnet" limit rate over 62500000 bytes/second' in rules
    assert 'oifname "gw" limit rate over 50000/second' in rules


CAPS = (RateCap("vnet", 1_000, 10, "capped_in"), RateCap("gw", 1_000, 10, "capped_out"))


def test_drops_are_told_by_way_and_limit() -> None:
    vrf = Vrf("hub-gw0", "hub-gw0", IPv4Address("10.0.0.1"), rate_caps=CAPS)
    counters = {"capped_in": (3, 300), "capped_out_packets": (1, 70), "refused_fragments": (9, 900)}
    assert list(dropped_by(vrf, counters)) == [
        GatewayDrops("In", "Rate", 300),
        GatewayDrops("In", "Packets", 0),
        GatewayDrops("Out", "Rate", 0),
        GatewayDrops("Out", "Packets", 70),
    ]


def sample_of(time: float, octets: int, packets: int, dropped: int) -> Sample:
    drops = (GatewayDrops("In", "Rate", dropped), GatewayDrops("Out", "Rate", 0))
    return Sample(time, (), (), (), (), (GatewayReading("hub-gw0", octets, packets, drops),))


def rates(before: Sample, after: Sample, model: LabModel) -> dict[str, float]:
    return {item.name: item.value for item in metrics(model, before, after)}


def test_metrics_of_a_gateway_are_rates_between_two_readings(contoso: LabModel) -> None:
    before, after = sample_of(1.0, 1_000, 10, 50), sample_of(3.0, 251_000, 30, 300)
    assert rates(before, after, contoso) == {
        "ExpressRouteGatewayBitsPerSecond": 1_000_000.0,
        "ExpressRouteGatewayPacketsPerSecond": 10.0,
        "LabGatewayDropBitsInPerSecond": 1_000.0,
        "LabGatewayDropBitsOutPerSecond": 0.0,
    }


def test_a_gateway_of_another_size_begins_to_count_anew(contoso: LabModel) -> None:
    found = rates(sample_of(1.0, 0, 0, 9_000), sample_of(2.0, 0, 0, 100), contoso)
    assert found["LabGatewayDropBitsInPerSecond"] == 800.0


def test_prometheus_gets_a_gateways_counters() -> None:
    found = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in families(sample_of(1.0, 5_000, 7, 60))
        for sample in family.samples
    }
    assert found["expressroute_gateway_received_bytes_total", ("hub-gw0",)] == 5_000
    assert found["expressroute_gateway_received_packets_total", ("hub-gw0",)] == 7
    assert found["expressroute_gateway_dropped_bytes_total", ("hub-gw0", "in", "rate")] == 60
