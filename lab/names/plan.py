"""What of the table a lab has, as data: who resolves, who answers, to which names. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from edge.model import Address

Record = tuple[str, tuple[Address, ...]]
"""A name (`*.` in front: every name below, too) and its addresses."""


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """A host that answers HTTPS, and HTTP, to its names on its addresses.

    reached: by a Microsoft peering where that has the routes, or by the Internet always.
    """

    namespace: str
    title: str
    addresses: tuple[Address, ...]
    names: tuple[str, ...]
    reached: Literal["microsoft", "internet"]


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a lab. resolver: the namespace where DNS is served, at `address`."""

    resolver: str
    address: Address
    front_ends: tuple[FrontEnd, ...]

    def records(self) -> tuple[Record, ...]:
        """Every name with its addresses."""
        return tuple((name, end.addresses) for end in self.front_ends for name in end.names)

    def named(self, host: str) -> FrontEnd | None:
        """The front end that a host name leads to: an exact name before the longest `*.` that covers it."""
        return named(self.front_ends, host)


def named(front_ends: Iterable[FrontEnd], host: str) -> FrontEnd | None:
    """See Names.named. Names are compared without regard to case (RFC 4343)."""
    wanted = host.lower().rstrip(".")
    best: FrontEnd | None = None
    length = -1
    for end in front_ends:
        for name in end.names:
            if name == wanted:
                return end
            if name.startswith("*.") and wanted.endswith(name[1:]) and len(name) > length:
                best, length = end, len(name)
    return best
