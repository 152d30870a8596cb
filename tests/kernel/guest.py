"""Run a command under another kernel: User-Mode Linux over this machine's own files.

The guest is one program, `linux.uml` of Debian's package user-mode-linux: a stock kernel built to run as a
process, with all its modules. It needs no root, no KVM, no image; it boots in two seconds. Its root is
this machine's, read-only, with a layer in memory on top (see init.sh); folders named `writable` are
written for real. The command's stdout and stderr are two consoles of the guest, its exit status a file in
the job's folder.

Whatever happens, nothing is left: all processes of a guest are in one process group of their own, which is
ended when the command ended, when the time is over, or when this process dies.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.errors import CapabilityError, DeadlineError, EdgeError, UsageError

PROGRAM = "linux.uml"
MODULES = Path("/usr/lib/uml/modules")
REMEDY = "sudo apt-get install --no-install-recommends user-mode-linux kmod iptables"
INIT = Path(__file__).with_name("init.sh")

ENDING_DEADLINE_S = 5.0
CONSOLE_KEPT_OCTETS = 64 * 1024
_READ_OCTETS = 64 * 1024
_BLANK = re.compile(r"\s").search

Sink = Callable[[bytes], None]


class GuestError(EdgeError):
    """A guest ended without telling its command's exit status; the message has its console."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to run in a guest.

    memory_mib: the guest's memory, its layer of written files included; taken from the machine as it is
    used. deadline_s: from the start of the guest to its end. writable: folders whose files are the
    machine's own. terminal: the command talks to this process's terminal instead of being read.
    """

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path = field(default_factory=Path.cwd)
    writable: Sequence[Path] = ()
    memory_mib: int = 3072
    deadline_s: float = 300.0
    terminal: bool = False


@dataclass(frozen=True, slots=True)
class Installed:
    """The kernel that this machine can start: its program, the folder of its modules, its version."""

    program: Path
    modules: Path

    @property
    def version(self) -> str:
        """As `uname -r` says inside."""
        return self.modules.name


def installed() -> Installed:
    """The kernel of the package user-mode-linux. Raises CapabilityError when it is not there."""
    program = shutil.which(PROGRAM)
    if program is None or not MODULES.is_dir():
        raise CapabilityError("User-Mode Linux is not installed", REMEDY)
    done = subprocess.run((program, "--version"), capture_output=True, text=True, timeout=20, check=False)
    version = done.stdout.strip()
    modules = MODULES / version
    if done.returncode or not modules.is_dir():
        raise CapabilityError(f"{program} is version {version!r}, which has no modules in {MODULES}", REMEDY)
    if not any((Path(folder) / "insmod").exists() for folder in ("/sbin", "/usr/sbin")):
        raise CapabilityError("insmod is not installed", REMEDY)
    return Installed(Path(program), modules)


def script(job: Job) -> str:
    """The shell script that process 1 of the guest runs. Pure. Raises UsageError for a variable's name."""
    wrong = [name for name in job.environment if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)]
    if wrong:
        raise UsageError(f"{wrong[0]!r} cannot be the name of an environment variable")
    exports = [f"export {name}={shlex.quote(value)}" for name, value in sorted(job.environment.items())]
    return "\n".join(
        (*exports, f"cd {shlex.quote(str(job.directory))} || exit 126", f"exec {shlex.join(job.command)}", "")
    )


def arguments(kernel: Installed, job: Job, folder: Path, descriptors: Sequence[str]) -> list[str]:
    """The command line of the guest's kernel. Pure.

    descriptors: what its consoles 0 (kernel), 1 (stdout) and 2 (stderr) are, in UML's words.
    """
    return [
        str(kernel.program),
        f"mem={job.memory_mib}M",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        "con=null",
        "ssl=null",
        *(f"con{number}={words}" for number, words in enumerate(descriptors)),
        f"uml_dir={folder}",
        "umid=guest",
        "noreboot",
        "quiet",
        "loglevel=3",
        "panic=-1",
        "random.trust_cpu=on",
        f"init={folder / INIT.name}",
        "--",
        str(folder),
    ]


def run(job: Job, stdout: Sink, stderr: Sink) -> int:
    """Run the job; its exit status, 128 + n when signal n ended it.

    stdout and stderr get octets as they come. Raises CapabilityError without a kernel, DeadlineError when
    time is over, GuestError when the guest broke down; the last two carry the guest's console.
    """
    kernel = installed()
    # The folder holds sockets and a few lines, and the guest looks at it by hostfs. Its name stands on the
    # kernel's command line, where a blank would end it.
    temporary = Path(tempfile.gettempdir()).resolve()
    folder = Path(
        tempfile.mkdtemp(prefix="edgelab-guest-", dir="/tmp" if _BLANK(str(temporary)) else temporary)
    )
    try:
        _fill(folder, kernel, job)
        console = _boot(kernel, job, folder, stdout, stderr)
        try:
            return int((folder / "status").read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError) as error:
            raise GuestError(f"the guest ended without a result; its console:\n{console}") from error
    finally:
        shutil.rmtree(folder)


