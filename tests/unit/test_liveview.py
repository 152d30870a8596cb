"""Views that refresh, in a terminal with a shell: it gets its terminal back whenever they are not there."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

PYTHON = shlex.quote(sys.executable)
CLASSES = f"{PYTHON} -m edge.cli classes --watch --every 0.1"
KEYED = f"""{PYTHON} -c '
from itertools import count
from edge.liveview import watch
numbers = count()
watch("first", lambda: f"look {{next(numbers)}}", 0.1, whole=True, keys="q")
'"""
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"
ALTERNATE, BACK = "\x1b[?1049h", "\x1b[?1049l"


@dataclass
class Shell:
    """bash in a window, that runs words of ours with job control. `written` is all that came out."""

    fd: int
    slave: int
    pid: int
    before: list[object] = field(default_factory=list)
    written: str = ""

    def until(self, word: str, after: int = 0, deadline_s: float = 40.0) -> int:
        """Read until that has come behind this place; the place behind it."""
        end = time.monotonic() + deadline_s
        while word not in self.written[after:]:
            ready = select.select([self.fd], [], [], max(0.0, end - time.monotonic()))[0]
            in_time = ready and time.monotonic() < end
            assert in_time, f"{word!r} has not come: {self.written[-600:]!r}"
            self.written += os.read(self.fd, 65536).decode(errors="replace")
        return self.written.index(word, after) + len(word)

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    @property
    def screen_given_back(self) -> bool:
        """The cursor is seen, and the screen is the ordinary one."""
        return self.written.rfind(SHOWN) > self.written.rfind(HIDDEN) and (
            self.written.count(ALTERNATE) == self.written.count(BACK)
        )

    @property
    def given_back(self) -> bool:
        """That, and keys are as they were."""
        return self.screen_given_back and termios.tcgetattr(self.slave) == self.before


LOGIN = ("env", "--default-signal=INT,QUIT,HUP,TERM,TSTP")
"""Who started the tests may ignore some of them, and what is ignored is inherited."""


@contextlib.contextmanager
def shell(words: str) -> Iterator[Shell]:
    """With `set -m` each program has a group of its own, whose parent bash is: so the kernel stops it."""
    fd, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    command = ["setsid", "--ctty", *LOGIN, "bash", "--norc", "-c", f"set -m\n{words}"]
    environment = {**os.environ, "TERM": "xterm-256color", "LINES": "24", "COLUMNS": "100"}
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
    try:
        yield Shell(fd, slave, process.pid, before)
    finally:
        # The terminal's end is the end of all that runs in it, whether stopped or not.
        os.close(fd)
        os.close(slave)
        process.kill()
        process.wait()


@pytest.mark.parametrize(("program", "picture", "end"), [(CLASSES, "o", "\x03"), (KEYED, "look", "q")])
def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(program: str, picture: str, end: str) -> None:
    with shell(f"{program}; echo IT-STOPPED; read -r; fg >/dev/null; echo ENDED=$?; read -r") as window:
        for _ in range(2):
            window.until(picture, window.until(HIDDEN))
        window.press("\x1a")
        stopped = window.until("IT-STOPPED")
        assert window.given_back
        window.press("\r")
        again = window.until(HIDDEN, stopped)
        window.until(picture, window.until(picture, again))
        assert "\x1b[1A" not in window.written[stopped : window.written.index(picture, again)], (
            "what the shell wrote meanwhile stays"
        )
        window.press(end)
        window.until("ENDED=0", again)
        assert window.given_back


def test_sent_to_the_background_it_waits_until_it_has_the_terminal_again() -> None:
    words = f"{KEYED}; bg; wait %1; echo WAITED=$?; read -r; fg >/dev/null; echo ENDED=$?; read -r"
    with shell(words) as window:
        window.until("look")
        window.press("\x1a")
        # 128 and SIGTTOU: it has stopped again, before it wrote anything.
        waited = window.until(f"WAITED={128 + signal.SIGTTOU}")
        assert window.given_back
        window.press("\r")
        window.until("look", waited)
        window.press("q")
        window.until("ENDED=0", waited)
        assert window.given_back


def test_stopped_without_a_word_and_sent_to_the_background_it_goes_on_when_it_is_back() -> None:
    words = f"{KEYED}; bg; wait %1; echo WAITED=$?; read -r; fg >/dev/null; echo ENDED=$?; read -r"
    with shell(words) as window:
        window.until("look")
        os.killpg(os.tcgetpgrp(window.fd), signal.SIGSTOP)
        waited = window.until(f"WAITED={128 + signal.SIGTTOU}")
        window.press("\r")
        window.until("look", waited)
        window.press("q")
        window.until("ENDED=0", waited)
        # Keys are as bash found them when it was stopped: it puts that back after `fg`.
        assert window.screen_given_back


@pytest.mark.parametrize("before", ["", "bg; wait %1;"])
def test_what_is_stopped_can_be_ended(before: str) -> None:
    with shell(f"{KEYED}; {before} kill %1; wait -f %1; echo ENDED=$?; read -r") as window:
        window.until("look")
        window.press("\x1a")
        window.until("ENDED=0")
        assert window.given_back


@pytest.mark.parametrize("program", [CLASSES, KEYED])
def test_sigterm_ends_it_and_the_terminal_is_as_it_was(program: str) -> None:
    with shell(f"{program} & fg >/dev/null; echo ENDED=$?; read -r") as window:
        window.until(HIDDEN)
        job = os.tcgetpgrp(window.fd)
        assert job != window.pid
        os.kill(job, signal.SIGTERM)
        window.until("ENDED=0")
        assert window.given_back


def test_a_signal_ends_a_look_that_takes_long() -> None:
    program = f"""{PYTHON} -c '
import select
from edge.liveview import watch
def look():
    print("LOOKING", flush=True)
    select.select([], [], [])
watch("first", look, 0.1, whole=True)
'"""
    with shell(f"{program}; echo ENDED=$?; read -r") as window:
        window.until("LOOKING")
        window.press("\x03")
        window.until("ENDED=0")
        assert window.given_back
