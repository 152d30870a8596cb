"""The line between the commands and a supervisor."""

from __future__ import annotations

import os
import socket

import pytest

from edge.errors import CapabilityError, DeadlineError, EdgeError, KernelError, UsageError
from lab.protocol import Channel, ClosedError, error_from_json, error_to_json


@pytest.fixture
def pair():
    left, right = (Channel(sock) for sock in socket.socketpair())
    yield left, right
    left.close()
    right.close()


def test_messages_keep_their_borders_and_order(pair) -> None:
    left, right = pair
    sent = [{"op": "a"}, {"op": "b", "text": "zwei\nzeilen"}, {"big": "x" * 200_000}]
    left.send(sent[0])
    left.send(sent[1])
    assert [right.receive()[0] for _ in range(2)] == sent[:2]
    import threading

    sender = threading.Thread(target=left.send, args=(sent[2],))
    sender.start()
    assert right.receive()[0] == sent[2]
    sender.join()


def test_a_descriptor_arrives_with_its_message_and_works(pair) -> None:
    left, right = pair
    read, write = os.pipe()
    left.send({"ok": True}, (write,))
    _, (arrived,) = right.receive()
    os.write(arrived, b"x")
    assert os.read(read, 1) == b"x"
    for fd in (read, write, arrived):
        os.close(fd)


class _ReaderHangsUp(socket.socket):
    """Whoever reads what is sent hangs up before the sender comes back from sending."""

    reader: Channel

    def sendmsg(self, *arguments) -> int:
        sent = super().sendmsg(*arguments)
        self.received = self.reader.receive()
        self.reader.close()
        return sent


def test_a_message_that_arrived_whole_was_sent_although_its_reader_has_hung_up_since() -> None:
    left, right = socket.socketpair()
    sock = _ReaderHangsUp(left.family, left.type, left.proto, fileno=left.detach())
    sock.reader = Channel(right)
    with sock:
        Channel(sock).send({"ok": True})
        assert sock.received == ({"ok": True}, [])


def test_the_other_side_gone_is_closed_both_ways(pair) -> None:
    left, right = pair
    right.close()
    with pytest.raises(ClosedError):
        left.receive()
    with pytest.raises(ClosedError):
        left.send({"op": "x"})


@pytest.mark.parametrize("line", [b"nonsense\n", b"[1]\n", b'{"a": "\xff"}\n'])
def test_garbage_is_closed_not_a_traceback(pair, line: bytes) -> None:
    left, right = pair
    left.sock.sendall(line)
    with pytest.raises(ClosedError, match="not a message"):
        right.receive()


@pytest.mark.parametrize(
    "error",
    [
        UsageError("no lab x"),
        CapabilityError("no 8021q", "modprobe 8021q"),
        DeadlineError("BGP did not come"),
        KernelError("route", 113, "no route"),
        EdgeError("plain"),
    ],
)
def test_an_error_crosses_with_its_words_and_exit_code(error: EdgeError) -> None:
    crossed = error_from_json(error_to_json(error))
    assert str(crossed) == str(error)
    assert crossed.exit_code == error.exit_code
