"""A pytest plugin: why tests may be skipped, and that no other reason passes in CI.

A test that cannot run here says so by skipping with the reason. With CI=true a reason must match a
pattern of `expected-skips.txt`, or the skip is a failure: a test that silently stops running
protects nobody.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from pathlib import Path

import pytest

EXPECTED = Path(__file__).with_name("expected-skips.txt")

Report = pytest.TestReport | pytest.CollectReport


def patterns(text: str) -> tuple[re.Pattern[str], ...]:
    """The patterns of an expected-skips file: one per line, `#` opens a comment line."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(re.compile(line, re.IGNORECASE) for line in lines if line and not line.startswith("#"))


def is_expected(reason: str, expected: tuple[re.Pattern[str], ...]) -> bool:
    """Whether some pattern occurs in the reason of a skip."""
    return any(pattern.search(reason) for pattern in expected)


class StrictSkips:
    """Turns skips for an unexpected reason into failures."""

    def __init__(self, expected: tuple[re.Pattern[str], ...]) -> None:
        self.expected = expected

    def _judge(self, report: Report) -> Report:
        if not report.skipped or hasattr(report, "wasxfail") or not isinstance(report.longrepr, tuple):
            return report
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not is_expected(reason, self.expected):
            report.outcome = "failed"
            report.longrepr = f"skipped, which {EXPECTED.name} does not expect: {reason}"
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, Report, Report]:
        """Judge the skip of a test."""
        return self._judge((yield))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Generator[None, Report, Report]:
        """Judge the skip of a whole module."""
        return self._judge((yield))


def pytest_configure(config: pytest.Config) -> None:
    """Be strict where nobody reads the list of skips."""
    if os.environ.get("CI", "").lower() == "true":
        config.pluginmanager.register(StrictSkips(patterns(EXPECTED.read_text())), "strict-skips")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `root` when we are not."""
    if os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker("root"):
                item.add_marker(pytest.mark.skip(reason="needs root: sudo make test"))
