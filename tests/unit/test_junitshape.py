"""The judge of JUnit files finds what CI servers stumble over."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.report.junit import junit_xml
from tests.junitshape import problems

GOOD = (
    '<testsuites><testsuite name="s" tests="2" failures="1" errors="0" skipped="0" time="0.1">'
    '<properties><property name="a" value="b"/></properties>'
    '<testcase classname="c" name="n" time="0.1"><failure message="m">words</failure></testcase>'
    '<testcase classname="c" name="o" time="0"/></testsuite></testsuites>'
)


def judged(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "junit.xml"
    path.write_text(text)
    return problems(path)


def test_a_good_file_has_no_problems(tmp_path: Path) -> None:
    assert judged(tmp_path, GOOD) == []
    assert judged(tmp_path, junit_xml("lab", [])) == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("testsuites", "results", "the root is results"),
        (' tests="2"', "", "testsuite has no tests"),
        ('tests="2"', 'tests="1"', "2 cases, and tests=1"),
        ('failures="1"', 'failures="0"', "failures=0 does not count the cases"),
        ('classname="c" name="o"', 'name="o"', "testcase has no classname"),
        ('time="0.1">', 'time="soon">', "time=soon"),
        ("failure", "broken", "broken in testcase"),
    ],
)
def test_what_a_server_cannot_read_is_named(tmp_path: Path, before: str, after: str, said: str) -> None:
    assert any(said in problem for problem in judged(tmp_path, GOOD.replace(before, after)))
