"""Labs that come and go, one after the other, by command and by SIGKILL: the kernel is as it was before."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from labs import Labs, contoso, until

from edge.errors import CapabilityError
from edge.net.capabilities import Asked, choose_realisation, probe
from lab.client import Client
from lab.state import RunDirectory
from tests.kernelcounts import Held, held
from tests.kernels import this_kernel

pytestmark = [pytest.mark.root, pytest.mark.kernels("here", "stock")]

CYCLES = 30
KILLS = 6
WARM_UP = 2
"""Labs before the first count: what the kernel makes once and keeps is there then."""

MEMORY_KIB_PER_LAB = 1024
"""A lab that is not freed holds six times this."""

OTHERS_KIB = 8 * 1024
"""What else the kernel takes meanwhile: half-filled slabs, and what others do on the machine."""

SETTLED_S = 180.0
"""The kernel frees a namespace when it gets round to it."""


def tiny() -> dict[str, Any]:
    """One edge and one circuit: every kind of object but packet rules, few of each."""
    document = contoso(vnets={}, name="tiny")
    site, circuit = document["sites"]["hq"], document["circuits"]["ams"]
    site |= {"edges": ["ce1"], "hosts": {}, "internet": False}
    circuit["peerings"].pop("microsoft")
    return document


def realisations() -> list[Asked]:
    """What this kernel can do, the kinds that labs here take turns with."""
    names: tuple[Asked, ...] = ("kernel", "bpf")
    capabilities, found = probe(), []
    for name in names:
        with contextlib.suppress(CapabilityError):
            found.append(choose_realisation(capabilities, name).name)
    assert found
    return list(found)


def destroy(labs: Labs) -> None:
    labs.ok("destroy", "tiny")


def kill(labs: Labs) -> None:
    """End the supervisor as nothing else can; what it leaves in the file system is the next deploy's."""
    directory = RunDirectory(labs.directory / "tiny")
    with Client(directory) as client:
        pid = client.supervisor_pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not directory.running(), "the lab has ended")


@pytest.mark.parametrize(
    ("end", "cycles"),
    [
        pytest.param(
            destroy,
            CYCLES,
            id="destroyed",
            marks=pytest.mark.shows(
                "30 labs after each other leave nothing", here="bpf", stock=("kernel", "bpf")
            ),
        ),
        pytest.param(
            kill,
            KILLS,
            id="killed",
            marks=pytest.mark.shows("`kill -9` leaves nothing", here="bpf", stock=("kernel", "bpf")),
        ),
    ],
)
def test_labs_after_each_other_leave_nothing(labs: Labs, end: Callable[[Labs], None], cycles: int) -> None:
    topology = str(labs.file(tiny()))
    kinds = realisations()

    def cycle(number: int) -> None:
        labs.ok("deploy", "-t", topology, "--links", kinds[number % len(kinds)], "--no-wait")
        end(labs)

    for number in range(WARM_UP):
        cycle(number)
    before, free = settled(), free_kib()
    mounts = Path("/proc/self/mountinfo").read_text()
    for number in range(cycles):
        cycle(number)

    budget = MEMORY_KIB_PER_LAB * cycles + OTHERS_KIB
    deadline = time.monotonic() + SETTLED_S
    while (more := held().more_than(before, cycles // 2, budget)) and time.monotonic() < deadline:
        select.select([], [], [], 0.05)
    assert not more, f"{cycles} labs have left: {', '.join(more)}"
    assert Path("/proc/self/mountinfo").read_text() == mounts
    if this_kernel() == "stock":
        # All of the guest's memory is ours to count; files that were read are given back when asked.
        until(lambda: free_kib() > free - budget, "memory is free again", SETTLED_S)
    labs.ok("destroy", "--all")
    assert not labs.directory.exists()


def settled() -> Held:
    """The count once nothing more is freed: two in a row that are alike."""
    counts = [held()]

    def calm() -> bool:
        counts.append(held())
        return not counts[-2].more_than(counts[-1], 0, MEMORY_KIB_PER_LAB)

    until(calm, "the kernel comes to rest", SETTLED_S)
    return counts[-1]


def free_kib() -> int:
    """What programs have as their own, which is this test's and its helpers', or could have."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    return sum(int(lines[name].split()[0]) for name in ("MemAvailable", "AnonPages"))
