"""How soon a lab stands: 50 nodes against `ip` and `ip -batch`; the reference lab with all sessions up.

The ways take turns, so that a machine that is busy now and idle later treats them alike.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from edge.errors import EdgeError
from tests.bench import ring
from tests.bench.report import Row

NODES = 50
ROUNDS = 7
ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "lab" / "topologies" / "contoso.edge.yml"
REFERENCE_ROUNDS = 5

LIMIT_IP = 1 / 8
"""At least eight times as fast as one `ip` process per operation."""
LIMIT_BATCH = 1.0
"""Level with `ip -batch`, or better."""
LIMIT_REFERENCE_S = 2.0
"""BIRD itself waits 0.75 to 1 s before it connects (facts: linux, "BIRD"); the rest is ours."""


def run(quick: bool = False) -> Sequence[Row]:
    """All rows, with `quick` of one sample each. Raises EdgeError when a lab did not come up as it should."""
    ring.require_root()
    return [*_ring_rows(1 if quick else ROUNDS), _reference_row(1 if quick else REFERENCE_ROUNDS)]


def _ring_rows(rounds: int) -> list[Row]:
    wanted = ring.ring(NODES)
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for way in (ring.by_objects, ring.by_ip, ring.by_ip_batch):
            times.setdefault(way.__name__, []).append(ring.sample(way, wanted) * 1000)
    medians = {name: statistics.median(samples) for name, samples in times.items()}
    ours = medians["by_objects"]
    return [
        Row(f"{NODES} nodes against ip", "ms", ours, medians["by_ip"], LIMIT_IP),
        Row(f"{NODES} nodes against ip -batch", "ms", ours, medians["by_ip_batch"], LIMIT_BATCH),
    ]


def _reference_row(rounds: int) -> Row:
    with tempfile.TemporaryDirectory(prefix="edgelab-bench-") as directory:
        environment = {"EDGELAB_DIR": directory}
        samples = [_reference_sample(environment) for _ in range(rounds)]
    return Row("reference lab, all sessions up", "s", statistics.median(samples), None, LIMIT_REFERENCE_S)


def _reference_sample(environment: dict[str, str]) -> float:
    """Seconds from the start of the program until every session was Established; the lab is taken away."""
    start = time.perf_counter()
    try:
        deployed = edgelab(environment, "deploy", "-t", str(REFERENCE), "--wait", "60", "--format", "json")
        seconds = time.perf_counter() - start
        if not json.loads(deployed)["created"]:
            raise EdgeError("the reference lab ran already, so its start could not be measured")
    finally:
        edgelab(environment, "destroy", "--all")
    return seconds


def edgelab(environment: dict[str, str], *words: str) -> str:
    """Output of the program, which must succeed (deploy does only when no session is missing).

    environment: what is added to this program's own. Raises EdgeError.
    """
    done = subprocess.run(
        [sys.executable, "-m", "lab.cli", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise EdgeError(f"edgelab {' '.join(words)} failed with status {done.returncode}:\n{done.stderr}")
    return done.stdout
