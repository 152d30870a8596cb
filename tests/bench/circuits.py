"""How a lab grows: 1, 10, 30 and 100 circuits, each with both peerings over both links: seconds and memory.

A circuit brings a site with one edge router, four BGP sessions with BFD, and the routing domains that hold
their other ends. Memory is what the lab has of the machine's while it runs, shared pages counted once.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from edge.errors import EdgeError
from tests.bench import ring
from tests.bench.deploy import edgelab
from tests.bench.report import Row

SIZES = (1, 10, 30, 100)
QUICK_SIZES = (1, 3)
LIMIT_S = 60.0
"""For the largest lab: a minute."""
LIMIT_GROWTH = 1.5
"""Seconds a circuit in the largest lab against those between the smaller ones: linear, with some room."""

LANS = IPv4Network("10.0.0.0/8")
LINKS = IPv4Network("172.16.0.0/16")
PUBLIC_LINKS = IPv4Network("20.40.0.0/16")
POOLS = IPv4Network("20.41.0.0/16")
SESSIONS = 4


def topology(count: int) -> dict[str, Any]:
    """A topology file's content with so many circuits, all of one provider at one location. Pure.

    count: at most 256.
    """
    links, public = list(LINKS.subnets(new_prefix=29)), list(PUBLIC_LINKS.subnets(new_prefix=29))
    lans, pools = list(LANS.subnets(new_prefix=16)), list(POOLS.subnets(new_prefix=28))
    circuits: dict[str, Any] = {}
    sites: dict[str, Any] = {}
    for number in range(count):
        name = f"c{number:03}"
        circuits[name] = {
            "provider": "Equinix",
            "location": "Amsterdam",
            "sku": {"tier": "premium"},
            "bandwidth": "50M",
            "peerings": {
                "private": {"vlan": 100, "peer_asn": 65010, "subnet": str(links[number])},
                "microsoft": {
                    "vlan": 200,
                    "peer_asn": 64496,
                    "subnet": str(public[number]),
                    "advertised_public_prefixes": [str(pools[number])],
                    "route_filter": ["teams"],
                },
            },
        }
        sites[f"s{number:03}"] = {
            "edges": [f"ce{number:03}"],
            "lan": str(lans[number]),
            "circuits": [name],
            "internet": False,
        }
    return {"name": "many", "circuits": circuits, "sites": sites, "checks": [{"sessions": "all"}]}


def run(quick: bool = False) -> Sequence[Row]:
    """All rows. Raises EdgeError when a lab did not come up whole."""
    ring.require_root()
    seconds: dict[int, float] = {}
    rows: list[Row] = []
    for count in QUICK_SIZES if quick else SIZES:
        seconds[count], mebibytes = sample(count)
        limit = LIMIT_S if count == SIZES[-1] else None
        name = f"{count} circuits, {count * SESSIONS} sessions up"
        rows.append(Row(name, "s", seconds[count], None, limit))
        rows.append(Row(f"{count} circuits, memory", "MiB", mebibytes, None))
    few, more, many = sorted(seconds)[:1] + sorted(seconds)[-2:]
    before = (seconds[more] - seconds[few]) / (more - few) if more > few else seconds[few]
    rows.append(
        Row(
            "seconds a circuit, in the largest lab against the one before",
            "s",
            (seconds[many] - seconds[more]) / (many - more),
            before,
            LIMIT_GROWTH,
        )
    )
    return rows


def sample(count: int) -> tuple[float, float]:
    """Seconds from the program's start until all sessions were Established, and the lab's memory in MiB."""
    with tempfile.TemporaryDirectory(prefix="edgelab-bench-") as directory:
        environment = {"EDGELAB_DIR": directory}
        file = Path(directory, "many.edge.yml")
        file.write_text(json.dumps(topology(count)), encoding="utf-8")
        before = available_kib()
        start = time.perf_counter()
        try:
            edgelab(environment, "deploy", "-t", str(file), "--wait", "300")
            seconds = time.perf_counter() - start
            memory = before - available_kib()
            report = json.loads(edgelab(environment, "inspect", "--format", "json"))
        finally:
            edgelab(environment, "destroy", "--all")
    up = [session for session in report["sessions"] if session["state"] == "Established"]
    if len(up) < 2 * SESSIONS * count:
        raise EdgeError(f"{len(up)} ends of sessions are up, there should be {2 * SESSIONS * count}")
    return seconds, memory / 1024


def available_kib() -> int:
    """MemAvailable of this machine."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    return int(lines["MemAvailable"].split()[0])
