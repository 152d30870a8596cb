"""What a running lab has of the machine: processes, open descriptors, memory. Read from /proc."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.errors import EdgeError

GROWTH_KIB = 4 * 1024
"""Memory that each process may have more of than before: BIRD keeps what it once had for a flood of routes,
and the supervisor what it had for its busiest moment.
"""

GROWTH_DESCRIPTORS = 2
"""Descriptors that each process may have more of than before: BIRD opens some sockets when first needed."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """processes: name -> how many; descriptors: of all of them together; memory_kib: theirs, shared pages
    counted once (PSS).
    """

    processes: Mapping[str, int]
    descriptors: int
    memory_kib: int

    def more_than(self, before: Footprint) -> list[str]:
        """What there is now and was not, in words. Pure.

        Descriptors may grow by GROWTH_DESCRIPTORS a process, memory by GROWTH_KIB.
        """
        words = [
            f"{count - before.processes.get(name, 0)} more {name}"
            for name, count in sorted(self.processes.items())
            if count > before.processes.get(name, 0)
        ]
        words += [
            f"{count - self.processes.get(name, 0)} fewer {name}"
            for name, count in sorted(before.processes.items())
            if count > self.processes.get(name, 0)
        ]
        count = sum(before.processes.values())
        if self.descriptors - before.descriptors > GROWTH_DESCRIPTORS * count:
            words.append(f"{self.descriptors - before.descriptors} more descriptors")
        if self.memory_kib - before.memory_kib > GROWTH_KIB * count:
            words.append(f"{self.memory_kib - before.memory_kib} KiB more memory")
        return words


def footprint(supervisor: int) -> Footprint:
    """Of the lab whose process 1 has this id here. Raises EdgeError when the lab has ended."""
    try:
        inside = (Path("/proc") / str(supervisor) / "ns/pid").readlink()
    except OSError as error:
        raise EdgeError(f"the lab of process {supervisor} cannot be looked at: {error.strerror}") from error
    names: Counter[str] = Counter()
    descriptors = memory_kib = 0
    for process in Path("/proc").glob("[0-9]*"):
        # Processes end while we look at them.
        with contextlib.suppress(OSError):
            if (process / "ns/pid").readlink() != inside:
                continue
            name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
            open_now = sum(1 for _ in (process / "fd").iterdir())
            memory = _pss_kib(process)
            names[name] += 1
            descriptors += open_now
            memory_kib += memory
    if not names:
        raise EdgeError("/proc tells nothing of the lab's processes; run it as the user who deployed it")
    return Footprint(dict(names), descriptors, memory_kib)


def _pss_kib(process: Path) -> int:
    for line in (process / "smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
