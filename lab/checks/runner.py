"""Run checks side by side, each until it holds or its time is over, and report them in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from edge.errors import EdgeError, UsageError
from lab.access import LabAccess, SharedAccess
from lab.checks.looks import ALONE, BREAKING, Look, is_negative, look_of
from lab.checks.result import CheckResult, Observer, Verdict
from lab.checks.watch import ChangeWatch
from lab.model import Check

WORKERS = 16
"""Checks at the same time: they mostly wait, and those that fail hold their place to the end."""

PAUSE_S = 0.25
"""Longest pause between two looks when nothing changes in the network."""


def run_checks(
    access: LabAccess,
    checks: Sequence[Check],
    deadline_s: float = 10.0,
    observer: Observer | None = None,
) -> tuple[CheckResult, ...]:
    """Prove `checks` on the running lab; the results have their order.

    Each check has `deadline_s` seconds from its own start. What measures has the lab for itself when all that
    only look are decided. What must be absent or down is looked at when all the others are decided: before,
    an absence may only mean "not yet". What breaks the lab comes last. Never raises for a check that cannot
    be carried out; its words then say why.
    """
    shared = SharedAccess(access)
    domains = [vrf.namespace for router in shared.model.routers for vrf in router.vrfs]
    with ChangeWatch(shared, domains) as watch, ThreadPoolExecutor(WORKERS) as pool:
        try:
            run = partial(_run, shared, watch, deadline_s)
            reports = _Reports(checks, observer)
            together = [n for n, check in enumerate(checks) if not _later(check)]
            later = sorted(
                (n for n, check in enumerate(checks) if _later(check)), key=lambda n: _later(checks[n])
            )
            futures = [pool.submit(run, checks[number]) for number in together]
            for number, future in zip(together, futures, strict=True):
                reports.decided(number, future.result())
            for number in later:
                reports.decided(number, run(checks[number]))
            return reports.all()
        except BaseException:
            # Ctrl-C must not wait for the deadlines of checks whose results nobody wants.
            watch.cancel()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _later(check: Check) -> int:
    """Which turn after those that run together: 0 none, 1 what measures, 2 must be absent, 3 breaks it."""
    if isinstance(check, BREAKING):
        return 3
    return 2 if is_negative(check) else int(isinstance(check, ALONE))


class _Reports:
    """Results as they come; tells the observer of them in the order of the list."""

    def __init__(self, checks: Sequence[Check], observer: Observer | None) -> None:
        self._checks = checks
        self._observer = observer
        self._results: dict[int, CheckResult] = {}
        self._next = 0
        self._announce()

    def decided(self, number: int, result: CheckResult) -> None:
        """Check `number` has come out so."""
        self._results[number] = result
        while self._next in self._results:
            if self._observer:
                self._observer.finished(self._next, self._results[self._next])
            self._next += 1
            self._announce()

    def _announce(self) -> None:
        if self._observer and self._next < len(self._checks):
            self._observer.started(self._next, self._checks[self._next])

    def all(self) -> tuple[CheckResult, ...]:
        """The results in the order of the list."""
        return tuple(self._results[number] for number in range(len(self._checks)))


def _run(access: LabAccess, watch: ChangeWatch, deadline_s: float, check: Check) -> CheckResult:
    started = time.monotonic()
    end = started + deadline_s
    look = look_of(access, check, lambda: watch.cancelled)
    while True:
        seen = watch.count
        verdict = _safely(look, max(0.0, end - time.monotonic()))
        left = end - time.monotonic()
        once = isinstance(check, BREAKING)
        if verdict.ok or verdict.final or once or left <= 0 or watch.cancelled:
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
