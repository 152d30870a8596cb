"""A project with packages `lab` and `edge` of its own is tested as if edgelab were not installed.

Installed is simulated as pip leaves it: a folder on Python's path with the packages and a `.dist-info` that
names the entry point as pyproject.toml does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = "edgelab_pytest"

WAYS = {
    "python -m pytest": ["-m", "pytest"],
    # As the program does it: the working directory is not on the path, the folder of a conftest.py is.
    "pytest": ["-c", "import sys; sys.path.remove(''); import pytest; sys.exit(pytest.console_main())"],
}

OF_THEIRS = """
import sys
import lab, edge
from lab.api import began_here
from lab.model import answer

def test_their_own_packages_are_found():
    assert lab.__file__.startswith({folder!r})
    assert edge.__file__.startswith({folder!r})
    assert answer == 42

def test_nothing_of_edgelab_was_read():
    assert "edgelab_pytest" in sys.modules
    assert not any(name.startswith(("lab.testing", "edge.", "pydantic", "pyroute2")) for name in sys.modules)
"""

THAT_TAKES_OURS = """
import pytest

@pytest.mark.edgelab("any.edge.yml")
def test_takes_a_lab(lab):
    raise AssertionError("it got one")
"""

PLUGIN_WITH_A_FIXTURE = """
import pytest

@pytest.fixture(scope="session")
def bench():
    yield "bench"
    print("the bench is cleared")

@pytest.fixture(name="lab", scope="session")
def somebodys_lab(bench, pytestconfig):
    yield [bench]
    print("the lab is cleared")
"""

THAT_TAKES_THEIRS = """
import pytest

def test_takes_theirs(lab):
    assert lab == ["bench"]
    lab.append("of the session")

@pytest.fixture
def tidy(lab):
    return lab[:1]

def test_takes_what_takes_theirs(tidy, lab):
    assert (tidy, lab) == (["bench"], ["bench", "of the session"])

class TestOverrides:
    @pytest.fixture
    def lab(self, lab):
        return [*lab, "of the class"]

    def test_takes_its_own(self, lab):
        assert lab == ["bench", "of the session", "of the class"]
"""

WITHOUT_EDITABLE = """
import sys

def editable(finder):
    return getattr(finder, "__module__", "").startswith("__editable__")

sys.meta_path[:] = [one for one in sys.meta_path if not editable(one)]
"""


def entry_point() -> str:
    found = re.search(
        r'^\[project\.entry-points\.pytest11\]\nedgelab = "(.+)"$',
        (ROOT / "pyproject.toml").read_text(),
        re.M,
    )
    assert found is not None
    return found[1]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Where pip has put edgelab."""
    made = tmp_path / "site"
    metadata = made / "edgelab-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: edgelab\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[pytest11]\nedgelab = {entry_point()}\n")
    for name, source in (("lab", "lab"), ("edge", "edge"), (PLUGIN, f"lab/plugins/{PLUGIN}")):
        (made / name).symlink_to(ROOT / source)
    return made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Somebody's project: `lab` is a package, whose modules are called as some of ours, `edge` a module."""
    folder = tmp_path / "project"
    (folder / "lab").mkdir(parents=True)
    (folder / "lab" / "__init__.py").write_text("")
    (folder / "lab" / "api.py").write_text("def began_here():\n    raise RuntimeError('asked')\n")
    (folder / "lab" / "model.py").write_text("answer = 42\n")
    (folder / "edge.py").write_text("")
    (folder / "conftest.py").write_text("")
    (folder / "test_theirs.py").write_text(OF_THEIRS.format(folder=str(folder)))
    return folder


def run(project: Path, site: Path, way: str, *words: str) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *WAYS[way], "-W", "error", "--strict-markers", "-p", "no:cacheprovider", *words],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_a_project_with_own_packages_of_our_names_passes_untouched(
    project: Path, site: Path, way: str
) -> None:
    code, text = run(project, site, way)
    assert code == 0, text
    assert "2 passed" in text


