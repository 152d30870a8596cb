"""The fuzz targets of csrc/fuzz for a bounded time, with AddressSanitizer and UBSan.

`make -C csrc fuzz SECONDS=3600` looks for longer.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "csrc" / "fuzz"
TARGETS = ("classify", "table", "capture", "tags")
SECONDS = 4
BUILD_DEADLINE_S = 300
CLANG = "clang-14"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the compiled targets and their seeds."""
    directory = tmp_path_factory.mktemp("fuzz")
    if shutil.which(CLANG) is None:
        pytest.skip(f"no {CLANG}: apt-get install {CLANG} libclang-rt-14-dev")
    if not _has_runtime(directory):
        pytest.skip(f"no fuzzer runtime in {CLANG}: apt-get install libclang-rt-14-dev")
    _make(directory, "-j2", "build", "corpus")
    return directory


def _has_runtime(directory: Path) -> bool:
    """Whether the compiler can link a fuzz target at all."""
    source = directory / "probe.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdint.h>\n"
        "int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return data && size ? 0 : 0; }\n"
    )
    words = [CLANG, "-fsanitize=fuzzer,address,undefined", str(source), "-o", str(directory / "probe")]
    return subprocess.run(words, capture_output=True).returncode == 0


def _make(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["make", "-C", str(FUZZ), f"BUILD={directory}", f"PYTHON={sys.executable}", f"CLANG={CLANG}", *words],
        capture_output=True,
        text=True,
        timeout=BUILD_DEADLINE_S,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done


@pytest.mark.parametrize("target", TARGETS)
def test_the_seeds_and_what_follows_from_them_give_no_finding(build: Path, target: str) -> None:
    done = _make(build, f"run-{target}", f"SECONDS={SECONDS}")
    said = done.stdout + done.stderr
    inputs = re.search(r"stat::number_of_executed_units: (\d+)", said)
    assert inputs is not None, said
    assert int(inputs.group(1)) >= len(os.listdir(build / "corpus" / target))
    assert os.listdir(build / "findings") == []


def test_a_target_notices_a_fault(build: Path, tmp_path: Path) -> None:
    """With one comparison turned round, the first seed is a finding: so a target can fail."""
    text = (FUZZ / "tags.c").read_text()
    wrong = text.replace("MUST(held.offset == room &&", "MUST(held.offset != room &&")
    assert wrong != text
    source, program = tmp_path / "tags.c", tmp_path / "faulty"
    source.write_text(wrong.replace('"../', f'"{FUZZ.parent}/').replace('"fuzz.h"', f'"{FUZZ}/fuzz.h"'))
    flags = ["-O1", "-g", "-fsanitize=fuzzer,address,undefined"]
    subprocess.run([CLANG, *flags, str(source), str(FUZZ.parent / "frame.c"), "-o", str(program)], check=True)
    done = subprocess.run(
        [str(program), "-runs=1", f"-artifact_prefix={tmp_path}/", str(build / "corpus" / "tags")],
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "not so: held.offset != room" in done.stderr
