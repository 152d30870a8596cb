"""Checks of where packets between two hosts go: on this link, so tagged; never on that one; by a queue.

All are answered from frames: packets of our own that bear a token, sent as clients of a class send them, from
several ports where the class has them, for routers may spread flows by their ports.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from edge.errors import UsageError
from lab.access import LabAccess
from lab.check_model import FlowCheck, NeverCheck, QueueCheck, Way
from lab.checks.opaque import readable_places
from lab.checks.result import Verdict
from lab.checks.stimulus import policy_between, stimulus_of
from lab.checks.talk import PACKETS, Sighting, Tally, observe, pair_of
from lab.classes import QueueRow, queues
from lab.model import LabModel
from lab.places import Place, resolve_where

FLOWS = 8
"""Clients of a class that speak at once."""

LOOK_S = 2.0
"""Longest single look: what has not come by then came another way or not at all."""

Cancelled = Callable[[], bool]


def look_at_flow(access: LabAccess, check: FlowCheck, cancelled: Cancelled, seconds: float) -> Verdict:
    """Talk and look at the link. Raises UsageError, EdgeError, OSError."""
    places = resolve_where(access.model, check.link)
    tally = _watch(access, check, places, cancelled, seconds, lambda it: _on_link(it, check.way))
    return judge_flow(check, tally)


def _watch(
    access: LabAccess,
    check: FlowCheck | NeverCheck | QueueCheck,
    places: Sequence[Place],
    cancelled: Cancelled,
    seconds: float,
    enough: Callable[[Tally], bool],
) -> Tally:
    model = access.model
    stimulus = stimulus_of(policy_between(model, check.source, check.target), check.class_name)
    pair = pair_of(model, check.source, check.target, check.family)
    end = time.monotonic() + min(LOOK_S, max(seconds, 0.1))
    return observe(access, pair, [stimulus], places, end=end, cancelled=cancelled, enough=enough, flows=FLOWS)


def _on_link(tally: Tally, way: Way) -> bool:
    return all(tally.count(name, way) >= PACKETS for name in tally.names)


def judge_flow(check: FlowCheck, tally: Tally) -> Verdict:
    """Whether packets passed, and all of them as the check wants them. Pure."""
    mine = {item: count for item, count in tally.seen.items() if item.way == check.way}
    evidence = {**arrivals(tally), "seen": [sighting_json(item, n) for item, n in tally.seen.items()]}
    who = f"{check.class_name} {check.source} -> {check.target}{'' if check.way == 'out' else ' (answers)'}"
    total = sum(mine.values())
    if not total:
        words = f"{who}: none seen on {check.link}; {arrived_words(tally, check.class_name)}"
        return Verdict(False, words, evidence)
    problems = []
    for item, count in mine.items():
        where = f"{count} of {total} packets on {item.link}"
        if check.tags is not None and item.vids != check.tags:
            problems.append(f"{where} under {tag_words(item.vids)}, not {tag_words(check.tags)}")
        if check.tpids is not None and item.tpids != check.tpids:
            problems.append(f"{where} with {type_words(item.tpids)}, not {type_words(check.tpids)}")
        if check.dscp is not None and item.dscp != check.dscp:
            problems.append(f"{where} with DSCP {item.dscp}, not {check.dscp}")
    seen = ", ".join(
        dict.fromkeys(
            f"{tag_words(item.vids)} ({type_words(item.tpids)}) DSCP {item.dscp} on {item.link}"
            for item in mine
        )
    )
    words = f"{who}: {'; '.join(problems)}" if problems else f"{who}: {total} packets with {seen}"
    return Verdict(not problems, words, evidence)


def look_at_never(access: LabAccess, check: NeverCheck, cancelled: Cancelled, seconds: float) -> Verdict:
    """Talk, and look at the link and at the source's own, where all must be seen."""
    model = access.model
    forbidden = resolve_where(model, check.link)
    own = resolve_where(model, check.source)
    both = {place.at: Place(place.at, f"{place.at}") for place in (*forbidden, *own)}
    tally = _watch(access, check, tuple(both.values()), cancelled, seconds, _went_both_ways)
    kinds = {kind for _, kind in tally.hidden}
    inside = readable_places(model, (place.at for place in forbidden), kinds)
    return judge_never(
        check, tally, {str(place.at) for place in forbidden}, {str(at.at) for at in own}, inside
    )