@pytest.mark.parametrize("way", WAYS)
def test_only_a_test_that_takes_our_fixture_fails_and_says_what_is_in_the_way(
    project: Path, site: Path, way: str
) -> None:
    (project / "test_with_lab.py").write_text(THAT_TAKES_OURS)
    code, text = run(project, site, way)
    assert code == 1, text
    assert "2 passed, 1 error" in text
    assert f"edgelab: `import lab` finds {project}/lab/__init__.py here, not edgelab's package lab;" in text
    assert f"edgelab: `import edge` finds {project}/edge.py here, not edgelab's package edge;" in text
    assert "way out: rename that package" in text
    assert "Traceback" not in text


def test_the_way_out_that_the_message_names_is_one(project: Path, site: Path) -> None:
    apart = project / "network"
    apart.mkdir()
    (apart / "pytest.ini").write_text("[pytest]\n")
    (apart / "test_with_lab.py").write_text(THAT_TAKES_OURS)
    code, text = run(apart, site, "pytest")
    assert code == 1, text
    # It is our code that looks for the topology now.
    assert "any.edge.yml" in text
    assert "finds" not in text


def test_our_packages_are_known_as_ours_and_a_plugin_alone_says_so(project: Path, site: Path) -> None:
    (project / "test_with_lab.py").write_text(THAT_TAKES_OURS)
    for name in ("lab", "edge"):
        (site / name).unlink()
    (project / "edge.py").unlink()
    (project / "test_theirs.py").unlink()
    # An editable installation of the Python that runs us would still give its own.
    (project / "conftest.py").write_text(WITHOUT_EDITABLE)
    code, text = run(project, site, "python -m pytest")
    assert code == 1, text
    assert "edgelab: Python finds no package edge: edgelab is installed by half" in text


def test_a_fixture_of_a_projects_own_plugin_stays_that_projects(project: Path, site: Path) -> None:
    (project / "own_plugin.py").write_text(PLUGIN_WITH_A_FIXTURE)
    (project / "test_with_lab.py").write_text(THAT_TAKES_THEIRS)
    code, text = run(project, site, "python -m pytest", "-s", "-p", "own_plugin")
    assert code == 0, text
    assert "5 passed" in text
    assert text.index("the lab is cleared") < text.index("the bench is cleared")


def test_a_test_that_bears_our_marker_means_ours(project: Path, site: Path) -> None:
    (project / "own_plugin.py").write_text(PLUGIN_WITH_A_FIXTURE)
    (project / "test_with_lab.py").write_text(THAT_TAKES_OURS)
    code, text = run(project, site, "python -m pytest", "-p", "own_plugin")
    assert code == 1, text
    assert "edgelab: `import lab` finds" in text


def test_what_a_projects_own_fixture_lacks_is_told_of_that_fixture(project: Path, site: Path) -> None:
    (project / "own_plugin.py").write_text(PLUGIN_WITH_A_FIXTURE.replace("def bench", "def workbench"))
    (project / "test_with_lab.py").write_text(THAT_TAKES_THEIRS)
    code, text = run(project, site, "python -m pytest", "-p", "own_plugin", "-k", "takes_theirs")
    assert code == 1, text
    assert "fixture 'bench' not found" in text
    assert "edgelab: " not in text


def test_a_plugin_can_be_left_out_where_its_fixture_is_in_the_way(project: Path, site: Path) -> None:
    wider = PLUGIN_WITH_A_FIXTURE + '\n@pytest.fixture(scope="session")\ndef shelf(lab):\n    return lab\n'
    (project / "own_plugin.py").write_text(wider)
    (project / "test_with_lab.py").write_text(
        "def test_takes_a_wider_one(shelf):\n    assert shelf == ['bench']\n"
    )
    (project / "test_theirs.py").unlink()
    assert run(project, site, "python -m pytest", "-p", "own_plugin")[0] == 1
    code, text = run(project, site, "python -m pytest", "-p", "own_plugin", "-p", "no:edgelab")
    assert code == 0, text
