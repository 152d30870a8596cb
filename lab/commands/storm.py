"""`edgelab storm`: faults by chance, and proof that the lab outlives them."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

import click

from edge.errors import EXIT_CHECK_FAILED, EXIT_OK
from lab import state
from lab.commands.common import NamedOption, format_option, name_argument, print_json

if TYPE_CHECKING:
    from lab.faults.schedule import Scripted
    from lab.faults.weather import Weather

SHOWN = 5
"""Events that are told on a terminal when they have no explanation; JSON has all."""


def _seconds(_: click.Context, __: click.Parameter, value: str) -> float:
    from lab.faults.units import DURATION

    try:
        return float(DURATION.read(value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(
    epilog="\b\nExamples:\n  edgelab storm --for 1m\n  edgelab storm contoso --seed 7 --for 1h\n"
    "  edgelab storm --seed 7 --for 1h --dry-run   what would happen, and when"
)
@name_argument
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(0), help="Another seed, another storm."
)
@click.option(
    "--for",
    "for_s",
    cls=NamedOption,
    default="1m",
    show_default=True,
    metavar="DURATION",
    callback=_seconds,
    help="How long: 90s, 5m, 1h.",
)
@click.option(
    "--at-once",
    default=2,
    show_default=True,
    type=click.IntRange(1, 8),
    help="Faults at the same time, at most.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would happen.")
@format_option
def storm_command(name: str | None, seed: int, for_s: float, at_once: int, dry_run: bool, output: str) -> int:
    """Let faults happen by chance for a time, heal them, and prove that the lab outlived them.

    The same seed gives the same storm. Exit 1 when, after all is healed, a session does not return, a check
    fails, a process, descriptor or memory is left, or something happened that no fault explains.
    """
    from lab.api import find
    from lab.faults.storm import storm

    lab = find(state.find(name).name)
    strikes = storm(lab.model, seed, for_s, at_once)
    if dry_run:
        _tell_plan(lab.name, seed, strikes, output)
        return EXIT_OK
    from lab.faults.weather import weather
    from lab.interruptions import terminable

    def tell(words: str) -> None:
        if output != "json":
            click.echo(words)
            sys.stdout.flush()

    with terminable():
        came = weather(lab, strikes, tell)
    if output == "json":
        print_json({"version": 1, "lab": lab.name, "seed": seed, "ok": came.ok, **dataclasses.asdict(came)})
    else:
        _tell(came)
    return EXIT_OK if came.ok else EXIT_CHECK_FAILED


def _tell_plan(lab: str, seed: int, strikes: tuple[Scripted, ...], output: str) -> None:
    if output == "json":
        rows = [
            {"at_s": one.at_s, "for_s": one.for_s, "name": one.fault.name, "fault": str(one.fault)}
            for one in strikes
        ]
        print_json({"version": 1, "lab": lab, "seed": seed, "faults": rows})
        return
    from edge.console import show, table

    rows_of = [
        (f"{one.at_s:.1f} s", "" if one.for_s is None else f"{one.for_s:.1f} s", str(one.fault))
        for one in strikes
    ]
    show(table(("at", "for", "fault"), rows_of))


def _tell(came: Weather) -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(came.struck.items()))
    click.echo(f"{sum(came.struck.values())} faults in {came.seconds:.0f} s: {kinds}")
    click.echo(f"{came.events} events, {came.falls} times a session fell")
    for words in came.refused:
        click.echo(f"did not fit: {words}")
    problems = [came.down] if came.down else []
    problems += [f"check fails: {words}" for words in came.failed]
    problems += [f"left behind: {words}" for words in came.more]
    problems += [f"unexplained: {_said(event)}" for event in came.unexplained[:SHOWN]]
    if len(came.unexplained) > SHOWN:
        problems.append(
            f"and {len(came.unexplained) - SHOWN} more events without an explanation; see --format json"
        )
    for words in problems:
        click.echo(words)
    if not problems:
        after = came.after
        click.echo(
            f"all is as before: every session is up, every check holds, every event has its fault; "
            f"{sum(after.processes.values())} processes, {after.descriptors} descriptors, "
            f"{after.memory_kib // 1024} MiB"
        )


def _said(event: Any) -> str:
    return " ".join(str(value) for key, value in event.items() if key != "time")
