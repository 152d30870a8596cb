"""`edgelab fault`: what goes wrong in a running lab. `edgelab heal` is in `lab.commands.heal`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from edge.document.suggest import hint_for
from edge.errors import EXIT_OK, EdgeError, UsageError
from lab import state
from lab.commands.common import complete_lab, format_option, print_json
from lab.faults import targets
from lab.faults.kinds import KINDS
from lab.faults.model import Kind, Sort
from lab.faults.units import DURATION, NODE, Unit, fields_of
from lab.model import LabModel

if TYPE_CHECKING:
    _Word = click.ParamType[float]
else:
    # Only newer versions of click have it as a generic.
    _Word = click.ParamType

_LAB = "lab.fault.lab"
"""Where the name of a lab that stands in front of the kind is kept (click.Context.meta)."""

_OTHERS = ("list", "script")

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


class _Faults(click.Group):
    """A verb for each kind of fault, made when it is asked for; a lab's name may stand in front of it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the lab's name away: a first word that no verb here has, before one that a verb has."""
        verbs = (*_OTHERS, *KINDS)
        if len(args) > 1 and args[0] not in verbs and not args[0].startswith("-"):
            labs = {lab.name for lab in state.running_labs()}
            if args[1] in verbs or args[0] in labs:
                ctx.meta[_LAB], args = args[0], args[1:]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """`list` and `script`, then the kinds in the order of the table."""
        return [*_OTHERS, *KINDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of a kind, or None when there is no such kind."""
        if cmd_name == "list":
            return list_command
        if cmd_name == "script":
            from lab.commands.fault_script import script_command

            return script_command
        return _command(KINDS[cmd_name]) if cmd_name in KINDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but with the nearest kind for one that there is not."""
        if args and args[0] not in self.list_commands(ctx) and not ctx.resilient_parsing:
            raise UsageError(f"no kind of fault {args[0]}; {hint_for(args[0], KINDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The kinds with their words."""
        with formatter.section("Kinds of faults"):
            formatter.write_dl([(kind.name, kind.words) for kind in KINDS.values()])
        with formatter.section("Else"):
            formatter.write_dl(
                [
                    ("list", "Faults that are active, and all kinds with their options."),
                    ("script", "Run the timed faults of the topology file."),
                ]
            )


def _model(ctx: click.Context) -> LabModel:
    from lab.client import Client

    with Client(state.find(named(ctx, ctx.params.get("lab")))) as client:
        return client.model


def named(ctx: click.Context, lab: str | None) -> str | None:
    """The lab's name, in front of the kind or as an option. Raises UsageError for two."""
    before = ctx.meta.get(_LAB)
    if before and lab and before != lab:
        raise UsageError(f"two labs are named, {before} and {lab}; name one")
    return lab or before


def _complete_from(sort: Sort) -> Complete:
    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        with contextlib.suppress(EdgeError):
            return [CompletionItem(name) for name in sort.known(_model(ctx)) if name.startswith(incomplete)]
        return []

    return complete


def _option(name: str, field: Any, unit: Unit, words: str) -> click.Option:
    default = field.default
    shown = isinstance(default, int | float | str) and bool(default)
    return click.Option(
        [f"option_{field.name}", f"--{name}"],
        metavar=unit.name,
        help=f"{words}  [default: {unit.show(default)}]" if shown else words,
        shell_complete=_complete_from(targets.NODE) if unit is NODE else _complete_words(unit),
    )


def _complete_words(unit: Unit) -> Complete:
    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(word) for word in unit.choices if word.startswith(incomplete)]

    return complete


