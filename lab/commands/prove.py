"""`edgelab check`: proof."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.errors import EXIT_CHECK_FAILED, EXIT_OK
from lab import state
from lab.checks.result import CheckResult, title
from lab.commands.common import NamedOption, TimeSpan, format_option, name_argument
from lab.model import Check

if TYPE_CHECKING:
    from lab.baseline.drift import Drift
    from lab.report.checklines import CheckLines

EVIDENCE = Path("edgelab-evidence")
"""Where evidence goes when nobody says otherwise: a CI job collects files from where it works."""


class _Live:
    """Prints each check when it is decided; on a terminal also the one that is waited for."""

    def __init__(self, lines: CheckLines | None) -> None:
        self._lines = lines
        self._terminal = sys.stderr.isatty()

    def started(self, number: int, check: Check) -> None:
        if self._terminal:
            print(f"\r\x1b[K... {title(check)}"[:120], end="", file=sys.stderr, flush=True)

    def finished(self, number: int, result: CheckResult) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        if self._lines is not None:
            self._lines.row(title(result.check), result)


@click.command(
    epilog="\b\nExamples:\n  edgelab check\n  edgelab check contoso --within 30s --junit report.xml\n"
    "  edgelab check --evidence artifacts        what a failed check leaves, for a CI server to keep\n"
    "  edgelab check --against good.json         what has drifted from a baseline\n"
    "  edgelab check --format json | jq '.checks[] | select(.ok | not)'"
)
@name_argument
@click.option(
    "--within",
    "--deadline",
    "within",
    default="10s",
    show_default=True,
    metavar="TIME",
    type=TimeSpan(0.1),
    envvar=["EDGELAB_CHECK_WITHIN", "EDGELAB_CHECK_DEADLINE"],
    help="How long each check is tried until it holds: 10s, 500ms, 2min; a number alone is seconds.",
)
@click.option(
    "--junit", type=click.Path(dir_okay=False, path_type=Path), help="Also write JUnit XML for a CI server."
)
@click.option(
    "--evidence",
    "base",
    cls=NamedOption,
    type=click.Path(file_okay=False, path_type=Path),
    default=EVIDENCE,
    show_default=True,
    metavar="DIR",
    help="Where a failed run leaves a folder: captures, routers, routes, counters, logs.",
)
@click.option(
    "--against",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A baseline (see edgelab baseline): tell what has drifted from it, too; exit 1 when anything has.",
)
@click.option("--no-evidence", is_flag=True, help="Leave nothing when a check fails.")
@format_option
def check_command(
    name: str | None,
    within: float,
    junit: Path | None,
    base: Path,
    against: Path | None,
    no_evidence: bool,
    output: str,
) -> int:
    """Prove what the topology file says under `checks`, or that all is well when it says nothing.

    Packets are sent, frames looked at, BIRD asked; what does not hold is tried again until its time is over.
    Exit 1 when something does not hold.
    """
    from lab.checks import default_checks, run_checks
    from lab.client import Client
    from lab.interruptions import terminable
    from lab.report.checklines import CheckLines

    started = datetime.now(timezone.utc)
    recorded = None
    if against is not None:
        from lab.baseline.picture import load

        recorded = load(against)
    drift: Sequence[Drift] | None = None
    evidence: Path | None = None
    with terminable(), Client(state.find(name)) as client:
        model = client.model
        checks = model.checks or default_checks(model)
        lines = CheckLines([title(check) for check in checks]) if output == "table" else None
        results = run_checks(client, checks, within, _Live(lines))
        if lines is not None:
            lines.closing(results)
        try:
            if recorded is not None:
                from lab.baseline.reading import drift_from

                drift, _ = drift_from(client, recorded, results, within)
                if lines is not None:
                    lines.drift([item.words for item in drift], str(against))
            good = all(result.ok for result in results) and not drift
            if not good and not no_evidence:
                from lab.evidence import gather

                found = gather(client, results, base, drift)
                evidence = found.folder
                click.echo(found.words, err=True)
        finally:
            # What the checks came to is told whatever ends the search for more.
            _report(model.name, results, drift, started, evidence, junit, output)
    return EXIT_OK if good else EXIT_CHECK_FAILED


def _report(
    lab: str,
    results: Sequence[CheckResult],
    drift: Sequence[Drift] | None,
    started: datetime,
    evidence: Path | None,
    junit: Path | None,
    output: str,
) -> None:
    if output == "json":
        from lab.report.json import checks_json, dumps

        click.echo(dumps(checks_json(lab, results, evidence, drift)), nl=False)
    if junit is not None:
        from lab.report.junit import junit_xml

        properties = {"evidence": str(evidence)} if evidence is not None else None
        words = None if drift is None else [item.words for item in drift]
        xml = junit_xml(lab, results, properties=properties, started=started, drift=words)
        junit.write_text(xml, encoding="utf-8")
