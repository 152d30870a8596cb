"""Words of packet rules that all kinds of them share. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def chain(name: str, lines: Iterable[str]) -> str:
    """A chain of an nftables table."""
    body = "".join(f"\t\t{line}\n" for line in lines)
    return f"\tchain {name} {{\n{body}\t}}\n"


def counter(name: str) -> str:
    """A named counter of an nftables table."""
    return f"\tcounter {name} {{\n\t}}\n"


def quoted(interface: str) -> str:
    """An interface's name for nftables. Raises ValueError for one that cannot stand in a rule."""
    if not interface or any(character in '"\\*' or character.isspace() for character in interface):
        raise ValueError(f"{interface!r} cannot be an interface in a packet rule")
    return f'"{interface}"'


def plain(interface: str) -> str:
    """A name for iptables, to which a plus sign at its end means "whatever follows". Raises like `quoted`."""
    known = quoted(interface)
    if interface.endswith("+") or interface.startswith(("-", "!")):
        raise ValueError(f"{interface!r} cannot be an interface in a packet rule")
    return known
