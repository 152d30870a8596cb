"""`edgelab top` as data: rows from two readings of a lab and the time between. Pure; lab.topreading fills it.

`to_json` is a contract: it carries "version" and only grows. Rates are those between the two readings, and
None where there was no earlier one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lab.classes import QueueRow
from lab.eventwords import event_words
from lab.report.traffic import harm_words
from lab.view import LabView, LinkView, SessionView

EVENTS_KEPT = 100
"""Latest events that a reading bears."""

LEAST_LINES = 3
"""Lines in which a part says anything."""


@dataclass(frozen=True, slots=True)
class Octets:
    """What a device has received and sent since it was made."""

    received: int
    sent: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A lab at one moment.

    at: seconds of a clock that only goes forward. traffic: by "namespace:device". events: the oldest first.
    """

    at: float
    time: float
    view: LabView
    queues: tuple[QueueRow, ...]
    traffic: Mapping[str, Octets]
    events: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class SessionLine:
    """A BGP session. good: it is up. why: the reason when it is not. uptime_s: None when it is not."""

    label: str
    router: str
    neighbour: str
    state: str
    good: bool
    uptime_s: float | None
    imported: int
    exported: int
    bfd: str
    why: str


@dataclass(frozen=True, slots=True)
class LinkLine:
    """A wire. state: up, no carrier, shut down or unknown. Rates in bits per second, from a and from b.

    impaired: what harms its frames, in words.
    """

    name: str
    a: str
    b: str
    state: str
    good: bool
    from_a_bps: float | None
    from_b_bps: float | None
    impaired: str


@dataclass(frozen=True, slots=True)
class ClassLine:
    """A class of a port. Rates per second; drops: all since the queue was made; waiting: packets now."""

    port: str
    circuit: str
    name: str
    packets_s: float | None
    bits_s: float | None
    drops_s: float | None
    drops: int
    waiting: int


@dataclass(frozen=True, slots=True)
class EventLine:
    """Something that happened. time: seconds since 1970."""

    time: float
    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it. What needs a look comes first in each part; events as they came, the latest last."""

    lab: str
    time: float
    uptime_s: float
    realisation: str
    nodes: int
    established: int
    sessions_all: int
    sessions: tuple[SessionLine, ...]
    links: tuple[LinkLine, ...]
    classes: tuple[ClassLine, ...]
    events: tuple[EventLine, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--format json`."""
        return {"version": 1, **asdict(self)}


def picture(now: Reading, before: Reading | None) -> Picture:
    """What to show of a lab after two readings, or after one."""
    seconds = now.at - before.at if before is not None else 0.0
    earlier = before if seconds > 0 else None
    sessions = [_session(item) for item in now.view.sessions if _shown(item)]
    links = [_link(item, now, earlier, seconds) for item in now.view.links]
    classes = list(_classes(now, earlier, seconds))
    wanted = [item for item in now.view.sessions if not item.shut or item.established]
    return Picture(
        now.view.name,
        now.time,
        now.view.uptime_s,
        now.view.realisation,
        len(now.view.nodes),
        sum(item.established for item in wanted),
        len(wanted),
        tuple(sorted(sessions, key=lambda item: item.good)),
        tuple(sorted(links, key=_link_order)),
        tuple(sorted(classes, key=_class_order)),
        tuple(_events(now.events)),
    )


def _events(events: Sequence[Mapping[str, Any]]) -> Iterator[EventLine]:
    """All but what only a debugger of BIRD wants to know: each session passes five states on its way up."""
    for item in events:
        if not str(item.get("text", "")).startswith("State changed to "):
            yield EventLine(item["time"], item["kind"], event_words(item))


def _shown(item: SessionView) -> bool:
    """The customer's end of each peering; of all others only those that should be up and are not."""
    return item.side == "customer" or (not item.established and not item.shut)


def _session(item: SessionView) -> SessionLine:
    return SessionLine(
        item.label,
        item.node,
        item.neighbor,
        item.state,
        item.established,
        item.uptime_s,
        item.imported,
        item.exported,
        item.bfd,
        item.why,
    )


def _link(item: LinkView, now: Reading, before: Reading | None, seconds: float) -> LinkLine:
    state = "unknown"
    if item.up is not None:
        state = "shut down" if not item.up else "up" if item.carrier else "no carrier"
    from_a, from_b = _rates(item, now, before, seconds)
    impaired = "; ".join(f"to {one.towards}: {harm_words(one)}" for one in item.impairments)
    return LinkLine(item.name, item.a, item.b, state, state == "up", from_a, from_b, impaired)


def _rates(
    item: LinkView, now: Reading, before: Reading | None, seconds: float
) -> tuple[float | None, float | None]:
    """Bits per second from both ends, as the first end counts them, or the other where that is not there."""
    if before is None:
        return None, None
    for end, is_a in ((item.a, True), (item.b, False)):
        new, old = now.traffic.get(end), before.traffic.get(end)
        if new is None or old is None:
            continue
        sent, received = new.sent - old.sent, new.received - old.received
        if sent < 0 or received < 0:
            continue  # the device was made anew
        rates = (sent * 8 / seconds, received * 8 / seconds)
        return rates if is_a else (rates[1], rates[0])
    return None, None


def _link_order(item: LinkLine) -> tuple[bool, bool, int]:
    return item.good, not item.impaired, -_magnitude((item.from_a_bps or 0.0) + (item.from_b_bps or 0.0))


def _magnitude(rate: float) -> int:
    """Digits of a rate: rows that pass about the same stay where they are from look to look."""
    return len(str(int(rate))) if rate >= 1 else 0


def _classes(now: Reading, before: Reading | None, seconds: float) -> Iterator[ClassLine]:
    earlier = {_key(item): item for item in before.queues} if before else {}
    for item in now.queues:
        old = earlier.get(_key(item))
        if old is None or item.packets < old.packets:
            old, per_s = item, None
        else:
            per_s = 1 / seconds
        if not item.packets and not item.drops and not item.backlog_packets:
            continue  # a class that nothing has ever used
        yield ClassLine(
            item.port,
            item.circuit,
            item.name,
            None if per_s is None else (item.packets - old.packets) * per_s,
            None if per_s is None else (item.octets - old.octets) * 8 * per_s,
            None if per_s is None else (item.drops - old.drops) * per_s,
            item.drops,
            item.backlog_packets,
        )


def _key(item: QueueRow) -> tuple[str, str, str]:
    return item.port, item.circuit, item.name


def _class_order(item: ClassLine) -> tuple[bool, bool, int]:
    """What drops now first, then what waits, then by what passes."""
    return not item.drops_s, not item.waiting, -_magnitude(item.bits_s or 0.0)


def share(room: int, wants: Sequence[int]) -> list[int]:
    """Lines of a window for each part: a few for each as long as there are any, then one by one in turns.

    wants: the lines that each part would fill, its head and its rows; 0 for a part that is empty. A part gets
    a head, a row and how many more there are, or nothing.
    """
    given = [0] * len(wants)
    for at, want in enumerate(wants):
        if min(want, LEAST_LINES) <= room:
            given[at] = min(want, LEAST_LINES)
            room -= given[at]
    while room > 0:
        able = [at for at, want in enumerate(wants) if given[at] and given[at] < want]
        if not able:
            break
        for at in able[:room]:
            given[at] += 1
        room -= min(len(able), room)
    return given
