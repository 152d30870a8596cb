"""Labs from Python (lab.api): what a program sees and does is what the lab has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from labs import CONTOSO, contoso, until
from ordinary import become, ordinary_labs

from edge.errors import DeadlineError, EdgeError, InputError, UsageError
from lab import apart, api, state
from lab.refused import RefusedError

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[2]
ONE_EDGE = CONTOSO.with_name("one-edge.edge.yml")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the labs of this module are."""
    if os.geteuid() != 0:
        pytest.skip("needs root: makes network namespaces")
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("api") / "labs"
        patch.setenv("EDGELAB_DIR", str(path))
        yield path


@pytest.fixture(scope="module")
def lab(directory: Path) -> Iterator[api.Lab]:
    """One lab for all tests here that leave it as it was."""
    with api.deploy(ONE_EDGE, name="api", tied=True) as deployed:
        yield deployed
    assert not deployed.running
    assert not deployed.directory.path.exists()
    deployed.destroy()
    assert deployed not in api.began_here()
    with pytest.raises(UsageError, match="no lab api"):
        api.find("api")


def test_a_deployed_lab_holds_its_checks_and_says_which_do_not(lab: api.Lab) -> None:
    assert lab.pending == ()
    results = lab.check()
    assert results.ok, results
    assert len(results) == 10
    broken = lab.check({"ping": ["pc1", "vm1"]}, {"route": ["ce1", "10.99.0.0/16"]}, deadline_s=3)
    assert not broken.ok
    assert len(broken.failed) == 1
    assert "route ce1 10.99.0.0/16: ce1 has no route" in repr(broken)
    with pytest.raises(InputError, match=r"checks\.0"):
        lab.check({"pong": ["pc1", "vm1"]})


def test_sessions_routes_and_states_are_read_from_the_lab(lab: api.Lab) -> None:
    sessions = lab.sessions()
    assert sessions
    assert all(session.established for session in sessions)
    (route,) = lab.routes("ce1", "10.60.0.0/16")
    assert route.as_path == (12076,)
    assert route in lab.routes("ce1")
    assert len(lab.routes("ce1")) > 2
    assert lab.routes("ce1", "10.99.0.0/16") == ()
    assert lab.inspect()["version"] == 1
    assert {"ce1", "pc1"} <= {node["name"] for node in lab.inspect()["nodes"]}
    assert set(lab.status()["daemons"]) >= {"ce1"}
    assert any(event["kind"] == "session" for event in lab.events())
    for wrong in (lambda: lab.routes("pc1"), lambda: lab.routes("ce1", "10.60.0.0/99")):
        with pytest.raises(UsageError):
            wrong()


