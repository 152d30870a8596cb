"""What markings share in the kernel: compiled policies, and ranges of counters.

A policy is a map of its own inside the map `policies`, so it is there whole or not at all, whatever runs
meanwhile. Equal tables are one.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from edge.fastpath import bpf
from edge.fastpath.layout import pack_index, unpack_index
from edge.fastpath.program import MapSpec


@dataclass(slots=True)
class Table:
    """A compiled policy in the kernel; `users` markings share it."""

    content: bytes
    slot: int
    held: bpf.Map
    users: int = 0


class Tables:
    """The compiled policies in `policies`, a map of maps like `spec`. Errors are OSError."""

    def __init__(self, policies: bpf.Map, spec: MapSpec, slots: int) -> None:
        self._policies, self._spec = policies, spec
        self._free = list(range(slots - 1, -1, -1))
        self._tables: dict[bytes, Table] = {}

    def take(self, content: bytes) -> Table:
        """The table with that content, put there if there is none; to be given back by `give_back`."""
        table = self._tables.get(content)
        if table is None:
            if not self._free:
                raise OSError(errno.ENOSPC, "there are too many policies; let markings share them")
            sizes = (self._spec.key_size, self._spec.value_size)
            held = bpf.Map("policy", self._spec.kind, sizes, self._spec.max_entries)
            try:
                held.put(pack_index(0), content)
                self._policies.put(pack_index(self._free[-1]), pack_index(held.fd))
            except OSError:
                held.close()
                raise
            table = self._tables[content] = Table(content, self._free.pop(), held)
        elif not self.intact(table):
            # Somebody else wrote into it, or took it out.
            table.held.put(pack_index(0), content)
            self._policies.put(pack_index(table.slot), pack_index(table.held.fd))
        table.users += 1
        return table

    def give_back(self, table: Table) -> None:
        """One marking less uses it; the last one's takes it out of the kernel.

        Afterwards no program is at work that began before: the kernel waits for that after each change of a
        map of maps (maybe_wait_bpf_programs, kernel/bpf/syscall.c).
        """
        table.users -= 1
        if table.users:
            self._policies.put(pack_index(table.slot), pack_index(table.held.fd))
            return
        del self._tables[table.content]
        self._policies.delete(pack_index(table.slot))
        table.held.close()
        self._free.append(table.slot)

    def intact(self, table: Table) -> bool:
        """Whether the kernel has it in its place, octet by octet."""
        number = self._policies.get(pack_index(table.slot))
        there = number is not None and unpack_index(number) == table.held.id()
        return there and table.held.get(pack_index(0)) == table.content

    def close(self) -> None:
        """Let go of all of them."""
        for table in self._tables.values():
            table.held.close()
        self._tables.clear()


class Ranges:
    """Indexes from `first` to below `end`, handed out as ranges; freed neighbours become one again. Pure."""

    def __init__(self, first: int, end: int) -> None:
        self._free: dict[int, int] = {first: end - first}

    def take(self, length: int) -> int:
        """The first index of `length` free ones in a row. Raises OSError (ENOSPC)."""
        start = min((s for s, free in self._free.items() if free >= length), default=None)
        if start is None:
            raise OSError(errno.ENOSPC, "the marking plane's tables are full; use policies of fewer rules")
        free = self._free.pop(start)
        if free > length:
            self._free[start + length] = free - length
        return start

    def give_back(self, start: int, length: int) -> None:
        """Free a range that was taken."""
        following = self._free.pop(start + length, 0)
        before = next((s for s, free in self._free.items() if s + free == start), None)
        if before is None:
            self._free[start] = length + following
        else:
            self._free[before] += length + following
