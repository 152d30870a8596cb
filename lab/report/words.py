"""Small pieces of text that the reports share. Pure."""

from __future__ import annotations

from edge.console import visible

__all__ = ["duration", "visible"]

_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
"""Seconds and name of a unit, and of the one that the rest is told in."""


CORES = {"mpls": "MPLS labels", "vrf": "a VRF at each hop"}
"""What tells customers apart in a provider's core, in words."""


def duration(seconds: float | None) -> str:
    """Seconds as people say it: `0.3 s`, `42 s`, `3 min 5 s`, `2 h 1 min`, `4 d 2 h`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, name, smaller, smaller_name in _UNITS:
        if whole >= size:
            return f"{whole // size} {name} {whole % size // smaller} {smaller_name}"
    return f"{whole} s"
