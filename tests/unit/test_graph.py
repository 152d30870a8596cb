"""Pictures of labs: what is drawn, that it holds together, and that states are seen without colours.

EDGELAB_UPDATE_GOLDEN=1 writes the expected files anew; read the difference before committing it.
"""

from __future__ import annotations

import itertools
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from lab.commands.graph import graph_command
from lab.lookup import node_of
from lab.model import LabModel
from lab.report.graph import Picture, picture
from lab.report.graphsvg import BOX, html, layout, svg
from lab.report.graphtext import dot, mermaid
from lab.topology import load
from lab.view import LabView, LinkView, NodeView, SessionView

ROOT = Path(__file__).parents[2]
GALLERY = sorted((ROOT / "lab" / "topologies").glob("*.edge.yml"))
CONTOSO = ROOT / "lab" / "topologies" / "contoso.edge.yml"
GOLDEN = ROOT / "tests" / "golden" / "report"
SVG = "{http://www.w3.org/2000/svg}"


def running(model: LabModel, *, cut: str, silent: tuple[str, str]) -> LabView:
    """A view of the lab in which one link has no carrier and the sessions of two nodes are down."""

    def session(node: str, namespace: str, name: str, neighbour: str, interface: str) -> SessionView:
        up = not (node in silent and _other(model, neighbour) in silent)
        why = "" if up else "hold timer expired"
        state = "Established" if up else "Active"
        row = ("", "", "", "", node, namespace, name, "", interface, neighbour, 4, state, None, 0, 0, "", why)
        return SessionView(*row)

    return LabView(
        name=model.name,
        realisation="bpf",
        reason="",
        uptime_s=1.0,
        nodes=tuple(NodeView(n.name, n.kind, n.tier, n.namespaces, "up", 0) for n in model.nodes),
        links=tuple(LinkView(k.name, "", "", "", "", True, k.name != cut, ()) for k in model.links),
        sessions=tuple(
            session(router.name, vrf.namespace, one.name, str(one.neighbor), one.interface)
            for router in model.routers
            for vrf in router.vrfs
            for one in vrf.sessions
        ),
        tag_counters={},
        packet_counters={},
    )


def _other(model: LabModel, address: str) -> str:
    return next(
        router.name
        for router in model.routers
        for vrf in router.vrfs
        for one in vrf.sessions
        if str(one.local) == address
    )


@pytest.fixture(scope="module")
def contoso() -> LabModel:
    return load(CONTOSO)


@pytest.fixture(params=GALLERY, ids=[path.name.removesuffix(".edge.yml") for path in GALLERY])
def drawn(request: pytest.FixtureRequest) -> tuple[LabModel, Picture]:
    model = load(request.param)
    return model, picture(model)


def test_every_node_link_and_session_of_the_gallery_is_drawn(drawn: tuple[LabModel, Picture]) -> None:
    model, shown = drawn
    assert [box.name for box in shown.boxes] == [node.name for node in model.nodes]
    between = {
        link.name
        for link in model.links
        if node_of(model, link.a.namespace) != node_of(model, link.b.namespace)
    }
    assert sorted(name for wire in shown.wires for name in wire.links) == sorted(between)
    ends = sum(len(vrf.sessions) for router in model.routers for vrf in router.vrfs)
    assert 2 * sum(peer.sessions for peer in shown.peers) == ends
    tags = {f"{end.circuit}/{end.peering}" for end in model.peering_ends}
    assert {peering for wire in shown.wires for _, peering in wire.tags} == tags


def test_sessions_over_a_core_of_labels_are_drawn(tmp_path: Path) -> None:
    text = (ROOT / "lab" / "topologies" / "any-to-any.edge.yml").read_text()
    file = tmp_path / "labels.edge.yml"
    file.write_text(text + "\ncore: mpls\n")
    model = load(file)
    ends = sum(len(vrf.sessions) for router in model.routers for vrf in router.vrfs)
    assert any(
        session.multihop for router in model.routers for vrf in router.vrfs for session in vrf.sessions
    )
    assert 2 * sum(peer.sessions for peer in picture(model).peers) == ends


