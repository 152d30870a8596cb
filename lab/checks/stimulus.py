"""How a client of a class speaks: the ports and the DSCP by which a policy knows it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge.errors import UsageError
from edge.qos.model import Policy, Rule
from edge.qos.profiles import profile
from lab.model import LabModel

PROTO_UDP = 17
TRIES = 10
OTHER_PORTS = (20_001, 20_002)
"""Ports that no built-in policy names."""


@dataclass(frozen=True, slots=True)
class Stimulus:
    """How a client of a class speaks: its port, the far end's, and the DSCP that it sets itself."""

    class_name: str
    source_port: int
    destination_port: int
    dscp: int = 0
    last_source_port: int = 0


def stimulus_of(policy: Policy, class_name: str) -> Stimulus:
    """A client's packets of that class, by the first rule that ports or a DSCP can satisfy.

    Raises UsageError when the policy has no such class, or no rule of it that UDP could meet.
    """
    if class_name == "default":
        return Stimulus(class_name, *OTHER_PORTS, last_source_port=OTHER_PORTS[0] + TRIES)
    if class_name not in {item.name for item in policy.classes}:
        raise UsageError(
            f"policy {policy.name} has no class {class_name}; it has "
            f"{', '.join(item.name for item in policy.classes)}"
        )
    for rule in policy.rules:
        if rule.class_name == class_name and rule.protocols in ((), *_with_udp(rule)) and not rule.hint:
            if rule.direction == "in" or rule.source or rule.destination:
                continue
            source = rule.source_ports or rule.either_ports or (OTHER_PORTS[0], OTHER_PORTS[0] + TRIES)
            destination = (rule.destination_ports or (OTHER_PORTS[1],))[0]
            dscp = rule.existing_dscp[0] if rule.existing_dscp else 0
            return Stimulus(class_name, source[0], destination, dscp, source[1])
    raise UsageError(f"policy {policy.name} has no rule for class {class_name} that a UDP packet alone meets")


def _with_udp(rule: Rule) -> tuple[tuple[int, ...], ...]:
    return (rule.protocols,) if PROTO_UDP in rule.protocols else ()


def policy_between(model: LabModel, *hosts: str) -> Policy:
    """What the edges of these hosts' sites apply, the first host's first; that of Teams where none does."""
    for host in hosts:
        edges = set(_edges_at(model, host))
        for router in model.routers:
            if router.name not in edges:
                continue
            for vrf in router.vrfs:
                for sub in vrf.subinterfaces:
                    if sub.qos is not None and sub.qos.tree is not None:
                        return sub.qos.policy
    return profile("teams")


def _edges_at(model: LabModel, host: str) -> Iterator[str]:
    for site in (model.document.get("sites") or {}).values():
        if host in (site.get("hosts") or {}):
            for edge in site.get("edges") or ():
                yield _name(edge)


def _name(edge: str | dict[str, Any]) -> str:
    return edge if isinstance(edge, str) else str(edge["name"])
