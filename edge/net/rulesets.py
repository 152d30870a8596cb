"""What all ways of applying packet rules share: programs in namespaces, results in order, what is found.

Two ways exist: `Nft` for nftables, and `Xtables` for kernels that have only what came before it.
"""

from __future__ import annotations

import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from edge.errors import CapabilityError, DaemonError, DeadlineError, EdgeError
from edge.net.objects.base import Key
from edge.net.objects.routing import Ruleset

DIFFERS = "# differs from what was applied\n"
"""Text of a Ruleset that is in the kernel but not as we put it there."""

DEADLINE_S = 20
"""Longest that one program of packet rules may take, in seconds."""

_THREADS = min(4, os.cpu_count() or 1)

Enter = Callable[[str], AbstractContextManager[None]]
"""Gives the context in which the thread is inside a namespace; MissingError when there is none."""


class Rulesets(ABC):
    """The rulesets we put into namespaces. What was applied is kept with the image the kernel gave of it."""

    def __init__(self, enter: Enter) -> None:
        self._enter = enter
        self._applied: dict[Key, tuple[Ruleset, str]] = {}

    def apply(self, rulesets: Iterable[Ruleset]) -> list[EdgeError | None]:
        """Put rulesets in place; the result of each in order."""
        return _together(self._apply, rulesets)

    def delete(self, rulesets: Iterable[Ruleset]) -> list[EdgeError | None]:
        """Take rulesets away; one that is gone, or whose namespace is, counts as done."""
        return _together(self._delete, rulesets)

    def found(self, wanted: Iterable[Ruleset], namespaces: Iterable[str]) -> set[Ruleset]:
        """The rulesets of `wanted` and of our own doing that are in these namespaces.

        Others are the operator's own and not spoken of. Raises DaemonError when they cannot be listed.
        """
        there = set(namespaces)
        for key in [key for key, (ruleset, _) in self._applied.items() if ruleset.namespace not in there]:
            del self._applied[key]
        keyed = {item.key: item for item in (*(item for item, _ in self._applied.values()), *wanted)}
        subjects = [item for item in keyed.values() if item.namespace in there]
        results: list[Ruleset | None] = []
        if subjects:
            with ThreadPoolExecutor(_THREADS) as pool:
                results = list(pool.map(self._find, subjects))
        return {item for item in results if item is not None}

    @abstractmethod
    def counters(self, namespace: str) -> dict[str, tuple[int, int]]:
        """Named counters of a namespace: name -> (packets, octets).

        Raises MissingError when there is no such namespace, DaemonError when they cannot be listed.
        """

    @abstractmethod
    def _apply(self, ruleset: Ruleset) -> None: ...
    @abstractmethod
    def _delete(self, ruleset: Ruleset) -> None: ...
    @abstractmethod
    def _find(self, ruleset: Ruleset) -> Ruleset | None: ...

    def program(
        self, namespace: str, name: str, arguments: tuple[str, ...], text: str = "", *, package: str
    ) -> tuple[int, str, str]:
        """Run a program in a namespace with `text` as its input: (exit status, stdout, stderr).

        Raises CapabilityError when it is not installed, MissingError without the namespace,
        DeadlineError when it does not end.
        """
        return run_inside(self._enter, namespace, name, arguments, text, package=package)


def run_inside(
    enter: Enter, namespace: str, name: str, arguments: tuple[str, ...], text: str = "", *, package: str
) -> tuple[int, str, str]:
    """Run a program in a namespace with `text` as its input: (exit status, stdout, stderr).

    Raises CapabilityError when it is not installed (`package` brings it), MissingError without the namespace,
    DeadlineError when it does not end.
    """
    try:
        # A child has the namespace of the thread that starts it.
        with enter(namespace):
            process = subprocess.Popen(
                (name, *arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "LC_ALL": "C"},
            )
    except (FileNotFoundError, PermissionError) as error:
        raise CapabilityError(f"{name} is not installed", f"sudo apt-get install {package}") from error
    with process:
        try:
            stdout, stderr = process.communicate(text, timeout=DEADLINE_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise DeadlineError(f"{namespace}: {name} did not end within {DEADLINE_S} s") from error
    return process.returncode, stdout, stderr


def _together(work: Callable[[Ruleset], None], rulesets: Iterable[Ruleset]) -> list[EdgeError | None]:
    subjects = list(rulesets)

    def attempt(ruleset: Ruleset) -> EdgeError | None:
        try:
            work(ruleset)
        except EdgeError as error:
            return error
        except OSError as error:
            return DaemonError(f"{ruleset}: {error}")
        return None

    if len(subjects) < 2:
        return [attempt(ruleset) for ruleset in subjects]
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(attempt, subjects))
