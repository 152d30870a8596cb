"""`edgelab heal`: how a lab is well again."""

from __future__ import annotations

import contextlib

import click
from click.shell_completion import CompletionItem

from edge.errors import EdgeError
from lab import state
from lab.commands.common import NamedOption, complete_lab, format_option, print_json
from lab.commands.faults import said


def _complete_heal(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from lab.client import Client
    from lab.faults.calls import active

    items = complete_lab(ctx, parameter, incomplete)
    with contextlib.suppress(EdgeError):
        given = ctx.params.get("words") or ()
        labs = {lab.name for lab in state.running_labs()}
        with Client(state.find(given[0] if given and given[0] in labs else None)) as client:
            names = (one["name"] for one in active(client))
            items += [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return items


@click.command(
    epilog="\b\nExamples:\n  edgelab heal                        all faults of the only lab\n"
    "  edgelab heal contoso --all\n  edgelab heal link-down-ams-primary  this one"
)
@click.argument("words", nargs=-1, metavar="[NAME] [FAULT...]", shell_complete=_complete_heal)
@click.option("--all", "everything", cls=NamedOption, is_flag=True, help="All faults, as without FAULT.")
@format_option
def heal_command(words: tuple[str, ...], everything: bool, output: str) -> None:
    """Take faults out of a running lab: those named, or all.

    Wire, routers and processes are again as the topology and the service want them.
    """
    from lab.client import Client
    from lab.faults.calls import heal
    from lab.progress import Progress

    labs = {lab.name for lab in state.running_labs()}
    name, faults = (words[0], words[1:]) if words and words[0] in labs else (None, words)
    if everything and faults:
        raise click.UsageError("either FAULT... or --all")
    directory = state.find(name)
    progress = Progress()
    with Client(directory) as client:
        try:
            answer = heal(client, faults or None, on_message=progress)
        finally:
            progress.clear()
    if output == "json":
        told = {key: value for key, value in answer.items() if key != "ok"}
        print_json({"version": 1, "lab": directory.name, **told})
        return
    for one in answer["healed"]:
        click.echo(f"fault {one['name']} is healed: {said(one)}")
    if not answer["healed"]:
        click.echo(f"no fault is active in lab {directory.name}")
    else:
        words_of = ", ".join(f"{count} {action}d" for action, count in answer["counts"].items() if count)
        click.echo(f"{words_of or 'nothing to change'} in {answer['seconds']:.2f} s", err=True)
