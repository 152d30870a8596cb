"""DNS messages (RFC 1035): a question for addresses and what the answer says. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from edge.model import Address

PORT = 53
TYPES = {4: 1, 6: 28}
"""IP version -> type of its address record: A (RFC 1035), AAAA (RFC 3596)."""

RCODES = {0: "no error", 1: "format error", 2: "server failure", 3: "no such name", 4: "not implemented"}
RCODES[5] = "refused"

_HEADER = struct.Struct("!6H")
_RECURSION_DESIRED, _RESPONSE = 0x0100, 0x8000
_IN = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: its code (0: no error) and the addresses of the version asked for."""

    rcode: int
    addresses: tuple[Address, ...]

    @property
    def words(self) -> str:
        """The code for people."""
        return RCODES.get(self.rcode, f"code {self.rcode}")

    @property
    def settled(self) -> bool:
        """Whether the server knows: there is such a name, or there is none (RFC 2308 2)."""
        return self.rcode in (0, 3)


def question(name: str, version: int, number: int) -> bytes:
    """A question for the addresses of a name. Raises ValueError for what is no host name.

    number: 16 bits that the answer repeats.
    """
    labels = name.rstrip(".").split(".")
    if not all(0 < len(label) <= 63 and label.isascii() for label in labels) or len(name) > 253:
        raise ValueError(f"{name!r} is no host name")
    packed = b"".join(bytes((len(label),)) + label.encode() for label in labels) + b"\0"
    return (
        _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0)
        + packed
        + struct.pack("!HH", TYPES[version], _IN)
    )


def answer(message: bytes, version: int, number: int) -> Answer | None:
    """What a message says to the question `number`; None when it is no answer to it or is broken."""
    try:
        found, flags, questions, answers, _, _ = _HEADER.unpack_from(message)
        if found != number or not flags & _RESPONSE:
            return None
        at = _HEADER.size
        for _ in range(questions):
            at = _after_name(message, at) + 4
        addresses: list[Address] = []
        for _ in range(answers):
            at = _after_name(message, at)
            kind, _, _, length = struct.unpack_from("!HHIH", message, at)
            data = message[at + 10 : at + 10 + length]
            at += 10 + length
            if kind == TYPES[version]:
                addresses.append(IPv4Address(data) if version == 4 else IPv6Address(data))
    except (struct.error, IndexError, ValueError):
        return None
    return Answer(flags & 0xF, tuple(addresses))


def _after_name(message: bytes, at: int) -> int:
    """Where a name ends: at its empty label, or behind a pointer (RFC 1035 4.1.4)."""
    while True:
        length = message[at]
        if length >= 0xC0:
            return at + 2
        at += 1 + length
        if length == 0:
            return at
