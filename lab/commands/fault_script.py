"""`edgelab fault script`: the timed faults of a topology file."""

from __future__ import annotations

from typing import Any

import click

from edge.errors import UsageError
from lab import state
from lab.commands.common import complete_lab, format_option, print_json
from lab.commands.faults import named


@click.command(
    "script",
    epilog="\b\nExamples:\n  edgelab fault script\n  edgelab fault script contoso --dry-run\n"
    "\b\nIn the topology file:\n  faults:\n    - {at: 5s, for: 3s, kind: link-down, target: ams/primary}\n"
    "    - {at: 12s, kind: loss, target: pc1, options: {part: 2%, seed: 7}}",
)
@click.argument("name", required=False, shell_complete=complete_lab, metavar="[NAME]")
@click.option("--dry-run", is_flag=True, help="Print what would happen when, and do nothing.")
@format_option
@click.pass_context
def script_command(ctx: click.Context, name: str | None, dry_run: bool, output: str) -> None:
    """Run the timed faults that the lab's topology file has under `faults`.

    A fault without `for` stays when the script has ended. Ctrl-C heals what the script has injected.
    """
    from lab.client import Client
    from lab.faults.schedule import Moment, timeline
    from lab.faults.script import run
    from lab.interruptions import terminable

    directory = state.find(named(ctx, name))
    done: list[dict[str, Any]] = []

    def tell(moment: Moment, at_s: float) -> None:
        done.append({**moment.to_json(), "done_s": round(at_s, 3)})
        if output != "json":
            click.echo(f"{at_s:8.2f} s  {moment.what:6}  {moment.entry.fault.name}: {moment.entry.fault}")

    with Client(directory) as client:
        script = client.model.script
        if not script:
            raise UsageError(
                f"the topology of lab {directory.name} has no `faults`; see: edgelab fault script -h"
            )
        left: list[str] = []
        if dry_run:
            for moment in timeline(script):
                tell(moment, moment.at_s)
        else:
            with terminable():
                left = run(client, script, tell)
    if output == "json":
        print_json({"version": 1, "lab": directory.name, "moments": done, "active": left})
    elif left:
        click.echo(f"still active: {', '.join(left)}; heal with: edgelab heal", err=True)
