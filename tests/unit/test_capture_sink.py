from __future__ import annotations

import fcntl
import itertools
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.capturesink import PIPE_STEP, Ring, StreamSink, replace_file


@contextmanager
def files_of_at_most(octets: int) -> Iterator[None]:
    """A limit on a file's size refuses as a full disk does (EFBIG), in the middle of a block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_leaves_whole_blocks_counts_them_and_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as stream, files_of_at_most(100):
        sink = StreamSink(stream)
        assert sink.write([b"head"]) == 1
        assert sink.write([b"a" * 40, b"b" * 40, b"c" * 40]) == 2
        assert sink.write([b"never"]) == 0
    assert path.read_bytes() == b"head" + b"a" * 40 + b"b" * 40
    assert "File too large" in sink.failed


def test_a_file_that_finds_no_room_leaves_the_former_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x"
    replace_file(path, b"the former one")
    with files_of_at_most(100), pytest.raises(OSError, match="File too large"):
        replace_file(path, b"x" * 200)
    assert path.read_bytes() == b"the former one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced_where_a_link_leads_and_with_the_usual_rights(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "x")
    replace_file(tmp_path / "link", b"1")
    replace_file(tmp_path / "link", b"2")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "x").read_bytes() == b"2"
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "plain").stat().st_mode
    replace_file(Path("/dev/null"), b"3")
    assert Path("/dev/null").is_char_device()


def test_a_device_without_room_is_told() -> None:
    with open("/dev/full", "wb", buffering=0) as stream:
        sink = StreamSink(stream)
        sink.write([b"x"])
    assert "No space left on device" in sink.failed


def test_a_reader_that_goes_is_no_failure() -> None:
    read_fd, write_fd = os.pipe()
    with os.fdopen(write_fd, "wb", buffering=0) as stream:
        sink = StreamSink(stream)
        os.close(read_fd)
        sink.write([b"x"])
    assert (sink.closed_by_reader, sink.failed) == (True, "")


@pytest.mark.parametrize("over", [False, True], ids=["open end", "the time is over"])
def test_a_reader_that_reads_gets_everything(over: bool) -> None:
    read_fd, write_fd = os.pipe()
    blocks = [bytes([number]) * 10_000 for number in range(50)]
    with os.fdopen(read_fd, "rb") as reader, os.fdopen(write_fd, "wb", buffering=0) as stream:
        got: list[bytes] = []
        thread = threading.Thread(target=lambda: got.append(reader.read()))
        thread.start()
        assert StreamSink(stream, (), time.monotonic() if over else None).write(blocks) == len(blocks)
        stream.close()
        thread.join(10)
    assert got == [b"".join(blocks)]


def test_a_reader_that_does_not_read_cannot_keep_a_capture_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lab.capturesink.PATIENCE_S", 0.05)
    read_fd, write_fd = os.pipe()
    stop_fd = os.eventfd(1)
    with os.fdopen(write_fd, "wb", buffering=0) as stream:
        sink = StreamSink(stream, (stop_fd,))
        written = sink.write([bytes(PIPE_STEP)] * 100)
        assert 0 < written < 100
    os.close(read_fd)
    os.close(stop_fd)
    assert "does not read" in sink.failed


def test_a_reader_that_does_not_read_cannot_make_a_capture_last_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lab.capturesink.PATIENCE_S", 0.05)
    read_fd, write_fd = os.pipe()
    with os.fdopen(write_fd, "wb", buffering=0) as stream:
        end = time.monotonic() + 0.2
        sink = StreamSink(stream, (), end)
        written = sink.write([bytes(PIPE_STEP)] * 100)
        assert 0 < written < 100
        assert time.monotonic() >= end, "it has its time to read"
    os.close(read_fd)
    assert "does not read" in sink.failed


def test_a_reader_that_reads_too_slowly_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    # Each look at the clock is ten seconds later than the one before.
    clock = (now + 10.0 * step for step in itertools.count())
    monkeypatch.setattr("lab.capturesink.time.monotonic", lambda: next(clock))
    read_fd, write_fd = os.pipe()
    with os.fdopen(read_fd, "rb", buffering=0) as reader, os.fdopen(write_fd, "wb", buffering=0) as stream:
        fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, PIPE_STEP)
        thread = threading.Thread(target=lambda: [reader.read(PIPE_STEP) for _ in range(50)])
        thread.start()
        blocks = [bytes([number]) * PIPE_STEP for number in range(50)]
        sink = StreamSink(stream, (), end=now)
        written = sink.write(blocks)
        assert sink.failed == "the reader reads too slowly, so what came last is missing"
        assert 0 < written < len(blocks)
        stream.close()
        thread.join(10)


def test_a_ring_keeps_the_last_octets() -> None:
    ring = Ring(octets=30)
    ring.add([(number, bytes([number]) * 10) for number in range(1, 4)])
    assert (ring.blocks(), ring.let_go) == ([b"\1" * 10, b"\2" * 10, b"\3" * 10], 0)
    ring.add([(4, b"\4" * 15)])
    assert (ring.blocks(), ring.let_go) == ([b"\3" * 10, b"\4" * 15], 2)


def test_a_block_larger_than_the_ring_empties_it() -> None:
    ring = Ring(octets=5)
    ring.add([(1, b"123"), (2, b"123456")])
    assert (ring.blocks(), ring.let_go) == ([], 2)


def test_a_ring_keeps_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring(seconds=2)
    second = 1_000_000_000
    monkeypatch.setattr("lab.capturesink.time.time_ns", lambda: 11 * second)
    ring.add([(number * second, str(number).encode()) for number in range(5, 11)])
    assert (ring.blocks(), ring.let_go) == ([b"9", b"10"], 4)
    monkeypatch.setattr("lab.capturesink.time.time_ns", lambda: 20 * second)
    assert ring.blocks() == []


def test_a_ring_without_a_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="limit"):
        Ring()


def test_a_file_that_is_replaced_keeps_who_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 60 + ".pcapng")
    path.write_bytes(b"former")
    path.chmod(0o600)
    replace_file(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
