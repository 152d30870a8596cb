"""`edgelab top`: a lab as it lives, in a terminal."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
    from rich.live import Live

    from edge.console import console
    from lab.recording import interrupts
    from lab.report.top import Drawing
    from lab.top import picture

    before = reader.read()
    first = Drawing(picture(before, None), limited=True)
    ended = False
    with ExitStack() as stack:
        stop = stack.enter_context(interrupts())
        resized = stack.enter_context(interrupts((signal.SIGWINCH,)))
        keys = stack.enter_context(_keys())
        screen = console(sys.stdout, True)
        live = stack.enter_context(Live(first, console=screen, auto_refresh=False, screen=True))
        live.refresh()
        due = time.monotonic() + every_s
        shown = first.shown
        while _wait(due, stop, resized, keys, live.refresh):
            note = ""
            try:
                now = reader.read()
                shown, before = picture(now, before), now
            except EdgeError as error:
                # A lab that is being changed cannot always be read; one that is gone never again.
                reader.forget()
                if not reader.running:
                    ended = True
                    break
                note = str(error)
            live.update(Drawing(shown, limited=True, note=note), refresh=True)
            due = max(due + every_s, time.monotonic())
    if ended:
        click.echo("the lab has ended", err=True)


def _wait(due: float, stop: int, resized: int, keys: int | None, redraw: Callable[[], None]) -> bool:
    """Until the next look is due; False when somebody wants to end."""
    poller = select.poll()
    for fd in (stop, resized, *([keys] if keys is not None else [])):
        poller.register(fd, select.POLLIN)
    while True:
        left_ms = max(0, -int(-(due - time.monotonic()) * 1000 // 1))
        ready = [fd for fd, _ in poller.poll(left_ms)]
        if stop in ready:
            return False
        if keys in ready:
            pressed = os.read(keys, 64).decode(errors="replace") if keys is not None else ""
            if not pressed or _ENDS & set(pressed):
                return False
        if resized in ready:
            os.eventfd_read(resized)
            redraw()
        if not ready:
            return True


@contextmanager
def _keys() -> Iterator[int | None]:
    """Standard input with each key handed over as it is pressed, unseen; None where it is no terminal."""
    if not sys.stdin.isatty():
        yield None
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield fd
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
