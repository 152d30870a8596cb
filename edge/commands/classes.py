"""`edge classes`: what passes each queue, class and rule of this network namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge.commands.common import Seconds, format_option

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

    from edge.countrows import QueueLine
    from edge.telemetry import Counters


@click.command(
    "classes",
    epilog="\b\nExamples:\n  edge classes\n  edge classes --watch\n  ip netns exec ce1 edge classes --rules\n"
    "  edgelab exec ce1 -- edge classes\n  edge classes --policy my-policy.yml --format json | jq .markings",
)
@click.option("-w", "--watch", is_flag=True, help="Go on until Ctrl-C.")
@click.option(
    "--every",
    type=Seconds(0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks of --watch.",
)
@click.option("--rules", is_flag=True, help="Markings by rule instead of by class.")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="FILE",
    help="A policy file that may be in use here, for the names in it; as often as needed.",
)
@format_option
def classes_command(watch: bool, every: float, rules: bool, policies: tuple[str, ...], output: str) -> None:
    """Counters of queues and markings on the devices of this network namespace.

    Queues (HTB) that edge made: what each class is sure of, what it sent, dropped and has waiting. Markings
    by BPF programs of edge: packets by class, or by rule. All is read from the kernel, markings as root only
    and since their policy was last changed. The kernel knows numbers: names are shown where a built-in
    policy, or one of --policy, is octet for octet the one in use.

    Not here: what a provider's policers counted, and labs with `ring` links, whose engine has the counters
    (`edgelab classes` shows both); packet rules that mark are only named.
    """
    from edge.qos.policyfile import find
    from edge.telemetry import Reader
    from edge.watching import Watch

    reader = Reader(find(word) for word in policies)
    looks = Watch(reader.read, lambda view, before: counters_tables(view, before, rules))
    looks.on(output, every) if watch else looks.once(output)


def counters_tables(view: Counters, before: Counters | None = None, rules: bool = False) -> Group:
    """Queues, then markings by class or by rule, then what could not be read."""
    from rich.console import Group
    from rich.text import Text

    from edge.countrows import by_class, by_rule
    from edge.counttables import markings_table, queues_table, rates

    data = view.to_json()["markings"]
    parts: list[RenderableType] = []
    if view.queues:
        lines = _lines(view)
        passing = None if before is None else rates(lines, _lines(before), view.time - before.time)
        parts.append(queues_table(lines, "tree", passing))
    rows = [item for item in (by_rule(data) if rules else by_class(data)) if item.packets or item.unknown]
    if rows:
        parts.append(markings_table(rows, rules))
    elif view.markings:
        parts.append(Text(f"{len(view.markings)} markings have seen no packet yet"))
    if not parts:
        parts.append(
            Text(
                "no queues or programs of edge seen on the devices of this namespace; "
                "in a lab with `ring` links the engine has them: edgelab classes"
            )
        )
    parts += [Text(note) for note in view.notes]
    spaced = [one for part in parts for one in (part, Text(""))]
    return Group(*spaced[:-1])


def _lines(view: Counters) -> list[QueueLine]:
    from edge.countrows import QueueLine

    return [
        QueueLine(
            item.at.device,
            "" if item.tree is None else str(item.tree),
            item.name,
            item.strict,
            None if item.tree is None else item.rate_bps,
            item.packets,
            item.octets,
            item.drops,
            item.backlog_packets,
            item.borrowed,
        )
        for item in view.queues
    ]
