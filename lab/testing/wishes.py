"""What the markers of a test ask for. Pure.

Each function takes a marker's arguments as pytest hands them over and raises UsageError, with a way out, for
what cannot be meant.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from edge.errors import UsageError

if TYPE_CHECKING:
    from lab.api import Topology

Scope = Literal["function", "class", "module", "session"]
Links = Literal["auto", "kernel", "bpf", "ring"]

T = TypeVar("T")

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}

PACE_S = 0.01
"""Time from one probe of a budget to the next: an outage is known to so much."""

AFTERWARDS_S = 1.0
"""How much longer than the outage that a budget allows is measured at least."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Which lab a test wants. topology: None for that of the options.

    settled: a lab whose sessions are not all Established is no good to it.
    """

    topology: Topology | None = None
    scope: Scope = "module"
    links: Links | None = None
    settled: bool = True


@dataclass(frozen=True, slots=True)
class FaultWish:
    """What goes wrong while a test runs; options as `edgelab fault` takes them."""

    kind: str
    target: str
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        options = "".join(f" --{name} {value}" for name, value in self.options)
        return f"{self.kind} {self.target}{options}"


@dataclass(frozen=True, slots=True)
class Budget:
    """What echo requests from source to target may suffer while a test runs; None is not asked.

    outage_s: longest time without an answer. loss_percent: without an answer, of all. round_trip_s: of 95 %
    of the answers; alone, it is not kept where more than half never came. during_s: measured at least so
    long, from when the test begins.
    """

    source: str
    target: str
    outage_s: float | None = None
    loss_percent: float | None = None
    round_trip_s: float | None = None
    during_s: float = AFTERWARDS_S
    pace_s: float = PACE_S
    family: Literal[4, 6] = 4

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}{'' if self.family == 4 else ' IPv6'}"


def wish(arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Wish:
    """`@pytest.mark.edgelab(topology, scope="module", links="auto", settled=True)`."""
    return _called("edgelab", _wish, arguments, options)


def fault(arguments: tuple[Any, ...], options: Mapping[str, Any]) -> FaultWish:
    """`@pytest.mark.fault(kind, target, option="value", ...)`."""
    if len(arguments) != 2 or not all(isinstance(word, str) for word in arguments):
        raise UsageError(
            f'the marker fault takes a kind and a target, as fault("silent", "ams/primary"), not {arguments}'
        )
    named = ((name.replace("_", "-"), str(value)) for name, value in options.items())
    return FaultWish(*arguments, tuple(named))


def budget(arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Budget:
    """`@pytest.mark.budget(source, target, outage="1s", loss="1%", round_trip="20ms", ...)`."""
    return _called("budget", _budget, arguments, options)


def _called(marker: str, take: Callable[..., T], arguments: tuple[Any, ...], options: Mapping[str, Any]) -> T:
    try:
        inspect.signature(take).bind(*arguments, **options)
    except TypeError as error:
        raise UsageError(f"the marker {marker}: {error}; it is {marker}{inspect.signature(take)}") from None
    return take(*arguments, **options)


def _wish(
    topology: Topology | None = None, *, scope: str = "module", links: str | None = None, settled: bool = True
) -> Wish:
    if topology is not None and not isinstance(topology, str | os.PathLike | Mapping):
        raise UsageError(f"the marker edgelab takes a topology file, its text or a dict, not {topology!r}")
    if scope not in get_args(Scope):
        raise UsageError(f"no scope {scope!r}; one of: {', '.join(get_args(Scope))}")
    if links not in (None, *get_args(Links)):
        raise UsageError(f"no links {links!r}; one of: {', '.join(get_args(Links))}")
    return Wish(topology, scope, links, bool(settled))  # type: ignore[arg-type]


def _budget(
    source: str,
    target: str,
    *,
    outage: str | None = None,
    loss: str | None = None,
    round_trip: str | None = None,
    during: str | None = None,
    pace: str | None = None,
    family: int = 4,
) -> Budget:
    if outage is None and loss is None and round_trip is None:
        raise UsageError(f"the budget {source} -> {target} has no figure; add outage, loss or round_trip")
    if family not in (4, 6):
        raise UsageError(f"no IP version {family!r}; 4 or 6")
    longest = _seconds("outage", outage)
    return Budget(
        source,
        target,
        longest,
        _percent(loss),
        _seconds("round_trip", round_trip),
        _seconds("during", during) or (longest or 0.0) + AFTERWARDS_S,
        _seconds("pace", pace) or PACE_S,
        family,  # type: ignore[arg-type]
    )


def _seconds(name: str, text: object) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?(us|ms|s)", text) if isinstance(text, str) else None
    if found is None or not float(found[1]):
        raise UsageError(f"{name}={text!r} is no time; write one such as '500ms' or '1s'")
    return float(found[1]) * _SECONDS[found[2]]


def _percent(text: object) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%", text) if isinstance(text, str) else None
    if found is None or float(found[1]) > 100:
        raise UsageError(f"loss={text!r} is no part of the probes; write one such as '0%' or '1.5%'")
    return float(found[1])
