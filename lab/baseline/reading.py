"""The picture of a running lab: sessions and routes asked from the routers, the rest from the supervisor."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from edge.bgp.state import RouteInfo
from edge.errors import EdgeError
from edge.model import Vrf
from lab.access import LabAccess, SharedAccess
from lab.baseline.drift import Drift, drift
from lab.baseline.picture import Picture, picture
from lab.checks.result import CheckResult
from lab.checks.watch import ChangeWatch
from lab.inspect import collect

WORKERS = 8
PAUSE_S = 0.5
"""Longest pause between two looks when nothing changes in the network."""


def read_picture(access: LabAccess, results: Sequence[CheckResult]) -> Picture:
    """How the lab is now. results: what its checks came to. Raises EdgeError when it does not answer.

    Of a user's own router the sessions are recorded, not the routes: it cannot list them.
    """
    shared = SharedAccess(access)
    domains = [vrf for router in shared.model.routers for vrf in router.vrfs if vrf.sessions and not vrf.own]
    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(lambda vrf: _routes(shared, vrf), domains))
    routes = {vrf.namespace: (vrf, each) for vrf, each in zip(domains, found, strict=True)}
    return picture(collect(shared), routes, results)


def _routes(access: LabAccess, vrf: Vrf) -> tuple[RouteInfo, ...]:
    try:
        return access.bird(vrf.namespace).routes()
    except EdgeError:
        # A router that does not answer has no routes to show; its sessions will tell why.
        return ()


def drift_from(
    access: LabAccess, before: Picture, results: Sequence[CheckResult], within_s: float
) -> tuple[tuple[Drift, ...], Picture]:
    """How the lab differs from `before`, looked at again until it does not or the time is over; how it is."""
    shared = SharedAccess(access)
    end = time.monotonic() + within_s
    domains = [vrf.namespace for router in shared.model.routers for vrf in router.vrfs]
    with ChangeWatch(shared, domains) as watch:
        while True:
            seen = watch.count
            now = read_picture(shared, results)
            found = drift(before, now)
            left = end - time.monotonic()
            # What its checks came to is settled; all else may still be on its way.
            if all(item.section == "checks" for item in found) or left <= 0:
                return found, now
            watch.wait(seen, min(PAUSE_S, left))
