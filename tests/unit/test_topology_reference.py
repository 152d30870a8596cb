"""The page docs/topology.md and the tables in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from lab.topology import json_schema, loads, reference, source

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "topology.md"
GALLERY = ROOT / "lab" / "topologies"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    data: dict[str, Any] = source.parse(reference.EXAMPLE, "example").data
    return data


def test_the_committed_page_is_fresh(document: dict[str, Any]) -> None:
    """Write it anew with `python -m lab.topology.reference docs/topology.md`."""
    page = PAGE.read_text(encoding="utf-8")
    assert reference.refresh(page, json_schema(), document) == page


def test_the_example_is_a_valid_topology_with_every_key(document: dict[str, Any]) -> None:
    assert loads(reference.EXAMPLE, "example").name == "every-key"
    assert reference.missing_examples(json_schema(), document) == []


def test_a_key_without_an_example_is_found(document: dict[str, Any]) -> None:
    less = {key: value for key, value in document.items() if key != "internet"}
    keys = ("Topology.internet", "Internet.hosts", "Internet.names")
    assert reference.missing_examples(json_schema(), less) == [*keys]


def test_every_key_of_every_object_has_a_row(document: dict[str, Any]) -> None:
    text = reference.render(json_schema(), document)
    rows = re.findall(r"^\| `(\w+)` \|.*\|.*\|.*\|.*\|$", text, re.MULTILINE)
    schema = json_schema()
    keys = [key for one in (schema, *schema["$defs"].values()) for key in one["properties"]]
    assert sorted(rows) == sorted(keys)


def test_a_row_tells_type_limits_default_and_example(document: dict[str, Any]) -> None:
    text = reference.render(json_schema(), document)
    assert "| `weight` | integer, 0-32000 | `0` |" in text
    assert "| `tags` | list of integer, 1-4094, at most 2 |  |" in text
    assert "| `encapsulation` | `qinq`, `dot1q` | `qinq` |" in text
    assert '| `["12076:5030"]` |' in text
    assert "one of [peering locations](#peering-locations)" in text


def test_every_link_inside_the_page_leads_to_a_heading() -> None:
    page = PAGE.read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    }
    links = set(re.findall(r"\]\(#([^)]+)\)", page))
    assert len(links) > 15
    assert links <= headings


def test_the_page_names_every_file_of_the_gallery() -> None:
    page = PAGE.read_text(encoding="utf-8")
    missing = [path.name for path in GALLERY.glob("*.edge.yml") if path.name not in page]
    assert missing == []


def test_a_page_without_the_marker_is_refused_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# By hand\n")
    assert reference.main([str(page)]) == 2
    assert reference.MARKER in capsys.readouterr().err
    assert page.read_text() == "# By hand\n"
    assert reference.main([]) == 2


def test_the_command_makes_a_page_anew_and_keeps_what_was_written_by_hand(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# By hand\n\n{reference.MARKER}\nold\n")
    assert reference.main([str(page)]) == 0
    text = page.read_text()
    assert text.startswith(f"# By hand\n\n{reference.MARKER}\n")
    assert "\nold\n" not in text
    assert "### Microsoft peering" in text
