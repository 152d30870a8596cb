"""`edgelab capture`: frames of any places of a lab, as pcapng."""

from __future__ import annotations

import os
import re
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO

import click
from click.shell_completion import CompletionItem

from edge.errors import EdgeError, UsageError
from lab import state
from lab.commands.common import NamedOption, Seconds, complete_lab

if TYPE_CHECKING:
    from lab.capturesink import Ring
    from lab.model import LabModel
    from lab.recording import CaptureSummary

    _Word = click.ParamType[Any]
else:
    # Only newer versions of click have this as a generic.
    _Word = click.ParamType

_UNITS = {"": 1, "K": 1000, "M": 1000_000, "G": 1000_000_000}
_SHOWN = 8
"""Most places that the line at the beginning names."""


def split_words(words: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """(lab name or None, places): the first word is a lab's name where such a lab runs and places follow."""
    if len(words) > 1 and words[0] in {lab.name for lab in state.running_labs()}:
        return words[0], words[1:]
    return None, words


def complete_where(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Labs first, then links, circuits, nodes and classes of the one that is meant."""
    from lab.client import Client

    given = ctx.params.get("words") or ()
    items = [] if given else complete_lab(ctx, parameter, incomplete)
    try:
        name = given[0] if given and given[0] in {lab.name for lab in state.running_labs()} else None
        with Client(state.find(name)) as client:
            names = _names(client.model)
    except EdgeError:
        return items
    return items + [CompletionItem(one) for one in names if one.startswith(incomplete)]


def _names(model: LabModel) -> list[str]:
    from lab.captureplaces import classes_of

    links, circuits = (item.name for item in model.links), (item.name for item in model.circuits)
    nodes = (node.name for node in model.nodes)
    return list(dict.fromkeys([*links, *circuits, *nodes, *classes_of(model), "all"]))


def parse_ring(word: str) -> tuple[int | None, float | None]:
    """(octets, seconds) of `16M`, `30s` or both with a comma. Raises UsageError. Pure."""
    octets: int | None = None
    seconds: float | None = None
    for part in word.split(","):
        found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]+)?)(s|[KMG]?)", part, re.IGNORECASE)
        number = float(found[1]) if found else 0.0
        if found is None or not number:
            raise UsageError(f"--ring {word!r}: write octets such as 16M, seconds such as 30s, or 16M,30s")
        if found[2].lower() == "s":
            seconds = number
        else:
            octets = int(number * _UNITS[found[2].upper()])
    return octets, seconds


class _RingWord(_Word):
    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Ring:
        """The ring."""
        from lab.capturesink import Ring

        try:
            return Ring(*parse_ring(str(value)))
        except UsageError as error:
            self.fail(str(error), param, ctx)


@click.command(
    epilog="\b\nExamples:\n"
    "  edgelab capture ams-primary -w circuit.pcapng\n"
    "  edgelab capture ams-primary --verdict -w - | wireshark -k -i -\n"
    "  edgelab capture pc1 ams-primary vm1 -w way.pcapng       three places in one file\n"
    "  edgelab capture contoso ce1 -c 100 -w ce1.pcapng        all devices of a node\n"
    "  edgelab capture voice --for 10 -w voice.pcapng          a class, on all circuits\n"
    "  edgelab capture ams --tags 3/100 --filter 'tcp port 179' -w bgp.pcapng\n"
    "  edgelab capture all --ring 16M -w last.pcapng           the last 16 MB, at Ctrl-C"
)
@click.argument("words", nargs=-1, required=True, metavar="[NAME] WHERE...", shell_complete=complete_where)
@click.option(
    "-w",
    "--write",
    "path",
    cls=NamedOption,
    default="-",
    metavar="FILE",
    help="pcapng file; - is standard output.",
)
@click.option("-c", "--count", type=click.IntRange(min=1), help="End after so many frames.")
@click.option(
    "-d", "--for", "--duration", "duration", type=Seconds(0.1), metavar="SECONDS", help="End after so long."
)
@click.option(
    "-s",
    "--snaplen",
    type=click.IntRange(64, 262144),
    default=262144,
    show_default=True,
    metavar="OCTETS",
    help="Keep only so much of each frame.",
)
@click.option(
    "-f",
    "--filter",
    "expression",
    cls=NamedOption,
    default="",
    metavar="WORDS",
    help="Only frames that meet this, as for tcpdump, seen behind the tags: 'udp port 3784'.",
)
@click.option(
    "--tags",
    multiple=True,
    metavar="VIDS",
    help="Only frames under these tags: 3/100, 3, or none; repeatable.",
)
@click.option(
    "--verdict", is_flag=True, help="Write the fast path's verdict beside each frame, as its comment."
)
@click.option(
    "--ring",
    type=_RingWord(),
    metavar="SIZE",
    help="Keep only the last 16M octets, 30s seconds, or both (16M,30s); written at the end.",
)
def capture_command(
    words: tuple[str, ...],
    path: str,
    count: int | None,
    duration: float | None,
    snaplen: int,
    expression: str,
    tags: tuple[str, ...],
    verdict: bool,
    ring: Ring | None,
) -> None:
    """Capture frames where WHERE says, with all VLAN tags as they are on the wire.

    WHERE is a link (ams-primary), a circuit (both its links), a node (all its devices), NODE:DEVICE, all
    (every link), a class of service (voice), or one of these narrowed to a class (ams-primary/voice); any
    number of them. `edgelab inspect` lists them. Ends with Ctrl-C, or when the reader of the pipe goes; the
    file is whole then. What the kernel had to drop is told, and written into the file.
    """
    from lab.captureplaces import resolve_all
    from lab.client import Client
    from lab.framefilter import parse_tags_word
    from lab.recording import interrupts, record
    from lab.sifting import Sifting

    name, rest = split_words(words)
    vids = [parse_tags_word(word) for word in tags]
    with Client(state.find(name)) as client, ExitStack() as stack:
        wanted = resolve_all(client.model, rest)
        sift = Sifting(client.model, wanted, expression=expression, tags=vids, verdict=verdict)
        places = tuple(item.place for item in wanted)
        # A file that is there can be read: from here on an interrupt ends the capture, not the program.
        stop = stack.enter_context(interrupts())
        summary = record(
            client,
            places,
            lambda end: stack.enter_context(_open(path, stop, end)),
            count=count,
            duration_s=duration,
            snaplen=snaplen,
            sift=sift,
            ring=ring,
            stop_fds=(stop,),
            on_ready=lambda: click.echo(_listening([str(place.at) for place in places]), err=True),
        )
    click.echo(_told(summary), err=True)
    if summary.failed:
        raise EdgeError(f"{path}: {summary.failed}")


def _listening(places: list[str]) -> str:
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return f"capturing on {', '.join(places[:_SHOWN])}{more}; Ctrl-C ends"


def _told(summary: CaptureSummary) -> str:
    unwritten = f", {summary.unwritten} more not written" if summary.unwritten else ""
    lost = f", {summary.dropped} lost" if summary.dropped else ""
    older = f", {summary.let_go} older ones let go" if summary.let_go else ""
    lines = [f"{summary.frames} frames{unwritten}{lost}{older} ({summary.ended})"]
    lines += [
        f"lost at {place} for lack of room: {drops}; narrow the capture to fewer places"
        for place, drops in summary.dropped_at.items()
    ]
    lines += [
        f"{place} vanished" + (" and came back; what passed meanwhile is missing" if back else "")
        for place, back in summary.vanished.items()
    ]
    return "\n".join(lines)


def _open(path: str, stop_fd: int, end: float | None) -> BinaryIO:
    from lab.capturetarget import open_target

    if path != "-":
        words = f"nobody reads {path} yet; waiting for a reader; Ctrl-C ends"
        return open_target(path, (stop_fd,), end, lambda: click.echo(words, err=True))
    if sys.stdout.isatty():
        raise UsageError("pcapng is not for a terminal; write it to a file with -w FILE, or into a pipe")
    return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
