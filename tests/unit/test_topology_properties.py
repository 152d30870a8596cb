"""Whatever the file holds: a model, or InputError with places inside the file. Nothing derived collides."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lab
from edge.errors import InputError, Problem
from lab.model import LabModel
from lab.topology import derive, loads
from lab.topology.layout import of_file, of_state
from lab.topology.names import MAX_DEVICE
from lab.topology.rules.naming import claims
from lab.topology.schema import Topology
from lab.topology.source import parse
from tests.unit.topology_strategies import GARBAGE, damaged, topologies

CONTOSO_TEXT = (Path(lab.__file__).parent / "topologies" / "contoso.edge.yml").read_text(encoding="utf-8")
CONTOSO = parse(CONTOSO_TEXT, "contoso").data
HEALTH = [HealthCheck.too_slow, HealthCheck.data_too_large]
DAMAGE = settings(deadline=None, max_examples=60, suppress_health_check=HEALTH)
SHAPES = settings(deadline=None, max_examples=15, suppress_health_check=HEALTH)


def _try(call: Callable[..., LabModel], *arguments: Any) -> tuple[LabModel | None, tuple[Problem, ...]]:
    try:
        return call(*arguments), ()
    except InputError as error:
        return None, error.problems


def _loads_or_refuses_inside(text: str) -> None:
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text.removeprefix("\ufeff"))
    model, problems = _try(loads, text, "f.yml")
    assert (model is None) == bool(problems)
    for problem in problems:
        assert problem.file == "f.yml"
        assert 1 <= problem.line <= len(lines), problem
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, problem
        assert problem.message
        assert problem.hint, problem
        assert "\n" not in str(problem)


def test_a_name_that_no_text_can_hold_is_refused_inside_the_file() -> None:
    # JSON may name half a character; the parser of schemas then tells no place for what is missing.
    _loads_or_refuses_inside('{"name": "x", "circuits": {"\\ud800\\udc00": {}}}')


@DAMAGE
@given(GARBAGE)
def test_any_data_gives_a_model_or_problems_inside_the_file(data: Any) -> None:
    _loads_or_refuses_inside(json.dumps(data))


@DAMAGE
@given(st.text(max_size=200))
def test_any_text_gives_a_model_or_problems_inside_the_file(text: str) -> None:
    _loads_or_refuses_inside(text)


@DAMAGE
@given(st.text(alphabet="ab:,-[]{}&*!|>'\"%@`#?~\n\t \\x0", max_size=60))
def test_any_yaml_punctuation_gives_a_model_or_problems_inside_the_file(text: str) -> None:
    _loads_or_refuses_inside(text)


@DAMAGE
@given(damaged(CONTOSO))
def test_a_damaged_topology_gives_a_model_or_problems_inside_the_file(document: Any) -> None:
    _loads_or_refuses_inside(json.dumps(document, indent=1))


@DAMAGE
@given(damaged(CONTOSO))
def test_a_damaged_document_gives_a_model_or_input_error(document: Any) -> None:
    model, problems = _try(derive, document)
    assert (model is None) == bool(problems)
    if model is not None:
        assert derive(model.document) == model


@DAMAGE
@given(st.integers(0, len(CONTOSO_TEXT)), st.integers(0, 12), st.text(max_size=4))
def test_damaged_text_gives_a_model_or_problems_inside_the_file(at: int, cut: int, paste: str) -> None:
    _loads_or_refuses_inside(CONTOSO_TEXT[:at] + paste + CONTOSO_TEXT[at + cut :])


def _addresses(model: LabModel) -> list[tuple[str, str]]:
    """(segment, address) of every interface; a segment is where an address must be unique."""
    found = []
    for router in model.routers:
        for vrf in router.vrfs:
            interfaces = [*vrf.subinterfaces, *vrf.interfaces]
            found += [(vrf.namespace, str(a.ip)) for one in interfaces for a in one.addresses]
    found += [
        (host.namespace, str(a.ip)) for host in model.hosts for i in host.interfaces for a in i.addresses
    ]
    return found


@SHAPES
@given(topologies())
def test_a_generated_topology_is_accepted_and_nothing_in_it_collides(document: dict[str, Any]) -> None:
    model = loads(json.dumps(document), "generated")
    assert [n for n, c in Counter(node.name for node in model.nodes).items() if c > 1] == []
    assert [n for n, c in Counter(link.name for link in model.links).items() if c > 1] == []
    subs = [(v.namespace, s.name) for r in model.routers for v in r.vrfs for s in v.subinterfaces]
    ends = [(e.namespace, e.device) for link in model.links for e in (link.a, link.b)]
    bridges = [(s.namespace, name) for s in model.switches for name, _ in s.bridges]
    devices = Counter([*ends, *subs, *bridges])
    assert [device for device, count in devices.items() if count > 1] == []
    assert all(len(device) <= MAX_DEVICE for _, device in devices)
    addresses = Counter(_addresses(model))
    assert [one for one, count in addresses.items() if count > 1] == []
    ids = [vrf.router_id for router in model.routers for vrf in router.vrfs]
    assert len(set(ids)) == len(ids)
    for router in model.routers:
        for vrf in router.vrfs:
            names = [session.name for session in vrf.sessions]
            assert len(set(names)) == len(names)
            assert all(len(name) <= 48 and re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) for name in names)


@SHAPES
@given(topologies())
def test_every_global_address_of_a_lab_is_used_once(document: dict[str, Any]) -> None:
    """No address has two owners, so every hop of a trace has one name."""
    model = loads(json.dumps(document), "generated")
    counted = Counter(address for _, address in _addresses(model))
    assert [address for address, count in counted.items() if count > 1] == []


@SHAPES
@given(topologies())
def test_the_names_that_rules_check_are_the_names_that_are_derived(document: dict[str, Any]) -> None:
    model = loads(json.dumps(document), "generated")
    topology = Topology.model_validate(model.document)
    for layout in (of_file(topology), of_state(model.state)):
        found = list(claims(topology, layout))
        for what, things in (("node", model.nodes), ("link", model.links)):
            assert sorted(c.name for c in found if c.what == what) == sorted(one.name for one in things)


@SHAPES
@given(topologies())
def test_both_ends_of_every_session_name_each_other(document: dict[str, Any]) -> None:
    model = loads(json.dumps(document), "generated")
    ends = {
        (str(s.local), str(s.neighbor), s.local_asn, s.peer_asn, s.password)
        for router in model.routers
        for vrf in router.vrfs
        for s in vrf.sessions
    }
    assert {(b, a, pb, pa, key) for a, b, pa, pb, key in ends} == ends


@SHAPES
@given(topologies())
def test_every_session_and_gateway_is_on_a_network_of_its_namespace(document: dict[str, Any]) -> None:
    model = loads(json.dumps(document), "generated")
    for router in model.routers:
        for vrf in router.vrfs:
            interfaces = {i.name: i.addresses for i in (*vrf.subinterfaces, *vrf.interfaces)}
            for session in vrf.sessions:
                own = [a for a in interfaces[session.interface] if a.ip == session.local]
                assert own
                paths = [path.destination for path in vrf.paths]
                assert session.neighbor in own[0].network or ip_network(str(session.neighbor)) in paths
                assert session.multihop == (session.neighbor not in own[0].network)
            networks = [a.network for addresses in interfaces.values() for a in addresses]
            for route in vrf.routes:
                assert all(any(via in network for network in networks) for via in route.via)
    for host in model.hosts:
        networks = [a.network for interface in host.interfaces for a in interface.addresses]
        for route in host.routes:
            assert all(any(via in network for network in networks) for via in route.via)


@SHAPES
@given(topologies())
def test_the_way_that_labels_lead_ends_in_the_vrf_that_the_path_is_to(document: dict[str, Any]) -> None:
    model = loads(json.dumps({**document, "core": "mpls"}), "generated")
    switches = {router.namespace: router.labels for router in model.routers if router.labels}
    wires = {
        (e.namespace, e.device): o for link in model.links for e, o in ((link.a, link.b), (link.b, link.a))
    }
    ports = {(s, p.device): p for s, switch in switches.items() for p in switch.vrfs}
    entered = {p.namespace: s for s, switch in switches.items() for p in switch.vrfs}
    vrfs = {vrf.namespace: vrf for router in model.routers for vrf in router.vrfs}
    for vrf in vrfs.values():
        for path in vrf.paths:
            node, stack, found = entered[vrf.namespace], path.labels, ""
            for _ in range(5):
                (route,) = [one for one in switches[node].routes if one.label == stack[0]]
                stack = (*route.out, *stack[1:])
                if not stack:
                    found = ports[node, route.device].namespace
                    break
                node = wires[node, route.device].namespace
            assert found != vrf.namespace
            own = [a.ip for one in vrfs[found].interfaces for a in one.addresses]
            assert path.destination.network_address in own
            assert vrfs[found].name == vrf.name


@SHAPES
@given(topologies())
def test_every_device_of_a_link_lives_in_a_namespace_of_a_node(document: dict[str, Any]) -> None:
    model = loads(json.dumps(document), "generated")
    namespaces = [namespace for node in model.nodes for namespace in node.namespaces]
    assert len(set(namespaces)) == len(namespaces)
    assert {end.namespace for link in model.links for end in (link.a, link.b)} <= set(namespaces)
    ends = {(end.namespace, end.device) for link in model.links for end in (link.a, link.b)}
    # A label-switching router brings the wires to its VRFs along.
    ends |= {(p.namespace, p.vrf_device) for r in model.routers if r.labels for p in r.labels.vrfs}
    for router in model.routers:
        assert {(router.namespace, port.name) for port in router.ports} <= ends
        for vrf in router.vrfs:
            assert {(vrf.namespace, plain.lower or plain.name) for plain in vrf.interfaces} <= ends
            assert {sub.port for sub in vrf.subinterfaces} <= {port.name for port in router.ports}
    for fabric in model.fabrics:
        assert {(fabric.namespace, port) for port in fabric.ports} <= ends
        for circuit in fabric.circuits:
            assert {circuit.port_a, circuit.port_b} <= set(fabric.ports)
    for switch in model.switches:
        for _, ports in switch.bridges:
            assert {(switch.namespace, port) for port in ports} <= ends


@SHAPES
@given(topologies())
def test_tags_at_the_provider_join_customer_and_microsoft(document: dict[str, Any]) -> None:
    model = loads(json.dumps(document), "generated")
    ends = {(e.circuit, e.peering, e.connection, e.side): e for e in model.peering_ends}
    ports = {
        (vrf.namespace, sub.name): sub.port
        for router in model.routers
        for vrf in router.vrfs
        for sub in vrf.subinterfaces
    }
    for (circuit, peering, connection, side), customer in ends.items():
        if side != "customer":
            continue
        microsoft = ends[circuit, peering, connection, "microsoft"]
        fabric = next(f for f in model.fabrics if any(v.name.startswith(f"{circuit}-") for v in f.circuits))
        matching = [
            v
            for v in fabric.circuits
            if v.port_a == ports[customer.namespace, customer.device]
            and customer.tags[: len(v.tags_a)] == v.tags_a
            and v.tags_b + customer.tags[len(v.tags_a) :] == microsoft.tags
        ]
        assert len(matching) == 1
        assert matching[0].port_b == f"msee{1 if connection == 'primary' else 2}"
        assert ip_network(customer.addresses[0].network) == microsoft.addresses[0].network
