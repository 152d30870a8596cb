"""What the ring engine does to frames besides tags, seen from the plane: devices by name, tables by number.

The plane (edge.fastpath.ring) knows devices by the names that objects use. A *stage* (a policy, queues, a bad
wire) is installed at the engine's port for a device as soon as there is one, and again when the device or the
engine comes back; so objects may be added in any order.
"""

from __future__ import annotations

import contextlib
import errno
from dataclasses import dataclass
from typing import Protocol

from edge.fastpath.ringprocess import Op, RingProcess
from edge.net.objects.base import Endpoint


@dataclass(frozen=True, slots=True)
class Where:
    """The engine's port for a device. turned: it is the inner end of the subinterface that was meant, so
    that what the device sends arrives there."""

    number: int
    turned: bool


class Host(Protocol):
    """What stages need of the plane."""

    @property
    def lock(self) -> contextlib.AbstractContextManager[object]:
        """Held by every public method; may be taken again by who has it."""

    @property
    def engine(self) -> RingProcess:
        """The engine that runs, or ran last."""

    def where(self, at: Endpoint) -> Where | None:
        """The port for a device, None while there is none."""

    def withdraw(self, op: Op, port: int = 0, body: bytes = b"") -> None:
        """Have the engine end something: quiet when it has ended itself. Raises OSError."""


class Stages(Protocol):
    """What the plane tells its stages, under its lock."""

    def arrived(self, at: Endpoint) -> None:
        """The engine has a port for this device now, with no stages. Raises OSError."""

    def gone(self, at: Endpoint) -> None:
        """The engine has no port for this device any more, so no stage either."""


class Places:
    """Ranges of numbers from 0; the first that fits is taken."""

    def __init__(self, most: int) -> None:
        self._taken: dict[int, int] = {}
        self._most = most

    def take(self, count: int = 1) -> int:
        """The first of `count` free numbers. Raises OSError when there are not so many in a row."""
        start = 0
        for first, length in sorted(self._taken.items()):
            if first - start >= count:
                break
            start = first + length
        if start + count > self._most:
            raise OSError(errno.ENOSPC, "the engine's tables are full; a second lab has its own")
        self._taken[start] = count
        return start

    def give_back(self, first: int) -> None:
        """The range that begins there is free. KeyError when none does."""
        del self._taken[first]
