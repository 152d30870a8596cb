"""A fault from an operator's words, for the meter alone. Pure."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import dataclass, replace

from edge.errors import UsageError
from lab.model import LabModel, Link


@dataclass(frozen=True, slots=True)
class Wrong:
    """A fault to inject, checked against the model. crossing: links that it harms.

    unfolds_s: how long it takes until the last of what it does begins.
    """

    kind: str
    target: str
    options: dict[str, str]
    crossing: tuple[str, ...] = ()
    unfolds_s: float = 0.0

    @property
    def call(self) -> tuple[str, str, dict[str, str]]:
        """As lab.faults.calls.inject takes it."""
        return self.kind, self.target, self.options


def split(text: str) -> Wrong:
    """`silent ams/primary --part 2%` in its parts. Raises UsageError."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--fault {text!r}: {error}") from error
    plain: list[str] = []
    options: dict[str, str] = {}
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            plain.append(word)
            continue
        name, is_there, value = word[2:].partition("=")
        if not is_there:
            if not words:
                raise UsageError(f"--fault {text!r}: --{name} has no value")
            value = words.pop(0)
        options[name] = value
    if len(plain) != 2:
        raise UsageError(
            f"--fault {text!r}: write a kind and a target, as in 'silent ams/primary'; "
            f"kinds: edgelab fault list"
        )
    return Wrong(plain[0], plain[1], options)


def fault_of(model: LabModel, text: str) -> Wrong:
    """The same, with the links that it harms where it harms links. Raises UsageError with every problem."""
    from lab.faults.faulted import read
    from lab.faults.kinds import KINDS
    from lab.faults.targets import links_of

    found = split(text)
    known = read(model, {"kind": found.kind, "target": found.target, "options": found.options})
    phases = KINDS[known.kind].phases(known.options)
    unfolds_s = 0.0 if phases.repeat else sum(seconds or 0.0 for seconds in phases.seconds[:-1])
    links: tuple[Link, ...] = ()
    with suppress(UsageError):
        # It may harm something else than links.
        links = links_of(model, found.target)
    return replace(found, crossing=tuple(link.name for link in links), unfolds_s=unfolds_s)
