"""`edgelab circuit|peering|connection|...`: commands to the service of a running lab, from `lab.verbs`."""

from __future__ import annotations

import contextlib
import dataclasses
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from edge.errors import EXIT_CHECK_FAILED, EXIT_OK, EdgeError, UsageError
from lab import state
from lab.commands.common import Seconds, change_lines, complete_lab, format_option, print_json, tell_dropped
from lab.commands.words import OneOf, is_many, word_of
from lab.groups import GROUPS
from lab.refused import RefusedError
from lab.service.codec import encode_command
from lab.service.resources import Scope
from lab.verbs import NAMES, Verb, verbs_of

if TYPE_CHECKING:
    from lab.client import Client

_HELP: dict[str, str] = {
    "advertised_prefixes": "Public prefix that the customer announces; several times for several.",
    "authorization_key": "Key of the peer circuit's owner, across subscriptions.",
    "bfd": "Whether the MSEE runs BFD; old peerings do not until they are reset.",
    "bandwidth_gbps": "Speed of the ports in Gbit/s.",
    "bandwidth_mbps": "Per direction and connection, for example 200M.",
    "billing": "Billing of the circuits on it.",
    "by": "Who writes the peering.",
    "customer_asn": "AS number under which the prefixes are registered, where it is not the peer's.",
    "encapsulation": "Tags on the ports.",
    "family": "Billing of outbound data.",
    "fastpath": "Let data skip the gateway.",
    "key": "The key; a GUID is made when left out.",
    "legacy": "Microsoft peering as before 2017-08: everything is announced without a filter.",
    "location": "Peering location.",
    "metro": "The two links end in two sites of the city.",
    "notes": "What the provider notes.",
    "overprovision_factor": "How often the port may be sold.",
    "peer_asn": "The customer's AS number.",
    "port": "Direct port pair.",
    "prefix_v6": "IPv6 prefix of the tunnel, a /125.",
    "private_link": "Also for private endpoints.",
    "private_link_fastpath": "FastPath also for private endpoints.",
    "provider": "Connectivity provider.",
    "rate_limit": "Limit a circuit on Direct to its bandwidth.",
    "region": "Azure region it is filed under; the nearest when left out.",
    "registry": "Routing registry of the prefixes.",
    "s_tag": "Outer tag; the lowest free one when left out.",
    "service_key": "GUID; derived when left out.",
    "shared_key": "MD5 key of the sessions.",
    "sku": "Size.",
    "subnets": "GatewaySubnet; twice for IPv4 and IPv6.",
    "tier": "Regions within reach.",
    "units": "Scale units of ErGwScale.",
    "v4": "IPv4 of the links: one /29, or twice a /30.",
    "v6": "IPv6 of the links: one /125, or twice a /126.",
    "vlan": "C-tag.",
    "weight": "Routing weight, the highest is preferred.",
    "allow_virtual_wan_traffic": "Let traffic of Virtual WAN in as well.",
}

_LAB = ("-l", "--lab")


