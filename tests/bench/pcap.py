"""`edge mark` on a large capture beside `cp`, tcprewrite and editcap: CPU seconds, on tmpfs and on disk.

The programs take turns and the input is warm. tcprewrite writes one constant, editcap marks nothing. What a
page costs on a virtual machine changes by the minute, so ours and cp, which the limit is about, have many
turns.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edge.errors import EdgeError
from tests.bench import traffic
from tests.bench.classify import cpu_seconds
from tests.bench.report import Row

LIMIT_CP = 1.4
"""Of the CPU time of cp."""

OCTETS, QUICK_OCTETS = 1_000_000_000, 4_000_000
ROUNDS, QUICK_ROUNDS = 25, 1
SLOW_ROUNDS = 5
"""Turns of the rivals without a limit, which take several times as long."""
MEMORY = Path("/dev/shm")

RIVALS = {
    "cp": ("coreutils", ["cp", "{source}", "{target}"]),
    "tcprewrite": ("tcpreplay", ["tcprewrite", "--tos=184", "--infile={source}", "--outfile={target}"]),
    "editcap": ("wireshark-common", ["editcap", "-F", "pcap", "{source}", "{target}"]),
}
"""Program -> the package that brings it, and how it is called."""

OURS = [sys.executable, "-m", "edge.cli", "mark", "{source}", "{target}", "--policy", "teams"]


def run(quick: bool = False) -> Sequence[Row]:
    """All rows. Raises EdgeError when a program fails or our result has another size than its source."""
    octets, rounds = (QUICK_OCTETS, QUICK_ROUNDS) if quick else (OCTETS, ROUNDS)
    rows = []
    for name, parent in (("tmpfs", MEMORY if MEMORY.is_dir() else None), ("disk", Path.cwd())):
        if parent is None or shutil.disk_usage(parent).free < 3 * octets:
            note = f"{parent or MEMORY} has no {3 * octets // 1_000_000} MB free"
            rows.append(Row(f"edge mark on {name}", "s", None, None, note=note))
            continue
        with tempfile.TemporaryDirectory(prefix=".edgelab-bench-", dir=parent) as directory:
            rows += _rows(name, Path(directory), octets, rounds)
    return rows


def _as_installed(directory: Path) -> dict[str, str]:
    """An environment in which Python's modules are compiled once, as those of an installed program are."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(directory / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def _rows(name: str, directory: Path, octets: int, rounds: int) -> list[Row]:
    source, target = directory / "in.pcap", directory / "out.pcap"
    packets = traffic.write_capture(source, octets)
    ways = {"ours": OURS}
    ways |= {rival: words for rival, (_, words) in RIVALS.items() if shutil.which(rival)}
    times: dict[str, list[float]] = {way: [] for way in ways}
    environment = _as_installed(directory)
    for turn in range(rounds + 1):
        for way, words in ways.items():
            if way not in ("ours", "cp") and turn > SLOW_ROUNDS:
                continue
            seconds = cpu_seconds([word.format(source=source, target=target) for word in words], environment)
            times[way].append(seconds)
            if way == "ours" and target.stat().st_size != source.stat().st_size:
                raise EdgeError("the marked capture has another size than its source")
            target.unlink()
    # The first round warms the caches.
    medians = {way: statistics.median(taken[1:]) for way, taken in times.items()}
    size = f"{source.stat().st_size / 1e9:.2f} GB, {packets} packets"
    rows = [Row(f"edge mark on {name}", "s", medians["ours"], None, note=size)]
    for rival, (package, _) in RIVALS.items():
        words = f"edge mark on {name} against {rival}"
        if rival in medians:
            limit = LIMIT_CP if rival == "cp" else None
            rows.append(Row(words, "s", medians["ours"], medians[rival], limit))
        else:
            rows.append(Row(words, "s", medians["ours"], None, note=f"no {rival}: apt-get install {package}"))
    return rows
