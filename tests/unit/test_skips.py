"""In CI a test may be skipped only for a reason that is expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import skips

ROOT = Path(__file__).resolve().parents[2]

SKIPPING = """
    import pytest

    def test_runs(): pass

    def test_skips():
        pytest.skip({reason!r})

    @pytest.mark.skip(reason={reason!r})
    def test_is_marked(): pass

    @pytest.mark.xfail(reason="known")
    def test_fails_as_expected():
        assert False
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("CI", raising=False)
    pytester.makeini("[pytest]\naddopts = -p tests.skips\nmarkers = root: needs root\n")
    return pytester


def test_any_reason_will_do_outside_ci(project: pytest.Pytester) -> None:
    project.makepyfile(SKIPPING.format(reason="the moon is full"))
    project.runpytest_subprocess().assert_outcomes(passed=1, skipped=2, xfailed=1)


def test_an_unexpected_reason_fails_in_ci(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    project.makepyfile(SKIPPING.format(reason="the moon is full"))
    result = project.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=1, errors=1, xfailed=1)
    result.stdout.fnmatch_lines(["*expected-skips.txt does not expect: the moon is full"])


def test_an_expected_reason_skips_in_ci(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    project.makepyfile(SKIPPING.format(reason="this kernel has no 8021q"))
    project.runpytest_subprocess().assert_outcomes(passed=1, skipped=2, xfailed=1)


def test_a_module_that_skips_itself_fails_in_ci(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    project.makepyfile("import pytest\npytest.skip('the moon is full', allow_module_level=True)")
    result = project.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*expected-skips.txt does not expect: the moon is full"])


def test_a_test_that_needs_root_says_so_when_it_is_not(project: pytest.Pytester) -> None:
    project.makeconftest("import os\nos.geteuid = lambda: 1000")
    project.makepyfile("import pytest\n@pytest.mark.root\ndef test_x(): pass\ndef test_y(): pass")
    result = project.runpytest_subprocess("-ra")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*needs root: sudo make test"])


def test_every_expected_reason_is_a_pattern_that_says_something() -> None:
    expected = skips.patterns(skips.EXPECTED.read_text())
    assert expected
    assert not any(pattern.search("") for pattern in expected)


def test_comments_and_empty_lines_are_no_patterns() -> None:
    assert skips.patterns("# all\n\n  # of it\n") == ()


def test_case_does_not_matter() -> None:
    assert skips.is_expected("No 8021Q here", skips.patterns("no 8021q"))
