"""`edgelab inspect` and `edgelab events`: what is, and what happens."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from lab import state
from lab.commands.common import format_option, name_argument


@click.command(
    epilog="\b\nExamples:\n  edgelab inspect\n  edgelab inspect contoso --format json | jq .sessions"
)
@name_argument
@format_option
def inspect_command(name: str | None, output: str) -> None:
    """Show nodes, links with their tags, and BGP sessions as they are at this moment.

    States, uptimes and counters are read from the kernel, the tag plane and BIRD; for a session that is
    not Established the reason is told.
    """
    from lab.client import Client
    from lab.inspect import collect
    from lab.report.json import dumps, inspect_json

    with Client(state.find(name)) as client:
        view = collect(client)
    if output == "json":
        click.echo(dumps(inspect_json(view)), nl=False)
        return
    from lab.report.table import inspect_tables, show

    show(inspect_tables(view))


@click.command(
    epilog="\b\nExamples:\n  edgelab events\n  edgelab events --no-follow --format json | tail -20"
)
@name_argument
@click.option("--follow/--no-follow", default=True, show_default=True, help="Stay and print what comes.")
@click.option("--history/--no-history", default=True, show_default=True, help="Begin with what has been.")
@format_option
def events_command(name: str | None, follow: bool, history: bool, output: str) -> None:
    """Print what happens in a lab: steps, sessions, links, daemons.

    With --format json each event is one line of JSON. Ends with the lab, or with Ctrl-C.
    """
    from lab.client import Client

    with Client(state.find(name)) as client:
        for event in client.events(history=history, follow=follow):
            click.echo(json.dumps(event) if output == "json" else _line(event))


def _line(event: dict[str, Any]) -> str:
    at = time.localtime(event["time"])
    clock = f"{time.strftime('%H:%M:%S', at)}.{int(event['time'] * 1000) % 1000:03}"
    kind = event["kind"]
    fields = {key: value for key, value in event.items() if key not in ("time", "kind")}
    place = fields.pop("namespace", "")
    if kind == "link":
        device = fields.pop("device")
        words = "up" if fields["carrier"] else "no carrier" if fields["up"] else "down"
        return f"{clock} {kind:8} {place}:{device} {words if fields['present'] else 'gone'}"
    if kind == "session":
        return f"{clock} {kind:8} {place} {fields.get('protocol', '')}: {fields.get('text', '')}"
    return f"{clock} {kind:8} {place} {' '.join(f'{key}={value}' for key, value in fields.items())}".rstrip()
