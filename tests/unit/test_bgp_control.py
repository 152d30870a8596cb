"""The client of the control socket against a server that misbehaves in every way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.bgp.control import ControlSocket
from edge.errors import DaemonError, DeadlineError

WELCOME = b"0001 BIRD 2.0.12 ready.\n"


@contextmanager
def server(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[ControlSocket]:
    """A daemon at `path` that serves one connection."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield ControlSocket(path, 0.3)
        finally:
            thread.join(10)
            assert not thread.is_alive()


def says(*parts: bytes) -> Callable[[socket.socket], None]:
    """Welcome, then wait for a command, then these parts, then wait until the client goes."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(WELCOME)
        if connection.recv(4096):
            for part in parts:
                connection.sendall(part)
            connection.recv(4096)

    return serve


def test_an_answer_in_pieces_with_asides_is_put_together(tmp_path: Path) -> None:
    parts = (b"1000-BIRD 2.0.12\n10", b"11-Router ID is 1.2.3.4\n+an aside\n more\n0013 Daemon ", b"is up\n")
    with server(tmp_path / "ctl", says(*parts)) as control:
        replies = control.command("show status")
    assert [(reply.code, reply.text) for reply in replies] == [
        (1000, "BIRD 2.0.12"),
        (1011, "Router ID is 1.2.3.4"),
        (1011, "more"),
        (13, "Daemon is up"),
    ]


@pytest.mark.parametrize("code", [b"8003", b"9001"])
def test_a_refusal_carries_birds_words(tmp_path: Path, code: bytes) -> None:
    with (
        server(tmp_path / "ctl", says(code + b" no such thing\n")) as control,
        pytest.raises(DaemonError, match=r"refuses `enable \"x\"`: no such thing"),
    ):
        control.enable("x")


def test_silence_ends_at_the_deadline(tmp_path: Path) -> None:
    with (
        server(tmp_path / "ctl", says()) as control,
        pytest.raises(DeadlineError, match=r"no answer from BIRD .* within 0\.3 s"),
    ):
        control.status()


def test_a_stream_without_end_ends_at_the_deadline(tmp_path: Path) -> None:
    def babble(connection: socket.socket) -> None:
        connection.sendall(WELCOME)
        connection.settimeout(5)
        try:
            while True:
                connection.sendall(b"1007-and so on\n")
        except OSError:
            return

    with server(tmp_path / "ctl", babble) as control, pytest.raises(DeadlineError):
        control.command("show route")


@pytest.mark.parametrize("end", [b"", b"1007-half an answer\n", b"10"])
def test_a_connection_that_is_cut_is_an_error_of_the_daemon(tmp_path: Path, end: bytes) -> None:
    def cut(connection: socket.socket) -> None:
        connection.sendall(WELCOME + end)
        connection.recv(4096)

    with server(tmp_path / "ctl", cut) as control, pytest.raises(DaemonError, match="closed the connection"):
        control.command("show route")


def test_what_is_no_bird_is_an_error_of_the_daemon(tmp_path: Path) -> None:
    def other(connection: socket.socket) -> None:
        connection.sendall(b"220 mail.example.org ESMTP\n")

    with server(tmp_path / "ctl", other) as control, pytest.raises(DaemonError, match="not a line of BIRD"):
        control.status()


def test_a_missing_socket_and_one_without_listener_are_told_apart_from_a_deadline(tmp_path: Path) -> None:
    with pytest.raises(DaemonError, match="No such file"):
        ControlSocket(tmp_path / "none").status()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(tmp_path / "dead"))
    with pytest.raises(DaemonError, match="refused"):
        ControlSocket(tmp_path / "dead").status()
    with pytest.raises(DaemonError, match="no BIRD answers"):
        ControlSocket(tmp_path / ("x" * 200)).status()