def _went_both_ways(tally: Tally) -> bool:
    """All that was sent came; more would be sent for what did not."""
    return all(
        tally.arrived[name, way] >= PACKETS and tally.arrived[name, way] >= tally.sent[name, way]
        for name in tally.names
        for way in ("out", "in")
    )


def judge_never(
    check: NeverCheck, tally: Tally, forbidden: set[str], own: set[str], inside: Sequence[str] = ()
) -> Verdict:
    """Whether packets went there and back, and none was seen at a forbidden device. Pure.

    What was seen at the source's own device shows that the capture sees such packets. Frames at a forbidden
    device that nobody can look into, or that the capture missed, leave it unproven. inside: devices at which
    what is hidden can be read.
    """
    found = {item: count for item, count in tally.seen.items() if item.link in forbidden}
    wrapped = {key: count for key, count in tally.wrapped.items() if key[0] in forbidden}
    hidden = {key: count for key, count in tally.hidden.items() if key[0] in forbidden}
    missed = {at: count for at, count in tally.dropped.items() if at in forbidden}
    gone = sorted(tally.vanished & forbidden)
    evidence = {**arrivals(tally), "seen": [sighting_json(item, n) for item, n in found.items()]}
    evidence["wrapped"] = [{"link": at, "way": way, "packets": n} for (at, way), n in wrapped.items()]
    evidence["unreadable"] = [{"link": at, "kind": kind, "frames": n} for (at, kind), n in hidden.items()]
    evidence["missed"], evidence["vanished"] = missed, gone
    evidence["seen_at_source"] = sum(n for item, n in tally.seen.items() if item.link in own)
    who = f"{check.class_name} {check.source} -> {check.target}"
    if found or wrapped:
        seen = [(item.way, item.link, count, "") for item, count in found.items()]
        seen += [(way, at, count, " inside other packets") for (at, way), count in wrapped.items()]
        where = " and ".join(
            f"{count} {'packets' if way == 'out' else 'answers'}{how} at {at}" for way, at, count, how in seen
        )
        return Verdict(False, f"{who}: on {check.link}, where none may be: {where}", evidence)
    if not all(tally.arrived[check.class_name, way] for way in ("out", "in")):
        words = f"{arrived_words(tally, check.class_name)}, so nothing is proven about {check.link}"
        return Verdict(False, f"{who}: {words}", evidence)
    if not evidence["seen_at_source"]:
        words = f"not even seen at {check.source}, so nothing is proven about {check.link}"
        return Verdict(False, f"{who}: {words}", evidence)
    if gone:
        words = (
            f"cannot be proven: {' and '.join(gone)} was deleted meanwhile, and nobody saw what passed then"
        )
        return Verdict(False, f"{who}: {words}; check again", evidence)
    if hidden or missed:
        return Verdict(False, f"{who}: {_unproven(check, hidden, missed, inside)}", evidence)
    words = f"{arrived_words(tally, check.class_name)}; none on {check.link}"
    return Verdict(True, f"{who}: {words}", evidence)


def _unproven(
    check: NeverCheck, hidden: dict[tuple[str, str], int], missed: dict[str, int], inside: Sequence[str]
) -> str:
    """Why an absence is not proven, and what would prove it."""
    reasons = [f"{count} frames at {at} could not be read ({kind})" for (at, kind), count in hidden.items()]
    reasons += [f"the capture missed {count} frames at {at}" for at, count in missed.items()]
    words = f"cannot be proven: none was seen on {check.link}, but {' and '.join(reasons)}"
    if not hidden:
        return f"{words}; check again when the machine is less busy"
    where = f"for example link: {inside[0]}" if inside else "a device before it is encrypted"
    return f"{words}; watch where they are in clear, {where}"


def look_at_queue(access: LabAccess, check: QueueCheck, cancelled: Cancelled, seconds: float) -> Verdict:
    """Talk, and compare what was on the link with what the queue counted meanwhile."""
    model = access.model
    before = tuple(queues(model, access.counters()))
    places = resolve_where(model, check.link)
    tally = _watch(access, check, places, cancelled, seconds, lambda it: _on_link(it, check.way))
    return judge_queue(model, check, tally, before, tuple(queues(model, access.counters())))


