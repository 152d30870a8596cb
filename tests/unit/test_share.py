"""Runs that share the tests run each module once between them, all of its tests in one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.__main__ import NO_TESTS, all_of
from tests.share import SHARE

PLUGINS = ("-p", "tests.share", "-p", "no:cacheprovider", "-v")


@pytest.fixture
def shared(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = pytester.mkdir("share")
    monkeypatch.setenv(SHARE, str(folder))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    two = (
        "import pytest\n@pytest.fixture(scope='module')\ndef made():\n    yield 1\n    print('taken down')\n"
    )
    two += "def test_one(made): pass\ndef test_two(made): pass\n"
    pytester.makepyfile(test_a=two, test_b=two, test_c=two)
    return folder


def test_a_module_that_another_run_took_is_left_out_whole(shared: Path, pytester: pytest.Pytester) -> None:
    (shared / "test_b.py").mkdir()
    done = pytester.runpytest_inprocess(*PLUGINS, "-s")
    done.assert_outcomes(passed=4)
    done.stdout.fnmatch_lines(
        ["test_a.py::test_one *", "*taken down*", "test_c.py::test_one *", "*taken down*"]
    )
    done.stdout.no_fnmatch_line("*test_b*")


def test_what_the_last_module_made_is_taken_down_before_the_end(
    shared: Path, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(
        "import pytest\n@pytest.fixture(scope='session', autouse=True)\n"
        "def whole():\n    yield\n    pytest.fail('left behind', pytrace=False)"
    )
    (shared / "test_c.py").mkdir()
    done = pytester.runpytest_inprocess(*PLUGINS)
    done.assert_outcomes(passed=4, errors=1)
    done.stdout.fnmatch_lines(["*ERROR at teardown of test_two*", "left behind"])


def test_what_one_run_took_the_next_leaves(shared: Path, pytester: pytest.Pytester) -> None:
    pytester.runpytest_inprocess(*PLUGINS).assert_outcomes(passed=6)
    assert {path.name for path in shared.iterdir()} == {"test_a.py", "test_b.py", "test_c.py"}
    pytester.runpytest_inprocess(*PLUGINS).assert_outcomes()


def test_without_a_folder_nothing_is_shared(
    shared: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SHARE)
    for _ in range(2):
        pytester.runpytest_inprocess(*PLUGINS).assert_outcomes(passed=6)
    assert list(shared.iterdir()) == []


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ((0, 0), 0),
        ((0, 1), 1),
        ((4, 0), 4),
        ((0, -9), 137),
        ((0, NO_TESTS), 0),
        ((NO_TESTS, NO_TESTS), NO_TESTS),
    ],
)
def test_one_guest_that_fails_fails_all_and_one_that_came_too_late_does_not(
    statuses: tuple[int, ...], status: int
) -> None:
    assert all_of(statuses) == status
