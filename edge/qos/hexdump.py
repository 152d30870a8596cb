"""Octets from hexadecimal as people have it at hand: bare, with spaces or colons, or a dump of tcpdump,
Wireshark, xxd or hexdump with its offsets and its text column. Of a dump with words around it, as tcpdump
prints, the first packet is read. Pure.
"""

from __future__ import annotations

import re

from edge.errors import UsageError
from edge.qos.dissect import IPV4, IPV6, TAG_TPIDS
from edge.qos.packets import checksum

OCTETS_MAX = 65_575
"""Longest packet: IPv6's 40 octets and a payload of 65535."""

_OFFSET = re.compile(r"\s*(?:0x)?([0-9a-fA-F]{4,8})(?::\s|\s\s)\s*")
_GROUP = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})+)")


def parse_hex(text: str) -> bytes:
    """The octets of one packet. Raises UsageError."""
    lines = [line for line in text.splitlines() if line.strip()]
    begin = next((number for number, line in enumerate(lines) if _offset(line) == 0), None)
    octets = b"".join(map(_line, lines)) if begin is None else _dump(lines[begin:])
    if not octets:
        raise UsageError("there are no octets; write them in hexadecimal, such as 4500 0023 ...")
    if len(octets) > OCTETS_MAX:
        raise UsageError(f"{len(octets)} octets are more than one packet has; give one packet")
    return octets


def _offset(line: str) -> int | None:
    """The offset that a line of a dump begins with."""
    found = _OFFSET.match(line)
    return int(found[1], 16) if found else None


def _dump(lines: list[str]) -> bytes:
    """The first packet of a dump: up to a line without an offset, or the next packet's offset 0."""
    octets = bytearray()
    for line in lines:
        if line.strip() == "*":
            raise UsageError("'*' stands for lines that are left out; dump them all, as with hexdump -v")
        offset = _offset(line)
        if offset is None or (octets and offset == 0):
            break
        if offset != len(octets):
            raise UsageError(
                f"the line at offset 0x{offset:04x} of the dump comes after {len(octets)} octets; "
                "give all its lines, in their order"
            )
        octets += _line(line)
    return bytes(octets)


def _line(line: str) -> bytes:
    offset = _OFFSET.match(line)
    dump = offset is not None
    body = line[offset.end() :] if offset else line.strip()
    octets = bytearray()
    # In a dump the octets as text stand behind two spaces or more; hexdump uses two in the middle as well.
    columns = re.split(r"\s{3,}|\s+\||\t", body) if dump else [body]
    for column in columns[0].split("  ") if dump else columns:
        groups = re.split(r"[\s:]+|-(?=[0-9a-fA-F]{2})", column.strip())
        found = [_GROUP.fullmatch(group) for group in groups if group]
        if None in found:
            if dump and octets:
                break
            wrong = next(group for group in groups if group and not _GROUP.fullmatch(group))
            raise UsageError(
                f"{wrong[:20]!r} is not hexadecimal; write octets such as 4500 0023, or 45:00:00:23, "
                "or a dump as of tcpdump -xx"
            )
        octets += b"".join(bytes.fromhex(group[1]) for group in found if group)
        if dump and len(octets) >= 16:
            break
    return bytes(octets)


def begins_with_ip(octets: bytes) -> bool:
    """Whether the octets look like an IP packet (`tcpdump -x`) and not like an Ethernet frame (`-xx`)."""
    if _proves_ip(octets):
        return True
    ethertype = int.from_bytes(octets[12:14], "big")
    inner = octets[14] >> 4 if len(octets) > 14 else 0
    if ethertype in TAG_TPIDS or (ethertype, inner) in ((IPV4, 4), (IPV6, 6)):
        return False
    if len(octets) < 20:
        return False
    if octets[0] >> 4 == 4:
        return octets[0] & 0x0F >= 5 and int.from_bytes(octets[2:4], "big") >= 20
    return octets[0] >> 4 == 6 and len(octets) >= 40


def _proves_ip(octets: bytes) -> bool:
    """Whether IPv4's checksum or IPv6's length is right, whatever stands where a frame has its ethertype."""
    version, size = octets[:1].hex()[:1], len(octets)
    if version == "4":
        header = octets[: 4 * (octets[0] & 0x0F)]
        return 20 <= len(header) == 4 * (octets[0] & 0x0F) and checksum(header) == 0
    return version == "6" and size >= 40 and size == 40 + int.from_bytes(octets[4:6], "big")
