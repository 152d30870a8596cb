"""The `edgelab` command around a running lab: terminals, pipes, interrupts, races, full disks, leaks."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from labs import Labs, contoso, own_labs, until

from edge.bgp.daemon import find_bird
from edge.net.capabilities import found_program
from lab.client import Client
from lab.state import RunDirectory

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[2]
INTERRUPT = b"\x03"


@pytest.fixture
def labs(tmp_path: Path) -> Iterator[Labs]:
    """Labs by the program itself, started as a user starts it."""
    with own_labs(tmp_path) as made:
        yield made


def small(**changes: Any) -> dict[str, Any]:
    """One CE with one circuit, private peering only."""
    document = contoso(name="small", **changes)
    document["sites"]["hq"]["edges"] = ["ce1"]
    document["circuits"]["ams"]["peerings"].pop("microsoft")
    return document


def larger() -> dict[str, Any]:
    """The same with a second CE."""
    document = small()
    document["sites"]["hq"]["edges"] = ["ce1", "ce2"]
    return document


def on_terminal(labs: Labs, *words: str, answers: Mapping[str, bytes] | None = None) -> tuple[int, str]:
    """Run on a terminal of its own; when a text of `answers` first shows, type what belongs to it."""
    waiting = {text.encode(): typed for text, typed in (answers or {}).items()}
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.execve(sys.executable, [sys.executable, "-m", "lab.cli", *words], labs.environment)
    seen = b""
    deadline = time.monotonic() + 60
    while select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        seen += data
        for text in [text for text in waiting if text in seen]:
            os.write(terminal, waiting.pop(text))
    else:
        os.kill(child, signal.SIGKILL)
    _, raw = os.waitpid(child, 0)
    os.close(terminal)
    assert not waiting, f"{list(waiting)} never showed: {seen!r}"
    return os.waitstatus_to_exitcode(raw), seen.decode(errors="replace")


def supervisor(labs: Labs, lab: str = "small") -> int:
    """Process id of a lab's process 1."""
    with Client(RunDirectory(labs.directory / lab)) as client:
        return client.supervisor_pid


