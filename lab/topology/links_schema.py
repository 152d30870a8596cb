"""What the file may say about a link: how badly it carries frames, in one direction or both."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from lab.topology.part import Part
from lab.topology.values import OneOrMany, refuse, show

LONGEST_NS = 60 * 10**9
"""Longest delay: a minute. Beyond it every protocol of the lab has given up."""

SLOWEST_BPS, FASTEST_BPS = 8_000, 400_000_000_000
"""Rates of a wire: the fastest is the fastest port of ExpressRoute Direct."""

_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
_BPS = {"k": 10**3, "m": 10**6, "g": 10**9}
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"


def nanoseconds(text: str) -> int:
    """A duration of the file, already checked."""
    found = re.fullmatch(rf"({_NUMBER})([a-z]+)", text)
    return int(Fraction(found[1]) * _NS[found[2]]) if found else 0


def millionths(text: str) -> int:
    """A part of the file in parts per million, already checked."""
    return int(Fraction(text.rstrip("%")) * 10_000)


def bits_per_second(text: str) -> int:
    """A rate of the file, already checked."""
    return int(Fraction(text[:-1]) * _BPS[text[-1].lower()])


def _duration(value: object) -> str:
    text = re.sub(r"\s", "", value.lower().replace("µ", "u")) if isinstance(value, str) else ""
    found = re.fullmatch(rf"({_NUMBER})({'|'.join(_NS)})", text)
    if found is None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            refuse(f"{show(value)} has no unit", f"write {show(value)}ms, or us or s")
        refuse(f"{show(value)} is not a duration", "write one such as 20ms, 500us or 1.5s")
    if (Fraction(found[1]) * _NS[found[2]]).denominator != 1:
        refuse(f"{show(value)} is finer than a nanosecond", "write fewer digits")
    if nanoseconds(text) > LONGEST_NS:
        refuse(f"{show(value)} is longer than a minute", "write 60s at most")
    return text


def _part(value: object) -> str:
    text = value.replace(" ", "") if isinstance(value, str) else ""
    if not re.fullmatch(rf"{_NUMBER}%", text):
        if isinstance(value, int | float) and not isinstance(value, bool):
            refuse(f"{show(value)} has no unit", f"write {show(value)}% of the frames")
        refuse(f"{show(value)} is not a part of the frames", "write one such as 1.5%")
    part = Fraction(text[:-1]) * 10_000
    if part > 10**6:
        refuse(f"{show(value)} is more than all frames", "write 100% at most")
    if part.denominator != 1:
        refuse(f"{show(value)} is finer than one frame in a million", "write steps of 0.0001%")
    return text


def _rate(value: object) -> str:
    text = value.replace(" ", "") if isinstance(value, str) else ""
    found = re.fullmatch(rf"({_NUMBER})([kKmMgG])(?:bps|bit/s|b/s)?", text)
    if found is None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            refuse(f"{show(value)} has no unit", f"write {show(value)}M for megabits per second, or k or G")
        refuse(f"{show(value)} is not a rate", "write one such as 50M, 256k or 2.5G")
    rate = Fraction(found[1]) * _BPS[found[2].lower()]
    if not SLOWEST_BPS <= rate <= FASTEST_BPS:
        refuse(f"{show(value)} is not the speed of a wire here", "write 8k to 400G")
    if rate % 8:
        refuse(f"{show(value)} is no whole number of octets per second", "write fewer digits")
    return f"{found[1]}{found[2].lower() if found[2] in 'kK' else found[2].upper()}"


def _schema(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


Duration = Annotated[
    str, PlainValidator(_duration), _schema(r"^[0-9.]+ ?(ns|us|ms|s)$", "20ms", "500us", "1.5s")
]
Part100 = Annotated[str, PlainValidator(_part), _schema(r"^[0-9.]+ ?%$", "1.5%")]
Rate = Annotated[
    str, PlainValidator(_rate), _schema(r"^[0-9.]+ ?[kKmMgG](bps|bit/s|b/s)?$", "50M", "256k", "2.5G")
]


class LinkImpairment(Part):
    """What a link does to frames: harmed by a seed, so the same frames are harmed on every run."""

    towards: str | None = Field(
        default=None,
        description="Only frames on their way to this end of the link, a node; both ways when left out.",
    )
    delay: Duration = Field(default="0ms", description="How long each frame is on its way.")
    jitter: Duration = Field(
        default="0ms", description="The delay is up to this much shorter or longer; frames keep their order."
    )
    loss: Part100 = Field(default="0%", description="Part of the frames that are lost.")
    duplicate: Part100 = Field(default="0%", description="Part of the frames that arrive twice.")
    reorder: Part100 = Field(
        default="0%", description="Part of the frames that arrive without the delay, before earlier ones."
    )
    rate: Rate | None = Field(
        default=None,
        description="Bits per second of the wire; its queue holds 100 ms. No limit when left out.",
    )
    seed: int = Field(
        default=0, ge=0, lt=1 << 63, description="Another seed harms other frames, with the same statistics."
    )
    by: Literal["ring", "netem"] = Field(
        default="ring",
        description="ring: the lab's own engine. netem: the kernel's, on ports without queues.",
    )

    @model_validator(mode="after")
    def _fits(self) -> LinkImpairment:
        if nanoseconds(self.jitter) > nanoseconds(self.delay):
            refuse(
                f"a jitter of {self.jitter} is more than the delay of {self.delay}",
                f"write a delay of {self.jitter} at least: nothing arrives before it was sent",
            )
        if millionths(self.reorder) and not nanoseconds(self.delay):
            refuse("reorder needs a delay: only frames that wait can be overtaken", "add delay: 10ms, say")
        harms = (self.delay, self.loss, self.duplicate, self.rate)
        if all(text is None or not Fraction(re.sub(r"[^0-9.]", "", text)) for text in harms):
            refuse("it harms no frame", "add delay, loss, duplicate or rate, or take the link out")
        return self


LinkName = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9-]+$"})]
"""A link's name; whether there is one is seen later, and said in better words than a pattern's."""

LinkImpairments = Annotated[list[LinkImpairment], OneOrMany(), Field(min_length=1, max_length=2)]
"""One impairment for a link, or one for each direction."""
