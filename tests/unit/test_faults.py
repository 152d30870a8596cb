"""What faults make of a model, and an operator's words of faults: no kernel is asked."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import lab
from edge.errors import UsageError
from edge.net.objects.base import Endpoint, KernelObject
from edge.net.objects.daemons import BirdDaemon
from edge.net.objects.devices import AdminUp, Sysctl, VlanDevice
from edge.net.objects.frames import Impairment
from edge.net.objects.routing import KernelRoute
from lab.cli import cli
from lab.compile import compile_lab
from lab.faults.faulted import carried, faulted, gone, hanging, read
from lab.faults.kinds import KINDS
from lab.faults.model import Active, Fault, Kind
from lab.faults.objects import without_hanging
from lab.faults.units import fields_of, words_of
from lab.model import LabModel
from lab.ordering import order
from lab.plan import Plan, diff
from lab.service import commands as c
from lab.topology import derive, load

TOPOLOGIES = Path(lab.__file__).parent / "topologies"


@pytest.fixture(scope="module")
def contoso() -> LabModel:
    return load(TOPOLOGIES / "contoso.edge.yml")


def said(model: LabModel, kind: str, target: str, **options: str) -> Fault:
    written = {name.replace("_", "-"): text for name, text in options.items()}
    taken = [one.fault.name for one in model.faults]
    return read(model, {"kind": kind, "target": target, "options": written}, taken)


def with_fault(model: LabModel, kind: str, target: str, phase: int = 0, **options: str) -> LabModel:
    active = Active(said(model, kind, target, **options), 1.0, phase)
    return replace(model, faults=(*model.faults, active))


def refused(model: LabModel, kind: str, target: str, **options: str) -> str:
    with pytest.raises(UsageError) as error:
        said(model, kind, target, **options)
    return str(error.value)


def plan(before: LabModel, after: LabModel, realisation: Any = "bpf") -> Plan:
    return diff(compile_lab(after, realisation), compile_lab(before, realisation))


def steps(before: LabModel, after: LabModel, realisation: Any = "bpf") -> list[str]:
    return [str(step) for step in plan(before, after, realisation).steps]


def impairments(model: LabModel) -> dict[str, Impairment]:
    return {str(one.impairment.at): one.impairment for one in faulted(model).impairments}


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_example_is_a_fault_that_changes_the_lab_and_goes_without_a_trace(
    kind: Kind, contoso: LabModel
) -> None:
    target, *rest = kind.example.split()
    options = dict(zip((word.removeprefix("--") for word in rest[::2]), rest[1::2], strict=True))
    fault = read(contoso, {"kind": kind.name, "target": target, "options": options})
    assert words_of(fault.options).keys() <= options.keys()
    harmed = replace(contoso, faults=(Active(fault, 1.0),))
    # What acts on processes alone has no step.
    assert bool(plan(contoso, harmed)) == (kind.act is None)
    assert target in kind.sort.known(contoso)
    assert not plan(contoso, replace(harmed, faults=()))


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_kind_has_help_with_an_example_and_every_option_words(kind: Kind) -> None:
    done = CliRunner().invoke(cli, ["fault", kind.name, "--help"])
    assert done.exit_code == 0, done.output
    assert f"edgelab fault {kind.name} {kind.example}" in done.output
    assert ("--for DURATION" in done.output) == kind.lasting
    for name, (_, known) in fields_of(kind.options).items():
        assert f"--{name} {known.unit.name}"[:18] in done.output
        assert known.help.endswith(".")
        assert known.unit.show(known.unit.read(known.unit.example))


def test_a_link_that_is_down_is_shut_at_its_far_end_or_where_it_is_said(contoso: LabModel) -> None:
    assert steps(contoso, with_fault(contoso, "link-down", "ams/primary")) == [
        "delete equinix-amsterdam:ams1 up"
    ]
    assert steps(contoso, with_fault(contoso, "link-down", "ams-primary", at="ce1")) == ["delete ce1:ams1 up"]
    both = faulted(with_fault(contoso, "link-down", "ams")).down
    assert both == (Endpoint("equinix-amsterdam", "ams1"), Endpoint("equinix-amsterdam", "ams2"))
    assert "is no end of link ams-primary; write ce1 or equinix-amsterdam" in refused(
        contoso, "link-down", "ams/primary", at="ce2"
    )


def test_what_a_device_takes_down_with_it_is_not_wanted_while_it_is_down(contoso: LabModel) -> None:
    """VLAN devices fall with their port, and routes through a device vanish with it."""
    for realisation in ("kernel", "bpf", "ring"):
        cut = with_fault(contoso, "link-down", "equinix-amsterdam-msee1")
        objects = compile_lab(cut, realisation)  # type: ignore[arg-type]
        port = Endpoint("msee1-amsterdam", "equinix")
        low = {port}
        low |= {item.at for item in objects if isinstance(item, VlanDevice) and item.lower in low}
        low |= {item.at for item in objects if isinstance(item, VlanDevice) and item.lower in low}
        assert not [item for item in objects if isinstance(item, AdminUp) and item.at in low]
        assert (len(low) > 1) == (realisation == "kernel")

    def routes(model: LabModel) -> set[KernelObject]:
        return {item for item in compile_lab(model, "bpf") if isinstance(item, KernelRoute)}

    lan_cut = with_fault(contoso, "link-down", "pc1", at="pc1")
    lost = routes(contoso) - routes(lan_cut)
    assert {item.namespace for item in lost} == {"pc1"}
    assert len(lost) == len([item for item in routes(contoso) if item.namespace == "pc1"]) > 0


def test_silent_and_one_way_lose_all_frames_and_leave_the_carrier(contoso: LabModel) -> None:
    both = impairments(with_fault(contoso, "silent", "ams/primary"))
    assert {at: one.loss_ppm for at, one in both.items()} == {
        "ce1:ams1": 10**6,
        "equinix-amsterdam:ams1": 10**6,
    }
    one = impairments(with_fault(contoso, "one-way", "ams/primary", towards="ce1"))
    assert list(one) == ["equinix-amsterdam:ams1"]
    assert "needs towards" in refused(contoso, "one-way", "ams/primary")
    assert faulted(with_fault(contoso, "silent", "ams/primary")).down == ()


def test_harms_of_one_direction_add_up_and_each_can_be_healed_alone() -> None:
    document = {**load(TOPOLOGIES / "contoso.edge.yml").document}
    document["links"] = {"ams-primary": [{"delay": "20ms", "loss": "50%", "seed": 4}]}
    model = derive(document)
    before = impairments(model)["ce1:ams1"]
    lossy = with_fault(model, "loss", "ams/primary", part="50%", towards="equinix-amsterdam")
    more = with_fault(lossy, "delay", "ams/primary", by="30ms", jitter="5ms")
    found = impairments(more)["ce1:ams1"]
    assert (found.loss_ppm, found.delay_ns, found.jitter_ns) == (750_000, 50_000_000, 5_000_000)
    assert found.seed == before.seed
    assert impairments(more)["equinix-amsterdam:ams1"].loss_ppm == 500_000
    assert impairments(replace(more, faults=more.faults[1:]))["ce1:ams1"].loss_ppm == 500_000
    assert impairments(replace(more, faults=()))["ce1:ams1"] == before


def test_a_seed_says_which_frames_are_lost_and_directions_differ(contoso: LabModel) -> None:
    seeds = [
        one.seed
        for seed in ("1", "1", "2")
        for one in impairments(with_fault(contoso, "loss", "pc1", seed=seed)).values()
    ]
    assert seeds[:2] == seeds[2:4]
    assert len(set(seeds)) == 4


def test_a_flapping_link_is_down_in_its_first_phase_and_well_in_its_second(contoso: LabModel) -> None:
    kind = KINDS["flap"]
    fault = said(contoso, "flap", "ams/primary", period="4s", down="25%")
    phases = kind.phases(fault.options)
    assert (phases.seconds, phases.after(0), phases.after(1)) == ((1.0, 3.0), 1, 0)
    assert faulted(with_fault(contoso, "flap", "ams/primary", 0)).down
    assert not plan(contoso, with_fault(contoso, "flap", "ams/primary", 1))
    assert "1s at least" in refused(contoso, "flap", "ams/primary", period="100ms")


def test_software_that_hangs_is_neither_missed_nor_configured(contoso: LabModel) -> None:
    hung = with_fault(contoso, "hang", "msee1-amsterdam")
    spaces = {"msee1-amsterdam.ams.private", "msee1-amsterdam.ams.microsoft"}
    assert hanging(hung) == spaces
    wanted = compile_lab(hung, "bpf")
    found = [item for item in wanted if not (isinstance(item, BirdDaemon) and item.namespace in spaces)]
    assert diff(wanted, found)
    assert not diff(*without_hanging(hanging(hung), wanted, found))
    # What is not wanted any more can still be ended.
    assert len(diff(*without_hanging(hanging(hung), found, wanted)).steps) == 2


def test_faults_stay_where_they_are_when_the_service_changes_the_lab(contoso: LabModel) -> None:
    harmed = with_fault(with_fault(contoso, "link-down", "ams/primary"), "loss", "pc1")
    after, dropped = carried(harmed, order(contoso, c.SetThrottle("ams", 100)).model)
    assert dropped == ()
    assert [one.fault.name for one in after.faults] == ["link-down-ams-primary", "loss-pc1"]
    assert not gone(harmed.faults, after.faults)
    assert all("link" not in step and "up" not in step for step in steps(harmed, after))


def test_a_fault_ends_with_what_it_harms(contoso: LabModel) -> None:
    harmed = with_fault(with_fault(contoso, "link-down", "ams/primary"), "loss", "pc1")
    document = {
        **contoso.document,
        "sites": {"hq": {**contoso.document["sites"]["hq"], "hosts": {}}},
        "checks": [],
    }
    after, dropped = carried(harmed, derive(document))
    assert [(one.active.fault.name, one.why.partition(";")[0]) for one in dropped] == [
        ("loss-pc1", "no link or connection pc1")
    ]
    assert [one.fault.kind for one in after.faults] == ["link-down"]
    assert [one.fault.kind for one in gone(harmed.faults, after.faults)] == ["loss"]


def test_all_problems_of_a_fault_are_told_at_once_with_a_way_out(contoso: LabModel) -> None:
    told = refused(contoso, "loss", "ams/primry", part="2", seeed="1").splitlines()
    assert told == [
        "part: 2 has no unit; write 2%",
        "loss has no option seeed; did you mean seed?",
        "no link ams/primry; did you mean ams/primary?",
    ]
    assert refused(contoso, "lost", "pc1") == "no kind of fault lost; did you mean loss?"
    assert "did you mean ce1?" in refused(contoso, "hang", "ce11")
    one = with_fault(contoso, "silent", "pc1")
    with pytest.raises(UsageError, match="edgelab heal silent-pc1"):
        read(one, {"kind": "silent", "target": "pc1", "name": "silent-pc1"}, ["silent-pc1"])
    assert said(one, "silent", "pc1").name == "silent-pc1-2"


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("loss", {"part": "101%"}, "more than all"),
        ("loss", {"part": "0.00001%"}, "finer"),
        ("loss", {"seed": "-1"}, "whole number"),
        ("delay", {"by": "5"}, "write 5s"),
        ("delay", {"by": "10ms", "jitter": "20ms"}, "write --by 20ms at least"),
        ("reorder", {"by": "0s"}, "can be overtaken"),
        ("slow", {"rate": "1k"}, "8k to 400G"),
        ("slow", {"rate": "fast"}, "such as 50M"),
        ("flap", {"how": "carier"}, "did you mean carrier?"),
    ],
)
def test_a_bad_value_is_refused_with_a_good_one(
    kind: str, options: dict[str, str], words: str, contoso: LabModel
) -> None:
    assert words in refused(contoso, kind, "pc1", **options)


def test_faults_of_links_fit_every_lab_of_the_gallery() -> None:
    for path in sorted(TOPOLOGIES.glob("*.edge.yml")):
        model = load(path)
        for target in KINDS["silent"].sort.known(model):
            assert plan(model, with_fault(model, "silent", target)), (path.name, target)
            assert plan(model, with_fault(model, "link-down", target)), (path.name, target)


def test_maintenance_makes_the_paths_longer_as_the_services_own_does(contoso: LabModel) -> None:
    ordered = order(contoso, c.BeginMaintenance("ams", "primary")).model
    draining = faulted(with_fault(contoso, "maintenance", "ams/primary"))
    assert draining.routers == ordered.routers
    assert draining.halted == ()
    working = faulted(with_fault(contoso, "maintenance", "ams/primary", 1))
    assert working.routers == ordered.routers
    spaces = ("msee1-amsterdam.ams.private", "msee1-amsterdam.ams.microsoft")
    assert sorted(working.halted) == sorted(spaces)
    changed = steps(contoso, with_fault(contoso, "maintenance", "ams/primary", 1))
    assert {step for step in changed if "settings" in step} == {
        f"change 2 settings of {one}" for one in spaces
    }
    unannounced = with_fault(contoso, "maintenance", "ams/primary", 1, prepends="0")
    assert faulted(unannounced).routers == contoso.routers


def test_a_throttle_is_what_a_provider_does_who_lets_less_through(contoso: LabModel) -> None:
    ordered = order(contoso, c.SetThrottle("ams", 50)).model
    assert faulted(with_fault(contoso, "throttle", "ams", rate="50M")).fabrics == ordered.fabrics
    assert "no circuit amz to throttle; did you mean ams?" in refused(contoso, "throttle", "amz")


def test_a_wrong_tag_is_the_next_free_one_and_never_another_peerings(contoso: LabModel) -> None:
    def tags(model: LabModel) -> list[str]:
        router = next(one for one in faulted(model).routers if one.name == "ce1")
        return ["/".join(str(tag.vid) for tag in sub.tags) for sub in router.vrfs[0].subinterfaces]

    assert tags(contoso) == ["3/100", "3/200"]
    assert tags(with_fault(contoso, "wrong-tag", "ams/private/primary")) == ["3/101", "3/200"]
    assert tags(with_fault(contoso, "wrong-tag", "ams/private/primary", s_tag="9")) == ["9/100", "3/200"]
    assert "ams.microsoft" in refused(
        contoso, "wrong-tag", "ams/private/primary", c_tag="200", side="microsoft"
    )
    assert "uses already" in refused(contoso, "wrong-tag", "ams/private/primary", c_tag="100")
    at_msee = with_fault(contoso, "wrong-tag", "ams/private", side="microsoft")
    assert tags(at_msee) == tags(contoso)
    assert steps(contoso, at_msee)


def test_a_wrong_key_is_that_of_one_side_alone(contoso: LabModel) -> None:
    changed = steps(contoso, with_fault(contoso, "wrong-key", "ams/private/primary"))
    assert changed == ["change BIRD in ce1"]
    changed = steps(contoso, with_fault(contoso, "wrong-key", "ams/private/primary", side="microsoft"))
    assert changed == ["change BIRD in msee1-amsterdam.ams.private"]
    assert "has already" in refused(contoso, "wrong-key", "ams/private", key="s3cret")
    own = load(TOPOLOGIES / "own-router.edge.yml")
    assert "ce1 is your own router" in refused(own, "wrong-key", "ams/private/primary")


def test_a_flood_is_one_more_than_the_msee_takes_on_one_peering_alone(contoso: LabModel) -> None:
    harmed = faulted(with_fault(contoso, "prefix-flood", "ams/private/primary"))
    router = next(one for one in harmed.routers if one.name == "ce1")
    known = next(one for one in contoso.routers if one.name == "ce1")
    added = {one.network for one in router.vrfs[0].originates} - {
        one.network for one in known.vrfs[0].originates
    }
    assert len(added) == 10_001
    told = {one.name: set(one.exports.networks or ()) & added for one in router.vrfs[0].sessions}
    assert {name for name, networks in told.items() if networks} == {"ams_private_primary"}
    assert "holds 30 prefixes, not 201" in refused(contoso, "prefix-flood", "ams/microsoft/primary")
    v6 = faulted(with_fault(contoso, "prefix-flood", "ams/private/primary", family="6"))
    assert sum(len(one.vrfs[0].originates) for one in v6.routers if one.name == "ce1") == 101 + len(
        known.vrfs[0].originates
    )


def test_a_translation_without_ports_is_one_rule_more_for_what_has_ports(contoso: LabModel) -> None:
    harmed = faulted(with_fault(contoso, "nat-exhausted", "ce1", ports="2"))
    rules = [rule for one in harmed.routers if one.name == "ce1" for rule in one.vrfs[0].nat]
    assert [rule.ports for rule in rules] == [(50_000, 50_001)]
    assert "translates no addresses" in refused(contoso, "nat-exhausted", "pc1")


def test_a_site_or_a_node_without_power_has_no_port_left(contoso: LabModel) -> None:
    lost = set(faulted(with_fault(contoso, "site-down", "hq")).down)
    assert {at.namespace for at in lost} == {"ce1", "ce2", "pc1", "hq-lan", "hq-inet"}
    node = faulted(with_fault(contoso, "node-down", "msee1-amsterdam")).down
    assert {str(at) for at in node} == {
        "msee1-amsterdam:equinix",
        "msee1-amsterdam.ams.microsoft:core",
        "msee1-amsterdam.ams.private:hub",
    }
    own = load(TOPOLOGIES / "own-router.edge.yml")
    assert Endpoint("ce1", "ams1") in faulted(with_fault(own, "site-down", "hq")).down


def test_options_are_frozen_data_made_of_units() -> None:
    for kind in KINDS.values():
        assert dataclasses.is_dataclass(kind.options)
        assert kind.options.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_a_router_that_forwards_nothing_differs_by_two_settings(contoso: LabModel) -> None:
    halted = replace(contoso, halted=("msee1-amsterdam.ams.private",))
    from lab.faults.objects import harmed

    changed = set(harmed(compile_lab(contoso, "bpf"), (), halted.halted)) - set(compile_lab(contoso, "bpf"))
    assert {(item.namespace, item.value) for item in changed if isinstance(item, Sysctl)} == {
        ("msee1-amsterdam.ams.private", "0")
    }
    assert len(changed) == 2
