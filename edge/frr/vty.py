"""A client of the vty socket of one daemon: a command, then its output and how it ended.

The protocol is vtysh's (FRR, lib/vty.c): a command ends with a zero octet; the answer is text, then three
zero octets and one that says how the command ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from edge.errors import DaemonError, DeadlineError

ANSWER_TIMEOUT_S: Final = 5.0
_TAIL: Final = 4
_SUCCESS: Final = 0


class Vty:
    """The vty socket of a daemon in `run`. Each call connects anew."""

    def __init__(self, run: Path, daemon: str, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self.run = run
        self.daemon = daemon
        self.timeout_s = timeout_s

    def command(self, text: str) -> str:
        """The output of a command of the enabled mode, in which vtysh, too, gives all of them.

        Raises DaemonError when nobody answers or the daemon refuses, DeadlineError.
        """
        deadline = time.monotonic() + self.timeout_s
        try:
            with self._connected() as connection:
                self._ask(connection, "enable", deadline)
                return self._ask(connection, text, deadline)
        except (TimeoutError, BlockingIOError) as error:
            raise DeadlineError(f"no answer from FRR's {self.daemon} within {self.timeout_s:g} s") from error
        except OSError as error:
            raise DaemonError(
                f"FRR's {self.daemon} does not answer ({error.strerror or error}); it has to be started"
            ) from error

    def json(self, text: str) -> Any:
        """The same of a command whose output is JSON; no output is None."""
        said = self.command(text)
        try:
            return json.loads(said) if said.strip() else None
        except ValueError as error:
            raise DaemonError(
                f"cannot read the answer of FRR's {self.daemon} to `{text}`: {error}"
            ) from error

    @contextlib.contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        # By a descriptor of its directory: the path of a lab may be longer than that of a socket can be.
        directory = os.open(self.run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(self.timeout_s)
                connection.connect(f"/proc/self/fd/{directory}/{self.daemon}.vty")
                yield connection
        finally:
            os.close(directory)

    def _ask(self, connection: socket.socket, line: str, deadline: float) -> str:
        connection.sendall(line.encode() + b"\0")
        answer = bytearray()
        while len(answer) < _TAIL or answer[-_TAIL:-1] != b"\0\0\0":
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
            data = connection.recv(1 << 16)
            if not data:
                raise DaemonError(f"FRR's {self.daemon} closed the connection; look at the lab's log")
            answer += data
        said = answer[:-_TAIL].decode(errors="replace")
        if answer[-1] != _SUCCESS:
            words = " ".join(said.split()).removeprefix("% ") or f"status {answer[-1]}"
            raise DaemonError(f"FRR's {self.daemon} refuses `{line}`: {words}")
        return said
