"""`edgelab validate` and `edgelab schema`: work on files only, need no root and no lab."""

from __future__ import annotations

from pathlib import Path

import click

from lab.commands.common import format_option, print_json, topology_option


@click.command(epilog="\b\nExample:\n  edgelab validate -t contoso.edge.yml")
@topology_option
@format_option
def validate_command(topology: Path, output: str) -> None:
    """Check a topology file and say everything that is wrong with it.

    Prints each problem as file:line:column: path: what is wrong; way out. Exit 2 when there is one.
    """
    from lab.topology import load

    model = load(topology)
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
            }
        )
        return
    click.echo(
        f"{topology}: good: lab {model.name}, {len(model.nodes)} nodes, {len(model.links)} links, "
        f"{sessions} session ends, {len(model.checks)} checks"
    )


@click.command(
    epilog="\b\nExample:\n  edgelab schema > edgelab.schema.json\n"
    "  # first line of a topology file, for editors:\n"
    "  # yaml-language-server: $schema=edgelab.schema.json"
)
def schema_command() -> None:
    """Print the JSON Schema of topology files."""
    from lab.topology import json_schema

    print_json(json_schema())
