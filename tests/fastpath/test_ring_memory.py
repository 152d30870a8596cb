"""The pure parts of the ring engine under the compiler's sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.fastpath.build import CSRC

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wconversion"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def test_frames_and_tables_keep_inside_their_memory(tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("clang-14")
    if compiler is None:
        pytest.skip("no C compiler")
    program = tmp_path / "ring_pure"
    source = Path(__file__).with_name("ring_pure.c")
    built = subprocess.run(
        [compiler, "-O1", "-g", "-std=gnu11", *WARNINGS, *SANITIZERS, f"-I{CSRC}", source, "-o", program],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    ran = subprocess.run(
        [program],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
    )
    assert ran.returncode == 0, f"line {ran.returncode}: {ran.stderr}"
