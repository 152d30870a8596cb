"""Whatever happens on the way, the result is a whole capture or what was there before, nothing beside it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.cli import cli
from edge.commands.mark import EPILOG
from edge.errors import EdgeError, InputError, UsageError
from edge.fastpath import capturefile
from edge.fastpath.capture import Count
from edge.fastpath.capturefile import mark_file
from edge.program import run
from edge.qos.table import compile_policy
from tests.fastpath import captures
from tests.fastpath.test_capture_file import FRAMES, TEAMS, mark, marked

ROOT = Path(__file__).parents[2]
CAPTURE = captures.pcap(FRAMES)
MARKED = captures.pcap([marked(frame) for frame in FRAMES])
TABLE = compile_policy(TEAMS, "out", "mark")
LARGE = captures.pcap(FRAMES * 600)
DEADLINE_S = 20


@pytest.fixture(params=["nameless", "named"])
def source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A capture in a directory of its own, on a file system with nameless files and one without."""
    if request.param == "named":
        real = os.open

        def refuse(path: os.PathLike[str] | str, flags: int, mode: int = 0o777) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            return real(path, flags, mode)

        monkeypatch.setattr(capturefile.os, "open", refuse)
    path = tmp_path / "in.pcap"
    path.write_bytes(CAPTURE)
    return path


def names(directory: Path) -> list[str]:
    """What lies in a directory, hidden files included."""
    return sorted(os.listdir(directory))


def mark_into(source: Path | str, target: Path | str) -> None:
    """`edge mark` with the built-in policy of Teams."""
    mark_file(str(source), str(target), TABLE, len(TEAMS.rules))


def test_a_new_file_gets_the_result_and_the_usual_permissions(source: Path) -> None:
    target = source.with_name("out.pcap")
    before = os.umask(0o027)
    try:
        mark_into(source, target)
    finally:
        os.umask(before)
    assert target.read_bytes() == MARKED
    assert target.stat().st_mode & 0o777 == 0o640
    assert names(source.parent) == ["in.pcap", "out.pcap"]


def test_an_old_file_is_replaced_with_its_permissions_kept(source: Path) -> None:
    target = source.with_name("out.pcap")
    target.write_text("old")
    target.chmod(0o604)
    mark_into(source, target)
    assert target.read_bytes() == MARKED
    assert target.stat().st_mode & 0o777 == 0o604


def test_a_symbolic_link_stays_and_its_file_is_replaced(source: Path) -> None:
    link = source.with_name("link.pcap")
    link.symlink_to("real.pcap")
    mark_into(source, link)
    assert link.is_symlink()
    assert source.with_name("real.pcap").read_bytes() == MARKED


def test_a_broken_capture_leaves_what_was_there(source: Path) -> None:
    target = source.with_name("out.pcap")
    source.write_bytes(LARGE[:-1])
    with pytest.raises(InputError, match="in the middle of a record"):
        mark_into(source, target)
    assert names(source.parent) == ["in.pcap"]
    target.write_text("old")
    with pytest.raises(InputError):
        mark_into(source, target)
    assert target.read_text() == "old"
    assert names(source.parent) == ["in.pcap", "out.pcap"]


def test_an_interruption_leaves_what_was_there(source: Path) -> None:
    source.write_bytes(LARGE)

    def interrupt(_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mark_file(str(source), str(source.with_name("out.pcap")), TABLE, len(TEAMS.rules), interrupt)
    assert names(source.parent) == ["in.pcap"]


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to], ids=["symbolic", "hard"])
def test_in_place_is_refused_by_whatever_name(source: Path, make: object) -> None:
    other = source.with_name("other.pcap")
    make(other, source)  # type: ignore[operator]
    for target in (source, other):
        with pytest.raises(UsageError, match="is the capture that is read; name another file"):
            mark_into(source, target)
    assert source.read_bytes() == CAPTURE


