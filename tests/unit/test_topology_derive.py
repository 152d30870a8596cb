"""What is derived: stability, the service's numbers, the ways out of a site."""

from __future__ import annotations

import copy
import json
import time
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

import pytest

import lab
from edge.errors import InputError
from edge.model import Router, Tag, Vrf
from edge.net.objects.base import Endpoint
from edge.net.objects.frames import Marking, Queues
from lab.compile import compile_lab
from lab.model import LabModel
from lab.topology import derive, load, loads
from lab.topology.names import short

CONTOSO = Path(lab.__file__).parent / "topologies" / "contoso.edge.yml"


@pytest.fixture(scope="module")
def contoso() -> LabModel:
    return load(CONTOSO)


def _vrf(model: LabModel, namespace: str) -> Vrf:
    return next(vrf for router in model.routers for vrf in router.vrfs if vrf.namespace == namespace)


def _router(model: LabModel, name: str) -> Router:
    return next(router for router in model.routers if router.name == name)


def _numbers(model: LabModel) -> set[tuple[object, ...]]:
    """Every name and number that a running lab would have to change."""
    found: set[tuple[object, ...]] = {("link", link.name, str(link.a), str(link.b)) for link in model.links}
    found |= {("node", node.name) for node in model.nodes}
    found |= {("s-tag", circuit.name, circuit.s_tag) for circuit in model.circuits}
    for router in model.routers:
        for vrf in router.vrfs:
            found.add(("router-id", vrf.namespace, vrf.router_id))
            found |= {("sub", vrf.namespace, s.name, s.tags, s.addresses) for s in vrf.subinterfaces}
            found |= {("plain", vrf.namespace, i.name, a) for i in vrf.interfaces for a in i.addresses}
            found |= {("session", vrf.namespace, s.name, s.local, s.neighbor) for s in vrf.sessions}
            found |= {("nat", vrf.namespace, n.interface, n.pool) for n in vrf.nat}
    found |= {("host", host.name, host.interfaces, host.routes) for host in model.hosts}
    return found


def test_every_circuit_of_a_port_has_queues_of_its_own() -> None:
    circuits = {
        f"c{n}": {
            "provider": "Equinix",
            "location": "Amsterdam",
            "sku": {"tier": "standard"},
            "bandwidth": "50M",
            "handoff": {"encapsulation": "qinq" if n % 2 else "dot1q", "s_tag": 1000 + n},
            "peerings": {"private": {"vlan": 100, "peer_asn": 65030, "subnet": f"192.168.{n}.0/29"}},
        }
        for n in range(40)
    }
    sites = {f"s{n}": {"edges": [f"e{n}"], "lan": f"10.{n}.0.0/16", "circuits": [f"c{n}"]} for n in range(40)}
    model = loads(json.dumps({"name": "many", "circuits": circuits, "sites": sites}), "many.edge.yml")
    (port,) = _router(model, "msee1-amsterdam").ports
    assert [queues.number for queues in port.queues] == list(range(40))
    assert [queues.outer for queues in port.queues] == [Tag(1000 + n) for n in range(40)]
    found = {item.key: item for item in compile_lab(model, "bpf")}
    at = Endpoint("msee1-amsterdam", port.name)
    steered = [item for item in found.values() if isinstance(item, Marking) and item.at == at]
    assert [(item.outer, item.inner, item.tree) for item in steered] == [
        (Tag(1000 + n), Tag(100), n) for n in range(40)
    ]
    queues = found["queues", str(at)]
    assert isinstance(queues, Queues)
    assert len(queues.trees) == 40
    for realisation in ("kernel", "ring"):
        compile_lab(model, realisation)


NEW_CIRCUIT = {
    "provider": "Equinix",
    "location": "Amsterdam",
    "sku": {"tier": "standard"},
    "bandwidth": "50M",
    "peerings": {"private": {"vlan": 100, "peer_asn": 65030, "subnet": "192.168.99.0/29"}},
}


def _insert(document: dict[str, Any], section: str, name: str, entry: dict[str, Any], first: bool) -> None:
    old = document[section]
    document[section] = {name: entry, **old} if first else {**old, name: entry}


