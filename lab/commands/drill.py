"""`edgelab outage` and `edgelab drill`: how long nothing comes through, also when things break."""

from __future__ import annotations

import select
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from click.shell_completion import CompletionItem

from edge.errors import EXIT_CHECK_FAILED, EXIT_OK, EdgeError, UsageError
from lab import state
from lab.commands.common import (
    NamedOption,
    complete_lab,
    complete_node,
    format_option,
    print_json,
    split_lab,
)
from lab.commands.quantities import Duration

if TYPE_CHECKING:
    from edge.net.capabilities import Asked
    from lab.drills.choice import Choice
    from lab.drills.model import Drill, Row

LEAST_INTERVAL_S = 0.0005
"""Half a millisecond: 2,000 probes in a second each way are about what one core sends beside a lab."""

_SHORTEST_RUN_S = 0.1

links_option = click.option(
    "--links",
    type=click.Choice(["auto", "kernel", "bpf", "ring"]),
    default="auto",
    show_default=True,
    help="How VLAN tags are made in labs that are deployed for it.",
)

interval_option = click.option(
    "--interval",
    type=Duration(LEAST_INTERVAL_S),
    default="1ms",
    show_default=True,
    help="Between two probes of a way; a gap is known to one of these.",
)


@click.command(
    epilog="\b\nExamples:\n"
    "  edgelab outage pc1 vm1                                   ten seconds, a probe each millisecond\n"
    "  edgelab outage pc1 vm1 --fault 'silent ams/primary' --plot outage.svg\n"
    "  edgelab outage contoso pc1 teams --way forth --for 1m --limit 50ms\n"
    "  edgelab outage pc1 vm1 --probes --format json > run.json; edgelab plot run.json -o run.png"
)
@click.argument("words", nargs=-1, required=True, metavar="[NAME] FROM TO", shell_complete=complete_node)
@click.option(
    "--for",
    "seconds",
    type=Duration(_SHORTEST_RUN_S),
    default="10s",
    show_default=True,
    help="How long: 10s, 2m.",
)
@interval_option
@click.option(
    "--way",
    type=click.Choice(["both", "forth", "back"]),
    default="both",
    show_default=True,
    help="Which way probes go; what is behind NAT answers nobody, so forth then.",
)
@click.option("--family", type=click.Choice(["4", "6"]), default="4", show_default=True, help="IP version.")
@click.option(
    "--by", metavar="LINK", multiple=True, help="Choose ports whose packets cross this link, where some do."
)
@click.option(
    "--fault",
    metavar="WORDS",
    help="A fault as `edgelab fault` takes it, after a quarter of the time; healed at the end.",
)
@click.option("--limit", type=Duration(0), help="Exit 1 when the longest gap is longer.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Also draw it, as *.svg or *.png."
)
@click.option("--probes", is_flag=True, help="With --format json: each probe, too.")
@format_option
def outage_command(
    words: tuple[str, ...],
    seconds: float,
    interval: float,
    way: Literal["both", "forth", "back"],
    family: str,
    by: tuple[str, ...],
    fault: str | None,
    limit: float | None,
    plot: Path | None,
    probes: bool,
    output: str,
) -> int:
    """Measure how long nothing comes through between two hosts: probes at a millisecond, one flow each way.

    Each probe is seen on the circuits' links, so the table tells which link carried them before and after.
    Ctrl-C ends it early. The longest gap is from the first lost probe to the next that came through.
    """
    from lab.client import Client
    from lab.drills.run import measure
    from lab.drills.words import fault_of
    from lab.recording import interrupts
    from lab.traffic.meter import Meter, ways_of
    from lab.traffic.metering import metering_json

    if plot is not None:
        from lab.report import plots

        plots.require(plot)
    lab, (source, target) = _two(words)
    with Client(state.find(lab)) as client:
        ways = ways_of(client.model, source, target, 4 if family == "4" else 6, way)
        wrong = fault_of(client.model, fault) if fault else None
        if wrong is not None and wrong.unfolds_s >= seconds * FAULT_PART:
            least = int(wrong.unfolds_s / FAULT_PART) + 1
            raise UsageError(
                f"{fault}: not all that it does would begin in time; give --for {least}s or more"
            )
        with Meter(client, ways, int(interval * 1e9)) as meter:
            _known_links(meter.links, by)
            meter.choose(by or (wrong.crossing if wrong else ()))
            with interrupts() as interrupted:
                found = measure(
                    client,
                    meter,
                    seconds,
                    wrong.call if wrong else None,
                    lambda: bool(select.select([interrupted], [], [], 0)[0]),
                )
        name = client.directory.name
    if output == "json":
        print_json({**metering_json(found, probes=probes), "lab": name})
    else:
        from edge.console import show
        from lab.report.drills import metering_table

        show(metering_table(found))
    if plot is not None:
        from lab.report.series import outage_series

        plots.plot_outage(outage_series(found), plot, f"{name}: {source} and {target}")
    return EXIT_CHECK_FAILED if limit is not None and found.worst().seconds > limit else EXIT_OK


