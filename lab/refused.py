"""The service's no, as an error that travels from the supervisor to the command line."""

from __future__ import annotations

from typing import Any

from edge.errors import EXIT_CHECK_FAILED, EdgeError, InputError
from lab.service.refusal import Refusal

LAB_LIMIT = "LabLimit"
"""Code of what the service takes and the lab cannot build: a name or an address that its own parts need."""


class RefusedError(EdgeError):
    """A command was answered with no, and nothing has changed. Exit status 1: it was asked and does not hold.

    (2 is a command line that is no command, 4 an accepted command that could not be carried out.)
    """

    exit_code = EXIT_CHECK_FAILED

    def __init__(self, code: str, words: str, way_out: str = "", source: str = "") -> None:
        self.code, self.words, self.way_out, self.source = code, words, way_out, source
        text = f"refused ({code}): {words}"
        super().__init__(f"{text}; {way_out}" if way_out else text)

    @classmethod
    def of(cls, refusal: Refusal) -> RefusedError:
        """A rule's no."""
        return cls(refusal.code, refusal.words, refusal.way_out, refusal.source)

    @classmethod
    def of_lab(cls, error: InputError) -> RefusedError:
        """What the lab's own parts say no to."""
        first = error.problems[0]
        words = "; ".join(f"{one.path}: {one.message}" if one.path else one.message for one in error.problems)
        return cls(LAB_LIMIT, words, first.hint if len(error.problems) == 1 else "", "own")

    def to_json(self) -> dict[str, Any]:
        """The refusal as plain data."""
        return {"code": self.code, "words": self.words, "way_out": self.way_out, "source": self.source}
