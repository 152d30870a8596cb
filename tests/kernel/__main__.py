"""Use the stock kernel: `python -m tests.kernel test [pytest's arguments]`, `lab FILE`, `run COMMAND...`.

`test` boots a guest for each processor, at most GUESTS, which share the tests (tests/share.py). What one
says is passed on as it comes, the words of the other follow whole.

Exit status is that of what ran inside; 3 when no such kernel can be started here, 4 when the guest broke
down or took too long.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from edge.errors import EdgeError
from tests.kernel import guest
from tests.share import SHARE

CHECKOUT = Path(__file__).parents[2]
TEST_DEADLINE_S = 2400.0
"""Of one guest; all tests in one took 18 minutes on a quiet machine."""

GUESTS = 2
NO_TESTS = 5
"""pytest's exit status when it found nothing to run."""

LAB_DEADLINE_S = 24 * 3600.0
PASSED_ON = ("CI", "COLUMNS", "LANG", "TERM", "SHELL", "EDGELAB_TEST_SUMMARY", "EDGELAB_UPDATE_GOLDEN")
USAGE = "usage: python -m tests.kernel test [ARGUMENT...] | lab FILE | run COMMAND [ARGUMENT...]"


def environment() -> dict[str, str]:
    """Little of ours: what runs inside finds the programs of this Python's environment first."""
    path = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {"HOME": "/root", **passed, "PATH": path}


def job_of_tests(arguments: Sequence[str], share: Path | None) -> guest.Job:
    """One pytest for all tests that a guest runs: starting Python is what costs most there.

    share: the folder by which several guests share them.
    """
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    if sys.stdout.isatty():
        command.append("--color=yes")
    summary = os.environ.get("EDGELAB_TEST_SUMMARY")
    writable = [Path(summary).resolve().parent] if summary else []
    shared = {SHARE: str(share)} if share else {}
    return guest.Job(
        command,
        {**environment(), **shared, "EDGELAB_TEST_KERNEL": "stock"},
        CHECKOUT,
        writable=[*writable, *([share] if share else [])],
        deadline_s=TEST_DEADLINE_S,
    )


def all_of(statuses: Sequence[int]) -> int:
    """The exit status of guests that shared tests: one that came too late for any has not failed. Pure.

    A negative status is of a process that a signal ended.
    """
    ended = (128 - status if status < 0 else status for status in statuses)
    return max((status for status in ended if status != NO_TESTS), default=NO_TESTS)


def run_tests(arguments: Sequence[str]) -> int:
    """Run the tests in as many guests as help; the exit status. Raises what `guest.run` raises."""
    with tempfile.TemporaryDirectory(prefix="edgelab-share-") as folder, contextlib.ExitStack() as stack:
        others = [
            stack.enter_context(_other(arguments, folder))
            for _ in range(1, min(GUESTS, len(os.sched_getaffinity(0))))
        ]
        statuses = [_run(job_of_tests(arguments, Path(folder)))]
        for process, words in others:
            statuses.append(process.wait())
            words.seek(0)
            _write(1, words.read())
    return all_of(statuses)


@contextlib.contextmanager
def _other(arguments: Sequence[str], folder: str) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """A process with one more guest that shares the tests, and what it says; it ends with the block."""
    command = (sys.executable, "-m", "tests.kernel", "test", *arguments)
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env={**os.environ, SHARE: folder},
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
        )
        try:
            yield process, words
        finally:
            # A guest ends when the process ends that watches it.
            process.terminate()
            process.wait()


def _run(job: guest.Job) -> int:
    return guest.run(job, partial(_write, 1), partial(_write, 2))


def _write(stream: int, data: bytes) -> None:
    while data:
        data = data[os.write(stream, data) :]


def lab_job(topology: str, arguments: Sequence[str], terminal: bool) -> guest.Job:
    """The lab, checked; on a terminal a shell in it follows, and leaving that ends the guest."""
    edgelab = f"{shlex.quote(sys.executable)} -m lab.cli"
    script = (
        f"{edgelab} deploy -t {shlex.quote(str(Path(topology).resolve()))} {shlex.join(arguments)} || exit\n"
    )
    script += f"{edgelab} check && status=0 || status=$?\n"
    if terminal:
        script += f'edgelab() {{ {edgelab} "$@"; }}\n{edgelab} shell; status=0\n'
    script += f"{edgelab} destroy --all\nexit $status\n"
    deadline_s = LAB_DEADLINE_S if terminal else TEST_DEADLINE_S
    return guest.Job(["sh", "-c", script], environment(), CHECKOUT, deadline_s=deadline_s, terminal=terminal)


def job_of(arguments: Sequence[str]) -> guest.Job | None:
    """What the command line asks for; None when it is not understood."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("", ())
    if verb == "test":
        share = os.environ.get(SHARE)
        return job_of_tests(rest, Path(share) if share else None)
    if verb == "lab" and rest:
        return lab_job(rest[0], rest[1:], terminal)
    if verb == "run" and rest:
        return guest.Job(rest, environment(), Path.cwd(), deadline_s=TEST_DEADLINE_S, terminal=terminal)
    return None


def main(arguments: Sequence[str]) -> int:
    """Run it; the exit status."""

    job = job_of(arguments)
    if job is None:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        print(f"Booting the stock kernel {guest.installed().version} ...", file=sys.stderr, flush=True)
        return run_tests(arguments[1:]) if arguments[0] == "test" and SHARE not in os.environ else _run(job)
    except EdgeError as error:
        print(f"stock kernel: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
