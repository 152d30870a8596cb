"""Which policy a compiled table is: the way back from csrc/policy.h, as far as it goes. Pure.

A table holds numbers and no names. The verdicts can be read from it; whose they are is known when a policy
at hand compiles to the very same octets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import get_args

from edge.errors import UsageError
from edge.qos.classes import rules_of
from edge.qos.expressroute import MseeKnob
from edge.qos.model import Direction, Policy, Treatment
from edge.qos.profiles import PROFILES, profile
from edge.qos.steering import OWN_PROTOCOLS, at_msee_ingress, by_dscp, with_control, without_priority
from edge.qos.table import DSCP_KEEP, NO_RULE, compile_policy

_OCTETS_AT, _RULES_AT, _VERDICTS_AT = 4, 8, 16
_VERDICT = struct.Struct("=HBBBxH")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict of a table. rule: index into Policy.rules, None when none matched. dscp: None leaves it."""

    rule: int | None
    queue: int
    dscp: int | None


@dataclass(frozen=True, slots=True)
class Recognised:
    """A policy in one direction that compiles to a table. names: of all policies that do, it is the first."""

    policy: Policy
    direction: Direction
    names: tuple[str, ...]


def outcomes(table: bytes) -> tuple[Outcome, ...]:
    """The verdicts of a table, that of no rule first. Raises ValueError when it is cut off."""
    (count,) = struct.unpack_from("=H", table, _RULES_AT)
    (at,) = struct.unpack_from("=I", table, _VERDICTS_AT)
    octets = table[at : at + (count + 1) * _VERDICT.size]
    if len(octets) != (count + 1) * _VERDICT.size:
        raise ValueError("the table of a policy ends before its verdicts")
    return tuple(
        Outcome(None if rule == NO_RULE else rule, queue, None if dscp == DSCP_KEEP else dscp)
        for rule, _class, queue, dscp, _policer in _VERDICT.iter_unpack(octets)
    )


def built_in() -> tuple[Policy, ...]:
    """The policies that come with the program, as they are and as routers use them."""
    plain = [profile(name) for name in PROFILES]
    at_msee = [at_msee_ingress(knob) for knob in get_args(MseeKnob)]
    ports = (by_dscp(), without_priority(), with_control(OWN_PROTOCOLS))
    return (*ports, *with_own_protocols(plain), *at_msee)


def with_own_protocols(policies: Iterable[Policy]) -> tuple[Policy, ...]:
    """Each policy as it is, and as a router uses it."""
    return tuple(found for item in policies for found in (item, with_control(item)))


def recognise(table: bytes, candidates: Iterable[Policy]) -> Recognised | None:
    """The policy whose table this is, None when it is none of these.

    table: as `compile_policy` gives it or as a map holds it. Raises ValueError when it is no table.
    """
    verdicts = outcomes(table)
    (octets,) = struct.unpack_from("=I", table, _OCTETS_AT)
    same: list[tuple[Policy, Direction]] = []
    ways = product(get_args(Direction), get_args(Treatment))
    for policy, (direction, treatment) in product(candidates, tuple(ways)):
        # Compiling is what costs; the verdicts tell almost all apart.
        if _verdicts(policy, direction, treatment) != verdicts:
            continue
        try:
            if compile_policy(policy, direction, treatment) == table[:octets]:
                same.append((policy, direction))
        except UsageError:
            continue
    if not same:
        return None
    return Recognised(*same[0], tuple(dict.fromkeys(policy.name for policy, _ in same)))


def _verdicts(policy: Policy, direction: Direction, treatment: Treatment) -> tuple[Outcome, ...]:
    def outcome(rule: int | None, class_name: str, dscp: int | None) -> Outcome:
        return Outcome(rule, policy.class_of(class_name).queue, None if treatment == "steer" else dscp)

    rules = ((index, policy.rules[index]) for index in rules_of(policy, direction))
    return (
        outcome(None, "default", policy.unmatched_dscp),
        *(outcome(index, rule.class_name, rule.dscp) for index, rule in rules),
    )
