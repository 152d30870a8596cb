"""Running the `edgelab` program in tests as a user does, with a run directory apart."""

from __future__ import annotations

import copy
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.netns.forkserver import Process, Server

CONTOSO = Path(__file__).parents[2] / "lab" / "topologies" / "contoso.edge.yml"


@dataclass
class Labs:
    """The program with one EDGELAB_DIR; `own_labs` makes one for a fixture.

    server: what forks the commands; None starts the program itself. constants: "module.NAME" -> value, set
    in forked commands before they begin.
    """

    directory: Path
    scratch: Path
    server: Server | None = None
    environment: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environment = {
            **os.environ,
            "EDGELAB_DIR": str(self.directory),
            "EDGELAB_CHECK_EVIDENCE": str(self.scratch / "evidence"),
            "COLUMNS": "160",
        }

    def fork(self, *words: str, **streams: Any) -> Process:
        """Start `edgelab WORDS` by the server."""
        assert self.server is not None
        return self.server.start(words, self.environment, constants=self.constants, **streams)

    def popen(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start the program itself with WORDS."""
        return subprocess.Popen(**self._started(words), **options)

    def run(self, *words: str, timeout: float = 90.0, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `edgelab WORDS` to its end; output captured."""
        if self.server is not None:
            return self.server.run(
                words, self.environment, constants=self.constants, timeout=timeout, **options
            )
        return subprocess.run(
            **self._started(words), capture_output=True, timeout=timeout, check=False, **options
        )

    def _started(self, words: tuple[str, ...]) -> dict[str, Any]:
        return {
            "args": [sys.executable, "-m", "lab.cli", *words],
            "env": self.environment,
            "text": True,
            "cwd": Path(__file__).parents[2],
        }

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


@contextmanager
def own_labs(scratch: Path, server: Server | None = None) -> Iterator[Labs]:
    """The program with a run directory of its own, whose labs are destroyed at the end.

    scratch: for all other files. The run directory is not in there: a socket's path has 107 octets at most,
    and how long the names of pytest's folders are depends on how often it ran on the machine.
    """
    with tempfile.TemporaryDirectory(prefix="labs") as directory:
        made = Labs(Path(directory) / "labs", scratch, server)
        try:
            yield made
        finally:
            made.destroy_all()


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
