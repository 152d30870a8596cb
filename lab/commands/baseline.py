"""`edgelab baseline`: what a good lab looks like, as a file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from edge.errors import EXIT_CHECK_FAILED, EXIT_OK
from lab import state
from lab.checks.result import title
from lab.commands.common import NamedOption, TimeSpan, name_argument


@click.command(
    epilog="\b\nExamples:\n  edgelab baseline -o good.json\n  edgelab baseline contoso | less\n"
    "  edgelab check --against good.json        what has drifted since"
)
@name_argument
@click.option(
    "-o",
    "--output",
    "path",
    cls=NamedOption,
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    default="-",
    metavar="FILE",
    help="The file to write; - is standard output.",
)
@click.option(
    "--within",
    default="10s",
    show_default=True,
    metavar="TIME",
    type=TimeSpan(0.1),
    help="How long each check is tried until it holds.",
)
@click.option("--anyway", is_flag=True, help="Record a lab whose checks do not hold, too.")
def baseline_command(name: str | None, path: Path, within: float, anyway: bool) -> int:
    """Record how the lab is: nodes, links, tags, sessions, routes, queues and what its checks come to.

    The file is sorted and has nothing that changes by itself, so that it may lie in a repository. A lab whose
    checks fail is none to measure others by, nor one with a router that does not answer: nothing is written
    then, exit 1.
    """
    from lab.baseline.picture import dumps
    from lab.baseline.reading import read_picture
    from lab.checks import default_checks, run_checks
    from lab.client import Client

    with Client(state.find(name)) as client:
        model = client.model
        results = run_checks(client, model.checks or default_checks(model), within)
        failed = [result for result in results if not result.ok]
        for result in failed:
            click.echo(f"FAILED {title(result.check)}: {result.words}", err=True)
        if failed and not anyway:
            words = f"{len(failed)} of {len(results)} checks failed, so nothing was recorded; --anyway does"
            click.echo(words, err=True)
            return EXIT_CHECK_FAILED
        reading = read_picture(client, results)
        for words in sorted(reading.silent.values()):
            click.echo(f"{words}, so its routes are not known", err=True)
        if reading.silent:
            click.echo("nothing was recorded; `edgelab inspect` shows which routers answer", err=True)
            return EXIT_CHECK_FAILED
        text = dumps(reading.picture)
    if str(path) == "-":
        click.echo(text, nl=False)
        return EXIT_OK
    replace_file(path, text)
    click.echo(f"recorded lab {model.name} in {path}", err=True)
    return EXIT_OK


def replace_file(path: Path, text: str) -> None:
    """Write a file whole or not at all; a device or a pipe takes the text as it is. Raises OSError."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
