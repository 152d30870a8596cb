"""`edgelab check`: proof."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path

import click

from edge.errors import EXIT_CHECK_FAILED, EXIT_OK
from lab import state
from lab.checks.result import CheckResult, title
from lab.commands.common import Seconds, format_option, name_argument
from lab.model import Check


class _Live:
    """Prints each check when it is decided; on a terminal also the one that is waited for."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()

    def started(self, number: int, check: Check) -> None:
        if self._terminal:
            print(f"\r\x1b[K... {title(check)}"[:120], end="", file=sys.stderr, flush=True)

    def finished(self, number: int, result: CheckResult) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@click.command(
    epilog="\b\nExamples:\n  edgelab check\n  edgelab check contoso --deadline 30 --junit report.xml\n"
    "  edgelab check --format json | jq '.checks[] | select(.ok | not)'"
)
@name_argument
@click.option(
    "--deadline",
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    type=Seconds(0.1),
    help="How long each check may take to come true.",
)
@click.option(
    "--junit", type=click.Path(dir_okay=False, path_type=Path), help="Also write JUnit XML for a CI server."
)
@format_option
def check_command(name: str | None, deadline: float, junit: Path | None, output: str) -> int:
    """Prove what the topology file says under `checks`, or that all is well when it says nothing.

    Packets are sent, frames looked at, BIRD asked. Exit 1 when something does not hold.
    """
    from lab.checks import default_checks, run_checks
    from lab.client import Client
    from lab.report.json import checks_json, dumps

    started = datetime.now(timezone.utc)
    with Client(state.find(name)) as client:
        model = client.model
        checks = model.checks or default_checks(model)
        results = run_checks(client, checks, deadline, _Live())
    if junit is not None:
        from lab.report.junit import junit_xml

        junit.write_text(junit_xml(model.name, results, started=started), encoding="utf-8")
    if output == "json":
        click.echo(dumps(checks_json(model.name, results)), nl=False)
    else:
        from lab.report.table import checks_table, show

        show(checks_table(results))
    return EXIT_OK if all(result.ok for result in results) else EXIT_CHECK_FAILED