def _fill(folder: Path, kernel: Installed, job: Job) -> None:
    (folder / "memory").mkdir()
    shutil.copy(INIT, folder)
    (folder / "command").write_text(script(job), encoding="utf-8")
    (folder / "modules").write_text(f"{kernel.modules}\n", encoding="utf-8")
    (folder / "writable").write_text("".join(f"{path}\n" for path in job.writable), encoding="utf-8")
    if job.terminal:
        size = os.get_terminal_size(0)
        (folder / "interactive").write_text(f"{size.lines} {size.columns}\n", encoding="ascii")


def _boot(kernel: Installed, job: Job, folder: Path, stdout: Sink, stderr: Sink) -> str:
    """Start the guest, pass its output on, see it end; what it said on its console."""
    console = bytearray()
    sinks: dict[int, Sink] = {}
    with contextlib.ExitStack() as stack:

        def pipe(sink: Sink) -> int:
            reading, writing = os.pipe2(os.O_CLOEXEC)
            stack.callback(os.close, reading)
            sinks[reading] = sink
            return writing

        writers = [pipe(console.extend)]
        words = [f"null,fd:{writers[0]}"]
        if job.terminal:
            words.append("fd:0,fd:1")
        else:
            writers += [pipe(stdout), pipe(stderr)]
            words += [f"null,fd:{writer}" for writer in writers[1:]]
        try:
            process = subprocess.Popen(
                ("setpriv", "--pdeathsig", "TERM", *arguments(kernel, job, folder, words)),
                stdin=None if job.terminal else subprocess.DEVNULL,
                stdout=None if job.terminal else writers[0],
                stderr=writers[0],
                pass_fds=writers,
                cwd="/",
                start_new_session=True,
            )
        finally:
            for writer in writers:
                os.close(writer)
        with _ended(process), _mourner(process.pid), _terminal(job.terminal):
            late = _pump(process, sinks, console, job, folder)
        for reading, sink in sinks.items():
            _drain(reading, sink)
        words_of_console = console[-CONSOLE_KEPT_OCTETS:].decode(errors="replace").strip()
        if late:
            raise DeadlineError(f"the guest {late}; it was ended. Its console:\n{words_of_console}")
        return words_of_console


def _pump(
    process: subprocess.Popen[bytes], sinks: Mapping[int, Sink], console: bytearray, job: Job, folder: Path
) -> str:
    """Pass output on until the guest ends; what it failed to do in time, or nothing."""
    began = time.monotonic()
    ended = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        for reading in (ended, *sinks):
            poll.register(reading, select.POLLIN)
        while True:
            left = began + job.deadline_s - time.monotonic()
            if left <= 0:
                return f"did not end within {job.deadline_s:.0f} s"
            for descriptor, _ in poll.poll(left * 1000):
                if descriptor == ended:
                    return ""
                data = os.read(descriptor, _READ_OCTETS)
                if data:
                    sinks[descriptor](data)
                else:
                    poll.unregister(descriptor)
            del console[:-CONSOLE_KEPT_OCTETS]
    finally:
        os.close(ended)


def _drain(reading: int, sink: Sink) -> None:
    os.set_blocking(reading, False)
    with contextlib.suppress(BlockingIOError):
        while data := os.read(reading, _READ_OCTETS):
            sink(data)


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whatever happens, the guest and the processes that its kernel keeps are gone at the end."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(ENDING_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # Its kernel keeps a process here for each memory space there. They are of its session only.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _mourner(group: int) -> Iterator[None]:
    """A process that ends the guest's group should this process die: a kernel that is told to end by the
    death of its parent does not always take the processes of its own along.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        watch = subprocess.Popen(
            ("sh", "-c", 'read -r _; kill -KILL -- "-$1" 2>/dev/null', "sh", str(group)),
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
    finally:
        os.close(reading)
    try:
        yield
    finally:
        watch.kill()
        watch.wait()
        os.close(writing)


@contextlib.contextmanager
def _terminal(used: bool) -> Iterator[None]:
    """The terminal as it was: the guest sets it raw."""
    if not used:
        yield
        return
    import termios

    state = termios.tcgetattr(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, state)
