"""A pytest plugin: in CI a test on a real kernel that fails runs a second time, and the closing lines say so.

Such a test shares processors and a clock with all else that the machine does. One that passes only the
second time is unsteady, a fault to mend; it is shown with what went wrong the first time. Tests of pure code
never run again, and nothing does outside CI, where whoever runs the tests sees the failure.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REAL = frozenset({"fastpath", "netns"})
"""Directories of tests with real namespaces, devices and daemons."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests on a real kernel for pytest-rerunfailures."""
    if os.environ.get("CI", "").lower() != "true":
        return
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.path.relative_to(here).parts[0] in REAL:
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that ran again, each with how it failed."""
    again = terminalreporter.stats.get("rerun", [])
    if not again:
        return
    terminalreporter.section("unsteady: failed once, ran again")
    for report in again:
        terminalreporter.write_line(f"{report.nodeid} ({report.when})")
        terminalreporter.write_line(report.longreprtext)
