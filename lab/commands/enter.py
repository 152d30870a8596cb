"""`edgelab exec` and `edgelab shell`."""

from __future__ import annotations

import os

import click

from edge.errors import UsageError
from lab import state
from lab.commands.common import complete_node, find_node


class SplitCommand(click.Command):
    """Keeps what stands behind `--` apart: click itself forgets where it stood."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the words behind the first `--` into ctx.meta["command"]."""
        if "--" in args:
            place = args.index("--")
            ctx.meta["command"] = tuple(args[place + 1 :])
            args = args[:place]
        return super().parse_args(ctx, args)


@click.command(
    cls=SplitCommand,
    context_settings={"allow_interspersed_args": False},
    epilog="\b\nExamples:\n"
    "  edgelab exec ce1 -- ip -br address\n"
    "  edgelab exec contoso msee1-amsterdam.ams.private -- ip route\n"
    "  edgelab exec pc1 -- ping -c 3 10.50.1.4\n"
    "  edgelab exec ce1 -- vtysh -c 'show bgp summary'      where ce1 is your own FRR",
)
@click.argument(
    "words", nargs=-1, required=True, metavar="[NAME] NODE -- COMMAND...", shell_complete=complete_node
)
@click.pass_context
def exec_command(ctx: click.Context, words: tuple[str, ...]) -> int:
    """Run COMMAND in a node's network namespace; its exit status is ours.

    NODE is a node, one of its namespaces (a VRF of an MSEE), or the beginning of one that fits only one.
    NAME may be left out when one lab runs.
    """
    from lab import enter
    from lab.client import Client
    from lab.own_routers import mounts_of

    command = ctx.meta.get("command")
    if not command:
        raise click.UsageError("say what to run after --, for example: edgelab exec ce1 -- ip route")
    if len(words) > 2:
        raise click.UsageError(f"too many words before --: {' '.join(words)}; expected [NAME] NODE")
    with Client(state.find(words[0] if len(words) == 2 else None)) as client:
        _, namespace = find_node(client.model, words[-1])
        pid = client.supervisor_pid
        mounts = mounts_of(client.model, client.directory.own_routers, namespace)
    return enter.run(pid, namespace, command, mounts)


@click.command(
    epilog="\b\nExamples:\n  edgelab shell          all nodes: ip netns exec ce1 ...\n"
    "  edgelab shell pc1      inside pc1\n  edgelab shell contoso ce1"
)
@click.argument("words", nargs=-1, metavar="[NAME] [NODE]", shell_complete=complete_node)
def shell_command(words: tuple[str, ...]) -> int:
    """Open a shell ($SHELL) in a node, or in the lab, where `ip netns` shows all nodes."""
    from lab import enter
    from lab.client import Client
    from lab.own_routers import mounts_of

    if len(words) > 2:
        raise click.UsageError(f"expected [NAME] [NODE], not: {' '.join(words)}")
    running = {lab.name for lab in state.running_labs()}
    name = words[0] if words and (len(words) == 2 or words[0] in running) else None
    node = words[-1] if len(words) == 2 or (words and name is None) else None
    with Client(state.find(name)) as client:
        namespace = find_node(client.model, node)[1] if node else None
        mounts = mounts_of(client.model, client.directory.own_routers, namespace)
        pid = client.supervisor_pid
        where = node or client.directory.name
    shell = os.environ.get("SHELL", "/bin/sh")
    if not os.access(shell, os.X_OK):
        raise UsageError(f"$SHELL is {shell}, which cannot be run; set SHELL=/bin/sh")
    os.environ["EDGELAB_NODE"] = where
    os.environ["PS1"] = f"[{where}] \\w \\$ "
    return enter.run(pid, namespace, [shell], mounts)
