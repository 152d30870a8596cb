"""`edgelab deploy`, `destroy` and `list`: how a lab comes, changes and goes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.errors import EXIT_CHECK_FAILED, EXIT_OK
from lab import state
from lab.commands.common import (
    NamedOption,
    Seconds,
    change_lines,
    complete_lab,
    format_option,
    print_json,
    tell_dropped,
    topology_option,
)

if TYPE_CHECKING:
    from edge.net.capabilities import Asked


CHANGES_SHOWN = 10
"""Lines of what the service has differently, of one deploy."""


@click.command(
    epilog="\b\nExamples:\n"
    "  edgelab deploy -t contoso.edge.yml\n"
    "  edgelab deploy -t contoso.edge.yml --dry-run      print what would be done\n"
    "  edgelab deploy -t contoso.edge.yml --name second  the same lab beside the first\n"
    "  edgelab deploy -t contoso.edge.yml --step         Enter for each step, q to stop"
)
@topology_option
@click.option("--name", help="Call the lab so instead of the name in its file.")
@click.option("--dry-run", is_flag=True, help="Print the plan and change nothing; needs no root.")
@click.option(
    "--links",
    type=click.Choice(["auto", "kernel", "bpf", "ring"]),
    default="auto",
    show_default=True,
    help="How VLAN tags are made.",
)
@click.option("--step", is_flag=True, help="Show each step and wait for Enter.")
@click.option(
    "--wait",
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    type=Seconds(0),
    help="Longest wait for all BGP sessions.",
)
@click.option("--no-wait", is_flag=True, help="Do not wait for BGP.")
@format_option
def deploy_command(
    topology: Path,
    name: str | None,
    dry_run: bool,
    links: Asked,
    step: bool,
    wait: float,
    no_wait: bool,
    output: str,
) -> int:
    """Bring the lab of a topology file up, or change a running lab into it.

    A lab that runs already is compared with the file and only the difference is applied; sessions that
    are not concerned go on. What commands to its service have changed, and the file does not say, is
    undone. Exit 1 when the lab is up but some sessions did not come.
    """
    from lab.deploy import deploy, renamed
    from lab.deploy import dry_run as plan_only
    from lab.own_routers import preflight
    from lab.progress import Progress
    from lab.topology import load

    model = load(topology)
    if name is not None:
        model = renamed(model, name)
    if unchecked := preflight(model, runs_here=not dry_run):
        click.echo(unchecked, err=True)
    if dry_run:
        plan, note = plan_only(model, links)
        if output == "json":
            print_json(plan)
            return EXIT_OK
        for number, item in enumerate(plan["steps"], 1):
            click.echo(f"{number:4} {item['action']:6} {item['object']}")
        counts = ", ".join(f"{count} to {action}" for action, count in plan["counts"].items() if count)
        tell_dropped(plan["dropped"])
        click.echo(f"{counts or 'nothing to do'} ({note})", err=True)
        return EXIT_OK
    progress = Progress(step)
    try:
        done = deploy(model, links=links, step=step, wait_s=None if no_wait else wait, listener=progress)
    finally:
        progress.clear()
    if output == "json":
        print_json(done.to_json())
    else:
        _tell(done.to_json(), len(model.nodes), no_wait)
    return EXIT_CHECK_FAILED if done.pending else EXIT_OK


def _tell(done: dict[str, object], nodes: int, no_wait: bool) -> None:
    counts: dict[str, int] = done["counts"]  # type: ignore[assignment]
    realisation: dict[str, str] = done["realisation"]  # type: ignore[assignment]
    pending: list[dict[str, str]] = done["pending"]  # type: ignore[assignment]
    words = ", ".join(f"{count} {action}d" for action, count in counts.items() if count)
    from lab.report.words import CORES

    if done["created"]:
        steps = sum(counts.values())
        click.echo(f"lab {done['name']} is up: {nodes} nodes, {steps} steps in {done['seconds']:.2f} s")
        click.echo(f"tags by {realisation['name']}: {realisation['reason']}")
        if realisation.get("core"):
            click.echo(f"provider's core by {CORES[realisation['core']]}: {realisation['core_reason']}")
        if realisation.get("lacks"):
            click.echo(realisation["lacks"], err=True)
    elif words:
        click.echo(f"lab {done['name']} is changed: {words} in {done['seconds']:.2f} s")
    else:
        click.echo(f"lab {done['name']}: nothing changed")
    changes: list[dict[str, Any]] = done["changes"]  # type: ignore[assignment]
    lines = list(change_lines(changes))
    for line in lines[:CHANGES_SHOWN]:
        click.echo(f"  {line}")
    if len(lines) > CHANGES_SHOWN:
        click.echo(f"  and {len(lines) - CHANGES_SHOWN} more")
    tell_dropped(done["dropped"])  # type: ignore[arg-type]
    for item in pending:
        who = f"session {item['session']} of {item['namespace']} to {item['neighbor']}"
        click.echo(f"{who} is not up: {item['state']}", err=True)
    if pending:
        click.echo("why: edgelab inspect", err=True)
    elif not no_wait:
        click.echo(f"all BGP sessions are Established (waited {done['wait_seconds']:.2f} s)")


@click.command(epilog="\b\nExamples:\n  edgelab destroy contoso\n  edgelab destroy --all")
@click.argument("name", required=False, shell_complete=complete_lab)
@click.option("--all", "everything", cls=NamedOption, is_flag=True, help="Every lab of this user.")
def destroy_command(name: str | None, everything: bool) -> None:
    """Take a lab away: processes, namespaces, links, files. Doing it twice is fine.

    Needs no topology file; NAME may be left out when one lab runs.
    """
    from lab.client import take_away

    if everything and name:
        raise click.UsageError("either a NAME or --all")
    found = state.discover()
    if name is not None:
        found = tuple(lab for lab in found if lab.name == name)
    elif not everything:
        running = tuple(lab for lab in found if lab.running())
        found = (state.find(None),) if running else found
    gone = 0
    for lab in found:
        if take_away(lab):
            click.echo(f"lab {lab.name} is gone")
            gone += 1
    if not gone:
        click.echo(f"no lab {name} is running" if name else "no lab is running")


@click.command(epilog="\b\nExample:\n  edgelab list --format json")
@format_option
def list_command(output: str) -> None:
    """Labs of this user that run now."""
    rows = []
    for lab in state.running_labs():
        facts = lab.read_state()
        rows.append(
            {
                "name": lab.name,
                "topology": facts.get("topology", ""),
                "nodes": facts.get("nodes", 0),
                "circuits": facts.get("circuits", []),
                "realisation": facts.get("realisation", ""),
                "uptime_s": round(time.time() - facts["started"], 1) if "started" in facts else 0.0,
                "directory": os.fspath(lab.path),
            }
        )
    if output == "json":
        print_json({"version": 1, "labs": rows})
        return
    from lab.report.table import labs_table, show

    show(labs_table(rows))
