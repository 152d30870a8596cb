"""The `edge` command: the router's own program."""

from __future__ import annotations

import json
import sys

import click

from edge import __version__
from edge.errors import EXIT_MACHINE, EXIT_OK, CapabilityError
from edge.program import run

EPILOG = """\b
Example:
  edge doctor                 what this machine can do, and what would give the rest
  edge doctor --format json

\b
Shell completion: eval "$(_EDGE_COMPLETE=bash_source edge)"  (zsh_source, fish_source)
"""


@click.group(
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "EDGE"},
)
@click.version_option(__version__, prog_name="edge")
def cli() -> None:
    """A software-defined edge router on Linux namespaces, BIRD and a C data path."""


@cli.command(epilog="\b\nExample:\n  edge doctor --links kernel")
@click.option(
    "--links",
    type=click.Choice(["auto", "kernel", "bpf", "ring"]),
    default="auto",
    show_default=True,
    help="The realisation of VLAN tags to decide about.",
)
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def doctor(links: str, output: str) -> int:
    """Say what this machine can do, which realisation of tags it would take and why.

    Everything is found out by trying it in a scratch namespace. Exit 3 when no lab can run here.
    """
    from edge.net.capabilities import choose_realisation
    from edge.net.survey import survey

    told = survey()
    found = told.capabilities
    try:
        chosen = choose_realisation(found, links)  # type: ignore[arg-type]
        words, status = f"links by {chosen.name}: {chosen.reason}", EXIT_OK
    except CapabilityError as error:
        chosen, words, status = None, str(error), EXIT_MACHINE
    if output == "json":
        choice = {"name": chosen.name, "reason": chosen.reason} if chosen else None
        findings = [item.to_json() for item in told.findings]
        rest = {"realisation": choice, "words": words, "system": told.system, "findings": findings}
        print(json.dumps({**found.to_json(), **rest}, indent=2))
        return status
    print(told.system)
    width = max(len(item.capability.name) for item in told.findings)
    group = ""
    for finding in told.findings:
        if finding.group != group:
            group = finding.group
            print(f"\n{group}")
        item = finding.capability
        print(f"  {'yes' if item.ok else 'no '}  {item.name:<{width}}  {item.detail}")
        if item.remedy:
            print(f"       {'':<{width}}  way out: {item.remedy}")
    print(f"\n{words}")
    return status


def main() -> None:
    """Entry point of the `edge` program."""
    sys.exit(run(cli, "edge"))


if __name__ == "__main__":
    main()
