"""The pytest plugin as another project uses it: pytest started in a folder of its own, with real labs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from labs import CONTOSO, until

from lab import state

ROOT = Path(__file__).parents[2]
ONE_EDGE = CONTOSO.with_name("one-edge.edge.yml")
INSTALLED = bool(entry_points(group="pytest11", name="edgelab"))


class Project:
    """Somebody else's tests. `run` is their pytest, with warnings as errors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.junit = folder / "junit.xml"
        (folder / ONE_EDGE.name).write_text(ONE_EDGE.read_text())

    def command(self, *words: str) -> list[str]:
        plugin = () if INSTALLED else ("-p", "edgelab_pytest")
        quiet = (
            "-p",
            "no:cacheprovider",
            f"--basetemp={self.folder / 'tmp'}",
            "--strict-markers",
            "-W",
            "error",
        )
        return [sys.executable, "-W", "error", "-m", "pytest", *plugin, *quiet, *words]

    def options(self) -> dict[str, object]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        environment |= {
            "PYTHONPATH": f"{ROOT}:{ROOT / 'lab' / 'plugins'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "200",
        }
        return {"cwd": self.folder, "env": environment, "text": True}

    def run(self, *words: str) -> tuple[int, str]:
        done = subprocess.run(
            self.command(f"--junitxml={self.junit}", *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            **self.options(),  # type: ignore[call-overload]
        )
        assert not state.running_labs(), "a lab outlived pytest"
        return done.returncode, done.stdout

    def cases(self) -> dict[str, ET.Element]:
        return {str(case.get("name")): case for case in ET.parse(self.junit).iter("testcase")}

    def properties(self, case: str) -> dict[str, str]:
        found = self.cases()[case].iter("property")
        return {str(one.get("name")): str(one.get("value")) for one in found}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    # A user's labs stay out of sight, and the path is short: sockets lie in it.
    with tempfile.TemporaryDirectory(prefix="labs") as directory:
        monkeypatch.setenv("EDGELAB_DIR", directory)
        yield Project(tmp_path)


def outcomes(text: str) -> dict[str, int]:
    """{"passed": 3, "failed": 1} of pytest's last line."""
    return {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", text.splitlines()[-1])}


BYSTANDER = """
import sys
import pytest

@pytest.fixture
def lab():
    return "mine"

@pytest.mark.fault("of my own")
@pytest.mark.budget(3)
def test_mine(lab):
    assert lab == "mine"

def test_nothing_was_read():
    read = {name for name in sys.modules if name.partition(".")[0] in ("lab", "edge", "pydantic", "pyroute2")}
    assert read == set()
"""


def test_a_project_that_does_not_use_it_is_left_alone(project: Project) -> None:
    (project.folder / "test_bystander.py").write_text(BYSTANDER)
    code, text = project.run("-q")
    assert code == 0, text
    assert outcomes(text) == {"passed": 2}
    assert not (project.folder / "edgelab-evidence").exists()


SHARING = """
import os
import pytest

pytestmark = pytest.mark.edgelab("one-edge.edge.yml")
names = []

def test_the_lab_is_whole(lab, record_property):
    names.append(lab.name)
    record_property("lab", lab.name)
    assert lab.check().ok

def test_shares_it(lab):
    assert lab.name == names[0]

@pytest.mark.edgelab("one-edge.edge.yml", scope="function")
def test_has_its_own(lab, record_property):
    record_property("lab", lab.name)
    assert lab.name != names[0]
    lab.service("circuit", "bandwidth", "one", "200M")

def test_mends_what_it_breaks(lab):
    lab.exec("ce1", ["ip", "link", "set", "one1", "down"], check=True)
    lab.exec("ce1", ["ip", "link", "set", "one1", "up"], check=True)

"""


@pytest.mark.root
def test_tests_share_labs_and_workers_have_their_own(project: Project) -> None:
    for name in ("test_one.py", "test_two.py"):
        (project.folder / name).write_text(SHARING)
    code, text = project.run("-n", "2", "--dist", "loadfile")
    assert code == 0, text
    assert outcomes(text)["passed"] == 8
    labs = {one.get("value") for one in ET.parse(project.junit).iter("property") if one.get("name") == "lab"}
    assert len(labs) == 4
    assert {str(name).split("-")[2] for name in labs} == {"gw0", "gw1"}
    assert not (project.folder / "edgelab-evidence").exists()


LEAVING = """
import pytest
from lab.api import deploy

pytestmark = pytest.mark.edgelab("one-edge.edge.yml")
names = []

def test_leaves_a_link_down(lab):
    names.append(lab.name)
    lab.exec("ce1", ["ip", "link", "set", "one1", "down"], check=True)

def test_gets_a_new_lab(lab):
    names.append(lab.name)
    assert names[0] != names[1]
    assert lab.check({"sessions": "all"}).ok

def test_leaves_an_order(lab):
    assert lab.name == names[1]
    lab.service("circuit", "bandwidth", "one", "200M")

def test_leaves_a_fault(lab):
    lab.fault("silent", "one/primary")

def test_fails(lab):
    assert lab.check({"route": ["ce1", "10.99.0.0/16"]}, deadline_s=0.5).ok

def test_destroys_what_others_share(lab):
    lab.destroy()

def test_leaves_a_lab_of_its_own():
    deploy("one-edge.edge.yml", name="left", wait_s=None)

@pytest.mark.budget("pc1", "vm1", outage="soon")
def test_asks_for_nonsense(lab):
    pass

@pytest.mark.budget("pc1", "vm1", outage="1s")
def test_asks_without_a_lab():
    pass
"""


@pytest.mark.root
def test_who_leaves_a_lab_different_fails_by_name_with_evidence(project: Project) -> None:
    (project.folder / "test_leaving.py").write_text(LEAVING)
    code, text = project.run("--edgelab-capture", "one")
    assert code == 1, text
    assert outcomes(text) == {"failed": 1, "passed": 6, "errors": 7}, text
    for words in (
        "test_leaving.py::test_leaves_a_link_down left the lab different:",
        "a deploy would create ce1:one1 up",
        "the service has circuits.one.bandwidth_mbps: 100 -> 200",
        "fault silent one/primary (silent-one-primary) is active",
        "test_leaving.py::test_destroys_what_others_share has destroyed the lab",
        "test_leaving.py::test_leaves_a_lab_of_its_own left labs running: left",
        "edgelab: outage='soon' is no time",
        "edgelab: the marker budget does nothing without the fixture lab",
    ):
        assert words in text
    assert "Traceback" not in text
    assert "During handling" not in text
    evidence = Path(project.properties("test_fails")["edgelab evidence"])
    assert evidence == project.folder / "edgelab-evidence" / "test_leaving.py.test_fails"
    assert re.search(rf"Captured edgelab evidence call -+\n{re.escape(str(evidence))}\n", text)
    assert '"version": 1' in (evidence / "inspect.json").read_text()
    assert '"ce1"' in (evidence / "status.json").read_text()
    assert "one_private_primary" in (evidence / "routers" / "ce1.txt").read_text()
    assert re.search(
        r"^default via 10\.2\.0\.1 ", (evidence / "kernel" / "pc1.txt").read_text(), re.MULTILINE
    )
    assert '"kind": "session"' in (evidence / "events.json").read_text()
    assert "ce1: " in (evidence / "supervisor.log").read_text()
    assert (evidence / "capture.pcapng").read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"
    told = json.loads((evidence / "index.json").read_text())
    assert told["problems"] == []
    assert "capture.pcapng" in {one["file"] for one in told["files"]}
    kept = {path.name for path in (project.folder / "edgelab-evidence").iterdir()}
    assert kept == {
        f"test_leaving.py.test_{name}"
        for name in ("leaves_a_link_down", "leaves_an_order", "leaves_a_fault", "fails")
    }


BREAKING = """
import pytest

pytestmark = pytest.mark.edgelab("one-edge.edge.yml", scope="session")

@pytest.mark.fault("silent", "one/primary")
@pytest.mark.budget("pc1", "vm1", outage="5s", during="2s")
@pytest.mark.budget("vm1", "pc1", loss="100%", round_trip="1s")
def test_bfd_moves_the_traffic(lab):
    assert [(one["kind"], one["target"]) for one in lab.faults()] == [("silent", "one/primary")]

def test_it_was_healed(lab):
    assert lab.faults() == []
    assert lab.check({"sessions": "all"}, {"frame": "one-primary", "tags": [100]}).ok

@pytest.mark.fault("silent", "one/primary")
@pytest.mark.fault("silent", "one/secondary")
@pytest.mark.budget("pc1", "vm1", outage="300ms", loss="1%")
def test_nothing_is_left_to_move_it_to(lab):
    pass

@pytest.mark.fault("delay", "one/primary", by="30ms", name="far")
@pytest.mark.fault("delay", "one/secondary", by="30ms")
@pytest.mark.budget("pc1", "vm1", round_trip="20ms")
def test_it_takes_too_long(lab):
    assert [one["name"] for one in lab.faults()] == ["far", "delay-one-secondary"]

@pytest.mark.fault("silent", "one/primary")
def test_is_over_before_the_test_ends(lab):
    assert lab.heal() == ["silent-one-primary"]

@pytest.mark.fault("silent", "one/primari")
def test_misspelt(lab):
    pass
"""


@pytest.mark.root
def test_faults_strike_are_measured_and_healed(project: Project) -> None:
    (project.folder / "test_breaking.py").write_text(BREAKING)
    code, text = project.run()
    assert code == 1, text
    cases = project.cases()
    assert {name for name, case in cases.items() if case.find("failure") is not None} == {
        "test_nothing_is_left_to_move_it_to",
        "test_it_takes_too_long",
        "test_misspelt",
    }, text
    assert {name for name, case in cases.items() if case.find("error") is not None} == set(), text
    assert re.search(r"pc1 -> vm1: no answer for \d\.\d+ s \(\d+ probes lost\); the budget is 0\.3 s", text)
    assert re.search(r"pc1 -> vm1: 95 % of the answers took up to \d+\.\d+ ms; the budget is 20 ms", text)
    assert "did you mean one/primary?" in text
    told = project.properties("test_bfd_moves_the_traffic")
    assert set(told) == {"edgelab pc1 -> vm1", "edgelab vm1 -> pc1"}
    assert all("probes lost" in words for words in told.values())
    evidence = project.properties("test_nothing_is_left_to_move_it_to")["edgelab evidence"]
    struck = json.loads((Path(evidence) / "faults.json").read_text())
    assert [one["target"] for one in struck] == ["one/primary", "one/secondary"]


BROKEN = """
import pytest

@pytest.mark.edgelab("broken.edge.yml")
def test_needs_it_whole(lab):
    pass

@pytest.mark.edgelab("broken.edge.yml")
def test_needs_it_too(lab):
    pass

@pytest.mark.edgelab("broken.edge.yml", settled=False)
def test_looks_at_what_is_broken(lab):
    assert not lab.check({"sessions": "one", "connection": "primary"}, deadline_s=3).ok
"""


@pytest.mark.root
def test_a_lab_that_does_not_come_up_fails_its_tests_with_the_reason(project: Project) -> None:
    whole = ONE_EDGE.read_text()
    wrong = "circuits: [one]\n    overrides: [{edge: ce1, circuit: one, peering: private, shared_key: wrong}]"
    (project.folder / "broken.edge.yml").write_text(whole.replace("circuits: [one]", wrong))
    (project.folder / "test_broken.py").write_text(BROKEN)
    (project.folder / "pytest.ini").write_text("[pytest]\nedgelab_wait = 4\nedgelab_evidence = proof\n")
    code, text = project.run()
    assert code == 1, text
    assert outcomes(text) == {"passed": 1, "errors": 2}, text
    words = "edgelab: lab one-edge is not whole 4 s after it was deployed:"
    assert text.splitlines().count(words) == 2, text
    assert "key" in text
    folder = project.folder / "proof" / "test_broken.py-test_needs_it_whole.deploy"
    for case in ("test_needs_it_whole", "test_needs_it_too"):
        found = Path(project.properties(case)["edgelab evidence"])
        assert found.parent == project.folder / "proof"
        assert (found / "inspect.json").exists(), (found, folder)


KILLED = """
import os, signal
import pytest

@pytest.mark.edgelab("one-edge.edge.yml")
def test_never_ends(lab):
    print(lab.name, flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.mark.root
def test_a_run_that_is_killed_takes_its_labs_along(project: Project) -> None:
    (project.folder / "test_killed.py").write_text(KILLED)
    with subprocess.Popen(
        project.command("-s", "-q"),
        stdout=subprocess.PIPE,
        **project.options(),  # type: ignore[call-overload]
    ) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert [lab.name for lab in state.running_labs()] == [name]
        process.send_signal(signal.SIGKILL)
    until(lambda: not state.running_labs(), "the lab ends", 90)
    for lab in state.discover():
        lab.clear()
