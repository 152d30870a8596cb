"""Use the stock kernel: `python -m tests.kernel test [pytest's arguments]`, `lab FILE`, `run COMMAND...`.

Exit status is that of what ran inside; 3 when no such kernel can be started here, 4 when the guest broke
down or took too long.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.errors import EdgeError
from tests.kernel import guest

CHECKOUT = Path(__file__).parents[2]
TEST_DEADLINE_S = 1200.0
LAB_DEADLINE_S = 24 * 3600.0
PASSED_ON = ("CI", "COLUMNS", "LANG", "TERM", "SHELL", "EDGELAB_TEST_SUMMARY", "EDGELAB_UPDATE_GOLDEN")
USAGE = "usage: python -m tests.kernel test [ARGUMENT...] | lab FILE | run COMMAND [ARGUMENT...]"


def environment() -> dict[str, str]:
    """Little of ours: what runs inside finds the programs of this Python's environment first."""
    path = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {"HOME": "/root", **passed, "PATH": path}


def test_job(arguments: Sequence[str]) -> guest.Job:
    """One pytest for all tests of the stock kernel: starting Python is what costs most there."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    if sys.stdout.isatty():
        command.append("--color=yes")
    summary = os.environ.get("EDGELAB_TEST_SUMMARY")
    return guest.Job(
        command,
        {**environment(), "EDGELAB_TEST_KERNEL": "stock"},
        CHECKOUT,
        writable=[Path(summary).resolve().parent] if summary else [],
        deadline_s=TEST_DEADLINE_S,
    )


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
        return test_job(rest)
    if verb == "lab" and rest:
        return lab_job(rest[0], rest[1:], terminal)
    if verb == "run" and rest:
        return guest.Job(rest, environment(), Path.cwd(), deadline_s=TEST_DEADLINE_S, terminal=terminal)
    return None


def main(arguments: Sequence[str]) -> int:
    """Run it; the exit status."""

    def sink(stream: int) -> guest.Sink:
        def write(data: bytes) -> None:
            while data:
                data = data[os.write(stream, data) :]

        return write

    job = job_of(arguments)
    if job is None:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        print(f"Booting the stock kernel {guest.installed().version} ...", file=sys.stderr, flush=True)
        return guest.run(job, sink(1), sink(2))
    except EdgeError as error:
        print(f"stock kernel: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