def test_names_that_cannot_be_opened_are_told(tmp_path: Path) -> None:
    source = tmp_path / "in.pcap"
    source.write_bytes(CAPTURE)
    for wrong, words in (
        ((tmp_path / "none", tmp_path / "out"), "cannot read .*none: No such file"),
        ((tmp_path, tmp_path / "out"), "cannot read .*: it is a directory"),
        ((source, tmp_path), "cannot write .*: it is a directory"),
        ((source, tmp_path / "no" / "out"), "cannot write .*out: No such file"),
        ((source, source / "out"), "cannot write .*out: Not a directory"),
    ):
        with pytest.raises(UsageError, match=words):
            mark_into(*wrong)
    assert names(tmp_path) == ["in.pcap"]


@pytest.mark.root
def test_a_full_disk_leaves_no_half_file_and_says_so(tmp_path: Path) -> None:
    source = tmp_path / "in.pcap"
    source.write_bytes(LARGE)
    disk = tmp_path / "disk"
    disk.mkdir()
    with _small_disk(disk, octets=512 * 1024):
        (disk / "out.pcap").write_text("old")
        with pytest.raises(
            EdgeError, match="No space left on device; nothing was left there; free some"
        ) as e:
            mark_into(source, disk / "out.pcap")
        assert e.value.exit_code == 4
        assert names(disk) == ["out.pcap"]
        assert (disk / "out.pcap").read_text() == "old"
    disk.rmdir()


@contextlib.contextmanager
def _small_disk(place: Path, octets: int) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={octets}", "none", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_device_is_written_as_it_is(source: Path) -> None:
    mark_into(source, "/dev/null")
    with pytest.raises(
        EdgeError,
        match="cannot write /dev/full: No space left on device; what came there is no whole capture",
    ):
        mark_into(source, "/dev/full")


def test_a_full_standard_output_is_told_as_what_it_is() -> None:
    with Path("/dev/full").open("wb") as full, start("-", "-", "--policy", "teams", stdout=full) as program:
        _, err = program.communicate(CAPTURE, timeout=DEADLINE_S)
    assert program.returncode == 4
    assert b"cannot write standard output: No space left on device; what came there is no whole" in err


def start(*words: str, **options: object) -> subprocess.Popen[bytes]:
    """The program itself."""
    return subprocess.Popen(
        [sys.executable, "-m", "edge.cli", "mark", *words],
        cwd=ROOT,
        stdin=options.pop("stdin", subprocess.PIPE),
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=options.pop("stderr", subprocess.PIPE),
        **options,  # type: ignore[call-overload]
    )


def test_standard_input_and_output_carry_a_capture_and_the_table_goes_aside() -> None:
    with start("-", "-", "--policy", "teams") as program:
        out, err = program.communicate(CAPTURE, timeout=DEADLINE_S)
    assert (program.returncode, out) == (0, MARKED)
    assert b"voice" in err
    assert b"\r" not in err, "progress is for terminals"


def test_packets_leave_a_pipe_as_soon_as_they_came() -> None:
    with start("-", "-", "--policy", "teams") as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(CAPTURE[:-100])
        program.stdin.flush()
        assert select.select([program.stdout], [], [], DEADLINE_S)[0]
        early = os.read(program.stdout.fileno(), 1 << 20)
        assert early == MARKED[: len(early)]
        assert len(early) > 24
        rest, _ = program.communicate(CAPTURE[-100:], timeout=DEADLINE_S)
    assert early + rest == MARKED
    assert program.returncode == 0


def test_a_reader_that_leaves_early_is_no_error_as_the_help_says() -> None:
    assert "and with 0." in EPILOG
    with start("-", "-", "--policy", "teams") as program:
        assert program.stdout is not None
        program.stdout.close()
        assert program.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            program.stdin.write(LARGE)
            program.stdin.close()
        assert program.wait(DEADLINE_S) == 0
        assert program.stderr is not None
        assert program.stderr.read() == b""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_program_that_is_ended_leaves_nothing(tmp_path: Path, ending: signal.Signals) -> None:
    with start("-", str(tmp_path / "out.pcap"), "--policy", "teams") as program:
        assert program.stdin is not None
        # Two windows: when the second was taken the first one is being worked on, and the file is open.
        program.stdin.write(LARGE[: 2 << 18])
        program.stdin.flush()
        program.send_signal(ending)
        assert program.wait(DEADLINE_S) != 0
    assert names(tmp_path) == []


