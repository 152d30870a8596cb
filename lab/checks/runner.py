"""Run checks side by side, each until it holds or its time is over, and report them in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from edge.errors import EdgeError, UsageError
from lab.access import LabAccess, SharedAccess
from lab.checks.dscp import look_at_dscp
from lab.checks.frames import look_for_frame
from lab.checks.https import look_at_https
from lab.checks.names import look_at_name
from lab.checks.reach import look_at_path, look_at_ping
from lab.checks.result import CheckResult, Observer, Verdict
from lab.checks.routes import look_at_route
from lab.checks.sessions import look_at_sessions
from lab.checks.watch import ChangeWatch
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

WORKERS = 16
"""Checks at the same time: they mostly wait, and those that fail hold their place to the end."""

PAUSE_S = 0.25
"""Longest pause between two looks when nothing changes in the network."""

Look = Callable[[float], Verdict]
"""One look at the lab that takes at most so many seconds."""


def run_checks(
    access: LabAccess,
    checks: Sequence[Check],
    deadline_s: float = 10.0,
    observer: Observer | None = None,
) -> tuple[CheckResult, ...]:
    """Prove `checks` on the running lab; the results have their order.

    Each check has `deadline_s` seconds from its own start. What must be absent or down is looked at
    when all the others are decided: before, an absence may only mean "not yet". Never raises for a
    check that cannot be carried out; its words then say why.
    """
    shared = SharedAccess(access)
    domains = [vrf.namespace for router in shared.model.routers for vrf in router.vrfs]
    with ChangeWatch(shared, domains) as watch, ThreadPoolExecutor(WORKERS) as pool:
        try:
            run = partial(_run, shared, watch, deadline_s)
            futures: list[Future[CheckResult] | None] = [
                None if _is_negative(check) else pool.submit(run, check) for check in checks
            ]
            positives = [future for future in futures if future is not None]
            results: list[CheckResult] = []
            for number, check in enumerate(checks):
                if observer:
                    observer.started(number, check)
                future = futures[number]
                if future is None:
                    for positive in positives:
                        positive.result()
                    result = run(check)
                else:
                    result = future.result()
                results.append(result)
                if observer:
                    observer.finished(number, result)
            return tuple(results)
        except BaseException:
            # Ctrl-C must not wait for the deadlines of checks whose results nobody wants.
            watch.cancel()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _is_negative(check: Check) -> bool:
    if isinstance(check, RouteCheck):
        return not check.present
    if isinstance(check, NameCheck):
        return not check.present
    return isinstance(check, SessionsCheck) and check.state == "down"


def _run(access: LabAccess, watch: ChangeWatch, deadline_s: float, check: Check) -> CheckResult:
    started = time.monotonic()
    end = started + deadline_s
    look = _look(access, watch, check)
    while True:
        seen = watch.count
        verdict = _safely(look, max(0.0, end - time.monotonic()))
        left = end - time.monotonic()
        if verdict.ok or verdict.final or left <= 0 or watch.cancelled:
            break
        watch.wait(seen, min(PAUSE_S, left))
    words = verdict.words
    if not verdict.ok and verdict.explain is not None:
        explain = verdict.explain
        words = _safely(lambda _: Verdict(False, explain()), 0).words
    return CheckResult(check, verdict.ok, words, verdict.evidence, round(time.monotonic() - started, 3))


def _safely(look: Look, seconds: float) -> Verdict:
    """A look whose errors are verdicts: of a lab that is broken, or of a check that cannot be made."""
    try:
        return look(seconds)
    except UsageError as error:
        return Verdict(False, str(error), final=True)
    except (EdgeError, OSError) as error:
        return Verdict(False, str(error))


def _look(access: LabAccess, watch: ChangeWatch, check: Check) -> Look:
    if isinstance(check, PingCheck):
        return partial(look_at_ping, access, check)
    if isinstance(check, PathCheck) and check.dscp:
        return partial(look_at_dscp, access, check, lambda: watch.cancelled)
    if isinstance(check, PathCheck):
        return partial(look_at_path, access, check)
    if isinstance(check, SessionsCheck):
        return partial(look_at_sessions, access, check)
    if isinstance(check, FrameCheck):
        return partial(look_for_frame, access, check, lambda: watch.cancelled)
    if isinstance(check, NameCheck):
        return partial(look_at_name, access, check)
    if isinstance(check, HttpsCheck):
        return partial(look_at_https, access, check)
    return partial(look_at_route, access, check)
