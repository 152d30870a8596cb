"""One tree of errors. Each carries the exit code of the commands and words for the operator.

Exit codes (the contract of both commands): 1 a check failed or the service refused, 2 the command
line or the file is wrong and nothing was touched, 3 the machine lacks something, 4 it ran and failed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

EXIT_OK = 0
EXIT_CHECK_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_MACHINE = 3
EXIT_FAILED = 4


class EdgeError(Exception):
    """Base of all errors that a user may see; str() is one or more complete lines for stderr."""

    exit_code = EXIT_FAILED


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a file.

    line and column count from 1, as editors do; 0 means "the whole file". path is the dotted
    place in the document (`circuits.ams.peerings.private.asn`), empty for the document itself.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        # A key may hold anything, a line end too; a problem is one line.
        path = "".join(c if c.isprintable() else repr(c)[1:-1] for c in self.path)
        text = f"{where}: {path}: {self.message}" if path else f"{where}: {self.message}"
        return f"{text}; {self.hint}" if self.hint else text


class InputError(EdgeError):
    """A file or a command line is wrong. Carries every problem, in the order of the file."""

    exit_code = EXIT_BAD_INPUT

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UsageError(EdgeError):
    """The command line asks for something that does not exist (a lab, a node, a link)."""

    exit_code = EXIT_BAD_INPUT


class CapabilityError(EdgeError):
    """The machine lacks something. `remedy` is the command or action that gives it."""

    exit_code = EXIT_MACHINE

    def __init__(self, missing: str, remedy: str = "") -> None:
        self.missing = missing
        self.remedy = remedy
        super().__init__(f"{missing}\n  way out: {remedy}" if remedy else missing)


class KernelError(EdgeError):
    """The kernel refused something; `what` is the object in words, errno the kernel's number."""

    def __init__(self, what: str, errno: int, text: str) -> None:
        self.what = what
        self.errno = errno
        super().__init__(f"{what}: {text}")


class DaemonError(EdgeError):
    """A process we run (BIRD, nft) refused its input or died."""


class DeadlineError(EdgeError):
    """An event did not come in time; the message says which one and how long we waited."""
