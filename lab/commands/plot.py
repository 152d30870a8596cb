"""`edgelab plot`: a picture of what another verb has printed as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edge.errors import UsageError


@click.command(
    epilog="\b\nExamples:\n"
    "  edgelab outage pc1 vm1 --probes --format json > run.json; edgelab plot run.json -o run.svg\n"
    "  edgelab classes --watch --every 0.5 --format json > queues.json     until Ctrl-C\n"
    "  edgelab plot queues.json -o queues.png --port ce1:ams1\n"
    "  edgelab call pc1 teams --format json > call.json; edgelab plot call.json -o call.svg"
)
@click.argument("data", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    "picture",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The picture: *.svg or *.png.",
)
@click.option("--port", default="", help="Of queues: only those of this port.")
@click.option("--circuit", default="", help="Of queues: only those of this circuit.")
@click.option("--title", default="", help="What stands above it.")
def plot_command(data: Path, picture: Path, port: str, circuit: str, title: str) -> None:
    """Draw an outage, queues or a call over time, from JSON that outage, classes or call printed.

    Needs matplotlib: pip install 'edgelab[plots]'.
    """
    from lab.report import plots, series
    from lab.traffic.metering import metering_of

    plots.require(picture)
    looks = _read(data)
    first = looks[0]
    try:
        if "queues" in first:
            plots.plot_queues(series.queue_series(looks, port, circuit), picture, title or str(first["lab"]))
        elif "ways" in first:
            plots.plot_outage(series.outage_series(metering_of(first)), picture, title or str(first["lab"]))
        elif "streams" in first:
            plots.plot_quality(series.quality_series(first), picture, title or str(first["lab"]))
        else:
            raise UsageError(
                f"{data} holds no outage, queues or call; see the examples of: edgelab plot --help"
            )
    except (KeyError, TypeError, ValueError) as error:
        hint = "an outage needs --probes" if "ways" in first else "was it printed with --format json?"
        raise UsageError(f"{data} lacks what a plot needs ({error}); {hint}") from error


def _read(path: Path) -> list[dict[str, Any]]:
    """The objects of a file: one, or one a line. Raises UsageError."""
    try:
        text = path.read_text(encoding="utf-8")
        try:
            found = [json.loads(text)]
        except ValueError:
            # Of looks that Ctrl-C ended the last line may be cut off.
            lines = text.splitlines(keepends=True)
            found = [json.loads(line) for line in lines if line.endswith("\n") and line.strip()]
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    if not found or not all(isinstance(one, dict) for one in found):
        raise UsageError(f"{path} holds no JSON objects")
    return found
