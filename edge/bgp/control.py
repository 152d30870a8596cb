"""Client of one BIRD's control socket: commands out, replies with codes back. No `birdc` is started.

Each call opens its own connection, so an instance may be shared by threads and lives through restarts
of the daemon.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final

from edge.bgp.parse import (
    CODE_NO_PROTOCOL,
    CODE_NOT_FOUND,
    FIRST_ERROR_CODE,
    parse_bfd_sessions,
    parse_line,
    parse_protocols,
    parse_status,
)
from edge.bgp.routes import parse_routes
from edge.bgp.state import BfdSession, DaemonStatus, ProtocolState, Reply, RouteInfo
from edge.errors import DaemonError, DeadlineError
from edge.model import Network

DEFAULT_TIMEOUT_S: Final = 5.0
_MAX_LINE: Final = 1 << 20
_SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class ControlSocket:
    """The control socket at `path`; every call ends within `timeout_s` or raises DeadlineError.

    All methods raise DaemonError when no BIRD answers there or when it refuses.
    """

    def __init__(self, path: Path, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.path = path
        self.timeout_s = timeout_s

    def command(self, text: str) -> list[Reply]:
        """Run one command and return all its replies. Raises DaemonError with BIRD's words on 8xxx/9xxx."""
        with _Connection(self.path, self.timeout_s) as connection:
            return _checked(text, connection.ask(text))

    def status(self) -> DaemonStatus:
        """Version, router id, times and state of the daemon."""
        return parse_status(self.command("show status"))

    def protocols(self, name: str | None = None) -> tuple[ProtocolState, ...]:
        """All protocols, or the one of that name (empty when there is none), with BFD's state."""
        which = f" {_pattern(name)}" if name is not None else ""
        with _Connection(self.path, self.timeout_s) as connection:
            status = parse_status(_checked("show status", connection.ask("show status")))
            answer = connection.ask(f"show protocols all{which}")
            if answer[-1].code == CODE_NO_PROTOCOL:
                return ()
            states = parse_protocols(_checked("show protocols all", answer), status.now)
            bfd = parse_bfd_sessions(connection.ask("show bfd sessions"))
        by_neighbor = {(session.address, session.interface): session.state for session in bfd}
        return tuple(
            replace(state, bfd=by_neighbor.get((state.neighbor, state.interface), ""))
            if state.neighbor is not None
            else state
            for state in states
        )

    def bfd_sessions(self) -> tuple[BfdSession, ...]:
        """All BFD sessions; empty when no BFD runs."""
        with _Connection(self.path, self.timeout_s) as connection:
            answer = connection.ask("show bfd sessions")
        if answer[-1].code == CODE_NO_PROTOCOL:
            return ()
        return parse_bfd_sessions(_checked("show bfd sessions", answer))

    def routes(
        self,
        prefix: Network | None = None,
        *,
        table: str | None = None,
        protocol: str | None = None,
        exported_to: str | None = None,
        filtered: bool = False,
    ) -> tuple[RouteInfo, ...]:
        """Routes of all tables, narrowed by what is given; empty when there is none.

        prefix: exactly this one. protocol: learned from it. exported_to: as that protocol gets them,
        changed by its filter (the kernel's show merged next hops). filtered: those that an import
        filter refused instead of those accepted.
        """
        words = ["show route"]
        if prefix is not None:
            words.append(str(prefix))
        words.append(f"table {_symbol(table)}" if table is not None else "table all")
        if filtered:
            words.append("filtered")
        if exported_to is not None:
            words.append(f"export {_symbol(exported_to)}")
        if protocol is not None:
            words.append(f"protocol {_symbol(protocol)}")
        words.append("all")
        command = " ".join(words)
        with _Connection(self.path, self.timeout_s) as connection:
            status = parse_status(_checked("show status", connection.ask("show status")))
            answer = connection.ask(command)
        if answer[-1].code == CODE_NOT_FOUND:
            return ()
        return parse_routes(_checked(command, answer), status.now)

    def configure(self, *, check_only: bool = False, file: Path | None = None, soft: bool = False) -> str:
        """Read the configuration again, or only check it; return BIRD's last word.

        Sessions whose own block did not change stay up; changed filters are applied by route refresh,
        or not at all to routes already there when `soft`. Raises DaemonError with place and reason.
        """
        words = ["configure"]
        if check_only:
            words.append("check")
        elif soft:
            words.append("soft")
        if file is not None:
            words.append(_quoted(file))
        return self.command(" ".join(words))[-1].text

    def configure_soft(self) -> str:
        """Read the configuration again; filters that changed act on new routes only."""
        return self.configure(soft=True)

    def disable(self, protocol: str) -> None:
        """Shut a protocol (`all` for every one) until `enable`."""
        self._change("disable", protocol)

    def enable(self, protocol: str) -> None:
        """Start a protocol that was shut."""
        self._change("enable", protocol)

    def restart(self, protocol: str) -> None:
        """Shut a protocol and start it again at once."""
        self._change("restart", protocol)

    def down(self) -> None:
        """Ask the daemon to take its routes back and end. It ends a moment after this returns."""
        self.command("down")

    def _change(self, verb: str, protocol: str) -> None:
        self.command(f"{verb} {_pattern(protocol)}")


