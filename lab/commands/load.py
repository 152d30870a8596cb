"""`edgelab load`: bulk through a lab."""

from __future__ import annotations

from typing import Literal

import click

from edge.errors import EXIT_CHECK_FAILED, EXIT_OK
from lab import state
from lab.commands.common import complete_node, format_option, print_json, split_lab
from lab.commands.quantities import BitRate, Duration


@click.command(
    epilog="\b\nExamples:\n"
    "  edgelab load pc1 vm1                               as much TCP as goes, ten seconds\n"
    "  edgelab load pc1 teams --udp --rate 600M --for 30s\n"
    "  edgelab load pc1 vm1 --parallel 4 --reverse        vm1 sends\n"
    "  edgelab load pc1 vm1 --at-least 180M               exit 1 when less arrives"
)
@click.argument("words", nargs=-1, required=True, metavar="[NAME] FROM TO", shell_complete=complete_node)
@click.option("--rate", type=BitRate(), help="How much, of all connections together: 600M. UDP needs it.")
@click.option(
    "--for",
    "seconds",
    type=Duration(1.0),
    default="10s",
    show_default=True,
    help="How long, in whole seconds: 10s, 2m, 1h.",
)
@click.option(
    "--udp/--tcp", default=False, show_default=True, help="Packets that nobody sends again, or TCP."
)
@click.option("--reverse", is_flag=True, help="TO sends, FROM receives.")
@click.option(
    "--parallel", type=click.IntRange(1, 128), default=1, show_default=True, help="Connections at once."
)
@click.option("--family", type=click.Choice(["4", "6"]), default="4", show_default=True, help="IP version.")
@click.option(
    "--size",
    type=click.IntRange(16, 9000),
    metavar="OCTETS",
    help="Payload of a packet of UDP, 1200 unless told.",
)
@click.option("--at-least", "least", type=BitRate(), help="Exit 1 when less arrives.")
@format_option
def load_command(
    words: tuple[str, ...],
    rate: int | None,
    seconds: float,
    udp: bool,
    reverse: bool,
    parallel: int,
    family: Literal["4", "6"],
    size: int | None,
    least: int | None,
    output: str,
) -> int:
    """Send bulk from one node to another with iperf3, and say how much arrived.

    FROM and TO are hosts, routers or services. Ctrl-C ends it, and nothing is left running.
    """
    from lab.client import Client
    from lab.traffic.iperf import UDP_OCTETS, LoadWanted
    from lab.traffic.load import run_load

    if size is not None and not udp:
        raise click.UsageError("--size is of packets of UDP; TCP divides its stream itself")
    name, rest = split_lab(words, 2)
    if len(rest) != 2:
        raise click.UsageError(f"expected [NAME] FROM TO, not: {' '.join(words)}")
    wanted = LoadWanted(
        rest[0],
        rest[1],
        seconds,
        "udp" if udp else "tcp",
        rate,
        reverse,
        parallel,
        6 if family == "6" else 4,
        size or UDP_OCTETS,
    )
    with Client(state.find(name)) as client:
        result = run_load(client, wanted)
    failed = least is not None and result.received_bps < least
    if output == "json":
        print_json(result.to_json())
    else:
        from edge.console import show
        from lab.report.calls import load_table

        show(load_table(result))
    if failed and least is not None:
        click.echo(
            f"edgelab: target missed: {result.received_bps / 1e6:.1f} Mbit/s arrived, "
            f"at least {least / 1e6:g} wanted",
            err=True,
        )
    return EXIT_CHECK_FAILED if failed else EXIT_OK
