"""In CI a test on a real kernel gets a second go, seen by all; other tests, and people, do not."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests import again

UNSTEADY = """
    calls = []

    def test_holds_the_second_time():
        calls.append(1)
        assert len(calls) == 2, "the first time"
"""
NEVER = "def test_never_holds(): assert False"


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    pytester.mkdir("tests")
    for name in ("netns", "unit"):
        pytester.mkdir(f"tests/{name}")
    (pytester.path / "tests/again.py").write_text(Path(again.__file__).read_text())
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("CI", "true")
    pytester.makeini("[pytest]\naddopts = -p pytest_rerunfailures -p tests.again\n")
    return pytester


def put(project: pytest.Pytester, place: str, text: str) -> None:
    (project.path / "tests" / place).write_text(textwrap.dedent(text))


def test_an_unsteady_test_passes_and_is_named_with_its_failure(project: pytest.Pytester) -> None:
    put(project, "netns/test_a.py", UNSTEADY)
    result = project.runpytest_subprocess()
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*unsteady*", "*test_holds_the_second_time (call)", "*the first time*", "*1 passed, 1 rerun*"]
    )


def test_a_test_that_never_holds_fails(project: pytest.Pytester) -> None:
    put(project, "netns/test_a.py", NEVER)
    assert project.runpytest_subprocess().ret == 1


def test_a_test_of_pure_code_does_not_run_again(project: pytest.Pytester) -> None:
    put(project, "unit/test_a.py", UNSTEADY)
    assert project.runpytest_subprocess().ret == 1


def test_nothing_runs_again_outside_ci(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI")
    put(project, "netns/test_a.py", UNSTEADY)
    assert project.runpytest_subprocess().ret == 1
