"""Golden pairs: a good file and the lab it means, a bad file and the exact words for it.

EDGELAB_UPDATE_GOLDEN=1 writes the expected files anew; read the difference before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.errors import InputError
from lab.topology import derive, load
from tests.unit.topology_dump import dump

GOLDEN = Path(__file__).parent.parent / "golden" / "topology"
GOOD = sorted((GOLDEN / "good").glob("*.edge.yml"))
BAD = sorted((GOLDEN / "bad").glob("*.edge.yml"))


def _expect(path: Path, text: str) -> None:
    if os.environ.get("EDGELAB_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name.replace(".edge.yml", suffix))


def test_there_are_golden_files_of_both_kinds() -> None:
    assert len(GOOD) >= 8
    assert len(BAD) >= 35


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name.partition(".")[0])
def test_a_good_file_means_exactly_this_lab(path: Path) -> None:
    _expect(_beside(path, ".json"), dump(load(path)))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name.partition(".")[0])
def test_a_bad_file_is_refused_in_exactly_these_words(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with pytest.raises(InputError) as refused:
        load(Path(path.name))
    _expect(_beside(path, ".txt"), f"{refused.value}\n")


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name.partition(".")[0])
def test_a_document_derives_the_same_lab_again(path: Path) -> None:
    model = load(path)
    again = derive(model.document)
    assert again == model
    assert again.document == model.document


def test_every_expected_file_has_its_topology() -> None:
    expected = {*(GOLDEN / "good").glob("*.json"), *(GOLDEN / "bad").glob("*.txt")}
    assert expected == {_beside(p, ".json") for p in GOOD} | {_beside(p, ".txt") for p in BAD}
