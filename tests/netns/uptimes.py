"""How long sessions have been up, and whether they are still the same ones later."""

from __future__ import annotations

import time
from collections.abc import Callable

from labs import Labs, established

Key = tuple[str, str]
"""Namespace and neighbour of an end of a session."""


class Uptimes(dict[Key, float]):
    """Seconds that each end has been up, read between two moments of the clock."""

    def __init__(self, found: dict[Key, float], asked: float, answered: float) -> None:
        super().__init__(found)
        self.asked = asked
        self.answered = answered

    def where(self, wanted: Callable[[Key], bool]) -> Uptimes:
        """Those of some ends."""
        return Uptimes({key: self[key] for key in self if wanted(key)}, self.asked, self.answered)

    def began(self, key: Key) -> tuple[float, float]:
        """The earliest and the latest moment at which the session can have come up."""
        return self.asked - self[key], self.answered - self[key]


def uptimes(labs: Labs, lab: str = "contoso") -> Uptimes:
    """Of all ends that are Established."""
    asked = time.monotonic()
    view = labs.json("inspect", lab)
    found = {(s["namespace"], s["neighbor"]): s["uptime_s"] for s in established(view)}
    return Uptimes(found, asked, time.monotonic())


def assert_undisturbed(before: Uptimes, after: Uptimes, apart: tuple[str, ...] = ()) -> None:
    """Every session of `before` is still the same one, unless its neighbour is in `apart`."""
    for key in before:
        if key[1] in apart:
            continue
        assert key in after, f"session {key} is gone"
        # BIRD tells milliseconds, and its clock and ours are one.
        assert after.began(key)[0] <= before.began(key)[1] + 0.1, (
            f"session {key} restarted: {before[key]} s, now {after[key]} s"
        )
