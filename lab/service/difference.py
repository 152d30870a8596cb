"""What differs between two states, field by field, for people and programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lab.service.codec import encode
from lab.service.state import State

SECRETS = ("shared_key",)
"""Fields whose values are not shown (facts 3.2: a stored key is not displayed afterwards)."""

QUIET = ("serial", "received")
"""Parts of a state that are bookkeeping, not resources."""

Plain = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One value: its path, what it was and is; None for a value that is not there. A list is one value."""

    path: str
    before: Plain
    after: Plain

    def __str__(self) -> str:
        return f"{self.path}: {_show(self.before)} -> {_show(self.after)}"


def differences(before: State, after: State) -> tuple[Difference, ...]:
    """Every value that is not the same, in the order of the state."""
    return tuple(_differ("", encode(before), encode(after)))


def _show(value: Plain) -> str:
    return "-" if value is None or value == "" else str(value)


def _differ(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if before == after:
        return
    if isinstance(before, dict) or isinstance(after, dict):
        old, new = (value if isinstance(value, dict) else {} for value in (before, after))
        for name in dict.fromkeys((*old, *new)):
            if path or name not in QUIET:
                yield from _differ(f"{path}.{name}".lstrip("."), old.get(name), new.get(name))
        return
    if path.rpartition(".")[2] in SECRETS:
        yield Difference(path, *(None if value is None else "(secret)" for value in (before, after)))
        return
    yield Difference(path, _plain(before), _plain(after))


def _plain(value: Any) -> Plain:
    if isinstance(value, list):
        # Two numbers are a community, everything else is a list of things.
        whole = bool(value) and all(type(item) is int for item in value)
        return _one(value) if whole else ", ".join(_one(item) for item in value)
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def _one(value: Any) -> str:
    """An element of a list: a community as it is written, an object by its values."""
    if isinstance(value, list):
        return ":".join(map(str, value))
    if isinstance(value, dict):
        return " ".join(
            str(item) for item in value.values() if item is not None and not isinstance(item, dict)
        )
    return str(value)
