"""`edgelab inspect`, `show` and `events`: what is, what is ordered, and what happens."""

from __future__ import annotations

import json
from typing import Any

import click

from lab import state
from lab.commands.common import format_option, name_argument, print_json
from lab.resources import KINDS, rows_of


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
    from lab.faults.calls import active
    from lab.inspect import collect
    from lab.report.json import dumps, inspect_json

    with Client(state.find(name)) as client:
        view = collect(client)
        faults = active(client)
    if output == "json":
        click.echo(dumps({**inspect_json(view), "faults": faults}), nl=False)
        return
    from lab.report.table import inspect_tables, show

    show(inspect_tables(view))
    for one in faults:
        click.echo(
            f"fault {one['name']} is active: {one['kind']} {one['target']}; edgelab heal {one['name']}"
        )


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
    from lab.eventwords import clock, event_words

    return f"{clock(event['time'])} {event['kind']:8} {event_words(event)}".rstrip()


_READOUTS = {
    "arp": "ARP tables of peerings.",
    "routes": "Route tables of the MSEEs' routing domains.",
    "summary": "BGP neighbours of the MSEEs' routing domains.",
    "stats": "Octets into and out of Azure, by peering and path.",
    "metrics": "Metrics as Azure Monitor names them; for Prometheus, too.",
    "packets": "Test private peering: packets that each MSEE sees.",
}
"""Verbs in lab.commands.azure, imported when they are used."""


class _Show(click.Group):
    """One verb for each kind of resource, and those that read the routers."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """What is ordered, then what the routers have."""
        return [*KINDS, *_READOUTS]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Both lists, without importing any verb."""
        with formatter.section("What is ordered"):
            formatter.write_dl([(name, f"List {name}.") for name in KINDS])
        with formatter.section("What Azure shows of it, read from the routers now"):
            formatter.write_dl(list(_READOUTS.items()))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of a kind or a readout, or None when there is none."""
        if cmd_name in _READOUTS:
            from lab.commands.azure import READOUTS

            return READOUTS[cmd_name]
        if cmd_name not in KINDS:
            return None

        @click.command(cmd_name, help=f"List {cmd_name}.", epilog=f"\b\nExample:\n  edgelab show {cmd_name}")
        @name_argument
        @format_option
        def command(name: str | None, output: str) -> None:
            _show(cmd_name, name, output)

        return command


def _show(kind: str, name: str | None, output: str) -> None:
    from lab.client import Client
    from lab.service.codec import decode_state

    directory = state.find(name)
    with Client(directory) as client:
        service = decode_state(client.request("hello")["state"], f"lab {directory.name}")
    rows = rows_of(service, kind)
    if output == "json":
        print_json({"version": 1, "lab": directory.name, kind: rows})
    elif not rows:
        click.echo(f"lab {directory.name} has no {kind}")
    else:
        from lab.report.table import rows_table, show

        show(rows_table(rows))


show_command = _Show(
    "show",
    help="What is ordered of the service, and what Azure shows of it; `inspect` shows what runs.",
    epilog="\b\nExamples:\n  edgelab show circuits\n  edgelab show peerings --format json | jq .peerings\n"
    "  edgelab show routes --peering private --path primary\n  edgelab show metrics --every 5",
)
