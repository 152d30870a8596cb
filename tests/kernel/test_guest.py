"""The runner of the stock kernel: streams, status, files, and how a guest ends that does not want to."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import CapabilityError, DeadlineError
from tests.kernel import guest
from tests.kernel.__main__ import environment


@pytest.fixture(autouse=True)
def _there() -> None:
    try:
        guest.installed()
    except CapabilityError as error:
        pytest.skip(str(error))


def job(*command: str, **options: object) -> guest.Job:
    return guest.Job(command, environment(), **options)  # type: ignore[arg-type]


def run(job: guest.Job) -> tuple[int, bytes, bytes]:
    out, err = bytearray(), bytearray()
    return guest.run(job, out.extend, err.extend), bytes(out), bytes(err)


def test_streams_stay_apart_octet_for_octet_and_the_status_comes_out() -> None:
    status, out, err = run(job("sh", "-c", "uname -r; printf 'a\\n\\r\\t\\0\\377'; echo oops >&2; exit 7"))
    assert (status, out, err) == (7, f"{guest.installed().version}\na\n\r\t\0".encode() + b"\377", b"oops\n")


def test_much_output_arrives_whole() -> None:
    status, out, _ = run(job("seq", "200000"))
    assert (status, out) == (0, b"".join(b"%d\n" % n for n in range(1, 200001)))


def test_the_guest_reads_our_files_and_writes_only_where_it_may(tmp_path: Path) -> None:
    (tmp_path / "ours").write_text("ours\n")
    real = tmp_path / "real"
    real.mkdir()
    script = "cat ours; echo changed >ours; cat ours; echo x >new; echo y >real/new; pwd"
    status, out, err = run(job("sh", "-c", script, directory=tmp_path, writable=[real]))
    assert (status, out.decode(), err) == (0, f"ours\nchanged\n{tmp_path}\n", b"")
    assert (tmp_path / "ours").read_text() == "ours\n"
    assert not (tmp_path / "new").exists()
    assert (real / "new").read_text() == "y\n"


def test_a_guest_that_hangs_is_ended_and_told_with_its_console() -> None:
    script = "echo here I am >/dev/console; exec sleep 1000"
    for deadline_s in (6, 60):
        with pytest.raises(DeadlineError, match=f"did not end within {deadline_s} s") as caught:
            run(job("sh", "-c", script, deadline_s=deadline_s))
        if "here I am" in str(caught.value):
            return
        # A machine that is busy needs more than that to boot.
    pytest.fail(f"the console is not told: {caught.value}")


def test_a_guest_that_breaks_down_is_told_with_its_console() -> None:
    with pytest.raises(guest.GuestError, match=r"ended without a result[^$]*oh dear"):
        run(job("sh", "-c", "echo oh dear >/dev/console; echo c >/proc/sysrq-trigger; sleep 100"))


def test_a_guest_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    # Killed like this, the program cannot even remove the folder of its job.
    with subprocess.Popen(
        [sys.executable, "-m", "tests.kernel", "run", "sh", "-c", "echo up; exec sleep 1000"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as runner:
        pidfds = []
        try:
            assert runner.stdout is not None
            assert runner.stdout.readline() == b"up\n"
            for pid in _descendants(runner.pid):
                # Processes of the guest come and go.
                with contextlib.suppress(ProcessLookupError):
                    pidfds.append(os.pidfd_open(pid))
        finally:
            runner.kill()
        assert len(pidfds) > 2
        for pidfd in pidfds:
            ended = select.select([pidfd], [], [], 10.0)[0]
            os.close(pidfd)
            assert ended, "a process of the guest lives on"


def _descendants(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *_descendants(child)]
    return found
