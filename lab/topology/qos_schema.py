"""What the file may say about quality of service: a site's policy, and the knobs at Microsoft's side."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from edge.document.suggest import hint_for
from edge.errors import InputError, Problem
from edge.qos import policyfile
from edge.qos.capacity import too_large
from edge.qos.model import Policy
from edge.qos.profiles import PROFILES, profile
from edge.qos.steering import no_room, with_control
from lab.topology.part import Part
from lab.topology.values import refuse, show

CLASS_PATTERN = "^[A-Za-z][A-Za-z0-9_.-]*$"

ClassName = Annotated[str, Field(pattern=CLASS_PATTERN)]


@lru_cache(maxsize=64)
def _written_out(text: str) -> Policy:
    """The policy of a JSON text. Its rules have no place in a file that a person could look at."""
    policy = policyfile.loads(text, "policy")
    return replace(policy, rules=tuple(replace(rule, position="") for rule in policy.rules))


@lru_cache(maxsize=64)
def _unloadable(text: str) -> Problem | None:
    """Why no data path can load the policy of a JSON text together with the router's own rules."""
    return too_large(with_control(_written_out(text)), "policy")


def policy_of(value: str | dict[str, Any]) -> Policy:
    """A built-in policy by its name, or one written out. Raises UsageError, InputError."""
    return profile(value) if isinstance(value, str) else _written_out(json.dumps(value))


def _policy(value: object) -> str | dict[str, Any]:
    if isinstance(value, str):
        if value not in PROFILES:
            hint = hint_for(value, PROFILES)
            refuse(
                f"there is no policy {show(value)}",
                f"{hint} or name a file, for example policies/{value}.yml",
            )
        return value
    if not isinstance(value, dict):
        refuse(f"{show(value)} is not a policy", "write the name of one, for example teams, or a file's")
    try:
        policy_of(value)
    except InputError as error:
        first = error.problems[0]
        where = f"{first.path}: " if first.path else ""
        refuse(f"{where}{first.message}", first.hint)
    return value


PolicyText = Annotated[
    str | dict[str, Any],
    PlainValidator(_policy),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]}),
]


class SiteQos(Part):
    """How a site's edges mark and queue what they send to Microsoft."""

    policy: PolicyText = Field(
        description="A built-in policy, a policy file (its path seen from this file), or a policy written "
        "out. On Microsoft peerings it marks, on private ones it only steers into queues.",
        examples=["teams"],
    )
    shares: dict[ClassName, Annotated[int, Field(ge=1, le=100)]] = Field(
        default_factory=dict,
        description="Percent of the bandwidth that a class is sure of, in the place of the policy's.",
        examples=[{"voice": 40, "default": 10}],
    )

    @model_validator(mode="after")
    def _known(self) -> SiteQos:
        policy = policy_of(self.policy)
        if reason := no_room(policy):
            refuse(
                f"the policy cannot be a site's: {reason}",
                "take out what is least needed; see docs/topology.md, section Calls",
            )
        if not isinstance(self.policy, str) and (problem := _unloadable(json.dumps(self.policy))):
            refuse(problem.message, problem.hint)
        classes = {item.name: item.share for item in policy.classes}
        for name in self.shares:
            if name not in classes:
                refuse(f"shares: there is no class {name}", hint_for(name, classes))
        total = sum({**classes, **self.shares}.values())
        if total > 100:
            refuse(f"the shares of all classes add up to {total} %", "make it 100 or less")
        return self

    def resolve(self) -> Policy:
        """The policy with the shares put in."""
        policy = policy_of(self.policy)
        classes = (replace(item, share=self.shares.get(item.name, item.share)) for item in policy.classes)
        return replace(policy, classes=tuple(classes))


class CircuitQos(Part):
    """What Microsoft's edge does with marks and queues on a circuit."""

    msee: Literal["pass", "remark", "drop"] = Field(
        default="remark",
        description="Packets on the Microsoft peering with a DSCP that the service does not know: pass as "
        "they are, remark to 0, or drop.",
    )
    queues: bool = Field(
        default=True, description="Give the MSEE queues for what it sends to the customer, by DSCP."
    )
