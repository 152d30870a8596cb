"""`edgelab classes`: what passes each queue, policer and rule, now and as it goes on."""

from __future__ import annotations

import time

import click

from edge.watching import Watch
from lab import state
from lab.classes import collect
from lab.client import Client
from lab.commands.common import Seconds, format_option, name_argument


@click.command(
    epilog="\b\nExamples:\n  edgelab classes\n  edgelab classes contoso --watch\n"
    "  edgelab classes --rules\n  edgelab classes --format json | jq '.queues[] | select(.drops > 0)'"
)
@name_argument
@click.option("-w", "--watch", is_flag=True, help="Go on until Ctrl-C.")
@click.option(
    "--every",
    type=Seconds(0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks of --watch.",
)
@click.option("--rules", is_flag=True, help="Markings by rule instead of by class.")
@format_option
def classes_command(name: str | None, watch: bool, every: float, rules: bool, output: str) -> None:
    """Counters of queues by port and class, of policers by DSCP, of markings by class or rule.

    All are what they are at that moment. With --watch a terminal shows them in place, with what
    passes each queue; with --format json each look is one line.
    """
    from lab.report.classes import classes_tables

    with Client(state.find(name)) as client:
        looks = Watch(
            lambda: collect(client, time.time()),
            lambda view, before: classes_tables(view, before, rules),
        )
        looks.on(output, every) if watch else looks.once(output)
