"""The keys of a policy file, as tables: how each is read, what it means, an example. Pure.

The loader (policyfile) and the reference (`docs/qos.md`) both come from these tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge.qos import policyvalues as values


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an object.

    read: what makes a value of what the file says; None for an object or a list of objects, which the loader
    reads itself. many: a list may stand here, each element read by itself. default: in words, when the
    key is left out; empty when it must be there.
    """

    name: str
    read: Callable[[object], Any] | None
    meaning: str
    example: str
    default: str = ""
    many: bool = False


def _keys(*keys: Key) -> dict[str, Key]:
    return {key.name: key for key in keys}


POLICY_KEYS = _keys(
    Key("name", values.name, "what the policy is called", "contoso"),
    Key("extends", values.profile_name, "a built-in profile, whose rules follow those here", "teams", "none"),
    Key(
        "servers",
        values.prefix,
        "the addresses of Skype servers; narrows the extended profile's rules for servers to them",
        "[10.1.5.0/24]",
        "any",
        many=True,
    ),
    Key("rules", None, "rules in their order; the first that matches decides", "see below", "none"),
    Key(
        "classes",
        None,
        "classes in the order they are served, by name; `default` must be one",
        "see below",
        "the five of the service",
    ),
    Key("unmatched", values.dscp_or_keep, "the DSCP of packets that no rule matches, or `keep`", "keep", "0"),
)
"""Keys of the file itself."""

RULE_KEYS = _keys(
    Key("name", values.name, "what the rule is called in tables and counters", "desk-phones"),
    Key("class", values.name, "the class, and so the queue, of packets that match", "voice"),
    Key(
        "dscp",
        values.dscp_or_keep,
        "what a matching packet leaves with: a number, a name, or `keep`",
        "EF",
        "that of the class in the service's table",
    ),
    Key("protocol", values.protocol, "IP protocol by name or number", "[udp, tcp]", "any", many=True),
    Key(
        "ports",
        values.ports,
        "source or destination port, whichever way the packet goes",
        "16384-32767",
        "any",
    ),
    Key("source_ports", values.ports, "source port, or a range", "49152-57500", "any"),
    Key("destination_ports", values.ports, "destination port, or a range", "5061", "any"),
    Key(
        "source",
        values.prefix,
        "prefixes, one of which holds the source address",
        "[10.1.8.0/22]",
        "any",
        True,
    ),
    Key(
        "destination",
        values.prefix,
        "the same for the destination",
        '[52.112.0.0/14, "2603:1063::/38"]',
        "any",
        True,
    ),
    Key("existing_dscp", values.dscp, "the packet came with one of these", "[CS3, 14]", "any", many=True),
    Key("hint", values.hint, "what the UDP payload looks like: `stun` or `rtp`", "rtp", "anything"),
    Key("direction", values.direction, "`out` towards Microsoft, `in` from it", "out", "both"),
)
"""Keys of a rule. A packet matches when every key that is there matches."""

CLASS_KEYS = _keys(
    Key("share", values.share, "percent of the circuit's bandwidth the class is sure of", "30"),
    Key(
        "strict",
        values.flag,
        "served before all others, and policed to its share; strict classes come first",
        "true",
        "false",
    ),
)
"""Keys of a class."""