def test_boxes_stand_apart_and_inside_the_drawing(drawn: tuple[LabModel, Picture]) -> None:
    _, shown = drawn
    placed = layout(shown)
    for (x, y), (other_x, other_y) in itertools.combinations(placed.middles.values(), 2):
        assert abs(x - other_x) >= BOX[0] or abs(y - other_y) >= BOX[1]
    for x, y in placed.middles.values():
        assert BOX[0] / 2 <= x <= placed.width - BOX[0] / 2
        assert BOX[1] / 2 <= y <= placed.height - BOX[1] / 2


def test_tiers_stand_from_left_to_right_and_the_internet_below(contoso: LabModel) -> None:
    middles = layout(picture(contoso)).middles
    way = ["pc1", "hq-lan", "ce1", "equinix-amsterdam", "msee1-amsterdam", "hub-gw0", "hub-net", "vm1"]
    xs = [middles[name][0] for name in way]
    assert xs == sorted(set(xs))
    assert middles["internet"][1] > max(
        y for name, (_, y) in middles.items() if name not in ("dns", "cdn", "internet")
    )


def test_the_drawing_is_well_formed_and_needs_nothing_else(drawn: tuple[LabModel, Picture]) -> None:
    _, shown = drawn
    root = ET.fromstring(svg(shown))
    groups = [group.get("class", "").split()[0] for group in root.iter(f"{SVG}g")]
    assert groups.count("box") == len(shown.boxes)
    assert groups.count("wire") == len(shown.wires)
    assert groups.count("peer") == len(shown.peers)
    page = html(shown)
    assert "<script" not in page
    assert not re.search(r'(src|href)="', page)


def test_states_are_told_in_words_and_lines_not_in_colours_alone(contoso: LabModel) -> None:
    view = running(contoso, cut="ams-primary", silent=("ce1", "msee1-amsterdam"))
    shown = picture(contoso, view)
    wires = {wire.links: wire for wire in shown.wires}
    assert wires[("ams-primary",)].state == "down"
    assert wires[("ams-secondary",)].state == "up"
    peers = {(peer.a, peer.b): peer for peer in shown.peers}
    broken = peers["ce1", "msee1-amsterdam"]
    assert (broken.state, broken.sessions) == ("down", 3)
    assert "ce1: hold timer expired" in broken.why
    assert peers["ce2", "msee2-amsterdam"].state == "up"
    text = mermaid(shown)
    assert "down" in text
    assert re.search(r'n0 -\.-\|"ams-primary', text)
    root = ET.fromstring(svg(shown))
    cut = [g for g in root.iter(f"{SVG}g") if g.get("class") == "wire trunk down"]
    assert len(cut) == 1
    assert "state: down" in (cut[0].findtext(f"{SVG}title") or "")


@pytest.mark.parametrize("form", ["mermaid", "dot"])
def test_text_is_as_in_the_golden_file(contoso: LabModel, form: str) -> None:
    text = {"mermaid": mermaid, "dot": dot}[form](picture(contoso))
    golden = GOLDEN / f"graph.{form}"
    if os.environ.get("EDGELAB_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(graph_command, words)
    return done.exit_code, done.stdout, str(done.exception or "")


@pytest.mark.parametrize(
    ("name", "begins"),
    [("a.svg", "<?xml"), ("a.html", "<!DOCTYPE html>"), ("a.dot", 'graph "contoso"'), ("a.mmd", "flowchart")],
)
def test_the_name_of_the_file_says_what_is_written(tmp_path: Path, name: str, begins: str) -> None:
    status, out, _ = run("-t", str(CONTOSO), "-o", str(tmp_path / name))
    assert (status, out) == (0, "")
    assert (tmp_path / name).read_text().startswith(begins)


def test_what_cannot_be_is_refused_with_a_way_out(tmp_path: Path) -> None:
    assert "exclude each other" in run("contoso", "-t", str(CONTOSO))[2]
    assert "add --format" in run("-t", str(CONTOSO), "-o", str(tmp_path / "picture"))[2]
    assert "cannot be written" in run("-t", str(CONTOSO), "-o", str(tmp_path / "no" / "a.svg"))[2]
