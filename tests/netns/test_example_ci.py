"""The example project of lab/examples/ci, used as its reader would: copied, and its workflow's steps run.

The commands are those of the workflow file. Two things stand in for a runner of GitHub: the step that
installs is replaced by programs in .venv/bin that run this checkout, and `sudo` is a program that runs its
arguments, since the test has root already.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lab import state
from tests.junitshape import problems

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "lab" / "examples" / "ci"
WORKFLOW = ".github/workflows/lab.yml"


def workflow() -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load((EXAMPLE / WORKFLOW).read_text())
    return found


def steps() -> dict[str, dict[str, Any]]:
    """The steps that run something, by name."""
    return {step["name"]: step for step in workflow()["jobs"]["lab"]["steps"] if "run" in step}


@dataclass
class Runner:
    """A copy of the example where its steps are run; outcomes by step."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)

    def install(self) -> None:
        """In the place of the step `install`: programs of this checkout where the step puts them."""
        shutil.copytree(EXAMPLE, self.folder)
        plugin = "" if entry_points(group="pytest11", name="edgelab") else "-p edgelab_pytest"
        python = shlex.quote(sys.executable)
        self._program(".venv/bin/edgelab", f'exec {python} -m lab.cli "$@"')
        self._program(".venv/bin/pytest", f'exec {python} -m pytest {plugin} "$@"')
        self._program("sudo/sudo", '[ "$1" != -E ] || shift\nexec "$@"')
        (self.folder / "results").mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_CURRENT")}
        self.environment = {
            **kept,
            **workflow()["env"],
            "PATH": f"{self.folder / 'sudo'}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'lab' / 'plugins'}",
            "PYTEST_ADDOPTS": "-p no:cacheprovider",
        }

    def _program(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(self) -> dict[str, int]:
        """All steps but the installing one, as GitHub runs them: one that fails skips those without `if`."""
        failed = False
        for name, step in steps().items():
            if step.get("id") == "install" or (failed and "if" not in step):
                continue
            done = subprocess.run(
                ["bash", "-e", "-c", step["run"]],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=300,
            )
            self.outcomes[name] = done
            failed = failed or done.returncode != 0
        assert not state.running_labs()
        return {name: done.returncode for name, done in self.outcomes.items()}

    def cases(self, name: str) -> dict[str, ET.Element]:
        """The test cases of a JUnit file that CI servers can read."""
        path = self.folder / "results" / name
        assert problems(path) == []
        return {str(case.get("name")): case for case in ET.parse(path).iter("testcase")}


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    # A user's labs stay out of sight, and the path is short: sockets lie in it.
    with tempfile.TemporaryDirectory(prefix="labs") as directory:
        monkeypatch.setenv("EDGELAB_DIR", directory)
        made = Runner(tmp_path / "project")
        made.install()
        yield made


def test_the_workflow_is_pinned_and_its_results_are_kept() -> None:
    found = workflow()
    job = found["jobs"]["lab"]
    assert job["runs-on"] == "ubuntu-24.04"
    assert found["permissions"] == {"contents": "read"}
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert len(used) == 2
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action) for action in used)
    kept = job["steps"][-1]
    assert kept["with"]["path"] == "results/"
    assert "cancelled" in kept["if"]
    runs = "\n".join(step["run"] for step in steps().values())
    for words in ("--junit ", "--junitxml=", "--evidence ", "--edgelab-evidence="):
        assert f"{words}results/" in runs
    readme = (EXAMPLE / "README.md").read_text()
    for step in steps().values():
        if step.get("id") != "install":
            assert step["run"].replace("sudo -E ", "").replace(".venv/bin/", "") in readme


def test_the_example_passes(runner: Runner) -> None:
    outcomes = runner.run()
    told = "\n".join(f"{name}:\n{done.stdout}" for name, done in runner.outcomes.items())
    assert set(outcomes.values()) == {0}, told
    assert len(outcomes) == len(steps()) - 1
    checks = runner.cases("checks.xml")
    assert len(checks) == 8
    tests = runner.cases("tests.xml")
    assert len(tests) == 7
    for case in (*checks.values(), *tests.values()):
        assert case.find("failure") is None
        assert case.find("error") is None
    survived = tests["test_a_primary_link_that_goes_silent_is_survived"]
    assert [one.get("name") for one in survived.iter("property")] == ["edgelab pc1 -> vm1"]
    assert not (runner.folder / "results" / "evidence").exists()


def test_a_broken_lab_fails_with_proof(runner: Runner) -> None:
    topology = runner.folder / "wan.edge.yml"
    text = topology.read_text()
    line = "{edge: ce1, circuit: ams, peering: private, vlan: 100, shared_key: s3cret}"
    assert text.count(line) == 1
    topology.write_text(text.replace(line, line.replace("s3cret", "wr0ng")))
    # The patience of the example is made for slow machines, and would be waited out here.
    runner.environment["EDGELAB_CHECK_WITHIN"] = "6s"
    runner.environment["PYTEST_ADDOPTS"] += " -o edgelab_wait=6"
    outcomes = runner.run()
    assert outcomes == {
        "Validate the topology": 0,
        "Deploy it": 0,
        "Check what it promises": 1,
        "Destroy it": 0,
        "Test": 1,
    }, "\n".join(f"{name}:\n{done.stdout}" for name, done in runner.outcomes.items())
    evidence = runner.folder / "results" / "evidence"
    failed = {name for name, case in runner.cases("checks.xml").items() if case.find("failure") is not None}
    assert "sessions all established" in failed
    assert f"evidence: {evidence}/wan-" in runner.outcomes["Check what it promises"].stdout
    tests = runner.cases("tests.xml")
    assert len(tests) == 7
    for case in tests.values():
        error = case.find("error")
        assert error is not None
        assert "key" in str(error.get("message"))
        (folder,) = (
            one.get("value") for one in case.iter("property") if one.get("name") == "edgelab evidence"
        )
        assert (Path(str(folder)) / "inspect.json").exists()
        assert Path(str(folder)).parent == evidence
    (first,) = evidence.glob("wan-*")
    assert list(first.glob("*.pcapng"))