class _Connection:
    """One connection, from BIRD's greeting to the end of the block, with one deadline for all of it."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._buffer = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def __enter__(self) -> _Connection:
        try:
            self._socket.settimeout(self._left())
            self._socket.connect(str(self._path))
            self._answer()
        except OSError as error:
            self._socket.close()
            raise self._explained(error) from error
        except BaseException:
            self._socket.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, command: str) -> list[Reply]:
        """Send one command and read its replies, errors included."""
        if not command.isprintable():
            raise DaemonError(f"not one line of command for BIRD: {command!r}")
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(command.encode() + b"\n")
            return self._answer()
        except OSError as error:
            raise self._explained(error) from error

    def _answer(self) -> list[Reply]:
        replies: list[Reply] = []
        while True:
            parsed = parse_line(self._line(), replies[-1].code if replies else None)
            if parsed is None:
                continue
            replies.append(parsed[0])
            if parsed[1]:
                return replies

    def _line(self) -> str:
        while True:
            line, end, rest = self._buffer.partition(b"\n")
            if end:
                self._buffer = rest
                return line.decode(errors="replace")
            if len(self._buffer) > _MAX_LINE:
                raise DaemonError(f"BIRD at {self._path} sends a line without end")
            self._socket.settimeout(self._left())
            data = self._socket.recv(1 << 16)
            if not data:
                raise DaemonError(f"BIRD at {self._path} closed the connection; look at its log")
            self._buffer += data

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _explained(self, error: OSError) -> DaemonError | DeadlineError:
        if isinstance(error, (TimeoutError, BlockingIOError)):
            return DeadlineError(f"no answer from BIRD at {self._path} within {self._timeout_s:g} s")
        return DaemonError(
            f"no BIRD answers at {self._path} ({error.strerror or error}); it has to be started"
        )


def _checked(command: str, replies: Sequence[Reply]) -> list[Reply]:
    errors = [reply.text for reply in replies if reply.code >= FIRST_ERROR_CODE]
    if errors:
        raise DaemonError(f"BIRD refuses `{command}`: {' '.join(errors)}")
    return list(replies)


def _symbol(name: str) -> str:
    if not _SYMBOL.fullmatch(name):
        raise DaemonError(f"{name!r} is not the name of a protocol or table; `show protocols` lists them")
    return name


def _pattern(name: str) -> str:
    """The protocol of that name: as a pattern an unknown one is "no match", not a syntax error."""
    return "all" if name == "all" else f'"{_symbol(name)}"'


def _quoted(path: Path) -> str:
    text = str(path)
    if '"' in text or not text.isprintable():
        raise DaemonError(f"BIRD cannot take the file name {text!r}; choose a plain one")
    return f'"{text}"'
