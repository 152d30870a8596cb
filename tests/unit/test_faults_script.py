"""The script of faults in a topology file, the order of its moments, and the page about faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edge.errors import InputError
from lab.cli import cli
from lab.faults import reference
from lab.faults.calls import inject
from lab.faults.kinds import KINDS
from lab.faults.schedule import Scripted, overlapping, timeline
from lab.faults.units import fields_of
from lab.model import LabModel
from lab.topology import derive, loads

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

LAB = """\
name: scripted
circuits:
  ams:
    provider: Equinix
    location: Amsterdam
    sku: {tier: premium, family: metered}
    bandwidth: 200M
    peerings: {private: {vlan: 100, peer_asn: 65010, subnet: 192.168.15.0/29}}
sites:
  hq: {edges: [ce1, ce2], lan: 10.1.0.0/16, hosts: {pc1: 10.1.0.10}, circuits: [ams]}
faults:
"""


def with_faults(*entries: str) -> LabModel:
    return loads(LAB + "".join(f"  - {{{entry}}}\n" for entry in entries), "x.edge.yml")


def problems(*entries: str) -> list[str]:
    with pytest.raises(InputError) as error:
        with_faults(*entries)
    return [str(one).partition(": ")[2] for one in error.value.problems]


def moments(script: tuple[Scripted, ...]) -> list[tuple[float, str, str]]:
    return [(one.at_s, one.what, one.entry.fault.name) for one in timeline(script)]


def test_tenths_of_seconds_add_up() -> None:
    model = with_faults(
        "at: 100ms, for: 200ms, kind: link-down, target: ams/primary, name: x",
        "at: 300ms, for: 1s, kind: loss, target: pc1, name: x, options: {part: 2%}",
    )
    assert [moment[1] for moment in moments(model.script)] == ["begins", "ends", "begins", "ends"]


def test_moments_are_in_order_of_time_and_what_ends_comes_before_what_begins() -> None:
    model = with_faults(
        "at: 5s, kind: link-down, target: ams/primary",
        "at: 2s, for: 3s, kind: loss, target: pc1, name: lossy, options: {part: 2%, seed: 7}",
        "at: 500ms, kind: crash, target: ce1",
    )
    assert moments(model.script) == [
        (0.5, "begins", "crash-ce1"),
        (2.0, "begins", "lossy"),
        (5.0, "ends", "lossy"),
        (5.0, "begins", "link-down-ams-primary"),
    ]
    assert str(model.script[1]) == "at 2s for 3s: loss pc1 --part 2% --seed 7"
    assert timeline(model.script)[1].to_json()["options"] == {"part": "2%", "seed": "7"}


def test_a_script_survives_the_way_to_the_lab_and_back() -> None:
    model = with_faults("at: 1m, for: 1.5s, kind: flap, target: ams, options: {down: 25%}")
    assert derive(json.loads(json.dumps(model.document))).script == model.script
    assert derive(model.document, model.state).script == model.script


def test_two_faults_of_one_name_must_not_be_active_at_once() -> None:
    one = "kind: silent, target: pc1, name: x"
    assert len(with_faults(f"at: 1s, for: 1s, {one}", f"at: 2s, {one}").script) == 2
    assert problems(f"at: 1s, for: 2s, {one}", f"at: 2s, {one}") == [
        "faults.1: a fault x is still active at that time; give it another name, or end the other one before"
    ]
    # What is over at once has given its name back.
    assert len(with_faults(*(f"at: {at}s, kind: crash, target: ce1, name: x" for at in (1, 2))).script) == 2
    # Without names each gets its own.
    unnamed = with_faults("at: 1s, kind: silent, target: pc1", "at: 1s, kind: silent, target: pc1").script
    assert [entry.fault.name for entry in unnamed] == ["silent-pc1", "silent-pc1-2"]
    assert overlapping(unnamed) == []


def test_every_mistake_of_a_script_is_told_at_its_place_with_a_way_out() -> None:
    assert problems(
        "at: 5, kind: link-down, target: ams/primary",
        "at: 5s, kind: lnk-down, target: ams/primary",
        "at: 5s, for: 1s, kind: crash, target: ce1",
        "at: 5s, kind: loss, target: pc1, options: {part: 5, sed: 7}",
        "at: 5s, kind: loss, taget: pc1",
    ) == [
        "faults.0.at: 5 has no unit; write 5s, or ms, m or h",
        "faults.1.kind: no kind of fault lnk-down; did you mean link-down?",
        "faults.2.for: crash is over at once and heals by itself; take `for` out",
        "faults.3.options: loss has no option sed; did you mean seed?",
        "faults.3.options: part: 5 has no unit; write 5%",
        "faults.4.taget: unknown key; did you mean target?",
    ]
    assert problems(
        "at: 5s, kind: link-down, target: ams/primry",
        "at: 5s, kind: one-way, target: ams/primary, options: {towards: ce2}",
    ) == [
        "faults.0.target: no link or connection ams/primry; did you mean ams/primary?",
        "faults.1.target: ce2 is no end of link ams-primary; write ce1 or equinix-amsterdam",
    ]


def test_validate_prints_the_script(tmp_path: Path) -> None:
    file = tmp_path / "x.edge.yml"
    file.write_text(LAB + "  - {at: 2s, for: 3s, kind: silent, target: pc1}\n")
    done = CliRunner().invoke(cli, ["validate", "-t", str(file)])
    assert (done.exit_code, "fault at 2s for 3s: silent pc1" in done.output) == (0, True), done.output
    told = json.loads(CliRunner().invoke(cli, ["validate", "-t", str(file), "--format", "json"]).output)
    assert [(one["at_s"], one["what"]) for one in told["faults"]] == [(2.0, "begins"), (5.0, "ends")]


def test_injecting_from_python_says_what_the_command_line_says() -> None:
    class Recorder:
        asked: dict[str, Any]

        def request(self, op: str, on_message: object, deadline_s: float, **fields: Any) -> dict[str, Any]:
            self.asked = {"op": op, **fields}
            return {"ok": True}

    recorder = Recorder()
    inject(recorder, "loss", "pc1", {"part": "2%"}, name="x")  # type: ignore[arg-type]
    options = {"kind": "loss", "target": "pc1", "options": {"part": "2%"}, "name": "x"}
    assert recorder.asked == {"op": "fault", "dry_run": False, **options}


def test_the_committed_page_is_fresh_and_has_a_row_for_every_kind_and_option() -> None:
    """Write it anew with `python -m lab.faults.reference docs/faults.md`."""
    page = PAGE.read_text(encoding="utf-8")
    assert reference.refresh(page) == page
    rows = [line for line in reference.render().splitlines() if line.startswith("| [`")]
    assert len(rows) == len(KINDS)
    for kind in KINDS.values():
        assert f"`edgelab fault {kind.name} {kind.example}`" in page
        assert all(f"| `--{name} " in page for name in fields_of(kind.options))
    with pytest.raises(ValueError, match="no line"):
        reference.refresh("# nothing")


def test_the_script_of_the_page_is_a_good_one() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    assert len(loads(LAB + text.partition("\n")[2], "page").script) == 3