FAULT_PART = 3 / 4
"""Of the time of `outage`, that in which the fault is there; before it all is well."""


def _two(words: tuple[str, ...]) -> tuple[str | None, tuple[str, str]]:
    lab, rest = split_lab(words, 2)
    if len(rest) != 2:
        raise click.UsageError("two hosts are needed: edgelab outage [NAME] FROM TO")
    return lab, (rest[0], rest[1])


def _known_links(links: Sequence[str], asked: Sequence[str]) -> None:
    from edge.document.suggest import hint_for

    for link in asked:
        if link not in links:
            raise UsageError(f"no circuit's link {link}; {hint_for(link, links)}")


def _complete_drill(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from lab.drills.table import DRILLS
    from lab.drills.topologies import gallery

    names = (*DRILLS, *gallery())
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return found + complete_lab(ctx, parameter, incomplete)


@click.command(
    epilog="\b\nExamples:\n"
    "  edgelab drill --list\n"
    "  edgelab drill --all --plots pictures --junit drills.xml\n"
    "  edgelab drill carrier-loss silent-bfd\n"
    "  edgelab drill my.edge.yml silent-loss         the user's own topology, deployed for it\n"
    "  edgelab drill contoso --all                   the lab contoso that runs, healed and left there"
)
@click.argument("words", nargs=-1, metavar="[NAME|TOPOLOGY] [DRILL...]", shell_complete=_complete_drill)
@click.option("--all", "everything", cls=NamedOption, is_flag=True, help="Every drill there is.")
@click.option(
    "--long", "longer", cls=NamedOption, is_flag=True, help="With --all: those that take minutes, too."
)
@click.option(
    "--list", "listed", cls=NamedOption, is_flag=True, help="Tell what drills there are, and do nothing."
)
@interval_option
@links_option
@click.option(
    "--plots",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for a picture of each drill (SVG); made if it is not there.",
)
@click.option(
    "--junit", type=click.Path(dir_okay=False, path_type=Path), help="Also write JUnit XML for a CI server."
)
@format_option
def drill_command(
    words: tuple[str, ...],
    everything: bool,
    longer: bool,
    listed: bool,
    interval: float,
    links: Asked,
    plots: Path | None,
    junit: Path | None,
    output: str,
) -> int:
    """Break things under the outage meter, and tell how long each took to fail over.

    Labs are deployed for it under names of their own and taken away again. Each fault is healed, and all
    sessions must come back. With the name of a lab that runs, a topology file or one of the gallery, that
    is drilled. Exit 1 when an aim is missed.
    """
    from edge.progress import LiveLine
    from lab.interruptions import terminable

    chosen = _chosen(words, everything, longer, listed)
    if listed:
        return _tell_list(chosen.drills, output)
    if plots is not None:
        from lab.report.plots import require

        plots.mkdir(parents=True, exist_ok=True)
        require(plots / "any.svg")
    started = datetime.now(timezone.utc)
    if junit is not None and not junit.parent.is_dir():
        raise UsageError(f"there is no folder {junit.parent} for {junit.name}")
    line = LiveLine(sys.stderr)
    rows: list[Row] = []
    failed: EdgeError | None = None
    with terminable():
        try:
            for row in chosen.run(links, int(interval * 1e9), line.show):
                rows.append(row)
                if plots is not None:
                    _draw(row, plots)
        except EdgeError as error:
            # What was measured before is told all the same.
            failed = error
        finally:
            line.clear()
    if failed is not None and not rows:
        raise failed
    if junit is not None:
        from lab.report.drills import drills_junit

        junit.write_text(drills_junit(rows, started), encoding="utf-8")
    if output == "json":
        from lab.report.drills import drills_json

        print_json(drills_json(rows))
    else:
        from edge.console import show
        from lab.report.drills import drills_table

        show(drills_table(rows))
    if failed is not None:
        raise failed
    return EXIT_CHECK_FAILED if any(row.verdict == "missed" for row in rows) else EXIT_OK


def _chosen(words: tuple[str, ...], everything: bool, longer: bool, listed: bool) -> Choice:
    from lab.drills.choice import choose

    if not words and not everything and not listed:
        raise click.UsageError("name drills, or give --all; `edgelab drill --list` tells which there are")
    return choose(words, everything or listed, longer or listed)


def _tell_list(drills: Sequence[Drill], output: str) -> int:
    from lab.report.drills import list_json, list_table

    if output == "json":
        print_json(list_json(drills))
    else:
        from edge.console import show

        show(list_table(drills))
    return EXIT_OK


def _draw(row: Row, folder: Path) -> None:
    if row.metering is None:
        return
    from lab.report.plots import plot_outage
    from lab.report.series import outage_series

    plot_outage(
        outage_series(row.metering), folder / f"{row.drill.name}.svg", f"{row.drill.name}: {row.drill.fault}"
    )
