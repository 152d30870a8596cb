"""What several verbs share: the options that say which policy is meant, where, and in what form to answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

DAY_S = 86_400


class Seconds(click.FloatRange):
    """A time of `least` seconds up to a day: longer, and infinity, is more than the kernel's timers take."""

    name = "seconds"

    def __init__(self, least: float) -> None:
        super().__init__(min=least, max=DAY_S)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. Fails as click does, with exit status 2."""
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds


format_option = click.option(
    "--format",
    "output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print the result.",
)

direction_option = click.option(
    "--direction",
    type=click.Choice(["out", "in"]),
    default="out",
    show_default=True,
    help="Which way the packet goes: out towards Microsoft, or in from it.",
)

peering_option = click.option(
    "--peering",
    type=click.Choice(["microsoft", "private"]),
    default="microsoft",
    show_default=True,
    help="Private peering carries DSCP unchanged; there a policy only chooses the queue.",
)


class PolicyName(click.types.StringParamType):
    """The name of a built-in policy or of a policy file: edge.qos.policyfile finds out which."""

    name = "policy"

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What there is to choose from."""
        from edge.qos.profiles import PROFILES

        return f"Built in are {', '.join(PROFILES)} (see edge show); or name a policy file, as my-policy.yml"


def policy_option(required: bool, default: str | None = None) -> Callable[[F], F]:
    """--policy NAME|FILE, handed over as `policy_name`."""
    # To click a default of None is a default: a required option would not be missed.
    defaults: dict[str, Any] = {} if default is None else {"default": default, "show_default": True}
    return click.option(
        "--policy",
        "policy_name",
        type=PolicyName(),
        required=required,
        metavar="NAME|FILE",
        help="A built-in policy (`edge show` lists them) or a policy file.",
        **defaults,
    )
