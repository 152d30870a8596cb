"""Names of DSCP values and of IP protocols, both ways. Pure.

DSCP names: RFC 2474 (CS), 2597 (AF), 3246 (EF), 5865 (VA), 8622 (LE). DF is the default, also called CS0.
"""

from __future__ import annotations

from collections.abc import Mapping

DSCP_MAX = 63
"""A DSCP has six bits (RFC 2474)."""

DSCP_BY_NAME: Mapping[str, int] = {
    **{f"CS{n}": 8 * n for n in range(8)},
    **{f"AF{c}{p}": 8 * c + 2 * p for c in range(1, 5) for p in range(1, 4)},
    "EF": 46,
    "VA": 44,
    "LE": 1,
    "DF": 0,
}
"""All names, in upper case."""

_DSCP_NAMES = {number: name for name, number in DSCP_BY_NAME.items() if name != "DF"}

PROTOCOL_BY_NAME: Mapping[str, int] = {
    "icmp": 1,
    "tcp": 6,
    "udp": 17,
    "dccp": 33,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "icmpv6": 58,
    "ospf": 89,
    "sctp": 132,
    "udplite": 136,
}
"""Protocol numbers (IANA) of the names that a policy or a packet in words may use."""

_PROTOCOL_NAMES = {number: name for name, number in PROTOCOL_BY_NAME.items()}

PROTOCOLS_WITH_PORTS = frozenset(PROTOCOL_BY_NAME[name] for name in ("tcp", "udp", "dccp", "sctp", "udplite"))
"""Protocols whose header begins with source and destination port."""


def dscp_name(dscp: int) -> str:
    """`EF`, `AF41`, `CS3`; the number itself where it has no name."""
    return _DSCP_NAMES.get(dscp, str(dscp))


def dscp_words(dscp: int) -> str:
    """Name and number: `EF (46)`; a number without a name stands alone."""
    return f"{_DSCP_NAMES[dscp]} ({dscp})" if dscp in _DSCP_NAMES else str(dscp)


def parse_dscp(text: str) -> int | None:
    """The value of a name (any case) or a decimal number 0-63; None when it is neither."""
    if text.upper() in DSCP_BY_NAME:
        return DSCP_BY_NAME[text.upper()]
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else -1
    return number if 0 <= number <= DSCP_MAX else None


def protocol_name(protocol: int) -> str:
    """`udp`; `protocol 200` where the number has no name here."""
    return _PROTOCOL_NAMES.get(protocol, f"protocol {protocol}")


def parse_protocol(text: str) -> int | None:
    """The number of a name (any case) or a decimal number 0-255; None when it is neither."""
    if text.lower() in PROTOCOL_BY_NAME:
        return PROTOCOL_BY_NAME[text.lower()]
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else -1
    return number if 0 <= number <= 255 else None
