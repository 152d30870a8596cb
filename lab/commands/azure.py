"""`edgelab show arp|routes|...`: what Azure shows of a circuit, read from the real routers at this moment.

Names, columns and JSON are Azure's.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, TypeVar

import click

from edge.errors import UsageError
from edge.model import Address
from lab import state
from lab.azure.paths import PATHS, PeeringPath, find_circuit, find_peering, peering_paths
from lab.client import Client
from lab.commands.common import Seconds, complete_lab, format_option, print_json

F = TypeVar("F", bound=Callable[..., Any])


path_option = click.option("--path", type=click.Choice(PATHS), help="Only this path; both when left out.")


def circuit_options(function: F) -> F:
    """--lab, --circuit, --peering."""
    for option in (
        click.option("--peering", metavar="NAME", help="private or microsoft; all when left out."),
        click.option("--circuit", metavar="NAME", help="May be left out when there is one."),
        click.option("--lab", metavar="NAME", shell_complete=complete_lab, help="When several run."),
    ):
        function = option(function)
    return function


@contextmanager
def _paths(
    lab: str | None, circuit: str | None, peering: str | None, path: Any = None
) -> Iterator[tuple[Client, tuple[PeeringPath, ...]]]:
    with Client(state.find(lab)) as client:
        found = find_circuit(client.model, circuit)
        wanted = find_peering(found, peering) if peering is not None else None
        yield client, peering_paths(client.model, found, wanted, path)


def _print(output: str, columns: tuple[str, ...], documents: list[dict[str, Any]], key: str) -> None:
    """Documents: one a path, each with its rows under `key`."""
    if output == "json":
        print_json({"version": 1, "paths": documents})
        return
    from edge.console import show, table

    rows = [
        (document["peering"], document["path"], *("" if cell is None else str(cell) for cell in row.values()))
        for document in documents
        for row in document[key]
    ]
    show(table(("peering", "path", *columns), rows))


def _document(path: PeeringPath, **rest: Any) -> dict[str, Any]:
    return {"circuit": path.circuit, "peering": path.peering, "path": path.path, **rest}


@click.command("arp", epilog="\b\nExample:\n  edgelab show arp --circuit ams --peering private")
@circuit_options
@path_option
@format_option
def arp(lab: str | None, circuit: str | None, peering: str | None, path: Any, output: str) -> None:
    """ARP tables. No row On-Prem, or an Incomplete one: look at the customer and the provider."""
    from lab.azure.readout import read_path

    with _paths(lab, circuit, peering, path) as (client, paths):
        counters = client.counters().get("tag_counters") or {}
        documents = [
            _document(item, value=[row.to_json() for row in read_path(client, item, counters).arp])
            for item in paths
        ]
    _print(output, ("age (min)", "interface", "IP address", "MAC address"), documents, "value")


@click.command("routes", epilog="\b\nExample:\n  edgelab show routes --peering private --path primary")
@circuit_options
@path_option
@format_option
def routes(lab: str | None, circuit: str | None, peering: str | None, path: Any, output: str) -> None:
    """Route tables of the MSEEs' routing domains, every way to each prefix, the chosen one first."""
    from lab.azure.readout import read_routes

    with _paths(lab, circuit, peering, path) as (client, paths):
        documents = [
            _document(item, value=[row.to_json() for row in read_routes(client, item)]) for item in paths
        ]
    _print(output, ("network", "next hop", "locPrf", "weight", "path"), documents, "value")


@click.command("summary", epilog="\b\nExample:\n  edgelab show summary --format json")
@circuit_options
@path_option
@format_option
def summary(lab: str | None, circuit: str | None, peering: str | None, path: Any, output: str) -> None:
    """BGP neighbours of the MSEEs' routing domains: how long in which state, how many prefixes."""
    from lab.azure.readout import read_path, summary_rows

    with _paths(lab, circuit, peering, path) as (client, paths):
        documents = [
            _document(item, value=[row.to_json() for row in summary_rows(read_path(client, item, {}))])
            for item in paths
        ]
    _print(output, ("neighbor", "V", "AS", "up/down", "state/PfxRcd"), documents, "value")


