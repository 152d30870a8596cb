"""An edge that is the user's own router: what a file may say of it, and what is derived."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.errors import CapabilityError, InputError
from edge.model import Router
from edge.net.objects.base import Endpoint
from edge.net.objects.daemons import BirdDaemon, OwnRouter
from edge.net.objects.routing import DeviceAddress, KernelRoute
from edge.own.kinds import KINDS, kind
from lab.compile import compile_lab
from lab.model import LabModel
from lab.own_routers import mounts_of, own_domains, without_theirs
from lab.routing import named, unknown
from lab.sheet import sheet
from lab.topology import derive, load
from lab.topology.edges_schema import LAB, Edge

GALLERY = Path(__file__).parents[2] / "lab" / "topologies"
TOPOLOGY = GALLERY / "own-router.edge.yml"


@pytest.fixture(scope="module")
def model() -> LabModel:
    return load(TOPOLOGY)


def router(model: LabModel, name: str) -> Router:
    return next(item for item in model.routers if item.name == name)


def test_the_configuration_is_the_files_text_and_the_rest_is_as_for_any_edge(model: LabModel) -> None:
    (vrf,) = router(model, "ce1").vrfs
    assert vrf.own is not None
    assert (vrf.own.kind, vrf.own.config) == ("frr", (GALLERY / "own-router.ce1.frr.conf").read_text())
    assert vrf.own.file.endswith("own-router.ce1.frr.conf")
    assert [item.name for item in vrf.subinterfaces] == ["ams1.100"]
    assert len(vrf.sessions) == 4
    assert router(model, "ce2").vrfs[0].own is None


def test_such_a_node_has_its_own_software_and_no_bird(model: LabModel) -> None:
    objects = compile_lab(model, "bpf")
    assert [item.namespace for item in objects if isinstance(item, OwnRouter)] == ["ce1"]
    assert "ce1" not in [item.namespace for item in objects if isinstance(item, BirdDaemon)]
    assert "s3cret" not in repr([item for item in objects if isinstance(item, OwnRouter)])


def test_a_running_lab_needs_the_document_alone(model: LabModel, tmp_path: Path) -> None:
    again = derive(model.document)
    assert router(again, "ce1") == router(model, "ce1")
    assert model.document["sites"]["hq"]["edges"][1] == "ce2"


def broken(edge: object, tmp_path: Path) -> str:
    """What is said of the gallery's file with another first edge."""
    text = TOPOLOGY.read_text()
    old = "{name: ce1, router: frr, config: own-router.ce1.frr.conf}"
    assert old in text
    file = tmp_path / "test.edge.yml"
    file.write_text(text.replace(old, str(edge)))
    with pytest.raises(InputError) as caught:
        load(file)
    line = text[: text.index(old)].count("\n") + 1
    assert f"{file}:{line}:" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("edge", "words"),
    [
        ("{name: ce1, router: frr, config: nowhere.conf}", "edges.0.config: there is no configuration file"),
        ("{name: ce1, router: frr, config: empty.conf}", "is empty"),
        ("{name: ce1, router: frr, config: binary.conf}", "is not text in UTF-8"),
        ("{name: ce1, router: frr, config: .}", "there is no configuration file"),
        ("{name: ce1, router: frr}", "ce1 has no configuration; add config: ce1.frr.conf"),
        ("{name: ce1, config: empty.conf}", "ce1 is a router of the lab's"),
        ("{name: ce1, router: fr}", "did you mean frr?"),
        ("{name: ce1, rooter: frr}", "did you mean router?"),
        ("{router: frr, config: empty.conf}", "is missing"),
        ("7", "7 is not text"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_place_and_the_way_out(
    edge: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "empty.conf").write_text("\n")
    (tmp_path / "binary.conf").write_bytes(b"\xff\xfe\x00")
    assert words in broken(edge, tmp_path)


def document(model: LabModel, **site: Any) -> dict[str, Any]:
    """The gallery's document with keys of the site changed."""
    found = copy.deepcopy(model.document)
    found["sites"]["hq"].update(site)
    return found


@pytest.mark.parametrize(
    ("override", "refused"),
    [
        ({"shared_key": "wr0ng"}, True),
        ({"peer_asn": 65011}, True),
        ({"bfd": False}, True),
        ({"vlan": 101}, False),
    ],
)
def test_an_override_says_only_what_the_lab_makes(
    model: LabModel, override: dict[str, Any], refused: bool
) -> None:
    entry = {"edge": "ce1", "circuit": "ams", "peering": "private", **override}
    changed = document(model, overrides=[entry])
    if not refused:
        assert router(derive(changed), "ce1").vrfs[0].subinterfaces[0].tags[-1].vid == 101
        return
    with pytest.raises(InputError, match="ce1 has a configuration of its own, which says that"):
        derive(changed)


def test_every_kind_that_a_file_may_name_is_there() -> None:
    names = Edge.model_json_schema()["properties"]["router"]["enum"]
    assert sorted(names) == sorted([LAB, *KINDS])
    assert all(kind(name).name for name in KINDS)


def test_addresses_and_routes_that_the_router_made_itself_are_left_alone(model: LabModel) -> None:
    import ipaddress

    ours = set(compile_lab(model, "bpf"))
    theirs = {
        DeviceAddress(Endpoint("ce1", "lo"), ipaddress.ip_interface("10.255.0.1/32")),
        KernelRoute("ce1", ipaddress.ip_network("10.9.0.0/16"), ()),
    }
    strange = {DeviceAddress(Endpoint("ce2", "lo"), ipaddress.ip_interface("10.255.0.2/32"))}
    # What the lab itself wanted until now has to go when it does not want it any more.
    old = {DeviceAddress(Endpoint("ce1", "ams1.100"), ipaddress.ip_interface("192.168.99.1/30"))}
    found = {*ours, *theirs, *strange, *old}
    assert without_theirs(found, ours, ours | old) == {*ours, *strange, *old}
    # Another configuration starts the router anew, and without what the last one made.
    other = {replace(item, config="!") if isinstance(item, OwnRouter) else item for item in ours}
    assert without_theirs(found, other, ours) == found


def test_states_that_know_neighbours_only_get_the_names_of_the_model(model: LabModel) -> None:
    from ipaddress import ip_address

    from edge.bgp.state import ProtocolState

    (vrf,) = own_domains(model)
    states = [
        ProtocolState(word, "BGP", "", "up", None, 1.0, "Established", neighbor=ip_address(word))
        for word in ("192.168.15.2", "10.1.0.2", "203.0.113.7")
    ]
    found = named(vrf, states)
    assert sorted(state.interface for state in found.values()) == ["ams1.100", "lan"]
    assert all(name == state.name for name, state in found.items())
    missing = next(one for one in vrf.sessions if str(one.neighbor) == "fd00:15::2")
    assert "own-router.ce1.frr.conf has no neighbor fd00:15::2; add it there" in unknown(vrf, missing)


def test_the_sheet_says_what_a_configuration_needs(model: LabModel) -> None:
    told = sheet(model, "ce1")
    assert [(row["interface"], row["tags"], row["addresses"]) for row in told["interfaces"]] == [
        ("ams1.100", "3/100", ["192.168.15.1/30", "fd00:15::1/126"]),
        ("lan", "", ["10.1.0.1/16", "fd00:1::1/64"]),
    ]
    assert [(row["neighbor"], row["as"], row["md5"], row["bfd"]) for row in told["neighbors"]][:2] == [
        ("192.168.15.2", 12076, True, "300 ms x 3"),
        ("fd00:15::2", 12076, True, "300 ms x 3"),
    ]
    assert told["networks"] == ["10.1.0.0/16", "fd00:1::/64"]
    assert "s3cret" not in str(told)


def test_whoever_enters_the_node_finds_its_sockets_where_vtysh_looks(model: LabModel) -> None:
    mounts = {str(mount.target): mount.source for mount in mounts_of(model, Path("/x"), "ce1")}
    assert mounts["/run/frr"] == Path("/x/ce1/run")
    assert mounts_of(model, Path("/x"), "ce2") == mounts_of(model, Path("/x"), None) == ()


def test_a_user_without_root_is_told_what_frr_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge.frr import programs

    monkeypatch.setattr(programs, "daemons", dict)
    monkeypatch.setattr(programs, "vtysh", lambda: "vtysh")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(CapabilityError, match="a lab without root has only yours"):
        kind("frr").ready()


def test_a_machine_without_frr_is_told_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.frr.programs.DIRECTORIES", ())
    with pytest.raises(CapabilityError, match="apt-get install frr") as caught:
        kind("frr").ready()
    assert caught.value.exit_code == 3
