"""The scalars of a policy file: parsed or refused in an operator's words. Pure.

Each function takes what the YAML reader found (text, a number, true...) and raises RefusedError.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import get_args

from edge.document.suggest import closest, hint_for
from edge.model import Network
from edge.qos.model import Direction, Hint, PortRange
from edge.qos.names import DSCP_BY_NAME, DSCP_MAX, PROTOCOL_BY_NAME, parse_dscp, parse_protocol
from edge.qos.profiles import PROFILES

KEEP = "keep"
"""Leaves the DSCP of a packet as it is."""

PORT_MAX = 65535


class RefusedError(ValueError):
    """A value cannot stand where it stands: what is wrong, and the way out."""

    def __init__(self, words: str, hint: str) -> None:
        super().__init__(words)
        self.words = words
        self.hint = hint


def show(value: object) -> str:
    """A value as a person wrote it, cut to a readable length."""
    if value is None:
        return "an empty value"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = str(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return repr(text) if isinstance(value, str) else text


def name(value: object) -> str:
    """A name of a policy, a rule or a class: letters, digits and dashes, at most 32."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?", value):
        return value
    raise RefusedError(
        f"{show(value)} cannot be a name",
        "use letters, digits and dashes, beginning with a letter, at most 32 characters",
    )


def profile_name(value: object) -> str:
    """The name of a built-in policy."""
    if isinstance(value, str) and value in PROFILES:
        return value
    raise RefusedError(f"there is no profile {show(value)}", hint_for(str(value), PROFILES))


def dscp(value: object) -> int:
    """A DSCP by number 0-63 or by name."""
    number = parse_dscp(str(value)) if _is_word(value) else None
    if number is not None:
        return number
    if isinstance(value, int) and not isinstance(value, bool):
        if value > DSCP_MAX and value % 4 == 0 and value < 256:
            raise RefusedError(
                f"{value} is above {DSCP_MAX}", f"as a ToS octet it would be DSCP {value >> 2}"
            )
        raise RefusedError(f"{value} is not a DSCP", f"write 0-{DSCP_MAX}, or a name such as EF, AF41, CS3")
    guess = closest(str(value), DSCP_BY_NAME)
    way_out = f"did you mean {guess}?" if guess else f"write 0-{DSCP_MAX}, or a name such as EF, AF41, CS3"
    raise RefusedError(f"{show(value)} is not a DSCP", way_out)


def dscp_or_keep(value: object) -> int | None:
    """The same, or `keep`: None."""
    if value == KEEP:
        return None
    try:
        return dscp(value)
    except RefusedError as refused:
        if closest(str(value), (KEEP,)):
            raise RefusedError(refused.words, f"did you mean {KEEP}?") from None
        raise


def protocol(value: object) -> int:
    """A protocol by number 0-255 or by name."""
    number = parse_protocol(str(value)) if _is_word(value) else None
    if number is None:
        raise RefusedError(f"{show(value)} is not a protocol", hint_for(str(value), PROTOCOL_BY_NAME))
    return number


def ports(value: object) -> PortRange:
    """A port or a range `first-last`, both included."""
    found = re.fullmatch(r"([0-9]{1,5})(?:\s*(?:-|\.\.)\s*([0-9]{1,5}))?", str(value), re.ASCII)
    if not found or not _is_word(value):
        way_out = "write one such as 443, or a range such as 50000-50019"
        if isinstance(value, list) or re.fullmatch(r"[0-9,\s-]+", str(value)):
            way_out = "write one range here, and one rule for each further range"
        raise RefusedError(f"{show(value)} is not a port or a range of ports", way_out)
    first, last = int(found[1]), int(found[2] or found[1])
    if max(first, last) > PORT_MAX:
        raise RefusedError(f"{max(first, last)} is above the largest port, {PORT_MAX}", "write a smaller one")
    if first > last:
        raise RefusedError(f"the range {first}-{last} ends before it begins", f"write {last}-{first}")
    return first, last


def prefix(value: object) -> Network:
    """A prefix without host bits; a bare address is a host."""
    text = value if isinstance(value, str) else ""
    try:
        if not re.fullmatch(r"[0-9a-fA-F.:]+(/[0-9]{1,3})?", text):
            raise ValueError(text)
        loose = ip_network(text, strict=False)
    except ValueError:
        raise RefusedError(
            f"{show(value)} is not a prefix", 'write one such as 10.1.0.0/16, or "2001:db8::/32" in quotes'
        ) from None
    if ip_address(text.partition("/")[0]) != loose.network_address:
        raise RefusedError(f"{text} has bits set behind its prefix length", f"write {loose}")
    return loose


def hint(value: object) -> Hint:
    """What the payload must look like."""
    known: dict[str, Hint] = {one: one for one in get_args(Hint) if one}
    if isinstance(value, str) and value in known:
        return known[value]
    raise RefusedError(f"{show(value)} is not a hint", hint_for(str(value), known))


def direction(value: object) -> Direction:
    """Towards Microsoft (out), or from it (in)."""
    known: dict[str, Direction] = {one: one for one in get_args(Direction)}
    if isinstance(value, str) and value in known:
        return known[value]
    raise RefusedError(
        f"{show(value)} is not a direction", f"{hint_for(str(value), known)} (without the key: both)"
    )


def share(value: object) -> int:
    """A percentage of the circuit's bandwidth, 1-100."""
    text = value.removesuffix("%").strip() if isinstance(value, str) else value
    number = int(text) if isinstance(text, str) and re.fullmatch("[0-9]{1,3}", text, re.ASCII) else text
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 100:
        raise RefusedError(f"{show(value)} is not a share", "write percent of the bandwidth, 1-100")
    return number


def flag(value: object) -> bool:
    """True or false."""
    if isinstance(value, bool):
        return value
    raise RefusedError(f"{show(value)} is neither true nor false", "write true or false")


def _is_word(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)
