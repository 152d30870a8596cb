"""Which function looks for which kind of check, and which kinds cannot share the lab with others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from lab.access import LabAccess
from lab.check_model import (
    BudgetCheck,
    CommunitiesCheck,
    FlowCheck,
    NeverCheck,
    OutageCheck,
    QueueCheck,
    RoutesCheck,
    ThroughputCheck,
)
from lab.checks.budget import look_at_budget
from lab.checks.dscp import look_at_dscp
from lab.checks.flows import look_at_flow, look_at_never, look_at_queue
from lab.checks.frames import look_for_frame
from lab.checks.https import look_at_https
from lab.checks.names import look_at_name
from lab.checks.outage import look_at_outage
from lab.checks.reach import look_at_path, look_at_ping
from lab.checks.result import Verdict
from lab.checks.routes import look_at_route
from lab.checks.routesets import look_at_communities, look_at_routes
from lab.checks.sessions import look_at_sessions
from lab.checks.throughput import look_at_throughput
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

Look = Callable[[float], Verdict]
"""One look at the lab that takes at most so many seconds, or as long as the check itself says."""

ALONE = (BudgetCheck, QueueCheck, ThroughputCheck)
"""Kinds that measure: while they look, no other check sends anything."""


BREAKING = (OutageCheck,)
"""Kinds that break the lab for a while."""


def is_negative(check: Check) -> bool:
    """Whether something must be absent or down. Before all else holds, that may only mean "not yet"."""
    if isinstance(check, RouteCheck | NameCheck):
        return not check.present
    if isinstance(check, RoutesCheck | CommunitiesCheck):
        return bool(check.lacks) or check.exact is not None
    return isinstance(check, NeverCheck) or (isinstance(check, SessionsCheck) and check.state == "down")


_QUICK: dict[type, Callable[..., Verdict]] = {
    PingCheck: look_at_ping,
    PathCheck: look_at_path,
    SessionsCheck: look_at_sessions,
    NameCheck: look_at_name,
    HttpsCheck: look_at_https,
    RouteCheck: look_at_route,
    RoutesCheck: look_at_routes,
    CommunitiesCheck: look_at_communities,
}

_LONG: dict[type, Callable[..., Verdict]] = {
    FrameCheck: look_for_frame,
    BudgetCheck: look_at_budget,
    FlowCheck: look_at_flow,
    NeverCheck: look_at_never,
    QueueCheck: look_at_queue,
    ThroughputCheck: look_at_throughput,
    OutageCheck: look_at_outage,
}
"""Looks that take their time, and ask now and then whether anybody still waits for them."""


def look_of(access: LabAccess, check: Check, cancelled: Callable[[], bool]) -> Look:
    """The look of a check. cancelled: whether nobody waits for it any more."""
    if isinstance(check, PathCheck) and check.dscp:
        return partial(look_at_dscp, access, check, cancelled)
    if type(check) in _LONG:
        return partial(_LONG[type(check)], access, check, cancelled)
    return partial(_QUICK[type(check)], access, check)
