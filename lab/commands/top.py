"""`edgelab top`: a lab as it lives, in a terminal."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

import click

from edge.errors import EdgeError
from lab import state
from lab.commands.common import Seconds, format_option, name_argument, print_json

if TYPE_CHECKING:
    from lab.topreading import Reader

_ENDS = frozenset("qQ\x03\x04\x1b")
"""Keys that end it: q, Ctrl-C and Ctrl-D where the terminal hands them over, Escape."""


@click.command(
    epilog="\b\nExamples:\n  edgelab top\n  edgelab top contoso --every 0.5\n  edgelab top --once\n"
    "  edgelab top --format json | jq '.links[] | select(.good | not)'"
)
@name_argument
@click.option(
    "--every",
    type=Seconds(0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks; rates are those of that time.",
)
@click.option("--once", is_flag=True, help="Print one picture and end.")
@format_option
def top_command(name: str | None, every: float, once: bool, output: str) -> None:
    """Watch a lab: sessions, links with what passes them, classes with what they drop, the latest events.

    What needs a look stands first in each part. The picture fits the window, whatever its size; q or
    Ctrl-C ends. With --once, into a pipe and as JSON there is one picture, with everything in it.
    """
    from lab.topreading import Reader

    with Reader(state.find(name)) as reader:
        live = output == "table" and not once and sys.stdout.isatty() and _able()
        if live:
            _watch(reader, every)
        else:
            _print(reader, every, output)


def _able() -> bool:
    return os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def _print(reader: Reader, every_s: float, output: str) -> None:
    """One picture, from two looks: rates need the time between."""
    from lab.top import picture

    before = reader.read()
    select.select([], [], [], every_s)
    shown = picture(reader.read(), before)
    if output == "json":
        print_json(shown.to_json())
        return
    from edge.console import show
    from lab.report.top import Drawing

    show(Drawing(shown, limited=False))


def _watch(reader: Reader, every_s: float) -> None:
    from edge.liveview import watch
    from lab.report.top import Drawing
    from lab.top import picture

    before = reader.read()
    shown = picture(before, None)
    ended = False

    def look() -> Drawing | None:
        nonlocal before, shown, ended
        try:
            now = reader.read()
        except EdgeError as error:
            # A lab that is being changed cannot always be read; one that is gone never again.
            reader.forget()
            ended = not reader.running
            return None if ended else Drawing(shown, limited=True, note=str(error))
        shown, before = picture(now, before), now
        return Drawing(shown, limited=True)

    watch(Drawing(shown, limited=True), look, every_s, whole=True, keys=_ENDS)
    if ended:
        click.echo("the lab has ended", err=True)
