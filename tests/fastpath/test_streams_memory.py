"""The stream engine under the compiler's sanitizers, with bytes of chance and a reader beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.fastpath.build import CSRC, STREAMS

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wconversion"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def test_no_packet_leaves_its_memory_and_a_reader_disturbs_nothing(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: apt-get install gcc")
    program = tmp_path / "streams_memory"
    source = Path(__file__).with_name("streams_memory.c")
    sources = [source, *(CSRC / name for name in STREAMS.sources)]
    command = ["gcc", "-O1", "-g", "-std=gnu11", *WARNINGS, *SANITIZERS, '-DEDGE_SOURCES=""', f"-I{CSRC}"]
    built = subprocess.run([*command, *sources, "-pthread", "-o", program], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run(
        [program],
        capture_output=True,
        text=True,
        timeout=120,
        # The leak check needs ptrace, which not every machine allows; the test of open descriptors stands in.
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
    )
    assert ran.returncode == 0, ran.stderr
