"""Reading a file: what YAML means here, where things stand, what cannot be read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import EXIT_BAD_INPUT, InputError
from lab.topology import derive, load, loads
from lab.topology.source import MAX_BYTES, parse, read
from lab.topology.tree import Mark


def _words(call: object, *arguments: object) -> str:
    assert callable(call)
    with pytest.raises(InputError) as refused:
        call(*arguments)
    assert refused.value.exit_code == EXIT_BAD_INPUT
    return str(refused.value)


def test_a_missing_file_is_bad_input_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "nope.edge.yml"
    assert _words(load, path) == f"{path}: there is no such file; check the name given with -t"


def test_a_path_through_a_file_is_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "there is no such file" in _words(load, tmp_path / "file" / "lab.edge.yml")


def test_a_directory_is_bad_input(tmp_path: Path) -> None:
    assert "is a directory; name the topology file in it" in _words(load, tmp_path)


def test_a_name_that_no_file_can_have_is_bad_input() -> None:
    assert "is no file name" in _words(load, Path("lab\0.yml"))
    assert "cannot be read" in _words(load, Path("x" * 300))


def test_a_device_without_end_is_refused_at_the_size_limit() -> None:
    assert "is larger than 1024 KiB" in _words(load, Path("/dev/zero"))


def test_a_file_at_the_limit_is_read_and_one_octet_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.edge.yml"
    path.write_bytes(b"#" * (MAX_BYTES - 2) + b"\n")
    assert "is empty" in _words(load, path)
    path.write_bytes(b"#" * MAX_BYTES + b"\n")
    assert "is larger than 1024 KiB" in _words(load, path)


def test_text_of_any_size_is_bounded() -> None:
    assert "is larger than" in _words(loads, "#" * (MAX_BYTES + 1), "text")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "bom.edge.yml"
    path.write_bytes(b"\xef\xbb\xbfname: x\n")
    assert read(path).data == {"name": "x"}
    assert parse("\ufeffname: x\n", "text").data == {"name": "x"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_count_the_same_with_every_line_ending(end: str) -> None:
    source = parse(end.join(["name: x", "sites:", "  hq: {lan: 10.0.0.0/8}", ""]), "text")
    assert source.mark(("sites", "hq", "lan")) == Mark(3, 13)
    assert source.mark(("sites", "hq", "lan"), at_key=True) == Mark(3, 8)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("010", 10),
        ("0o10", 8),
        ("0x8100", 0x8100),
        ("-3", -3),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("12076:5030", "12076:5030"),
        ("1:30", "1:30"),
        ("10.1.0.0/16", "10.1.0.0/16"),
        ("2026-01-01", "2026-01-01"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("9" * 5000, "9" * 5000),
        (".inf", float("inf")),
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(text: str, value: object) -> None:
    found = parse(f"key: {text}\n", "text").data["key"]
    assert found == value
    assert type(found) is type(value)


def test_an_alias_repeats_its_value_and_points_to_where_it_was_written() -> None:
    source = parse("a: &lan [10.0.0.0/8]\nb: *lan\n", "text")
    assert source.data["b"] == ["10.0.0.0/8"]
    assert source.mark(("b", 0)) == Mark(1, 10)


def test_a_missing_key_is_placed_at_its_parents_key() -> None:
    source = parse("a:\n  b:\n    - c: 1\n", "text")
    assert source.mark(("a", "b", 0, "d")) == Mark(3, 7)
    assert source.mark(("a", "x")) == Mark(1, 1)
    assert source.mark(("x",)) == Mark(1, 1)


def test_a_document_that_is_no_object_is_bad_input() -> None:
    assert "is not an object" in _words(derive, [])
    assert "is missing" in _words(derive, {})
    assert "1 cannot stand here" in _words(derive, {1: 2})


def test_problems_of_a_document_name_paths_without_lines() -> None:
    assert "topology: circuits: is missing" in _words(derive, {"name": "x", "sites": {}})


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, lab.topology; print(sorted({'pydantic', 'ruamel.yaml', 'pyroute2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_json_escapes_of_a_character_outside_the_basic_plane_are_that_character() -> None:
    source = parse(r'{"a\ud83d\ude00": "b\ud83d\ude00", "half": "\ud83d"}', "f.yml")
    assert source.data == {"a\U0001f600": "b\U0001f600", "half": "\ufffd"}


def test_a_problem_at_a_key_with_a_line_end_is_one_line() -> None:
    with pytest.raises(InputError) as caught:
        loads(json.dumps({"name": "c", "circuits": {"x\ny": {}}, "sites": {}}), "f.yml")
    assert all(line.startswith("f.yml:1:") for line in str(caught.value).splitlines())
    assert r"circuits.x\ny.bandwidth: is missing" in str(caught.value)
