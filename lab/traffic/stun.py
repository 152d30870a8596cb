"""STUN binding requests and answers (RFC 8489): by them a client learns how it is seen from outside. Pure.

Media clients send one from each port before the first packet of media, so that a NAT on the way opens, and
each end knows where to send to.
"""

from __future__ import annotations

import struct
from ipaddress import ip_address

from edge.model import Address

MAGIC = 0x2112A442
TRANSACTION_OCTETS = 12
_REQUEST, _SUCCESS = 0x0001, 0x0101
_XOR_MAPPED_ADDRESS = 0x0020
_HEADER = struct.Struct("!HHI12s")
_FAMILIES = {1: 4, 2: 16}
"""RFC 8489 14.1: the number of a family, and octets of its addresses."""

Seen = tuple[Address, int]
"""Address and port."""


def request(transaction: bytes) -> bytes:
    """A binding request. transaction: 12 octets of chance."""
    return _HEADER.pack(_REQUEST, 0, MAGIC, transaction)


def transaction_of(data: bytes) -> bytes | None:
    """The transaction of a binding request; None for anything else."""
    if len(data) < _HEADER.size:
        return None
    kind, length, magic, transaction = _HEADER.unpack_from(data)
    whole = length == len(data) - _HEADER.size and length % 4 == 0
    return bytes(transaction) if (kind, magic) == (_REQUEST, MAGIC) and whole else None


def answer(transaction: bytes, seen: Seen) -> bytes:
    """The answer to a request that came from there."""
    address, port = seen
    key = struct.pack("!I", MAGIC) + transaction
    family = 1 if address.version == 4 else 2
    value = struct.pack("!BBH", 0, family, port ^ MAGIC >> 16) + _xor(address.packed, key)
    attribute = struct.pack("!HH", _XOR_MAPPED_ADDRESS, len(value)) + value
    return _HEADER.pack(_SUCCESS, len(attribute), MAGIC, transaction) + attribute


def mapped(data: bytes, transaction: bytes) -> Seen | None:
    """How the asker was seen, by an answer to that transaction; None when it is no such answer."""
    if len(data) < _HEADER.size:
        return None
    kind, length, magic, found = _HEADER.unpack_from(data)
    if (kind, magic, found) != (_SUCCESS, MAGIC, transaction) or length > len(data) - _HEADER.size:
        return None
    at, end = _HEADER.size, _HEADER.size + length
    while at + 4 <= end:
        attribute, octets = struct.unpack_from("!HH", data, at)
        value = data[at + 4 : min(end, at + 4 + octets)]
        if attribute == _XOR_MAPPED_ADDRESS and len(value) >= 4:
            _, family, port = struct.unpack_from("!BBH", value)
            if len(value) - 4 == _FAMILIES.get(family):
                key = struct.pack("!I", MAGIC) + transaction
                return ip_address(_xor(value[4:], key)), port ^ MAGIC >> 16
        at += 4 + -(-octets // 4) * 4
    return None


def _xor(value: bytes, key: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(value, key, strict=False))
