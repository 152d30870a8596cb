"""A probe, and runs of millions of them: 20 octets each, where objects take well over a hundred. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, repeat
from typing import overload

NEVER = -(1 << 63)
"""In the column of arrivals: it did not arrive."""

LATEST_NS = (1 << 63) - 1
"""No time is later: in the year 2262."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe: when it was sent, when it arrived (None: never), and the link that carried it, where known."""

    sent_ns: int
    received_ns: int | None
    link: str = ""


class Probes(Sequence[Probe]):
    """Probes in the order of sending, never changed: a tuple of them in all but its size.

    Kept are three columns: two of times, and one of places in the few names of links that there are. Equal
    to a tuple of the same probes; not hashable.
    """

    __slots__ = ("_links", "_names", "_received", "_sent")

    def __init__(self, probes: Iterable[Probe] = ()) -> None:
        """Raises ValueError for times that 64 bits do not hold, TypeError for what is no time."""
        self._sent, self._received, self._links = array("q"), array("q"), array("I")
        places: dict[str, int] = {}
        for probe in probes:
            self._sent.append(_time(probe.sent_ns))
            self._received.append(NEVER if probe.received_ns is None else _time(probe.received_ns))
            self._links.append(places.setdefault(probe.link, len(places)))
        self._names = tuple(places)

    @classmethod
    def of_columns(cls, sent_ns: Iterable[int], received_ns: Iterable[int], links: Iterable[str]) -> Probes:
        """From columns of one length; received_ns is 0 where a probe did not arrive."""
        made, places = cls(), dict[str, int]()
        made._sent = array("q", sent_ns)
        made._received = array("q", (time or NEVER for time in received_ns))
        made._links = array("I", (places.setdefault(link, len(places)) for link in links))
        made._names = tuple(places)
        if not len(made._sent) == len(made._received) == len(made._links):
            raise ValueError("columns of different lengths")
        return made

    @classmethod
    def of(cls, probes: Iterable[Probe]) -> Probes:
        """The same, if they are packed already, else packed."""
        return probes if isinstance(probes, cls) else cls(probes)

    def __len__(self) -> int:
        return len(self._sent)

    @overload
    def __getitem__(self, place: int) -> Probe: ...
    @overload
    def __getitem__(self, place: slice) -> Probes: ...
    def __getitem__(self, place: int | slice) -> Probe | Probes:
        if isinstance(place, slice):
            return self._of(self._sent[place], self._received[place], self._links[place])
        received = self._received[place]
        return Probe(
            self._sent[place], None if received == NEVER else received, self._names[self._links[place]]
        )

    def __iter__(self) -> Iterator[Probe]:
        names = self._names
        for sent, received, link in zip(self._sent, self._received, self._links, strict=True):
            yield Probe(sent, None if received == NEVER else received, names[link])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Probes | tuple):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Probes({list(self)!r})"

    def between(self, begin_ns: int, end_ns: int) -> Probes:
        """Those that were sent in that time, its end not included."""
        chosen = bytes(begin_ns <= sent < end_ns for sent in self._sent)
        return self._of(
            array("q", compress(self._sent, chosen)),
            array("q", compress(self._received, chosen)),
            array("I", compress(self._links, chosen)),
        )

    def lost(self) -> Iterator[range]:
        """The places of each stretch of probes that never arrived."""
        begin = _next(self._received, NEVER, 0)
        while begin < len(self):
            end = begin + 1
            while end < len(self) and self._received[end] == NEVER:
                end += 1
            yield range(begin, end)
            begin = _next(self._received, NEVER, end)

    def links(self) -> tuple[str, ...]:
        """Links that carried probes which arrived, in the order of their first."""
        arrived = map(int.__ne__, self._received, repeat(NEVER))
        return tuple(self._names[link] for link in dict.fromkeys(compress(self._links, arrived)))

    def _of(self, sent: array[int], received: array[int], links: array[int]) -> Probes:
        """Some of these, by columns that become the new one's own."""
        made = Probes()
        made._sent, made._received, made._links, made._names = sent, received, links, self._names
        return made


def _next(column: array[int], value: int, begin: int) -> int:
    """The first place of a value from there on; the column's length where there is none."""
    try:
        return column.index(value, begin)
    except ValueError:
        return len(column)


def _time(time_ns: int) -> int:
    if not NEVER < time_ns <= LATEST_NS:
        raise ValueError(f"{time_ns} is no time in nanoseconds since 1970")
    return time_ns
