"""`edgelab top` at the reference lab, in a terminal of its own."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from labs import CONTOSO, Labs

pytestmark = pytest.mark.root

ALTERNATE, BACK = "\x1b[?1049h", "\x1b[?1049l"
HOME = "\x1b[H"
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def lab(module_labs: Labs) -> Labs:
    module_labs.ok("deploy", "-t", str(CONTOSO))
    return module_labs


@dataclass
class Terminal:
    """A window in which a command runs; `written` is all that it has sent."""

    fd: int
    process: subprocess.Popen[str]
    written: str = ""

    @property
    def picture(self) -> list[str]:
        """The lines of the last picture that is whole: another one has begun behind it."""
        pictures = self.written.split(HOME)
        return (
            [line.rstrip() for line in CODES.sub("", pictures[-2]).splitlines()] if len(pictures) > 2 else []
        )

    def until(self, seen: Callable[[list[str]], bool], what: str, deadline_s: float = 40.0) -> list[str]:
        end = time.monotonic() + deadline_s
        while not seen(self.picture):
            left = end - time.monotonic()
            assert left > 0, f"{what}; last picture: {self.picture}"
            assert self.read(left), f"{what}; it has ended: {self.written[-500:]!r}"
        return self.picture

    def read(self, seconds: float) -> bool:
        """Take what it writes next; False once it has ended and everything is taken."""
        ended = os.pidfd_open(self.process.pid)
        try:
            ready = select.select([self.fd, ended], [], [], seconds)[0]
        finally:
            os.close(ended)
        if self.fd in ready:
            self.written += os.read(self.fd, 65536).decode(errors="replace")
        return ready != [ended]

    def press(self, key: str) -> None:
        os.write(self.fd, key.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def ended(self, deadline_s: float = 40.0) -> int:
        """Its exit status."""
        end = time.monotonic() + deadline_s
        while self.read(end - time.monotonic()):
            assert time.monotonic() < end, f"it goes on: {self.written[-500:]!r}"
        return self.process.wait(1)


@contextlib.contextmanager
def top(labs: Labs, *words: str, rows: int = 40, columns: int = 120) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    before = termios.tcgetattr(theirs)
    environment = {key: value for key, value in labs.environment.items() if key not in ("COLUMNS", "LINES")}
    started = labs._started(("top", *words))
    started["env"] = {**environment, "TERM": "xterm-256color"}
    # Its controlling terminal: only then it is told of a new size, and Ctrl-C reaches it.
    started["args"] = ["setsid", "--ctty", *started["args"]]
    process = subprocess.Popen(**started, stdin=theirs, stdout=theirs, stderr=theirs)
    terminal = Terminal(ours, process)
    try:
        yield terminal
        assert terminal.process.poll() is not None, "it has been ended by now"
        assert termios.tcgetattr(theirs) == before, "the terminal is as it was"
        assert terminal.written.count(ALTERNATE) == terminal.written.count(BACK) == 1
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        os.close(theirs)
        os.close(ours)


def row(picture: list[str], name: str) -> str:
    return next((line for line in picture if line.startswith(f"{name} ")), "")


def test_the_picture_lives_with_the_lab_and_q_ends_it(lab: Labs) -> None:
    with top(lab, "--every", "0.3") as terminal:
        terminal.until(lambda seen: "bit/s ->" in " ".join(seen), "a picture")
        quiet = terminal.until(lambda seen: bool(re.search(r" up +\d", row(seen, "ams-primary"))), "rates")
        assert "36 of 36 sessions" in quiet[0]
        assert row(quiet, "ams/private primary").split()[2:5] == ["ce1", "192.168.15.2", "Established"]
        lab.inside("contoso", "ce1", "ip", "link", "set", "ams1", "down")
        seen = terminal.until(
            lambda seen: (
                any("Idle" in line or "Active" in line or "Connect" in line for line in seen)
                and any(line.startswith(("ams-primary ", "equinix")) and "shut down" in line for line in seen)
            ),
            "the link that is down, and its sessions",
        )
        heads = [at for at, line in enumerate(seen) if line.startswith(("session", "link"))]
        assert "shut down" in seen[heads[1] + 1], "it comes first"
        lab.inside("contoso", "ce1", "ip", "link", "set", "ams1", "up")
        terminal.until(lambda seen: "36 of 36 sessions" in seen[0], "all sessions are back", 60.0)
        terminal.press("q")
        assert terminal.ended() == 0


@pytest.mark.parametrize("end", ["\x03", signal.SIGTERM])
def test_ctrl_c_and_a_signal_end_it_as_well(lab: Labs, end: str | signal.Signals) -> None:
    with top(lab, "--every", "600") as terminal:
        terminal.until(lambda _: "sessions" in terminal.written, "a picture")
        if isinstance(end, str):
            terminal.press(end)
        else:
            terminal.process.send_signal(end)
        assert terminal.ended() == 0


def test_a_window_that_shrinks_is_filled_anew_at_once(lab: Labs) -> None:
    with top(lab, "--every", "600") as terminal:
        terminal.until(lambda _: "session established" in terminal.written, "all of it")
        terminal.resize(10, 50)

        def small(_: list[str]) -> bool:
            drawn = CODES.sub("", terminal.written.split(HOME)[-1]).splitlines()
            return len(drawn) <= 10 and any(" more" in line for line in drawn) and max(map(len, drawn)) <= 50

        terminal.until(small, "a picture as small as the window")
        terminal.press("\x1b")
        assert terminal.ended() == 0


def test_a_pipe_gets_one_picture_with_everything_in_it(lab: Labs) -> None:
    text = lab.ok("top", "--every", "0.2")
    assert text.startswith("lab contoso  36 of 36 sessions")
    assert "\x1b" not in text
    assert row(text.splitlines(), "hub-gw1-internet")
    data = json.loads(lab.ok("top", "--every", "0.5", "--format", "json"))
    assert (data["version"], data["lab"], len(data["links"])) == (1, "contoso", 26)
    rates = {item["name"]: item["from_a_bps"] for item in data["links"]}
    assert rates["ams-primary"] > 0, "BFD alone is some packets a second"
    assert any(item["name"] == "control" and item["packets_s"] > 0 for item in data["classes"])


def test_it_ends_with_the_lab(lab: Labs) -> None:
    with top(lab, "--every", "0.3") as terminal:
        terminal.until(lambda _: "sessions" in terminal.written, "a picture")
        lab.ok("destroy", "contoso")
        assert terminal.ended() == 0
    assert "the lab has ended" in terminal.written
