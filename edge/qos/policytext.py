"""A policy as the YAML of a policy file, and as data for JSON. Pure.

`policyfile.loads(to_yaml(policy), ...)` gives the same policy again, but for positions.
"""

from __future__ import annotations

import json
from typing import Any

from edge.model import Network
from edge.qos.model import CLASSES, DSCP_CS0, Policy, PortRange, Rule
from edge.qos.names import dscp_name, protocol_name
from edge.qos.policyvalues import KEEP


def to_yaml(policy: Policy) -> str:
    """A whole policy file that extends nothing."""
    lines = [f"name: {_scalar(policy.name)}"]
    if policy.unmatched_dscp != DSCP_CS0:
        lines.append(f"unmatched: {_dscp(policy.unmatched_dscp)}")
    if policy.classes != CLASSES:
        lines.append("classes:")
        for item in policy.classes:
            strict = ", strict: true" if item.strict else ""
            lines.append(f"  {_scalar(item.name)}: {{share: {item.share}{strict}}}")
    if policy.rules:
        lines.append("rules:")
    for rule in policy.rules:
        keys = ", ".join(f"{key}: {value}" for key, value in _rule_keys(rule))
        lines.append(f"  - {{{keys}}}")
    return "\n".join(lines) + "\n"


def to_data(policy: Policy) -> dict[str, Any]:
    """The policy as plain data for JSON, without a version of its own. DSCP null: kept as it came."""
    return {
        "name": policy.name,
        "unmatched_dscp": policy.unmatched_dscp,
        "classes": [
            {"name": item.name, "queue": item.queue, "share": item.share, "strict": item.strict}
            for item in policy.classes
        ],
        "rules": [rule_data(number, rule) for number, rule in enumerate(policy.rules)],
    }


def rule_data(number: int, rule: Rule) -> dict[str, Any]:
    """A rule as plain data; conditions that are not asked for are left out. Ports are [first, last]."""
    conditions: dict[str, Any] = {
        "protocol": list(rule.protocols),
        "ports": rule.either_ports,
        "source_ports": rule.source_ports,
        "destination_ports": rule.destination_ports,
        "source": list(map(str, rule.source)),
        "destination": list(map(str, rule.destination)),
        "existing_dscp": list(rule.existing_dscp),
        "hint": rule.hint,
        "direction": rule.direction if rule.direction != "both" else "",
        "position": rule.position,
    }
    return {
        "rule": number,
        "name": rule.name,
        "class": rule.class_name,
        "dscp": rule.dscp,
        **{key: value for key, value in conditions.items() if value},
    }


def conditions_words(rule: Rule) -> str:
    """What a rule asks for, in the words of a policy file: `protocol: udp, ports: 50000-50019`."""
    return ", ".join(
        f"{key}: {value}" for key, value in _rule_keys(rule) if key not in ("name", "class", "dscp")
    )


def _rule_keys(rule: Rule) -> list[tuple[str, str]]:
    keys = [("name", _scalar(rule.name)), ("class", _scalar(rule.class_name)), ("dscp", _dscp(rule.dscp))]
    if rule.protocols:
        keys.append(("protocol", _list([protocol_name(n).removeprefix("protocol ") for n in rule.protocols])))
    for key, ports in (
        ("ports", rule.either_ports),
        ("source_ports", rule.source_ports),
        ("destination_ports", rule.destination_ports),
    ):
        if ports is not None:
            keys.append((key, _ports(ports)))
    for key, prefixes in (("source", rule.source), ("destination", rule.destination)):
        if prefixes:
            keys.append((key, _list([_prefix(prefix) for prefix in prefixes])))
    if rule.existing_dscp:
        keys.append(("existing_dscp", _list([_dscp(value) for value in rule.existing_dscp])))
    if rule.hint:
        keys.append(("hint", rule.hint))
    if rule.direction != "both":
        keys.append(("direction", rule.direction))
    return keys


def _dscp(value: int | None) -> str:
    return KEEP if value is None else dscp_name(value)


def _ports(ports: PortRange) -> str:
    return str(ports[0]) if ports[0] == ports[1] else f"{ports[0]}-{ports[1]}"


def _prefix(prefix: Network) -> str:
    return f'"{prefix}"' if prefix.version == 6 else str(prefix)


def _list(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"[{', '.join(words)}]"


def _scalar(word: str) -> str:
    """A name in quotes where YAML would read it as something else than text."""
    return json.dumps(word) if word.lower() in ("true", "false", "null") else word
