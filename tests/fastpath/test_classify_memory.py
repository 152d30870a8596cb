"""The packet core under the address and undefined behaviour sanitizers, each packet in memory of its size."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from edge.fastpath.build import CLASSIFY, CSRC
from edge.qos.table import compile_policy
from tests.fastpath.corpus import Corpus


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: apt-get install gcc")
    built = tmp_path_factory.mktemp("asan") / "classifycheck"
    command = ["gcc", "-O1", "-g", *CLASSIFY.flags[1:], "-Werror", "-fsanitize=address,undefined",
               "-fno-sanitize-recover=all", '-DEDGE_SOURCES=""', "-o", str(built),
               *(str(CSRC / name) for name in ("classifycheck.c", *CLASSIFY.sources))]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return built


@pytest.mark.parametrize("rules", [0, 3, 12, 30, 200])
@pytest.mark.parametrize("kind", ["hints", "no-hints", "site"])
def test_no_lane_leaves_a_packet_or_the_table(program: Path, tmp_path: Path, rules: int, kind: str) -> None:
    corpus = Corpus(rules + 7000)
    policy = corpus.site_policy(rules) if kind == "site" else corpus.policy(rules, hints=kind == "hints")
    table, packets = tmp_path / "table", tmp_path / "packets"
    table.write_bytes(compile_policy(policy, "out", "mark"))
    frames = [corpus.frame() for _ in range(1000)]
    frames += [frames[0][:length] for length in range(len(frames[0]))]
    packets.write_bytes(b"".join(struct.pack("=I", len(frame)) + frame for frame in frames))
    done = subprocess.run([program, table, packets], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{len(frames)} packets, 0 differences\n"
