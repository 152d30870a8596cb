"""The `edgelab` command: its verbs and what `--help` says of them.

Verbs are imported when they are used, so that `edgelab --help` and shell completion are quick.
"""

from __future__ import annotations

import gc
import importlib
import sys

import click

from edge import __version__
from edge.program import run
from lab.groups import GROUPS

_VERBS = {
    "deploy": ("life", "Bring a lab up, or change a running one into its topology."),
    "destroy": ("life", "Take a lab away. Nothing of it is left."),
    "list": ("life", "Labs that run."),
    "inspect": ("show", "Nodes, links, tags and sessions of a lab, as they are now."),
    "show": ("show", "What is ordered, and what Azure shows of it: ARP, routes, metrics..."),
    "classes": ("classes", "Counters of queues, policers and markings, by class and rule."),
    "top": ("top", "Watch a lab: sessions, links, classes, events, as they go on."),
    "events": ("show", "What happens in a lab, as it happens."),
    "graph": ("graph", "A picture of a lab: SVG, HTML, Mermaid or Graphviz."),
    "check": ("prove", "Prove what the topology says; exit 1 when something does not hold."),
    "baseline": ("baseline", "Record what a good lab looks like, for check --against."),
    "capture": ("capture", "Frames of links, nodes or classes, as pcapng."),
    "call": ("call", "Voice, video and sharing between two nodes: loss, delay, jitter, MOS."),
    "load": ("load", "Bulk between two nodes by iperf3."),
    "fault": ("faults", "Let something go wrong: links, routers, keys, tags..."),
    "heal": ("heal", "Take faults out again: all, or some."),
    "storm": ("storm", "Faults by chance for a time, and proof that the lab outlives them."),
    "outage": ("drill", "Measure how long nothing comes through between two hosts."),
    "drill": ("drill", "Break things under the outage meter: how long each takes to fail over."),
    "plot": ("plot", "Draw an outage, queues or a call over time, as SVG or PNG."),
    "exec": ("enter", "Run a program in a node."),
    "shell": ("enter", "A shell in a node, or in the lab with all nodes."),
    "validate": ("files", "Check a topology file; needs no root."),
    "schema": ("files", "The JSON Schema of topology files, for editors."),
}

_SERVICE = {name: ("service", words) for name, words in GROUPS.items()}
"""Groups of verbs that speak to the service of a running lab."""

EPILOG = """\b
Examples:
  edgelab deploy -t contoso.edge.yml     bring it up
  edgelab check                          prove it
  edgelab inspect                        look at it
  edgelab exec ce1 -- ip -br address     run something in a node
  edgelab capture ams-primary -w - | wireshark -k -i -
  edgelab peering disable ams private    change what is ordered
  edgelab fault link-down ams/primary    break it; edgelab heal mends it
  edgelab destroy                        take it away

\b
Exit codes: 0 done, 1 a check failed or the service refused (nothing has changed),
2 the command line or the file is wrong, 3 the machine lacks something,
4 it ran and failed (what was made is undone).

\b
Shell completion: eval "$(_EDGELAB_COMPLETE=bash_source edgelab)"  (zsh_source, fish_source)
"""


class LazyVerbs(click.Group):
    """A group that imports a verb's module when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of a lab's life."""
        return [*_VERBS, *_SERVICE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, or None when there is no such verb."""
        found = _VERBS.get(cmd_name) or _SERVICE.get(cmd_name)
        if found is None:
            return None
        module = importlib.import_module(f"lab.commands.{found[0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs, without importing any."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, words) for name, (_, words) in _VERBS.items()])
        with formatter.section("The ExpressRoute service of a running lab"):
            formatter.write_dl([(name, words) for name, (_, words) in _SERVICE.items()])


@click.command(
    cls=LazyVerbs,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "EDGELAB"},
)
@click.version_option(__version__, prog_name="edgelab")
def cli() -> None:
    """Azure ExpressRoute, whole, on one Linux machine.

    Every option can also be given as an environment variable: EDGELAB_VERB_OPTION.
    """


def main() -> None:
    """Entry point of the `edgelab` program."""
    # Imports and a small model make many objects and no garbage: the collector would cost a fifth of the
    # start. The supervisor, which lives long, switches it on again.
    gc.disable()
    sys.exit(run(cli, "edgelab"))


if __name__ == "__main__":
    main()
