"""The pytest plugin `edgelab`: fixture `lab`, markers edgelab, fault and budget. See docs/pytest.md.

pytest loads it in every project of an environment in which edgelab is installed. So it has a name that no
project uses, imports nothing but pytest (neither `lab` nor `edge`, which a project may have of its own) until
a test takes the fixture, and does nothing to tests that do not. A project's own fixture `lab`, own markers of
these names and own packages `lab` and `edge` stay that project's; where such a package is in the way, the
tests that take our fixture fail and say so (`standing`).

It lies in a folder by itself, so that in a clone this folder can be on Python's path, which makes it
`edgelab_pytest` there, too, and brings nothing else:

    PYTHONPATH=CLONE:CLONE/lab/plugins python -m pytest -p edgelab_pytest
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lab.api import Lab
    from lab.testing.course import Course
    from lab.testing.house import House, Shelf
    from lab.testing.wishes import Wish

_MARKERS = (
    "edgelab(topology, *, scope='module', links='auto', settled=True): which lab the fixture `lab` is: a "
    "topology file, its text, or a dict",
    "fault(kind, target, **options): goes wrong in the lab while the test runs, and is healed afterwards",
    "budget(source, target, *, outage, loss, round_trip, during, pace, family): what probes from source to "
    "target may suffer while the test runs",
)

_house_key: pytest.StashKey[House] = pytest.StashKey()
_course_key: pytest.StashKey[Course] = pytest.StashKey()
_labs_key: pytest.StashKey[set[Path]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, on the command line and in the ini file."""
    group = parser.getgroup("edgelab", "labs of edgelab")
    group.addoption("--edgelab-topology", metavar="FILE", help="topology of tests whose marker names none")
    group.addoption(
        "--edgelab-links",
        choices=("auto", "kernel", "bpf", "ring"),
        default="auto",
        help="how VLAN tags are made (default: what the machine can do)",
    )
    group.addoption("--edgelab-evidence", metavar="DIR", help="where evidence of failures goes")
    group.addoption(
        "--edgelab-capture",
        metavar="WHERE",
        help="record the frames of each test there (a link, a circuit, a node) and keep those of failures",
    )
    parser.addini("edgelab_topology", "topology of tests whose marker names none", default="")
    parser.addini("edgelab_evidence", "where evidence of failures goes", default="edgelab-evidence")
    parser.addini("edgelab_capture", "what to record during each test: a link, a circuit, a node", default="")
    parser.addini("edgelab_wait", "seconds that a lab may take until all its sessions are up", default="30")


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known, for --strict-markers."""
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    config.pluginmanager.register(_Judge(), "edgelab-judge")


def _topology(config: pytest.Config) -> Path | None:
    """The topology of tests whose marker names none."""
    given, named = config.getoption("edgelab_topology"), config.getini("edgelab_topology")
    if given:
        return Path(config.invocation_params.dir, given)
    return Path(config.rootpath, named) if named else None


def _house(config: pytest.Config) -> House:
    """The labs of this process; made when a test first wants one."""
    if _house_key not in config.stash:
        from lab.testing.house import Habits, House

        evidence = config.getoption("edgelab_evidence")
        worker = getattr(config, "workerinput", {}).get("workerid", "main")
        config.stash[_house_key] = House(
            Habits(
                worker=worker,
                topology=_topology(config),
                links=config.getoption("edgelab_links"),
                wait_s=_seconds(config.getini("edgelab_wait")),
                evidence=(
                    config.invocation_params.dir / evidence
                    if evidence
                    else config.rootpath / config.getini("edgelab_evidence")
                ),
                capture=config.getoption("edgelab_capture") or config.getini("edgelab_capture"),
            )
        )
    return config.stash[_house_key]


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise pytest.UsageError(f"edgelab_wait = {text}: write a number of seconds, such as 30") from None


def _shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    from lab.testing.house import Shelf

    shelf = Shelf(_house(request.config))
    yield shelf
    shelf.close()


@pytest.fixture(name="_edgelab_function")
def _function_shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    yield from _shelf(request)


@pytest.fixture(scope="class", name="_edgelab_class")
def _class_shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    yield from _shelf(request)


@pytest.fixture(scope="module", name="_edgelab_module")
def _module_shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    yield from _shelf(request)


@pytest.fixture(scope="session", name="_edgelab_session")
def _session_shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    yield from _shelf(request)


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A running lab (lab.api.Lab) of the topology that the test's marker `edgelab`, or the options, name.

    Tests that want the same share it within its scope. A test that leaves it different fails, and the next
    one gets a new lab.
    """
    # A test that bears our marker means ours, whoever else has a fixture of this name.
    if request.node.get_closest_marker("edgelab") is None and (theirs := _hidden(request)):
        yield theirs[0]
        return
    from .standing import in_the_way

    if obstacle := in_the_way():
        pytest.fail(obstacle, pytrace=False)
    from lab.testing.course import Course

    item: pytest.Item = request.node
    house = _house(request.config)
    with _failing():
        wish, faults, budgets = _asked(item)
        shelf: Shelf = request.getfixturevalue(f"_edgelab_{wish.scope}")
        held = shelf.take(wish, item.path.parent, item.nodeid)
        if held.evidence is not None:
            _tell_evidence(item, "setup", held.evidence)
        held.raise_problem()
        course = Course(item.nodeid, held, shelf, house.habits, faults, budgets)
        course.prepare()
    item.stash[_course_key] = course
    yield course.lab
    del item.stash[_course_key]
    with _failing():
        left = course.end(shared=wish.scope != "function")
    if left and not course.failed:
        if course.folder is not None:
            _tell_evidence(item, "teardown", course.folder)
        pytest.fail(f"edgelab: {left}", pytrace=False)