@pytest.mark.parametrize("first", [True, False], ids=["in front", "behind"])
@pytest.mark.parametrize("what", ["site", "vnet", "circuit", "connection", "host"])
def test_adding_something_changes_no_name_and_no_number_of_what_was_there(
    contoso: LabModel, what: str, first: bool
) -> None:
    document = copy.deepcopy(contoso.document)
    if what == "site":
        _insert(document, "sites", "branch", {"lan": ["10.9.0.0/16"], "hosts": {"pc9": ["10.9.0.9"]}}, first)
    elif what == "vnet":
        vnet = {
            "region": "westeurope",
            "address_space": ["10.60.0.0/16"],
            "connections": [{"circuit": "ams"}],
        }
        _insert(document, "vnets", "aaa", vnet, first)
    elif what == "host":
        _insert(document["sites"]["hq"], "hosts", "aaa", ["10.1.0.4"], first)  # type: ignore[arg-type]
    else:
        _insert(document, "circuits", "aaa", NEW_CIRCUIT, first)
        document["sites"]["hq"]["circuits"].append("aaa")
        document["vnets"]["hub"]["address_space"] = ["10.50.0.0/16"]
        document["vnets"]["hub"]["hosts"] = {"vm1": ["10.50.1.4"]}
        document["checks"] = []
        contoso = derive({**contoso.document, "vnets": document["vnets"], "checks": []})
        if what == "connection":
            document = copy.deepcopy(document)
            document["vnets"]["hub"]["connections"].append({"circuit": "aaa", "weight": 0})
    before, after = _numbers(contoso), _numbers(derive(document))
    assert before - after == set()
    assert after - before


def test_adding_a_peering_changes_no_name_and_no_number_of_what_was_there(contoso: LabModel) -> None:
    document = copy.deepcopy(contoso.document)
    document["checks"] = []
    without = copy.deepcopy(document)
    without["circuits"]["ams"]["peerings"]["microsoft"] = None
    before, after = _numbers(derive(without)), _numbers(derive(document))
    assert before - after == set()
    assert after - before


def test_loading_contoso_takes_less_than_150_ms_after_imports(contoso: LabModel) -> None:
    def cost() -> float:
        start = time.process_time()
        load(CONTOSO)
        return time.process_time() - start

    assert min(cost() for _ in range(5)) < 0.150


def test_the_customer_has_the_first_address_of_a_link_and_the_msee_the_second(contoso: LabModel) -> None:
    addresses = {(e.connection, e.side): e.addresses for e in contoso.peering_ends if e.peering == "private"}
    assert addresses == {
        ("primary", "customer"): (ip_interface("192.168.15.1/30"), ip_interface("fd00:15::1/126")),
        ("primary", "microsoft"): (ip_interface("192.168.15.2/30"), ip_interface("fd00:15::2/126")),
        ("secondary", "customer"): (ip_interface("192.168.15.5/30"), ip_interface("fd00:15::5/126")),
        ("secondary", "microsoft"): (ip_interface("192.168.15.6/30"), ip_interface("fd00:15::6/126")),
    }


def test_each_link_translates_to_its_half_of_the_pool_and_both_announce_the_whole(contoso: LabModel) -> None:
    pools = {}
    for name in ("ce1", "ce2"):
        vrf = _vrf(contoso, name)
        session = next(s for s in vrf.sessions if "microsoft" in s.name)
        pools[name] = (vrf.nat[0].pool, session.exports.networks)
        assert vrf.nat[0].interface == session.interface
    whole = ip_network("203.0.113.0/28")
    low, high = ip_network("203.0.113.0/29"), ip_network("203.0.113.8/29")
    assert pools == {"ce1": (low, (low, whole)), "ce2": (high, (high, whole))}


def test_an_edge_is_no_transit_network(contoso: LabModel) -> None:
    for name in ("ce1", "ce2"):
        for session in _vrf(contoso, name).sessions:
            if session.group == "microsoft":
                assert session.exports.groups == ()
                assert session.exports.networks
            else:
                assert session.exports.groups == ("microsoft",)
                assert not session.exports.originated


def test_lan_and_pool_never_go_out_by_the_wrong_peering(contoso: LabModel) -> None:
    networks = {s.name: s.exports.networks for s in _vrf(contoso, "ce1").sessions}
    assert networks["ams_private_primary"] == (ip_network("10.1.0.0/16"),)
    assert networks["ams_private_primary_v6"] == (ip_network("fd00:1::/64"),)
    assert ip_network("10.1.0.0/16") not in (networks["ams_microsoft_primary"] or ())


def test_without_a_route_filter_nothing_is_announced(contoso: LabModel) -> None:
    document = copy.deepcopy(contoso.document)
    document["circuits"]["ams"]["peerings"]["microsoft"]["route_filter"] = []
    vrf = _vrf(derive(document), "msee1-amsterdam.ams.microsoft")
    assert next(s for s in vrf.sessions if s.name == "customer").exports.communities == ()


