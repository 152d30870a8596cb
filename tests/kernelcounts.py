"""What the kernel holds though nobody has it: namespaces, BPF objects; and the memory that no process has.

What processes have (by descriptor, as their own, by a mount) is left out, so that other programs of the
machine do not count. The kernel frees some things late: wait for it with a deadline.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.fastpath.bpf import SYSCALL_NUMBERS

_BPF = {"prog_id": 11, "map_id": 12, "link_id": 31}
"""As /proc/PID/fdinfo calls them: the commands BPF_*_GET_NEXT_ID of <linux/bpf.h>."""

_MEMORY = ("SUnreclaim", "KernelStack", "PageTables", "Percpu", "VmallocUsed")
"""Lines of /proc/meminfo that are the kernel's own and cannot be taken back at will, in kB."""

_SHRINK = Path("/sys/kernel/slab/net_namespace/shrink")
_NETNS = re.compile(r"net:\[(\d+)\]")
_BPF_ID = re.compile(r"^(prog_id|map_id|link_id):\s*(\d+)$", re.MULTILINE)

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Held:
    """namespaces: how many network namespaces nobody has. bpf: kind and number of objects nobody has."""

    namespaces: int
    bpf: frozenset[tuple[str, int]]
    memory_kib: int

    def more_than(self, before: Held, namespaces: int, memory_kib: int) -> list[str]:
        """What there is now and was not, in words; so many namespaces and KiB are let pass."""
        words = [f"BPF {kind} {number}" for kind, number in sorted(self.bpf - before.bpf)]
        if self.namespaces - before.namespaces > namespaces:
            words.append(f"{self.namespaces - before.namespaces} network namespaces")
        if self.memory_kib - before.memory_kib > memory_kib:
            words.append(f"{self.memory_kib - before.memory_kib} KiB of the kernel's memory")
        return words


def held() -> Held:
    """Look now. Needs root."""
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    there = {(kind, number) for kind, command in _BPF.items() for number in _ids(command)}
    namespaces, bpf = _had()
    return Held(
        _namespaces() - len(namespaces),
        frozenset(there - bpf),
        sum(int(memory[name].split()[0]) for name in _MEMORY),
    )


def _namespaces() -> int:
    """How many network namespaces there are; a few more when a processor keeps freed ones at hand."""
    with contextlib.suppress(OSError):
        _SHRINK.write_text("1", encoding="ascii")
    for line in Path("/proc/slabinfo").read_text(encoding="ascii").splitlines():
        if line.startswith("net_namespace "):
            return int(line.split()[1])
    return 0


def _had() -> tuple[set[str], set[tuple[str, int]]]:
    """Network namespaces and BPF objects that a process has."""
    namespaces: set[str] = set()
    bpf: set[tuple[str, int]] = set()
    mounts: set[str] = set()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        # Processes and their descriptors go while we look.
        with contextlib.suppress(OSError):
            mount_namespace = (process / "ns" / "mnt").readlink().name
            namespaces |= set(_NETNS.findall((process / "ns" / "net").readlink().name))
            if mount_namespace not in mounts:
                mounts.add(mount_namespace)
                namespaces |= set(_NETNS.findall((process / "mountinfo").read_text(encoding="utf-8")))
        for number, target in _descriptors(process):
            namespaces |= set(_NETNS.findall(target))
            if target.startswith("anon_inode:bpf"):
                info = _text(process / "fdinfo" / number)
                bpf |= {(kind, int(identifier)) for kind, identifier in _BPF_ID.findall(info)}
    return namespaces, bpf


def _descriptors(process: Path) -> Iterator[tuple[str, str]]:
    """Number and target of each."""
    with contextlib.suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                yield descriptor.name, str(descriptor.readlink())


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="ascii", errors="replace")
    return ""


def _ids(command: int) -> list[int]:
    found = [0]
    while True:
        attributes = (ctypes.c_uint32 * 3)(found[-1], 0, 0)
        number = ctypes.c_long(SYSCALL_NUMBERS[platform.machine()])
        if _libc.syscall(number, ctypes.c_long(command), attributes, ctypes.c_ulong(12)):
            error = ctypes.get_errno()
            if error == 2:  # ENOENT: that was the last
                return found[1:]
            raise OSError(error, os.strerror(error))
        found.append(attributes[1])
