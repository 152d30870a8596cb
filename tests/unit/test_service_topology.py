"""The topology file as commands: what validates is accepted, and means the same to the routers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import lab
from lab.model import LabModel
from lab.service.apply import Refused, apply_all
from lab.service.commands import Command, CreateCircuit
from lab.service.consistency import contradictions
from lab.service.resources import PATHS
from lab.service.sessions import sessions
from lab.service.state import State
from lab.service.views import connection_status
from lab.topology import derive, load
from lab.topology.service_commands import commands_of, initial_state, read
from tests.unit.topology_strategies import topologies

GALLERY = sorted((Path(lab.__file__).parent / "topologies").glob("*.edge.yml"))


def _serve(document: dict[str, Any]) -> tuple[State, list[Command]]:
    topology = read(document)
    commands = list(commands_of(topology))
    outcome = apply_all(initial_state(topology), commands)
    assert not isinstance(outcome, Refused), (outcome.command, str(outcome.refusal))
    return outcome.state, commands


def _of_lab(model: LabModel) -> Iterator[tuple[Any, ...]]:
    """The customer sessions that the lab gives its MSEEs today."""
    for router in model.routers:
        for vrf in router.vrfs:
            for session in vrf.sessions:
                if session.group == "customer" and session.local_asn == 12076:
                    sub = next(one for one in vrf.subinterfaces if one.name == session.interface)
                    assert session.imports.limit is not None
                    yield (
                        vrf.name,
                        tuple(tag.vid for tag in sub.tags),
                        str(session.local),
                        str(session.neighbor),
                        session.peer_asn,
                        session.password,
                        session.bfd is not None,
                        session.imports.limit.count,
                    )


def _of_service(state: State) -> Iterator[tuple[Any, ...]]:
    for one in sessions(state):
        assert one.blocked == ""
        yield (
            f"{one.circuit}.{one.peering}",
            tuple(tag.vid for tag in one.tags),
            str(one.microsoft.ip),
            str(one.customer.ip),
            one.peer_asn,
            one.shared_key,
            one.bfd,
            one.limit,
        )


def _compare(state: State, model: LabModel) -> None:
    assert contradictions(state) == []
    assert sorted(map(repr, _of_service(state))) == sorted(map(repr, _of_lab(model)))
    assert list(state.circuits) == [circuit.name for circuit in model.circuits]
    for circuit in model.circuits:
        ours = state.circuits[circuit.name]
        assert (ours.provider, ours.location, ours.tier, ours.family, ours.s_tag) == (
            circuit.provider,
            circuit.location,
            circuit.tier,
            circuit.family,
            circuit.s_tag,
        )
        assert ours.bandwidth_mbps * 1_000_000 == circuit.bandwidth_bps
        for peering in circuit.peerings:
            mine = ours.peerings[peering.name]
            assert (mine.vlan, mine.peer_asn, mine.bfd) == (peering.vlan, peering.peer_asn, peering.bfd)
            subnets = [mine.links(version)[n] for version in mine.versions for n, _ in enumerate(PATHS)]
            assert subnets == list(peering.subnets)
            config = mine.microsoft
            prefixes = [one.prefix for one in config.prefixes] if config else []
            assert prefixes == list(peering.advertised_public_prefixes)
            attached = state.filters[mine.route_filter].communities if mine.route_filter else ()
            assert attached == peering.route_filter
    gateways = {node.name.removesuffix("-gw0") for node in model.nodes if node.name.endswith("-gw0")}
    assert {gateway.vnet for gateway in state.gateways.values()} == gateways
    for link in state.connections.values():
        assert connection_status(state, link) == "Connected"


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_every_topology_of_the_gallery_orders_what_its_lab_has(path: Path) -> None:
    model = load(path)
    _compare(_serve(model.document)[0], model)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(topologies())
def test_what_a_topology_validates_the_service_accepts(document: dict[str, Any]) -> None:
    model = derive(document)
    _compare(_serve(model.document)[0], model)


def test_the_same_file_gives_the_same_state() -> None:
    document = load(GALLERY[0]).document
    assert _serve(document)[0] == _serve(document)[0]


def test_more_circuits_than_the_quota_are_ordered_by_raising_it_first() -> None:
    circuits = {
        f"c{n}": {
            "provider": "Equinix",
            "location": "Amsterdam",
            "sku": {"tier": "standard"},
            "bandwidth": "50M",
            "peerings": {"private": {"vlan": 100, "peer_asn": 65010, "subnet": f"172.16.{n}.0/29"}},
        }
        for n in range(60)
    }
    sites = {
        f"s{n}": {"edges": [f"ce{n}"], "lan": f"10.{n}.0.0/24", "circuits": [f"c{n}"], "internet": False}
        for n in range(60)
    }
    model = derive({"name": "many", "circuits": circuits, "sites": sites})
    state, commands = _serve(model.document)
    assert len(state.circuits) == 60
    assert sum(isinstance(one, CreateCircuit) for one in commands) == 60