class _Group(click.Group):
    """A group whose verbs are made when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of the table."""
        return [verb.name for verb in verbs_of(str(self.name))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, or None when there is no such verb."""
        found = (verb for verb in verbs_of(str(self.name)) if verb.name == cmd_name)
        return next((_command(verb) for verb in found), None)


def group(name: str) -> click.Group:
    """`edgelab NAME`."""
    examples = "\n".join(f"  edgelab {name} {verb.name} {verb.example}" for verb in verbs_of(name)[:3])
    return _Group(name, help=GROUPS[name], epilog=f"\b\nExamples:\n{examples}")


def _command(verb: Verb) -> click.Command:
    hints = typing.get_type_hints(verb.command)
    fields = {one.name: one for one in dataclasses.fields(verb.command)}
    parameters: list[click.Parameter] = [
        _argument(verb, fields[name], hints[name]) for name in verb.arguments
    ]
    for one in verb.optional:
        if one.name == "scope":
            parameters += _scope_options()
        else:
            parameters.append(_option(verb, one, hints[one.name]))
    if verb.command.__name__ == "CreateCircuit":
        parameters.append(click.Option(["--site"], default="", help="Site of the lab where it ends."))
    parameters += [
        click.Option(_LAB, shell_complete=complete_lab, help="The lab, where several run."),
        click.Option(["--dry-run"], is_flag=True, help="Say what would change and change nothing."),
        click.Option(
            ["--wait"],
            type=Seconds(0),
            default=0.0,
            metavar="SECONDS",
            help="Longest wait for sessions that can come up; exit 1 when some do not.",
        ),
    ]
    command = click.Command(
        verb.name,
        params=parameters,
        callback=_callback(verb),
        help=verb.summary,
        epilog=f"\b\nExample:\n  edgelab {verb.group} {verb.name} {verb.example}",
    )
    return format_option(command)


def _argument(verb: Verb, field: dataclasses.Field[Any], kind: Any) -> click.Argument:
    word = word_of(field.name, kind)
    return click.Argument(
        [field.name],
        type=word,
        nargs=-1 if is_many(kind) else 1,
        required=not is_many(kind) or field.default is dataclasses.MISSING,
        metavar=None if isinstance(word, OneOf) else _metavar(field.name) + ("..." if is_many(kind) else ""),
        shell_complete=_complete(verb, field.name),
    )


def _metavar(field: str) -> str:
    return {"bandwidth_mbps": "BANDWIDTH", "mbps": "RATE", "allow_remote_vnet_traffic": "on|off"}.get(
        field, "on|off" if field == "enabled" else field.upper()
    )


def _option(verb: Verb, field: dataclasses.Field[Any], kind: Any) -> click.Option:
    name = "--" + verb.options.get(field.name, field.name).replace("_", "-")
    needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    words: dict[str, Any] = {"help": _HELP.get(field.name), "shell_complete": _complete(verb, field.name)}
    if kind is bool:
        both = f"{name}/--no-{name[2:]}" if field.default else name
        return click.Option([field.name, both], is_flag=True, default=field.default, **words)
    if is_many(kind):
        words |= {"multiple": True, "required": needed}
    elif not needed:
        words["default"] = field.default
    else:
        words["required"] = True
    return click.Option([field.name, name], type=word_of(field.name, kind), **words)


def _scope_options() -> list[click.Parameter]:
    return [
        click.Option(["scope_subscription", "--subscription"], help="Whose it is; else the lab's own."),
        click.Option(["scope_group", "--resource-group"], help="The same of its resource group."),
    ]


def _complete(
    verb: Verb, field: str
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]] | None:
    table = verb.names.get(field) or (NAMES.get(field) if field in NAMES else None)
    if table is None:
        return None

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        with contextlib.suppress(EdgeError):
            lab = state.find(ctx.params.get("lab"))
            known = _known(lab.read_service().get("state", {}), table, ctx.params)
            return [CompletionItem(name) for name in known if name.startswith(incomplete)]
        return []

    return complete


def _known(service: dict[str, Any], table: str, given: dict[str, Any]) -> Iterator[str]:
    """Names that a lab's stored State has; authorizations are those of the circuit on the line."""
    if table == "authorizations":
        yield from service.get("circuits", {}).get(given.get("circuit"), {}).get("authorizations", {})
    else:
        yield from service.get(table, {})


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """A command to the service, as data, and how to carry it out; see the options of the same names."""

    command: dict[str, Any]
    site: str
    dry_run: bool
    wait: float


def order_of(words: Sequence[str]) -> Order:
    """What `edgelab WORDS` would order: ("circuit", "bandwidth", "ams", "100M"). Raises UsageError."""
    name, verb_name, *rest = [*words, "", ""][: max(2, len(words))]
    verb = next((verb for verb in verbs_of(name) if verb.name == verb_name), None)
    if verb is None:
        known = ", ".join(f"{verb.group} {verb.name}" for verb in verbs_of(name)) or ", ".join(GROUPS)
        raise UsageError(f"the service knows no {' '.join(words) or 'command'}; one of: {known}")
    try:
        with _command(verb).make_context(f"{name} {verb_name}", rest) as context:
            given = dict(context.params)
    except click.ClickException as error:
        raise UsageError(f"{' '.join(words)}: {error.format_message()}") from error
    except click.exceptions.Exit:
        raise UsageError(f"{' '.join(words)}: --help is for the command line") from None
    given.pop("lab")
    given.pop("output")
    return _order(verb, **given)


def carry_out(
    client: Client, order: Order, listener: Callable[[dict[str, Any]], dict[str, Any] | None] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Have a lab's service carry an order out: its answer, and what the waiting for sessions came to.

    Raises RefusedError when the service says no.
    """
    client.agree()
    fields = {"command": order.command, "site": order.site, "dry_run": order.dry_run}
    answer = client.request("service", listener, 120.0, **fields)
    waited: dict[str, Any] = {"pending": [], "seconds": 0.0}
    if order.wait and not order.dry_run:
        waited = client.request("wait", None, order.wait + 30.0, wait_s=order.wait)
    return answer, waited


def _order(
    verb: Verb,
    dry_run: bool,
    wait: float,
    scope_subscription: str | None = None,
    scope_group: str | None = None,
    site: str = "",
    **given: Any,
) -> Order:
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    command = encode_command(verb.command(**values, **verb.fixed))
    command.pop("scope", None)
    if scope_subscription or scope_group:
        owner = scope_subscription or Scope().subscription
        command["scope"] = {"subscription": owner, "resource_group": scope_group or owner}
    return Order(command, site, dry_run, wait)


def _callback(verb: Verb) -> Callable[..., int]:
    def run(lab: str | None, output: str, **given: Any) -> int:
        return _ask(lab, _order(verb, **given), output)

    return run


def _ask(name: str | None, order: Order, output: str) -> int:
    from lab.client import Client
    from lab.progress import Progress

    directory = state.find(name)
    with Client(directory) as client:
        progress = Progress()
        try:
            answer, waited = carry_out(client, order, progress)
        except RefusedError as error:
            if output == "json":
                print_json({"version": 1, "ok": False, "lab": directory.name, "refusal": error.to_json()})
            raise
        finally:
            progress.clear()
    if output == "json":
        print_json({"version": 1, "ok": True, "lab": directory.name, **answer_json(order, answer, waited)})
    else:
        _tell(directory.name, answer, waited, order.dry_run)
    return EXIT_CHECK_FAILED if waited["pending"] else EXIT_OK


def answer_json(order: Order, answer: dict[str, Any], waited: dict[str, Any]) -> dict[str, Any]:
    """What was ordered, and what came of it."""
    told = {key: value for key, value in answer.items() if key != "ok"}
    waiting = {"pending": waited["pending"], "wait_seconds": waited["seconds"]}
    return {"command": order.command, **told, **waiting}


def _tell(name: str, answer: dict[str, Any], waited: dict[str, Any], dry_run: bool) -> None:
    for line in change_lines(answer["changes"]):
        click.echo(line)
    for words in dict.fromkeys(event["words"] for event in answer["events"]):
        click.echo(words)
    tell_dropped(answer["dropped"])
    counts = answer["plan"]["counts"] if dry_run else answer["counts"]
    words = ", ".join(f"{count} {action}d" for action, count in counts.items() if count)
    if answer["restarts"]:
        words = f"{len(answer['restarts'])} sessions begin anew" + (f", {words}" if words else "")
    if dry_run:
        click.echo(f"lab {name} would have {words or 'no step to do'}", err=True)
    else:
        click.echo(
            f"lab {name}: {words or 'nothing to do on the wire'} in {answer['seconds']:.2f} s", err=True
        )
    for item in waited["pending"]:
        who = f"session {item['session']} of {item['namespace']} to {item['neighbor']}"
        click.echo(f"{who} is not up: {item['state']}", err=True)


circuit_command = group("circuit")
peering_command = group("peering")
authorization_command = group("authorization")
filter_command = group("filter")
gateway_command = group("gateway")
connection_command = group("connection")
vnet_command = group("vnet")
reach_command = group("reach")
port_command = group("port")
provider_command = group("provider")
microsoft_command = group("microsoft")