def judge_queue(
    model: LabModel,
    check: QueueCheck,
    tally: Tally,
    before: Sequence[QueueRow],
    after: Sequence[QueueRow],
) -> Verdict:
    """Whether the queue counted all packets that left by its port, and dropped nothing. Pure.

    Raises UsageError for a link whose port has no such queue: looking again would find none.
    """
    sent: dict[str, int] = defaultdict(int)
    for item, count in tally.seen.items():
        if item.way == check.way:
            sent[item.port] += count
    who = f"{check.class_name} {check.source} -> {check.target}{'' if check.way == 'out' else ' (answers)'}"
    evidence: dict[str, Any] = {**arrivals(tally), "on_the_wire": dict(sent), "queues": []}
    if not sent:
        words = f"{who}: none seen on {check.link}; {arrived_words(tally, check.class_name)}"
        return Verdict(False, words, evidence)
    problems, words_of_ports = [], []
    for port, count in sent.items():
        rows = _risen(port, check.queue, before, after)
        if not rows:
            raise UsageError(_no_queue(model, check, port, after))
        packets, drops = (sum(row[key] for row in rows) for key in ("packets", "drops"))
        evidence["queues"] += rows
        if packets < count:
            problems.append(f"{port}: {packets} packets in queue {check.queue}, {count} were on the wire")
        if drops:
            problems.append(f"{port}: queue {check.queue} dropped {drops} packets meanwhile")
        words_of_ports.append(f"{port}: {count} packets by queue {check.queue}, none dropped")
    return Verdict(not problems, f"{who}: {'; '.join(problems or words_of_ports)}", evidence)


def _risen(
    port: str, name: str, before: Sequence[QueueRow], after: Sequence[QueueRow]
) -> list[dict[str, Any]]:
    """What the queues of that name at the port counted between two looks."""
    old: dict[tuple[str, str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in before:
        old[row.port, row.circuit, row.name] = (row.packets, row.drops)
    return [
        {
            "port": port,
            "circuit": row.circuit,
            "queue": name,
            "packets": row.packets - old[row.port, row.circuit, row.name][0],
            "drops": row.drops - old[row.port, row.circuit, row.name][1],
        }
        for row in after
        if (row.port, row.name) == (port, name)
    ]


def _no_queue(model: LabModel, check: QueueCheck, port: str, rows: Sequence[QueueRow]) -> str:
    here = list(dict.fromkeys(row.name for row in rows if row.port == port))
    if here:
        return f"{port} has no queue {check.queue}; it has {', '.join(here)}"
    links = {str(at): link.name for link in model.links for at in (link.a, link.b)}
    others = dict.fromkeys(links[row.port] for row in rows if row.port in links)
    known = f"there are queues on {', '.join(others)}" if others else "the lab has none; give a site qos"
    return f"{port}, which sends these packets onto {check.link}, has no queues; {known}"


def tag_words(vids: Sequence[int]) -> str:
    """VLAN ids for people."""
    return f"tags {'/'.join(map(str, vids))}" if vids else "no tags"


def type_words(tpids: Sequence[int]) -> str:
    """Ethertypes of tags for people."""
    return f"ethertypes {'/'.join(f'0x{one:04x}' for one in tpids)}" if tpids else "untagged"


def arrived_words(tally: Tally, name: str) -> str:
    """How many came there and back."""
    there, back = ((tally.arrived[name, way], tally.sent[name, way]) for way in ("out", "in"))
    return f"{there[0]} of {there[1]} packets arrived and {back[0]} of {back[1]} answers"


def arrivals(tally: Tally) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "sent": {f"{name} {way}": count for (name, way), count in tally.sent.items()},
        "arrived": {f"{name} {way}": count for (name, way), count in tally.arrived.items()},
    }


def sighting_json(item: Sighting, count: int) -> dict[str, Any]:
    """What was seen, as plain data."""
    return {
        "link": item.link,
        "from": item.port,
        "way": item.way,
        "class": item.class_name,
        "dscp": item.dscp,
        "tags": list(item.vids),
        "ethertypes": [f"0x{one:04x}" for one in item.tpids],
        "packets": count,
    }
