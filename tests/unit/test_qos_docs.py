"""The page docs/qos.md: its tables are fresh, its files are good, its examples print what it says."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from edge.cli import cli
from edge.program import run
from edge.qos.policyfile import load
from edge.qos.policykeys import CLASS_KEYS, POLICY_KEYS, RULE_KEYS
from edge.qos.reference import PARTS, refresh

PAGE = Path(__file__).parents[2] / "docs" / "qos.md"
_FILE = re.compile(r"^```yaml\n# (\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_EXAMPLE = re.compile(r"^```console\n\$ (edge [^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PYTHON = re.compile(r"^```python\n(.*?)^```\n\n```\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TEXT = PAGE.read_text(encoding="utf-8")
COMMANDS = [found[1] for found in _EXAMPLE.finditer(TEXT)]


@pytest.fixture(autouse=True)
def files_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in _FILE.findall(TEXT):
        Path(name).write_text(f"# {name}\n{text}", encoding="utf-8")


def test_the_committed_tables_are_fresh() -> None:
    """Write them anew with `python -m edge.qos.reference docs/qos.md`."""
    assert refresh(TEXT) == TEXT
    assert all(f"<!-- generated: {name} -->" in TEXT for name in PARTS)


@pytest.mark.parametrize("keys", [POLICY_KEYS, RULE_KEYS, CLASS_KEYS])
def test_every_key_has_a_row(keys) -> None:
    assert all(f"| `{name}` | " in TEXT for name in keys)


def test_every_example_of_a_key_is_one_that_its_reader_takes() -> None:
    from edge.document import source
    from edge.qos.policyfile import POLICY

    for key in (*POLICY_KEYS.values(), *RULE_KEYS.values(), *CLASS_KEYS.values()):
        if key.read is None:
            continue
        value = source.parse(f"key: {key.example}\n", "example", POLICY).data["key"]
        for one in value if isinstance(value, list) else [value]:
            key.read(one)


def test_the_files_of_the_page_are_good() -> None:
    names = [name for name, _ in _FILE.findall(TEXT)]
    assert names == ["my-policy.yml", "shadows.yml"]
    assert all(load(Path(name)).rules for name in names)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_example_prints_what_the_page_says(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    """EDGELAB_UPDATE_GOLDEN=1 writes the page anew; read the difference before committing it."""
    assert run(cli, "edge", shlex.split(command)[1:]) == 0
    printed = capfd.readouterr().out
    page = PAGE.read_text(encoding="utf-8")
    said = next(found for found in _EXAMPLE.finditer(page) if found[1] == command)
    if os.environ.get("EDGELAB_UPDATE_GOLDEN"):
        page = page[: said.start(2)] + printed + page[said.end(2) :]
        PAGE.write_text(page, encoding="utf-8")
        return
    assert printed == said[2]


def test_the_python_of_the_page_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    ((code, said),) = _PYTHON.findall(TEXT)
    exec(compile(code, str(PAGE), "exec"), {})
    assert capsys.readouterr().out == said
