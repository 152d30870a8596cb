from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.errors import EdgeError
from lab.capturesink import StreamSink
from lab.capturetarget import open_target


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.fixture
def stop_fd() -> Iterator[int]:
    fd = os.eventfd(0)
    yield fd
    os.close(fd)


def test_a_file_is_made_or_emptied(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for written in (b"a longer text", b"short"):
        with open_target(path) as stream:
            stream.write(written)
        assert path.read_bytes() == written


def test_a_pipe_waits_for_its_reader_says_so_once_and_is_a_usual_pipe_then(pipe: Path, stop_fd: int) -> None:
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    waits: list[str] = []

    def on_wait() -> None:
        waits.append("waits")
        reader.start()

    with open_target(pipe, (stop_fd,), time.monotonic() + 30, on_wait) as stream:
        assert os.get_blocking(stream.fileno())
        stream.write(b"x" * 200_000)
    reader.join(10)
    assert waits == ["waits"]
    assert got == [b"x" * 200_000]


def test_a_pipe_that_somebody_reads_already_is_opened_at_once(pipe: Path) -> None:
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    open_target(pipe, (), time.monotonic(), pytest.fail).close()
    os.close(reader)


def test_a_pipe_that_nobody_reads_is_given_up_when_the_time_is_over(pipe: Path) -> None:
    end = time.monotonic() + 0.2
    with pytest.raises(EdgeError, match="nobody read it until the time was over, so nothing is written"):
        open_target(pipe, (), end)
    assert time.monotonic() >= end


def test_a_pipe_that_nobody_reads_is_given_up_at_an_interrupt(pipe: Path, stop_fd: int) -> None:
    with pytest.raises(EdgeError, match="nobody read it until it was interrupted"):
        open_target(pipe, (stop_fd,), None, lambda: os.eventfd_write(stop_fd, 1))


def test_a_pipe_without_a_name_has_its_reader_or_none_for_ever() -> None:
    read_fd, write_fd = os.pipe()
    with open_target(f"/dev/fd/{write_fd}") as stream:
        stream.write(b"x")
        stream.flush()
        assert os.read(read_fd, 10) == b"x"
    os.close(read_fd)
    with open_target(f"/dev/fd/{write_fd}") as stream:
        sink = StreamSink(stream)
        gone = select.poll()
        gone.register(sink.fd, 0)
        assert gone.poll(0) == [(sink.fd, select.POLLERR)]
        sink.write([b"x"])
    os.close(write_fd)
    assert (sink.closed_by_reader, sink.failed) == (True, "")


def test_what_only_answers_like_a_pipe_is_an_error_at_once(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):
            open_target(tmp_path / "socket")
