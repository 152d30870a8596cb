"""The `edge` command: the router's own program."""

from __future__ import annotations

import importlib
import json
import sys

import click

from edge import __version__
from edge.errors import EXIT_MACHINE, EXIT_OK, CapabilityError
from edge.program import run

_VERBS = {
    "explain": "Say what a policy does with a packet, and why.",
    "show": "Show the built-in policies, or one policy.",
    "validate": "Check a policy file; needs no root.",
    "classes": "Show what passes each queue, class and rule of this network namespace.",
    "mark": "Write a capture as it would look behind the router, marked by a policy.",
}
"""Verbs in modules of their own (edge.commands), imported when they are used."""

EPILOG = """\b
Example:
  edge doctor                 what this machine can do, and what would give the rest
  edge doctor --format json
  edge explain 'udp 10.1.0.10:50005 > 52.112.0.10:3479' --policy teams
  edge mark call.pcap marked.pcap --policy teams --direction out
  edge classes --watch        what passes each queue here

\b
Shell completion: eval "$(_EDGE_COMPLETE=bash_source edge)"  (zsh_source, fish_source)
"""


class LazyVerbs(click.Group):
    """A group that imports a verb's module when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs."""
        return [*super().list_commands(ctx), *_VERBS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, or None when there is no such verb."""
        if cmd_name not in _VERBS:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"edge.commands.{cmd_name}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs, without importing any."""
        here = {name: command.get_short_help_str(90) for name, command in self.commands.items()}
        with formatter.section("Verbs"):
            formatter.write_dl([*here.items(), *_VERBS.items()])


@click.group(
    cls=LazyVerbs,
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

    Everything is found out by trying it in a scratch namespace, for an ordinary user in a user namespace, as
    a lab would have it. Exit 3 when no lab can run here.
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
