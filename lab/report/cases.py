"""Results of any kind as JUnit XML: one suite, one case each; see lab.report.junit for the form. Pure."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from lab.report.words import visible


@dataclass(frozen=True, slots=True)
class Case:
    """One result. failure, skipped: why, empty otherwise. words: what there is to say of one that passed."""

    classname: str
    name: str
    seconds: float
    failure: str = ""
    skipped: str = ""
    words: str = ""


def cases_xml(suite: str, cases: Sequence[Case], started: datetime) -> str:
    """The document. started: when it began, with a time zone."""
    return "\n".join(_lines(suite, cases, started)) + "\n"


def _lines(suite: str, cases: Sequence[Case], started: datetime) -> Iterator[str]:
    failures = sum(bool(case.failure) for case in cases)
    skipped = sum(bool(case.skipped) for case in cases)
    seconds = sum(case.seconds for case in cases)
    totals = f'tests="{len(cases)}" failures="{failures}" errors="0" skipped="{skipped}" time="{seconds:.3f}"'
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<testsuites name="edgelab" {totals}>'
    stamp = _quoted(started.isoformat(timespec="seconds"))
    yield f"  <testsuite name={_quoted(suite)} {totals} timestamp={stamp}>"
    for case in cases:
        where = f"classname={_quoted(case.classname)} name={_quoted(case.name)}"
        yield f'    <testcase {where} time="{case.seconds:.3f}">'
        if case.skipped:
            yield f"      <skipped message={_quoted(case.skipped)}/>"
        elif case.failure:
            message = html.escape(visible(case.failure), quote=False)
            yield f'      <failure type="drill" message={_quoted(case.failure)}>{message}</failure>'
        elif case.words:
            yield f"      <system-out>{html.escape(visible(case.words), quote=False)}</system-out>"
        yield "    </testcase>"
    yield "  </testsuite>"
    yield "</testsuites>"


def _quoted(value: str) -> str:
    """An attribute's value; line ends as references, or a reader would turn them into spaces."""
    return '"' + html.escape(visible(value), quote=True).replace("\n", "&#10;").replace("\t", "&#9;") + '"'