def test_progress_shows_on_a_terminal_and_is_taken_away(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    try:
        with start("-", str(tmp_path / "out.pcap"), "--policy", "teams", stderr=follower) as program:
            os.close(follower)
            assert program.stdin is not None
            seen = b""
            whole = memoryview(LARGE)
            program.stdin.write(whole[:24])
            # The line is refreshed ten times a second: packets come until it was.
            while b"/s" not in seen:
                program.stdin.write(whole[24:])
                if select.select([leader], [], [], 0)[0]:
                    seen += os.read(leader, 4096)
            program.stdin.close()
            assert program.wait(DEADLINE_S) == 0
            with contextlib.suppress(OSError):
                while more := os.read(leader, 4096):
                    seen += more
    finally:
        os.close(leader)
    assert seen.endswith(b"\r\x1b[K")


def test_a_terminal_gets_no_octets_of_a_capture(tmp_path: Path) -> None:
    source = tmp_path / "in.pcap"
    source.write_bytes(CAPTURE)
    leader, follower = pty.openpty()
    try:
        with start(str(source), "-", "--policy", "teams", stdout=follower) as program:
            _, err = program.communicate(timeout=DEADLINE_S)
        assert program.returncode == 2
        assert b"no text for a terminal" in err
    finally:
        os.close(leader)
        os.close(follower)


def test_the_summary_as_json_counts_classes_and_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.pcap"
    source.write_bytes(CAPTURE)
    words = ["mark", str(source), str(tmp_path / "out.pcap"), "--policy", "teams", "--format", "json"]
    assert run(cli, "edge", words) == 0
    document = json.loads(capsys.readouterr().out)
    _, counts = mark(CAPTURE)
    assert document["version"] == 1
    assert document["format"] == "pcap"
    assert document["total"] == {
        "packets": len(FRAMES),
        "octets": sum(map(len, FRAMES)),
        "changed": counts.total.changed,
    }
    assert [rule["packets"] for rule in document["rules"]] == [
        *(count.packets for count in counts.rules),
        counts.unmatched.packets,
    ]
    by_class = {item["name"]: item for item in document["classes"]}
    assert by_class["voice"]["dscp"] == [46]
    assert sum(item["packets"] for item in by_class.values()) + document["not_ip"]["packets"] == len(FRAMES)


def test_private_peering_counts_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in.pcap", tmp_path / "out.pcap"
    source.write_bytes(CAPTURE)
    assert (
        run(cli, "edge", ["mark", str(source), str(target), "--policy", "teams", "--peering", "private"]) == 0
    )
    assert target.read_bytes() == CAPTURE
    assert "as it came" in capsys.readouterr().out


def test_wrong_words_and_files_end_with_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.pcap"
    broken.write_bytes(CAPTURE[:-1])
    out = str(tmp_path / "out.pcap")
    for words, told in (
        ([str(broken), out, "--policy", "teams"], f"{broken}: at octet"),
        ([str(broken), out, "--policy", "teamz"], "did you mean teams"),
        ([str(broken), out], "--policy"),
        ([str(broken), str(broken), "--policy", "teams"], "name another file"),
    ):
        assert run(cli, "edge", ["mark", *words]) == 2
        assert told in capsys.readouterr().err
    assert names(tmp_path) == ["broken.pcap"]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    small, large = tmp_path / "small.pcap", tmp_path / "large.pcap"
    small.write_bytes(CAPTURE)
    with large.open("wb") as file:
        file.write(LARGE)
        while file.tell() < 64_000_000:
            file.write(LARGE[24:])
    peaks_kb = [_peak_kb(path) for path in (small, large)]
    assert peaks_kb[1] - peaks_kb[0] < 4096


def _peak_kb(source: Path) -> int:
    quiet = subprocess.DEVNULL
    with start(str(source), "/dev/null", "--policy", "teams", stdout=quiet, stderr=quiet) as program:
        _, status, usage = os.wait4(program.pid, 0)
        program.returncode = os.waitstatus_to_exitcode(status)
    assert program.returncode == 0
    return usage.ru_maxrss


def test_counts_add_up() -> None:
    assert Count(1, 2, 3) + Count(4, 5, 6) == Count(5, 7, 9)