def processes(labs: Labs) -> list[str]:
    """Command lines of processes that name the run directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(labs.directory) in words:
                found.append(words.decode(errors="replace"))
    return found


def assert_nothing_left(labs: Labs) -> None:
    assert not labs.directory.exists(), sorted(labs.directory.rglob("*"))
    until(lambda: not processes(labs), "all processes of the lab are gone")


@pytest.mark.parametrize("moment", ["namespaces", "waiting for BGP"])
def test_ctrl_c_during_a_deploy_is_130_and_leaves_nothing(labs: Labs, moment: str) -> None:
    topology = str(labs.file(small()))
    status, text = on_terminal(labs, "deploy", "-t", topology, answers={moment: INTERRUPT})
    assert status == 130
    assert text.endswith("edgelab: interrupted\r\n")
    assert_nothing_left(labs)
    labs.ok("deploy", "-t", topology, "--no-wait")


def test_ctrl_c_during_a_change_takes_the_change_back(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(labs.file(small())), "--no-wait")
    topology = str(labs.file(larger(), "larger.edge.yml"))
    answers = {"   1 ": b"\n", "   2 ": b"\n", "   3 ": INTERRUPT}
    status, _ = on_terminal(labs, "deploy", "-t", topology, "--step", answers=answers)
    assert status == 130
    topology = str(labs.file(small()))
    assert labs.json("deploy", "-t", topology, "--no-wait")["changed"] is False


def test_progress_is_for_terminals_and_pipes_get_results_only(labs: Labs) -> None:
    topology = str(labs.file(small()))
    done = labs.run("deploy", "-t", topology)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert done.stdout.startswith("lab small is up: ")
    labs.ok("destroy")
    status, text = on_terminal(labs, "deploy", "-t", topology)
    assert status == 0
    assert re.search(r"\r\x1b\[K\[\d+/\d+\] namespaces", text)
    assert "all BGP sessions are Established" in text.rpartition("\x1b[K")[2]


def test_tables_fit_a_narrow_terminal_and_no_color_means_no_escapes(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(labs.file(small())))
    labs.environment["COLUMNS"] = "40"
    labs.environment.pop("NO_COLOR", None)
    labs.environment["TERM"] = "xterm"
    _, coloured = on_terminal(labs, "inspect", "small")
    assert "\x1b[" in coloured
    labs.environment["NO_COLOR"] = "1"
    for verb in ("inspect", "list"):
        status, text = on_terminal(labs, verb)
        assert status == 0
        assert "\x1b" not in text
        assert max(len(line) for line in text.splitlines()) <= 40
        assert "ams" in text


def test_a_reader_that_goes_early_ends_every_command_quietly(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(labs.file(small())))
    for words in (["inspect"], ["check"], ["events"], ["list"], ["inspect", "--format", "json"]):
        read, write = os.pipe()
        os.close(read)
        running = labs.popen(*words, stdout=write, stderr=subprocess.PIPE)
        os.close(write)
        _, err = running.communicate(timeout=60)
        assert (words, running.returncode, "Traceback" in err, "Broken" in err) == (words, 0, False, False)
    command = f"{shlex.quote(sys.executable)} -m lab.cli exec pc1 -- yes | head -1"
    done = subprocess.run(
        ["sh", "-c", command], env=labs.environment, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("y\n", "")


def test_every_listing_is_json_of_version_1(labs: Labs) -> None:
    topology = str(labs.file(small()))
    assert labs.json("validate", "-t", topology)["version"] == 1
    assert labs.json("deploy", "-t", topology, "--dry-run")["version"] == 1
    assert labs.json("deploy", "-t", topology)["version"] == 1
    for verb in ("list", "inspect", "check"):
        assert labs.json(verb)["version"] == 1
    events = [json.loads(line) for line in labs.ok("events", "--no-follow", "--format", "json").splitlines()]
    assert {"step", "session", "lab"} <= {event["kind"] for event in events}
    assert all(event["time"] > 0 for event in events)


def test_events_come_live_and_end_with_the_lab(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(labs.file(small())))
    live = labs.popen("events", "--no-history", "--format", "json", stdout=subprocess.PIPE)
    every = labs.popen("events", "--format", "json", stdout=subprocess.PIPE)
    try:
        assert every.stdout is not None
        assert json.loads(every.stdout.readline())["kind"] == "step"
        # What happens while a program starts may come before its request: make it happen until it is told.
        assert live.stdout is not None
        state = iter(["down", "up"] * 50)

        def told() -> bool:
            labs.inside("small", "ce1", "ip", "link", "set", "ams1", next(state))
            return bool(select.select([live.stdout], [], [], 0.2)[0])

        until(told, "an event of the link")
        event = json.loads(live.stdout.readline())
        assert event["kind"] in ("link", "session")
        labs.ok("destroy")
        for running in (live, every):
            rest = running.communicate(timeout=20)[0].splitlines()
            assert running.returncode == 0
            assert json.loads(rest[-1])["state"] == "stopping"
    finally:
        for running in (live, every):
            running.kill()
            running.wait()
            if running.stdout is not None:
                running.stdout.close()


def test_options_from_the_environment_count_and_what_the_machine_lacks_is_exit_3(labs: Labs) -> None:
    from edge.errors import CapabilityError
    from edge.net.capabilities import choose_realisation, probe

    topology = str(labs.file(small()))
    labs.environment["EDGELAB_DEPLOY_LINKS"] = "kernel"
    done = labs.run("deploy", "-t", topology, "--no-wait", "--format", "json")
    try:
        choose_realisation(probe(), "kernel")
    except CapabilityError:
        assert (done.returncode, done.stdout) == (3, "")
        assert "way out: kernel: sudo modprobe 8021q" in done.stderr
        assert_nothing_left(labs)
    else:
        assert (done.returncode, json.loads(done.stdout)["realisation"]["name"]) == (0, "kernel")


@pytest.mark.parametrize(("program", "package"), [("bird", "bird2"), ("nft", "nftables")])
def test_a_machine_without_a_program_is_told_its_package(labs: Labs, program: str, package: str) -> None:
    place = find_bird() if program == "bird" else found_program(program)
    assert place is not None
    # A file that cannot be executed is no program.
    script = 'mount --make-rprivate / && mount --bind /dev/null "$0" && exec "$@"'
    command = [sys.executable, "-m", "lab.cli", "deploy", "-t", str(labs.file(small()))]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, os.path.realpath(place), *command],
        env=labs.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert re.search(rf"way out: .*apt(-get)? install {package}\b", done.stderr)
    assert_nothing_left(labs)


def test_programs_are_found_where_administrators_have_them(labs: Labs) -> None:
    labs.environment["PATH"] = "/nonexistent"
    labs.ok("deploy", "-t", str(labs.file(small())))
    assert labs.json("check")["failed"] == 0


def in_tiny_filesystem(labs: Labs, size: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script where EDGELAB_DIR lies on a file system of this size; `edgelab` is the command."""
    tiny = labs.scratch / "tiny"
    tiny.mkdir()
    head = (
        f"mount --make-rprivate / && mount -t tmpfs -o size={size} none '{tiny}' || exit 99\n"
        f'edgelab() {{ "{sys.executable}" -m lab.cli "$@"; }}\nEDGELAB_DIR="{tiny}/labs"\n'
        f'export EDGELAB_DIR\nTINY="{tiny}"\nTOPOLOGY="{labs.file(small())}"\n'
    )
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", head + script],
        env=labs.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
    )


