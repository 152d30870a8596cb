"""Messages between the commands and a lab's supervisor: JSON, one object a line, descriptors beside.

A request is `{"op": NAME, ...}`; its answers are any number of `{"event": ...}` or `{"step": ...}`
objects and one last object with `"ok"`: true and results, or false and `{"error": {exit, kind, text}}`.
"""

from __future__ import annotations

import array
import json
import os
import socket
from typing import Any

from edge.errors import (
    EXIT_BAD_INPUT,
    EXIT_MACHINE,
    CapabilityError,
    DeadlineError,
    EdgeError,
    UsageError,
)
from lab.refused import RefusedError

PROTOCOL_VERSION = 4
_CHUNK = 1 << 16
_MESSAGE_MAX = 64 << 20
_DESCRIPTORS_MAX = 16


class ClosedError(EdgeError):
    """The other side has gone."""


class Channel:
    """One end of a connection. One reader and one writer at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = bytearray()
        self._descriptors: list[int] = []

    def send(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        """Send one message, with descriptors beside its first octets. Raises ClosedError."""
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        ancillary = (
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        )
        try:
            sent = self.sock.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)
            # To send nothing is a system call all the same, which fails when the reader of all has hung up.
            if sent < len(data):
                self.sock.sendall(data[sent:], socket.MSG_NOSIGNAL)
        except OSError as error:
            raise ClosedError(f"the other side closed the connection ({error.strerror})") from error

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        """The next message and the descriptors that came with it. Raises ClosedError at the end.

        The caller owns the descriptors.
        """
        while b"\n" not in self._buffer:
            try:
                data, ancillary, _, _ = self.sock.recvmsg(
                    _CHUNK, socket.CMSG_SPACE(4 * _DESCRIPTORS_MAX), socket.MSG_CMSG_CLOEXEC
                )
            except OSError as error:
                raise ClosedError(f"the connection broke ({error.strerror})") from error
            for level, kind, payload in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    received = array.array("i")
                    received.frombytes(payload[: len(payload) - len(payload) % received.itemsize])
                    self._descriptors.extend(received)
            if not data:
                raise ClosedError("the other side closed the connection")
            self._buffer += data
            if len(self._buffer) > _MESSAGE_MAX:
                raise ClosedError(f"a message is longer than {_MESSAGE_MAX} octets")
        line, _, rest = self._buffer.partition(b"\n")
        self._buffer = bytearray(rest)
        descriptors, self._descriptors = self._descriptors, []
        try:
            message = json.loads(line)
        except ValueError as error:
            raise ClosedError(f"not a message: {error}") from error
        if not isinstance(message, dict):
            raise ClosedError("not a message: an object is expected")
        return message, descriptors

    def close(self) -> None:
        """Close the connection and descriptors that nobody took."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []
        self.sock.close()


def error_to_json(error: EdgeError) -> dict[str, Any]:
    """An error for the wire; `error_from_json` makes one with the same exit code and words."""
    data: dict[str, Any] = {"exit": error.exit_code, "text": str(error)}
    if isinstance(error, CapabilityError):
        data |= {"missing": error.missing, "remedy": error.remedy}
    if isinstance(error, DeadlineError):
        data["deadline"] = True
    if isinstance(error, RefusedError):
        data["refusal"] = error.to_json()
    return data


def error_from_json(data: dict[str, Any]) -> EdgeError:
    """The counterpart of error_to_json."""
    text = str(data.get("text", "the lab's supervisor reported an error without words"))
    if "refusal" in data:
        return RefusedError(**data["refusal"])
    if data.get("exit") == EXIT_MACHINE:
        return CapabilityError(str(data.get("missing", text)), str(data.get("remedy", "")))
    if data.get("exit") == EXIT_BAD_INPUT:
        return UsageError(text)
    return DeadlineError(text) if data.get("deadline") else EdgeError(text)
