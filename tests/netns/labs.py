"""Running the `edgelab` program in tests as a user does, with a run directory apart.

A command is a process of its own with the arguments, environment, directory and streams it would have;
but it is forked from one Python that has read its modules already, because starting Python and importing
costs more than most commands do (in the stock kernel's guest: seconds). tests/netns/test_lab_cli.py starts
the program itself.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import select
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.leakguard import MARK

CONTOSO = Path(__file__).parents[2] / "lab" / "topologies" / "contoso.edge.yml"


def marked() -> bool:
    """Whether the leak guard's mark is in the environment this process began with: its forks have the same.

    A lab's supervisor has cut its descent; by the mark alone a leaked one is found. `make test` sets it.
    """
    return f"{MARK}=".encode() in Path("/proc/self/environ").read_bytes()


def _read_modules() -> None:
    import lab.supervisor
    from lab.commands import enter, files, life, prove, show

    assert lab.supervisor
    assert enter
    assert files
    assert life
    assert prove
    assert show


def _be_the_program(words: tuple[str, ...], environment: dict[str, str]) -> None:
    """Never returns: in a forked child, do what `python -m lab.cli WORDS` does."""
    status = 1
    try:
        # One of them tells the parent, who waits for it, that the program has begun.
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.environ.clear()
        os.environ.update(environment)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(number, mode, encoding="utf-8", buffering=buffering, errors=errors)
            for number, mode, buffering, errors in (
                (0, "r", -1, "strict"),
                (1, "w", -1, "strict"),
                (2, "w", 1, "backslashreplace"),
            )
        )
        sys.argv = ["edgelab", *words]
        from lab.cli import main

        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(status)


@dataclass
class Labs:
    """The program with one EDGELAB_DIR; `destroy_all` in the fixture's end."""

    directory: Path
    scratch: Path
    environment: dict[str, str] = field(default_factory=dict)
    forked: bool = field(default_factory=marked)

    def __post_init__(self) -> None:
        self.environment = {**os.environ, "EDGELAB_DIR": str(self.directory), "COLUMNS": "160"}

    def popen(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start `edgelab WORDS`."""
        return subprocess.Popen(**self._start(words), **options)

    def run(self, *words: str, timeout: float = 90.0, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `edgelab WORDS` to its end; output captured."""
        return subprocess.run(
            **self._start(words), capture_output=True, timeout=timeout, check=False, **options
        )

    def _start(self, words: tuple[str, ...]) -> dict[str, Any]:
        started: dict[str, Any] = {
            "args": [sys.executable, "-m", "lab.cli", *words],
            "env": self.environment,
            "text": True,
            "cwd": Path(__file__).parents[2],
        }
        if self.forked:
            _read_modules()
            environment = dict(self.environment)
            # Called in the child, when its streams and its directory are in place.
            started["preexec_fn"] = lambda: _be_the_program(words, environment)
        return started

    def ok(self, *words: str, timeout: float = 90.0) -> str:
        """Run and require exit status 0; standard output."""
        done = self.run(*words, timeout=timeout)
        assert done.returncode == 0, (
            f"edgelab {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout

    def json(self, *words: str) -> Any:
        """Run with --format json and parse."""
        return json.loads(self.ok(*words, "--format", "json"))

    def inside(self, lab: str, node: str, *command: str) -> str:
        """Run a command in a node; its output."""
        return self.ok("exec", lab, node, "--", *command)

    def file(self, document: dict[str, Any], name: str = "test.edge.yml") -> Path:
        """A topology file of this document (JSON is YAML)."""
        path = self.scratch / name
        path.write_text(json.dumps(document, indent=1))
        return path

    def destroy_all(self) -> None:
        """Take every lab away."""
        self.ok("destroy", "--all")


def contoso(**changes: Any) -> dict[str, Any]:
    """The reference topology as data, checks left out, with top-level keys replaced."""
    from ruamel.yaml import YAML

    document = json.loads(json.dumps(YAML(typ="safe").load(CONTOSO.read_text())))
    document.pop("checks")
    return {**copy.deepcopy(document), **changes}


def until(question: Callable[[], Any], what: str, deadline_s: float = 20.0) -> Any:
    """Ask until the answer is true; AssertionError naming `what` and the last answer after the deadline.

    Each question starts a program that asks the lab, so the pause between two is what keeps it cheap.
    """
    end = time.monotonic() + deadline_s
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline_s:.0f} s; last answer: {answer!r}")
        select.select([], [], [], 0.05)


def established(view: dict[str, Any], **like: Any) -> list[dict[str, Any]]:
    """Sessions of an `inspect --format json` that match and are Established."""
    return [
        session
        for session in view["sessions"]
        if session["state"] == "Established" and all(session.get(key) == value for key, value in like.items())
    ]
