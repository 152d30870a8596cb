"""Words of the command line that carry a unit: times and rates."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from edge.commands.common import DAY_S

if TYPE_CHECKING:
    _Word = click.ParamType[Any]
else:
    # Only newer versions of click have this as a generic.
    _Word = click.ParamType

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_FACTORS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


class Duration(_Word):
    """`10s`, `500ms`, `2m`, `1h`, or a number of seconds: at least so many, at most a day."""

    name = "time"

    def __init__(self, least_s: float) -> None:
        self.least_s = least_s

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds. Fails as click does, with exit status 2."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|min|h)?", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no time; write one such as 10s, 2m or 1h", param, ctx)
        # 4.1m are 246 seconds, and not a hair less.
        seconds = round(float(found[1]) * _SECONDS[found[2] or "s"], 9)
        if not self.least_s <= seconds <= DAY_S:
            self.fail(f"{value} is not between {self.least_s:g} s and a day", param, ctx)
        return seconds


class BitRate(_Word):
    """`600M`, `64K`, `1.5G`, or a number of bit/s."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bit/s. Fails as click does, with exit status 2."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)([KMG]?)", str(value).strip(), re.IGNORECASE)
        rate = int(float(found[1]) * _FACTORS[found[2].upper()]) if found else 0
        if not 1000 <= rate <= 10**12:
            self.fail(f"{value!r} is no rate; write one such as 600M (bit/s), at least 1K", param, ctx)
        return rate