@pytest.mark.parametrize(("tier", "count"), [("standard", 4_000), ("premium", 10_000)])
def test_the_tier_sets_the_prefix_limit(contoso: LabModel, tier: str, count: int) -> None:
    document = copy.deepcopy(contoso.document)
    document["circuits"]["ams"]["sku"]["tier"] = tier
    document["circuits"]["ams"]["peerings"]["microsoft"]["route_filter"] = []
    sessions = {s.name: s for s in _vrf(derive(document), "msee2-amsterdam.ams.private").sessions}
    limits = [sessions[name].imports.limit for name in ("customer", "customer_v6", "hub_gw0", "hub_gw0_v6")]
    assert [limit.count for limit in limits if limit] == [count, 100, 1_000, 100]


def test_a_generator_announces_4001_prefixes(contoso: LabModel) -> None:
    document = copy.deepcopy(contoso.document)
    document["sites"]["hq"]["announce"] = [{"prefix": "10.64.0.0/10", "count": 4001, "length": 28}]
    session = _vrf(derive(document), "ce1").sessions[0]
    assert session.exports.networks is not None
    assert len(session.exports.networks) == 4002
    assert session.exports.networks[1] == ip_network("10.64.0.0/28")


def test_a_weight_becomes_local_preference_at_the_gateways_only(contoso: LabModel) -> None:
    document = copy.deepcopy(contoso.document)
    document["vnets"]["hub"]["connections"][0]["weight"] = 32000
    model = derive(document)
    assert {s.imports.local_pref for s in _vrf(model, "hub-gw0").sessions} == {32100}
    assert {s.imports.local_pref for s in _vrf(model, "ce1").sessions} == {None}


def test_hosts_use_all_edges_and_edges_use_the_internet_edge(contoso: LabModel) -> None:
    pc1 = next(host for host in contoso.hosts if host.name == "pc1")
    assert [(str(r.destination), [str(v) for v in r.via]) for r in pc1.routes] == [
        ("0.0.0.0/0", ["10.1.0.1", "10.1.0.2"]),
        ("::/0", ["fd00:1::1", "fd00:1::2"]),
    ]
    assert [str(r.via[0]) for r in _vrf(contoso, "ce1").routes] == ["10.1.0.3"]


def test_a_site_without_edges_uses_its_internet_edge_for_ipv4_only() -> None:
    model = loads(
        "name: x\ncircuits:\n  c: {provider: E, location: Oslo, sku: {tier: standard}, bandwidth: 50M, "
        "peerings: {private: {vlan: 1, peer_asn: 1, subnet: 10.255.0.0/29}}}\nsites:\n"
        "  a: {edges: [ce], lan: 10.1.0.0/16, circuits: [c]}\n"
        '  b: {lan: [10.2.0.0/16, "fd00:2::/64"], hosts: {h: [10.2.0.9, "fd00:2::9"]}}\n',
        "x",
    )
    assert [str(r.via[0]) for r in model.hosts[0].routes] == ["10.2.0.1"]


def test_one_edge_with_both_links_translates_each_to_its_half(contoso: LabModel) -> None:
    document = copy.deepcopy(contoso.document)
    document["sites"]["hq"]["edges"] = ["ce1"]
    document["checks"] = []
    model = derive(document)
    assert {n.interface: str(n.pool) for n in _vrf(model, "ce1").nat} == {
        "ams1.200": "203.0.113.0/29",
        "ams2.200": "203.0.113.8/29",
    }
    assert [port.name for port in _router(model, "ce1").ports] == ["ams1", "ams2"]
    assert {s.group for s in _vrf(model, "ce1").sessions} == {"microsoft"}


def test_an_override_changes_the_edge_and_neither_provider_nor_msee(contoso: LabModel) -> None:
    document = copy.deepcopy(contoso.document)
    document["sites"]["hq"]["overrides"] = [
        {"edge": "ce1", "circuit": "ams", "peering": "private", "vlan": 101, "shared_key": "", "bfd": False}
    ]
    model = derive(document)
    sub = _vrf(model, "ce1").subinterfaces[0]
    assert (sub.name, [tag.vid for tag in sub.tags]) == ("ams1.101", [3, 101])
    sessions = [s for s in _vrf(model, "ce1").sessions if "private" in s.name]
    assert {(s.interface, s.password, s.bfd) for s in sessions} == {("ams1.101", None, None)}
    assert model.fabrics == contoso.fabrics
    assert _router(model, "msee1-amsterdam") == _router(contoso, "msee1-amsterdam")
    assert _vrf(model, "ce2") == _vrf(contoso, "ce2")


def test_the_front_ends_are_inside_their_services_prefixes(contoso: LabModel) -> None:
    core = _vrf(contoso, "microsoft-core")
    carried = {o.network: o.communities for o in core.originates}
    for name, value in (("teams", 5030), ("exchange", 5010), ("sharepoint", 5020)):
        address = contoso.host_addresses()[name][0]
        inside = [c for network, c in carried.items() if address in network]
        assert inside == [((12076, value),)]


