"""What Azure shows, from data: rows, availability, rates, conversations."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from edge.bgp.state import ChannelState, ProtocolState
from edge.errors import UsageError
from edge.net.readings import Neighbor, Traffic
from lab.azure.exposition import families
from lab.azure.metrics import Sample, metrics
from lab.azure.packets import Conversation, PacketCount
from lab.azure.paths import PeeringPath, find_circuit, find_peering, peering_paths
from lab.azure.readout import Reading, arp_rows, octets_of, summary_rows
from lab.azure.tables import INCOMPLETE, ArpRow, Octets, route_row, up_down
from lab.model import LabModel
from lab.topology import load

CONTOSO = Path(__file__).parents[2] / "lab" / "topologies" / "contoso.edge.yml"
TWO = CONTOSO.with_name("two-customers.edge.yml")
DEVICE_MAC, CUSTOMER_MAC = "02:00:00:00:00:02", "02:00:00:00:00:01"


@pytest.fixture(scope="module")
def contoso() -> LabModel:
    return load(CONTOSO)


@pytest.fixture(scope="module")
def private(contoso: LabModel) -> PeeringPath:
    return peering_paths(contoso, contoso.circuits[0], "private", "primary")[0]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "never"),
        (0.9, "00:00:00"),
        (768, "00:12:48"),
        (86_399, "23:59:59"),
        (86_400, "1d00h"),
        (97_300, "1d03h"),
        (7 * 86_400, "1w0d"),
        (364 * 86_400, "52w0d"),
        (400 * 86_400, "1y05w"),
    ],
)
def test_times_are_as_routers_print_them(seconds: float | None, words: str) -> None:
    assert up_down(seconds) == words


def test_a_route_shows_local_preference_only_inside_the_as() -> None:
    common = {"origin": "IGP", "local": False, "local_pref": 100}
    outside = route_row("10.0.0.0/8", "192.0.2.1", (65010, 65020), internal=False, **common)  # type: ignore[arg-type]
    assert (outside.loc_prf, outside.weight, outside.path) == ("", 0, "65010 65020 i")
    inside = route_row("10.0.0.0/8", "192.0.2.1", (), internal=True, **common)  # type: ignore[arg-type]
    assert (inside.loc_prf, inside.path) == ("100", "i")
    own = route_row("10.0.0.0/8", "0.0.0.0", (), origin="", internal=False, local=True, local_pref=None)
    assert (own.weight, own.path) == (32768, "?")


def test_paths_come_primary_first_and_carry_the_msees_end(contoso: LabModel) -> None:
    paths = peering_paths(contoso, contoso.circuits[0])
    assert [(p.peering, p.path) for p in paths] == [
        ("private", "primary"),
        ("private", "secondary"),
        ("microsoft", "primary"),
        ("microsoft", "secondary"),
    ]
    assert [str(p.here) for p in paths] == ["192.168.15.2", "192.168.15.6", "198.51.100.2", "198.51.100.6"]
    assert [str(p.there) for p in paths] == ["192.168.15.1", "192.168.15.5", "198.51.100.1", "198.51.100.5"]


def test_azures_names_of_peerings_are_understood_and_others_refused(contoso: LabModel) -> None:
    circuit = contoso.circuits[0]
    assert find_peering(circuit, "AzurePrivatePeering") == "private"
    assert find_peering(circuit, "microsoft") == "microsoft"
    with pytest.raises(
        UsageError, match="peering AzurePublicPeering not found on circuit ams; configured: pr"
    ):
        find_peering(circuit, "AzurePublicPeering")
    one = replace(circuit, peerings=circuit.peerings[:1])
    with pytest.raises(UsageError, match="peering microsoft not found on circuit ams; configured: private"):
        find_peering(one, "microsoft")


def test_a_circuit_may_be_left_out_only_when_it_is_the_only_one(contoso: LabModel) -> None:
    assert find_circuit(contoso, None).name == "ams"
    with pytest.raises(UsageError, match="say which circuit"):
        find_circuit(load(TWO), None)
    with pytest.raises(UsageError, match="no circuit amz"):
        find_circuit(contoso, "amz")


def neighbor(private: PeeringPath, state: str, mac: str = CUSTOMER_MAC) -> Neighbor:
    assert private.there is not None
    return Neighbor(private.there, private.device, mac, state, 130.0)


def test_the_arp_table_tells_an_answer_from_silence_and_from_no_question(private: PeeringPath) -> None:
    traffic = {private.device: Traffic(DEVICE_MAC, 0, 0)}
    own = ArpRow(0, "Microsoft", "192.168.15.2", DEVICE_MAC)
    answered = ArpRow(2, "On-Prem", "192.168.15.1", CUSTOMER_MAC)
    for state in ("reachable", "stale", "delay", "probe"):
        assert arp_rows(private, traffic, (neighbor(private, state),)) == (answered, own)
    silent = ArpRow(None, "On-Prem", "192.168.15.1", INCOMPLETE)
    assert arp_rows(private, traffic, (neighbor(private, "incomplete", ""),)) == (silent, own)
    # The kernel keeps the last MAC address of who no longer answers; it is no answer.
    assert arp_rows(private, traffic, (neighbor(private, "failed"),)) == (silent, own)
    assert arp_rows(private, traffic, ()) == (own,)
    assert arp_rows(private, {}, (neighbor(private, "reachable"),)) == ()
    elsewhere = replace(neighbor(private, "reachable"), device="another")
    assert arp_rows(private, traffic, (elsewhere,)) == (own,)


def test_the_tag_planes_octets_go_before_the_devices(private: PeeringPath) -> None:
    traffic = {private.device: Traffic(DEVICE_MAC, 7, 8)}
    assert octets_of(private, traffic, {}) == Octets(7, 8)
    counted = {"sub": f"{private.namespace}:{private.device}", "rx": {"bytes": 100}, "tx": {"bytes": 200}}
    assert octets_of(private, traffic, {"subinterfaces": [counted]}) == Octets(100, 200)
    assert octets_of(private, {}, {}) == Octets(0, 0)


def state(established: bool, imported: int = 3) -> ProtocolState:
    return ProtocolState(
        "customer_customer", "BGP", "---", "up" if established else "start", None, 60.0, "",
        bgp_state="Established" if established else "Active",
        channels=(ChannelState("ipv4", "UP", "master4", imported=imported),),
    )  # fmt: skip


def reading(contoso: LabModel, path: PeeringPath, up: tuple[bool, bool], octets: Octets, mac: str) -> Reading:
    vrf = next(v for r in contoso.routers for v in r.vrfs if v.namespace == path.namespace)
    customer = [s for s in vrf.sessions if s.group == "customer"]
    sessions = tuple((s, state(one)) for s, one in zip(customer, up, strict=True))
    arp = (ArpRow(0, "On-Prem", "192.168.15.1", mac), ArpRow(0, "Microsoft", "192.168.15.2", DEVICE_MAC))
    return Reading(path, arp, octets, sessions)


def sample_of(time: float, read: Reading, dropped: tuple[int, int] = (0, 0)) -> Sample:
    return Sample(time, (read,), ((("ams", "primary"), dropped),), ())


def test_the_summary_shows_prefixes_or_the_state(contoso: LabModel, private: PeeringPath) -> None:
    rows = summary_rows(reading(contoso, private, (True, False), Octets(0, 0), CUSTOMER_MAC))
    assert [(row.asn, row.up_down, row.state_pfx_rcd) for row in rows] == [
        (65010, "00:01:00", "3"),
        (65010, "00:01:00", "Active"),
    ]
    assert rows[0].to_json() == {
        "neighbor": "192.168.15.1", "v": 4, "as": 65010, "upDown": "00:01:00", "statePfxRcd": "3",
    }  # fmt: skip


def values(found: tuple[object, ...]) -> dict[str, float]:
    return {item.name: item.value for item in found}  # type: ignore[attr-defined]


def test_metrics_are_rates_between_two_readings(contoso: LabModel, private: PeeringPath) -> None:
    before = sample_of(10.0, reading(contoso, private, (True, True), Octets(1000, 50), CUSTOMER_MAC), (0, 5))
    after = sample_of(
        12.0,
        reading(contoso, private, (True, False), Octets(1000 + 25_000_000, 550), INCOMPLETE),
        (250, 5),
    )
    assert values(metrics(contoso, before, after)) == {
        "ArpAvailability": 0.0,
        "BgpAvailability": 50.0,
        "BitsInPerSecond": 100_000_000.0,
        "BitsOutPerSecond": 2000.0,
        "IngressBandwidthUtilization": 50.0,
        "EgressBandwidthUtilization": 0.001,
        "QosDropBitsInPerSecond": 1000.0,
        "QosDropBitsOutPerSecond": 0.0,
    }
    with pytest.raises(ValueError, match="later"):
        metrics(contoso, after, before)


def test_a_counter_that_began_anew_gives_no_negative_rate(contoso: LabModel, private: PeeringPath) -> None:
    before = sample_of(0.0, reading(contoso, private, (True, True), Octets(9000, 9000), CUSTOMER_MAC))
    after = sample_of(1.0, reading(contoso, private, (True, True), Octets(100, 0), CUSTOMER_MAC))
    found = values(metrics(contoso, before, after))
    assert (found["BitsInPerSecond"], found["BitsOutPerSecond"]) == (800.0, 0.0)


def test_prometheus_gets_counters_with_their_paths(contoso: LabModel, private: PeeringPath) -> None:
    now = sample_of(1.0, reading(contoso, private, (True, False), Octets(7, 9), CUSTOMER_MAC), (11, 0))

    class Once(Collector):
        def collect(self) -> Iterator[Family]:
            return families(now)

    registry = CollectorRegistry()
    registry.register(Once())
    text = generate_latest(registry).decode()
    labels = 'circuit="ams",path="primary",peering="private"'
    assert f"expressroute_bgp_availability_ratio{{{labels}}} 0.5\n" in text
    assert f"expressroute_arp_availability_ratio{{{labels}}} 1.0\n" in text
    assert (
        'expressroute_circuit_bytes_total{circuit="ams",direction="out",path="primary",peering="private"} 9'
        in text
    )
    assert 'expressroute_qos_dropped_bytes_total{circuit="ams",direction="in",path="primary"} 11.0' in text


CLIENT, SERVER = ip_address("10.1.0.10"), ip_address("10.50.1.4")
CLIENT6, SERVER6 = ip_address("fd00:1::10"), ip_address("fd00:50:0:1::4")


def packet4(
    source: object, destination: object, ports: tuple[int, int], options: int = 0, frag: int = 0
) -> bytes:
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45 + options, 0, 0, 0, frag, 64, 6, 0, source.packed, destination.packed,  # type: ignore[attr-defined]
    )  # fmt: skip
    return head + bytes(4 * options) + struct.pack("!HH", *ports)


def packet6(source: object, destination: object, ports: tuple[int, int]) -> bytes:
    head = struct.pack("!IHBB16s16s", 6 << 28, 0, 17, 64, source.packed, destination.packed)  # type: ignore[attr-defined]
    return head + struct.pack("!HH", *ports)


@pytest.mark.parametrize("options", [0, 3, 10])
def test_a_conversation_is_both_ways_and_by_port(options: int) -> None:
    by_port = Conversation(CLIENT, SERVER, 3389)
    assert by_port.holds(packet4(CLIENT, SERVER, (50000, 3389), options))
    assert by_port.holds(packet4(SERVER, CLIENT, (3389, 50000), options))
    assert not by_port.holds(packet4(CLIENT, SERVER, (50000, 80), options))
    assert not by_port.holds(packet4(CLIENT, SERVER, (50000, 3389), options, frag=100))
    assert not by_port.holds(packet4(CLIENT, ip_address("10.50.1.5"), (50000, 3389), options))
    assert Conversation(CLIENT, SERVER).holds(packet4(CLIENT, SERVER, (1, 2), options, frag=100))
    assert Conversation(CLIENT6, SERVER6, 53).holds(packet6(SERVER6, CLIENT6, (53, 9)))


@given(st.binary(max_size=80), st.sampled_from([None, 53]))
def test_no_octets_trouble_a_conversation(octets: bytes, port: int | None) -> None:
    assert Conversation(CLIENT, SERVER, port).holds(octets) in (True, False)


def test_counts_mean_what_microsoft_says(private: PeeringPath) -> None:
    words = [PacketCount(private, *pair).meaning for pair in ((3, 3), (3, 0), (0, 3), (0, 0))]
    assert [text.split()[0] for text in words] == ["healthy:", "nothing", "on-premises", "no"]
