"""ns per packet to classify and mark, in cache and out, beside a touched cache line, rte_acl, nDPI, Python.

The C programs of rivals/ measure, by the CPU clock of their thread; the ways take turns inside each.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from edge.errors import CapabilityError, EdgeError
from edge.qos.model import Policy, PortRange
from edge.qos.table import compile_policy
from tests import oracle
from tests.bench import traffic
from tests.bench.policies import TWELVE, large
from tests.bench.report import Row
from tests.fastpath.captures import pcap

ROOT = Path(__file__).resolve().parents[2]
RIVALS = Path(__file__).resolve().parent / "rivals"
CSRC = ROOT / "csrc"

LIMIT_CACHE_NS = 5.0
"""200 million packets per second and core."""
LIMIT_TOUCH, MOONSHOT_TOUCH = 1.3, 1.15
"""Of the cost of touching one cache line per packet, out of cache (IPv4)."""
MOONSHOT_TOUCH_MIXED = 1.5
LIMIT_ACL = 1 / 6
"""Of the best mode of rte_acl."""
MOONSHOT_MARK_NS = 9.0
"""To classify and rewrite every packet that a rule takes, in cache."""
MOONSHOT_500 = 2.0
"""Of the cost of 12 rules."""

LANES = ("avx2", "scalar", "linear")
LAYOUTS = {"cache": "in cache", "order": "{} MB in order", "random": "{} MB at random"}
LEAST_MEGABYTES, MOST_MEGABYTES = 64, 1024
LAST_CACHE = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
PYTHON_PACKETS = 2000


@dataclass(frozen=True, slots=True)
class Size:
    """megabytes: of the large layouts. samples: per way. flow_packets: of the capture for nDPI."""

    megabytes: int
    samples: int = 15
    flow_packets: int = 200_000


QUICK = Size(2, 3, 2000)


def full_size() -> Size:
    """Large layouts are four times the last cache, so that most lines come from memory."""
    cache = LAST_CACHE.read_text().strip() if LAST_CACHE.exists() else "0K"
    kilobytes = int(cache[:-1]) * (1024 if cache.endswith("M") else 1)
    return Size(min(MOST_MEGABYTES, max(LEAST_MEGABYTES, 4 * kilobytes // 1000)))


Times = dict[tuple[str, str], float]
"""(layout, way) -> median ns per packet."""


def run(quick: bool = False) -> Sequence[Row]:
    """All rows. Raises EdgeError when a way judges otherwise than the oracle, CapabilityError without gcc."""
    size = QUICK if quick else full_size()
    with tempfile.TemporaryDirectory(prefix="edgelab-bench-") as directory:
        bench = _Bench(Path(directory), size)
        return [
            *bench.rows_of_lanes(),
            *bench.rows_of_rules(),
            *bench.rows_of_acl(),
            *bench.rows_of_readers(),
        ]


class _Bench:
    def __init__(self, scratch: Path, size: Size) -> None:
        self.scratch, self.size = scratch, size
        self.words = {layout: words.format(size.megabytes) for layout, words in LAYOUTS.items()}
        self.packets = {"v4": traffic.v4(), "mixed": traffic.mixed()}
        for name, slot in (("v4", traffic.V4_SLOT), ("mixed", traffic.MIXED_SLOT)):
            traffic.write_packets(scratch / name, self.packets[name], slot)
        self.lanes = scratch / "lanes"
        sources = [str(CSRC / name) for name in ("classify.c", "lanes_avx2.c")]
        compile_c(RIVALS / "lanes.c", self.lanes, [*sources, '-DEDGE_SOURCES="bench"'])
        self.twelve = {name: self.times(TWELVE, name) for name in self.packets}

    def times(self, policy: Policy, packets: str, megabytes: int | None = None) -> Times:
        """What our lanes take with a policy; their verdicts are compared with the oracle's."""
        names = "table", "other"
        for name, version in zip(names, (policy, _with_other_marks(policy)), strict=True):
            (self.scratch / name).write_bytes(compile_policy(version, "out", "mark"))
        outcomes = self.scratch / "outcomes"
        done = _run(
            [
                str(self.lanes),
                *(str(self.scratch / name) for name in (*names, packets)),
                str(megabytes or self.size.megabytes),
                str(self.size.samples),
                str(outcomes),
            ]
        )
        self.compare(policy, packets, outcomes)
        return parse_times(done)

    def compare(
        self, policy: Policy, packets: str, outcomes: Path, rows: Sequence[int] | None = None
    ) -> None:
        """Raises EdgeError when outcomes are not those of the oracle. rows: rule of each outcome."""
        numbers = [number for (number,) in struct.iter_unpack("=H", outcomes.read_bytes())]
        for at, number in enumerate(numbers):
            rule = None if number == 0xFFFF else rows[number] if rows is not None else number
            wanted = oracle.verdict(self.packets[packets][at], policy, "out", "mark")[0].rule
            if rule != wanted:
                raise EdgeError(f"packet {at} of {packets}: rule {rule}, and {wanted} by the reference")

    def rows_of_lanes(self) -> list[Row]:
        """Each lane in each layout beside the touched line."""
        rows = []
        for packets, times in self.twelve.items():
            for layout, words in self.words.items():
                for lane in LANES:
                    for verb in ("classify", "mark"):
                        ours = times.get((layout, f"{verb}-{lane}"))
                        name = f"{verb} {packets} {words}, {lane}"
                        if ours is None:
                            rows.append(Row(name, "ns", None, None, note="this processor has no AVX2"))
                        else:
                            rows.append(self._judged(name, packets, layout, lane, verb, ours))
        return rows

    def _judged(self, name: str, packets: str, layout: str, lane: str, verb: str, ours: float) -> Row:
        touch = self.twelve[packets][layout, "touch"]
        best = lane == LANES[0]
        if layout == "cache":
            mark = MOONSHOT_MARK_NS if best and verb == "mark" and packets == "v4" else None
            limit = LIMIT_CACHE_NS if best and verb == "classify" and packets == "v4" else None
            return Row(name, "ns", ours, None, limit, mark, note=f"touch one line: {touch:.2f} ns")
        if best and verb == "classify" and packets == "v4":
            return Row(name, "ns", ours, touch, LIMIT_TOUCH, MOONSHOT_TOUCH, note="rival: touch one line")
        moonshot = MOONSHOT_TOUCH_MIXED if best and verb == "classify" else None
        return Row(name, "ns", ours, touch, None, moonshot, note="rival: touch one line")

    def rows_of_rules(self) -> list[Row]:
        """What 100 and 500 rules with prefixes take beside 12, by the lane that is chosen.

        The packets of `v4` and `mixed` are of none of the listed sites; in the third row all of them are.
        """
        rows = []
        for count in (100, 500):
            policy, sites = large(count), f"v4 at {count} sites"
            self.packets[sites] = traffic.listed(policy)
            traffic.write_packets(self.scratch / sites, self.packets[sites], traffic.V4_SLOT)
            for packets, beside in (("v4", "v4"), ("mixed", "mixed"), (sites, "v4")):
                times = self.times(policy, packets, megabytes=1)
                for verb in ("classify", "mark"):
                    ours, few = best(times, "cache", verb), best(self.twelve[beside], "cache", verb)
                    asked = count == 500 and verb == "classify" and packets != sites
                    name = f"{verb} {packets} in cache, {count} rules against 12"
                    rows.append(Row(name, "ns", ours, few, None, MOONSHOT_500 if asked else None))
        return rows

    def rows_of_acl(self) -> list[Row]:
        """rte_acl in its best mode on the same packets and rules."""
        names = [f"classify v4 {words} against rte_acl" for words in self.words.values()]
        ours = [best(self.twelve["v4"], layout, "classify") for layout in LAYOUTS]
        try:
            times = self._acl_times()
        except CapabilityError as error:
            note = str(error).replace("\n  way out:", ":")
            return [Row(name, "ns", own, None, note=note) for name, own in zip(names, ours, strict=True)]
        rows = []
        for layout, name, own in zip(LAYOUTS, names, ours, strict=True):
            modes = {way: value for (where, way), value in times.items() if where == layout}
            mode = min(modes, key=modes.__getitem__)
            rows.append(Row(name, "ns", own, modes[mode], LIMIT_ACL, note=f"best mode: {mode}"))
        return rows

    def _acl_times(self) -> Times:
        flags = [package_flags("--cflags"), package_flags("--libs")]
        program, rules, outcomes = (self.scratch / name for name in ("acl", "rules", "acl-outcomes"))
        native = ["-march=native"] if platform.machine() == "x86_64" else []
        compile_c(RIVALS / "acl.c", program, [*flags[0], *native], flags[1])
        lines = [
            (index, line) for index, rule in enumerate(TWELVE.rules) for line in acl_lines(TWELVE, index)
        ]
        rules.write_text("".join(f"{line}\n" for _, line in lines))
        done = _run(
            [
                str(program), str(rules), str(self.scratch / "v4"), str(self.size.megabytes),
                str(self.size.samples), str(outcomes),
            ]
        )  # fmt: skip
        self.compare(TWELVE, "v4", outcomes, [index for index, _ in lines])
        return parse_times(done)

    def rows_of_readers(self) -> list[Row]:
        """nDPI on long flows, and what people write in Python."""
        ours = best(self.twelve["v4"], "cache", "classify")
        return [
            self._ndpi_row(ours),
            self._python_row("dpkt", "python3-dpkt", ours),
            self._python_row("scapy", "python3-scapy", ours),
        ]

    def _ndpi_row(self, ours: float) -> Row:
        name = "classify v4 in cache against nDPI, 235 long flows, reading included"
        if not shutil.which("ndpiReader"):
            return Row(name, "ns", ours, None, note="no ndpiReader: apt-get install libndpi-bin")
        path = self.scratch / "flows.pcap"
        flows = traffic.v4(235)
        repeated = flows * (self.size.flow_packets // len(flows) + 1)
        path.write_bytes(pcap(repeated))
        times = [cpu_seconds(["ndpiReader", "-q", "-i", str(path)]) for _ in range(3)]
        return Row(name, "ns", ours, statistics.median(times) * 1e9 / len(repeated))

    def _python_row(self, module: str, package: str, ours: float) -> Row:
        name = f"classify v4 in cache against {module}"
        for interpreter in (sys.executable, "/usr/bin/python3"):
            if subprocess.run(
                [interpreter, "-c", f"import {module}"], capture_output=True, check=False
            ).returncode:
                continue
            rules, outcomes = self.scratch / "python-rules", self.scratch / "python-outcomes"
            rules.write_text(json.dumps([_plain(TWELVE, index) for index in range(len(TWELVE.rules))]))
            words = [interpreter, str(RIVALS / "python_rules.py"), module]
            done = _run([*words, str(rules), str(self.scratch / "v4"), str(PYTHON_PACKETS), str(outcomes)])
            self.compare(TWELVE, "v4", outcomes)
            return Row(name, "ns", ours, float(done))
        return Row(name, "ns", ours, None, note=f"no {module}: apt-get install {package}")


def _with_other_marks(policy: Policy) -> Policy:
    """The same rules with other DSCPs, none of which the packets come with."""
    rules = tuple(replace(rule, dscp=None if rule.dscp is None else rule.dscp ^ 1) for rule in policy.rules)
    return replace(policy, rules=rules)


def best(times: Times, layout: str, verb: str) -> float:
    """The fastest lane."""
    return min(
        value for (where, way), value in times.items() if where == layout and way.startswith(f"{verb}-")
    )


def parse_times(output: str) -> Times:
    """What the C programs print (rivals/measure.h). Pure."""
    lines = (line.split() for line in output.splitlines())
    return {(layout, way): float(median) for layout, way, median, _least in lines}


def acl_lines(policy: Policy, index: int) -> list[str]:
    """A rule as rivals/acl.c reads it: IPv4, a line for each combination of its values. Pure."""
    rule = policy.rules[index]
    everything: PortRange = (0, 65535)
    lines = []
    for protocol, source, destination in product(
        rule.protocols or (None,), rule.source or (None,), rule.destination or (None,)
    ):
        if any(prefix is not None and prefix.version == 6 for prefix in (source, destination)):
            continue
        numbers = [protocol or 0, 255 if protocol else 0]
        for prefix in (source, destination):
            numbers += [int(prefix.network_address), prefix.prefixlen] if prefix else [0, 0]
        numbers += [*(rule.source_ports or everything), *(rule.destination_ports or everything)]
        lines.append(" ".join(map(str, numbers)))
    return lines


def _plain(policy: Policy, index: int) -> dict[str, object]:
    rule = policy.rules[index]
    return {
        "protocols": rule.protocols,
        "source_ports": rule.source_ports,
        "destination_ports": rule.destination_ports,
        "source": [(int(prefix.network_address), int(prefix.netmask)) for prefix in rule.source],
        "destination": [(int(prefix.network_address), int(prefix.netmask)) for prefix in rule.destination],
    }


def compile_c(source: Path, program: Path, before: Sequence[str] = (), after: Sequence[str] = ()) -> None:
    """Build a program of rivals/. Raises CapabilityError without gcc, EdgeError with the compiler's words."""
    if not shutil.which("gcc"):
        raise CapabilityError("no gcc", "apt-get install gcc libc6-dev")
    words = ["gcc", "-O3", "-std=gnu11", "-Wall", "-Wextra", *before, str(source), "-o", str(program), *after]
    _run(words)


def package_flags(kind: str) -> list[str]:
    """What pkg-config says of DPDK. Raises CapabilityError where it is not installed."""
    missing = CapabilityError("no rte_acl", "apt-get install libdpdk-dev pkg-config")
    if not shutil.which("pkg-config"):
        raise missing
    done = subprocess.run(["pkg-config", kind, "libdpdk"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise missing
    return shlex.split(done.stdout)


def cpu_seconds(words: Sequence[str], environment: Mapping[str, str] | None = None) -> float:
    """User and system time of a program. Raises EdgeError when it fails."""
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as program:
        assert program.stderr is not None
        said = program.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(program.pid, 0)
        program.returncode = os.waitstatus_to_exitcode(status)
    if program.returncode:
        raise EdgeError(f"{' '.join(words)} failed with status {program.returncode}:\n{said}")
    return usage.ru_utime + usage.ru_stime


def _run(words: Sequence[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EdgeError(f"{' '.join(words)} failed with status {done.returncode}:\n{done.stderr}")
    return done.stdout