@click.command("stats", epilog="\b\nExample:\n  edgelab show stats --peering microsoft")
@circuit_options
@format_option
def stats(lab: str | None, circuit: str | None, peering: str | None, output: str) -> None:
    """Octets into and out of Azure, by peering and path, since the lab came up."""
    from lab.azure.readout import read_path
    from lab.azure.tables import StatsRow

    with _paths(lab, circuit, peering) as (client, paths):
        counters = client.counters().get("tag_counters") or {}
        octets = {(item.peering, item.path): read_path(client, item, counters).octets for item in paths}
    found = {
        name: StatsRow(octets[name, "primary"], octets[name, "secondary"])
        for name in dict.fromkeys(item.peering for item in paths)
    }
    if output == "json":
        rest = [
            {"circuit": paths[0].circuit, "peering": name, **row.to_json()} for name, row in found.items()
        ]
        print_json({"version": 1, "peerings": rest})
        return
    from edge.console import show, table

    columns = ("peering", "primary in", "primary out", "secondary in", "secondary out")
    show(table(columns, [(name, *map(str, row.to_json().values())) for name, row in found.items()]))


@click.command(
    "packets",
    epilog="\b\nExample:\n  edgelab show packets 10.1.0.10 10.50.1.4 --port 3389 --seconds 10",
)
@click.argument("on_premises")
@click.argument("azure")
@click.option("--port", type=click.IntRange(1, 65535), help="A TCP or UDP port of either side.")
@click.option("--seconds", type=Seconds(0.1), default=5.0, show_default=True, help="How long to count.")
@click.option("--circuit", metavar="NAME", help="May be left out when there is one.")
@click.option("--lab", metavar="NAME", shell_complete=complete_lab, help="When several run.")
@format_option
def packets(
    on_premises: str,
    azure: str,
    port: int | None,
    seconds: float,
    circuit: str | None,
    lab: str | None,
    output: str,
) -> None:
    """Test private peering: how many packets between two addresses each MSEE sees, each way."""
    from lab.azure.packets import Conversation, count_packets

    conversation = Conversation(_address(on_premises), _address(azure), port)
    if conversation.on_premises.version != conversation.azure.version:
        raise UsageError(f"{on_premises} and {azure} are not of one IP version")
    with _paths(lab, circuit, "private") as (client, paths):
        counts = count_packets(client, paths, conversation, seconds)
    if output == "json":
        rest = [
            _document(item.path, received=item.received, sent=item.sent, meaning=item.meaning)
            for item in counts
        ]
        print_json({"version": 1, "seconds": seconds, "paths": rest})
        return
    from edge.console import show, table

    rows = [(item.path.path, str(item.received), str(item.sent), item.meaning) for item in counts]
    show(table(("path", "from on-premises", "to on-premises", "which means"), rows))


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise UsageError(f"{text} is not an IP address; for example 10.1.0.10") from None


@click.command(
    "metrics",
    epilog="\b\nExamples:\n  edgelab show metrics\n  edgelab show metrics --every 10 --format json\n"
    "  edgelab show metrics --listen 127.0.0.1:9120     for Prometheus, until Ctrl-C",
)
@click.option("--lab", metavar="NAME", shell_complete=complete_lab, help="When several run.")
@click.option(
    "--every",
    type=Seconds(0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Time over which rates are taken.",
)
@click.option("--listen", metavar="ADDRESS:PORT", help="Answer Prometheus there instead, at /metrics.")
@format_option
def metrics_command(lab: str | None, every: float, listen: str | None, output: str) -> None:
    """Metrics as Azure Monitor names them: availability, bits, drops, routes of gateways."""
    from lab.azure.metrics import metrics, sample

    directory = state.find(lab)
    if listen is not None:
        _listen(directory.name, listen)
        return
    with Client(directory) as client:
        before = sample(client, time.monotonic())
        # Counters send no event: this is the time over which a rate is taken.
        select.select([], [], [], every)
        found = metrics(client.model, before, sample(client, time.monotonic()))
    if output == "json":
        print_json({"version": 1, "seconds": every, "metrics": [item.to_json() for item in found]})
        return
    from edge.console import show, table

    rows = [
        (
            item.name,
            item.resource,
            ", ".join(f"{key}={value}" for key, value in item.dimensions),
            f"{item.value:g}",
            item.unit,
        )
        for item in found
    ]
    show(table(("metric", "resource", "dimensions", "value", "unit"), rows))


def _listen(name: str, listen: str) -> None:
    from lab.azure.exposition import LabCollector, serve

    address, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--listen {listen}: not ADDRESS:PORT; for example 127.0.0.1:9120")
    collector = LabCollector(name, lambda: Client(state.find(name)))
    try:
        taken = serve(collector, address.strip("[]") or "127.0.0.1", int(port))
    except OSError as error:
        raise UsageError(f"--listen {listen}: {error.strerror or error}; choose another port") from error
    click.echo(f"http://{address or '127.0.0.1'}:{taken}/metrics until Ctrl-C", err=True)
    threading.Event().wait()


READOUTS = {str(command.name): command for command in (arp, routes, summary, stats, metrics_command, packets)}
"""Verbs of `edgelab show` that read the routers."""
