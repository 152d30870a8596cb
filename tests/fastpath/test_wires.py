"""The thread of bad wires (csrc/wires.c) on sockets in the place of devices."""

from __future__ import annotations

import os
import re
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.fastpath import _impair
from tests.waiting import wait_until

ffi, lib = _impair.ffi, _impair.lib
NUMBER = 7


def pair() -> tuple[socket.socket, socket.socket]:
    made = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    for end in made:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    return made


@pytest.fixture
def wires() -> Iterator[Any]:
    made = lib.edge_wires_new()
    yield made
    lib.edge_wires_free(made)


def begin(wires: Any, sink: socket.socket, out: socket.socket, **settings: int) -> None:
    harm = ffi.new("struct edge_impairment *", settings)
    assert lib.edge_wires_add(wires, NUMBER, sink.detach(), out.detach(), 1514, 0, harm) == 0


def heard(out: socket.socket) -> list[bytes]:
    """What has been sent so far."""
    found: list[bytes] = []
    while select.select([out], [], [], 0)[0] and (data := out.recv(2048)):
        found.append(data)
    return found


def test_all_frames_that_wait_in_the_sink_are_sent_when_the_wire_ends(wires: Any) -> None:
    into, sink = pair()
    out, end = pair()
    with into, end:
        begin(wires, sink, out, delay_ns=10**12)
        frames = [bytes([number % 256]) * 60 for number in range(200)]
        for data in frames:
            into.send(data)
        assert lib.edge_wires_remove(wires, NUMBER) == 0
        assert heard(end) == frames


def polled(sink: int) -> bool:
    """Whether this process waits for a descriptor by epoll."""
    files = []
    for number in os.listdir("/proc/self/fd"):
        try:
            files.append(Path(f"/proc/self/fdinfo/{number}").read_text())
        except FileNotFoundError:
            continue
    return any(re.search(rf"^tfd:\s+{sink} ", text, re.MULTILINE) for text in files)


def test_a_sink_that_has_gone_is_waited_for_no_more(wires: Any) -> None:
    into, sink = pair()
    out, end = pair()
    with into, end:
        number = sink.fileno()
        begin(wires, sink, out)
        assert polled(number)
        thread = threading.Thread(target=lib.edge_wires_run, args=(wires,))
        thread.start()
        try:
            into.send(b"a" * 60)
            into.close()
            wait_until(lambda: not polled(number), "the thread to let go of the sink")
            assert heard(end) == [b"a" * 60]
        finally:
            lib.edge_wires_stop(wires)
            thread.join()
