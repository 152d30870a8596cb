"""`edgelab check` and `edgelab capture`: proof and evidence."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

import click

from edge.errors import EXIT_CHECK_FAILED, EXIT_OK, UsageError
from lab import state
from lab.checks.result import CheckResult, title
from lab.commands.common import (
    NamedOption,
    Seconds,
    complete_node,
    format_option,
    name_argument,
    split_lab,
)
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


@click.command(
    epilog="\b\nExamples:\n"
    "  edgelab capture ams-primary -w circuit.pcapng\n"
    "  edgelab capture ams-primary -w - | wireshark -k -i -\n"
    "  edgelab capture contoso ce1 -c 100 -w ce1.pcapng     all devices of a node"
)
@click.argument("words", nargs=-1, required=True, metavar="[NAME] WHERE", shell_complete=complete_node)
@click.option(
    "-w",
    "--write",
    "path",
    cls=NamedOption,
    default="-",
    metavar="FILE",
    help="pcapng file; - is standard output.",
)
@click.option("-c", "--count", type=click.IntRange(min=1), help="End after so many frames.")
@click.option("-d", "--duration", type=Seconds(0.1), metavar="SECONDS", help="End after so long.")
@click.option(
    "-s", "--snaplen", type=click.IntRange(64, 262144), default=262144, show_default=True, metavar="OCTETS"
)
def capture_command(
    words: tuple[str, ...], path: str, count: int | None, duration: float | None, snaplen: int
) -> None:
    """Capture frames where WHERE says, with all VLAN tags as they are on the wire.

    WHERE is a link (ams-primary), a circuit (both its links), a node (all its devices) or NODE:DEVICE;
    `edgelab inspect` lists them. Ends with Ctrl-C, or when the reader of the pipe goes.
    """
    from lab.capture import interrupts, record
    from lab.client import Client
    from lab.places import resolve_where

    name, rest = split_lab(words, 1)
    if len(rest) != 1:
        raise click.UsageError(f"expected [NAME] WHERE, not: {' '.join(words)}")
    with Client(state.find(name)) as client:
        places = resolve_where(client.model, rest[0])
        where = ", ".join(str(place.at) for place in places)
        with _open(path) as stream, interrupts() as stop:
            summary = record(
                client,
                places,
                stream,
                count=count,
                duration_s=duration,
                snaplen=snaplen,
                stop_fds=(stop,),
                on_ready=lambda: click.echo(f"capturing on {where}; Ctrl-C ends", err=True),
            )
    lost = f", {summary.dropped} lost" if summary.dropped else ""
    click.echo(f"{summary.frames} frames{lost} ({summary.ended})", err=True)


def _open(path: str) -> BinaryIO:
    if path != "-":
        return Path(path).open("wb")
    if sys.stdout.isatty():
        raise UsageError("pcapng is not for a terminal; write it to a file with -w FILE, or into a pipe")
    return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
