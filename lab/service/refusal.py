"""What a rule says when it says no."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule's no.

    code: one stable word for programs (`AsnReserved`). words: what is wrong, without a full stop.
    way_out: what to do instead; empty only where the words already give it. about: the value of the command
    that is to blame where it has several of the kind (a prefix, a community), so that a file's reader can
    be shown the place.
    """

    code: str
    words: str
    way_out: str = ""
    about: object = field(default=None, compare=False)

    @property
    def source(self) -> str:
        """Where the rule comes from: a section of the facts, an RFC, or a decision of our own.

        Raises KeyError when the code stands in no row of `lab.service.rulebook`.
        """
        from lab.service.rulebook import RULES

        return RULES[self.code].source

    @property
    def status(self) -> int:
        """HTTP status that a REST face answers with. Raises KeyError as `source` does."""
        from lab.service.rulebook import RULES

        return RULES[self.code].status

    def __str__(self) -> str:
        return f"{self.words}; {self.way_out}" if self.way_out else self.words
