"""Results as JUnit XML, the form that CI servers read. Pure.

Element names and attributes are those that Jenkins, GitLab and GitHub's reporters agree on:
testsuites > testsuite > properties, testcase > failure, system-out. Characters that XML 1.0 has no
place for are written out.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from lab.checks.result import CheckResult, title
from lab.report.json import kind_of
from lab.report.words import visible


def junit_xml(
    lab: str,
    results: Sequence[CheckResult],
    *,
    properties: Mapping[str, str] | None = None,
    started: datetime | None = None,
    drift: Sequence[str] | None = None,
) -> str:
    """One suite named after the lab, one case per check. started: when the checks began, if known.

    drift: from a baseline, in words: one case more; None when no baseline was asked for.
    """
    return "\n".join(_lines(lab, results, properties or {}, started, drift)) + "\n"


def _lines(
    lab: str,
    results: Sequence[CheckResult],
    properties: Mapping[str, str],
    started: datetime | None,
    drift: Sequence[str] | None,
) -> Iterator[str]:
    failures = sum(not result.ok for result in results) + bool(drift)
    seconds = sum(result.duration_s for result in results)
    cases = len(results) + (drift is not None)
    totals = f'tests="{cases}" failures="{failures}" errors="0" skipped="0" time="{seconds:.3f}"'
    stamp = f" timestamp={_attribute(started.isoformat(timespec='seconds'))}" if started else ""
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<testsuites name="edgelab" {totals}>'
    yield f"  <testsuite name={_attribute(lab)} {totals}{stamp}>"
    if properties:
        yield "    <properties>"
        for name, value in properties.items():
            yield f"      <property name={_attribute(name)} value={_attribute(value)}/>"
        yield "    </properties>"
    for result in results:
        yield from _case(lab, result)
    if drift is not None:
        yield from _drift_case(lab, drift)
    yield "  </testsuite>"
    yield "</testsuites>"


def _case(lab: str, result: CheckResult) -> Iterator[str]:
    classname = _attribute(f"{lab}.{kind_of(result)}")
    name = _attribute(title(result.check))
    yield f'    <testcase classname={classname} name={name} time="{result.duration_s:.3f}">'
    if result.ok:
        yield f"      <system-out>{_text(result.words)}</system-out>"
    else:
        message = _attribute(result.words)
        yield f'      <failure type="check" message={message}>{_text(result.words)}</failure>'
    yield "    </testcase>"


def _drift_case(lab: str, drift: Sequence[str]) -> Iterator[str]:
    classname = _attribute(f"{lab}.baseline")
    yield f'    <testcase classname={classname} name="no drift from the baseline" time="0.000">'
    if drift:
        words = "\n".join(drift)
        yield f'      <failure type="drift" message={_attribute(words)}>{_text(words)}</failure>'
    yield "    </testcase>"


def _text(value: str) -> str:
    return html.escape(visible(value), quote=False)


def _attribute(value: str) -> str:
    """Quoted; line ends and tabs as references, or a reader would turn them into spaces."""
    escaped = html.escape(visible(value), quote=True)
    return '"' + escaped.replace("\n", "&#10;").replace("\t", "&#9;") + '"'
