"""`edgelab call`: voice, video and sharing through a lab, with the figures of a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import click

from edge.errors import EXIT_CHECK_FAILED, EXIT_OK
from edge.program import EXIT_INTERRUPTED
from lab import state
from lab.commands.common import F, complete_node, format_option, print_json, split_lab
from lab.commands.quantities import Duration

_CODECS = ("g711", "g711-plc", "g729a")
_PROFILES = (
    "teams",
    "skype-online",
    "skype-server",
    "skype-server-clients",
    "skype-server-conferencing",
    "skype-server-edge",
)
"""Names only, so that `--help` is quick; a test holds them against lab.traffic."""

_STREAMS_MAX = 500


def _streams(medium: str) -> Callable[[F], F]:
    return click.option(
        f"--{medium}",
        type=click.IntRange(0, _STREAMS_MAX),
        metavar="N",
        default=None,
        help=f"Streams of {'voice' if medium == 'audio' else medium}, each way.",
    )


@click.command(
    epilog="\b\nExamples:\n"
    "  edgelab call pc1 teams                             one call of voice, ten seconds\n"
    "  edgelab call pc1 teams --audio 20 --video 3 --sharing 1 --for 1m\n"
    "  edgelab call pc1 teams --mos 4.3 --loss 1          exit 1 when it sounds worse\n"
    "  edgelab call contoso pc1 vm1 --profile skype-server-clients --codec g729a\n"
    "  edgelab call pc1 teams --format json | jq '.streams[].windows'"
)
@click.argument("words", nargs=-1, required=True, metavar="[NAME] FROM TO", shell_complete=complete_node)
@_streams("audio")
@_streams("video")
@_streams("sharing")
@click.option(
    "--for", "seconds", type=Duration(0.1), default="10s", show_default=True, help="How long: 10s, 2m, 1h."
)
@click.option("--codec", type=click.Choice(_CODECS), default="g711-plc", show_default=True, help="Of voice.")
@click.option(
    "--profile",
    type=click.Choice(_PROFILES),
    default="teams",
    show_default=True,
    help="Whose port ranges are used.",
)
@click.option("--both/--one-way", default=True, show_default=True, help="Whether TO sends as well.")
@click.option(
    "--mark", is_flag=True, help="Clients set DSCP themselves; without it only the lab's policies mark."
)
@click.option("--family", type=click.Choice(["4", "6"]), default="4", show_default=True, help="IP version.")
@click.option("--streams", "each", is_flag=True, help="A line for each stream, not for each kind.")
@click.option(
    "--mos", type=click.FloatRange(1, 4.5), help="Exit 1 when the MOS of a stream of voice is lower."
)
@click.option("--loss", type=click.FloatRange(0, 100), metavar="PERCENT", help="Exit 1 when more is lost.")
@click.option(
    "--delay", type=click.FloatRange(0), metavar="MS", help="Exit 1 when the one-way delay is longer."
)
@click.option("--jitter", type=click.FloatRange(0), metavar="MS", help="Exit 1 when jitter is more.")
@click.option("--microsoft", is_flag=True, help="Exit 1 when one of Microsoft's targets is missed.")
@format_option
def call_command(
    words: tuple[str, ...],
    audio: int | None,
    video: int | None,
    sharing: int | None,
    seconds: float,
    codec: str,
    profile: str,
    both: bool,
    mark: bool,
    family: Literal["4", "6"],
    each: bool,
    mos: float | None,
    loss: float | None,
    delay: float | None,
    jitter: float | None,
    microsoft: bool,
    output: str,
) -> int:
    """Hold a call between two nodes and say how it was.

    RTP as clients send it, after STUN, by their ports: the lab marks and queues it as any call. Loss, delay
    and jitter are those of the network, R and MOS are what the E-model (ITU-T G.107) makes of them. FROM is a
    host or a router, TO one, too, or a service such as teams. Ctrl-C ends the call before its time.
    """
    from lab.client import Client
    from lab.traffic.call import Call
    from lab.traffic.callplan import Wanted, plan_call
    from lab.traffic.callresult import Asked, failures

    name, rest = split_lab(words, 2)
    if len(rest) != 2:
        raise click.UsageError(f"expected [NAME] FROM TO, not: {' '.join(words)}")
    if audio is None and video is None and sharing is None:
        audio = 1
    if mos is not None and not audio:
        raise click.UsageError("--mos is of voice, and this call has none; add --audio 1")
    wanted = Wanted(
        rest[0],
        rest[1],
        {"voice": audio or 0, "video": video or 0, "sharing": sharing or 0},
        seconds,
        codec,
        profile,
        6 if family == "6" else 4,
        both,
        mark,
    )
    interrupted = False
    with Client(state.find(name)) as client, Call(client, plan_call(client.model, wanted)) as call:
        call.connect()
        call.start()
        try:
            call.wait()
        except KeyboardInterrupt:
            interrupted = True
            call.stop()
            call.wait()
        result = call.result()
    missed = failures(result, Asked(mos, loss, delay, jitter, microsoft))
    if output == "json":
        print_json(result.to_json() | {"failed": list(missed), "interrupted": interrupted})
    else:
        from edge.console import show
        from lab.report.calls import call_table

        show(call_table(result, each))
    for words_of_one in missed:
        click.echo(f"edgelab: target missed: {words_of_one}", err=True)
    if interrupted:
        return EXIT_INTERRUPTED
    return EXIT_CHECK_FAILED if missed else EXIT_OK
