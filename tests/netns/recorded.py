"""Captures by the command, and what tshark reads in them."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from labs import Labs

TSHARK = shutil.which("tshark") is not None

needs_tshark = pytest.mark.skipif(not TSHARK, reason="tshark is not installed (apt install tshark)")

WRONG = "_ws.malformed || _ws.expert.severity == error"
"""Frames that tshark cannot read, or that it finds an error in."""

FAULTS = ("_ws.malformed", "_ws.expert.severity")
ERROR = "8388608"
"""What a frame that meets WRONG has in one of these fields: any octets, and this number."""

EACH_SIGHTING = "tcp.analyze_sequence_numbers:FALSE"


@dataclass
class Capture:
    """A capture that runs. said: what it wrote to standard error, once it has ended."""

    path: Path
    said: str = ""
    status: int | None = None
    words: list[str] = field(default_factory=list)


@contextmanager
def capturing(labs: Labs, *words: str, path: Path | None = None) -> Iterator[Capture]:
    """`edgelab capture WORDS` while the block runs; Ctrl-C ends it, and it must end well."""
    capture = Capture(path or labs.scratch / "capture.pcapng", words=list(words))
    process = labs.fork("capture", *words, "-w", str(capture.path), stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        first = _line(process.stderr.fileno(), 30)
        assert first.startswith("capturing on"), first
        yield capture
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGINT)
        # It has ended before its words are read: they are few, and come in one piece then.
        process.wait(30)
        capture.said = process.communicate(30)[1]
        capture.status = process.returncode
    assert capture.status == 0, capture.said


def _line(fd: int, deadline_s: float) -> str:
    """A line of a descriptor, without reading further."""
    octets = b""
    while not octets.endswith(b"\n"):
        assert select.select([fd], [], [], deadline_s)[0], f"nothing said after {octets!r}"
        one = os.read(fd, 1)
        if not one:
            break
        octets += one
    return octets.decode()


def tshark(path: Path, *fields: str, only: str = "") -> list[tuple[str, ...]]:
    """These fields of each frame that meets the display filter `only`; several values with commas.

    A segment that passes several places is read at each: tshark by itself takes it for a retransmission.
    """
    wanted = [word for name in fields for word in ("-e", name)]
    done = subprocess.run(
        [
            "tshark",
            "-o",
            EACH_SIGHTING,
            "-r",
            str(path),
            *(["-Y", only] if only else []),
            "-T",
            "fields",
            *wanted,
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "damaged" not in done.stderr, done.stderr
    assert "cut short" not in done.stderr, done.stderr
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]