def test_a_program_runs_in_a_node_with_its_input_output_and_status(lab: api.Lab) -> None:
    assert "10.2.0.10/24" in lab.exec("pc1", ["ip", "address"]).stdout
    assert lab.exec("pc1", ["cat"], input="to pc1\n").stdout == "to pc1\n"
    done = lab.exec("pc1", ["sh", "-c", "echo wrong >&2; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "wrong\n")
    assert lab.exec("pc1", ["printenv", "MARK"], env={**os.environ, "MARK": "here"}).stdout == "here\n"
    assert lab.exec("pc1", ["no-such-program"]).returncode == 127
    with pytest.raises(EdgeError, match="pc1: false: exit status 1"):
        lab.exec("pc1", ["false"], check=True)
    with pytest.raises(UsageError, match="no node pc9"):
        lab.exec("pc9", ["true"])
    with pytest.raises(UsageError, match="list of words"):
        lab.exec("pc1", "ip route")


def test_a_program_that_takes_too_long_ends_in_the_lab_too(lab: api.Lab) -> None:
    with pytest.raises(DeadlineError, match="sleep 7331 has not ended"):
        lab.exec("pc1", ["sleep", "7331"], timeout_s=1)
    until(lambda: "sleep 7331" not in lab.exec("pc1", ["ps", "ax"]).stdout, "the program is gone")
    with lab.popen("pc1", ["sleep", "7332"]) as started:
        until(lambda: "sleep 7332" in lab.exec("pc1", ["ps", "ax"]).stdout, "the program runs")
        started.terminate()
    until(lambda: "sleep 7332" not in lab.exec("pc1", ["ps", "ax"]).stdout, "the program is gone")


def test_what_was_recorded_is_what_was_on_the_wire(lab: api.Lab, tmp_path: Path) -> None:
    file = tmp_path / "trunk.pcapng"
    with lab.capture("one", file) as recording:
        with pytest.raises(EdgeError, match="still runs"):
            _ = recording.frames
        assert lab.exec("pc1", ["ping", "-c", "3", "-i", "0.2", "10.60.1.4"]).returncode == 0
    icmp = [frame for frame in recording.frames if frame.protocol == "icmp"]
    assert len(icmp) == 6
    assert {frame.vids for frame in icmp} == {(100,)}
    assert {frame.place.label for frame in icmp} <= {"one-primary", "one-secondary"}
    assert recording.summary.frames == len(recording.frames)
    assert file.stat().st_size > sum(len(frame.data) for frame in recording.frames)
    with pytest.raises(UsageError, match="no link, node or device"), lab.capture("two"):
        pass


def test_many_threads_use_one_lab(lab: api.Lab) -> None:
    seen: list[object] = []

    def use(number: int) -> None:
        with lab.capture("one-primary") as recording:
            seen.append(lab.exec("ce1", ["echo", str(number)]).stdout)
            seen.append(len(lab.sessions()))
        seen.append(recording.summary.dropped)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    sessions = len(lab.sessions())
    assert sorted(map(str, seen)) == sorted([*(f"{n}\n" for n in range(4)), *4 * [str(sessions)], *4 * ["0"]])


def test_the_service_takes_orders_and_refuses_in_azures_words(lab: api.Lab) -> None:
    plan = lab.service("circuit", "bandwidth", "one", "200M", "--dry-run")
    assert plan["changes"][0]["after"] == 200
    assert not any(circuit.bandwidth_bps == 200_000_000 for circuit in lab.model.circuits)
    with pytest.raises(RefusedError) as refusal:
        lab.service("circuit", "bandwidth", "one", "50M")
    assert refusal.value.code == "BandwidthLowered"


def test_sessions_that_are_down_are_waited_for_and_named(lab: api.Lab) -> None:
    lab.exec("ce1", ["ip", "link", "set", "one1", "down"], check=True)
    try:
        until(lambda: not all(one.established for one in lab.sessions()), "a session goes down")
        with pytest.raises(DeadlineError, match="is not up"):
            lab.wait(0.2)
    finally:
        lab.exec("ce1", ["ip", "link", "set", "one1", "up"], check=True)
    lab.wait(60)
    assert all(one.established for one in lab.sessions())


def test_an_order_changes_the_lab_and_another_deploy_finds_it(lab: api.Lab) -> None:
    assert lab in api.began_here()
    assert lab.service("peering", "disable", "one", "private")["changes"]
    assert not [one for one in lab.sessions() if one.peering == "private" and one.established]
    lab.service("peering", "enable", "one", "private", wait_s=60)
    assert all(one.established for one in lab.sessions())
    again = api.deploy(ONE_EDGE, name="api")
    assert again.directory == lab.directory == api.find("api").directory


def test_a_topology_is_a_file_a_text_or_data(tmp_path: Path) -> None:
    text = ONE_EDGE.read_text()
    assert api.read(ONE_EDGE).document == api.read(text).document
    assert api.read(ONE_EDGE.name, ONE_EDGE.parent).name == "one-edge"
    document = contoso()
    kept = repr(document)
    assert api.read(document).name == "contoso"
    assert repr(document) == kept
    with pytest.raises(InputError, match=r"topology:3:1: .*sitez"):
        api.read("name: x\n\nsitez: {}\n")
    with pytest.raises(InputError, match="sitez"):
        api.read({"name": "x", "sitez": {}})


def test_a_lab_that_cannot_start_says_why_and_leaves_nothing(directory: Path) -> None:
    with pytest.raises(UsageError, match="cannot name a lab"):
        api.deploy(ONE_EDGE, name="a b")
    with open(os.devnull) as lock, pytest.raises(EdgeError, match="cannot furnish the sandbox"):
        apart.spawn(state.RunDirectory(directory / "not-there"), lock.fileno())
    assert not [path for path in directory.iterdir() if path.name not in ("api",)]


TIED = """
import sys
from lab.api import deploy
lab = deploy(sys.argv[1], name=sys.argv[2], tied=True, wait_s=None)
print("up", flush=True)
sys.stdin.read()
"""


def test_a_tied_lab_ends_with_the_process_that_has_it(directory: Path) -> None:
    words = [sys.executable, "-W", "error", "-c", TIED, str(ONE_EDGE), "tied"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        lab = api.find("tied")
        assert lab.running
        process.send_signal(signal.SIGKILL)
    until(lambda: not lab.running, "the lab ends", 90)
    lab.destroy()


ORDINARY = """
import sys
from lab.api import deploy
with deploy(sys.argv[1], links="ring", wait_s=60) as lab, lab.capture("one") as recording:
    assert lab.check(deadline_s=30).ok
    print(lab.exec("ce1", ["hostname"]).stdout, end="")
print(sorted({frame.vids for frame in recording.frames if frame.protocol == "icmp"}))
"""


def test_an_ordinary_user_has_labs_from_python_too() -> None:
    with ordinary_labs() as user:
        done = subprocess.run(
            [sys.executable, "-c", ORDINARY, str(ONE_EDGE)],
            env=user.environment,
            cwd=ROOT,
            preexec_fn=lambda: become(user.user),
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == "one-edge\n[(100,)]\n"
        until(lambda: not user.processes(), "no process of the user is left")
        assert not list(user.scratch.iterdir())
