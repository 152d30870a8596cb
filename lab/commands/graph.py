"""`edgelab graph`: a picture of a lab, of one that runs or of what a file would make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.errors import EdgeError, UsageError
from lab import state
from lab.commands.common import NamedOption, name_argument, print_json
from lab.commands.topologyfile import TopologyFile

if TYPE_CHECKING:
    from lab.report.graph import Picture

SUFFIXES = {".mmd": "mermaid", ".md": "mermaid", ".dot": "dot", ".gv": "dot", ".svg": "svg", ".html": "html"}
FORMATS = ("mermaid", "dot", "svg", "html", "json")


@click.command(
    epilog="\b\nExamples:\n  edgelab graph -o contoso.html           open it in a browser; needs no network\n"
    "  edgelab graph -t contoso.edge.yml -o contoso.svg\n"
    "  edgelab graph --format dot | dot -Tpng > contoso.png\n  edgelab graph --format mermaid"
)
@name_argument
@click.option(
    "-t",
    "--topology",
    type=TopologyFile(),
    help="Draw what this file (or gallery name) would make, without states, instead of a lab that runs.",
)
@click.option(
    "--format",
    "output",
    cls=NamedOption,
    type=click.Choice(FORMATS),
    help="What to write. [default: by the name of the file of -o, else mermaid]",
)
@click.option(
    "-o", "--output", "file", type=click.Path(path_type=Path), help="Write there, not to standard output."
)
def graph_command(name: str | None, topology: Path | None, output: str | None, file: Path | None) -> None:
    """Draw nodes in their tiers, links with tags and state, and BGP sessions as a second layer.

    SVG and HTML need nothing else, no network either; in HTML the layers can be switched. Mermaid is for
    Markdown, dot for Graphviz.
    """
    if name is not None and topology is not None:
        raise UsageError("a lab's name and -t exclude each other: leave one of them out")
    if output is None:
        output = "mermaid" if file is None else SUFFIXES.get(file.suffix.lower(), "")
    if not output:
        known = ", ".join(SUFFIXES)
        raise UsageError(f"{file} does not say what to write: add --format, or use one of {known}")
    picture = _picture(name, topology)
    if output == "json" and file is None:
        print_json(picture.to_json())
        return
    text = _drawn(picture, output)
    if file is None:
        click.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EdgeError(f"{file} cannot be written: {error.strerror}") from error
    click.echo(f"{file}: {output}, {len(picture.boxes)} nodes", err=True)


def _picture(name: str | None, topology: Path | None) -> Picture:
    from lab.report.graph import picture

    if topology is not None:
        from lab.topology import load

        return picture(load(topology))
    from lab.client import Client
    from lab.inspect import collect

    with Client(state.find(name)) as client:
        return picture(client.model, collect(client))


def _drawn(picture: Picture, output: str) -> str:
    import json

    from lab.report import graphsvg, graphtext

    if output == "json":
        return json.dumps(picture.to_json(), indent=2) + "\n"
    draw = {"mermaid": graphtext.mermaid, "dot": graphtext.dot, "svg": graphsvg.svg, "html": graphsvg.html}
    return draw[output](picture)
