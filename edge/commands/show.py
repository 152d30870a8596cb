"""`edge show`: the built-in policies, and any policy as a table, as the YAML of a policy file, or as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from edge.commands.common import policy_option
from edge.qos.model import Policy

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.command(
    "show",
    epilog="\b\nExamples:\n  edge show\n  edge show --policy teams\n"
    "  edge show --policy teams --format yaml > my-policy.yml",
)
@policy_option(required=False)
@click.option(
    "--format",
    "output",
    type=click.Choice(["table", "yaml", "json"]),
    default="table",
    show_default=True,
    help="How to print it; yaml is a policy file to start from.",
)
def show_command(policy_name: str | None, output: str) -> None:
    """Show the built-in policies, or one policy with its classes and rules."""
    from edge.console import show
    from edge.qos.policyfile import find
    from edge.qos.policytext import to_data, to_yaml

    if policy_name is None:
        _list(output)
        return
    policy = find(policy_name)
    if output == "json":
        click.echo(json.dumps({"version": 1, "policy": to_data(policy)}, indent=2))
    elif output == "yaml":
        click.echo(to_yaml(policy), nl=False)
    else:
        show(*policy_tables(policy))


def _list(output: str) -> None:
    from edge.console import show, table
    from edge.errors import UsageError
    from edge.qos.profiles import PROFILES

    if output == "yaml":
        raise UsageError("--format yaml prints one policy; name it, for example --policy teams")
    if output == "json":
        policies = [{"name": one.name, "title": one.title} for one in PROFILES.values()]
        click.echo(json.dumps({"version": 1, "policies": policies}, indent=2))
        return
    rows = [(one.name, one.title) for one in PROFILES.values()]
    show(table(("policy", "what it knows"), rows, fold=("what it knows",)))


def policy_tables(policy: Policy) -> list[RenderableType]:
    """Classes, then rules."""
    from rich.text import Text

    from edge.console import table
    from edge.qos.names import dscp_words
    from edge.qos.policytext import conditions_words

    def dscp(value: int | None) -> str:
        return "as it came" if value is None else dscp_words(value)

    classes = [
        (str(one.queue), one.name, f"{one.share} %", "strict, policed" if one.strict else "borrows")
        for one in policy.classes
    ]
    rules = [
        (str(number), rule.name, rule.class_name, dscp(rule.dscp), conditions_words(rule))
        for number, rule in enumerate(policy.rules)
    ]
    rules.append(("", "(no rule)", "default", dscp(policy.unmatched_dscp), ""))
    return [
        Text(f"policy {policy.name}", style="bold"),
        Text(""),
        table(("queue", "class", "share", "bandwidth"), classes),
        Text(""),
        table(("rule", "name", "class", "DSCP", "packets"), rules, fold=("packets",), spare=("class",)),
    ]
