"""Any-to-any circuits: what of a provider's core follows from a file, and what commands make of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import lab
from lab.compile import compile_lab
from lab.domains import domain_of
from lab.model import LabModel
from lab.ordering import order
from lab.service.commands import (
    Command,
    DeleteCircuit,
    DeletePeering,
    Deprovision,
    DisablePeering,
    EnablePeering,
    Unlink,
)
from lab.topology import derive, load
from lab.topology.ipvpn import backbones
from lab.topology.service_commands import read

GALLERY = Path(lab.__file__).parent / "topologies" / "any-to-any.edge.yml"


@pytest.fixture(params=["vrf", "mpls"])
def model(request: pytest.FixtureRequest) -> LabModel:
    """The gallery's lab with one kind of core."""
    return derive({**load(GALLERY).document, "core": request.param})


def test_a_customers_packets_meet_only_his_own_routers(model: LabModel) -> None:
    acme, initech = domain_of(model, "pc-berlin"), domain_of(model, "pc-works")
    assert not acme & initech
    assert {"ce-rome", "pe-berlin.acme", "colt-amsterdam-pe2.acme", "hub-gw0", "vm1"} <= acme
    assert {"ce-office", "pe-berlin.initech", "lab-gw1", "vm2"} <= initech


def test_one_more_site_changes_no_address_tag_label_or_name_of_the_others(model: LabModel) -> None:
    document = dict(model.document)
    vienna = {**document["sites"]["rome"], "edges": ["ce-vienna"], "lan": ["10.7.0.0/24"]}
    vienna |= {"hosts": {}, "provider_edges": ["pe-vienna"]}
    more = derive({**document, "sites": {**document["sites"], "vienna": vienna}})
    for realisation in ("kernel", "bpf"):
        before = {item.key: item for item in compile_lab(model, realisation)}  # type: ignore[arg-type]
        after = {item.key: item for item in compile_lab(more, realisation)}  # type: ignore[arg-type]
        assert before.keys() <= after.keys()
        changed = {key[0] for key, item in before.items() if after[key] != item}
        # Its neighbours in the core hear of it.
        assert changed <= {"bird"}


def test_a_sites_pe_is_of_the_provider_so_that_a_site_may_have_two(model: LabModel) -> None:
    topology = read(model.document)
    berlin = topology.sites["berlin"].model_copy(update={"provider_edges": []})
    both = topology.model_copy(update={"sites": {**topology.sites, "berlin": berlin}})
    found = backbones(both, {"acme": ("Colt", "Amsterdam"), "initech": ("Verizon", "Amsterdam")})
    assert [one.routers for one in found] == [("colt-p1", "colt-p2"), ("verizon-p1", "verizon-p2")]
    assert "colt-berlin-pe" in found[0].pes
    assert {vpn.circuit for one in found for vpn in one.vpns} == {"acme", "initech"}


def test_commands_change_an_any_to_any_circuit_until_it_is_gone(model: LabModel) -> None:
    before = len(model.nodes)
    steps: tuple[Command, ...] = (
        DisablePeering("acme", "private"),
        EnablePeering("acme", "private"),
        Unlink("hub-acme"),
        DeletePeering("acme", "private"),
        Deprovision("acme"),
        DeleteCircuit("acme"),
    )
    for step in steps:
        model = order(model, step).model
        assert compile_lab(model, "bpf")
    names = {node.name for node in model.nodes}
    # The PE that only the deleted circuit needed has gone; the other customer keeps his.
    assert before - len(names) == 1
    assert "pe-rome" not in names
    assert {"pe-berlin", "pe-paris", "colt-p1", "colt-amsterdam-pe1"} <= names
    assert not [space for node in model.nodes for space in node.namespaces if space.endswith(".acme")]