def _hidden(request: pytest.FixtureRequest) -> tuple[Any, ...]:
    """The value of a fixture `lab` that ours hides; empty when it hides none.

    Of plugins, the one that pytest loads last counts, and those of `-p` come before all that are installed.
    """
    try:
        return (request.getfixturevalue("lab"),)
    except pytest.FixtureLookupError as error:
        if error.argname != "lab":
            # Theirs is there, and lacks something.
            raise
    return ()


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    """Errors whose words are for people fail a test with these words alone."""
    from edge.errors import EdgeError

    try:
        yield
    except EdgeError as error:
        raise pytest.fail.Exception(f"edgelab: {error}", pytrace=False) from None


def _asked(item: pytest.Item) -> tuple[Wish, list[Any], list[Any]]:
    from lab.testing import wishes

    marker = item.get_closest_marker("edgelab")
    wish = wishes.wish(marker.args, marker.kwargs) if marker is not None else wishes.Wish()
    # The nearest marker comes first, and what is written first shall happen first.
    faults = [wishes.fault(mark.args, mark.kwargs) for mark in reversed(list(item.iter_markers("fault")))]
    budgets = [wishes.budget(mark.args, mark.kwargs) for mark in reversed(list(item.iter_markers("budget")))]
    return wish, faults, budgets


def _began_here() -> set[Path]:
    """The labs that this process deployed and that still run; it has none when it never read our code."""
    return {lab.directory.path for lab in _deployed()}


def _deployed() -> tuple[Lab, ...]:
    api = sys.modules.get("lab.api")
    if api is None:
        return ()
    from .standing import ours

    # A project may have a module of that name.
    return tuple(api.began_here()) if ours(api) else ()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse markers that would do nothing, where a test is ours."""
    ours = item.get_closest_marker("edgelab") is not None or _topology(item.config)
    if not ours or "lab" in getattr(item, "fixturenames", ()):
        return
    for name in ("fault", "budget"):
        if item.get_closest_marker(name) is not None:
            pytest.fail(f"edgelab: the marker {name} does nothing without the fixture lab", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """All fixtures are there: measure, and let things go wrong."""
    item.stash[_labs_key] = _began_here()
    course = item.stash.get(_course_key, None)
    if course is not None:
        with _failing():
            course.begin()


class _Judge:
    """The hooks that have to come after pytest's own of the same name."""

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """The test has passed; so must its budgets."""
        course = item.stash.get(_course_key, None)
        if course is None:
            return
        told, wrong = course.judge()
        item.user_properties.extend((f"edgelab {budget}", words) for budget, words in told.items())
        if wrong:
            pytest.fail("\n".join(("edgelab: a budget was not kept", *wrong)), pytrace=False)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """What the test deployed by itself must be gone with it."""
        before = item.stash.get(_labs_key, None)
        if before is None:
            return
        left = _began_here() - before
        if left:
            _destroy(left)
            names = ", ".join(sorted(path.name for path in left))
            pytest.fail(f"edgelab: {item.nodeid} left labs running: {names}", pytrace=False)


def _destroy(paths: set[Path]) -> None:
    for lab in _deployed():
        if lab.directory.path in paths:
            lab.destroy()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """A test has failed: keep what tells why, before anything is mended."""
    course = item.stash.get(_course_key, None)
    if course is None or call.when != "call" or call.excinfo is None:
        return
    if call.excinfo.errisinstance((pytest.skip.Exception, pytest.xfail.Exception)):
        return
    course.failed = True
    try:
        _tell_evidence(item, "call", course.keep_evidence())
    except OSError as error:
        item.add_report_section("call", "edgelab evidence", f"could not be written: {error}")


def _tell_evidence(item: pytest.Item, when: str, folder: Path) -> None:
    """Say where it is: in the report, and in JUnit as a property."""
    item.add_report_section(when, "edgelab evidence", f"{folder}\n")
    item.user_properties.append(("edgelab evidence", str(folder)))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nothing of ours outlives the run, whatever kept a fixture from its end."""
    left = _began_here()
    if left:
        _destroy(left)
        names = ", ".join(sorted(path.name for path in left))
        print(f"\nedgelab: destroyed labs that were left running: {names}", file=sys.stderr)
