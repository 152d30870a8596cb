"""`edge validate`: a policy file, everything that is wrong with it, and what in it can have no effect."""

from __future__ import annotations

import json
from typing import Any

import click

from edge.commands.common import format_option, policy_option
from edge.errors import InputError
from edge.qos.capacity import too_large
from edge.qos.model import Policy, Rule

RIVALS_MAX = 3
"""Most rules above one that compete with it which the words name."""


@click.command(
    "validate",
    epilog="\b\nExamples:\n  edge validate --policy my-policy.yml\n"
    "  edge validate --policy my-policy.yml --format json | jq .shadowed",
)
@policy_option(required=True)
@format_option
def validate_command(policy_name: str, output: str) -> None:
    """Check a policy file and say everything that is wrong with it.

    Prints each problem as file:line:column: path: what is wrong; way out. Exit 2 when there is one, such as a
    policy that is too large to be loaded. Of a good file it also tells the rules that can never match, and
    those of your rules that compete for packets; that is no error.
    """
    from edge.qos.policyfile import find

    policy = find(policy_name)
    problem = too_large(policy, policy_name)
    if problem is not None:
        raise InputError([problem])
    document = findings(policy)
    if output == "json":
        click.echo(json.dumps(document, indent=2))
        return
    rules, classes = len(policy.rules), len(policy.classes)
    click.echo(f"{policy_name}: good: policy {policy.name}, {rules} rules, {classes} classes")
    for line in words(policy, document):
        click.echo(line)


def findings(policy: Policy) -> dict[str, Any]:
    """What is notable in a good policy, as plain data; rules by index. Pure.

    outside_table: rules whose DSCP is none of the service's, with the value that the MSEE's default sets.
    """
    from edge.qos.expressroute import ALLOWED, at_msee
    from edge.qos.overlap import overlaps, shadowed

    never = shadowed(policy)
    return {
        "version": 1,
        "name": policy.name,
        "rules": len(policy.rules),
        "classes": len(policy.classes),
        "shadowed": [{"rule": one.rule, "covered_by": list(one.covers)} for one in never],
        "overlaps": [
            {"first": one.first, "second": one.second, "exception": one.exception}
            for one in overlaps(policy, never)
        ],
        "outside_table": [
            {"rule": number, "dscp": rule.dscp, "at_msee": at_msee(rule.dscp)}
            for number, rule in enumerate(policy.rules)
            if rule.dscp is not None and rule.dscp not in ALLOWED
        ],
    }


def words(policy: Policy, document: dict[str, Any]) -> list[str]:
    """The findings for people, one line each. Pure.

    Of competing rules only those that both stand in the file: that a file's rule goes before the profile's is
    what it is for. An exception above its general case is on purpose, too. Of each rule's rivals the first
    RIVALS_MAX.
    """
    from edge.qos.names import dscp_words

    def named(number: int) -> str:
        rule = policy.rules[number]
        return rule.name if rule.position else f"{rule.name} (built in)"

    lines = []
    for item in document["shadowed"]:
        rule = policy.rules[item["rule"]]
        where = f"{rule.position}: " if rule.position else ""
        covers = ", ".join(map(named, item["covered_by"]))
        why = f"{covers} take{'' if len(item['covered_by']) > 1 else 's'} all its packets; put it higher"
        if not covers:
            why = "no packet meets all its conditions; take some out"
        lines.append(f"{where}rule {named(item['rule'])} can never match: {why}, or take the rule out")
    rivals: dict[int, list[Rule]] = {}
    for item in document["overlaps"]:
        first = policy.rules[item["first"]]
        if first.position and not item["exception"]:
            rivals.setdefault(item["second"], []).append(first)
    for number, above in rivals.items():
        second = policy.rules[number]
        if not second.position:
            continue
        lines += [
            f"{second.position}: rule {second.name} shares packets with {first.name} ({first.position}), "
            f"which decides: class {first.class_name}, not {second.class_name}"
            for first in above[:RIVALS_MAX]
        ]
        if len(above) > RIVALS_MAX:
            more = len(above) - RIVALS_MAX
            lines.append(f"{second.position}: rule {second.name}: and {more} more; --format json lists them")
    for item in document["outside_table"]:
        rule = policy.rules[item["rule"]]
        lines.append(
            f"{rule.position}: rule {rule.name} sets DSCP {dscp_words(item['dscp'])}, which Microsoft "
            f"peering does not know: the MSEE makes it {item['at_msee']}"
        )
    return lines