class _Duration(_Word):
    """`500ms`, `5s`, `2m`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds. Fails as click does, with exit status 2."""
        try:
            return float(DURATION.read(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _command(kind: Kind) -> click.Command:
    parameters: list[click.Parameter] = [
        click.Argument(["target"], metavar=kind.sort.name.upper(), shell_complete=_complete_from(kind.sort)),
        *(
            _option(name, field, known.unit, known.help)
            for name, (field, known) in fields_of(kind.options).items()
        ),
        click.Option(["name", "--as"], metavar="FAULT", help="Call it so; made from kind and target else."),
    ]
    if kind.lasting:
        parameters.append(
            click.Option(
                ["for_s", "--for"],
                type=_Duration(),
                metavar="DURATION",
                help="Heal it after so long, and at Ctrl-C; it stays until `edgelab heal` when left out.",
            )
        )
    parameters += [
        click.Option(["-l", "--lab"], shell_complete=complete_lab, help="The lab, where several run."),
        click.Option(["--dry-run"], is_flag=True, help="Say what would change and change nothing."),
    ]
    healed = "It heals by itself: the supervisor starts it again." if not kind.lasting else ""
    command = click.Command(
        kind.name,
        params=parameters,
        callback=_callback(kind),
        help=f"{kind.words}\n\n{kind.sort.name.upper()} is {kind.sort.words}. {healed}",
        short_help=kind.words,
        epilog=f"\b\nExample:\n  edgelab fault {kind.name} {kind.example}",
    )
    return format_option(command)


def _callback(kind: Kind) -> Callable[..., int]:
    @click.pass_context
    def run(
        ctx: click.Context,
        /,
        target: str,
        name: str | None,
        lab: str | None,
        dry_run: bool,
        output: str,
        for_s: float | None = None,
        **given: str | None,
    ) -> int:
        options = {
            known: given[f"option_{field.name}"]
            for known, (field, _) in fields_of(kind.options).items()
            if given[f"option_{field.name}"] is not None
        }
        fields = {"kind": kind.name, "target": target, "options": options, "name": name or ""}
        return _inject(named(ctx, lab), fields, for_s, dry_run, output)

    return run


def _inject(lab: str | None, fields: dict[str, Any], for_s: float | None, dry_run: bool, output: str) -> int:
    from lab.client import Client
    from lab.faults.calls import DEADLINE_S
    from lab.progress import Progress

    directory = state.find(lab)
    progress = Progress()

    def listen(message: dict[str, Any]) -> None:
        progress(message)
        if "fault" in message and output != "json":
            progress.clear()
            _tell_injected(message)
            click.echo(f"it is healed after {for_s:g} s, or with Ctrl-C", err=True)

    with Client(directory) as client:
        try:
            deadline_s = DEADLINE_S + (for_s or 0.0)
            answer = client.request(
                "fault",
                listen,
                deadline_s,
                dry_run=dry_run,
                **fields,
                **({} if for_s is None else {"for_s": for_s}),
            )
        finally:
            progress.clear()
    if output == "json":
        told = {key: value for key, value in answer.items() if key != "ok"}
        print_json({"version": 1, "lab": directory.name, "healed": for_s is not None and not dry_run, **told})
    elif dry_run:
        _tell_planned(answer)
    elif for_s is not None:
        click.echo(f"fault {answer['fault']['name']} is healed")
    else:
        _tell_injected(answer)
        if answer["fault"]["lasting"]:
            click.echo(f"it stays until: edgelab heal {answer['fault']['name']}", err=True)
    return EXIT_OK


def _tell_planned(answer: dict[str, Any]) -> None:
    steps = (answer["plan"] or {}).get("steps", ())
    for item in steps:
        click.echo(f"{item['action']:6} {item['object']}")
    if not steps:
        click.echo(f"{answer['fault']['kind']} changes no object of the lab, it acts on processes")


def _tell_injected(answer: dict[str, Any]) -> None:
    fault = answer["fault"]
    words = ", ".join(f"{count} {action}d" for action, count in answer["counts"].items() if count)
    what = "; ".join(answer["struck"]) or words or "nothing to change now"
    click.echo(f"fault {fault['name']}: {said(fault)} ({what}, {answer['seconds']:.2f} s)")


def said(fault: dict[str, Any]) -> str:
    """A fault as the command line says it."""
    options = " ".join(f"--{name} {value}" for name, value in fault["options"].items())
    return f"{fault['kind']} {fault['target']} {options}".rstrip()


@click.command(
    cls=_Faults,
    epilog="\b\nExamples:\n"
    "  edgelab fault link-down ams/primary            a cable is pulled\n"
    "  edgelab fault contoso silent ams/primary --for 10s\n"
    "  edgelab fault loss pc1 --part 2% --seed 7 --as lossy\n"
    "  edgelab fault list                             what is active, and all kinds\n"
    "  edgelab heal                                   all is well again",
    subcommand_metavar="[NAME] KIND TARGET [OPTIONS]...",
)
def fault_command() -> None:
    """Let something go wrong in a running lab.

    A fault stays until `edgelab heal`, or for the time of --for. `deploy` and commands to the service leave
    it where it is. `edgelab fault KIND --help` tells what a kind takes.
    """


@click.command("list", epilog="\b\nExamples:\n  edgelab fault list\n  edgelab fault list --format json")
@click.option("-l", "--lab", shell_complete=complete_lab, help="The lab, where several run.")
@format_option
@click.pass_context
def list_command(ctx: click.Context, lab: str | None, output: str) -> None:
    """Faults that are active in the lab, and all kinds with their options."""
    from lab.client import Client
    from lab.faults.calls import active

    name = named(ctx, lab)
    found: list[dict[str, Any]] = []
    runs = bool(state.running_labs()) or name is not None
    if runs:
        directory = state.find(name)
        name = directory.name
        with Client(directory) as client:
            found = active(client)
    if output == "json":
        print_json(
            {
                "version": 1,
                "lab": name,
                "active": found,
                "kinds": [_kind_json(kind) for kind in KINDS.values()],
            }
        )
        return
    from edge.console import show, table

    if found:
        columns = ("fault", "kind", "target", "options", "phase")
        show(table(columns, [_row(one) for one in found]))
    else:
        click.echo(f"no fault is active in lab {name}" if runs else "no lab is running")
    click.echo()
    rows = [(kind.name, kind.sort.name, kind.words, _usage(kind)) for kind in KINDS.values()]
    show(table(("kind", "target", "what it does", "options"), rows))


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    options = " ".join(f"--{name} {value}" for name, value in one["options"].items())
    phase = f"{one['phase']} of {one['phases']}" if one["phases"] > 1 else ""
    return (one["name"], one["kind"], one["target"], options, phase)


def _usage(kind: Kind) -> str:
    return " ".join(f"--{name}" for name in fields_of(kind.options))


def _kind_json(kind: Kind) -> dict[str, Any]:
    return {
        "kind": kind.name,
        "words": kind.words,
        "target": kind.sort.name,
        "options": [
            {"name": name, "unit": known.unit.name, "words": known.help}
            for name, (_, known) in fields_of(kind.options).items()
        ],
        "heals": kind.heals,
        "lasting": kind.lasting,
        "example": f"edgelab fault {kind.name} {kind.example}",
    }
