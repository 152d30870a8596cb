"""What -t takes: a file, else a topology of the gallery."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.errors import InputError
from lab.cli import cli


def test_a_name_of_the_gallery_is_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli, ["validate", "-t", "contoso"]).exit_code == 0
    wrong = CliRunner().invoke(cli, ["validate", "-t", "contosso"])
    assert isinstance(wrong.exception, InputError)
    assert "there is no such file" in str(wrong.exception)


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "contoso").write_text("name: 7\n")
    wrong = CliRunner().invoke(cli, ["validate", "-t", "contoso"])
    assert isinstance(wrong.exception, InputError)
    assert "contoso:1:7" in str(wrong.exception)


@pytest.mark.parametrize("word", ["./contoso", "contoso/", "/contoso", "x" * 300])
def test_a_path_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(CliRunner().invoke(cli, ["validate", "-t", word]).exception, InputError)
