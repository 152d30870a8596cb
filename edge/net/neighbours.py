"""How many neighbours (ARP, neighbour discovery) the kernel keeps: one table for all namespaces of a machine.

The limit net.ipv4.neigh.default.gc_thresh3 and its IPv6 twin hold for the whole machine and are seen and set
only in its first network namespace. Beyond the limit a router finds no neighbour, and sessions stay in
Connect without any other sign than a line of the kernel's log.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.errors import CapabilityError

SETTINGS = {4: "net.ipv4.neigh.default.gc_thresh3", 6: "net.ipv6.neigh.default.gc_thresh3"}
_TABLES = {4: "arp_cache", 6: "ndisc_cache"}


@dataclass(frozen=True, slots=True)
class NeighbourTable:
    """Of one IP version: entries at most, entries now; both of the machine."""

    limit: int
    entries: int


def read_tables() -> dict[int, NeighbourTable]:
    """By IP version; one whose limit cannot be seen from here (a network namespace, no IPv6) is left out."""
    found = {}
    for family, setting in SETTINGS.items():
        try:
            limit = int(Path("/proc/sys", *setting.split(".")).read_text(encoding="ascii"))
            table = Path("/proc/net/stat", _TABLES[family]).read_text(encoding="ascii")
        except OSError:
            continue
        found[family] = NeighbourTable(limit, int(table.splitlines()[1].split()[0], 16))
    return found


def require_room(wanted: dict[int, int], tables: dict[int, NeighbourTable]) -> None:
    """Raise CapabilityError when a table has no room for so many more entries. Pure.

    wanted: entries by IP version. The remedy leaves as much room again.
    """
    missing, remedies = [], []
    for family, count in wanted.items():
        table = tables.get(family)
        if table is None or table.entries + count <= table.limit:
            continue
        missing.append(
            f"room for {count} more IPv{family} neighbours: the kernel keeps {table.limit} for the whole "
            f"machine and has {table.entries}"
        )
        remedies.append(f"sudo sysctl -w {SETTINGS[family]}={2 * (table.entries + count)}")
    if missing:
        raise CapabilityError("; ".join(missing), "; ".join(remedies))
