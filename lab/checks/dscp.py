"""Checks of marks on the wire: packets of each class, both ways, as a circuit's cross-connections carry them.

A host sends UDP as a client of that class would, the far end answers from where it was asked. What a capture
shows there is judged: DSCP, tags, and that the queue of the right class counted the packets.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edge.net.objects.base import Endpoint
from edge.qos.expressroute import TABLE
from edge.qos.model import Policy
from edge.qos.profiles import profile
from lab.access import LabAccess
from lab.check_model import Way
from lab.checks.reach import look_at_path
from lab.checks.result import Verdict
from lab.checks.stimulus import stimulus_of
from lab.checks.talk import WAYS, Sighting, Tally, observe, pair_of
from lab.model import LabModel, PathCheck, PeeringEnd
from lab.places import resolve_where


def look_at_dscp(
    access: LabAccess, check: PathCheck, cancelled: Callable[[], bool], seconds: float
) -> Verdict:
    """The path first; then packets of every class of the check. Raises UsageError, EdgeError, OSError."""
    end = time.monotonic() + seconds
    path = look_at_path(access, check, seconds)
    if not path.ok:
        return path
    model = access.model
    policy = policy_of(model, check)
    wanted = [stimulus_of(policy, name) for name, _ in check.dscp]
    pair = pair_of(model, check.source, check.target, check.family)
    before = queue_counters(access.counters())
    places = resolve_where(model, check.via)
    tally = observe(access, pair, wanted, places, end=end, cancelled=cancelled)
    words, problems = judge(model, check, tally)
    problems += judge_queues(model, check, tally, before, queue_counters(access.counters()))
    evidence = {**path.evidence, "seen": [_json(item, count) for item, count in tally.seen.items()]}
    # Marks do not heal with time, as paths do: once enough was seen, another look shows the same.
    said = "; ".join(problems) if problems else words
    return Verdict(not problems, said, evidence, final=tally.complete())


def _ends(model: LabModel, check: PathCheck) -> Iterator[PeeringEnd]:
    for end in model.peering_ends:
        if end.circuit == check.via and check.peering in ("", end.peering):
            yield end


def policy_of(model: LabModel, check: PathCheck) -> Policy:
    """What the customer's edge applies on the circuit; that of Teams where it applies none."""
    devices = {(end.namespace, end.device) for end in _ends(model, check) if end.side == "customer"}
    for router in model.routers:
        for vrf in router.vrfs:
            for sub in vrf.subinterfaces:
                if (vrf.namespace, sub.name) in devices and sub.qos is not None and sub.qos.tree is not None:
                    return sub.qos.policy
    return profile("teams")


def judge(model: LabModel, check: PathCheck, tally: Tally) -> tuple[str, list[str]]:
    """(what was seen in words, what is wrong): marks and tags. Pure."""
    customer = [end for end in _ends(model, check) if end.side == "customer"]
    stacks = {tuple(tag.vid for tag in end.tags) for end in customer}
    problems = []
    links: dict[str, None] = {}
    for name, dscp in check.dscp:
        for way in WAYS:
            mine = {item: n for item, n in tally.seen.items() if (item.class_name, item.way) == (name, way)}
            if not mine:
                problems.append(f"no packet of {name} seen on {check.via} ({way})")
            for item, count in mine.items():
                links[item.link] = None
                if item.dscp != dscp:
                    problems.append(
                        f"{name} ({way}): {count} packets with DSCP {item.dscp} on {item.link}, not {dscp}"
                    )
                if item.vids not in stacks:
                    tags = "/".join(map(str, item.vids)) or "no tag"
                    problems.append(f"{name} ({way}): {count} packets under {tags} on {item.link}")
    seen = ", ".join(f"{name} {dscp}" for name, dscp in check.dscp)
    return f"{seen}, both ways on {' and '.join(links) or check.via}", problems


QueueCounters = dict[tuple[str, int | None, str], int]


def queue_counters(status: Mapping[str, Any]) -> QueueCounters:
    """Packets by (device, tree, class) of a status. Pure."""
    return {
        (item["at"], item["tree"], item["name"]): int(item["packets"]) for item in status.get("queues", ())
    }


def judge_queues(
    model: LabModel, check: PathCheck, tally: Tally, before: QueueCounters, after: QueueCounters
) -> list[str]:
    """Queues that did not count the packets of their class. Ports without queues are not judged. Pure."""
    by_dscp = {row.dscp: row.class_name for row in TABLE}
    ends = (end for end in _ends(model, check) if (end.side, end.peering) == ("customer", "private"))
    private = {tuple(tag.vid for tag in end.tags) for end in ends}
    expected: dict[tuple[str, int | None, str], int] = defaultdict(int)
    for item, count in tally.seen.items():
        # At the far end queues go by the mark, not by ports, and on private peering not even by that.
        far = "default" if item.vids in private else by_dscp.get(item.dscp, "default")
        name = item.class_name if item.way == "out" else far
        for port, tree in ports_of(model, check, item.link, item.way):
            expected[str(port), tree, name] += count
    problems = []
    for key, count in expected.items():
        rose = after.get(key, 0) - before.get(key, 0)
        if key in after and rose < count:
            problems.append(f"{key[0]}: {rose} packets in the queue of {key[2]}, {count} were on the wire")
    return problems


def ports_of(model: LabModel, check: PathCheck, link: str, way: Way) -> Iterator[tuple[Endpoint, int]]:
    """The port with queues (and its tree) that packets of a link left by. Pure."""
    connection = next((item.connection for item in model.links if item.name == link), "")
    side = "customer" if way == "out" else "microsoft"
    ends = [end for end in _ends(model, check) if (end.connection, end.side) == (connection, side)]
    found: dict[tuple[Endpoint, int], None] = {}
    for end in ends:
        for router in model.routers:
            subs = [s for v in router.vrfs if v.namespace == end.namespace for s in v.subinterfaces]
            names = {sub.port for sub in subs if sub.name == end.device and router.name == end.node}
            for port in router.ports:
                for queues in port.queues:
                    if port.name in names and queues.outer in (None, end.tags[0]):
                        found[Endpoint(router.namespace, port.name), queues.number] = None
    yield from found


def _json(item: Sighting, count: int) -> dict[str, Any]:
    return {
        "link": item.link,
        "way": item.way,
        "class": item.class_name,
        "dscp": item.dscp,
        "tags": list(item.vids),
        "packets": count,
    }
