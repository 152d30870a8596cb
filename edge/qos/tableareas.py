"""The octets of a flat table, area after area: see csrc/policy.h. Pure."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence

from edge.errors import UsageError
from edge.qos.classes import Sweep

HEAD_SIZE = 224
"""Octets of struct edge_policy_head."""
BOUNDS_MAX = 1 << 14
"""Most parts of a side's addresses of an IP version (EDGE_SEARCH_STEPS)."""
PORT_BITS = 5
"""Ports of a page: 2 to the power of this (EDGE_PORT_BITS)."""
FEW = 8
"""Bounds of IPv4 that stand in a table at least (EDGE_FEW)."""
TREE_KEYS = 8
"""Bounds of a node of the AVX2 lane's tree (EDGE_TREE_KEYS)."""
_SIDE = struct.Struct("=8I")
_LAST = {4: (1 << 32) - 1, 6: (1 << 128) - 1}
_U64 = (1 << 64) - 1


class Areas:
    """Collects areas behind the head; every method returns the offset of what it added.

    `policy` is its name, for the error; `limit` how many octets a table may have.
    """

    def __init__(self, policy: str, limit: int) -> None:
        self._policy = policy
        self._limit = limit
        self._octets = bytearray(HEAD_SIZE)

    @property
    def size(self) -> int:
        """Octets so far."""
        return len(self._octets)

    def add(self, octets: bytes) -> int:
        """Octets as they are. Raises UsageError when the table becomes too big."""
        offset = len(self._octets)
        self._octets += octets
        self._octets += bytes(-len(octets) % 8)
        if len(self._octets) > self._limit:
            raise UsageError(
                f"policy {self._policy}: its table would need more than {self._limit // 1024} KiB; way out: "
                "fewer rules with different prefixes and ports, or one rule with several prefixes "
                "instead of several"
            )
        return offset

    def put(self, offset: int, octets: bytes) -> None:
        """Write over what was added before."""
        self._octets[offset : offset + len(octets)] = octets

    def add_numbers(self, numbers: Sequence[int]) -> int:
        """16-bit numbers."""
        return self.add(array("H", numbers).tobytes())

    def add_words(self, numbers: Sequence[int]) -> int:
        """32-bit numbers."""
        return self.add(array("I", numbers).tobytes())

    def add_pages(self, ports: Sweep, multiply: int) -> int:
        """A class for every port: the places of its pages, and each different page once."""
        every = array("H")
        ends = (*ports.starts[1:], 1 << 16)
        for start, end, number in zip(ports.starts, ends, ports.classes, strict=True):
            every.extend(array("H", [number * multiply]) * (end - start))
        octets = every.tobytes()
        size = 2 << PORT_BITS
        index = self.add(bytes(len(octets) // size * 2))
        places: dict[bytes, int] = {}
        pages = array("H")
        for start in range(0, len(octets), size):
            page = octets[start : start + size]
            place = places.get(page)
            if place is None:
                place = places[page] = self.add(page) // 8
            pages.append(place)
        self.put(index, pages.tobytes())
        return index

    def add_side(self, four: Sweep, six: Sweep, multiply: int) -> bytes:
        """Bounds and classes of a side's addresses; returns its struct edge_side."""
        if max(len(four.starts), len(six.starts)) > BOUNDS_MAX:
            raise UsageError(
                f"policy {self._policy}: its prefixes cut a side's addresses into more than {BOUNDS_MAX} "
                "parts; way out: shorter prefixes that cover several"
            )
        count4, count6 = _power_of_two(len(four.starts)), _power_of_two(len(six.starts))
        starts4, classes4 = _padded(four, 4, multiply, max(count4, FEW))
        starts6, classes6 = _padded(six, 6, multiply, count6)
        halves = [half for start in starts6 for half in (start >> 64, start & _U64)]
        self._align(4 * FEW)
        return _SIDE.pack(
            self.add(struct.pack(f"={len(starts4)}I", *starts4)),
            self.add_numbers(classes4),
            self.add(struct.pack(f"={len(halves)}Q", *halves)),
            self.add_numbers(classes6),
            count4,
            count6,
            *self._add_tree(starts4[:count4]),
        )

    def _add_tree(self, starts: Sequence[int]) -> tuple[int, int]:
        """The bounds as a tree of nodes with eight of them: its offset and how many levels it has.

        Node i of the last level tells apart the intervals 9 i to 9 i + 8, and so on upwards. Uppermost bits
        are turned over, for processors that compare numbers with a sign only. Nodes are aligned to their
        size.
        """
        levels: list[array[int]] = []
        step = 1
        while step < len(starts):
            below = step * (TREE_KEYS + 1)
            nodes = -(-len(starts) // below)
            places = (node * below + key * step for node in range(nodes) for key in range(1, TREE_KEYS + 1))
            keys = (starts[place] if place < len(starts) else _LAST[4] for place in places)
            levels.append(array("I", [key ^ 0x80000000 for key in keys]))
            step = below
        self._align(4 * TREE_KEYS)
        return self.add(b"".join(level.tobytes() for level in reversed(levels))), len(levels)

    def _align(self, octets: int) -> None:
        self.add(bytes(-len(self._octets) % octets))

    def add_vectors(self, sets: Sequence[int], words: int) -> int:
        """A summary and `words` words of 64 rows for each set."""
        return self.add(b"".join(_vector(rows, words) for rows in sets))

    def finish(self, head: bytes) -> bytes:
        """The whole table."""
        self._octets[: len(head)] = head
        return bytes(self._octets)


def _power_of_two(number: int) -> int:
    """The least one that is not less."""
    return 1 << (number - 1).bit_length()


def _padded(sweep: Sweep, version: int, multiply: int, count: int) -> tuple[list[int], list[int]]:
    """To `count` of them: an address is never below the padding unless it is below the last bound, too, or
    it is the greatest address, for which padding has the last class."""
    missing = count - len(sweep.starts)
    classes = [number * multiply for number in sweep.classes]
    return [*sweep.starts, *[_LAST[version]] * missing], [*classes, *[classes[-1]] * missing]


def _vector(rows: int, words: int) -> bytes:
    packed = array("Q", rows.to_bytes(words * 8, "little"))
    if sys.byteorder == "big":
        packed.byteswap()
    summary = sum(1 << index for index, word in enumerate(packed) if word)
    return struct.pack("=Q", summary) + packed.tobytes()
