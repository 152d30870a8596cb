"""A check of the file as the model has it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from edge.model import Community
from lab.check_model import (
    BudgetCheck,
    CommunitiesCheck,
    FlowCheck,
    NeverCheck,
    OutageCheck,
    QueueCheck,
    RoutesCheck,
    ThroughputCheck,
    WantedRoute,
)
from lab.model import (
    Check,
    FrameCheck,
    HttpsCheck,
    NameCheck,
    PathCheck,
    PingCheck,
    RouteCheck,
    SessionsCheck,
)
from lab.service.services import parse_community
from lab.topology.check_schema import (
    FrameCheckSpec,
    HttpsCheckSpec,
    NameCheckSpec,
    PathCheckSpec,
    PingCheckSpec,
    RouteCheckSpec,
    SessionsCheckSpec,
    host_of,
    seconds,
)
from lab.topology.links_schema import millionths, nanoseconds
from lab.topology.pair_check_schema import (
    BudgetCheckSpec,
    FlowCheckSpec,
    NeverCheckSpec,
    OutageCheckSpec,
    PairCheckSpec,
    QueueCheckSpec,
    ThroughputCheckSpec,
    share_of,
)
from lab.topology.set_check_schema import CommunitiesCheckSpec, RoutesCheckSpec, WantedRouteSpec

ALL = "all"
"""What `sessions:` says for every circuit."""

Spec = (
    PingCheckSpec
    | PathCheckSpec
    | SessionsCheckSpec
    | RouteCheckSpec
    | FrameCheckSpec
    | NameCheckSpec
    | HttpsCheckSpec
    | PairCheckSpec
    | RoutesCheckSpec
    | CommunitiesCheckSpec
)


def check_of(spec: Spec) -> Check:
    """What the check says, once the rules have passed it."""
    if isinstance(spec, PairCheckSpec):
        return _pair(spec)
    if isinstance(spec, PingCheckSpec):
        return PingCheck(spec.ping[0], spec.ping[1], spec.family, spec.count)
    if isinstance(spec, PathCheckSpec):
        source, target = spec.path
        return PathCheck(
            source,
            target,
            spec.via,
            spec.peering or "",
            spec.hop or "",
            spec.family,
            spec.protocol,
            spec.port,
            tuple(spec.dscp.items()),
        )
    if isinstance(spec, SessionsCheckSpec):
        circuit = "" if spec.sessions == ALL else spec.sessions
        uptime_s = 0.0 if spec.uptime is None else float(seconds(spec.uptime))
        return SessionsCheck(circuit, spec.peering or "", spec.connection or "", spec.state, uptime_s)
    if isinstance(spec, RouteCheckSpec):
        path = None if spec.as_path is None else tuple(spec.as_path)
        return RouteCheck(spec.route[0], spec.route[1], spec.present, path, _communities(spec.communities))
    if isinstance(spec, NameCheckSpec):
        return NameCheck(*spec.name, spec.via or "", spec.family, spec.present)
    if isinstance(spec, HttpsCheckSpec):
        source, url = spec.https
        return HttpsCheck(
            source, host_of(url), spec.via or "", spec.peering or "", spec.family, spec.revocation
        )
    if isinstance(spec, FrameCheckSpec):
        return FrameCheck(spec.frame, tuple(spec.tags), spec.protocol, _tpids(spec.ethertypes), spec.dscp)
    if isinstance(spec, RoutesCheckSpec):
        return RoutesCheck(
            spec.routes,
            spec.circuit or "",
            spec.peering or "",
            spec.family,
            None if spec.exact is None else tuple(map(_wanted, spec.exact)),
            tuple(map(_wanted, spec.contains)),
            tuple(map(_wanted, spec.lacks)),
        )
    return CommunitiesCheck(
        *spec.communities,
        None if spec.exact is None else _communities(spec.exact),
        _communities(spec.contains),
        _communities(spec.lacks),
    )


def _pair(spec: PairCheckSpec) -> Check:
    if isinstance(spec, BudgetCheckSpec):
        return BudgetCheck(
            *spec.budget,
            _milliseconds(spec.latency),
            _milliseconds(spec.jitter),
            None if spec.loss is None else millionths(spec.loss) / 10_000,
            spec.packets,
            nanoseconds(spec.pace) / 1e6,
            spec.class_name,
            spec.family,
        )
    if isinstance(spec, FlowCheckSpec):
        tags = None if spec.tags is None else tuple(spec.tags)
        return FlowCheck(
            *spec.flow,
            spec.link,
            spec.class_name,
            spec.way,
            tags,
            _tpids(spec.ethertypes),
            spec.dscp,
            spec.family,
        )
    if isinstance(spec, NeverCheckSpec):
        return NeverCheck(*spec.never, spec.link, spec.class_name, spec.family)
    if isinstance(spec, QueueCheckSpec):
        queue = spec.counted_in or spec.class_name
        return QueueCheck(*spec.queue, spec.link, spec.class_name, queue, spec.way, spec.family)
    if isinstance(spec, OutageCheckSpec):
        return OutageCheck(*spec.outage, spec.fault, nanoseconds(spec.at_most) / 1e9)
    assert isinstance(spec, ThroughputCheckSpec)
    least, most = share_of(spec.at_least), share_of(spec.at_most)
    return ThroughputCheck(*spec.throughput, spec.circuit, *least, *most, spec.way, spec.seconds, spec.family)


def _wanted(spec: WantedRouteSpec) -> WantedRoute:
    path = None if spec.as_path is None else tuple(spec.as_path)
    return WantedRoute(spec.prefix, path, spec.next_hop, _communities(spec.communities))


def _communities(texts: Iterable[str]) -> tuple[Community, ...]:
    return tuple(one for one in map(parse_community, texts) if one is not None)


def _tpids(texts: list[str] | None) -> tuple[int, ...] | None:
    return None if texts is None else tuple(int(text, 16) for text in texts)


def _milliseconds(text: str | None) -> float | None:
    return None if text is None else nanoseconds(text) / 1e6
