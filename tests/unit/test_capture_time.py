"""`--for` of a capture counts from when all places are listened to, so opening a pipe is part of it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from lab import recording
from lab.capture import FrameSource
from lab.recording import CaptureSummary, record

HOUR_S = 3600.0
GUARD_S = 20.0
"""After so long a capture that goes on is interrupted, which is not how any of these may end."""


class Clock:
    """The machine's clock, and how much of it has been skipped. listens_at: when listening had begun."""

    def __init__(self) -> None:
        self.skipped_s = 0.0
        self.listens_at = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.skipped_s

    def time_ns(self) -> int:
        return time.time_ns()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of captures, for whom it takes an hour until they listen. They listen to no place at all."""
    made = Clock()

    class Slow(FrameSource):
        def __enter__(self) -> FrameSource:
            made.skipped_s += HOUR_S
            made.listens_at = made.monotonic()
            return super().__enter__()

    monkeypatch.setattr(recording, "time", made)
    monkeypatch.setattr(recording, "FrameSource", Slow)
    return made


@pytest.fixture
def stop_fd() -> Iterator[int]:
    fd = os.eventfd(0)
    guard = threading.Timer(GUARD_S, os.eventfd_write, (fd, 1))
    guard.start()
    yield fd
    guard.cancel()
    guard.join()
    os.close(fd)


@pytest.fixture
def capture(clock: Clock, stop_fd: int, tmp_path: Path) -> Callable[..., CaptureSummary]:
    """A capture of some seconds into a file whose opening takes others; the time at which it was to end."""

    def run(duration_s: float | None, opening_s: float, ends: list[float | None]) -> CaptureSummary:
        with (tmp_path / "x.pcapng").open("wb") as stream:

            def opened(end: float | None) -> BinaryIO:
                ends.append(end)
                clock.skipped_s += opening_s
                return stream

            return record(None, (), opened, duration_s=duration_s, stop_fds=(stop_fd,))  # type: ignore[arg-type]

    return run


@pytest.mark.parametrize("opening_s", [0.0, HOUR_S - 0.1])
def test_a_capture_lasts_its_time_from_listening_on_however_long_opening_takes(
    opening_s: float, clock: Clock, capture: Callable[..., CaptureSummary]
) -> None:
    ends: list[float | None] = []
    for_s = opening_s + 0.1
    summary = capture(for_s, opening_s, ends)
    assert summary.ended == "the time is over"
    assert ends[0] is not None
    assert clock.listens_at + for_s <= ends[0] <= clock.monotonic()
    assert ends[0] - clock.listens_at - for_s < GUARD_S, "neither listening nor opening makes it longer"


def test_a_capture_whose_opening_took_all_its_time_ends_at_once(
    clock: Clock, capture: Callable[..., CaptureSummary]
) -> None:
    ends: list[float | None] = []
    assert capture(HOUR_S, 2 * HOUR_S, ends).ended == "the time is over"
    assert ends[0] is not None
    assert ends[0] < clock.monotonic() - HOUR_S + GUARD_S


def test_a_capture_without_a_time_has_no_end_until_it_is_interrupted(
    capture: Callable[..., CaptureSummary], stop_fd: int
) -> None:
    ends: list[float | None] = []
    os.eventfd_write(stop_fd, 1)
    assert capture(None, HOUR_S, ends).ended == "interrupted"
    assert ends == [None]
