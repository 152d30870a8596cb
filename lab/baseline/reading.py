"""The picture of a running lab: sessions and routes asked from the routers, the rest from the supervisor."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Reading:
    """A lab at one moment. silent: namespaces whose routing software did not answer, and why; the picture has
    no routes of theirs, which says nothing of those that they have."""

    picture: Picture
    silent: Mapping[str, str]


def read_picture(access: LabAccess, results: Sequence[CheckResult]) -> Reading:
    """How the lab is now. results: what its checks came to. Raises EdgeError when it does not answer.

    Of a user's own router the sessions are recorded, not the routes: it cannot list them.
    """
    shared = SharedAccess(access)
    domains = [vrf for router in shared.model.routers for vrf in router.vrfs if vrf.sessions and not vrf.own]
    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(lambda vrf: _routes(shared, vrf), domains))
    asked = list(zip(domains, found, strict=True))
    routes = {vrf.namespace: (vrf, each) for vrf, each in asked if not isinstance(each, EdgeError)}
    silent = {vrf.namespace: _words(vrf, each) for vrf, each in asked if isinstance(each, EdgeError)}
    return Reading(picture(collect(shared), routes, results), silent)


def _routes(access: LabAccess, vrf: Vrf) -> tuple[RouteInfo, ...] | EdgeError:
    try:
        return access.bird(vrf.namespace).routes()
    except EdgeError as error:
        return error


def _words(vrf: Vrf, error: EdgeError) -> str:
    return f"BIRD in {vrf.namespace} does not answer ({' '.join(str(error).split())})"


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
            reading = read_picture(shared, results)
            now = reading.picture
            found = drift(before, now, reading.silent)
            left = end - time.monotonic()
            # What its checks came to is settled; all else may still be on its way.
            if all(item.section == "checks" for item in found) or left <= 0:
                return found, now
            watch.wait(seen, min(PAUSE_S, left))
