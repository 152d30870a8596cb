"""`edgelab validate` and `edgelab schema`: work on files only, need no root and no lab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lab.commands.common import format_option, print_json, topology_option


@click.command(
    epilog="\b\nExamples:\n  edgelab validate -t contoso.edge.yml\n"
    "  edgelab validate -t own-router.edge.yml --sheet ce1      what the configuration of ce1 needs"
)
@topology_option
@click.option("--sheet", "router", metavar="ROUTER", help="Print what the order says to this router, too.")
@format_option
def validate_command(topology: Path, router: str | None, output: str) -> None:
    """Check a topology file and say everything that is wrong with it.

    Prints each problem as file:line:column: path: what is wrong; way out. Exit 2 when there is one.
    """
    from lab.faults.schedule import timeline
    from lab.own_routers import preflight
    from lab.sheet import sheet
    from lab.topology import load

    model = load(topology)
    if note := preflight(model, runs_here=False):
        click.echo(note, err=True)
    told = sheet(model, router) if router is not None else None
    sessions = sum(len(vrf.sessions) for router in model.routers for vrf in router.vrfs)
    if output == "json":
        print_json(
            {
                "version": 1,
                "name": model.name,
                "nodes": len(model.nodes),
                "links": len(model.links),
                "sessions": sessions,
                "checks": len(model.checks),
                "faults": [moment.to_json() for moment in timeline(model.script)],
                **({"sheet": told} if told is not None else {}),
            }
        )
        return
    click.echo(
        f"{topology}: good: lab {model.name}, {len(model.nodes)} nodes, {len(model.links)} links, "
        f"{sessions} session ends, {len(model.checks)} checks"
    )
    for scripted in model.script:
        click.echo(f"fault {scripted}")
    if told is not None:
        _show_sheet(told)


def _show_sheet(told: dict[str, Any]) -> None:
    from lab.report.table import rows_table, show

    click.echo()
    show(rows_table([{**row, "addresses": ", ".join(row["addresses"])} for row in told["interfaces"]]))
    click.echo()
    show(rows_table([{**row, "md5": "as ordered" if row["md5"] else ""} for row in told["neighbors"]]))
    click.echo()
    for network in told["networks"]:
        click.echo(f"announce {network}")
    for route in told["routes"]:
        click.echo(f"route {route['destination']} via {', '.join(route['via'])}")


@click.command(
    epilog="\b\nExample:\n  edgelab schema > edgelab.schema.json\n"
    "  # first line of a topology file, for editors:\n"
    "  # yaml-language-server: $schema=edgelab.schema.json"
)
def schema_command() -> None:
    """Print the JSON Schema of topology files."""
    from lab.topology import json_schema

    print_json(json_schema())
