"""The VICI protocol of strongSwan's charon, as far as we ask: packets, messages, two commands.

A packet is its length (4 octets, network order) and a type; a message is a run of typed elements: sections,
keys with values, lists (strongSwan, src/libcharon/plugins/vici/README.md).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias, Union

from edge.errors import DaemonError

Message: TypeAlias = dict[str, Union[str, list[str], "Message"]]

REQUEST, RESPONSE, REGISTER, UNREGISTER, CONFIRM, EVENT = 0, 1, 3, 4, 5, 7
"""Types of packets."""

_SECTION, _END, _VALUE, _LIST, _ITEM, _LIST_END = range(1, 7)
_LONGEST: Final = 512 * 1024
ANSWER_TIMEOUT_S: Final = 5.0


def encode(message: Message) -> bytes:
    """A message of keys and sections as octets; lists too. Pure."""
    found = bytearray()
    for key, value in message.items():
        name = _short(key)
        if isinstance(value, dict):
            found += bytes((_SECTION,)) + name + encode(value) + bytes((_END,))
        elif isinstance(value, list):
            found += bytes((_LIST,)) + name
            for item in value:
                found += bytes((_ITEM,)) + _long(item)
            found.append(_LIST_END)
        else:
            found += bytes((_VALUE,)) + name + _long(value)
    return bytes(found)


def decode(data: bytes) -> Message:
    """A message from octets. Raises ValueError for what is none. Pure."""
    root: Message = {}
    stack, position = [root], 0
    items: list[str] | None = None

    def take(width: int) -> str:
        nonlocal position
        length = int.from_bytes(data[position : position + width], "big")
        position += width + length
        if position > len(data):
            raise ValueError("a message ends too soon")
        return data[position - length : position].decode(errors="replace")

    while position < len(data):
        kind = data[position]
        position += 1
        if kind == _SECTION:
            inner: Message = {}
            stack[-1][take(1)] = inner
            stack.append(inner)
        elif kind == _END and len(stack) > 1:
            stack.pop()
        elif kind == _VALUE:
            name = take(1)
            stack[-1][name] = take(2)
        elif kind == _LIST:
            items = []
            stack[-1][take(1)] = items
        elif kind == _ITEM and items is not None:
            items.append(take(2))
        elif kind == _LIST_END:
            items = None
        else:
            raise ValueError(f"no element of a message has type {kind} here")
    return root


def has_keys(association: Message) -> bool:
    """Whether an IKE association, as charon lists it, has a child whose keys are in the kernel. Pure."""
    children = association.get("child-sas")
    return isinstance(children, dict) and any(
        isinstance(child, dict) and child.get("state") in ("INSTALLED", "REKEYING", "REKEYED")
        for child in children.values()
    )


class Vici:
    """A connection to one charon. Raises DaemonError when it does not answer."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(ANSWER_TIMEOUT_S)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise DaemonError(f"charon does not answer: {error}") from error

    def __enter__(self) -> Vici:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def connections(self) -> set[str]:
        """Names of the connections that are loaded."""
        found = self.ask("get-conns").get("conns", [])
        return set(found)

    def associations(self) -> list[tuple[str, Message]]:
        """(connection, what charon says of it) of each IKE association, with its children in `child-sas`."""
        self._exchange(bytes((REGISTER,)) + _short("list-sa"), CONFIRM)
        self._send(bytes((REQUEST,)) + _short("list-sas"))
        found: list[tuple[str, Message]] = []
        for kind, body in self._packets():
            if kind != EVENT:
                break
            # An event's name stands before its message.
            for name, one in _decoded(body[1 + body[0] :]).items():
                if isinstance(one, dict):
                    found.append((name, one))
        return found

    def ask(self, command: str, message: Message | None = None) -> Message:
        """What charon answers to a command."""
        body = bytes((REQUEST,)) + _short(command) + encode(message or {})
        return _decoded(self._exchange(body, RESPONSE))

    def _exchange(self, packet: bytes, wanted: int) -> bytes:
        self._send(packet)
        for kind, body in self._packets():
            if kind == wanted:
                return body
            raise DaemonError(f"charon answers with a packet of type {kind}")
        raise DaemonError("charon has closed the connection")

    def _send(self, packet: bytes) -> None:
        try:
            self._socket.sendall(struct.pack("!I", len(packet)) + packet)
        except OSError as error:
            raise DaemonError(f"charon does not listen: {error}") from error

    def _packets(self) -> Iterator[tuple[int, bytes]]:
        while True:
            (length,) = struct.unpack("!I", self._read(4))
            if not 1 <= length <= _LONGEST:
                raise DaemonError(f"charon sends a packet of {length} octets")
            packet = self._read(length)
            yield packet[0], packet[1:]

    def _read(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            try:
                data = self._socket.recv(count - len(found))
            except OSError as error:
                raise DaemonError(f"charon does not answer: {error}") from error
            if not data:
                raise DaemonError("charon has closed the connection")
            found += data
        return found


def _decoded(data: bytes) -> Message:
    try:
        return decode(data)
    except ValueError as error:
        raise DaemonError(f"charon's answer is not understood: {error}") from error


def _short(text: str) -> bytes:
    octets = text.encode()
    return bytes((len(octets),)) + octets


def _long(text: str) -> bytes:
    octets = text.encode()
    return struct.pack("!H", len(octets)) + octets