def test_a_lab_without_microsoft_peering_has_no_core_and_without_internet_no_internet(
    contoso: LabModel,
) -> None:
    document = copy.deepcopy(contoso.document)
    document["circuits"]["ams"]["peerings"]["microsoft"] = None
    document["sites"]["hq"]["internet"] = False
    document["checks"] = []
    model = derive(document)
    assert {node.kind for node in model.nodes} == {"ce", "host", "switch", "provider", "msee", "gateway"}
    assert model.node("teams") is None
    assert _vrf(model, "ce1").routes == ()


def test_a_host_of_a_second_prefix_uses_the_gateways_of_that_prefix() -> None:
    model = load(Path(__file__).parent.parent / "golden" / "topology" / "good" / "two-circuits.edge.yml")
    vm2 = next(host for host in model.hosts if host.name == "vm2")
    assert vm2.routes[0].via == (ip_address("10.51.0.1"), ip_address("10.51.0.2"))


def test_passwords_do_not_show_in_the_models_text(contoso: LabModel) -> None:
    assert "s3cret" not in repr(contoso)


@pytest.mark.parametrize(("name", "limit"), [("ams", 9), ("exactly-9", 9), ("x" * 32, 9), ("x" * 32, 15)])
def test_a_short_name_fits_and_cannot_be_a_users_name_unless_it_is_that_name(name: str, limit: int) -> None:
    found = short(name, limit)
    assert len(found) <= limit
    assert found == name or "." in found


def test_long_names_with_one_beginning_stay_apart_when_cut() -> None:
    names = [f"a-circuit-with-a-long-name-{n}" for n in range(200)]
    assert len({short(name, 9) for name in names}) == 200


def policy_of(classes: dict[str, int], ports: int = 0) -> dict[str, Any]:
    """A policy written out, with a rule for each of so many ports."""
    rules = [
        {"name": f"r{port}", "class": sorted(classes)[port % len(classes)], "protocol": "udp", "ports": port}
        for port in range(1000, 1000 + ports)
    ]
    shares = {name: {"share": share} for name, share in classes.items()}
    return {"name": "own", "classes": shares, "rules": rules}


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (policy_of({"default": 5, "voice": 5}, ports=1020), "more than 512 KiB; fewer rules"),
        (
            policy_of({"default": 5}, ports=1021),
            "site's: it has 1021 rules, and the router's own protocols need",
        ),
        (
            policy_of({"default": 5, **{f"c{n}": 5 for n in range(7)}}),
            "site's: it has 8 classes, and the router's",
        ),
        (
            policy_of({"default": 5, "control": 5}),
            "site's: its class control is that of the router's own protocols",
        ),
    ],
)
def test_a_policy_that_no_edge_can_load_is_refused(policy: dict[str, Any], words: str) -> None:
    document = load(CONTOSO).document
    document["sites"]["hq"]["qos"] = {"policy": policy}
    with pytest.raises(InputError, match=words):
        derive(document)


def test_a_tunnel_goes_with_its_gateway_or_the_circuit_it_backs_up() -> None:
    from lab.service.apply import apply_all
    from lab.service.commands import Command, DeleteGateway, DeletePeering, Unlink

    model = load(Path(lab.__file__).parent / "topologies" / "vpn-backup.edge.yml")
    unlink = Unlink("hub-ams")

    def after(*commands: Command) -> set[str]:
        outcome = apply_all(model.state, commands)
        assert hasattr(outcome, "state"), outcome
        found = derive(model.document, outcome.state)
        assert all(not vrf.tunnels for router in found.routers for vrf in router.vrfs) == (len(commands) > 1)
        return {node.name for node in found.nodes}

    assert "hub-vpn" in after(unlink)
    assert "hub-vpn" not in after(unlink, DeleteGateway("hub-gw"))
    assert "hub-vpn" not in after(unlink, DeletePeering("ams", "private"))


def test_both_ends_of_a_tunnel_have_each_others_keys_and_no_direction_anothers() -> None:
    model = load(Path(lab.__file__).parent / "topologies" / "vpn-backup.edge.yml")
    site, azure = (one for router in model.routers for vrf in router.vrfs for one in vrf.tunnels)
    assert (site.local, site.remote) == (azure.remote, azure.local)
    assert (site.spi_out, site.key_out) == (azure.spi_in, azure.key_in)
    assert (site.spi_in, site.key_in) == (azure.spi_out, azure.key_out)
    assert site.key_in != site.key_out
    assert site.spi_in != site.spi_out
