"""What several verbs share: options, completion of names, finding the lab and the node."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, TypeVar

import click
from click.shell_completion import CompletionItem

from edge.commands.common import Seconds as Seconds
from edge.errors import EdgeError, UsageError
from lab import state
from lab.model import LabModel, Node

F = TypeVar("F", bound=Callable[..., Any])


def complete_lab(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of labs that run."""
    return [CompletionItem(lab.name) for lab in state.running_labs() if lab.name.startswith(incomplete)]


def complete_node(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Nodes of the lab named before on the line, or of the only one that runs; labs, too."""
    from lab.client import Client

    items = complete_lab(ctx, parameter, incomplete)
    try:
        given = ctx.params.get("words") or ()
        name = given[0] if given and given[0] in {lab.name for lab in state.running_labs()} else None
        with Client(state.find(name)) as client:
            names = [space for node in client.model.nodes for space in (node.name, *node.namespaces)]
    except EdgeError:
        return items
    return items + [CompletionItem(name) for name in dict.fromkeys(names) if name.startswith(incomplete)]


class TimeSpan(Seconds):
    """A time as people write it: 10s, 500ms, 2min; a number alone is seconds."""

    name = "time"

    _UNITS: ClassVar[dict[str, float]] = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number of seconds. Fails as click does, with exit status 2."""
        found = re.fullmatch(r"\s*([0-9.]+)\s*(ms|s|min|h)\s*", value) if isinstance(value, str) else None
        if found is None:
            return super().convert(value, param, ctx)
        try:
            seconds = float(found[1]) * self._UNITS[found[2]]
        except ValueError:
            self.fail(f"{value!r} is not a time", param, ctx)
        return super().convert(seconds, param, ctx)


name_argument = click.argument("name", required=False, shell_complete=complete_lab, metavar="[NAME]")


class NamedOption(click.Option):
    """An option whose environment variable bears the option's own name: EDGELAB_LIST_FORMAT."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The value of the variable, None when it is not set or empty."""
        if ctx.auto_envvar_prefix is None:
            return None
        word = max(self.opts, key=len).lstrip("-").replace("-", "_").upper()
        return os.environ.get(f"{ctx.auto_envvar_prefix}_{word}") or None


format_option = click.option(
    "--format",
    "output",
    cls=NamedOption,
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print the result.",
)


def topology_option(function: F) -> F:
    """-t FILE, required: a file, or a name of the gallery."""
    from lab.commands.topologyfile import TopologyFile

    return click.option(
        "-t",
        "--topology",
        "topology",
        required=True,
        type=TopologyFile(),
        help="The topology file (*.edge.yml), or a name of the gallery: contoso.",
    )(function)


def print_json(data: Any) -> None:
    """Data as JSON on standard output."""
    click.echo(json.dumps(data, indent=2))


def split_lab(words: tuple[str, ...], needed: int) -> tuple[str | None, tuple[str, ...]]:
    """(lab name or None, the rest) of `[NAME] WORD...` where `needed` words follow the name.

    The first word is a lab's name when there is one word more than needed, or when a lab of that name
    runs and enough words follow.
    """
    if len(words) > needed:
        return words[0], words[1:]
    return None, words


def find_node(model: LabModel, name: str) -> tuple[Node, str]:
    """(node, namespace) for a node's name, one of its namespaces, or a beginning that fits only one.

    A node's own name means its first namespace. Raises UsageError with the nearest names.
    """
    for node in model.nodes:
        if node.name == name:
            return node, node.namespaces[0]
        if name in node.namespaces:
            return node, name
    fits = [node for node in model.nodes if node.name.startswith(name)]
    if len(fits) == 1:
        return fits[0], fits[0].namespaces[0]
    names = [node.name for node in model.nodes]
    near = [node.name for node in fits] or difflib.get_close_matches(name, names, 3) or names
    raise UsageError(f"lab {model.name} has no node {name}; perhaps one of: {', '.join(near)}")


def change_lines(items: list[dict[str, Any]]) -> Iterator[str]:
    """What changed, a line each; of a new thing what is not as usual, of one that is gone its name."""
    for item in items:
        path, before, after = item["path"], item["before"], item["after"]
        if ".scope." in path or (before or None) == (after or None):
            continue
        if after is None and path.endswith(".name"):
            yield f"{path.removesuffix('.name')}: gone"
        elif before is None and path.endswith(".name"):
            yield f"{path.removesuffix('.name')}: new"
        elif after is not None:
            new = before is None
            yield f"{path}: {after}" if new else f"{path}: {_shown(before)} -> {_shown(after)}"


def _shown(value: Any) -> Any:
    return "-" if value in (None, "") else value


def tell_dropped(dropped: Iterable[dict[str, Any]]) -> None:
    """Say on stderr which faults a change ends, since they do not fit it."""
    for one in dropped:
        click.echo(f"fault {one['name']} ends, it does not fit any more: {one['why']}", err=True)
