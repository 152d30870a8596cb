"""What a rule says when it says no."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule's no.

    code: one stable word for programs (`AsnReserved`). words: what is wrong, without a full stop.
    hint: the way out; empty only where the words already give it.
    """

    code: str
    words: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.words}; {self.hint}" if self.hint else self.words