def test_a_full_disk_is_exit_4_in_words_and_leaves_nothing(labs: Labs) -> None:
    done = in_tiny_filesystem(
        labs, "16k", 'edgelab deploy -t "$TOPOLOGY"; echo "exit $?"; ls -A "$TINY"; edgelab list'
    )
    assert done.stdout.splitlines()[0] == "exit 4"
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "small" not in done.stdout
    assert "labs" not in done.stdout


def test_a_disk_that_fills_up_later_costs_lines_of_the_log_and_not_the_lab(labs: Labs) -> None:
    done = in_tiny_filesystem(
        labs,
        "1m",
        'edgelab deploy -t "$TOPOLOGY" || exit 1\n'
        'head -c 2m /dev/zero > "$TINY/filler" 2>/dev/null\n'
        "edgelab exec ce1 -- ip link set ams1 down && edgelab exec ce1 -- ip link set ams1 up\n"
        'edgelab check --deadline 20; echo "check $?"\n'
        'edgelab destroy; ls -A "$TINY"',
    )
    assert "check 0" in done.stdout, done.stdout + done.stderr
    assert done.stdout.splitlines()[-2:] == ["lab small is gone", "filler"]


def test_of_deploys_of_one_name_at_the_same_time_one_makes_the_lab(labs: Labs) -> None:
    topology = str(labs.file(small()))
    started = [
        labs.popen("deploy", "-t", topology, "--no-wait", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    said = Counter()
    for running in started:
        out, err = running.communicate(timeout=60)
        assert running.returncode in (0, 2), err
        said["made" if "is up" in out else "found" if "nothing changed" in out else "refused"] += 1
        assert running.returncode == 0 or re.search("another (command|deploy)", err), err
    assert said["made"] == 1, said
    assert [lab["name"] for lab in labs.json("list")["labs"]] == ["small"]
    labs.ok("destroy")
    assert_nothing_left(labs)


def test_destroy_breaks_off_a_deploy_that_waits_for_its_operator(labs: Labs) -> None:
    topology = str(labs.file(small()))
    stepping = labs.popen(
        "deploy",
        "-t",
        topology,
        "--step",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    until((labs.directory / "small" / "socket").exists, "the lab begins")
    began = time.monotonic()
    assert "small is gone" in labs.ok("destroy", "small")
    assert time.monotonic() - began < 5, "it had to be killed"
    _, err = stepping.communicate(timeout=20)
    assert stepping.returncode == 4
    assert "destroyed" in err
    assert_nothing_left(labs)


def test_a_command_that_stopped_reading_hides_the_lab_from_nobody(labs: Labs) -> None:
    small_file, larger_file = str(labs.file(small())), str(labs.file(larger(), "larger.edge.yml"))
    labs.ok("deploy", "-t", small_file, "--no-wait")
    stopped = labs.popen("events", stdout=subprocess.DEVNULL)
    until(lambda: b"lab.cli\0events" in Path(f"/proc/{stopped.pid}/cmdline").read_bytes(), "it started")
    try:
        os.kill(stopped.pid, signal.SIGSTOP)
        for topology in (larger_file, small_file):
            labs.ok("deploy", "-t", topology, "--no-wait")
        assert labs.json("inspect")["version"] == 1
        began = time.monotonic()
        labs.ok("destroy")
        assert time.monotonic() - began < 5, "it had to be killed"
    finally:
        os.kill(stopped.pid, signal.SIGKILL)
        stopped.wait()


def test_sigterm_ends_a_lab_in_order(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(labs.file(small())), "--no-wait")
    os.kill(supervisor(labs), signal.SIGTERM)
    until(lambda: not processes(labs), "all processes of the lab are gone")
    assert labs.json("list")["labs"] == []
    assert "no lab is running" in labs.ok("destroy")
    assert_nothing_left(labs)


def test_what_exec_started_ends_with_it(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(labs.file(small())), "--no-wait")
    running = labs.popen("exec", "pc1", "--", "sh", "-c", "echo $$; exec sleep 300", stdout=subprocess.PIPE)
    assert running.stdout is not None
    inner = running.stdout.readline().strip()
    running.terminate()
    assert running.wait(timeout=20) == -signal.SIGTERM
    # The pipe ends when its last writer does, that is the program in the lab.
    assert running.stdout.read() == ""
    running.stdout.close()
    until(
        lambda: labs.run("exec", "pc1", "--", "test", "-d", f"/proc/{inner}").returncode == 1,
        "the lab's process 1 has collected it",
    )


def test_exec_works_from_a_directory_that_was_removed(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(labs.file(small())), "--no-wait")
    command = [sys.executable, "-m", "lab.cli", "exec", "pc1", "--", "echo", "here"]
    done = subprocess.run(
        ["sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh", *command],
        env={**labs.environment, "PYTHONPATH": str(ROOT)},
        cwd=labs.scratch,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "here\n")


def test_completion_lists_labs_and_their_nodes(labs: Labs) -> None:
    labs.ok("deploy", "-t", str(labs.file(small())), "--no-wait")

    def complete(words: str, word: int) -> set[str]:
        asked = {"_EDGELAB_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(word)}
        code = "import sys; sys.argv[0] = 'edgelab'; from lab.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**labs.environment, **asked},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stderr == ""
        return {line.partition(",")[2] for line in done.stdout.split()}

    assert complete("edgelab destroy ", 2) == {"small"}
    assert complete("edgelab exec msee", 2) == {
        "msee1-amsterdam",
        "msee1-amsterdam.ams.private",
        "msee2-amsterdam",
        "msee2-amsterdam.ams.private",
    }
    assert {"small", "pc1", "ce1"} <= complete("edgelab exec ", 2)
    assert complete("edgelab shell small pc", 3) == {"pc1"}


def test_an_odd_run_directory_and_an_odd_topology_name_work(labs: Labs) -> None:
    labs.directory = labs.scratch / "run ü' $dir"
    labs.environment["EDGELAB_DIR"] = str(labs.directory)
    odd = labs.scratch / "my ünusual\ntopology.edge.yml"
    odd.write_text(json.dumps(small()))
    labs.ok("deploy", "-t", str(odd))
    odd.write_text(json.dumps(larger()))
    assert labs.json("deploy", "-t", str(odd))["changed"]
    assert labs.json("check")["failed"] == 0
    labs.ok("destroy")
    assert_nothing_left(labs)


def test_many_changes_leave_the_supervisor_as_small_as_it_was(labs: Labs) -> None:
    files = [str(labs.file(larger(), "larger.edge.yml")), str(labs.file(small()))]
    labs.ok("deploy", "-t", files[1], "--no-wait")
    pid = supervisor(labs)

    def held() -> tuple[int, int, int, int]:
        children = sum(
            len((task / "children").read_text().split()) for task in Path(f"/proc/{pid}/task").iterdir()
        )
        return (
            len(os.listdir(f"/proc/{pid}/fd")),
            len(os.listdir(f"/proc/{pid}/task")),
            len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines()),
            children,
        )

    for file in files:
        labs.ok("deploy", "-t", file, "--no-wait")
    before = until(lambda: (h := held())[1] == 1 and h, "the supervisor is at rest")
    for _ in range(2):
        for file in files:
            labs.ok("deploy", "-t", file, "--no-wait")
    until(lambda: held() == before, f"as much as before: {before}, {held()}")


def test_many_labs_after_each_other_leave_nothing(labs: Labs) -> None:
    topology = str(labs.file(small()))
    mounts = Path("/proc/self/mountinfo").read_text()
    for _ in range(4):
        labs.ok("deploy", "-t", topology, "--no-wait")
        labs.ok("destroy")
    assert_nothing_left(labs)
    assert Path("/proc/self/mountinfo").read_text() == mounts
