"""Values of a fault's options: how people write them, and what they are. Pure.

A unit reads text (or a number, where a file has one) and raises ValueError with words that say what is
wrong and the way out.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from ipaddress import ip_network
from typing import Any

from edge.document.suggest import hint_for
from lab.faults.ranges import Range

Value = int | float | str

LONGEST_S = 7 * 86400
"""Longest duration of a fault: a week, as long as any lab runs."""

_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_BPS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


@dataclass(frozen=True, slots=True)
class Unit:
    """One way to write a value. name: what stands for it in help; example: one that is good.

    pattern: regular expression of what a file may write, None for whole numbers. choices: the only words.
    """

    name: str
    example: str
    read: Callable[[Any], Value]
    show: Callable[[Any], str] = str
    pattern: str | None = ".*"
    choices: tuple[str, ...] = ()


def _duration(value: Any) -> float:
    text = re.sub(r"\s", "", str(value)).lower()
    found = re.fullmatch(rf"({_NUMBER})(us|ms|s|m|h)", text)
    if found is None:
        if re.fullmatch(_NUMBER, text):
            raise ValueError(f"{value} has no unit; write {value}s, or ms, m or h")
        raise ValueError(f"{value} is not a duration; write one such as 500ms, 5s or 2m")
    seconds = float(Fraction(found[1])) * _SECONDS[found[2]]
    if seconds > LONGEST_S:
        raise ValueError(f"{value} is longer than a week; write 168h at most")
    return seconds


def _show_duration(value: float) -> str:
    if value and value < 1:
        return f"{value * 1000:g}ms"
    return f"{value:g}s"


def _part(value: Any) -> int:
    text = str(value).replace(" ", "")
    if not re.fullmatch(rf"{_NUMBER}%", text):
        if re.fullmatch(_NUMBER, text):
            raise ValueError(f"{value} has no unit; write {value}%")
        raise ValueError(f"{value} is not a part; write one such as 1.5%")
    part = Fraction(text[:-1]) * 10_000
    if part > 10**6:
        raise ValueError(f"{value} is more than all; write 100% at most")
    if part.denominator != 1:
        raise ValueError(f"{value} is finer than one in a million; write steps of 0.0001%")
    return int(part)


def _show_part(value: int) -> str:
    return f"{value / 10_000:g}%"


def _rate(value: Any) -> int:
    text = str(value).replace(" ", "")
    found = re.fullmatch(rf"({_NUMBER})([kmg])(?:bps|bit/s|b/s)?", text, re.IGNORECASE)
    if found is None:
        if re.fullmatch(_NUMBER, text):
            raise ValueError(f"{value} has no unit; write {value}M for megabits per second, or k or G")
        raise ValueError(f"{value} is not a rate; write one such as 50M, 256k or 2.5G")
    rate = Fraction(found[1]) * _BPS[found[2].lower()]
    if not 8_000 <= rate <= 400_000_000_000 or rate % 8:
        raise ValueError(f"{value} is no rate of a wire here; write 8k to 400G, in whole octets per second")
    return int(rate)


def _show_rate(value: int) -> str:
    for sign, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= size:
            return f"{value / size:g}{sign}"
    return str(value)


def _prefix(value: Any) -> str:
    try:
        return str(ip_network(str(value) if "/" in str(value) else ""))
    except ValueError:
        raise ValueError(f"{value} is no prefix; write one such as 10.192.0.0/10") from None


def whole(name: str, example: str, low: int, high: int) -> Unit:
    """Whole numbers from low to high."""

    def read(value: Any) -> int:
        if not re.fullmatch(r"[0-9]{1,20}", str(value)):
            raise ValueError(f"{value} is not a whole number; write one such as {example}")
        if not low <= int(value) <= high:
            raise ValueError(f"{value} is outside {low}-{high}; write one such as {example}")
        return int(value)

    return Unit(name, example, read, pattern=None)


def one_of(*choices: str) -> Unit:
    """One of these words."""

    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"{value} is not one of {', '.join(choices)}; {hint_for(str(value), choices)}")
        return str(value)

    return Unit("|".join(choices), choices[0], read, choices=choices)


def _word(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > 80:
        raise ValueError(f"{value!r} is not a word; write letters and digits")
    return value


DURATION = Unit("DURATION", "5s", _duration, _show_duration, rf"^{_NUMBER} ?(us|ms|s|m|h)$")
PART = Unit("PART", "5%", _part, _show_part, rf"^{_NUMBER} ?%$")
RATE = Unit("RATE", "10M", _rate, _show_rate, rf"^{_NUMBER} ?[kKmMgG](bps|bit/s|b/s)?$")
NODE = Unit("NODE", "ce1", _word)
KEY = Unit("KEY", "wr0ngkey", _word)
SEED = whole("NUMBER", "7", 0, 2**63 - 1)
VLAN = whole("VLAN", "101", 1, 4094)
COUNT = whole("NUMBER", "100", 1, 20_000)
PREPENDS = whole("NUMBER", "8", 0, 16)
PREFIX = Unit("PREFIX", "10.192.0.0/10", _prefix, pattern=r"^[0-9a-fA-F.:]+/[0-9]+$")
SIDE = one_of("customer", "microsoft")


@dataclass(frozen=True, slots=True)
class Option:
    """What is to be known of an option beside its value: its unit, a line of help, what a storm draws."""

    unit: Unit
    help: str
    drawn: Range | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """Base of the options of all kinds: frozen dataclasses, each field made by `option`."""


def option(unit: Unit, default: Value | None, words: str, drawn: Range | None = None) -> Any:
    """A field of Options. default: the value itself, or text as people write it; None is no value.

    drawn: what a storm draws it from; choices and ends of links need none.
    """
    value = unit.read(default) if isinstance(default, str) and default else default
    return dataclasses.field(default=value, metadata={"option": Option(unit, words, drawn)})


def required(unit: Unit, words: str) -> Any:
    """A field of Options that has no default."""
    return dataclasses.field(metadata={"option": Option(unit, words)})


def fields_of(options: type[Options] | Options) -> dict[str, tuple[dataclasses.Field[Any], Option]]:
    """Name as people write it -> the field and what is known of it."""
    return {one.name.replace("_", "-"): (one, one.metadata["option"]) for one in dataclasses.fields(options)}


def words_of(options: Options) -> dict[str, str]:
    """The options that differ from their defaults, as people write them."""
    return {
        name: known.unit.show(value)
        for name, (field, known) in fields_of(options).items()
        if (value := getattr(options, field.name)) != field.default and value is not None
    }
