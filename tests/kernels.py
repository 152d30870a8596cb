"""A pytest plugin: on which kernel a test runs, and how many ran on each.

`@pytest.mark.kernels("here", "stock")` names the kernels of a test: `here` is the machine's own, `stock` the
guest that `make test-kernel` boots (tests/kernel). A test without the mark runs here only. Tests for other
kernels than this one are deselected. Each run adds a line to the file EDGELAB_TEST_SUMMARY, if that is
named, and shows all lines that are there: what the whole of `make test` ran, and on what.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

KERNEL = "EDGELAB_TEST_KERNEL"
SUMMARY = "EDGELAB_TEST_SUMMARY"
NAMES = ("here", "stock")


def this_kernel() -> str:
    """The name of the kernel that this run is on."""
    name = os.environ.get(KERNEL, "here")
    if name not in NAMES:
        raise pytest.UsageError(f"{KERNEL}={name}: it is one of {', '.join(NAMES)}")
    return name


def kernels_of(item: pytest.Item) -> tuple[str, ...]:
    """The kernels that a test is for. Raises pytest.UsageError for one that does not exist."""
    mark = item.get_closest_marker("kernels")
    names = ("here",) if mark is None else mark.args
    if not names or not set(names) <= set(NAMES):
        raise pytest.UsageError(f"{item.nodeid}: kernels{names}: name one or more of {', '.join(NAMES)}")
    return names


def line(kernel: str, release: str, counts: dict[str, int]) -> str:
    """What one run did, in words."""
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count) or "no tests"
    return f"kernel {release} ({kernel}): {told}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of this kernel."""
    kernel = this_kernel()
    kept = [item for item in items if kernel in kernels_of(item)]
    others = [item for item in items if kernel not in kernels_of(item)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what ran on which kernel."""
    stats = terminalreporter.stats
    outcomes = ("passed", "failed", "error", "skipped", "xfailed", "rerun")
    counts = {name: len(stats.get(name, ())) for name in outcomes}
    lines = [line(this_kernel(), os.uname().release, counts)]
    path = os.environ.get(SUMMARY)
    if path:
        with Path(path).open("a+", encoding="utf-8") as summary:
            summary.write(lines[0] + "\n")
            summary.seek(0)
            lines = summary.read().splitlines()
    terminalreporter.section("kernels")
    for words in lines:
        terminalreporter.write_line(words)
